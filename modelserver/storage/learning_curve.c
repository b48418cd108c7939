// SPDX-License-Identifier: MIT
#include "modelserver/storage/learning_curve.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"

#define HEADER                                                                                     \
    "env_steps,wall_seconds,return_mean,return_std,model_holdout_mse,critic_loss,actor_loss,"      \
    "temperature,entropy,updates,updates_per_step,rollout_length,model_epochs\n"
#define FILE_BYTES_MAX (256u << 20)

void learning_curve_count(struct learning_curve_history *h, const struct learning_curve_row *row,
                          double target) {
    h->return_best = h->evaluations == 0 || row->return_mean > h->return_best ? row->return_mean
                                                                              : h->return_best;
    h->evaluations++;
    h->env_steps = row->env_steps;
    h->wall_seconds = row->wall_seconds;
    h->return_mean = row->return_mean;
    h->return_std = row->return_std;
    h->solved_in_row = row->return_mean >= target ? h->solved_in_row + 1 : 0;
}

// Appends, and waits until it is on the disk.
static int append(const char *path, const char *text, size_t len, char *err, size_t err_len) {
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    ssize_t n = fd < 0 ? -1 : write(fd, text, len);
    int rc = n == (ssize_t)len && fsync(fd) == 0 ? 0 : -1;
    if (rc) {
        snprintf(err, err_len, "%s: could not be written: %s; check the folder's rights and space",
                 path, n >= 0 && n < (ssize_t)len ? "short write" : strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

// Reads the four columns that the history needs.
static int read_row(const char *line, struct learning_curve_row *row) {
    return sscanf(line, "%" SCNu64 ",%lf,%lf,%lf,", &row->env_steps, &row->wall_seconds,
                  &row->return_mean, &row->return_std) == 4
               ? 0
               : -1;
}

static int read_history(const char *path, char *text, double target,
                        struct learning_curve_history *h, char *err, size_t err_len) {
    if (strncmp(text, HEADER, strlen(HEADER)) != 0) {
        snprintf(err, err_len,
                 "%s: does not begin with the columns that this program writes; move it away",
                 path);
        return -1;
    }
    int number = 1;
    for (char *line = text + strlen(HEADER); *line; number++) {
        char *end = strchr(line, '\n');
        if (!end) { // torn by a crash
            if (truncate(path, line - text) != 0) {
                snprintf(err, err_len, "%s: cannot be written: %s", path, strerror(errno));
                return -1;
            }
            return 0;
        }
        struct learning_curve_row row = {0};
        if (read_row(line, &row) != 0) {
            snprintf(err, err_len, "%s:%d: not a line of numbers; move the file away", path,
                     number + 1);
            return -1;
        }
        learning_curve_count(h, &row, target);
        line = end + 1;
    }
    return 0;
}

int learning_curve_open(const char *path, double target, struct learning_curve_history *history,
                        char *err, size_t err_len) {
    *history = (struct learning_curve_history){0};
    char *text = NULL;
    size_t len = 0;
    int rc = file_exists(path) ? file_read_all(&text, &len, path, FILE_BYTES_MAX) : 0;
    if (rc < 0) {
        snprintf(err, err_len, "%s: cannot be read: %s", path, strerror(-rc));
        return -1;
    }
    if (len == 0 || !strchr(text, '\n')) { // new, or torn before its header was whole
        free(text);
        if (len > 0 && truncate(path, 0) != 0) {
            snprintf(err, err_len, "%s: cannot be written: %s", path, strerror(errno));
            return -1;
        }
        return append(path, HEADER, strlen(HEADER), err, err_len);
    }
    rc = read_history(path, text, target, history, err, err_len);
    free(text);
    return rc;
}

int learning_curve_append(const char *path, const struct learning_curve_row *r, char *err,
                          size_t err_len) {
    char line[512];
    int n =
        snprintf(line, sizeof(line),
                 "%" PRIu64 ",%.3f,%.9g,%.9g,%.6g,%.6g,%.6g,%.6g,%.6g,%" PRIu64 ",%.6g,%" PRIu64
                 ",%" PRIu64 "\n",
                 r->env_steps, r->wall_seconds, r->return_mean, r->return_std, r->model_holdout_mse,
                 r->critic_loss, r->actor_loss, r->temperature, r->entropy, r->updates,
                 r->updates_per_step, r->rollout_length, r->model_epochs);
    return append(path, line, (size_t)n, err, err_len);
}
