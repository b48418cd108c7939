// SPDX-License-Identifier: MIT
// Formatting and writing of log lines.
#include "common/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

// State of the process, set once at start-up before any thread exists.
static char log_name[64] = "spur";
static enum log_level log_level_max = LOG_INFO;
static int log_fd = STDERR_FILENO;

void log_init(const char *program, enum log_level level, int fd) {
    snprintf(log_name, sizeof(log_name), "%s", program);
    log_level_max = level;
    log_fd = fd < 0 ? STDERR_FILENO : fd;
}

const char *log_program(void) {
    return log_name;
}

static void write_line(enum log_level level, const char *fmt, va_list args) {
    static const char *const names[] = {"error", "warn ", "info ", "debug"};
    if (level > log_level_max) {
        return;
    }
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);

    char line[4096];
    size_t len = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)snprintf(line + len, sizeof(line) - len, ".%03ldZ %s %s ", now.tv_nsec / 1000000,
                            log_name, names[level]);
    int wanted = vsnprintf(line + len, sizeof(line) - len - 1, fmt, args);
    if (wanted > 0) {
        size_t room = sizeof(line) - len - 2;
        len += (size_t)wanted < room ? (size_t)wanted : room;
    }
    line[len++] = '\n';

    // One write per line, so that lines of several processes do not mix. Errors are ignored:
    // a full disk or a closed pipe must not stop the process.
    ssize_t written = write(log_fd, line, len);
    (void)written;
}

void log_line(enum log_level level, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    write_line(level, fmt, args);
    va_end(args);
}

// Counts a line. Returns whether it is written, and those that were left out before it.
static bool take_line(struct log_limit *limit, uint64_t *left_out) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    uint64_t now_ms = clock_ms();
    pthread_mutex_lock(&lock);
    *left_out = 0;
    if (limit->lines == 0 || now_ms - limit->window_ms >= LOG_PEER_WINDOW_MS) {
        *left_out = limit->lines > LOG_PEER_LINES ? limit->lines - LOG_PEER_LINES : 0;
        limit->lines = 0;
        limit->window_ms = now_ms;
    }
    bool written = ++limit->lines <= LOG_PEER_LINES;
    pthread_mutex_unlock(&lock);
    return written;
}

void log_limited(struct log_limit *limit, enum log_level level, const char *fmt, ...) {
    uint64_t left_out;
    if (level > log_level_max || !take_line(limit, &left_out)) {
        return;
    }
    if (left_out > 0) {
        log_line(level, "%llu lines like the next were left out", (unsigned long long)left_out);
    }
    va_list args;
    va_start(args, fmt);
    write_line(level, fmt, args);
    va_end(args);
}

bool log_due(uint64_t *last_ms, uint64_t now_ms, uint64_t interval_ms) {
    if (*last_ms != 0 && now_ms - *last_ms < interval_ms) {
        return false;
    }
    *last_ms = now_ms ? now_ms : 1;
    return true;
}
