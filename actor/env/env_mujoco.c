// SPDX-License-Identifier: MIT
// Environments in MuJoCo: stepping (render/render.c draws).
//
// The model comes from MJCF text that is embedded in the program, or from the user's file; it is
// const and shared by the environments of the process (mujoco_model.h). Observation and reward are
// functions of the task's row (tasks/task_row.h). The order of calls determines whether
// trajectories equal the reference to the last bit:
//
//   reset: like mj_resetData (which also clears the solver's warm start), start state with unit
//          quaternions, one mj_forward (which sets the warm start).
//   step:  ctrl, frame_skip times mj_step, one mj_rnePostConstraint. No mj_forward: it would
//          change the warm start, and derived values (positions of bodies, contacts) lag behind
//          by design.
//
// Two failures are possible in the simulator. If a state becomes non-finite or huge, MuJoCo counts
// a warning and resets itself to the reference pose, which is not a valid transition: that step
// and all later ones until env_reset are `bad`. MuJoCo's errors would end the process: they are
// caught with a long jump, and the step is bad.
#include "actor/env/env_mujoco.h"

#include <math.h>
#include <mujoco/mjxmacro.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/env_kind.h"
#include "actor/env/mujoco_internal.h"
#include "actor/env/mujoco_library.h"
#include "actor/env/mujoco_model.h"
#include "common/base/check.h"
#include "common/base/embed.h"
#include "common/base/log.h"

EMBED_TABLE(env_models);

struct mujoco {
    struct env env;
    const struct env_task *row;
    const mjModel *model; // shared
    mjData *data;
    struct env_view view; // into data
    int steps;            // since the reset
    bool bad;             // since the reset
    double parts[ENV_PARTS_MAX];
    // Control of each actuator for an action in [-1, 1]: middle + half * action.
    double middle[TASK_ACT_DIM_MAX], half[TASK_ACT_DIM_MAX];
    unsigned char *initial; // see reset_data
};

static const struct env_kind mujoco_kind;

// For the functions of env.h and mujoco_internal.h that exist only for MuJoCo.
static struct mujoco *mujoco_of(const struct env *env) {
    CHECK(env->kind == &mujoco_kind);
    return (struct mujoco *)env;
}

// ---- the start of an episode ----
//
// mj_resetData clears 3 MB, mostly space for contacts and constraints, which every mj_forward
// rewrites as far as it is used. In short episodes this takes longer than the steps. Therefore the
// other arrays, some kilobytes, are saved once after a reset and copied back. Versions 3.x store
// contacts and constraints elsewhere and do not clear them.

#if mjVERSION_HEADER >= 300
static void reset_data(struct mujoco *s) {
    mujoco.mj_resetData(s->model, s->data);
}
#else
// Copies all other arrays of data to `initial`, or back. Returns their size in bytes.
static size_t copy_initial(const mjModel *m, mjData *data, unsigned char *initial, bool back) {
    size_t at = 0;
    MJDATA_POINTERS_PREAMBLE(m)
#define X(type, name, rows, columns)                                                               \
    if (strncmp(#name, "efc_", 4) != 0 && strcmp(#name, "contact") != 0) {                         \
        size_t bytes = sizeof(type) * (size_t)m->rows * (size_t)(columns);                         \
        if (initial != NULL && bytes > 0) {                                                        \
            memcpy(back ? (void *)data->name : initial + at,                                       \
                   back ? initial + at : (void *)data->name, bytes);                               \
        }                                                                                          \
        at += bytes;                                                                               \
    }
    MJDATA_POINTERS
#undef X
    return at;
}

static void reset_data(struct mujoco *s) {
    if (s->initial == NULL) {
        mujoco.mj_resetData(s->model, s->data);
        s->initial = xmalloc(copy_initial(s->model, s->data, NULL, false));
        copy_initial(s->model, s->data, s->initial, false);
        return;
    }
    copy_initial(s->model, s->data, s->initial, true);
    s->data->pstack = 0; // an error may leave it non-zero
    s->data->time = 0;
    memset(s->data->warning, 0, sizeof s->data->warning);
}
#endif

static void simulator_forward(void *arg) {
    struct mujoco *s = arg;
    mujoco.mj_forward(s->model, s->data);
}

static void fail_episode(struct mujoco *s) {
    log_warn("%s: MuJoCo failed: %s; the episode is dropped", s->env.task->name, mujoco_error());
    s->bad = true;
}

static void begin_episode(struct mujoco *s) {
    s->steps = 0;
    s->bad = false;
    memset(s->parts, 0, sizeof s->parts);
    if (!mujoco_guarded(simulator_forward, s)) {
        fail_episode(s);
    }
}

// ---- create and destroy ----

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

struct make_data {
    const mjModel *model;
    mjData *data;
};

static void make_data(void *arg) {
    struct make_data *make = arg;
    make->data = mujoco.mj_makeData(make->model);
}

// Checks model, row and task against each other.
static void check_agreement(const struct mujoco *s) {
    const struct task *task = s->env.task;
    double obs[TASK_OBS_DIM_MAX];
    CHECK(s->model->nu == task->act_dim);
    CHECK(task->obs_dim <= TASK_OBS_DIM_MAX && task->act_dim <= TASK_ACT_DIM_MAX);
    CHECK(s->row->observe(obs, &s->view) == task->obs_dim);
    for (int i = 0; i < s->model->nu && task->env == NULL; i++) {
        CHECK((float)s->model->actuator_ctrlrange[2 * i] == task->act_low);
        CHECK((float)s->model->actuator_ctrlrange[2 * i + 1] == task->act_high);
    }
    for (const struct env_named *named = s->row->named; named->kind != NULL; named++) {
        CHECK(strcmp(env_model_name(&s->env, named->kind, named->index), named->name) == 0);
    }
}

// Rounded to float like Gymnasium's bounds; their sums and products are exact in double.
static void set_bounds(struct mujoco *s) {
    for (int i = 0; i < s->model->nu; i++) {
        double low = (double)(float)s->model->actuator_ctrlrange[2 * i];
        double high = (double)(float)s->model->actuator_ctrlrange[2 * i + 1];
        s->middle[i] = 0.5 * (high + low);
        s->half[i] = 0.5 * (high - low);
    }
}

static struct env_view view_of(const mjModel *m, const mjData *d, const struct env_task *row) {
    return (struct env_view){
        .nq = m->nq,
        .nv = m->nv,
        .nu = m->nu,
        .nbody = m->nbody,
        .dt = m->opt.timestep * row->frame_skip,
        .qpos = d->qpos,
        .qvel = d->qvel,
        .body_mass = m->body_mass,
        .xpos = d->xpos,
        .xipos = d->xipos,
        .site_xpos = d->site_xpos,
        .cinert = d->cinert,
        .cvel = d->cvel,
        .qfrc_actuator = d->qfrc_actuator,
        .qfrc_constraint = d->qfrc_constraint,
        .cfrc_ext = d->cfrc_ext,
        .sensordata = d->sensordata,
        .context = row->context,
    };
}

// Takes the model. NULL with the reason in err.
static struct mujoco *create(const mjModel *model, const struct task *task,
                             const struct env_task *row, char *err, size_t err_len) {
    struct make_data make = {.model = model};
    if (!mujoco_guarded(make_data, &make) || make.data == NULL) {
        snprintf(err, err_len, "%s: MuJoCo has no memory for the simulation", row->model);
        mujoco_model_release(model);
        return NULL;
    }
    struct mujoco *s = xmalloc(sizeof *s);
    *s = (struct mujoco){
        .env = {.kind = &mujoco_kind, .task = task},
        .row = row,
        .model = model,
        .data = make.data,
        .view = view_of(model, make.data, row),
    };
    return s;
}

// Everything but the row's context.
static void destroy(struct mujoco *s) {
    mujoco.mj_deleteData(s->data);
    mujoco_model_release(s->model);
    free(s->initial);
    free(s);
}

static void mujoco_destroy(struct env *env) {
    struct mujoco *s = mujoco_of(env);
    const struct env_task *row = s->row;
    destroy(s);
    if (row->release != NULL) {
        row->release(row->context);
    }
}

struct env *env_mujoco_create(const struct task *task, const struct env_task *row, const char *mjcf,
                              char *err, size_t err_len) {
    const struct embed_file *embedded = mjcf == NULL ? find_model_file(row->model) : NULL;
    const mjModel *model = mujoco_model_acquire(mjcf, embedded, err, err_len);
    struct mujoco *s = model != NULL ? create(model, task, row, err, err_len) : NULL;
    if (s == NULL) {
        return NULL;
    }
    if (row->bind != NULL && row->bind(row->context, &s->env, err, err_len) < 0) {
        destroy(s);
        return NULL;
    }
    check_agreement(s);
    set_bounds(s);
    begin_episode(s); // at the reference pose
    return &s->env;
}

// ---- reset ----

static void mujoco_reset(struct env *env, struct rng *rng) {
    struct mujoco *s = mujoco_of(env);
    reset_data(s);
    s->row->start(s->data->qpos, s->data->qvel, s->row, &s->view, rng);
    mujoco.mj_normalizeQuat(s->model, s->data->qpos); // mj_forward does not since MuJoCo 3.2.0
    begin_episode(s);
}

void env_set_state(struct env *env, const double *qpos, const double *qvel) {
    struct mujoco *s = mujoco_of(env);
    reset_data(s);
    memmove(s->data->qpos, qpos, (size_t)s->model->nq * sizeof *qpos);
    memmove(s->data->qvel, qvel, (size_t)s->model->nv * sizeof *qvel);
    begin_episode(s);
}

// ---- step ----

static void simulator_step(void *arg) {
    struct mujoco *s = arg;
    for (int i = 0; i < s->row->frame_skip; i++) {
        mujoco.mj_step(s->model, s->data);
    }
    if (s->row->forward) {
        mujoco.mj_forward(s->model, s->data);
    } else {
        mujoco.mj_rnePostConstraint(s->model, s->data);
    }
}

void env_simulate(struct env *env, const double *ctrl) {
    struct mujoco *s = mujoco_of(env);
    memcpy(s->data->ctrl, ctrl, (size_t)s->model->nu * sizeof *ctrl);
    simulator_step(s);
}

// MuJoCo tests a state at the beginning of the next step. The last state of an environment step
// is tested here, with the same limit.
static bool state_ok(const double *x, int n) {
    for (int i = 0; i < n; i++) {
        if (!(fabs(x[i]) <= mjMAXVAL)) {
            return false;
        }
    }
    return true;
}

static bool simulator_warned(const struct mujoco *s) {
    for (int i = 0; i < mjNWARNING; i++) {
        if (s->data->warning[i].number > 0) {
            return true;
        }
    }
    return !state_ok(s->data->qpos, s->model->nq) || !state_ok(s->data->qvel, s->model->nv);
}

struct env_step env_step_raw(struct env *env, const double *ctrl) {
    struct mujoco *s = mujoco_of(env);
    double marks[ENV_MARKS_MAX] = {0};
    if (s->row->mark != NULL) {
        s->row->mark(marks, &s->view);
    }
    memcpy(s->data->ctrl, ctrl, (size_t)s->model->nu * sizeof *ctrl);
    if (!mujoco_guarded(simulator_step, s)) {
        fail_episode(s);
    }
    s->bad = s->bad || simulator_warned(s);
    s->steps++;

    struct env_step step = {
        .reward = s->row->reward(s->parts, marks, &s->view, ctrl),
        .terminated = s->row->terminated != NULL && s->row->terminated(&s->view),
        .bad = s->bad,
    };
    step.truncated = !step.terminated && s->steps >= env->task->horizon;
    return step;
}

static struct env_step mujoco_step(struct env *env, const float *action) {
    const struct mujoco *s = mujoco_of(env);
    double ctrl[TASK_ACT_DIM_MAX];
    for (int i = 0; i < s->model->nu; i++) {
        ctrl[i] = s->middle[i] + s->half[i] * (double)action[i];
    }
    return env_step_raw(env, ctrl);
}

static void mujoco_observe(const struct env *env, double *obs) {
    const struct mujoco *s = mujoco_of(env);
    s->row->observe(obs, &s->view);
}

static struct env_memory mujoco_memory(const struct env *env) {
    const struct mujoco *s = mujoco_of(env);
    const mjData *d = s->data;
    // The stack (arena) is large and becomes resident only as far as it is used.
#if mjVERSION_HEADER >= 300
    uint64_t work = (uint64_t)d->maxuse_arena;
#else
    uint64_t work = (uint64_t)d->maxuse_stack * sizeof(mjtNum);
#endif
    return (struct env_memory){.shared = sizeof *s->model + (uint64_t)s->model->nbuffer,
                               .each = sizeof *d + (uint64_t)d->nbuffer + work};
}

static const struct env_kind mujoco_kind = {
    .destroy = mujoco_destroy,
    .reset = mujoco_reset,
    .step = mujoco_step,
    .observe = mujoco_observe,
    .memory = mujoco_memory,
};

// ---- inspection ----

struct env_dims env_dims(const struct env *env) {
    const mjModel *m = mujoco_of(env)->model;
    return (struct env_dims){.nq = m->nq, .nv = m->nv, .nu = m->nu};
}

void env_get_state(const struct env *env, double *qpos, double *qvel) {
    const struct mujoco *s = mujoco_of(env);
    memcpy(qpos, s->data->qpos, (size_t)s->model->nq * sizeof *qpos);
    memcpy(qvel, s->data->qvel, (size_t)s->model->nv * sizeof *qvel);
}

int env_reward_parts(const double **values, const char *const **names, const struct env *env) {
    const struct mujoco *s = mujoco_of(env);
    int n = 0;
    while (s->row->part_names[n] != NULL) {
        n++;
    }
    *values = s->parts;
    *names = s->row->part_names;
    return n;
}

int env_frame_skip(const struct env *env) {
    return mujoco_of(env)->row->frame_skip;
}

double env_dt(const struct env *env) {
    return mujoco_of(env)->view.dt;
}

const mjModel *mujoco_env_model(const struct env *env) {
    return env->kind == &mujoco_kind ? mujoco_of(env)->model : NULL;
}

const mjData *mujoco_env_data(const struct env *env) {
    return env->kind == &mujoco_kind ? mujoco_of(env)->data : NULL;
}

// ---- the compiled model by name ----
//
// MuJoCo describes its structs by X macros. Each use below expands to "if the name is this field,
// copy it and return". The macros have other names in versions 3.x.

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
    const mjModel *m = mujoco_of(env)->model;
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
    int type = mujoco.mju_str2Type(kind);
    CHECK(type > 0);
    const char *name = mujoco.mj_id2name(mujoco_of(env)->model, type, index);
    return name == NULL ? "" : name;
}
