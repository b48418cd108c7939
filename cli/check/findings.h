// SPDX-License-Identifier: MIT
// What is wrong or unusual in the figures of an environment: sentences with a remedy.
#ifndef SPUR_CLI_CHECK_FINDINGS_H
#define SPUR_CLI_CHECK_FINDINGS_H

#include "cli/check/trial.h"
#include "common/config/config.h"

#define FINDINGS_MAX 32
#define FINDING_LEN 400

// All that was measured. RANDOM and ZERO are the trials.
enum { CHECK_RANDOM, CHECK_ZERO, CHECK_TRIALS };
struct measured {
    const struct task *task;
    const struct config *config;
    struct trial trial[CHECK_TRIALS];
    struct trial_obs obs;
    struct probe probe;
};

struct findings {
    int errors, warnings;
    char error[FINDINGS_MAX][FINDING_LEN], warning[FINDINGS_MAX][FINDING_LEN];
};

void findings_collect(struct findings *f, const struct measured *m);

// Steps per second, and milliseconds of a reset, over all trials. 0: none was made.
double measured_steps_per_s(const struct measured *m);
double measured_reset_ms(const struct measured *m);

#endif
