// SPDX-License-Identifier: MIT
// The interface of a plug-in: an environment of your own, in C or any language that can export a
// C struct, which spur loads and steps in a process of its own.
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
// spur loads the file, looks up the symbol spur_env, and validates the struct before it calls a
// function. It validates the results of every step. A step with a number that is not finite, with
// an unwritten observation, or with a write beyond the observation is reported, dropped and not
// learned from. So is one that crashes, exits or hangs: the next episode runs in a new process.
// Standard output and error go to the log.
//
// The functions of one environment are called from one thread. With task.isolate: false several
// environments share a process: keep their state in the memory that create returns. Derive random
// numbers from the seed of reset, so that runs can be reproduced.
#ifndef SPUR_ENV_H
#define SPUR_ENV_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Grows with every incompatible change. The program refuses plug-ins of another version: compile
// them again.
#define SPUR_ENV_VERSION 1

#define SPUR_ENV_OBS_MAX 512
#define SPUR_ENV_ACT_MAX 64
#define SPUR_ENV_RANGES_MAX 16

// The episode ends unless low < observation[index] < high.
struct spur_env_range {
    uint32_t index;
    float low, high;
};

struct spur_env {
    uint32_t version; // SPUR_ENV_VERSION
    uint32_t size;    // sizeof(struct spur_env)

    const char *name; // of the task: a letter, then letters, digits, '_', '-'; at most 63
    uint32_t obs_dim; // numbers in an observation, 1 .. SPUR_ENV_OBS_MAX
    uint32_t act_dim; // numbers in an action, 1 .. SPUR_ENV_ACT_MAX
    uint32_t horizon; // steps after which spur truncates an episode, at least 1

    // (act_dim) each: bounds of the actions in the units of step; the policy's -1 and 1.
    const float *act_low, *act_high;

    // The termination rule as far as it depends on the observation. Both the learned model's
    // rollouts and spur's episodes end by it. No rule: leave both zero.
    uint32_t ranges; // at most SPUR_ENV_RANGES_MAX
    const struct spur_env_range *range;

    // Creates an environment. NULL with a message in err (err_len bytes) on failure.
    void *(*create)(char *err, size_t err_len);
    void (*destroy)(void *env);
    // Begins an episode in a state that depends only on seed, and writes obs (obs_dim).
    void (*reset)(void *env, float *obs, uint64_t seed);
    // One step with action (act_dim), within the bounds. Writes all of obs (obs_dim), the reward,
    // and whether the episode ends by another rule than the ranges. Returns 0; another value
    // means that the step failed: it is dropped, and the next call is reset.
    int (*step)(void *env, float *obs, double *reward, int *terminated, const float *action);
};

// The symbol that a plug-in exports.
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
extern const struct spur_env spur_env;

#ifdef __cplusplus
}
#endif

#endif
