// SPDX-License-Identifier: MIT
// Fixture of the learner's tests: a small configuration, numbered rows, a temporary
// folder.
#ifndef SPUR_TESTS_UNIT_LEARNER_FIXTURE_H
#define SPUR_TESTS_UNIT_LEARNER_FIXTURE_H

#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/config/config.h"
#include "common/nn/hidden.h"
#include "common/task/task.h"
#include "learner/methods/sac_method.h"
#include "learner/trainer.h"

#define OBS 4
#define ACT 1
#define FIXTURE_ROWS_MAX 512

static inline struct config fixture_config(void) {
    struct config c;
    char err[256];
    config_defaults(&c);
    const char *const sets[] = {
        "run.task=inverted_pendulum",    "run.seed=7",          "run.steps=2000",
        "run.explore_steps=100",         "sac.hidden_width=16", "sac.batch_size=40",
        "pacing.updates_per_step=4",     "rollout.per_step=2",  "rollout.epoch_steps=100",
        "rollout.schedule=[1, 2, 1, 3]",
    };
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        if (config_set(&c, sets[i], err, sizeof(err)) < 0) {
            fail_msg("%s: %s", sets[i], err);
        }
    }
    return c;
}

// The same, of method dhmbpo: one distribution rollout of at most 8 states for 4 updates.
static inline struct config fixture_states_config(void) {
    struct config c = fixture_config();
    char err[256];
    config_use_method(&c, METHOD_dhmbpo);
    const char *const sets[] = {
        "sac.hidden_width=16",     "sac.batch_size=32",     "model.members=3",
        "model.elites=2",          "model.hidden_width=16", "dhmbpo.states_every=4",
        "dhmbpo.starts=2",         "dhmbpo.states=4",       "rollout.schedule=[0, 1, 2, 2]",
        "dhmbpo.critic_updates=2", "dhmbpo.retain=3",
    };
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        if (config_set(&c, sets[i], err, sizeof(err)) < 0) {
            fail_msg("%s: %s", sets[i], err);
        }
    }
    return c;
}

// A random ensemble of that configuration as a message; its blocks are of *d.
static inline struct wire_model fixture_model(struct dynamics *d, const struct config *c,
                                              uint64_t version) {
    const struct ensemble *e = &d->ensemble;
    dynamics_init(d, c, task_find("inverted_pendulum"));
    ensemble_init(d->params, e, version);
    ensemble_normalizer_identity(d->normalizer, e);
    return (struct wire_model){.version = version,
                               .env_rows = 50,
                               .params_len = ensemble_params(e),
                               .params = d->params,
                               .normalizer_len = ensemble_normalizer_floats(e),
                               .normalizer = d->normalizer,
                               .elites = 2,
                               .elite = {2, 0}};
}

static inline const struct task *fixture_task(void) {
    const struct task *task = task_find("inverted_pendulum");
    assert_non_null(task);
    assert_int_equal(task->obs_dim, OBS);
    assert_int_equal(task->act_dim, ACT);
    return task;
}

// Row k: numbers derived from k; its reward base + k identifies it.
struct fixture_rows {
    float obs[FIXTURE_ROWS_MAX * OBS], next_obs[FIXTURE_ROWS_MAX * OBS];
    float act[FIXTURE_ROWS_MAX * ACT], reward[FIXTURE_ROWS_MAX];
    uint8_t flags[FIXTURE_ROWS_MAX]; // 0; for the test to set
};

static inline void fixture_fill(struct fixture_rows *out, uint64_t first, uint32_t n, float base) {
    assert_true(n <= FIXTURE_ROWS_MAX);
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < n; i++) {
        struct rng rng = rng_make(99, RNG_TEST, first + i);
        rng_fill_normal(&rng, out->obs + (size_t)i * OBS, OBS);
        rng_fill_normal(&rng, out->next_obs + (size_t)i * OBS, OBS);
        out->act[i] = (float)rng_range(&rng, -1, 1);
        out->reward[i] = base + (float)(first + i);
    }
}

// The command that carries them.
static inline struct trainer_command *fixture_command(const struct fixture_rows *rows, uint32_t n) {
    const struct wire_rows r = {.rows = n,
                                .obs_dim = OBS,
                                .act_dim = ACT,
                                .obs = rows->obs,
                                .act = rows->act,
                                .reward = rows->reward,
                                .next_obs = rows->next_obs,
                                .flags = rows->flags};
    return trainer_command_experience(&r, 0);
}

static inline void fixture_folder(char out[PATH_MAX]) {
    const char *tmp = getenv("TMPDIR");
    snprintf(out, PATH_MAX, "%s/spur-learner-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(out));
}

// Removes a folder of files and of folders of files.
static inline void fixture_remove(const char *dir) {
    DIR *d = opendir(dir);
    if (!d) {
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        char path[PATH_MAX];
        if (e->d_name[0] != '.' && file_join(path, sizeof(path), dir, e->d_name) == 0 &&
            unlink(path) < 0) {
            fixture_remove(path);
        }
    }
    closedir(d);
    rmdir(dir);
}

// The method's state: both methods keep SAC's.
static inline struct sac_method *fixture_sac(const struct trainer *t) {
    return t->agent;
}

#endif
