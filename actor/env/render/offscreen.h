// SPDX-License-Identifier: MIT
// An OpenGL context without a window or a screen, by EGL.
//
// Uses the first device that provides a context: a graphics card, or else Mesa's software
// renderer. In a build without EGL, offscreen_create fails with a message.
#ifndef SPUR_ACTOR_ENV_RENDER_OFFSCREEN_H
#define SPUR_ACTOR_ENV_RENDER_OFFSCREEN_H

#include <stddef.h>

struct offscreen;

// Creates a context and makes it current on the calling thread, which must be the one that
// draws. NULL with the reason in err.
struct offscreen *offscreen_create(char *err, size_t err_len);
void offscreen_destroy(struct offscreen **o);

#endif
