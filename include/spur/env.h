// SPDX-License-Identifier: MIT
// The interface of a plug-in: an environment of your own, in C or anything that
// can export a C struct, stepped by spur's actors in their own process.
//
//   #include <spur/env.h>
//   ...
//   const struct spur_env spur_env = {
//       .version = SPUR_ENV_VERSION,
//       .size = sizeof(struct spur_env),
//       .name = "my_env",
//       ...
//   };
//
//   cc -O2 -shared -fPIC -I include my_env.c -o my_env.so -lm
//   spur run --env ./my_env.so
//
// spur loads the file, looks for the symbol spur_env, and checks all of it before
// it calls anything. What the functions return is checked at every step: an
// environment that writes a number that is not finite, leaves observations
// unwritten or writes behind them is stopped with a message, and nothing of that
// step is learnt from. A crash ends the actor's process, and no other.
//
// The functions of one environment are called from one thread. Several
// environments may exist side by side, so keep their state in what create
// returns, and draw random numbers from the seed that reset is given: then runs
// can be reproduced.
#ifndef SPUR_ENV_H
#define SPUR_ENV_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Grows with every change that an existing plug-in would notice. Another version
// than the program's own is refused: compile the plug-in again.
#define SPUR_ENV_VERSION 1

#define SPUR_ENV_OBS_MAX 512
#define SPUR_ENV_ACT_MAX 64
#define SPUR_ENV_RANGES_MAX 16

// The episode goes on while low < observation[index] < high.
struct spur_env_range {
    uint32_t index;
    float low, high;
};

struct spur_env {
    uint32_t version; // SPUR_ENV_VERSION
    uint32_t size;    // sizeof(struct spur_env)

    const char *name; // of the task: letters, digits, '_', '-', at most 63, a letter first
    uint32_t obs_dim; // numbers in an observation, 1 .. SPUR_ENV_OBS_MAX
    uint32_t act_dim; // numbers in an action, 1 .. SPUR_ENV_ACT_MAX
    uint32_t horizon; // steps after which spur truncates an episode, at least 1

    // (act_dim) each: what the policy's -1 and 1 mean, in the units of step.
    const float *act_low, *act_high;

    // What ends an episode, as far as it can be told from an observation: the
    // learned model ends its rollouts by this rule, and spur ends the episode by
    // it too. None: leave both zero.
    uint32_t ranges; // at most SPUR_ENV_RANGES_MAX
    const struct spur_env_range *range;

    // A new environment; NULL with a sentence in err (err_len bytes) when it cannot be made.
    void *(*create)(char *err, size_t err_len);
    void (*destroy)(void *env);
    // Begins an episode, in a state that follows from seed alone, and writes obs (obs_dim).
    void (*reset)(void *env, float *obs, uint64_t seed);
    // One step with action (act_dim), within the bounds. Writes all of obs (obs_dim), the
    // reward, and whether the task ended the episode in some other way than by the ranges.
    // Returns 0, or anything else when the step failed: it is dropped, and reset comes next.
    int (*step)(void *env, float *obs, double *reward, int *terminated, const float *action);
};

// The one symbol that a plug-in exports.
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
extern const struct spur_env spur_env;

#ifdef __cplusplus
}
#endif

#endif
