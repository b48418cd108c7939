// SPDX-License-Identifier: MIT
// The inside of `spur bench`: what is measured, and how a measurement tells of
// itself. For the bench_*.c files.
//
// A case measures one rate for some time and is asked for it once a round. What
// belongs together is measured together and closed before the next is opened. A
// limit is the rate of another case, divided by what one unit of this one costs
// there; shares are taken within a round, so that a machine whose speed drifts
// does not distort them.
#ifndef SPUR_CLI_BENCH_BENCH_H
#define SPUR_CLI_BENCH_BENCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"
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
    int beside;                // index of the case that it is compared with, or BENCH_NO_LIMIT
    char note[BENCH_TEXT_MAX]; // what the limit is, or why there is none
    double rate[BENCH_ROUNDS], share[BENCH_ROUNDS], ratio[BENCH_ROUNDS];
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
// The same of products in bf16; BENCH_NO_LIMIT also where the processor has none.
int bench_add_peak_bf16(struct bench *b);
void bench_add_compute(struct bench *b, int peak, const char *where);
// One rate at Hopper's dimensions with the networks, batches, threads and kernels
// that the configuration says; what: its words for people, before those for threads.
// rows: of the replay buffer; of D_env. length: of the rollouts, k.
struct bench_case *bench_add_sac(struct bench *b, int peak, const char *name,
                                 const struct config *c, uint32_t rows);
struct bench_case *bench_add_ensemble(struct bench *b, int peak, const char *name,
                                      const struct config *c, uint32_t rows);
struct bench_case *bench_add_rollouts(struct bench *b, int peak, const char *name,
                                      const struct config *c, uint32_t length);
// How cost grows with what a configuration says.
void bench_add_growth(struct bench *b, int peak);
// Updates in a whole run beside `alone`. where: as of bench_add_store.
void bench_add_system(struct bench *b, const struct bench_case *alone, const char *where);
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

// A fresh folder in `where`, which must not be longer than PATH_MAX - 32. 0, or -1.
int bench_make_folder(char out[PATH_MAX], const char *where);
// Removes a folder and what is in it. Symbolic links are not followed.
void bench_remove_folder(const char *path);

#endif
