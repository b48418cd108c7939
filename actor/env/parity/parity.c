// SPDX-License-Identifier: MIT
// Reads a file of reference trajectories, compares its parts and prints the report.
#include "actor/env/parity/parity.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/env_factory.h"
#include "common/base/check.h"
#include "common/base/file.h"

#define FILE_BYTES_MAX (256u << 20)

// allowed 0 means equal to the bit.
static const struct {
    const char *name;
    double allowed;
} quantities[Q_COUNT] = {
    [Q_TASK] = {"task", 0},
    [Q_MODEL] = {"model", 0},
    [Q_QPOS] = {"qpos", 0},
    [Q_QVEL] = {"qvel", 0},
    [Q_OBS] = {"obs", 1e-14},
    [Q_REWARD] = {"reward", 1e-13},
    [Q_COMP] = {"comp", 1e-13},
    [Q_TERMINATED] = {"terminated", 0},
    [Q_REWARD_V5] = {"reward_v5", 1e-13},
    [Q_TERMINATED_V5] = {"terminated_v5", 0},
    [Q_WARNINGS] = {"warnings", 0},
    // Single steps from states of a trajectory: errors do not accumulate.
    [Q_RESTART_QPOS] = {"onestep qpos", 0},
    [Q_RESTART_QVEL] = {"onestep qvel", 0},
    [Q_RESTART_OBS] = {"onestep obs", 1e-14},
    [Q_RESTART_REWARD] = {"onestep reward", 1e-13},
    [Q_RESTART_TERMINATED] = {"onestep terminated", 0},
};

// ---- shared ----

void parity_compare(struct parity *p, enum quantity q, double here, double file) {
    struct measure *m = &p->measures[q];
    double error = fabs(here - file);
    if (isnan(error)) {
        error = INFINITY;
    }
    bool same_bits = memcmp(&here, &file, sizeof here) == 0;
    bool ok = quantities[q].allowed > 0 ? error <= quantities[q].allowed : same_bits;
    m->values++;
    m->largest = fmax(m->largest, error);
    if (ok || m->wrong++ > 0) {
        return;
    }
    char step[32] = "";
    if (p->step >= 0) {
        snprintf(step, sizeof step, ", step %ld", p->step);
    }
    snprintf(m->first, sizeof m->first, "%s%s: %.17g here, %.17g in the file", p->where, step, here,
             file);
}

bool parity_refuse(struct parity *p, const char *fmt, ...) {
    char what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    snprintf(p->err, sizeof p->err, "%s: %s", p->where, what);
    parity_make_printable(p->err);
    return false;
}

void parity_make_printable(char *text) {
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '?';
        }
    }
}

bool parity_is_row(const json_t *row, size_t n) {
    if (!json_is_array(row) || json_array_size(row) != n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!json_is_number(json_array_get(row, i))) {
            return false;
        }
    }
    return true;
}

// ---- a file ----

static bool open_task(struct parity *p, const json_t *root) {
    const char *name = json_string_value(json_object_get(root, "env"));
    p->step = -1;
    snprintf(p->where, sizeof p->where, "env");
    if (name == NULL) {
        return parity_refuse(p, "is missing: it names the task, such as \"Hopper\"");
    }
    p->task = task_find(name);
    if (p->task == NULL) {
        return parity_refuse(p, "there is no task \"%.64s\"; the nearest is %s", name,
                             task_nearest(name));
    }
    char name_v5[80];
    snprintf(name_v5, sizeof name_v5, "%s-v5", p->task->name);
    const struct task *task_v5 = task_find(name_v5); // NULL for a v5 task
    p->env = env_create(p->task, p->err, sizeof p->err);
    p->env_v5 = env_create(task_v5 != NULL ? task_v5 : p->task, p->err, sizeof p->err);
    if (p->env == NULL || p->env_v5 == NULL) {
        return false;
    }
    p->dims = env_dims(p->env);
    CHECK(p->dims.nq <= PARITY_STATE_MAX && p->dims.nv <= PARITY_STATE_MAX);
    return true;
}

// Returns whether all quantities are within tolerance.
static bool print_report(const struct parity *p) {
    FILE *out = p->report;
    bool all_ok = true;
    for (int q = 0; q < Q_COUNT; q++) {
        const struct measure *m = &p->measures[q];
        if (m->values == 0) {
            continue;
        }
        char allowed[32] = "equal";
        if (quantities[q].allowed > 0) {
            snprintf(allowed, sizeof allowed, "%g", quantities[q].allowed);
        }
        fprintf(out, "%s: %-18s %7ld values  largest error %-9.3g allowed %-6s ", p->path,
                quantities[q].name, m->values, m->largest, allowed);
        if (m->wrong == 0) {
            fprintf(out, "ok\n");
            continue;
        }
        fprintf(out, "FAILED in %ld%s%s\n", m->wrong, m->first[0] != '\0' ? "; first: " : "",
                m->first);
        all_ok = false;
    }
    return all_ok;
}

enum exit_code parity_check_file(const char *path, FILE *report, FILE *errors) {
    char *text;
    size_t len;
    int status = file_read_all(&text, &len, path, FILE_BYTES_MAX);
    if (status < 0) {
        fprintf(errors, "spur-parity: %s: cannot be read: %s\n", path, strerror(-status));
        return EXIT_CODE_IO;
    }
    json_error_t error;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (root == NULL) {
        parity_make_printable(error.text);
        fprintf(errors, "spur-parity: %s:%d: not JSON: %s\n", path, error.line, error.text);
        return EXIT_CODE_IO;
    }

    struct parity *p = xmalloc(sizeof *p);
    p->path = path;
    p->report = report;
    bool usable = open_task(p, root) && parity_check_task(p, root) && parity_check_model(p, root) &&
                  parity_check_trajectories(p, root);
    enum exit_code code = EXIT_CODE_OK;
    if (!usable) {
        fprintf(errors, "spur-parity: %s: not a file of reference trajectories: %s\n", path,
                p->err);
        code = EXIT_CODE_IO;
    } else if (!print_report(p)) {
        code = EXIT_CODE_FAILURE;
    }
    env_destroy(&p->env);
    env_destroy(&p->env_v5);
    free(p);
    json_decref(root);
    return code;
}
