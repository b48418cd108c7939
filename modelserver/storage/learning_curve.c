// SPDX-License-Identifier: MIT
// Reads progress.csv by column names, and appends rows to it with fsync.
#include "modelserver/storage/learning_curve.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/file.h"

#define FILE_BYTES_MAX (256u << 20)

// The columns that the history needs.
enum { ENV_STEPS, WALL_SECONDS, RETURN_MEAN, RETURN_STD, UPDATES, NEEDED };
static const char *const needed[NEEDED] = {"env_steps", "wall_seconds", "return_mean", "return_std",
                                           "updates"};

void learning_curve_count(struct learning_curve_history *h, const struct learning_curve_row *row,
                          const struct config *c) {
    h->evaluations++;
    h->env_steps = row->env_steps;
    h->wall_seconds = row->wall_seconds;
    h->return_mean = row->return_mean;
    h->return_std = row->return_std;
    if (h->evaluations == 1 || row->return_mean > h->return_best) {
        h->return_best = row->return_mean;
        h->best_env_steps = row->env_steps;
    }
    // An initial policy that reaches the target has learned nothing. Without a target none does.
    bool reached = row->updates > 0 && row->return_mean >= c->eval.target;
    h->solved_in_row = reached ? h->solved_in_row + 1 : 0;
    if (!h->solved && h->solved_in_row >= (uint32_t)c->eval.solved_evaluations) {
        h->solved = true;
        h->solved_env_steps = row->env_steps;
    }
}

static int append(const char *path, const char *text, size_t len, char *err, size_t err_len) {
    int rc = file_append_lines(path, text, len);
    return rc == 0 ? 0
                   : error_set(err, err_len, -1,
                               "%s: could not be written: %s; check its permissions and the free "
                               "space",
                               path, strerror(-rc));
}

// Finds the column of each needed name, and the number of all; false when one is missing.
static bool read_header(int column[NEEDED], int *columns, const char *line, const char *end) {
    for (int k = 0; k < NEEDED; k++) {
        column[k] = -1;
    }
    for (int i = 0; line < end; i++) {
        *columns = i + 1;
        size_t len = strcspn(line, ",\n");
        for (int k = 0; k < NEEDED; k++) {
            if (strlen(needed[k]) == len && strncmp(line, needed[k], len) == 0) {
                column[k] = i;
            }
        }
        line += len + 1;
    }
    for (int k = 0; k < NEEDED; k++) {
        if (column[k] < 0) {
            return false;
        }
    }
    return true;
}

static bool is_count(double x) {
    return x >= 0 && x < 1e18;
}

static bool read_row(struct learning_curve_row *row, const int column[NEEDED], int columns,
                     const char *line, const char *end) {
    double value[NEEDED] = {0};
    int found = 0, fields = 1;
    for (const char *p = line; p < end; p++) {
        fields += *p == ',';
    }
    for (int i = 0; line < end; i++) {
        for (int k = 0; k < NEEDED; k++) {
            char *after;
            if (column[k] == i) {
                value[k] = strtod(line, &after);
                found += after != line && isfinite(value[k]);
            }
        }
        line += strcspn(line, ",\n") + 1;
    }
    if (fields != columns || found != NEEDED || !is_count(value[ENV_STEPS]) ||
        !is_count(value[UPDATES])) {
        return false;
    }
    *row = (struct learning_curve_row){.env_steps = (uint64_t)value[ENV_STEPS],
                                       .wall_seconds = value[WALL_SECONDS],
                                       .return_mean = value[RETURN_MEAN],
                                       .return_std = value[RETURN_STD],
                                       .updates = (uint64_t)value[UPDATES]};
    return true;
}

// Reads the complete lines of text, which has *len bytes; *len becomes their length.
static int read_history(struct learning_curve_history *h, const char *text, size_t *len,
                        const char *path, const struct config *c, char *err, size_t err_len) {
    int column[NEEDED], columns = 0;
    const char *line = text, *end = memchr(text, '\n', *len);
    if (end && !read_header(column, &columns, line, end)) {
        snprintf(
            err, err_len,
            "%s:1: the columns env_steps, wall_seconds, return_mean and return_std are expected; "
            "move the file away",
            path);
        return -1;
    }
    for (int number = 2; end; number++) {
        line = end + 1;
        end = memchr(line, '\n', *len - (size_t)(line - text));
        struct learning_curve_row row;
        if (end && !read_row(&row, column, columns, line, end)) {
            snprintf(err, err_len,
                     "%s:%d: not a row of numbers for %d columns; remove the line, or move the "
                     "file away",
                     path, number, columns);
            return -1;
        }
        if (end) {
            learning_curve_count(h, &row, c);
        }
    }
    *len = (size_t)(line - text);
    return 0;
}

// The text of the file, "" for none; *text is to be freed.
static int read_text(char **text, size_t *len, const char *path, char *err, size_t err_len) {
    int rc = file_read_all(text, len, path, FILE_BYTES_MAX);
    if (rc == -ENOENT) {
        *len = 0;
        *text = xmalloc(1);
        rc = 0;
    }
    if (rc < 0) {
        snprintf(err, err_len, "%s: cannot be read: %s", path, strerror(-rc));
        return -1;
    }
    return 0;
}

int learning_curve_read(struct learning_curve_history *history, const char *path,
                        const struct config *c, char *err, size_t err_len) {
    *history = (struct learning_curve_history){0};
    char *text;
    size_t len;
    if (read_text(&text, &len, path, err, err_len) != 0) {
        return -1;
    }
    int rc = read_history(history, text, &len, path, c, err, err_len);
    free(text);
    return rc;
}

int learning_curve_open(struct learning_curve_history *history, const char *path,
                        const struct config *c, char *err, size_t err_len) {
    *history = (struct learning_curve_history){0};
    char *text;
    size_t len;
    if (read_text(&text, &len, path, err, err_len) != 0) {
        return -1;
    }
    size_t complete = len;
    int rc = read_history(history, text, &complete, path, c, err, err_len);
    free(text);
    if (rc == 0 && complete < len && truncate(path, (off_t)complete) != 0) {
        snprintf(err, err_len, "%s: cannot be written: %s", path, strerror(errno));
        return -1;
    }
    return rc;
}

// ---- writing ----

// The columns of a new file: the fixed ones, the model's, the learner's.
static const char *const fixed[] = {"env_steps",  "wall_seconds", "return_mean",
                                    "return_std", "updates",      "updates_per_step"};
enum { FIXED = sizeof(fixed) / sizeof(fixed[0]), HEADER_LEN_MAX = 4096 };

static void new_header(char *out, size_t out_len, const struct learning_curve_row *row) {
    size_t n = 0;
    for (int i = 0; i < FIXED; i++) {
        n += (size_t)snprintf(out + n, out_len - n, "%s%s", i ? "," : "", fixed[i]);
    }
    const struct metrics *both[] = {&row->model, &row->learner};
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < both[k]->count; i++) {
            n += (size_t)snprintf(out + n, out_len - n, ",%s", both[k]->list[i].name);
        }
    }
}

// The value of a column as text; "" for one that the row does not have.
static void field(char *out, size_t out_len, const struct learning_curve_row *r, const char *name) {
    const double *figure = metrics_find(&r->model, name);
    figure = figure ? figure : metrics_find(&r->learner, name);
    out[0] = '\0';
    if (strcmp(name, "env_steps") == 0) {
        snprintf(out, out_len, "%" PRIu64, r->env_steps);
    } else if (strcmp(name, "wall_seconds") == 0) {
        snprintf(out, out_len, "%.3f", r->wall_seconds);
    } else if (strcmp(name, "return_mean") == 0) {
        snprintf(out, out_len, "%.9g", r->return_mean);
    } else if (strcmp(name, "return_std") == 0) {
        snprintf(out, out_len, "%.9g", r->return_std);
    } else if (strcmp(name, "updates") == 0) {
        snprintf(out, out_len, "%" PRIu64, r->updates);
    } else if (strcmp(name, "updates_per_step") == 0 && isfinite(r->updates_per_step)) {
        snprintf(out, out_len, "%.6g", r->updates_per_step);
    } else if (figure && isfinite(*figure)) {
        snprintf(out, out_len, "%.6g", *figure);
    }
}

// The file's header line without its end; "" when there is no file, or nothing in it.
static int current_header(char *out, size_t out_len, const char *path, char *err, size_t err_len) {
    out[0] = '\0';
    FILE *file = fopen(path, "re");
    CHECK_RESOURCES(file || errno != ENOMEM);
    if (!file && errno != ENOENT) {
        snprintf(err, err_len, "%s: cannot be read: %s", path, strerror(errno));
        return -1;
    }
    if (file && !fgets(out, (int)out_len, file)) {
        out[0] = '\0';
    }
    if (file) {
        fclose(file);
    }
    out[strcspn(out, "\n")] = '\0';
    return 0;
}

int learning_curve_append(const char *path, const struct learning_curve_row *row, char *err,
                          size_t err_len) {
    char header[HEADER_LEN_MAX], text[5 * HEADER_LEN_MAX], name[64], value[32];
    size_t n = 0;
    if (current_header(header, sizeof(header), path, err, err_len) != 0) {
        return -1;
    }
    if (header[0] == '\0') {
        new_header(header, sizeof(header), row);
        n = (size_t)snprintf(text, sizeof(text), "%s\n", header);
    }
    const char *p = header;
    for (;;) {
        size_t len = strcspn(p, ",");
        snprintf(name, sizeof(name), "%.*s", (int)len, p);
        field(value, sizeof(value), row, name);
        p += len;
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%c", value, *p ? ',' : '\n');
        if (*p++ == '\0') {
            return append(path, text, n, err, err_len);
        }
    }
}
