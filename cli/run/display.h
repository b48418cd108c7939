// SPDX-License-Identifier: MIT
// Progress output of `spur run`: a live line on a terminal, otherwise a line every ten seconds;
// events are printed on separate lines.
#ifndef SPUR_CLI_RUN_DISPLAY_H
#define SPUR_CLI_RUN_DISPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/wire.h"

#define DISPLAY_PLAIN_MS 10000 // interval of lines without a terminal
#define DISPLAY_MARKS 64       // samples of the last minute, to estimate the time left

struct display {
    bool tty, drawn; // drawn: the live line is on the screen
    uint64_t plain_ms;
    uint64_t moved_ms, env_steps, updates; // the last progress: its time and the counts after it
    struct {
        uint64_t ms, env_steps;
    } mark[DISPLAY_MARKS]; // ring, one sample per second
    int marks, next_mark;
};

void display_init(struct display *d);
// Shows the newest status (NULL: none received yet); age_ms: its age.
void display_update(struct display *d, uint64_t now_ms, const struct wire_status *status,
                    uint64_t age_ms);
// Prints an event, in place of the live line, which the next update draws again.
void display_event(struct display *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Ends the live line; it remains on the screen.
void display_end(struct display *d);

// Formats the live line, without trailing blanks. still: no step and no update for a while; then it
// names the reason. Public for tests.
void display_line(char *out, size_t out_len, const struct wire_status *status, double left_s,
                  bool still);

// Notes the status and extrapolates the rate of the last minute, with trainings of the ensemble.
// NAN while that rate says nothing: at first, during exploration, and while steps wait until the
// learner has made up for many updates, as it does after exploration. Public for tests.
double display_time_left_s(struct display *d, uint64_t now_ms, const struct wire_status *status);

#endif
