// SPDX-License-Identifier: MIT
// A policy that came over the wire, checked against the task, ready to act.
//
// wire.c has checked that the numbers are finite; here the shape must fit the
// task and the network must be one that this build can run. A version never
// gives way to an older one.
#ifndef SPUR_ACTOR_PILOT_H
#define SPUR_ACTOR_PILOT_H

#include <stddef.h>
#include <stdint.h>

#include "common/nn/policy.h"
#include "common/task/task.h"
#include "proto/wire.h"

// Zeroed = holds no policy (version 0).
struct pilot {
    struct policy policy;
    uint64_t version;
    uint64_t since_ms; // when that version came
    float *params, *scratch;
    size_t params_len;
    int batch_max;
};

enum pilot_verdict {
    PILOT_TAKEN,
    PILOT_KEPT,    // nothing newer in it
    PILOT_OLDER,   // an older version: not taken
    PILOT_REFUSED, // does not fit: a sentence is in err
};

// batch_max: rows of the largest pilot_* call to come. Copies the parameters.
enum pilot_verdict pilot_load(struct pilot *p, const struct wire_policy *from,
                              const struct task *task, int batch_max, uint64_t now_ms, char *err,
                              size_t err_len);
void pilot_deinit(struct pilot *p);

// B <= batch_max actions: act, noise (B, act_dim), obs (B, obs_dim). Sampled, and
// deterministic.
void pilot_sample(struct pilot *p, float *act, const float *obs, const float *noise, int B);
void pilot_mean(struct pilot *p, float *act, const float *obs, int B);

#endif
