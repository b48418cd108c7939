// SPDX-License-Identifier: MIT
// One environment being stepped: episodes, actions and their random streams.
//
// Nothing here depends on history but the state of the simulator: the start
// state of an episode is drawn from the stream at the episode's number, the
// randomness of an action at the step's number, both counted over all
// incarnations of the actor. So a restarted actor goes on where the numbers
// stand, and a dropped step shifts nothing.
#ifndef SPUR_ACTOR_STEPPER_H
#define SPUR_ACTOR_STEPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actor/pilot.h"
#include "common/task/task.h"
#include "proto/wire.h"

struct stepper;

enum stepper_result {
    STEPPER_ROW,        // a step was made, *out tells of it
    STEPPER_BAD_STEP,   // the simulator broke: no row, the episode is over
    STEPPER_BAD_POLICY, // the policy's action is not finite: nothing was done
};

struct stepper_row {
    const float *obs, *act, *next_obs; // valid until the next step
    float reward;
    uint8_t flags;           // enum wire_flag bits; not 0: the episode is over
    uint64_t policy_version; // 0: uniform random
    uint64_t episode_length; // so far, this step included
    double episode_return;
};

// Stream number `index`; steps and episodes: what earlier incarnations did.
// NULL with a sentence in err.
struct stepper *stepper_create(const struct task *task, uint64_t seed, uint32_t index,
                               uint64_t steps, uint64_t episodes, char *err, size_t err_len);
void stepper_destroy(struct stepper **s);

// One step, in a new episode if the last one is over: uniformly random if pilot
// is NULL, else sampled from its policy.
enum stepper_result stepper_step(struct stepper *s, struct pilot *pilot, struct stepper_row *out);

uint64_t stepper_steps(const struct stepper *s);    // all incarnations
uint64_t stepper_episodes(const struct stepper *s); // begun, all incarnations

#endif
