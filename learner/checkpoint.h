// SPDX-License-Identifier: MIT
// A trainer's state in files, so that a killed learner goes on where it was.
//
//   RUN_DIR/checkpoint/learner.safetensors           weights, moments, temperature, counters
//   RUN_DIR/checkpoint/learner.previous.safetensors  the one before
//   RUN_DIR/checkpoint/replay_model.safetensors      D_model, oldest row first
//   RUN_DIR/policy.safetensors                       the policy alone, for others
//
// D_env is not here: its home is the model server's store, which sends it again.
// The two parts carry one mark (updates made + model rows ever received). They
// are written so that a crash at any instant leaves a pair that belongs together:
// the new learner file under a name of its own, then D_model over the old one
// (from here on the new pair counts), then the learner files move up one place.
#ifndef SPUR_LEARNER_CHECKPOINT_H
#define SPUR_LEARNER_CHECKPOINT_H

#include <stddef.h>

struct trainer;

// 0, or -1 with a sentence in err; what was there before is then still whole.
int checkpoint_save(const struct trainer *t, char *err, size_t err_len);

// Loads the newest checkpoint that reads; 0 also when there is none. -1 with a
// sentence in err: it is another task's, or files are there and none reads.
int checkpoint_load(struct trainer *t, char *err, size_t err_len);

#endif
