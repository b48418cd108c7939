// SPDX-License-Identifier: MIT
// Floating-point operations of networks, and limits by them.
#ifndef SPUR_CLI_BENCH_FLOPS_H
#define SPUR_CLI_BENCH_FLOPS_H

#include "cli/bench/bench.h"
#include "common/nn/mlp.h"

// Forward pass of one row. The gradient of the weights takes the same number.
double bench_forward_flop(const struct mlp *m);
// Gradient of the activations of one row; not of the network's input.
double bench_backward_flop(const struct mlp *m);

// Sets the limit of a case with this number of operations on `threads` cores.
void bench_set_limit(struct bench_case *c, int peak, double gflop, int threads);

// One thread is timed by CPU time, which excludes other programs; more threads, which wait for each
// other, by wall-clock time.
typedef double bench_repeat_fn(void (*step)(void *state), void *state, double n, double seconds);
bench_repeat_fn *bench_repeat_of(int threads);

#endif
