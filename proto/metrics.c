// SPDX-License-Identifier: MIT
// The table of named figures, searched linearly: it has at most METRICS_MAX entries.
#include "proto/metrics.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"

static struct metric *find(struct metrics *m, const char *name) {
    for (uint32_t i = 0; i < m->count; i++) {
        if (strcmp(m->list[i].name, name) == 0) {
            return &m->list[i];
        }
    }
    return NULL;
}

static struct metric *find_or_append(struct metrics *m, const char *name) {
    struct metric *metric = find(m, name);
    if (!metric) {
        CHECK(m->count < METRICS_MAX && metrics_name_ok(name));
        metric = &m->list[m->count++];
        *metric = (struct metric){0};
        memcpy(metric->name, name, strlen(name));
    }
    return metric;
}

void metrics_set(struct metrics *m, const char *name, double value) {
    find_or_append(m, name)->value = value;
}

const double *metrics_find(const struct metrics *m, const char *name) {
    struct metric *metric = find((struct metrics *)m, name);
    return metric ? &metric->value : NULL;
}

bool metrics_finite(const struct metrics *m) {
    for (uint32_t i = 0; i < m->count; i++) {
        if (!isfinite(m->list[i].value)) {
            return false;
        }
    }
    return true;
}

bool metrics_name_ok(const char *name) {
    size_t n = strnlen(name, METRIC_NAME_MAX);
    if (n == 0 || n == METRIC_NAME_MAX || !islower((unsigned char)name[0])) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)name[i];
        if (!islower(c) && !isdigit(c) && c != '_') {
            return false;
        }
    }
    return true;
}

static void add(struct metrics *total, const struct metrics *m) {
    for (uint32_t i = 0; i < m->count; i++) {
        find_or_append(total, m->list[i].name)->value += m->list[i].value;
    }
}

void metrics_sum_add(struct metrics_sum *sum, const struct metrics *m) {
    add(&sum->total, m);
    sum->n++;
}

void metrics_sum_merge(struct metrics_sum *sum, const struct metrics_sum *more) {
    add(&sum->total, &more->total);
    sum->n += more->n;
}

void metrics_sum_clear(struct metrics_sum *sum) {
    sum->n = 0;
    for (uint32_t i = 0; i < sum->total.count; i++) {
        sum->total.list[i].value = 0;
    }
}

struct metrics metrics_mean(const struct metrics_sum *sum) {
    struct metrics mean = sum->total;
    for (uint32_t i = 0; i < mean.count; i++) {
        mean.list[i].value = sum->n > 0 ? mean.list[i].value / (double)sum->n : (double)NAN;
    }
    return mean;
}
