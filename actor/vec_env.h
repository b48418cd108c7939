// SPDX-License-Identifier: MIT
// The environments of one actor: episodes, actions and their random streams.
//
// Environments are stepped in turn, one step each per round. Actions are computed for many
// environments in one pass of the policy, but executed one at a time, so that credit may end
// and messages may be answered within a round.
//
// The start state of an episode is drawn from its environment's stream at the episode's
// number, the randomness of an action at the step's number. Both counts begin at the totals
// of all earlier incarnations and environments of the actor. A restarted actor therefore
// repeats no random number, for any number of environments; with one environment it continues
// exactly at the next number. A dropped step does not advance the count.
#ifndef SPUR_ACTOR_VEC_ENV_H
#define SPUR_ACTOR_VEC_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actor/action_noise.h"
#include "actor/env/env.h"
#include "actor/policy_controller.h"
#include "common/task/task.h"
#include "proto/wire.h"

#define VEC_ENV_ENVS_MAX 256 // the environment's number has 8 bits in a stream's number

struct vec_env;

struct vec_env_row {
    int env;                           // environment, 0 .. envs - 1
    bool broken;                       // on a bad step: the environment is broken
    const float *obs, *act, *next_obs; // valid until the next call
    float reward;
    uint8_t flags;           // enum wire_flag bits; not 0: the episode has ended
    uint64_t policy_version; // 0: uniform random
    uint64_t episode_length; // so far, this step included
    double episode_return;
};

// Where the random streams begin.
struct vec_env_streams {
    uint64_t seed;
    uint32_t index;           // of the actor
    uint64_t steps, episodes; // totals of earlier incarnations
};

// envs: 1 .. VEC_ENV_ENVS_MAX. Copies noise. Borrows wait (env.h), which may be NULL. NULL with
// the reason in err.
struct vec_env *vec_env_create(const struct task *task, int envs,
                               const struct vec_env_streams *from, const struct action_noise *noise,
                               const struct env_wait *wait, char *err, size_t err_len);
void vec_env_destroy(struct vec_env **s);

// Lockstep, before the first action of one environment: goes on within the last of the episodes
// counted in `episodes`, whose rows are the last of `steps`, by making their actions again. If the
// rows come out otherwise, as with an environment that is not a function of its start and actions,
// that is logged, and a new episode begins. 0 rows, or several environments: nothing.
void vec_env_go_on(struct vec_env *s, const struct wire_rows *rows);

// Computes the actions of the next environments, at most n > 0 and not beyond the end of the
// round. Begins an episode where the last one has ended. Actions are uniformly random if
// controller is NULL, else sampled from its policy, whose batch_max is at least n; both are
// correlated over an episode as the noise is. Discards actions that were not executed. False,
// without any action, if one is not finite.
bool vec_env_decide(struct vec_env *s, struct policy_controller *controller, int n);
// Actions that are not executed yet, and the policy version that computed them.
int vec_env_decided(const struct vec_env *s);
uint64_t vec_env_version(const struct vec_env *s);
// Executes the next action. False on a bad step: only out->env and out->broken are set, and
// the episode has ended.
bool vec_env_step(struct vec_env *s, struct vec_env_row *out);

uint64_t vec_env_steps(const struct vec_env *s);    // all incarnations
uint64_t vec_env_episodes(const struct vec_env *s); // begun, all incarnations

#endif
