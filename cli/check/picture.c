// SPDX-License-Identifier: MIT
// Draws with MuJoCo's renderer, or with the environment's own.
#include "cli/check/picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/render/render.h"
#include "actor/episode.h"
#include "cli/play/png.h"
#include "common/base/check.h"
#include "common/base/error.h"

#define WIDTH 640
#define HEIGHT 480

static int write_png(const char *path, const uint8_t *rgb, int width, int height, char *err,
                     size_t err_len) {
    int status = png_write(path, rgb, width, height);
    return status == 0 ? 0 : error_set(err, err_len, -1, "%s", strerror(-status));
}

static int draw_by_mujoco(const char *path, struct env *env, const char *name, uint64_t seed,
                          char *err, size_t err_len) {
    struct episode episode;
    struct env_render *render =
        env_render_create(env, WIDTH, HEIGHT, env_camera_default(env), err, err_len);
    if (!render) {
        return -1;
    }
    uint8_t *rgb = xmalloc((size_t)WIDTH * HEIGHT * 3);
    episode_begin_evaluation(&episode, env, seed, 0);
    env_render_begin(render, env);
    int rc = env_render_draw(rgb, render, env, "task", name, err, err_len);
    if (rc == 0) {
        rc = write_png(path, rgb, WIDTH, HEIGHT, err, err_len);
    }
    free(rgb);
    env_render_destroy(&render);
    return rc;
}

static int draw_itself(const char *path, struct env *env, uint64_t seed, char *err,
                       size_t err_len) {
    struct episode episode;
    struct env_picture picture;
    if (env_prepare_pictures(env, err, err_len) < 0) {
        return -1;
    }
    episode_begin_evaluation(&episode, env, seed, 0);
    if (env_draw(&picture, env, err, err_len) < 0) {
        return -1;
    }
    return write_png(path, picture.rgb, picture.width, picture.height, err, err_len);
}

int picture_write(const char *path, struct env *env, const char *name, uint64_t seed, char *err,
                  size_t err_len) {
    if (env_draws(env)) {
        return draw_itself(path, env, seed, err, err_len);
    }
    if (!env_render_possible(env)) {
        return error_set(err, err_len, -1,
                         "no picture is possible: only MuJoCo environments and those with a "
                         "render() are drawn");
    }
    return draw_by_mujoco(path, env, name, seed, err, err_len);
}
