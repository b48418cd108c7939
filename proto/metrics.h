// SPDX-License-Identifier: MIT
// Named figures of an update, such as losses: a small table of names and values.
//
// Each method chooses its own names (snake_case, the field's words). The table travels in
// Progress and Status as it is, and is printed, plotted and exported by name, so that a new
// figure touches no message, no status printer and no CSV code.
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

// In the order in which the names first appeared. Zeroed: empty.
struct metrics {
    uint32_t count;
    struct metric list[METRICS_MAX];
};

// Sets or adds a figure. There must be room for a new name.
void metrics_set(struct metrics *m, const char *name, double value);
// NULL: no figure of that name.
const double *metrics_find(const struct metrics *m, const char *name);
bool metrics_finite(const struct metrics *m);
// Lower-case letters, digits and underscores, a letter first: a column of a CSV file and a key
// of JSON. Names from the wire are checked by this.
bool metrics_name_ok(const char *name);

// Sums over n updates. Zeroed: empty.
struct metrics_sum {
    uint64_t n;
    struct metrics total;
};
void metrics_sum_add(struct metrics_sum *sum, const struct metrics *m);          // one update
void metrics_sum_merge(struct metrics_sum *sum, const struct metrics_sum *more); // more->n updates
// Starts over; the names stay.
void metrics_sum_clear(struct metrics_sum *sum);
// The means; NaN for every name when sum->n is 0.
struct metrics metrics_mean(const struct metrics_sum *sum);

#endif
