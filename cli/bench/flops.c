// SPDX-License-Identifier: MIT
// Two operations for each weight and row.
#include "cli/bench/flops.h"

#include <stdio.h>

double bench_forward_flop(const struct mlp *m) {
    double sum = 0;
    for (int l = 0; l < m->layers; l++) {
        sum += 2.0 * m->dims[l] * m->dims[l + 1];
    }
    return sum;
}

double bench_backward_flop(const struct mlp *m) {
    return bench_forward_flop(m) - 2.0 * m->dims[0] * m->dims[1];
}

void bench_set_limit(struct bench_case *c, int peak, double gflop, int threads) {
    c->limit = peak;
    c->cost = gflop / threads;
    if (peak == BENCH_NO_LIMIT) {
        snprintf(c->note, sizeof(c->note), "%.4g MFLOP each; no limit: the peak is not measured",
                 gflop * 1e3);
    } else {
        snprintf(c->note, sizeof(c->note), "%.4g MFLOP each; limit: the peak of %d core%s",
                 gflop * 1e3, threads, threads > 1 ? "s" : "");
    }
}

bench_repeat_fn *bench_repeat_of(int threads) {
    return threads > 1 ? bench_repeat : bench_repeat_cpu;
}
