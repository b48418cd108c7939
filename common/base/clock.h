// SPDX-License-Identifier: MIT
// Monotonic time, processor time and wall-clock time. Cores do not call these: they get
// the time as an argument (now_ms).
#ifndef SPUR_COMMON_BASE_CLOCK_H
#define SPUR_COMMON_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_ms(void);     // monotonic, for timers, ages and rates
uint64_t clock_ns(void);     // monotonic, for measurements
uint64_t clock_cpu_ns(void); // processor time of the calling thread, for measurements
double clock_wall_s(void);   // seconds since 1970, for logs and identifiers, not for timers

#endif
