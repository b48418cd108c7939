// SPDX-License-Identifier: MIT
// Replays trajectories: a reset to the start state, then the recorded actions; and single steps
// from states within them.
#include "actor/env/parity/parity.h"

#include <limits.h>
#include <stdio.h>

#include "actor/env/mujoco_internal.h"

// The arrays of a trajectory, with validated lengths.
struct trajectory {
    const json_t *init_qpos, *init_qvel, *init_obs;
    const json_t *action, *qpos, *qvel, *obs, *reward, *terminated;
    const json_t *comp, *reward_v5, *terminated_v5, *onestep; // may be NULL
    size_t steps;
};

// ---- reading ----

static void read_row(double *out, const json_t *row, size_t n) {
    for (size_t i = 0; i < n; i++) {
        out[i] = json_number_value(json_array_get(row, i));
    }
}

// object[key] as `rows` rows of n numbers; rows 0: one row, not in an array.
static bool get_rows(const json_t **out, struct parity *p, const json_t *object, const char *key,
                     size_t rows, size_t n) {
    const json_t *value = json_object_get(object, key);
    *out = value;
    bool ok = rows == 0 ? parity_is_row(value, n)
                        : json_is_array(value) && json_array_size(value) == rows;
    for (size_t t = 0; ok && t < rows; t++) {
        ok = parity_is_row(json_array_get(value, t), n);
    }
    if (ok) {
        return true;
    }
    if (value == NULL) {
        return parity_refuse(p, "\"%s\" is missing", key);
    }
    return rows == 0 ? parity_refuse(p, "\"%s\" is not a row of %zu numbers", key, n)
                     : parity_refuse(p, "\"%s\" is not %zu rows of %zu numbers", key, rows, n);
}

// object[key] as a list of `rows` booleans.
static bool get_flags(const json_t **out, struct parity *p, const json_t *object, const char *key,
                      size_t rows) {
    const json_t *value = json_object_get(object, key);
    *out = value;
    bool ok = json_is_array(value) && json_array_size(value) == rows;
    for (size_t t = 0; ok && t < rows; t++) {
        ok = json_is_boolean(json_array_get(value, t));
    }
    return ok || parity_refuse(p, "\"%s\" is missing or not %zu times true or false", key, rows);
}

// ---- replaying ----

static void compare_row(struct parity *p, enum quantity q, const double *here, const json_t *file,
                        size_t n) {
    for (size_t i = 0; i < n; i++) {
        parity_compare(p, q, here[i], json_number_value(json_array_get(file, i)));
    }
}

static bool find_arrays(struct trajectory *tr, struct parity *p, const json_t *object) {
    const json_t *steps = json_object_get(object, "steps");
    json_int_t count = json_is_integer(steps) ? json_integer_value(steps) : 0;
    if (count < 1 || count > INT_MAX) {
        return parity_refuse(p, "\"steps\" is missing or not a positive number");
    }
    size_t T = (size_t)count;
    size_t nq = (size_t)p->dims.nq, nv = (size_t)p->dims.nv, nu = (size_t)p->dims.nu;
    size_t obs_dim = (size_t)p->task->obs_dim;
    *tr = (struct trajectory){.steps = T};
    bool ok = get_rows(&tr->init_qpos, p, object, "init_qpos", 0, nq) &&
              get_rows(&tr->init_qvel, p, object, "init_qvel", 0, nv) &&
              get_rows(&tr->init_obs, p, object, "init_obs", 0, obs_dim) &&
              get_rows(&tr->action, p, object, "action", T, nu) &&
              get_rows(&tr->qpos, p, object, "qpos", T, nq) &&
              get_rows(&tr->qvel, p, object, "qvel", T, nv) &&
              get_rows(&tr->obs, p, object, "obs", T, obs_dim) &&
              get_rows(&tr->reward, p, object, "reward", 0, T) &&
              get_flags(&tr->terminated, p, object, "terminated", T);
    if (ok && p->has_comp) {
        const double *values;
        const char *const *names;
        int parts = env_reward_parts(&values, &names, p->env);
        ok = get_rows(&tr->comp, p, object, "comp", T, (size_t)parts);
    }
    if (ok && json_object_get(object, "reward_v5") != NULL) {
        ok = get_rows(&tr->reward_v5, p, object, "reward_v5", 0, T) &&
             get_flags(&tr->terminated_v5, p, object, "terminated_v5", T);
    }
    tr->onestep = json_object_get(object, "onestep");
    if (ok && tr->onestep != NULL && !json_is_array(tr->onestep)) {
        ok = parity_refuse(p, "\"onestep\" is not a list");
    }
    return ok;
}

static void compare_obs(struct parity *p, enum quantity q, const json_t *file, size_t n) {
    double obs[TASK_OBS_DIM_MAX];
    env_obs_f64(p->env, obs);
    compare_row(p, q, obs, file, n);
}

static void compare_state(struct parity *p, enum quantity q_qpos, enum quantity q_qvel,
                          const json_t *qpos, const json_t *qvel) {
    double q[PARITY_STATE_MAX], v[PARITY_STATE_MAX];
    env_get_state(p->env, q, v);
    compare_row(p, q_qpos, q, qpos, (size_t)p->dims.nq);
    compare_row(p, q_qvel, v, qvel, (size_t)p->dims.nv);
}

static void restart(struct parity *p, const json_t *qpos, const json_t *qvel) {
    double q[PARITY_STATE_MAX], v[PARITY_STATE_MAX];
    read_row(q, qpos, (size_t)p->dims.nq);
    read_row(v, qvel, (size_t)p->dims.nv);
    env_set_state(p->env, q, v);
    env_set_state(p->env_v5, q, v);
}

// Gymnasium's v5 class has the same states with other rewards and termination: our v5 task
// replays the same step.
static void compare_v5(struct parity *p, const struct trajectory *tr, size_t t,
                       const double *action) {
    struct env_step step = env_step_raw(p->env_v5, action);
    parity_compare(p, Q_REWARD_V5, step.reward,
                   json_number_value(json_array_get(tr->reward_v5, t)));
    parity_compare(p, Q_TERMINATED_V5, step.terminated,
                   json_is_true(json_array_get(tr->terminated_v5, t)));
}

static void replay(struct parity *p, const struct trajectory *tr) {
    double action[TASK_ACT_DIM_MAX];
    p->step = -1; // the start
    restart(p, tr->init_qpos, tr->init_qvel);
    compare_obs(p, Q_OBS, tr->init_obs, (size_t)p->task->obs_dim);
    for (size_t t = 0; t < tr->steps; t++) {
        p->step = (long)t;
        read_row(action, json_array_get(tr->action, t), (size_t)p->dims.nu);
        struct env_step step = env_step_raw(p->env, action);
        compare_state(p, Q_QPOS, Q_QVEL, json_array_get(tr->qpos, t), json_array_get(tr->qvel, t));
        compare_obs(p, Q_OBS, json_array_get(tr->obs, t), (size_t)p->task->obs_dim);
        parity_compare(p, Q_REWARD, step.reward, json_number_value(json_array_get(tr->reward, t)));
        parity_compare(p, Q_TERMINATED, step.terminated,
                       json_is_true(json_array_get(tr->terminated, t)));
        parity_compare(p, Q_WARNINGS, step.bad, 0.0);

        const double *parts;
        const char *const *names;
        int n = env_reward_parts(&parts, &names, p->env);
        if (tr->comp != NULL) {
            compare_row(p, Q_COMP, parts, json_array_get(tr->comp, t), (size_t)n);
        }
        if (tr->reward_v5 != NULL) {
            compare_v5(p, tr, t, action);
        }
    }
}

// Single steps from states of the trajectory, each after a reset to it.
static bool replay_restarts(struct parity *p, const struct trajectory *tr) {
    double action[TASK_ACT_DIM_MAX];
    for (size_t i = 0; i < json_array_size(tr->onestep); i++) {
        const json_t *item = json_array_get(tr->onestep, i);
        const json_t *at = json_object_get(item, "t");
        const json_t *before = json_object_get(item, "obs_before");
        const json_t *obs = json_object_get(item, "obs");
        const json_t *reward = json_object_get(item, "reward");
        const json_t *terminated = json_object_get(item, "terminated");
        const json_t *qpos, *qvel;
        if (!get_rows(&qpos, p, item, "qpos", 0, (size_t)p->dims.nq) ||
            !get_rows(&qvel, p, item, "qvel", 0, (size_t)p->dims.nv)) {
            return false;
        }
        // Observations of large tasks may be truncated.
        size_t before_n = json_array_size(before), obs_n = json_array_size(obs);
        if (!json_is_integer(at) || json_integer_value(at) < 1 ||
            json_integer_value(at) >= (json_int_t)tr->steps || !parity_is_row(before, before_n) ||
            !parity_is_row(obs, obs_n) || before_n > (size_t)p->task->obs_dim ||
            obs_n > (size_t)p->task->obs_dim || !json_is_number(reward) ||
            !json_is_boolean(terminated)) {
            return parity_refuse(p, "\"onestep\" entry %zu does not have the expected form", i);
        }
        size_t t = (size_t)json_integer_value(at);
        p->step = (long)t;
        restart(p, json_array_get(tr->qpos, t - 1), json_array_get(tr->qvel, t - 1));
        compare_obs(p, Q_RESTART_OBS, before, before_n);
        read_row(action, json_array_get(tr->action, t), (size_t)p->dims.nu);
        struct env_step step = env_step_raw(p->env, action);
        compare_state(p, Q_RESTART_QPOS, Q_RESTART_QVEL, qpos, qvel);
        compare_obs(p, Q_RESTART_OBS, obs, obs_n);
        parity_compare(p, Q_RESTART_REWARD, step.reward, json_number_value(reward));
        parity_compare(p, Q_RESTART_TERMINATED, step.terminated, json_is_true(terminated));
    }
    return true;
}

bool parity_check_trajectories(struct parity *p, const json_t *root) {
    snprintf(p->where, sizeof p->where, "trajectories");
    const json_t *list = json_object_get(root, "trajectories");
    if (!json_is_array(list) || json_array_size(list) == 0) {
        return parity_refuse(p, "is missing or empty");
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *object = json_array_get(list, i);
        const char *id = json_string_value(json_object_get(object, "id"));
        p->step = -1;
        if (id != NULL) {
            snprintf(p->where, sizeof p->where, "trajectory %.40s", id);
        } else {
            snprintf(p->where, sizeof p->where, "trajectory number %zu", i);
        }
        parity_make_printable(p->where);
        struct trajectory tr;
        if (!find_arrays(&tr, p, object)) {
            return false;
        }
        replay(p, &tr);
        if (!replay_restarts(p, &tr)) {
            return false;
        }
    }
    return true;
}
