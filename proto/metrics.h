// SPDX-License-Identifier: MIT
// Named figures of an update, such as losses: a small table of names and values.
//
// Each method chooses its own names in snake_case. Progress and Status contain the table
// unchanged, and it is printed, plotted and exported by name. A new figure therefore changes no
// message, no status printer and no CSV code.
#ifndef SPUR_PROTO_METRICS_H
#define SPUR_PROTO_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#define METRICS_MAX 24
#define METRIC_NAME_MAX 32 // NUL included

struct metric {
    char name[METRIC_NAME_MAX];
    double value;
};

// In the order of first use. All zero: empty.
struct metrics {
    uint32_t count;
    struct metric list[METRICS_MAX];
};

// Sets a figure; a new name must fit in the table.
void metrics_set(struct metrics *m, const char *name, double value);
// NULL: no figure of that name.
const double *metrics_find(const struct metrics *m, const char *name);
bool metrics_finite(const struct metrics *m);
// Whether a name consists of lower-case letters, digits and underscores and begins with a letter,
// so that it is valid in CSV and JSON. Applied to names in received messages.
bool metrics_name_ok(const char *name);

// Sums over n updates. All zero: empty.
struct metrics_sum {
    uint64_t n;
    struct metrics total;
};
void metrics_sum_add(struct metrics_sum *sum, const struct metrics *m);          // one update
void metrics_sum_merge(struct metrics_sum *sum, const struct metrics_sum *more); // more->n updates
// Sets the sums to zero; the names are kept.
void metrics_sum_clear(struct metrics_sum *sum);
// The means; NaN for every name when sum->n is 0.
struct metrics metrics_mean(const struct metrics_sum *sum);

#endif
