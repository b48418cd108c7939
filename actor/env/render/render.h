// SPDX-License-Identifier: MIT
// Off-screen images of an environment with MuJoCo's renderer.
//
// The models contain only physics. Light, ground, colours and camera are derived from the
// compiled model, so every model can be rendered. The image shows a copy of the state: drawing
// never changes the simulation.
//
// The camera shows every moving body in every frame. If the robot can move away, it follows the
// robot and what moves around it; bodies that have been left far behind are lost. A robot that is
// fixed to the world is shown from a fixed point with the objects around it. A camera of the model
// shows what it shows.
#ifndef SPUR_ACTOR_ENV_RENDER_RENDER_H
#define SPUR_ACTOR_ENV_RENDER_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actor/env/env.h"

#define ENV_RENDER_SIDE_MIN 64
#define ENV_RENDER_SIDE_MAX 4096

// Direction of view in degrees: azimuth 90 is along y, with x to the right; elevation -90 is
// straight down.
struct env_camera {
    double azimuth, elevation;
    double zoom;      // 1 shows all that moves; larger values are closer
    const char *name; // of a camera of the model, in place of all that; NULL: none. Borrowed
};

// Whether it can be rendered: only environments in MuJoCo. The other functions require it.
bool env_render_possible(const struct env *env);

// Chosen by the model's shape: from the side, for flat robots more from above.
struct env_camera env_camera_default(const struct env *env);

// Whether the model has a camera of this name.
bool env_camera_exists(const struct env *env, const char *name);
// The names of the model's cameras, "a, b"; "": it has none.
void env_camera_names(char *out, size_t out_len, const struct env *env);

struct env_render;

// For images of width x height, both within the limits above. Only the calling thread may use
// and destroy it. NULL with the reason in err.
struct env_render *env_render_create(const struct env *env, int width, int height,
                                     struct env_camera camera, char *err, size_t err_len);
void env_render_destroy(struct env_render **r);

// Positions camera and ground for a new episode of env.
void env_render_begin(struct env_render *r, const struct env *env);
// Draws the state of env (the one it was created for) to rgb, (height, width, 3), top row first,
// with two columns of text in a corner: names and values, one per line. 0, or -1 with the reason
// in err.
int env_render_draw(uint8_t *rgb, struct env_render *r, const struct env *env, const char *names,
                    const char *values, char *err, size_t err_len);

#endif
