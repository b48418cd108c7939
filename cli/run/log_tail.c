// SPDX-License-Identifier: MIT
// The last lines of one process in a shared log file.
#include "cli/run/log_tail.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/file.h"

enum { TAIL_BYTES = 64 << 10, LINES_MAX = 64, REASON_LINES = 4 };

// The last TAIL_BYTES of the file, NUL-terminated; NULL if it cannot be read.
static char *read_tail(const char *path) {
    FILE *file = fopen(path, "re");
    if (!file) {
        return NULL;
    }
    char *text = xmalloc(TAIL_BYTES + 1);
    if (fseek(file, -TAIL_BYTES, SEEK_END) != 0) {
        rewind(file); // a shorter file
    }
    text[fread(text, 1, TAIL_BYTES, file)] = '\0';
    fclose(file);
    return text;
}

struct tail {
    char path[4096];
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
static bool collect(struct tail *t, const char *run_dir, const char *process, const char *program,
                    int lines_max) {
    CHECK(lines_max <= LINES_MAX);
    *t = (struct tail){.lines_max = lines_max};
    if (file_join(t->path, sizeof(t->path), run_dir, "log") < 0) {
        return false;
    }
    t->text = read_tail(t->path);
    char *line = t->text ? strtok(t->text, "\n") : NULL;
    for (; line; line = strtok(NULL, "\n")) {
        if (is_of(line, process) || is_of(line, program)) {
            t->lines[t->count++ % lines_max] = line;
        }
    }
    return t->text != NULL;
}

void log_tail_print(const char *run_dir, const char *process, const char *program, int lines_max) {
    struct tail t;
    if (!collect(&t, run_dir, process, program, lines_max)) {
        return;
    }
    for (int i = t.count > lines_max ? t.count - lines_max : 0; i < t.count; i++) {
        fprintf(stderr, "  %s\n", t.lines[i % lines_max]);
    }
    fprintf(stderr, "  (complete log: %s)\n", t.path);
    free(t.text);
}

void log_tail_reason(char *out, size_t out_len, const char *run_dir, const char *process,
                     const char *program) {
    static const char level[] = " error ", hint[] = "hint: ";
    struct tail t;
    out[0] = '\0';
    if (!collect(&t, run_dir, process, program, REASON_LINES)) {
        return;
    }
    for (int i = t.count > REASON_LINES ? t.count - REASON_LINES : 0; i < t.count; i++) {
        const char *error = strstr(t.lines[i % REASON_LINES], level);
        if (error && strncmp(error + strlen(level), hint, strlen(hint)) != 0) {
            snprintf(out, out_len, "%s", error + strlen(level));
        }
    }
    free(t.text);
}
