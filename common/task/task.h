// SPDX-License-Identifier: MIT
// What a task *is*, to those who never see its simulator: dimensions, action
// bounds, time limit, and the termination rule on predicted states.
//
// The environments themselves (common facts: Gymnasium's v4 tasks) live in
// actor/. Termination rules follow MBPO's static functions, with one known slip
// of its code put right: Hopper's bound of 100 is on |obs|, not on obs.
#ifndef SPUR_COMMON_TASK_TASK_H
#define SPUR_COMMON_TASK_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TASK_OBS_DIM_MAX 512
#define TASK_ACT_DIM_MAX 64

struct task {
    const char *name;  // "hopper": what users type, config file's name
    const char *title; // "Hopper-v4"
    int obs_dim, act_dim;
    float act_low, act_high; // the environment's bounds; policies act in [-1, 1]
    int horizon;             // steps until truncation
    // Whether a predicted observation (obs_dim) ends the episode; NULL: none does.
    bool (*terminated)(const struct task *task, const float *next_obs);
};

// done[b] = 1 where row b of next_obs (B, obs_dim) ends the episode, 0 elsewhere.
void task_terminated(const struct task *task, uint8_t *done, const float *next_obs, int B);

// Finds by name or title; upper and lower case, underscores and hyphens make no
// difference, and "-v4" may be left out. NULL when there is none.
const struct task *task_find(const char *name);
int task_count(void);
const struct task *task_at(int index);
// The name closest in spelling, for error messages. Never NULL.
const char *task_nearest(const char *name);

#endif
