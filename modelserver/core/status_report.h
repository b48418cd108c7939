// SPDX-License-Identifier: MIT
// The status of the whole run, as the model server knows it: every figure that
// `spur status` prints, and the reason for waiting.
#ifndef SPUR_MODELSERVER_CORE_STATUS_REPORT_H
#define SPUR_MODELSERVER_CORE_STATUS_REPORT_H

#include <stdint.h>

#include "modelserver/core/core.h"

// actors: room for PEERS_MAX of them, to which out->actors points afterwards.
void status_report_fill(const struct modelserver *ms, uint64_t now_ms,
                        struct wire_actor_status *actors, struct wire_status *out);

#endif
