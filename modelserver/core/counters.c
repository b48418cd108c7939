// SPDX-License-Identifier: MIT
// Counters by name.
#include "modelserver/core/counters.h"

void counters_add(struct counters *c, enum ms_counter counter, uint64_t n) {
    c->n[counter] += n;
}

const char *counter_name(enum ms_counter counter) {
    static const char *const names[] = {
#define X(name) #name,
        MS_COUNTERS(X)
#undef X
    };
    return names[counter];
}
