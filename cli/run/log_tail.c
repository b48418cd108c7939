// SPDX-License-Identifier: MIT
// The last lines of one process in a shared log file.
#include "cli/run/log_tail.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/file.h"

enum { TAIL_BYTES = 64 << 10, LINES_MAX = 64 };

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

void log_tail_print(const char *run_dir, const char *process, const char *program, int lines_max) {
    CHECK(lines_max <= LINES_MAX);
    char path[4096];
    if (file_join(path, sizeof(path), run_dir, "log") < 0) {
        return;
    }
    char *text = read_tail(path);
    if (!text) {
        return;
    }
    // Ring of the last lines with the name of the process.
    char own_name[64], program_name[64];
    snprintf(own_name, sizeof(own_name), "Z %s ", process);
    snprintf(program_name, sizeof(program_name), "Z %s ", program);
    const char *lines[LINES_MAX];
    int count = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (strstr(line, own_name) || strstr(line, program_name)) {
            lines[count++ % lines_max] = line;
        }
    }
    int first = count > lines_max ? count - lines_max : 0;
    for (int i = first; i < count; i++) {
        fprintf(stderr, "  %s\n", lines[i % lines_max]);
    }
    fprintf(stderr, "  (complete log: %s)\n", path);
    free(text);
}
