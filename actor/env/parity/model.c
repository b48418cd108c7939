// SPDX-License-Identifier: MIT
// Compares the task's constants, and the compiled model field by field.
#include "actor/env/parity/parity.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/mujoco_internal.h"
#include "common/base/check.h"

#define DIFFERENCES_SHOWN_MAX 20 // of the model; further ones are counted

// ---- the task's constants ----

// The parts of the reward must be the file's columns, in the same order. They are optional.
static bool check_components(struct parity *p, const json_t *root) {
    const double *values;
    const char *const *names;
    int n = env_reward_parts(&values, &names, p->env);
    snprintf(p->where, sizeof p->where, "components");
    const json_t *components = json_object_get(root, "components");
    if (components == NULL || (json_is_array(components) && json_array_size(components) == 0)) {
        return true;
    }
    if (!json_is_array(components) || json_array_size(components) != (size_t)n) {
        return parity_refuse(p, "not %d names", n);
    }
    for (int i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(components, (size_t)i));
        if (name == NULL || strcmp(name, names[i]) != 0) {
            return parity_refuse(p, "column %d is not \"%s\"", i, names[i]);
        }
    }
    p->has_comp = true;
    return true;
}

bool parity_check_task(struct parity *p, const json_t *root) {
    const struct {
        const char *key;
        double here;
    } scalars[] = {
        {"frame_skip", env_frame_skip(p->env)},
        {"dt", env_dt(p->env)},
        {"obs_dim", p->task->obs_dim},
        {"act_dim", p->task->act_dim},
    };
    for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++) {
        const json_t *value = json_object_get(root, scalars[i].key);
        snprintf(p->where, sizeof p->where, "%s", scalars[i].key);
        if (!json_is_number(value)) {
            return parity_refuse(p, "is missing or not a number");
        }
        parity_compare(p, Q_TASK, scalars[i].here, json_number_value(value));
    }
    const char *bound_keys[2] = {"action_low", "action_high"};
    double bounds[2] = {(double)p->task->act_low, (double)p->task->act_high};
    for (int side = 0; side < 2; side++) {
        const json_t *value = json_object_get(root, bound_keys[side]);
        snprintf(p->where, sizeof p->where, "%s", bound_keys[side]);
        if (!parity_is_row(value, (size_t)p->task->act_dim)) {
            return parity_refuse(p, "is missing or not %d numbers", p->task->act_dim);
        }
        for (int i = 0; i < p->task->act_dim; i++) {
            parity_compare(p, Q_TASK, bounds[side],
                           json_number_value(json_array_get(value, (size_t)i)));
        }
    }
    return check_components(p, root);
}

// ---- the compiled model ----

static void model_differs(struct parity *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void model_differs(struct parity *p, const char *fmt, ...) {
    if (++p->measures[Q_MODEL].wrong > DIFFERENCES_SHOWN_MAX) {
        return;
    }
    char what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    parity_make_printable(what);
    fprintf(p->report, "%s: model: %s\n", p->path, what);
}

// Flattens nested arrays of numbers. Returns the count and writes the first max; -1 if they
// contain anything else.
static int flatten(double *out, int max, const json_t *value, int depth) {
    if (json_is_number(value)) {
        if (max > 0) {
            out[0] = json_number_value(value);
        }
        return 1;
    }
    if (!json_is_array(value) || depth == 0) {
        return -1;
    }
    int n = 0;
    for (size_t i = 0; i < json_array_size(value); i++) {
        int space = n < max ? max - n : 0;
        int more = flatten(space > 0 ? out + n : NULL, space, json_array_get(value, i), depth - 1);
        if (more < 0 || n > INT_MAX - more) {
            return -1;
        }
        n += more;
    }
    return n;
}

static void check_field(struct parity *p, const char *field, const json_t *value) {
    p->measures[Q_MODEL].values++;
    int n = env_model_values(NULL, 0, p->env, field);
    if (n < 0) {
        model_differs(p, "%.64s: no such field here", field);
        return;
    }
    double *here = xcalloc((size_t)n + 1, sizeof *here);
    double *file = xcalloc((size_t)n + 1, sizeof *file);
    env_model_values(here, n, p->env, field);
    int file_n = flatten(file, n, value, 3);
    if (file_n != n) {
        model_differs(p, "%s: %d numbers here, %d in the file", field, n, file_n);
    } else if (memcmp(here, file, (size_t)n * sizeof *here) != 0) {
        int i = 0;
        while (memcmp(&here[i], &file[i], sizeof *here) == 0) {
            i++;
        }
        model_differs(p, "%s[%d]: %.17g here, %.17g in the file", field, i, here[i], file[i]);
    }
    for (int i = 0; i < n && i < file_n; i++) {
        p->measures[Q_MODEL].largest = fmax(p->measures[Q_MODEL].largest, fabs(here[i] - file[i]));
    }
    free(here);
    free(file);
}

static void check_group(struct parity *p, const char *group, json_t *fields) {
    const char *key;
    json_t *value;
    json_object_foreach(fields, key, value) {
        char field[80];
        snprintf(field, sizeof field, "%s.%s", group, key);
        check_field(p, field, value);
    }
}

static const struct names {
    const char *key, *kind, *count;
} names_of[] = {
    {"body_names", "body", "nbody"},       {"jnt_names", "joint", "njnt"},
    {"geom_names", "geom", "ngeom"},       {"site_names", "site", "nsite"},
    {"tendon_names", "tendon", "ntendon"}, {"actuator_names", "actuator", "nu"},
};

static void check_names(struct parity *p, const struct names *of, const json_t *names) {
    double count = 0;
    p->measures[Q_MODEL].values++;
    env_model_values(&count, 1, p->env, of->count);
    if (!json_is_array(names) || json_array_size(names) != (size_t)count) {
        model_differs(p, "%s: not %g names in the file", of->key, count);
        return;
    }
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *file = json_string_value(json_array_get(names, i));
        const char *here = env_model_name(p->env, of->kind, (int)i);
        if (file == NULL || strcmp(here, file) != 0) {
            model_differs(p, "%s[%zu]: \"%s\" here, \"%.64s\" in the file", of->key, i, here,
                          file == NULL ? "(not a string)" : file);
        }
    }
}

bool parity_check_model(struct parity *p, const json_t *root) {
    json_t *model = json_object_get(root, "model");
    if (model == NULL) {
        return true;
    }
    if (!json_is_object(model)) {
        snprintf(p->where, sizeof p->where, "model");
        return parity_refuse(p, "not an object");
    }
    // Counts of objects that do not affect the physics.
    static const char *const ignored[] = {"ncam", "nlight", "nnumeric", "nkey", "nstack"};
    const char *key;
    json_t *value;
    json_object_foreach(model, key, value) {
        bool done = false;
        for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
            done = done || strcmp(key, ignored[i]) == 0;
        }
        for (size_t i = 0; !done && i < sizeof names_of / sizeof names_of[0]; i++) {
            if (strcmp(key, names_of[i].key) == 0) {
                check_names(p, &names_of[i], value);
                done = true;
            }
        }
        if (!done && json_is_object(value)) {
            check_group(p, key, value);
        } else if (!done) {
            check_field(p, key, value);
        }
    }
    return true;
}
