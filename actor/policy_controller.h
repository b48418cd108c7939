// SPDX-License-Identifier: MIT
// A policy that came over the wire, checked against the task, ready to act.
//
// wire.c has checked that the numbers are finite; here the shape must fit the
// task and the network must be one that this build can run. A version never
// gives way to an older one.
#ifndef SPUR_ACTOR_POLICY_CONTROLLER_H
#define SPUR_ACTOR_POLICY_CONTROLLER_H

#include <stddef.h>
#include <stdint.h>

#include "common/nn/policy.h"
#include "common/task/task.h"
#include "proto/wire.h"

// Zeroed = holds no policy (version 0).
struct policy_controller {
    struct policy policy;
    uint64_t version;
    uint64_t since_ms; // when that version came
    float *params, *scratch;
    size_t params_len;
    int batch_max;
};

enum policy_controller_verdict {
    POLICY_CONTROLLER_TAKEN,
    POLICY_CONTROLLER_KEPT,    // nothing newer in it
    POLICY_CONTROLLER_OLDER,   // an older version: not taken
    POLICY_CONTROLLER_REFUSED, // does not fit: a sentence is in err
};

// batch_max: rows of the largest policy_controller_* call to come. Copies the parameters.
enum policy_controller_verdict policy_controller_load(struct policy_controller *p,
                                                      const struct wire_policy *from,
                                                      const struct task *task, int batch_max,
                                                      uint64_t now_ms, char *err, size_t err_len);
void policy_controller_deinit(struct policy_controller *p);

// B <= batch_max actions: act, noise (B, act_dim), obs (B, obs_dim). Sampled, and
// deterministic.
void policy_controller_sample(struct policy_controller *p, float *act, const float *obs,
                              const float *noise, int B);
void policy_controller_mean(struct policy_controller *p, float *act, const float *obs, int B);

#endif
