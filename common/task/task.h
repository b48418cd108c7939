// SPDX-License-Identifier: MIT
// A task without its simulator: dimensions, action bounds, time limit, and the termination
// rule on predicted observations.
//
// The environments are in actor/env. Built-in tasks are Gymnasium's v4 tasks, its v5 tasks
// where observation, reward or model differ, two tasks of MBPO, and hopper and walker with
// velocities that are not clipped. An environment of the user is described to the other
// processes by the section `task` of the configuration. Termination rules are MBPO's static
// functions with two corrections: Hopper's bound of 100 is on |obs|, not on obs, and a NaN ends
// an episode in every task with a rule. Tasks that MBPO does not have use the rule of the
// environment, applied to observations.
#ifndef SPUR_COMMON_TASK_TASK_H
#define SPUR_COMMON_TASK_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"

#define TASK_OBS_DIM_MAX 512
#define TASK_ACT_DIM_MAX 64
#define TASK_RANGES_MAX (CONFIG_LIST_MAX / 3)
#define TASK_CLIPS_MAX (CONFIG_LIST_MAX / 4)

#define TASK_RANGE_END 1e9 // means no bound

// An episode continues while low < obs[index] < high.
struct task_range {
    int index;
    float low, high;
};

// The environment clips its observations first..last to [low, high].
struct task_clip {
    int first, last;
    float low, high;
};

struct task {
    const char *name;  // "hopper": on the command line and as name of the configuration
    const char *title; // "Hopper-v4"
    // Title of Gymnasium's v5 class if it is the same task; NULL if it has a row of its own.
    const char *title_v5;
    const char *env;                  // task.env of an environment of the user; NULL: built in
    const char *env_dir, *env_python; // task.env_dir and task.env_python of an env in a process
    double env_timeout_s;             // task.env_timeout_s of the same
    bool env_shared;                  // not task.isolate: a plug-in runs in the actor's process
    int obs_dim, act_dim;
    float act_low, act_high; // bounds of the environment; policies act in [-1, 1]
    int horizon;             // steps until truncation
    // Whether a predicted observation (obs_dim) ends the episode; NULL: no rule.
    bool (*terminated)(const struct task *task, const float *next_obs);
    int ranges; // termination rule of an environment of the user
    struct task_range range[TASK_RANGES_MAX];
    enum task_termination termination; // of model rollouts
    int clips;
    struct task_clip clip[TASK_CLIPS_MAX];
};

// The task of a run: a built-in one, or the environment of the user as configured (task.env).
// Borrows the texts of c. 0, or -1 with a sentence that names the nearest task and lists all.
int task_from_config(struct task *task, const struct config *c, char *err, size_t err_len);

// Whether an observation (obs_dim) is outside of a range of the task. NaN is outside.
bool task_outside_ranges(const struct task *task, const float *obs);

// done[b] = 1 if row b of next_obs (B, obs_dim) ends a rollout by the task's rule, else 0.
// Always 0 unless task->termination is TASK_TERMINATION_RULE.
void task_terminated(const struct task *task, uint8_t *done, const float *next_obs, int B);

// Clips predicted observations (B, obs_dim) in place to the ranges of the environment. A
// prediction beyond them is no observation of the environment: the critics have no data there,
// and the policy would exploit their errors. Values that are not finite are unchanged.
void task_clip(const struct task *task, float *obs, int B);

// Finds a task by name or title, ignoring case, underscores and hyphens; "-v4" is optional.
// NULL if there is none.
const struct task *task_find(const char *name);
int task_count(void);
const struct task *task_at(int index);
// The name closest in spelling, for error messages. Never NULL.
const char *task_nearest(const char *name);
// Likewise; NULL if no name is similar.
const char *task_similar(const char *name);

#endif
