// SPDX-License-Identifier: MIT
#include "cli/run/summary.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"
#include "common/base/file.h"

enum { FILE_LEN_MAX = 256 << 20 };

// The columns we want, by name: the file may have more, in any order.
enum { ENV_STEPS, WALL_SECONDS, RETURN_MEAN, WANTED };
static const char *const wanted[WANTED] = {"env_steps", "wall_seconds", "return_mean"};

// Column numbers of the wanted names; false when one is missing.
static bool read_header(int column[WANTED], const char *line, const char *end) {
    for (int w = 0; w < WANTED; w++) {
        column[w] = -1;
    }
    for (int i = 0; line < end; i++) {
        size_t len = strcspn(line, ",\n");
        for (int w = 0; w < WANTED; w++) {
            if (strlen(wanted[w]) == len && strncmp(line, wanted[w], len) == 0) {
                column[w] = i;
            }
        }
        line += len + 1;
    }
    return column[0] >= 0 && column[1] >= 0 && column[2] >= 0;
}

static bool read_row(double value[WANTED], const int column[WANTED], const char *line,
                     const char *end) {
    int found = 0;
    for (int i = 0; line < end; i++) {
        for (int w = 0; w < WANTED; w++) {
            char *after;
            if (column[w] == i) {
                value[w] = strtod(line, &after);
                found += after != line && isfinite(value[w]);
            }
        }
        line += strcspn(line, ",\n") + 1;
    }
    return found == WANTED;
}

static void count(struct summary *s, const double value[WANTED], int *in_row,
                  const struct config *c) {
    s->evaluations++;
    s->env_steps = (uint64_t)value[ENV_STEPS];
    s->wall_seconds = value[WALL_SECONDS];
    s->return_last = value[RETURN_MEAN];
    if (s->evaluations == 1 || s->return_last > s->return_best) {
        s->return_best = s->return_last;
        s->best_env_steps = s->env_steps;
    }
    *in_row = s->return_last >= c->eval.target ? *in_row + 1 : 0;
    if (*in_row >= c->eval.solved_evaluations && !s->solved) {
        s->solved = true;
        s->solved_env_steps = s->env_steps;
    }
    s->spent = s->env_steps >= c->run.steps;
}

int summary_read(struct summary *s, const char *run_dir, const struct config *c, char *err,
                 size_t err_len) {
    *s = (struct summary){0};
    char path[4096], *text;
    size_t len;
    if (file_join(path, sizeof(path), run_dir, "progress.csv") < 0) {
        snprintf(err, err_len, "%s: the path is too long", run_dir);
        return -1;
    }
    int rc = file_read_all(&text, &len, path, FILE_LEN_MAX);
    if (rc == -ENOENT) {
        return 0;
    }
    if (rc < 0) {
        snprintf(err, err_len, "%s: cannot be read: %s", path, strerror(-rc));
        return -1;
    }
    int column[WANTED], in_row = 0;
    char *line = text, *end = strchr(text, '\n');
    rc = 0;
    if (end && !read_header(column, line, end)) {
        snprintf(err, err_len,
                 "%s:1: the columns env_steps, wall_seconds and return_mean are "
                 "expected",
                 path);
        rc = -1;
        goto out;
    }
    // A last line without its end is still being written.
    for (int number = 2; end; number++) {
        line = end + 1;
        end = strchr(line, '\n');
        double value[WANTED] = {0};
        if (end && !read_row(value, column, line, end)) {
            snprintf(err, err_len, "%s:%d: not a row of numbers", path, number);
            rc = -1;
            goto out;
        }
        if (end) {
            count(s, value, &in_row, c);
        }
    }
out:
    free(text);
    return rc;
}

bool summary_finished(const struct summary *s, const struct config *c) {
    return s->spent || (s->solved && c->run.stop_when_solved);
}

void summary_sentence(const struct summary *s, char *out, size_t out_len) {
    char step[TEXT_LEN], best[TEXT_LEN], wall[TEXT_LEN];
    if (s->evaluations == 0) {
        snprintf(out, out_len, "no evaluation was made");
        return;
    }
    text_count(step, s->solved ? s->solved_env_steps : s->env_steps);
    text_count(best, s->best_env_steps);
    text_duration(wall, s->wall_seconds);
    const char *how = s->solved  ? "solved at"
                      : s->spent ? "budget spent, not solved at"
                                 : "not finished; evaluated up to";
    snprintf(out, out_len, "%s step %s; best return %.1f at step %s, last %.1f; %s", how, step,
             s->return_best, best, s->return_last, wall);
}
