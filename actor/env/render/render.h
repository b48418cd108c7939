// SPDX-License-Identifier: MIT
// Pictures of an environment, by MuJoCo's own renderer, off-screen.
//
// The models hold physics and nothing to look at, so light, ground, colours and
// camera are made here, from the compiled model alone: any model can be watched.
// The picture is of a copy of the state; drawing never changes the simulation.
//
// The camera sees the whole robot in every frame. A robot that can leave its
// place is followed; one that is fixed to the world is seen from a fixed point,
// with all that stands around it.
#ifndef SPUR_ACTOR_ENV_RENDER_RENDER_H
#define SPUR_ACTOR_ENV_RENDER_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actor/env/env.h"

#define ENV_RENDER_SIDE_MIN 64
#define ENV_RENDER_SIDE_MAX 4096

// Where to look from. Degrees: azimuth 90 looks along y, so that x runs to the
// right; elevation -90 looks straight down.
struct env_camera {
    double azimuth, elevation;
    double zoom; // > 1 is nearer than what shows the whole robot
};

// Whether it can be drawn: it is in MuJoCo, not in a plug-in. The other functions expect that.
bool env_render_possible(const struct env *env);

// One chosen by the model's shape: from the side, flat robots more from above.
struct env_camera env_camera_default(const struct env *env);

struct env_render;

// For pictures of width x height, each within the limits above. To be used and
// destroyed by the calling thread. NULL with a sentence in err.
struct env_render *env_render_create(const struct env *env, int width, int height,
                                     struct env_camera camera, char *err, size_t err_len);
void env_render_destroy(struct env_render **r);

// Places camera and ground for the episode that env now begins.
void env_render_begin(struct env_render *r, const struct env *env);
// Draws the state of env (the one it was created for) into rgb, (height, width,
// 3), upper row first, with two columns of text in its corner: lines of names
// and of values. 0, or -1 with a sentence in err.
int env_render_draw(uint8_t *rgb, struct env_render *r, const struct env *env, const char *names,
                    const char *values, char *err, size_t err_len);

#endif
