// SPDX-License-Identifier: MIT
// clock_gettime in the units of clock.h.
#include "common/base/clock.h"

#include <time.h>

static uint64_t read_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_cpu_ns(void) {
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_ns(void) {
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_ms(void) {
    return clock_ns() / 1000000u;
}

double clock_wall_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
