// SPDX-License-Identifier: MIT
// Internal interface of `spur bench`: cases, their limits and helpers for measuring.
//
// A case measures one rate. It runs once per round, in a group of related cases, whose resources
// are released before the next group starts. A case may have a limit: the rate of another case,
// divided by the cost of one unit in units of that case. Shares of the limit are computed within a
// round, so that drift in the machine's speed cancels.
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
    char what[96]; // description
    const char *unit;
    // Measures for about that many seconds and returns units per second; negative on failure, with
    // the reason in `note`.
    double (*run)(struct bench_case *c, double seconds);
    void *state; // for run; released by close unless NULL
    void (*close)(void *state);
    int limit;                 // index of the limiting case, or BENCH_NO_LIMIT
    double cost;               // units of the limiting case per unit of this one
    int beside;                // index of the case to compare with, or BENCH_NO_LIMIT
    char note[BENCH_TEXT_MAX]; // description of the limit, or why there is none
    double rate[BENCH_ROUNDS], share[BENCH_ROUNDS], ratio[BENCH_ROUNDS];
    int rounds; // completed
};

struct bench {
    struct bench_case cases[BENCH_CASES_MAX];
    int count;
    int closed; // number of cases, from the first, that are measured and closed
};

// Adds a case without a limit.
struct bench_case *bench_add(struct bench *b, const char *name, const char *unit);
int bench_index(const struct bench *b, const struct bench_case *c);
// The configuration of Hopper, resolved.
void bench_config(struct config *c);

// Add groups of cases. bench_add_peak must be first; it returns the index of the case that measures
// the arithmetic peak of one core, or BENCH_NO_LIMIT.
int bench_add_peak(struct bench *b);
// Likewise for bf16 products; BENCH_NO_LIMIT if the processor lacks them.
int bench_add_peak_bf16(struct bench *b);
// Updates of method dhmbpo.
void bench_add_dhmbpo(struct bench *b, int peak);
void bench_add_compute(struct bench *b, int peak, const char *where);
// Add one case at Hopper's dimensions, with the networks, batch sizes, threads and kernels of c.
// rows: size of the replay buffer, or of D_env. length: k of the rollouts.
struct bench_case *bench_add_sac(struct bench *b, int peak, const char *name,
                                 const struct config *c, uint32_t rows);
struct bench_case *bench_add_ensemble(struct bench *b, int peak, const char *name,
                                      const struct config *c, uint32_t rows);
struct bench_case *bench_add_rollouts(struct bench *b, int peak, const char *name,
                                      const struct config *c, uint32_t length);
// Scaling of the cost with the parameters of a configuration.
void bench_add_growth(struct bench *b, int peak);
// Updates in a complete run, compared with `alone`. where: as in bench_add_store.
void bench_add_system(struct bench *b, const struct bench_case *alone, const char *where);
// Steps of a task's environment, if bench_has_env.
bool bench_has_env(const struct task *task);
void bench_add_env(struct bench *b, const struct task *task);
// where: parent of the store's temporary directory.
void bench_add_store(struct bench *b, const char *where);
// The same rates over ipc, over tcp with a token and over tcp with CURVE.
void bench_add_links(struct bench *b, const char *where);

// Calls step(state), which does n units of work, until `seconds` have passed. Returns units per
// second of wall-clock time, or of the thread's CPU time.
double bench_repeat(void (*step)(void *state), void *state, double n, double seconds);
double bench_repeat_cpu(void (*step)(void *state), void *state, double n, double seconds);

// Creates a temporary directory in `where`, a path of at most PATH_MAX - 32 bytes. Returns 0 or -1.
int bench_make_folder(char out[PATH_MAX], const char *where);
// Removes a directory and its contents. Symbolic links are not followed.
void bench_remove_folder(const char *path);

#endif
