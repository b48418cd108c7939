// SPDX-License-Identifier: MIT
// Times of the last move and of the last report.
#include "modelserver/core/watchdog.h"

#include "common/base/log.h"

#define REPORT_MS 600000 // between two reports of one standstill

void watchdog_init(struct watchdog *w, uint64_t now_ms, uint64_t stuck_s, uint64_t stop_s) {
    *w =
        (struct watchdog){.stuck_ms = stuck_s * 1000, .stop_ms = stop_s * 1000, .moved_ms = now_ms};
}

uint64_t watchdog_stuck_ms(const struct watchdog *w, uint64_t now_ms) {
    uint64_t still_ms = now_ms - w->moved_ms;
    return still_ms >= w->stuck_ms ? still_ms : 0;
}

enum watchdog_verdict watchdog_tick(struct watchdog *w, uint64_t now_ms, uint64_t mark) {
    if (mark != w->mark) {
        bool was_stuck = w->reported_ms != 0;
        w->mark = mark;
        w->moved_ms = now_ms;
        w->reported_ms = 0;
        return was_stuck ? WATCHDOG_MOVES : WATCHDOG_QUIET;
    }
    uint64_t stuck_ms = watchdog_stuck_ms(w, now_ms);
    if (w->stop_ms > 0 && stuck_ms >= w->stop_ms) {
        return WATCHDOG_STOP;
    }
    return stuck_ms > 0 && log_due(&w->reported_ms, now_ms, REPORT_MS) ? WATCHDOG_REPORT
                                                                       : WATCHDOG_QUIET;
}
