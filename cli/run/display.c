// SPDX-License-Identifier: MIT
// The live line of `spur run`: time left, returns, model and learner, cut to the terminal's width.
#include "cli/run/display.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/text.h"

enum { LINE_LEN = 512, MARK_MS = 1000, SILENT_MS = 5000, STILL_MS = 3000 };

void display_init(struct display *d) {
    *d = (struct display){.tty = isatty(STDOUT_FILENO)};
}

// ---- time left ----

static void add_mark(struct display *d, uint64_t now_ms, uint64_t env_steps) {
    int last = (d->next_mark + DISPLAY_MARKS - 1) % DISPLAY_MARKS;
    if (d->marks > 0 && now_ms - d->mark[last].ms < MARK_MS) {
        return;
    }
    d->mark[d->next_mark].ms = now_ms;
    d->mark[d->next_mark].env_steps = env_steps;
    d->next_mark = (d->next_mark + 1) % DISPLAY_MARKS;
    d->marks += d->marks < DISPLAY_MARKS;
}

// Whether steps wait for many updates, as after exploration: their rate says nothing then.
static bool learner_catches_up(const struct wire_status *s) {
    return s->has_learner && s->updates_allowed > s->updates + s->updates / 4;
}

double display_time_left_s(struct display *d, uint64_t now_ms, const struct wire_status *s) {
    add_mark(d, now_ms, s->env_steps);
    if (learner_catches_up(s)) {
        d->marks = d->next_mark = 0;
    }
    if (d->marks < 2) {
        return NAN;
    }
    int first = d->marks < DISPLAY_MARKS ? 0 : d->next_mark;
    int last = (d->next_mark + DISPLAY_MARKS - 1) % DISPLAY_MARKS;
    double steps = (double)d->mark[last].env_steps - (double)d->mark[first].env_steps;
    double seconds = (double)(d->mark[last].ms - d->mark[first].ms) / 1e3;
    // The rate during exploration, which is much higher, is not representative.
    if (steps <= 0 || seconds <= 0 || d->mark[first].env_steps < s->explore_steps) {
        return NAN;
    }
    return ((double)s->env_steps_budget - (double)s->env_steps) * seconds / steps;
}

// ---- the line ----

// Appends formatted text, truncated to out_len.
static void add(char *out, size_t out_len, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void add(char *out, size_t out_len, const char *fmt, ...) {
    size_t len = strlen(out);
    va_list args;
    va_start(args, fmt);
    vsnprintf(out + len, out_len - len, fmt, args);
    va_end(args);
}

static double elite_error(const struct wire_status *s) {
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->elites && i < WIRE_MEMBERS_MAX; i++) {
        if (s->elite[i] < s->members) {
            sum += s->holdout_mse[s->elite[i]];
            n++;
        }
    }
    return n ? sum / n : NAN;
}

// What the run waits for, to follow " | "; "" if nothing is known.
static const char *reason(char out[WIRE_STRING_MAX + 8], const struct wire_status *s) {
    static const char preposition[] = "for ";
    bool noun = strncmp(s->waiting, preposition, strlen(preposition)) == 0;
    snprintf(out, WIRE_STRING_MAX + 8, "%s%s", noun ? "waits " : "", s->waiting);
    return out;
}

void display_line(char *out, size_t out_len, const struct wire_status *s, double left_s,
                  bool still) {
    char a[TEXT_LEN], b[TEXT_LEN], why[WIRE_STRING_MAX + 8];
    out[0] = '\0';
    add(out, out_len, "%s %s/%s", s->state, text_count(a, s->env_steps),
        text_count(b, s->env_steps_budget));
    if (still && s->waiting[0] != '\0') {
        add(out, out_len, " | %s", reason(why, s));
    }
    // By importance: narrow terminals truncate the line.
    if (isfinite(left_s)) {
        add(out, out_len, " | left %s", text_duration(a, left_s));
    }
    if (s->has_eval && s->evaluations > 0) {
        add(out, out_len, " | return %s best %s", text_figure(a, s->eval_return_last),
            text_figure(b, s->eval_return_best));
    }
    if (s->has_model && s->members > 0) {
        add(out, out_len, " | err %s k %llu%s", text_figure(a, elite_error(s)),
            (unsigned long long)s->rollout_length, s->model_training_now ? " training" : "");
    }
    if (s->has_learner && s->updates > 0) {
        add(out, out_len, " | upd %s", text_count(a, s->updates));
        add(out, out_len, " (%.1f/step)", s->updates_per_step_achieved);
    }
    add(out, out_len, " | %s step/s", text_figure(a, s->env_steps_per_s));
    if (s->has_learner && s->updates > 0) {
        add(out, out_len, " %s upd/s", text_figure(a, s->updates_per_s));
    }
    add(out, out_len, " | ep %s", text_count(a, s->episodes));
}

static int terminal_columns(void) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) {
        return size.ws_col;
    }
    return 80;
}

// Whether neither steps nor updates were made for a while.
static bool stands_still(struct display *d, uint64_t now_ms, const struct wire_status *s) {
    if (d->moved_ms == 0 || s->env_steps != d->env_steps || s->updates != d->updates) {
        d->moved_ms = now_ms;
        d->env_steps = s->env_steps;
        d->updates = s->updates;
    }
    return now_ms - d->moved_ms >= STILL_MS;
}

void display_update(struct display *d, uint64_t now_ms, const struct wire_status *status,
                    uint64_t age_ms) {
    char line[LINE_LEN] = "starting";
    if (status) {
        display_line(line, sizeof(line), status, display_time_left_s(d, now_ms, status),
                     stands_still(d, now_ms, status));
        if (age_ms >= SILENT_MS) {
            add(line, sizeof(line), " | no answer for %llu s", (unsigned long long)age_ms / 1000);
        }
    }
    if (d->tty) {
        // One column less than the width: some terminals wrap after the last column.
        printf("\r%.*s\033[K", terminal_columns() - 1, line);
        d->drawn = true;
        fflush(stdout);
    } else if (status && (d->plain_ms == 0 || now_ms - d->plain_ms >= DISPLAY_PLAIN_MS)) {
        d->plain_ms = now_ms;
        printf("%s\n", line);
        fflush(stdout);
    }
}

void display_event(struct display *d, const char *fmt, ...) {
    char text[LINE_LEN];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    printf("%s%s\n", d->drawn ? "\r\033[K" : "", text);
    d->drawn = false;
    fflush(stdout);
}

void display_end(struct display *d) {
    if (d->drawn) {
        putchar('\n');
        d->drawn = false;
    }
    fflush(stdout);
}
