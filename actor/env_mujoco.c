// SPDX-License-Identifier: MIT
// Environments in MuJoCo: the file that steps it (env_render.c draws it).
//
// A model is compiled from the MJCF text inside the binary; what is observed and
// paid comes from the task's row (env_task.h). This file is the mechanics, and
// the mechanics decide whether a trajectory is the reference's to the last bit:
//
//   reset: mj_resetData (which also clears the solver's warm start), start
//          state, one mj_forward (which fills the warm start again).
//   step:  ctrl, frame_skip times mj_step, one mj_rnePostConstraint. No
//          mj_forward behind it: it would change the warm start, and derived
//          quantities (positions of bodies, contacts) are meant to lag.
//
// Two things can go wrong inside the simulator. When a state turns non-finite or
// huge it counts a warning and resets itself to the pose at rest, which must
// never pass for a transition: such a step is `bad`, and so is every later one
// until env_reset. And its errors would end the process: they are caught by a
// long jump to the caller here, and make the step bad as well.
#include "actor/env.h"

#include <math.h>
#include <mujoco/mujoco.h>
#include <mujoco/mjxmacro.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env_inspect.h"
#include "actor/env_simulator.h"
#include "actor/env_task.h"
#include "common/check.h"
#include "common/embed.h"
#include "common/log.h"

EMBED_TABLE(env_models);

struct env {
    const struct task *task;
    const struct env_task *row;
    mjModel *model;
    mjData *data;
    struct env_view view; // into data
    int steps;            // since the reset
    bool bad;             // since the reset
    double parts[ENV_PARTS_MAX];
};

// ---- MuJoCo's errors and warnings ----

// Where an error jumps to, and its text; set while MuJoCo runs for this thread.
static _Thread_local jmp_buf *error_target;
static _Thread_local char error_text[256];

static void on_error(const char *text) {
    CHECK(error_target != NULL);
    snprintf(error_text, sizeof error_text, "%s", text);
    longjmp(*error_target, 1);
}

// The warnings that matter are counted in mjData and read from there.
static void on_warning(const char *text) {
    log_debug("MuJoCo: %s", text);
}

static void install_handlers(void) {
    mju_user_error = on_error;
    mju_user_warning = on_warning;
}

bool simulator_guarded(void (*fn)(void *arg), void *arg) {
    jmp_buf target;
    if (setjmp(target) != 0) {
        error_target = NULL;
        return false;
    }
    error_target = &target;
    fn(arg);
    error_target = NULL;
    return true;
}

const char *simulator_error(void) {
    return error_text;
}

// ---- the start of an episode ----

static void simulator_forward(void *arg) {
    struct env *env = arg;
    mj_forward(env->model, env->data);
}

static void complain(struct env *env) {
    log_warn("%s: MuJoCo gave up: %s; the episode is dropped", env->task->name, error_text);
    env->bad = true;
}

static void begin_episode(struct env *env) {
    env->steps = 0;
    env->bad = false;
    memset(env->parts, 0, sizeof env->parts);
    if (!simulator_guarded(simulator_forward, env)) {
        complain(env);
    }
}

// ---- create and destroy ----

struct load {
    const struct embed_file *file;
    mjModel *model;
    mjData *data;
    char err[512];
};

static void load_model(void *arg) {
    struct load *load = arg;
    const char *name = load->file->name;
    // The way into the compiler that needs no file: 2 MB, too much for a stack.
    mjVFS *vfs = xmalloc(sizeof *vfs);
    mj_defaultVFS(vfs);
#if mjVERSION_HEADER >= 300
    int status = mj_addBufferVFS(vfs, name, load->file->data, (int)load->file->len);
#else
    int status = mj_makeEmptyFileVFS(vfs, name, (int)load->file->len);
    if (status == 0) {
        memcpy(vfs->filedata[mj_findFileVFS(vfs, name)], load->file->data, load->file->len);
    }
#endif
    CHECK(status == 0);
    load->model = mj_loadXML(name, vfs, load->err, sizeof load->err);
    mj_deleteVFS(vfs);
    free(vfs);
}

static void make_data(void *arg) {
    struct load *load = arg;
    load->data = mj_makeData(load->model);
}

static const struct embed_file *find_model_file(const char *name) {
    for (int i = 0; i < env_models_count; i++) {
        if (strcmp(env_models[i].name, name) == 0) {
            return &env_models[i];
        }
    }
    return NULL;
}

const char *env_model_text(const struct task *task) {
    const struct env_task *row = env_task_find(task->name);
    return row == NULL ? NULL : (const char *)find_model_file(row->model)->data;
}

// The model, the row and the task must be about the same thing.
static void check_agreement(const struct env *env) {
    double obs[TASK_OBS_DIM_MAX];
    CHECK(env->model->nu == env->task->act_dim);
    for (int i = 0; i < env->model->nu; i++) {
        CHECK((float)env->model->actuator_ctrlrange[2 * i] == env->task->act_low);
        CHECK((float)env->model->actuator_ctrlrange[2 * i + 1] == env->task->act_high);
    }
    CHECK(env->task->obs_dim <= TASK_OBS_DIM_MAX);
    CHECK(env->row->observe(obs, &env->view) == env->task->obs_dim);
    for (const struct env_named *named = env->row->named; named->kind != NULL; named++) {
        CHECK(strcmp(env_model_name(env, named->kind, named->index), named->name) == 0);
    }
}

struct env *env_create(const struct task *task, char *err, size_t err_len) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_handlers);

    const struct env_task *row = env_task_find(task->name);
    if (row == NULL) {
        snprintf(err, err_len, "%s: the task has no environment in this program", task->name);
        return NULL;
    }
    struct load load = {.file = find_model_file(row->model)};
    CHECK(load.file != NULL);
    if (!simulator_guarded(load_model, &load)) {
        snprintf(err, err_len, "%s: MuJoCo failed on the model: %s", row->model, error_text);
        return NULL;
    }
    if (load.model == NULL) {
        snprintf(err, err_len, "%s: the model does not compile: %s", row->model, load.err);
        return NULL;
    }
    if (!simulator_guarded(make_data, &load) || load.data == NULL) {
        snprintf(err, err_len, "%s: MuJoCo has no memory for the simulation", row->model);
        mj_deleteModel(load.model);
        return NULL;
    }

    struct env *env = xmalloc(sizeof *env);
    *env = (struct env){
        .task = task,
        .row = row,
        .model = load.model,
        .data = load.data,
        .view =
            {
                .nq = load.model->nq,
                .nv = load.model->nv,
                .nu = load.model->nu,
                .nbody = load.model->nbody,
                .dt = load.model->opt.timestep * row->frame_skip,
                .qpos = load.data->qpos,
                .qvel = load.data->qvel,
                .body_mass = load.model->body_mass,
                .xpos = load.data->xpos,
                .xipos = load.data->xipos,
                .site_xpos = load.data->site_xpos,
                .cinert = load.data->cinert,
                .cvel = load.data->cvel,
                .qfrc_actuator = load.data->qfrc_actuator,
                .qfrc_constraint = load.data->qfrc_constraint,
                .cfrc_ext = load.data->cfrc_ext,
            },
    };
    check_agreement(env);
    begin_episode(env); // at rest
    return env;
}

void env_destroy(struct env **env) {
    if (*env == NULL) {
        return;
    }
    mj_deleteData((*env)->data);
    mj_deleteModel((*env)->model);
    free(*env);
    *env = NULL;
}

// ---- reset ----

void env_reset(struct env *env, struct rng *rng) {
    mj_resetData(env->model, env->data);
    env->row->start(env->data->qpos, env->data->qvel, env->row, &env->view, rng);
    begin_episode(env);
}

void env_set_state(struct env *env, const double *qpos, const double *qvel) {
    mj_resetData(env->model, env->data);
    memmove(env->data->qpos, qpos, (size_t)env->model->nq * sizeof *qpos);
    memmove(env->data->qvel, qvel, (size_t)env->model->nv * sizeof *qvel);
    begin_episode(env);
}

// ---- step ----

static void simulator_step(void *arg) {
    struct env *env = arg;
    for (int i = 0; i < env->row->frame_skip; i++) {
        mj_step(env->model, env->data);
    }
    mj_rnePostConstraint(env->model, env->data);
}

// MuJoCo tests a state when the next step begins; the last one of an
// environment step is tested here, by the same measure.
static bool state_ok(const double *x, int n) {
    for (int i = 0; i < n; i++) {
        if (!(fabs(x[i]) <= mjMAXVAL)) {
            return false;
        }
    }
    return true;
}

static bool simulator_warned(const struct env *env) {
    for (int i = 0; i < mjNWARNING; i++) {
        if (env->data->warning[i].number > 0) {
            return true;
        }
    }
    return !state_ok(env->data->qpos, env->model->nq) || !state_ok(env->data->qvel, env->model->nv);
}

struct env_step env_step_raw(struct env *env, const double *ctrl) {
    double marks[ENV_MARKS_MAX] = {0};
    if (env->row->mark != NULL) {
        env->row->mark(marks, &env->view);
    }
    memcpy(env->data->ctrl, ctrl, (size_t)env->model->nu * sizeof *ctrl);
    if (!simulator_guarded(simulator_step, env)) {
        complain(env);
    }
    env->bad = env->bad || simulator_warned(env);
    env->steps++;

    struct env_step step = {
        .reward = env->row->reward(env->parts, marks, &env->view, ctrl),
        .terminated = env->row->terminated != NULL && env->row->terminated(&env->view),
        .bad = env->bad,
    };
    step.truncated = !step.terminated && env->steps >= env->task->horizon;
    return step;
}

struct env_step env_step(struct env *env, const float *action) {
    double ctrl[TASK_ACT_DIM_MAX];
    // In double, where products of floats are exact: what the simulator gets is
    // the bound itself at +-1, and a * bound in between when bounds are symmetric.
    double middle = 0.5 * ((double)env->task->act_high + (double)env->task->act_low);
    double half = 0.5 * ((double)env->task->act_high - (double)env->task->act_low);
    for (int i = 0; i < env->task->act_dim; i++) {
        // A NaN passes both comparisons, for the simulator to refuse.
        double a = action[i] < -1.0f ? -1.0 : action[i] > 1.0f ? 1.0 : (double)action[i];
        ctrl[i] = middle + half * a;
    }
    return env_step_raw(env, ctrl);
}

// ---- looking at it ----

void env_obs_f64(const struct env *env, double *obs) {
    env->row->observe(obs, &env->view);
}

void env_obs(const struct env *env, float *obs) {
    double wide[TASK_OBS_DIM_MAX];
    env_obs_f64(env, wide);
    for (int i = 0; i < env->task->obs_dim; i++) {
        obs[i] = (float)wide[i];
    }
}

struct env_dims env_dims(const struct env *env) {
    return (struct env_dims){.nq = env->model->nq, .nv = env->model->nv, .nu = env->model->nu};
}

void env_get_state(const struct env *env, double *qpos, double *qvel) {
    memcpy(qpos, env->data->qpos, (size_t)env->model->nq * sizeof *qpos);
    memcpy(qvel, env->data->qvel, (size_t)env->model->nv * sizeof *qvel);
}

int env_reward_parts(const double **values, const char *const **names, const struct env *env) {
    int n = 0;
    while (env->row->part_names[n] != NULL) {
        n++;
    }
    *values = env->parts;
    *names = env->row->part_names;
    return n;
}

int env_frame_skip(const struct env *env) {
    return env->row->frame_skip;
}

double env_dt(const struct env *env) {
    return env->view.dt;
}

const mjModel *env_simulator_model(const struct env *env) {
    return env->model;
}

const mjData *env_simulator_data(const struct env *env) {
    return env->data;
}

// ---- the compiled model by name ----
//
// MuJoCo describes its structs by X macros; each use below makes one
// "if it is this field, copy it and return". The macros have other names in
// versions 3.x.

#define COPY_FIELD(field_name, array, count)                                                       \
    if (strcmp(field, field_name) == 0) {                                                          \
        for (int i = 0; i < (int)(count) && i < max; i++) {                                        \
            out[i] = (double)(array)[i];                                                           \
        }                                                                                          \
        return (int)(count);                                                                       \
    }

static int option_values(double *out, int max, const mjOption *opt, const char *field) {
#ifdef MJOPTION_FIELDS
#define X(type, name, n) COPY_FIELD(#name, &opt->name, n)
#define XVEC(type, name, n) COPY_FIELD(#name, opt->name, n)
    MJOPTION_FIELDS
#undef XVEC
#undef X
#else
#define X(type, name) COPY_FIELD(#name, &opt->name, 1)
    MJOPTION_SCALARS
#undef X
#define X(name, n) COPY_FIELD(#name, opt->name, n)
    MJOPTION_VECTORS
#undef X
#endif
    return -1;
}

static int statistic_values(double *out, int max, const mjStatistic *stat, const char *field) {
    COPY_FIELD("meaninertia", &stat->meaninertia, 1)
    COPY_FIELD("meanmass", &stat->meanmass, 1)
    COPY_FIELD("meansize", &stat->meansize, 1)
    COPY_FIELD("extent", &stat->extent, 1)
    COPY_FIELD("center", stat->center, 3)
    return -1;
}

int env_model_values(double *out, int max, const struct env *env, const char *field) {
    const mjModel *m = env->model;
    if (strncmp(field, "opt.", 4) == 0) {
        return option_values(out, max, &m->opt, field + 4);
    }
    if (strncmp(field, "stat.", 5) == 0) {
        return statistic_values(out, max, &m->stat, field + 5);
    }
#define X(name) COPY_FIELD(#name, &m->name, 1)
#ifdef MJMODEL_SIZES
    MJMODEL_SIZES
#else
    MJMODEL_INTS
#endif
#undef X
    MJMODEL_POINTERS_PREAMBLE(m)
#define X(type, name, rows, columns) COPY_FIELD(#name, m->name, m->rows *(columns))
    MJMODEL_POINTERS
#undef X
    return -1;
}

const char *env_model_name(const struct env *env, const char *kind, int index) {
    int type = mju_str2Type(kind);
    CHECK(type > 0);
    const char *name = mj_id2name(env->model, type, index);
    return name == NULL ? "" : name;
}
