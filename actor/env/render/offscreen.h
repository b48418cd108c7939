// SPDX-License-Identifier: MIT
// OpenGL without a window or a screen: the doorway to EGL.
//
// Takes the first device that gives a context: a graphics card, or Mesa's
// software renderer where there is none. A build without EGL has offscreen_create
// all the same, which then says what is missing.
#ifndef SPUR_ACTOR_ENV_RENDER_OFFSCREEN_H
#define SPUR_ACTOR_ENV_RENDER_OFFSCREEN_H

#include <stddef.h>

struct offscreen;

// Makes a context and makes it current on the calling thread, which must be the
// one that draws. NULL with a sentence in err.
struct offscreen *offscreen_create(char *err, size_t err_len);
void offscreen_destroy(struct offscreen **o);

#endif
