// SPDX-License-Identifier: MIT
// The environment's side of the protocol: creates, resets and steps it in the child process.
//
// Every reply is validated: type, size and numbers. A number that is not finite makes the step
// bad, as in a plug-in; so does an ERROR in reply to STEP. Any other failed call (a time-out, an
// invalid reply, the end of the process, an error of reset) also ends the process; the next reset
// starts a new one.
#include "actor/env/process/env_process.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actor/env/env_kind.h"
#include "actor/env/process/env_host.h"
#include "actor/env/process/pipe_child.h"
#include "common/base/check.h"
#include "common/base/embed.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"

EMBED_TABLE(env_process_scripts);

enum { MADE_HEAD = 24, OBSERVATION_HEAD = 16, RANGE_BYTES = 24, SEED_BITS = 31 };
#define STARTS_MAX 3 // of a process that is killed before it has answered

#define HOST_PROGRAM "spur-actor" // runs plug-ins

// Executes the runner from descriptor 5, to keep the command line short.
#define BOOT "import os;exec(compile(os.fdopen(5,encoding='utf-8').read(),'spur_env.py','exec'))"

struct process {
    struct env env;
    struct env_spec spec;
    char spec_env[CONFIG_STRING_MAX], spec_dir[CONFIG_STRING_MAX], spec_python[CONFIG_STRING_MAX];
    const struct env_wait *wait;
    struct pipe_child *child; // NULL: the next reset starts one
    bool plugin;              // the child is HOST_PROGRAM
    bool pictures;            // MAKE announced RENDER
    struct task task;
    char name[ENV_NAME_MAX];
    double low[TASK_ACT_DIM_MAX], high[TASK_ACT_DIM_MAX];
    double fps;
    int steps;            // since the reset
    bool bad;             // since the reset
    char last_error[256]; // last line of the last ERROR, whose text is not logged again
    int failures;         // see ENV_PROCESS_FAILURES_MAX
    uint64_t good_steps;  // since the last failure
    double obs[TASK_OBS_DIM_MAX];
};

static uint32_t get_u32(const uint8_t *at) {
    uint32_t x;
    memcpy(&x, at, sizeof(x));
    return x;
}

static double get_f64(const uint8_t *at) {
    double x;
    memcpy(&x, at, sizeof(x));
    return x;
}

// ---- calls ----

static const char *last_line(const char *text) {
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '\n') {
        len--;
    }
    while (len > 0 && text[len - 1] != '\n') {
        len--;
    }
    return text + len;
}

// Logs the lines of an ERROR if there are several, unless it repeats the last one; copies its last
// line to err. Returns -EREMOTEIO.
static int report_error(struct process *p, const struct pipe_child_reply *reply, const char *what,
                        char *err, size_t err_len) {
    const char *text = (const char *)reply->data, *last = last_line(text);
    int len = (int)strcspn(last, "\n");
    size_t kept = strlen(p->last_error);
    bool repeated = kept > 0 && strncmp(p->last_error, last, kept) == 0;
    for (const char *line = text; line < last && !repeated;) {
        size_t line_len = strcspn(line, "\n");
        pipe_child_log(p->child, line, line_len);
        line += line_len + 1;
    }
    if (last != text && !repeated) {
        pipe_child_log(p->child, last, (size_t)len);
    }
    snprintf(p->last_error, sizeof(p->last_error), "%.*s", len, last);
    if (p->plugin) { // a sentence with the file's name
        return error_set(err, err_len, -EREMOTEIO, "%.*s", len, last);
    }
    return error_set(err, err_len, -EREMOTEIO, "%s failed: %.*s", what, len, last);
}

static int call(struct process *p, struct pipe_child_reply *reply, enum frame_type type,
                enum frame_type expected, const void *payload, size_t len, const char *what,
                char *err, size_t err_len) {
    int rc = pipe_child_call(p->child, reply, type, payload, len, p->spec.timeout_s, p->wait, err,
                             err_len);
    if (rc < 0) {
        return rc;
    }
    if (reply->type == FRAME_ERROR) {
        return report_error(p, reply, what, err, err_len);
    }
    if (reply->type != (uint32_t)expected) {
        return error_set(err, err_len, -1, "%s was answered by a frame of type %u, not %u", what,
                         reply->type, (unsigned)expected);
    }
    return 0;
}

// ---- the reply to MAKE ----

static int check_bounds(const struct process *p, char *err, size_t err_len) {
    for (int i = 0; i < p->task.act_dim; i++) {
        if (!isfinite(p->low[i]) || !isfinite(p->high[i]) || !(p->low[i] < p->high[i]) ||
            fabs(p->low[i]) > FLT_MAX || fabs(p->high[i]) > FLT_MAX) {
            return error_set(
                err, err_len, -1,
                "the bounds of action %d are %g to %g; the policy's -1 and 1 are scaled "
                "to them, so they must be finite and the lower one lower",
                i, p->low[i], p->high[i]);
        }
    }
    return 0;
}

// Reads the termination rule at r->data[*at], and advances *at.
static int read_ranges(struct process *p, const struct pipe_child_reply *r, size_t *at, char *err,
                       size_t err_len) {
    uint32_t n = r->len >= *at + 4 ? get_u32(r->data + *at) : UINT32_MAX;
    if (n > TASK_RANGES_MAX || r->len - *at - 4 < (size_t)n * RANGE_BYTES) {
        return error_set(err, err_len, -1, "MADE has %zu bytes, without its termination rule",
                         r->len);
    }
    const uint8_t *range = r->data + *at + 4;
    p->task.ranges = (int)n;
    for (uint32_t i = 0; i < n; i++, range += RANGE_BYTES) {
        uint32_t index = get_u32(range);
        double low = get_f64(range + 8), high = get_f64(range + 16);
        if (index >= (uint32_t)p->task.obs_dim || !(low < high)) {
            return error_set(err, err_len, -1, "range %u of MADE is of observation %u, %g to %g", i,
                             index, low, high);
        }
        p->task.range[i] = (struct task_range){(int)index, (float)low, (float)high};
    }
    *at += 4 + (size_t)n * RANGE_BYTES;
    return 0;
}

// Reads MADE to p. note may be NULL.
static int read_made(struct process *p, const struct pipe_child_reply *r, char *note,
                     size_t note_len, char *err, size_t err_len) {
    if (r->len < 4 || get_u32(r->data) != FRAME_VERSION) {
        return error_set(err, err_len, -1,
                         "the process speaks version %u of the protocol, this program version %d",
                         r->len < 4 ? 0 : get_u32(r->data), FRAME_VERSION);
    }
    if (r->len < MADE_HEAD) {
        return error_set(err, err_len, -1, "MADE has %zu bytes, fewer than its head", r->len);
    }
    uint32_t obs_dim = get_u32(r->data + 4), act_dim = get_u32(r->data + 8);
    uint32_t horizon = get_u32(r->data + 12);
    if (obs_dim < 1 || obs_dim > TASK_OBS_DIM_MAX || act_dim < 1 || act_dim > TASK_ACT_DIM_MAX ||
        horizon > 1000000000) {
        return error_set(
            err, err_len, -1,
            "it has %u observations, %u actions and a time limit of %u steps; 1 to %d, 1 "
            "to %d and at most 1000000000 are possible",
            obs_dim, act_dim, horizon, TASK_OBS_DIM_MAX, TASK_ACT_DIM_MAX);
    }
    size_t at = MADE_HEAD + 16 * (size_t)act_dim;
    size_t name_len = r->len >= at + 4 ? get_u32(r->data + at) : 0;
    if (r->len < at + 4 || name_len > r->len - at - 4) {
        return error_set(err, err_len, -1, "MADE has %zu bytes, too few for %u actions and a name",
                         r->len, act_dim);
    }
    snprintf(p->name, sizeof(p->name), "%.*s", (int)(name_len < 256 ? name_len : 256),
             (const char *)r->data + at + 4);
    if (name_len >= ENV_NAME_MAX || strlen(p->name) != name_len || !env_name_ok(p->name)) {
        return error_set(err, err_len, -1, "its name is \"%s\"; %s", p->name, ENV_NAME_RULE);
    }
    memcpy(p->low, r->data + MADE_HEAD, 8 * (size_t)act_dim);
    memcpy(p->high, r->data + MADE_HEAD + 8 * (size_t)act_dim, 8 * (size_t)act_dim);
    p->fps = get_f64(r->data + 16);
    p->task.obs_dim = (int)obs_dim;
    p->task.act_dim = (int)act_dim;
    p->task.horizon = (int)horizon;
    at += 4 + name_len;
    if (p->plugin && read_ranges(p, r, &at, err, err_len) < 0) {
        return -1;
    }
    if (note) {
        snprintf(note, note_len, "%s", (const char *)r->data + at);
    }
    return check_bounds(p, err, err_len);
}

// ---- the child process ----

static bool is_python(const struct process *p) {
    return !p->plugin && strncmp(p->spec.env, ENV_PROCESS_PYTHON, strlen(ENV_PROCESS_PYTHON)) == 0;
}

static bool find_program(char out[PATH_MAX], const char *dir, const char *name) {
    return file_join(out, PATH_MAX, dir, name) == 0 && access(out, X_OK) == 0;
}

int env_process_python(char out[PATH_MAX], const char *python, char *err, size_t err_len) {
    const char *venv = getenv("VIRTUAL_ENV"), *path = getenv("PATH");
    if (python[0] != '\0') {
        snprintf(out, PATH_MAX, "%s", python);
        if (access(out, X_OK) != 0) {
            return error_set(err, err_len, -1,
                             "task.env_python: %s is not a program: name the interpreter's file",
                             python);
        }
        return 0;
    }
    if (venv && venv[0] != '\0' && find_program(out, venv, "bin/python3")) {
        return 0;
    }
    while (path && path[0] != '\0') {
        char dir[PATH_MAX];
        size_t len = strcspn(path, ":");
        if (len > 0 && len < sizeof(dir)) {
            memcpy(dir, path, len);
            dir[len] = '\0';
            if (find_program(out, dir, "python3")) {
                return 0;
            }
        }
        path += len + (path[len] == ':');
    }
    return error_set(err, err_len, -1,
                     "there is no python3 in $VIRTUAL_ENV or PATH: install it, or set "
                     "task.env_python to an interpreter's file");
}

// The program that loads plug-ins: beside this one, or in the directory bin next to its folder.
static int find_host(char out[PATH_MAX], char *err, size_t err_len) {
    static const char *const places[] = {HOST_PROGRAM, "../bin/" HOST_PROGRAM};
    char dir[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
    dir[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(dir, '/');
    for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
        *slash = '\0';
        if (find_program(out, dir, places[i])) {
            return 0;
        }
    }
    return error_set(err, err_len, -1,
                     "the program " HOST_PROGRAM ", which runs plug-ins, is not in %s: install it "
                     "there, or load the plug-in into this process with task.isolate: false",
                     slash ? dir : "/proc/self/exe");
}

// Whether a line is one simple command: no operators outside of quotes, and no assignment at the
// beginning.
static bool is_simple(const char *line) {
    char quote = '\0';
    for (const char *c = line; *c != '\0'; c++) {
        if (quote == '\0' && strchr(";&|<>()`\n", *c)) {
            return false;
        }
        quote = quote == *c ? '\0' : quote == '\0' && (*c == '\'' || *c == '"') ? *c : quote;
    }
    return line[strcspn(line, "= ")] != '=';
}

// The line for the shell. With `exec` the program replaces the shell, so that it is killed with
// this process even if it hangs. In a line of several commands the user may write exec.
static const char *shell_line(char line[CONFIG_STRING_MAX + 8], const char *command) {
    snprintf(line, CONFIG_STRING_MAX + 8, "%s%s", is_simple(command) ? "exec " : "", command);
    return line;
}

// Starts the process.
static int start_child(struct process *p, char *err, size_t err_len) {
    char program[PATH_MAX], line[CONFIG_STRING_MAX + 8];
    struct pipe_child_command command = {.name = p->name, .dir = p->spec.dir};
    const char *args[5] = {"/bin/sh", "-c", shell_line(line, p->spec.env), NULL};
    const char *name = p->spec.env;
    if (p->plugin) {
        if (find_host(program, err, err_len) < 0) {
            return -1;
        }
        args[0] = program;
        args[1] = ENV_HOST_OPTION;
        args[2] = p->spec.env;
        name = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    } else if (is_python(p)) {
        if (env_process_python(program, p->spec.python, err, err_len) < 0) {
            return -1;
        }
        name = p->spec.env + strlen(ENV_PROCESS_PYTHON);
        args[0] = program;
        args[2] = BOOT;
        args[3] = name;
        command.script = (const char *)env_process_scripts[0].data;
    }
    if (p->name[0] == '\0') { // until the reply contains a name
        command.name = name;
    }
    command.args = args;
    p->child = pipe_child_start(&command, err, err_len);
    return p->child ? 0 : -1;
}

static int start_once(struct process *p, char *note, size_t note_len, char *err, size_t err_len) {
    struct pipe_child_reply reply;
    uint32_t make[2] = {FRAME_VERSION, (p->pictures ? FRAME_MAKE_PICTURES : 0) |
                                           (p->plugin ? FRAME_MAKE_RANGES : 0)};
    if (start_child(p, err, err_len) < 0) {
        return -1;
    }
    int rc = call(p, &reply, FRAME_MAKE, FRAME_MADE, make, sizeof(make), "make", err, err_len);
    if (rc == 0) {
        rc = read_made(p, &reply, note, note_len, err, err_len);
    }
    if (rc == 0) {
        pipe_child_rename(p->child, p->name);
    } else {
        pipe_child_stop(&p->child, 0);
    }
    return rc;
}

// Starts the process and sends MAKE. Sets p->task and the other fields from the reply. A process
// that is killed before it replies, as by the system for want of memory, does not make the
// environment a broken one: it is started again.
static int start(struct process *p, char *note, size_t note_len, char *err, size_t err_len) {
    int rc = start_once(p, note, note_len, err, err_len);
    for (int i = 1; i < STARTS_MAX && rc == -EINTR; i++) {
        log_warn("%s: %s; it is started again", p->name[0] ? p->name : p->spec.env, err);
        rc = start_once(p, note, note_len, err, err_len);
    }
    return rc;
}

// Restarts the process after a failure. The environment must be the same as before.
static int start_again(struct process *p, char *err, size_t err_len) {
    struct task task = p->task;
    double low[TASK_ACT_DIM_MAX], high[TASK_ACT_DIM_MAX];
    char name[ENV_NAME_MAX];
    memcpy(low, p->low, sizeof(low));
    memcpy(high, p->high, sizeof(high));
    memcpy(name, p->name, sizeof(name));
    int rc = start(p, NULL, 0, err, err_len);
    size_t bounds = (size_t)task.act_dim * sizeof(double);
    if (rc == 0 && (p->task.obs_dim != task.obs_dim || p->task.act_dim != task.act_dim ||
                    memcmp(low, p->low, bounds) != 0 || memcmp(high, p->high, bounds) != 0)) {
        rc = error_set(err, err_len, -1, "its dimensions or bounds differ from those before");
        pipe_child_stop(&p->child, 0);
    }
    memcpy(p->low, low, sizeof(low));
    memcpy(p->high, high, sizeof(high));
    memcpy(p->name, name, sizeof(name));
    p->task = task;
    return rc;
}

// After a call that returned rc < 0.
static void fail(struct process *p, int rc, const char *why) {
    int pid = p->child ? pipe_child_pid(p->child) : 0;
    pipe_child_stop(&p->child, 0);
    p->bad = true;
    if (rc == -ECANCELED) {
        return; // by us
    }
    p->failures++;
    p->good_steps = 0;
    if (p->failures >= ENV_PROCESS_FAILURES_MAX) {
        log_error("%s[%d]: %s; failure %d without %d good steps between: the process is not "
                  "started again",
                  p->name, pid, why, p->failures, ENV_PROCESS_GOOD_STEPS);
    } else {
        log_warn("%s[%d]: %s; the episode is dropped and the process is started again (failure %d "
                 "of %d)",
                 p->name, pid, why, p->failures, ENV_PROCESS_FAILURES_MAX);
    }
}

// After an ERROR in reply to STEP.
static void drop_episode(struct process *p, const char *why) {
    p->bad = true;
    log_warn("%s[%d]: %s; the episode is dropped", p->name, pipe_child_pid(p->child), why);
}

// ---- reset and step ----

// Reads OBSERVATION to p->obs; a number that is not finite makes the step bad. 0, or -1.
static int read_observation(struct process *p, const struct pipe_child_reply *r, const char *what,
                            double *reward, uint32_t *flags, char *err, size_t err_len) {
    size_t wanted = OBSERVATION_HEAD + 8 * (size_t)p->task.obs_dim;
    if (r->len != wanted) {
        return error_set(err, err_len, -1,
                         "%s was answered by %zu bytes, not the %zu of %d observations", what,
                         r->len, wanted, p->task.obs_dim);
    }
    *flags = get_u32(r->data);
    *reward = get_f64(r->data + 8);
    memcpy(p->obs, r->data + OBSERVATION_HEAD, 8 * (size_t)p->task.obs_dim);
    if (!isfinite(*reward)) {
        log_warn("%s[%d]: %s returned a reward that is not finite: %g", p->name,
                 pipe_child_pid(p->child), what, *reward);
        p->bad = true;
    }
    for (int i = 0; i < p->task.obs_dim; i++) {
        if (!(fabs(p->obs[i]) <= FLT_MAX)) {
            if (!p->bad) {
                log_warn(
                    "%s[%d]: %s returned observation %d not finite, or beyond single precision: "
                    "%g",
                    p->name, pipe_child_pid(p->child), what, i, p->obs[i]);
            }
            p->bad = true;
            p->obs[i] = 0.0;
        }
    }
    return 0;
}

// Calls RESET or STEP and takes the answer.
static int observe(struct process *p, enum frame_type type, const void *payload, size_t len,
                   double *reward, uint32_t *flags, char *err, size_t err_len) {
    const char *what = type == FRAME_RESET ? "reset" : "step";
    struct pipe_child_reply reply;
    int rc = call(p, &reply, type, FRAME_OBSERVATION, payload, len, what, err, err_len);
    return rc < 0 ? rc : read_observation(p, &reply, what, reward, flags, err, err_len);
}

static void process_reset(struct env *env, struct rng *rng) {
    struct process *p = (struct process *)env;
    char err[512];
    double reward;
    uint32_t flags;
    // Drawn before anything can fail, so that later episodes are unaffected. Some libraries accept
    // no larger seeds; plug-ins do, and get the one that they get in the actor's process.
    uint64_t seed = rng_u64(rng) >> (p->plugin ? 0 : 64 - SEED_BITS);
    p->steps = 0;
    p->bad = p->failures >= ENV_PROCESS_FAILURES_MAX;
    memset(p->obs, 0, sizeof(p->obs));
    if (p->bad) {
        return;
    }
    int rc = p->child ? 0 : start_again(p, err, sizeof(err));
    if (rc == 0) {
        rc = observe(p, FRAME_RESET, &seed, sizeof(seed), &reward, &flags, err, sizeof(err));
    }
    if (rc < 0) {
        fail(p, rc, err);
    }
}

// The action in the environment's units. False: one of its numbers is none.
static bool scale(double *act, const struct process *p, const float *action) {
    for (int i = 0; i < p->task.act_dim; i++) {
        double low = p->low[i], high = p->high[i];
        double x = 0.5 * (high + low) + 0.5 * (high - low) * (double)action[i];
        act[i] = x < low ? low : x > high ? high : x; // rounding
        if (isnan(x)) {
            return false;
        }
    }
    return true;
}

static struct env_step process_step(struct env *env, const float *action) {
    struct process *p = (struct process *)env;
    char err[512];
    double act[TASK_ACT_DIM_MAX], reward = 0;
    uint32_t flags = 0;
    p->bad = p->bad || !scale(act, p, action);
    if (!p->bad) {
        int rc = observe(p, FRAME_STEP, act, 8 * (size_t)p->task.act_dim, &reward, &flags, err,
                         sizeof(err));
        if (rc == -EREMOTEIO) {
            drop_episode(p, err);
        } else if (rc < 0) {
            fail(p, rc, err);
        }
    }
    if (p->bad) {
        return (struct env_step){.bad = true, .broken = p->failures >= ENV_PROCESS_FAILURES_MAX};
    }
    p->steps++;
    if (++p->good_steps >= ENV_PROCESS_GOOD_STEPS) {
        p->failures = 0;
    }
    int horizon = env->task->horizon;
    bool terminated = flags & FRAME_TERMINATED;
    return (struct env_step){
        .reward = reward,
        .terminated = terminated,
        .truncated =
            !terminated && ((flags & FRAME_TRUNCATED) || (horizon > 0 && p->steps >= horizon)),
    };
}

static void process_observe(const struct env *env, double *obs) {
    const struct process *p = (const struct process *)env;
    memcpy(obs, p->obs, (size_t)p->task.obs_dim * sizeof(*obs));
}

// ---- pictures ----

static int process_draw(struct env_picture *picture, struct env *env, char *err, size_t err_len) {
    struct process *p = (struct process *)env;
    struct pipe_child_reply reply;
    if (!p->child) {
        return error_set(err, err_len, -1, "%s: its process has ended; see the log lines above",
                         p->name);
    }
    if (call(p, &reply, FRAME_RENDER, FRAME_PICTURE, NULL, 0, "render", err, err_len) < 0) {
        return -1;
    }
    size_t width = reply.len >= 8 ? get_u32(reply.data) : 0;
    size_t height = reply.len >= 8 ? get_u32(reply.data + 4) : 0;
    if (width < 2 || height < 2 || width > FRAME_SIDE_MAX || height > FRAME_SIDE_MAX ||
        reply.len != 8 + width * height * 3) {
        return error_set(err, err_len, -1,
                         "render returned a picture of %zux%zu in %zu bytes; sides are 2 to %d",
                         width, height, reply.len, FRAME_SIDE_MAX);
    }
    *picture = (struct env_picture){
        .width = (int)width, .height = (int)height, .fps = p->fps, .rgb = reply.data + 8};
    return 0;
}

// MAKE states whether RENDER will follow, so the process is replaced.
static int process_prepare_pictures(struct env *env, char *err, size_t err_len) {
    struct process *p = (struct process *)env;
    pipe_child_stop(&p->child, ENV_PROCESS_GRACE_MS);
    p->pictures = true;
    return start_again(p, err, err_len);
}

// ---- create and destroy ----

static void process_destroy(struct env *env) {
    struct process *p = (struct process *)env;
    pipe_child_stop(&p->child, ENV_PROCESS_GRACE_MS);
    free(p);
}

static const struct env_kind process_kind = {
    .destroy = process_destroy,
    .reset = process_reset,
    .step = process_step,
    .observe = process_observe,
    .prepare_pictures = process_prepare_pictures,
    .draw = process_draw,
};

// A plug-in draws no pictures.
static const struct env_kind plugin_kind = {
    .destroy = process_destroy,
    .reset = process_reset,
    .step = process_step,
    .observe = process_observe,
};

static void keep_spec(struct process *p, const struct env_spec *spec) {
    snprintf(p->spec_env, sizeof(p->spec_env), "%s", spec->env);
    snprintf(p->spec_dir, sizeof(p->spec_dir), "%s", spec->dir ? spec->dir : "");
    snprintf(p->spec_python, sizeof(p->spec_python), "%s", spec->python ? spec->python : "");
    p->spec = (struct env_spec){
        .env = p->spec_env,
        .dir = p->spec_dir,
        .python = p->spec_python,
        .timeout_s = spec->timeout_s > 0 ? spec->timeout_s : ENV_TIMEOUT_S,
    };
}

static void report_start(const struct process *p, int rc, const char *why, char *err,
                         size_t err_len) {
    if (p->plugin && rc == -EREMOTEIO) { // begins with the file's name
        error_set(err, err_len, -1, "%s", why);
        return;
    }
    const char *hint =
        p->plugin || is_python(p)
            ? ""
            : " (it is neither a FILE.yaml or FILE.so nor python:MODULE:FUNCTION, so it was "
              "started as a command)";
    error_set(err, err_len, -1, "the environment %s: %s%s", p->spec.env, why, hint);
}

static struct env *create(const struct env_spec *spec, bool plugin, const struct env_wait *wait,
                          char *note, size_t note_len, char *err, size_t err_len) {
    struct process *p = xcalloc(1, sizeof(*p));
    char why[1024];
    keep_spec(p, spec);
    p->plugin = plugin;
    p->wait = wait;
    p->env = (struct env){.kind = plugin ? &plugin_kind : &process_kind, .task = &p->task};
    int rc = start(p, note, note_len, why, sizeof(why));
    if (rc < 0) {
        report_start(p, rc, why, err, err_len);
        free(p);
        return NULL;
    }
    p->task.name = p->task.title = p->name;
    p->task.env = p->spec.env;
    p->task.act_low = -1.0f;
    p->task.act_high = 1.0f;
    return &p->env;
}

struct env *env_process_create(const struct env_spec *spec, const struct env_wait *wait, char *note,
                               size_t note_len, char *err, size_t err_len) {
    return create(spec, false, wait, note, note_len, err, err_len);
}

struct env *env_process_create_plugin(const struct env_spec *spec, const struct env_wait *wait,
                                      char *err, size_t err_len) {
    return create(spec, true, wait, NULL, 0, err, err_len);
}
