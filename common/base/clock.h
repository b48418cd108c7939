// SPDX-License-Identifier: MIT
// The two clocks. Cores never call these: time is an argument (now_ms).
#ifndef SPUR_COMMON_BASE_CLOCK_H
#define SPUR_COMMON_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_ms(void);     // monotonic, for timers, ages and rates
uint64_t clock_ns(void);     // monotonic, for measuring
uint64_t clock_cpu_ns(void); // time on the processor of the calling thread, for measuring
double clock_wall_s(void);   // seconds since 1970: for people and identifiers, never for timers

#endif
