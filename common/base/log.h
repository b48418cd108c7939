// SPDX-License-Identifier: MIT
// Log lines: "2026-01-31T12:00:00.123Z modelserver info  text".
//
// Each call writes one line with one write(), so several processes can append to the same
// file. Thread-safe. Before log_init, lines go to standard error with the name "spur".
#ifndef SPUR_COMMON_BASE_LOG_H
#define SPUR_COMMON_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

// Copies program. fd is borrowed and stays open; -1: standard error.
void log_init(const char *program, enum log_level level, int fd);
const char *log_program(void);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

// A line that a peer can cause as often as it likes: at most LOG_PEER_LINES of each kind are
// written in LOG_PEER_WINDOW_MS. The number of those left out is in the next one. Thread-safe.
#define LOG_PEER_LINES 10
#define LOG_PEER_WINDOW_MS 10000
struct log_limit {
    uint64_t window_ms, lines; // start of the window, lines in it
};
void log_limited(struct log_limit *limit, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// Of the place in the source where it is called.
#define log_peer(level, ...)                                                                       \
    do {                                                                                           \
        static struct log_limit limit_;                                                            \
        log_limited(&limit_, level, __VA_ARGS__);                                                  \
    } while (0)

// Rate limit of a repeated line: true at most once in interval_ms. *last_ms: time of the
// last true; 0 at first.
bool log_due(uint64_t *last_ms, uint64_t now_ms, uint64_t interval_ms);

#endif
