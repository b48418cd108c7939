// SPDX-License-Identifier: MIT
// The learner's state in files, from which a killed learner resumes.
//
//   RUN_DIR/checkpoint/learner.safetensors           weights, moments, temperature, counters
//   RUN_DIR/checkpoint/learner.previous.safetensors  the previous one
//   RUN_DIR/checkpoint/replay_model.safetensors      D_model, oldest row first; lockstep only
//   RUN_DIR/policy.safetensors                       the policy alone, for other programs
//
// D_env is not included: the model server stores it and sends it again. D_model, which is by far
// the largest part, is included in lockstep only, where a resumed learner continues with the same
// bits. In ratio it starts empty, and the model server makes its first fill again.
//
// Files are made in the learner's own folder (staging.h) and renamed to their places, so that a
// learner whose place was taken changes none of them.
//
// A checkpoint is copied, and the copy is written, which may happen on another thread. D_model is
// not copied, so with D_model the trainer must wait for the writing.
//
// The learner file and D_model share a mark (updates + model rows ever received). The order of
// writing leaves a matching pair after a crash at any instant: both are made in the folder; then
// D_model replaces the old one (from here on the new pair is valid); then the learner files are
// renamed. The next start finds the new learner file in the folder of the one before.
#ifndef SPUR_LEARNER_CHECKPOINT_H
#define SPUR_LEARNER_CHECKPOINT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learner/methods/method.h"

// The step of a file of an earlier build, which has none: no checkpoint of a model server fits.
#define CHECKPOINT_NO_STEP UINT64_MAX

// What a checkpoint holds; all pointers are borrowed.
struct checkpoint {
    const struct config *config;
    const struct task *task;
    const char *run_dir;
    const char *staging; // staging.h, of this start: checkpoint_stage's
    const struct method *method;
    void *agent;             // the method's state
    struct states *d_states; // NULL: none
    struct replay *d_model;  // NULL: the method needs none
    uint64_t updates, policy_version;
    // Lockstep, else 0 and NULL: the number of real steps, whose updates these are, and the policy
    // that was published last, with its number of updates.
    uint64_t step;
    float *published;
    uint64_t published_updates;
};

// Whether D_model is part of the checkpoints of a run.
bool checkpoint_has_rows(const struct config *config);

// Makes the folder of this start, to be removed by staging_remove. From now on earlier starts can
// write no checkpoint. 0, or -1 with a sentence in err.
int checkpoint_stage(char staging[PATH_MAX], const char *run_dir, char *err, size_t err_len);

// A copy of everything but D_model, with its own memory; run_dir, staging and task are borrowed.
struct checkpoint_copy;
struct checkpoint_copy *checkpoint_copy_create(const struct checkpoint *c);
void checkpoint_copy_destroy(struct checkpoint_copy **copy);

// Writes the files. d_model: its rows; NULL if they are not part of the checkpoint. 0, or -1 with
// a sentence in err; then the previous checkpoint is still valid.
int checkpoint_write(const struct checkpoint_copy *copy, const struct replay *d_model, char *err,
                     size_t err_len);

// Loads the newest readable checkpoint into c: agent is destroyed and replaced, d_model is
// filled. 1; 0 without a checkpoint, and c is unchanged. -1 with a sentence in err: the
// checkpoint belongs to another task, or no file is readable.
int checkpoint_load(struct checkpoint *c, char *err, size_t err_len);

// Loads what config.from names into the agent of a new run: weights without the optimizer's state,
// from the checkpoint of another run. 0, or -1 with a sentence in err: there is none, or its shapes
// differ.
int checkpoint_take_over(struct checkpoint *c, char *err, size_t err_len);

#endif
