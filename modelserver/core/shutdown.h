// SPDX-License-Identifier: MIT
// The end of a run, in order: pending rows go to the learner; all peers are sent
// Shutdown; their last rows and checkpoints arrive; jobs finish; a last
// checkpoint is written.
#ifndef SPUR_MODELSERVER_CORE_SHUTDOWN_H
#define SPUR_MODELSERVER_CORE_SHUTDOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/phase.h"
#include "proto/wire.h"

struct shutdown {
    enum ms_phase phase;
    uint64_t begun_ms;
    bool announced; // peers were sent Shutdown
    bool saved;     // the last checkpoint was requested
    bool failed;    // the run cannot go on
    // A standby learner has requested the status, and when; of the end, once that has begun.
    bool standby, standby_told;
    uint64_t standby_ms;
    struct wire_shutdown message;
};

// done: the run is complete; else it was only stopped and can be resumed. Does
// nothing if the end has begun already.
void shutdown_begin(struct shutdown *s, uint64_t now_ms, bool done, const char *text);
// The end of a run that cannot go on.
void shutdown_fail(struct shutdown *s, uint64_t now_ms, const char *text);

// A standby learner has requested the status, which it is sent.
void shutdown_note_standby(struct shutdown *s, uint64_t now_ms);

// What the end waits for, beside a standby learner's next request.
struct shutdown_view {
    bool learner_up, others_up; // connected peers
    bool learner_drained;       // no rows are pending for the learner
    bool jobs_running;          // trainings, rollouts or stores
    bool saving_idle;
};
enum shutdown_step { SHUTDOWN_WAIT, SHUTDOWN_ANNOUNCE, SHUTDOWN_SAVE };
// The next step for the dispatcher to take.
enum shutdown_step shutdown_advance(struct shutdown *s, uint64_t now_ms,
                                    const struct shutdown_view *view);

#endif
