// SPDX-License-Identifier: MIT
// Scaling of the cost of learning and planning: one setting is varied at a time, the rest are
// Hopper's.
#include "cli/bench/bench.h"

#include <stdio.h>

#define REPLAY_ROWS 20000
#define TRAINING_ROWS 4096

static struct config hopper(void) {
    struct config c;
    bench_config(&c);
    c.compute.learner_threads = c.compute.modelserver_threads = 1;
    return c;
}

static const char *name(char out[64], const char *what, uint32_t value) {
    snprintf(out, 64, "%s_%u", what, value);
    return out;
}

static void add_sac(struct bench *b, int peak) {
    static const int batches[] = {64, 128, 256, 512, 1024}, widths[] = {64, 128, 256, 512, 1024};
    static const uint32_t rows[] = {20000, 400000, 6000000}; // D_model at k = 1 and at k = 15
    char text[64];
    for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
        struct config c = hopper();
        c.sac.batch_size = batches[i];
        bench_add_sac(b, peak, name(text, "sac_batch", (uint32_t)batches[i]), &c, REPLAY_ROWS);
    }
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        struct config c = hopper();
        c.sac.hidden_width = widths[i];
        bench_add_sac(b, peak, name(text, "sac_width", (uint32_t)widths[i]), &c, REPLAY_ROWS);
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config c = hopper();
        bench_add_sac(b, peak, name(text, "sac_model_rows", rows[i]), &c, rows[i]);
    }
}

static void add_ensemble(struct bench *b, int peak) {
    static const int members[] = {1, 3, 7, 14}, widths[] = {100, 200, 400};
    static const uint32_t rows[] = {2500, 10000, 40000};
    char text[64];
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        struct config c = hopper();
        c.model.members = members[i];
        c.model.elites = 1;
        bench_add_ensemble(b, peak, name(text, "ensemble_members", (uint32_t)members[i]), &c,
                           TRAINING_ROWS);
    }
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        struct config c = hopper();
        c.model.hidden_width = widths[i];
        bench_add_ensemble(b, peak, name(text, "ensemble_width", (uint32_t)widths[i]), &c,
                           TRAINING_ROWS);
    }
    // Includes the evaluation on holdout rows after each epoch.
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config c = hopper();
        bench_add_ensemble(b, peak, name(text, "ensemble_env_rows", rows[i]), &c, rows[i]);
    }
}

static void add_rollouts(struct bench *b, int peak) {
    static const uint32_t lengths[] = {1, 5, 15};
    char text[64];
    struct config c = hopper();
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        bench_add_rollouts(b, peak, name(text, "rollout_k", lengths[i]), &c, lengths[i]);
    }
}

void bench_add_growth(struct bench *b, int peak) {
    add_sac(b, peak);
    add_ensemble(b, peak);
    add_rollouts(b, peak);
}
