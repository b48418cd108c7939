// SPDX-License-Identifier: MIT
// Internal interface of spur-parity: parity.c reads a file and prints the report, model.c compares
// the task and its compiled model, replay.c the trajectories.
#ifndef SPUR_ACTOR_ENV_PARITY_PARITY_H
#define SPUR_ACTOR_ENV_PARITY_PARITY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "actor/env/env.h"
#include "common/base/check.h"
#include "common/task/task.h"

#define PARITY_STATE_MAX 512 // nq, nv

enum quantity {
    Q_TASK,
    Q_MODEL,
    Q_QPOS,
    Q_QVEL,
    Q_OBS,
    Q_REWARD,
    Q_COMP,
    Q_TERMINATED,
    Q_REWARD_V5,
    Q_TERMINATED_V5,
    Q_WARNINGS,
    Q_RESTART_QPOS,
    Q_RESTART_QVEL,
    Q_RESTART_OBS,
    Q_RESTART_REWARD,
    Q_RESTART_TERMINATED,
    Q_COUNT,
};

struct measure {
    long values, wrong;
    double largest;  // error
    char first[160]; // position of the first wrong value
};

// One file being checked.
struct parity {
    const char *path;
    FILE *report;
    struct env *env;
    const struct task *task;
    struct env *env_v5; // of the v5 class, for rewards and flags
    struct env_dims dims;
    bool has_comp;
    struct measure measures[Q_COUNT];
    char where[80]; // position in the file, for messages: "trajectory public-1"
    long step;      // in the trajectory; -1 elsewhere
    char err[512];
};

// Compares a file, with the report to one stream and what makes the file unusable to another.
// EXIT_CODE_OK: all within tolerance; _FAILURE: not; _IO: not a file of reference trajectories.
enum exit_code parity_check_file(const char *path, FILE *report, FILE *errors);

// Records one pair of numbers at p->where and p->step.
void parity_compare(struct parity *p, enum quantity q, double here, double file);

// Writes to p->err why the file cannot be used, after p->where. Returns false.
bool parity_refuse(struct parity *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Whether it is an array of exactly n numbers.
bool parity_is_row(const json_t *row, size_t n);

// Replaces control characters in text from a file by '?'.
void parity_make_printable(char *text);

// Each compares its part of the file; false when the file cannot be used.
bool parity_check_task(struct parity *p, const json_t *root);
bool parity_check_model(struct parity *p, const json_t *root);
bool parity_check_trajectories(struct parity *p, const json_t *root);

#endif
