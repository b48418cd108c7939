// SPDX-License-Identifier: MIT
// What a task *is*, to those who never see its simulator: dimensions, action
// bounds, time limit, and the termination rule on predicted states.
//
// The environments themselves live in actor/. Built in are Gymnasium's v4 tasks, its v5
// where observation, reward or model differ, and MBPO's two of its own; or an environment
// is the user's, which a configuration describes to the other processes (its section
// `task`). Termination rules follow MBPO's static functions, with two known slips of its
// code put right: Hopper's bound of 100 is on |obs|, not on obs, and a NaN ends an episode
// in every task that ends at all. Tasks that MBPO does not have are judged by their own
// rule on what is observed.
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

#define TASK_RANGE_END 1e9 // stands for no bound

// An episode goes on while low < obs[index] < high.
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
    const char *name;  // "hopper": what users type, config file's name
    const char *title; // "Hopper-v4"
    // Where Gymnasium's v5 class is the same task, its title; NULL where it has a row of its own.
    const char *title_v5;
    const char *env;                  // of the user's own: task.env; NULL: built in
    const char *env_dir, *env_python; // of one in a process: task.env_dir, task.env_python
    double env_timeout_s;             // likewise: task.env_timeout_s
    int obs_dim, act_dim;
    float act_low, act_high; // the environment's bounds; policies act in [-1, 1]
    int horizon;             // steps until truncation
    // Whether a predicted observation (obs_dim) ends the episode; NULL: none does.
    bool (*terminated)(const struct task *task, const float *next_obs);
    int ranges; // of an environment of the user's, whose rule they are
    struct task_range range[TASK_RANGES_MAX];
    enum task_termination termination; // whether the model uses the rule at all
    int clips;
    struct task_clip clip[TASK_CLIPS_MAX];
};

// The task of a run: a built-in one, or what the configuration says of the user's own
// (task.env). Borrows the configuration's text. Returns 0, or -1 with a sentence: no such
// task, the nearest, and all there are.
int task_configure(struct task *task, const struct config *c, char *err, size_t err_len);

// Whether an observation (obs_dim) leaves one of task->range; a NaN does.
bool task_outside_ranges(const struct task *task, const float *obs);

// done[b] = 1 where row b of next_obs (B, obs_dim) ends a rollout by task->termination,
// 0 elsewhere. Where that is learnt, none does by what is known here.
void task_terminated(const struct task *task, uint8_t *done, const float *next_obs, int B);

// Clips predicted observations (B, obs_dim) in place as the environment clips its own. A
// prediction beyond is an observation that cannot be: no critic was ever told what it is
// worth, and the guess is a policy's way out of what the model does foresee. What is not
// finite stays so.
void task_clip(const struct task *task, float *obs, int B);

// Finds by name or title; upper and lower case, underscores and hyphens make no
// difference, and "-v4" may be left out. NULL when there is none.
const struct task *task_find(const char *name);
int task_count(void);
const struct task *task_at(int index);
// The name closest in spelling, for error messages. Never NULL.
const char *task_nearest(const char *name);

#endif
