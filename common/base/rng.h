// SPDX-License-Identifier: MIT
// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As
// Easy as 1, 2, 3", SC 2011).
//
// Each number is a pure function of (seed, stream, index). There is no hidden state: a
// struct rng is a position in a stream, which can be copied, saved in a checkpoint and
// continued. Each use has streams of its own, named by the enum below and a sub-number
// such as the index of an actor, so a new draw in one place does not change the numbers of
// another.
//
// Numbers are equal on all machines, except the last bit of normals, which depends on libm.
#ifndef SPUR_COMMON_BASE_RNG_H
#define SPUR_COMMON_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

enum rng_use {
    RNG_ENV_RESET = 1,   // start states of actors; sub = environment << 32 | actor index
    RNG_EXPLORE,         // uniform actions before learning; same sub
    RNG_ACT,             // noise of the acting policy; same sub
    RNG_EVAL_RESET,      // start states of evaluations; sub = episode
    RNG_MODEL_INIT,      // sub = member
    RNG_MODEL_SPLIT,     // permutation for the holdout set; sub = training number
    RNG_MODEL_BOOTSTRAP, // sub = training number * 64 + member
    RNG_MODEL_SHUFFLE,   // sub = training number * 64 + member
    RNG_ROLLOUT_START,
    RNG_ROLLOUT_MEMBER,
    RNG_ROLLOUT_ACT,
    RNG_ROLLOUT_NEXT,
    RNG_POLICY_INIT,
    RNG_CRITIC_INIT, // sub = critic 0 or 1
    RNG_REPLAY_REAL,
    RNG_REPLAY_MODEL,
    RNG_SAC_TARGET, // noise of the next action in the Bellman target
    RNG_SAC_ACTOR,  // noise of the action in the policy's loss
    RNG_TEST,
    RNG_BENCH,
    RNG_TERMINATION_INIT,  // of the heads; sub = member
    RNG_TERMINATION_BATCH, // sub = training number * 64 + member
    RNG_ROLLOUT_END,       // whether a head ends a rollout
    RNG_EVAL_ACT,          // actions of evaluations; sub = episode
    RNG_TRAINING_STATE,    // training rollouts: start states and critics; sub = draw
    RNG_TRAINING_ACT,      // noise of actions; sub = draw * 32 + step, as in the following
    RNG_TRAINING_NEXT,     // noise of next states
    RNG_TRAINING_MEMBER,   // members of the tiles
    RNG_TRAINING_END,      // whether a head ends a row
    RNG_MODEL_DROPOUT,     // sub = training step * 32 + member
    RNG_DATA_FILL,         // rows in the places of dropped ones; sub = place
    RNG_MODEL_HOLDOUT,     // whether a row is held out; sub = row
    RNG_MODEL_ROW_WEIGHT,  // weight of a row; sub = row * 32 + member
    RNG_CRITIC_DROPOUT,    // sub = draw * 10 + critic
};

// The largest count, as of updates or trainings, from which the sub-numbers above are made. No run
// reaches it: 400 updates a second take more than a year.
#define RNG_COUNT_MAX (UINT64_C(1) << 34)

// A position in a stream: a plain value.
struct rng {
    uint64_t seed;
    uint64_t stream; // use << 40 | sub
    uint64_t index;  // of the next number, in 32-bit words
};

// sub must be below 2^40.
struct rng rng_make(uint64_t seed, enum rng_use use, uint64_t sub);

// The generator itself: the four words of block number `block` of a stream.
void rng_block(uint32_t out[4], uint64_t seed, uint64_t stream, uint64_t block);

uint32_t rng_u32(struct rng *r);
uint64_t rng_u64(struct rng *r);
double rng_uniform(struct rng *r);                     // [0, 1), 53 bits
double rng_range(struct rng *r, double lo, double hi); // [lo, hi)
uint32_t rng_below(struct rng *r, uint32_t n);         // 0..n-1, unbiased; n > 0
double rng_normal(struct rng *r);                      // N(0, 1), Box-Muller, two words

// out[0..n) ~ N(0, 1). Uses ceil(n / 2) * 2 words, starting at an even index.
void rng_fill_normal(struct rng *r, float *out, size_t n);
// out[0..n) = a random permutation of 0..n-1 (Fisher-Yates).
void rng_permutation(struct rng *r, uint32_t *out, uint32_t n);

#endif
