// SPDX-License-Identifier: MIT
// The watchdog: whether the run moves. status_report.c says what is stuck.
#ifndef SPUR_MODELSERVER_CORE_WATCHDOG_H
#define SPUR_MODELSERVER_CORE_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct watchdog {
    uint64_t stuck_ms, stop_ms; // without a move until it is reported, and until the run stops
    uint64_t mark;              // of the last move
    uint64_t moved_ms;          // when that was
    uint64_t reported_ms;       // 0: not stuck
};

enum watchdog_verdict {
    WATCHDOG_QUIET,
    WATCHDOG_REPORT, // it is stuck: to be logged now
    WATCHDOG_MOVES,  // it moves again, after a report
    WATCHDOG_STOP,   // it was stuck for too long
};

void watchdog_init(struct watchdog *w, uint64_t now_ms, uint64_t stuck_s, uint64_t stop_s);
// mark: a number that changes whenever anything is done in the run.
enum watchdog_verdict watchdog_tick(struct watchdog *w, uint64_t now_ms, uint64_t mark);
// Time since the last move if the run is stuck, else 0.
uint64_t watchdog_stuck_ms(const struct watchdog *w, uint64_t now_ms);

#endif
