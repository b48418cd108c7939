// SPDX-License-Identifier: MIT
// Answers the frames of frame.h with a plug-in that is loaded into this process.
//
// This process does nothing else, so whatever a plug-in changes in it (working directory, locale,
// signals, floating-point mode, streams) or does to it (exit, a crash, a hang) affects no other.
// Results are validated as in an actor's process; the reason for a bad step is an ERROR.
#include "actor/env/process/env_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "actor/env/env_kind.h"
#include "actor/env/env_plugin.h"
#include "actor/env/process/frame.h"
#include "common/base/check.h"
#include "common/base/log.h"

struct host {
    const char *path;
    struct env *env; // NULL before MAKE
    uint8_t request[FRAME_HEADER + FRAME_REQUEST_MAX];
    uint8_t reply[FRAME_HEADER + FRAME_REPLY_MAX];
    size_t len; // of the reply's payload
};

// ---- frames ----

// Reads n bytes; false at the end of the pipe.
static bool read_all(uint8_t *out, size_t n) {
    while (n > 0) {
        ssize_t got = read(FRAME_REQUEST_FD, out, n);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return false;
        }
        out += got > 0 ? got : 0;
        n -= got > 0 ? (size_t)got : 0;
    }
    return true;
}

static bool write_all(const uint8_t *data, size_t n) {
    while (n > 0) {
        ssize_t put = write(FRAME_REPLY_FD, data, n);
        if (put < 0 && errno != EINTR) {
            return false;
        }
        data += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

// Payloads that are longer than the limit are the parent's error.
static void put(struct host *h, const void *data, size_t n) {
    CHECK(h->len + n <= FRAME_REPLY_MAX);
    memcpy(h->reply + FRAME_HEADER + h->len, data, n);
    h->len += n;
}

static void put_u32(struct host *h, uint32_t x) {
    put(h, &x, sizeof(x));
}

static void put_f64(struct host *h, double x) {
    put(h, &x, sizeof(x));
}

static bool send_reply(struct host *h, enum frame_type type) {
    uint32_t header[2] = {(uint32_t)type, (uint32_t)h->len};
    memcpy(h->reply, header, sizeof(header));
    return write_all(h->reply, FRAME_HEADER + h->len);
}

static enum frame_type error(struct host *h, const char *text) {
    h->len = 0;
    put(h, text, strlen(text));
    return FRAME_ERROR;
}

// ---- requests ----

static enum frame_type make(struct host *h) {
    char err[1024];
    const float *low, *high;
    if (!h->env) {
        h->env = env_plugin_create(h->path, err, sizeof(err));
    }
    if (!h->env) {
        return error(h, err);
    }
    const struct task *t = h->env->task;
    env_plugin_bounds(h->env, &low, &high);
    put_u32(h, FRAME_VERSION);
    put_u32(h, (uint32_t)t->obs_dim);
    put_u32(h, (uint32_t)t->act_dim);
    put_u32(h, (uint32_t)t->horizon);
    put_f64(h, 0); // frames per second
    for (int i = 0; i < t->act_dim; i++) {
        put_f64(h, (double)low[i]);
    }
    for (int i = 0; i < t->act_dim; i++) {
        put_f64(h, (double)high[i]);
    }
    put_u32(h, (uint32_t)strlen(t->name));
    put(h, t->name, strlen(t->name));
    put_u32(h, (uint32_t)t->ranges);
    for (int i = 0; i < t->ranges; i++) {
        put_u32(h, (uint32_t)t->range[i].index);
        put_u32(h, 0);
        put_f64(h, (double)t->range[i].low);
        put_f64(h, (double)t->range[i].high);
    }
    return FRAME_MADE;
}

static enum frame_type observation(struct host *h, uint32_t flags, double reward) {
    double obs[TASK_OBS_DIM_MAX];
    env_obs_f64(h->env, obs);
    put_u32(h, flags);
    put_u32(h, 0);
    put_f64(h, reward);
    put(h, obs, (size_t)h->env->task->obs_dim * sizeof(*obs));
    return FRAME_OBSERVATION;
}

static enum frame_type step(struct host *h, const uint8_t *payload) {
    double wide[TASK_ACT_DIM_MAX];
    float act[TASK_ACT_DIM_MAX];
    int n = h->env->task->act_dim;
    memcpy(wide, payload, (size_t)n * sizeof(*wide));
    for (int i = 0; i < n; i++) {
        act[i] = (float)wide[i];
    }
    struct env_step step = env_plugin_step(h->env, act);
    if (step.bad) {
        return error(h, env_plugin_fault(h->env));
    }
    return observation(h, step.terminated ? FRAME_TERMINATED : 0, step.reward);
}

static enum frame_type answer(struct host *h, uint32_t type, const uint8_t *payload, size_t len) {
    uint64_t seed;
    h->len = 0;
    if (type == FRAME_MAKE) {
        return make(h);
    }
    if (h->env && type == FRAME_RESET && len == sizeof(seed)) {
        memcpy(&seed, payload, sizeof(seed));
        env_plugin_reset(h->env, seed);
        return observation(h, 0, 0);
    }
    if (h->env && type == FRAME_STEP && len == (size_t)h->env->task->act_dim * sizeof(double)) {
        return step(h, payload);
    }
    return error(h, "the request is not one that a plug-in answers");
}

int env_host(const char *path) {
    static struct host h;
    h.path = path;
    // Faults are reported by ERROR frames. What the plug-in prints reaches the log line by line.
    log_init("plug-in", LOG_ERROR, -1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    uint32_t header[2];
    while (read_all(h.request, FRAME_HEADER)) {
        memcpy(header, h.request, sizeof(header));
        if (header[0] == FRAME_CLOSE || header[1] > FRAME_REQUEST_MAX ||
            !read_all(h.request, header[1]) ||
            !send_reply(&h, answer(&h, header[0], h.request, header[1]))) {
            break;
        }
    }
    env_destroy(&h.env);
    return EXIT_CODE_OK;
}
