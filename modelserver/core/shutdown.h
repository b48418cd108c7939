// SPDX-License-Identifier: MIT
// The end of a run: its phase, its reason, and what peers are sent.
#ifndef SPUR_MODELSERVER_CORE_SHUTDOWN_H
#define SPUR_MODELSERVER_CORE_SHUTDOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/modelserver.h"

struct shutdown {
    enum ms_phase phase;
    uint64_t stop_ms; // when the end began
    bool announced;   // peers were sent Shutdown
    bool saved;       // the last checkpoint was requested
    bool failed;      // the run cannot go on
    struct wire_shutdown message;
};

#endif
