// SPDX-License-Identifier: MIT
// A policy received in a message, validated against the task, that computes actions.
//
// wire_check.c has checked that the numbers are finite. Here the shape must fit the task, and
// the network must be one that this build supports. An older version never replaces a newer.
#ifndef SPUR_ACTOR_POLICY_CONTROLLER_H
#define SPUR_ACTOR_POLICY_CONTROLLER_H

#include <stddef.h>
#include <stdint.h>

#include "common/nn/policy.h"
#include "common/task/task.h"
#include "proto/wire.h"

// All zero: no policy (version 0).
struct policy_controller {
    struct policy policy;
    uint64_t version;
    uint64_t since_ms; // when that version was loaded
    float *params, *scratch;
    size_t params_len;
    int batch_max;
};

enum policy_controller_verdict {
    POLICY_CONTROLLER_LOADED,
    POLICY_CONTROLLER_KEPT,    // the same version, or no weights: nothing changed
    POLICY_CONTROLLER_OLDER,   // an older version: ignored
    POLICY_CONTROLLER_REFUSED, // does not fit: the reason is in err
};

// batch_max: the largest B of later policy_controller_* calls. Copies the parameters.
enum policy_controller_verdict policy_controller_load(struct policy_controller *p,
                                                      const struct wire_policy *from,
                                                      const struct task *task, int batch_max,
                                                      uint64_t now_ms, char *err, size_t err_len);
void policy_controller_deinit(struct policy_controller *p);

// Computes B <= batch_max actions, sampled or deterministic: act, noise (B, act_dim), obs
// (B, obs_dim).
void policy_controller_sample(struct policy_controller *p, float *act, const float *obs,
                              const float *noise, int B);
void policy_controller_mean(struct policy_controller *p, float *act, const float *obs, int B);

#endif
