// SPDX-License-Identifier: MIT
// The row (task_row.h) of a described environment: observation, reward and termination are loops
// over the arrays of struct description, the context of the row, which is released with the
// environment.
//
// Numbers are double. The healthy ranges are tested on the observation as float, by the same
// function that tests the predictions of the learned model.
#include "actor/env/description/env_description.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/description/description.h"
#include "actor/env/env_mujoco.h"
#include "actor/env/tasks/tasks.h"
#include "common/base/check.h"

static double entry_value(const struct entry *e, const struct env_view *view,
                          const double *action) {
    double x = 0.0;
    switch (e->source) {
    case SOURCE_QPOS:
        x = view->qpos[e->index];
        break;
    case SOURCE_QVEL:
        x = view->qvel[e->index];
        break;
    case SOURCE_COS:
        x = cos(view->qpos[e->index]);
        break;
    case SOURCE_SIN:
        x = sin(view->qpos[e->index]);
        break;
    case SOURCE_SENSOR:
        x = view->sensordata[e->index];
        break;
    case SOURCE_ACTION:
        x = action[e->index];
        break;
    }
    return x < e->low ? e->low : x > e->high ? e->high : x;
}

static int observe(double *obs, const struct env_view *view) {
    const struct description *d = view->context;
    for (int i = 0; i < d->task.obs_dim; i++) {
        obs[i] = entry_value(&d->obs[i], view, NULL);
    }
    return d->task.obs_dim;
}

static void start(double *qpos, double *qvel, const struct env_task *row,
                  const struct env_view *view, struct rng *rng) {
    const struct description *d = view->context;
    if (d->key_qpos) {
        memcpy(qpos, d->key_qpos, (size_t)view->nq * sizeof(*qpos));
        memcpy(qvel, d->key_qvel, (size_t)view->nv * sizeof(*qvel));
    }
    (void)row;
    for (int i = 0; i < view->nq; i++) {
        qpos[i] += rng_range(rng, -d->qpos_noise[i], d->qpos_noise[i]);
    }
    for (int i = 0; i < view->nv; i++) {
        qvel[i] += rng_range(rng, -d->qvel_noise[i], d->qvel_noise[i]);
    }
    for (int i = 0; i < d->uniforms; i++) {
        const struct uniform_start *s = &d->uniform_start[i];
        qpos[s->index] = rng_range(rng, s->low, s->high);
    }
}

static void mark(double marks[ENV_MARKS_MAX], const struct env_view *view) {
    const struct description *d = view->context;
    for (int i = 0; i < d->terms; i++) {
        if (d->term[i].kind == TERM_VELOCITY) {
            marks[d->term[i].mark] = view->xpos[d->term[i].coordinate];
        }
    }
}

static double distance(const double *a, const double *b) {
    double d[3] = {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
    return sqrt(env_sum_squares(d, 3));
}

static double shaped(const struct term *t, double x) {
    x -= t->target;
    return t->shape == SHAPE_SQUARE ? x * x : t->shape == SHAPE_ABS ? fabs(x) : x;
}

static double term_value(const struct description *d, const struct term *t, const double *marks,
                         const struct env_view *view, const double *action) {
    double sum = 0.0;
    switch (t->kind) {
    case TERM_CONSTANT:
        return t->constant;
    case TERM_ENTRIES:
        for (int i = t->first; i < t->first + t->count; i++) {
            sum += shaped(t, entry_value(&d->reward_entry[i], view, action));
        }
        return sum;
    case TERM_DISTANCE:
        return shaped(t, distance(view->site_xpos + 3 * (size_t)t->site[0],
                                  view->site_xpos + 3 * (size_t)t->site[1]));
    case TERM_VELOCITY:
        return shaped(t, (view->xpos[t->coordinate] - marks[t->mark]) / view->dt);
    }
    return sum;
}

static double reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                     const struct env_view *view, const double *action) {
    const struct description *d = view->context;
    double sum = 0.0;
    for (int i = 0; i < d->terms; i++) {
        parts[i] = d->term[i].weight * term_value(d, &d->term[i], marks, view, action);
        sum += parts[i];
    }
    return sum;
}

static bool terminated(const struct env_view *view) {
    const struct description *d = view->context;
    float obs[TASK_OBS_DIM_MAX];
    for (int i = 0; i < d->task.ranges; i++) {
        int index = d->task.range[i].index;
        obs[index] = (float)entry_value(&d->obs[index], view, NULL);
    }
    return task_outside_ranges(&d->task, obs);
}

static int bind(void *context, const struct env *env, char *err, size_t err_len) {
    return description_bind(context, env, err, err_len);
}

static void release(void *context) {
    struct description *d = context;
    yaml_destroy(&d->doc);
    free(d->key_qpos);
    free(d->key_qvel);
    free(d->qpos_noise);
    free(d->qvel_noise);
    free(d);
}

struct env *env_description_create(const char *path, char *err, size_t err_len) {
    struct description *d = xcalloc(1, sizeof(*d));
    d->row = (struct env_task){
        .name = d->name,
        .model = d->model,
        .start = start,
        .observe = observe,
        .mark = mark,
        .reward = reward,
        .terminated = terminated,
        .context = d,
        .bind = bind,
        .release = release,
    };
    struct env *env = NULL;
    if (description_open(d, path, err, err_len) == 0) {
        env = env_mujoco_create(&d->task, &d->row, d->model, err, err_len);
    }
    if (!env) {
        release(d);
        return NULL;
    }
    yaml_destroy(&d->doc);
    return env;
}
