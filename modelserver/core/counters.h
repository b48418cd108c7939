// SPDX-License-Identifier: MIT
// Counters of refused, dropped and repeated things; storage/state.h has their
// names.
#ifndef SPUR_MODELSERVER_CORE_COUNTERS_H
#define SPUR_MODELSERVER_CORE_COUNTERS_H

#include <stdint.h>

#include "modelserver/storage/state.h"

struct counters {
    uint64_t n[MS_COUNTER_COUNT];
};

void counters_add(struct counters *c, enum ms_counter counter, uint64_t n);
const char *counter_name(enum ms_counter counter);

#endif
