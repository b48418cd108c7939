// SPDX-License-Identifier: MIT
// The learner's state in files, from which a killed learner resumes.
//
//   RUN_DIR/checkpoint/learner.safetensors           weights, moments, temperature, counters
//   RUN_DIR/checkpoint/learner.previous.safetensors  the one before
//   RUN_DIR/checkpoint/replay_model.safetensors      D_model, oldest row first; if the method has
//   one RUN_DIR/policy.safetensors                       the policy alone, for others
//
// D_env is not here: its home is the model server's store, which sends it again.
// The two parts carry one mark (updates made + model rows ever received). They
// are written so that a crash at any instant leaves a pair that belongs together:
// the new learner file under a name of its own, then D_model over the old one
// (from here on the new pair counts), then the learner files move up one place.
#ifndef SPUR_LEARNER_CHECKPOINT_H
#define SPUR_LEARNER_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "learner/methods/method.h"

// What a checkpoint holds; all pointers are borrowed.
struct checkpoint {
    const struct config *config;
    const struct task *task;
    const char *run_dir;
    const struct method *method;
    void *agent;            // the method's state
    struct replay *d_model; // NULL: the method needs none
    uint64_t updates, policy_version;
};

// 0, or -1 with a sentence in err; the checkpoint before is then still whole.
int checkpoint_save(const struct checkpoint *c, char *err, size_t err_len);

// Loads the newest readable checkpoint into c: agent is destroyed and replaced, d_model is
// filled. 0 also when there is none, and c is unchanged. -1 with a sentence in err: it is
// another task's, or there are files and none is readable.
int checkpoint_load(struct checkpoint *c, char *err, size_t err_len);

#endif
