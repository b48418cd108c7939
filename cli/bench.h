// SPDX-License-Identifier: MIT
// The inside of `spur bench`: what is measured, and how a measurement tells of
// itself. For the bench_*.c files.
//
// A case measures one rate for some time and is asked for it once a round. What
// belongs together is measured together and closed before the next is opened. A
// limit is the rate of another case, divided by what one unit of this one costs
// there; shares are taken within a round, so that a machine whose speed drifts
// does not distort them.
#ifndef SPUR_CLI_BENCH_H
#define SPUR_CLI_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/task/task.h"

#define BENCH_CASES_MAX 160
#define BENCH_ROUNDS 5
#define BENCH_ENV_CASES 4 // of one task
#define BENCH_TEXT_MAX 256
#define BENCH_NO_LIMIT (-1)

struct bench_case {
    char name[64]; // "sac_updates": the key in JSON
    char what[96]; // for people
    const char *unit;
    // Measures for about so many seconds: units a second. Negative: it could not,
    // and `note` says why.
    double (*run)(struct bench_case *c, double seconds);
    void *state; // of run; closed by close unless NULL
    void (*close)(void *state);
    int limit;                 // index of the case that bounds it, or BENCH_NO_LIMIT
    double cost;               // units of the limit's rate that one of ours takes
    char note[BENCH_TEXT_MAX]; // what the limit is, or why there is none
    double rate[BENCH_ROUNDS], share[BENCH_ROUNDS];
    int rounds; // measured
};

struct bench {
    struct bench_case cases[BENCH_CASES_MAX];
    int count;
    int closed; // the first so many are measured and closed
};

// The next free case, zeroed but for its name and BENCH_NO_LIMIT.
struct bench_case *bench_add(struct bench *b, const char *name, const char *unit);
int bench_index(const struct bench *b, const struct bench_case *c);

// Each adds its cases. bench_add_peak comes first and returns the index of the
// case that bounds arithmetic on one core, or BENCH_NO_LIMIT.
int bench_add_peak(struct bench *b);
void bench_add_compute(struct bench *b, int peak);
// Those of a task's environment; whether they are worth it.
bool bench_has_env(const struct task *task);
void bench_add_env(struct bench *b, const struct task *task);
// where: the folder in which the store's own is made, and removed again.
void bench_add_store(struct bench *b, const char *where);

// Calls step(state), which does n units of work, until the time is over: units
// a second.
double bench_repeat(void (*step)(void *state), void *state, double n, double seconds);
// The same by the time that the thread spends on the processor.
double bench_repeat_cpu(void (*step)(void *state), void *state, double n, double seconds);

#endif
