// SPDX-License-Identifier: MIT
// Rows of METHODS, their defaults, and which configuration keys each method uses.
#include "common/config/methods.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/config/config.h"
#include "common/config/keys.h"

static const struct method_info infos[] = {
#define X(name, needs, sections, defaults) {#name, needs, sections, defaults},
    METHODS(X)
#undef X
};
enum { METHOD_COUNT = sizeof(infos) / sizeof(infos[0]) };

// Exceptions to the rule by sections: keys used by all methods with these needs.
static const struct {
    const char *section, *name;
    unsigned needs;
} special[] = {
    {"sac", "real_ratio", METHOD_MODEL_ROWS},
    {"rollout", "per_step", METHOD_MODEL_ROWS},
    {"rollout", "retain_epochs", METHOD_MODEL_ROWS},
    {"task", "termination", METHOD_MODEL},
    {"compute", "modelserver_threads", METHOD_MODEL},
    {"rollout", "epoch_steps", 0}, // sac.discount_rise counts in these epochs
};

const struct method_info *method_info(enum method_id id) {
    CHECK((unsigned)id < METHOD_COUNT);
    return &infos[id];
}

bool method_by_name(enum method_id *id, const char *name) {
    for (int i = 0; i < METHOD_COUNT; i++) {
        if (strcmp(infos[i].name, name) == 0) {
            *id = (enum method_id)i;
            return true;
        }
    }
    return false;
}

void method_names(char *out, size_t out_len) {
    size_t n = 0;
    for (int i = 0; i < METHOD_COUNT && n < out_len; i++) {
        n += (size_t)snprintf(out + n, out_len - n, "%s%s", i ? ", " : "", infos[i].name);
    }
}

// Sets the keys of a method's list: to its values, or to the defaults of the table.
static void set_keys(struct config *c, const char *list, bool to_table) {
    char assignment[256], value[256], err[512];
    for (const char *p = list; *p; p += strspn(p, ";")) {
        size_t n = strcspn(p, ";"), equals = strcspn(p, "=");
        snprintf(assignment, sizeof(assignment), "%.*s", (int)n, p);
        if (to_table) {
            snprintf(value, sizeof(value), "%.*s", (int)equals, p);
            char *dot = strchr(value, '.');
            CHECK(dot);
            *dot = '\0';
            const struct config_key *key = config_key_find(value, dot + 1);
            CHECK(key);
            snprintf(assignment, sizeof(assignment), "%.*s=%s", (int)equals, p, key->def);
        }
        int rc = config_set(c, assignment, err, sizeof(err));
        CHECK(rc == 0);
        p += n;
    }
}

void config_use_method(struct config *c, enum method_id id) {
    set_keys(c, method_info(c->method)->defaults, true);
    c->method = id;
    set_keys(c, method_info(id)->defaults, false);
}

// Whether a list of words, separated by blanks, contains word.
static bool has_word(const char *list, const char *word) {
    size_t len = strlen(word);
    for (const char *p = list; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        if (n == len && memcmp(p, word, n) == 0) {
            return true;
        }
        p += n;
    }
    return false;
}

static bool belongs_to_methods(const char *section) {
    for (int i = 0; i < METHOD_COUNT; i++) {
        if (has_word(infos[i].sections, section)) {
            return true;
        }
    }
    return false;
}

bool config_key_used(const struct config_key *key, enum method_id id) {
    const struct method_info *info = method_info(id);
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (strcmp(key->section, special[i].section) == 0 &&
            strcmp(key->name, special[i].name) == 0) {
            return (info->needs & special[i].needs) == special[i].needs;
        }
    }
    return !belongs_to_methods(key->section) || has_word(info->sections, key->section);
}

bool config_key_of_method(const struct config_key *key, enum method_id id) {
    return has_word(method_info(id)->sections, key->section) && config_key_used(key, id);
}

void config_key_methods(char *out, size_t out_len, const struct config_key *key) {
    size_t n = 0;
    int users = 0;
    for (int i = 0; i < METHOD_COUNT && n < out_len; i++) {
        if (config_key_used(key, (enum method_id)i)) {
            n += (size_t)snprintf(out + n, out_len - n, "%s%s", users++ ? ", " : "", infos[i].name);
        }
    }
    if (users == METHOD_COUNT) {
        snprintf(out, out_len, "all");
    }
}

void config_key_unused_text(char *out, size_t out_len, const struct config_key *key,
                            enum method_id id) {
    char name[96], users[96];
    config_key_name(key, name, sizeof(name));
    config_key_methods(users, sizeof(users), key);
    snprintf(out, out_len, "%s: method %s does not use it; used by: %s", name,
             method_info(id)->name, users);
}

bool config_has_model(const struct config *c) {
    return method_info(c->method)->needs & METHOD_MODEL;
}

bool config_has_states(const struct config *c) {
    return method_info(c->method)->needs & METHOD_STATES;
}
