// SPDX-License-Identifier: MIT
// The environments of one actor: episodes, actions and their random streams.
//
// They are stepped in turn, one step each a round. Actions are decided for many
// of them at once, in one pass of the policy, and taken one at a time, so that
// credit may run out and messages may be answered in the middle of a round.
//
// Nothing here depends on history but the state of the simulator: the start
// state of an episode is drawn from its environment's stream at the episode's
// number, the randomness of an action at the step's number. An environment
// counts both from what all incarnations of the actor did, all its environments
// together, so a restarted actor never repeats a draw, whatever the number of
// environments; with one, it goes on exactly where the numbers stand. A dropped
// step shifts nothing.
#ifndef SPUR_ACTOR_VEC_ENV_H
#define SPUR_ACTOR_VEC_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actor/policy_controller.h"
#include "common/task/task.h"
#include "proto/wire.h"

#define VEC_ENV_ENVS_MAX 256 // an environment's number is 8 bits of its streams'

struct vec_env;

struct vec_env_row {
    int env;                           // whose step it was, 0 .. envs - 1
    const float *obs, *act, *next_obs; // valid until the next call
    float reward;
    uint8_t flags;           // enum wire_flag bits; not 0: the episode is over
    uint64_t policy_version; // 0: uniform random
    uint64_t episode_length; // so far, this step included
    double episode_return;
};

// Stream number `index`; steps and episodes: what earlier incarnations did.
// envs: 1 .. VEC_ENV_ENVS_MAX. NULL with a sentence in err.
struct vec_env *vec_env_create(const struct task *task, int envs, uint64_t seed, uint32_t index,
                               uint64_t steps, uint64_t episodes, char *err, size_t err_len);
void vec_env_destroy(struct vec_env **s);

// Decides what the next environments do, at most n > 0 of them and not beyond the
// round's end, each in a new episode if its last one is over: uniformly at random
// if controller is NULL, else sampled from its policy, whose batch_max covers n. What
// was decided and not done is forgotten. False, and nothing is decided, when the
// policy gives an action that is not finite.
bool vec_env_decide(struct vec_env *s, struct policy_controller *controller, int n);
// Steps that are decided and not done, and the version behind them.
int vec_env_decided(const struct vec_env *s);
uint64_t vec_env_version(const struct vec_env *s);
// Does the next of them. False when the simulator broke in it: there is no row
// (out->env alone is set), and the episode is over.
bool vec_env_step(struct vec_env *s, struct vec_env_row *out);

uint64_t vec_env_steps(const struct vec_env *s);    // all incarnations
uint64_t vec_env_episodes(const struct vec_env *s); // begun, all incarnations

#endif
