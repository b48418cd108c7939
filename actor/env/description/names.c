// SPDX-License-Identifier: MIT
// Lookup of objects by name in a compiled MuJoCo model, with suggestions for misspelled names.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/description/description.h"
#include "actor/env/mujoco_internal.h"
#include "common/base/check.h"
#include "common/base/spelling.h"

int model_count(const struct env *env, const char *kind) {
    static const char *const counts[][2] = {
        {"joint", "njnt"}, {"sensor", "nsensor"}, {"site", "nsite"},
        {"body", "nbody"}, {"actuator", "nu"},    {"key", "nkey"},
    };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        if (strcmp(counts[i][0], kind) == 0) {
            return (int)model_value(env, counts[i][1], 0);
        }
    }
    CHECK(!"a kind of object that has a count");
    return 0;
}

double model_value(const struct env *env, const char *field, int index) {
    int n = env_model_values(NULL, 0, env, field);
    CHECK(index >= 0 && index < n);
    double *all = xcalloc((size_t)n, sizeof(*all));
    env_model_values(all, n, env, field);
    double value = all[index];
    free(all);
    return value;
}

void list_choices(char *out, size_t out_len, const char *const *choices) {
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; choices[i] && n < out_len; i++) {
        n += (size_t)snprintf(out + n, out_len - n, "%s%s", i ? ", " : "", choices[i]);
    }
}

const char *nearest_choice(const char *given, const char *const *choices) {
    const char *best = NULL;
    int best_distance = INT32_MAX;
    for (int i = 0; choices[i]; i++) {
        int distance = spelling_distance(given, choices[i]);
        if (distance < best_distance) {
            best = choices[i];
            best_distance = distance;
        }
    }
    return best;
}

const char *suggest_choice(char *out, size_t out_len, const char *given,
                           const char *const *choices) {
    const char *nearest = nearest_choice(given, choices);
    if (!nearest || !spelling_is_near(given, nearest)) {
        return ".";
    }
    snprintf(out, out_len, "; did you mean %.60s?", nearest);
    return out;
}

int model_find(const struct env *env, const char *kind, const char *name, char *why,
               size_t why_len) {
    int count = model_count(env, kind), named = 0;
    const char **names = xcalloc((size_t)count + 1, sizeof(*names));
    int found = -1;
    for (int i = 0; i < count; i++) {
        const char *has = env_model_name(env, kind, i);
        if (has[0] == '\0') {
            continue;
        }
        names[named++] = has;
        found = strcmp(has, name) == 0 ? i : found;
    }
    if (found < 0 && named == 0) {
        snprintf(why, why_len, "there is no %s \"%.60s\" in the model: none of them has a name",
                 kind, name);
    } else if (found < 0) {
        char all[400], similar[96];
        list_choices(all, sizeof(all), names);
        snprintf(why, why_len, "there is no %s \"%.60s\" in the model%s There are: %s", kind, name,
                 suggest_choice(similar, sizeof(similar), name, names), all);
    }
    free(names);
    return found;
}
