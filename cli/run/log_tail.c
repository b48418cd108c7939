// SPDX-License-Identifier: MIT
// The last lines of one process in a shared log file.
#include "cli/run/log_tail.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"

enum { TAIL_BYTES = 64 << 10, LINES_MAX = 64, REASON_LINES = 4 };

static const char error_level[] = " error ", hint[] = "hint: ";

// The text from offset *at, at most the last TAIL_BYTES, NUL-terminated; *at becomes its begin.
// NULL if there is none.
static char *read_from(int fd, off_t *at) {
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= *at) {
        return NULL;
    }
    *at = st.st_size - *at > TAIL_BYTES ? st.st_size - TAIL_BYTES : *at;
    char *text = xmalloc(TAIL_BYTES + 1);
    ssize_t len = pread(fd, text, TAIL_BYTES, *at);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

struct tail {
    char *text;                   // the lines point into it
    const char *lines[LINES_MAX]; // ring of the last lines of the process
    int count, lines_max;
};

// Whether the line was logged under this name.
static bool is_of(const char *line, const char *name) {
    char pattern[64];
    snprintf(pattern, sizeof(pattern), "Z %s ", name);
    return strstr(line, pattern) != NULL;
}

// Collects the last lines of a process. False if there is no log; the caller frees t->text.
static bool collect(struct tail *t, int log_fd, const char *process, const char *program,
                    int lines_max) {
    CHECK(lines_max <= LINES_MAX);
    off_t at = 0;
    *t = (struct tail){.lines_max = lines_max, .text = read_from(log_fd, &at)};
    char *line = t->text ? strtok(t->text, "\n") : NULL;
    for (; line; line = strtok(NULL, "\n")) {
        if (is_of(line, process) || is_of(line, program)) {
            t->lines[t->count++ % lines_max] = line;
        }
    }
    return t->text != NULL;
}

void log_tail_print(int log_fd, const char *path, const char *process, const char *program,
                    int lines_max) {
    struct tail t;
    if (!collect(&t, log_fd, process, program, lines_max)) {
        return;
    }
    for (int i = t.count > lines_max ? t.count - lines_max : 0; i < t.count; i++) {
        fprintf(stderr, "  %s\n", t.lines[i % lines_max]);
    }
    fprintf(stderr, "  (complete log: %s)\n", path);
    free(t.text);
}

// The text of a line of level error (time, process, level, text); NULL: it is of another.
static const char *error_of(const char *line) {
    const char *process = strchr(line, ' '), *level = process ? strchr(process + 1, ' ') : NULL;
    if (!level || strncmp(level, error_level, strlen(error_level)) != 0) {
        return NULL;
    }
    const char *text = level + strlen(error_level);
    return strncmp(text, hint, strlen(hint)) != 0 ? text : NULL;
}

void log_tail_reason(char *out, size_t out_len, int log_fd, const char *process,
                     const char *program) {
    struct tail t;
    out[0] = '\0';
    if (!collect(&t, log_fd, process, program, REASON_LINES)) {
        return;
    }
    for (int i = t.count > REASON_LINES ? t.count - REASON_LINES : 0; i < t.count; i++) {
        const char *error = error_of(t.lines[i % REASON_LINES]);
        if (error) {
            snprintf(out, out_len, "%s", error);
        }
    }
    free(t.text);
}

void log_tail_errors(int log_fd, off_t *at, log_error_fn *found, void *arg) {
    char *text = read_from(log_fd, at), *line = text;
    for (char *end; line && (end = strchr(line, '\n')); line = end + 1) {
        char process[64];
        *end = '\0';
        *at += end + 1 - line;
        const char *error = error_of(line);
        if (error && sscanf(line, "%*[^Z]Z %63s", process) == 1) {
            found(arg, process, error);
        }
    }
    free(text);
}
