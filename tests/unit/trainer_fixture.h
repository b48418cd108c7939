// SPDX-License-Identifier: MIT
// Fixture of the trainer's tests: a run directory, and commands given to a trainer.
#ifndef SPUR_TESTS_UNIT_TRAINER_FIXTURE_H
#define SPUR_TESTS_UNIT_TRAINER_FIXTURE_H

#include "tests/unit/learner_fixture.h"

#define MODEL_BASE 10000.0f // smallest reward of model rows

struct run {
    char dir[PATH_MAX];
    struct config config;
};

static inline struct trainer *make(const struct run *run) {
    char err[1024] = "";
    struct trainer *t = trainer_create(&run->config, fixture_task(), run->dir, err, sizeof(err));
    if (!t) {
        fail_msg("%s", err);
    }
    return t;
}

static inline void add(struct trainer *t, bool model, uint64_t first, uint32_t n) {
    static struct fixture_rows rows;
    fixture_fill(&rows, first, n, model ? MODEL_BASE : 0);
    struct trainer_command *command = fixture_command(&rows, n);
    command->model = model;
    trainer_handle(t, command);
}

static inline void grant(struct trainer *t, uint64_t updates, uint64_t capacity) {
    struct trainer_command *command = trainer_command_create(TRAINER_GRANT);
    command->updates_allowed = updates;
    command->model_capacity = capacity;
    trainer_handle(t, command);
}

static inline void command(struct trainer *t, enum trainer_command_kind kind) {
    trainer_handle(t, trainer_command_create(kind));
}

static inline void train_all(struct trainer *t) {
    while (trainer_can_update(t)) {
        trainer_update(t);
    }
}

static inline void setup(struct run *run) {
    fixture_folder(run->dir);
    run->config = fixture_config();
    run->config.sac.scale_rewards = false;     // rewards of the batch identify its rows
    run->config.pacing.mode = PACING_LOCKSTEP; // D_model is part of its checkpoints
}

#endif
