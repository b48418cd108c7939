// SPDX-License-Identifier: MIT
// What `spur run` shows while it runs: on a terminal one line that is drawn over
// and over, elsewhere a plain line now and then; and events on lines of their own.
#ifndef SPUR_CLI_RUN_DISPLAY_H
#define SPUR_CLI_RUN_DISPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/wire.h"

#define DISPLAY_PLAIN_MS 10000 // between plain lines
#define DISPLAY_MARKS 64       // of the last minute, for the time left

struct display {
    bool tty, drawn; // drawn: the live line stands on the terminal
    uint64_t plain_ms;
    struct {
        uint64_t ms, env_steps;
    } mark[DISPLAY_MARKS]; // one a second, a ring
    int marks, next_mark;
};

void display_init(struct display *d);
// The newest status and how old it is; NULL while none has come yet.
void display_update(struct display *d, uint64_t now_ms, const struct wire_status *status,
                    uint64_t age_ms);
// A line that stays.
void display_event(struct display *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Leaves the live line behind as it is.
void display_end(struct display *d);

// The line itself, without blanks at the end; for tests, too.
void display_line(char *out, size_t out_len, const struct wire_status *status, double left_s);

#endif
