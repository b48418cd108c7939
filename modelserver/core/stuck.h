// SPDX-License-Identifier: MIT
// What a run that does not move waits for.
#ifndef SPUR_MODELSERVER_CORE_STUCK_H
#define SPUR_MODELSERVER_CORE_STUCK_H

#include <stddef.h>
#include <stdint.h>

#include "modelserver/core/core.h"

// A number that changes whenever anything is done in the run: for the watchdog.
uint64_t stuck_mark(const struct modelserver *ms);

// Who or what holds the run up, on what, and since when. "" while the run moves.
void stuck_describe(const struct modelserver *ms, uint64_t now_ms, char *out, size_t out_len);

#endif
