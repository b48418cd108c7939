// SPDX-License-Identifier: MIT
// The table of keys: lookup, setting and formatting of one value, and the defaults. yaml.c
// reads YAML, print.c writes it, rules.c has the rules between keys.
//
// Why libyaml and not libcyaml, which maps YAML to structs by a schema: range errors with
// their line, the nearest valid key, "1e5" for an integer, --set and the documentation need
// a table of keys anyway, and libcyaml would add nothing to libyaml's parser then.
#include "common/config/config.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/spelling.h"
#include "common/config/keys.h"
#include "common/config/yaml_doc.h"

// Asserts that the kind in the table is the type of the field.
#define C_TYPE_STRING char *
#define C_TYPE_U64 uint64_t
#define C_TYPE_INT int
#define C_TYPE_F64 double
#define C_TYPE_AUTO double
#define C_TYPE_NONE double
#define C_TYPE_BOOL bool
#define C_TYPE_LIST struct config_list
#define C_TYPE_NAME                                                                                \
    enum method_id : 1, enum pacing_mode : 1, enum pacing_training : 1, enum task_termination : 1, \
        enum model_targets : 1, enum model_stop : 1, enum model_noise : 1, enum model_holdout : 1, \
        enum model_bootstrap : 1, enum model_init : 1, enum model_decay : 1,                       \
        enum dhmbpo_policy_init : 1, enum explore_noise : 1, enum sac_activation : 1,              \
        enum compute_kernels
#define ASSERT_TYPE(section, key, kind, ...)                                                       \
    _Static_assert(_Generic(((struct config *)0)->section.key, C_TYPE_##kind : 1, default : 0),    \
                   #section "." #key " is not a " #kind);
CONFIG_KEYS(ASSERT_TYPE)
#define ASSERT_TOP_TYPE(key, kind, ...)                                                            \
    _Static_assert(_Generic(((struct config *)0)->key, C_TYPE_##kind : 1, default : 0),            \
                   #key " is not a " #kind);
CONFIG_TOP_KEYS(ASSERT_TOP_TYPE)

#define ROW(section, key, kind, def, min, max, unit, meaning)                                      \
    {#section, #key, CONFIG_##kind, offsetof(struct config, section.key), def, min,                \
     max,      unit, meaning},
#define TOP_ROW(key, kind, def, unit, meaning)                                                     \
    {"", #key, CONFIG_##kind, offsetof(struct config, key), def, 0, 0, unit, meaning},
const struct config_key config_keys[] = {CONFIG_TOP_KEYS(TOP_ROW) CONFIG_KEYS(ROW)};
const int config_key_count = (int)(sizeof(config_keys) / sizeof(config_keys[0]));

// Enums of names are set and read as int.
_Static_assert(sizeof(enum method_id) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum pacing_mode) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum pacing_training) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum model_targets) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum model_stop) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum model_holdout) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum model_noise) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum model_bootstrap) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum model_init) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum model_decay) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum dhmbpo_policy_init) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum task_termination) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum sac_activation) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum explore_noise) == sizeof(int), "names are stored as int");
_Static_assert(sizeof(enum compute_kernels) == sizeof(int), "names are stored as int");

// ---- finding ----

void config_key_name(const struct config_key *key, char *out, size_t out_len) {
    snprintf(out, out_len, "%s%s%s", key->section, key->section[0] ? "." : "", key->name);
}

const struct config_key *config_key_find(const char *section, const char *name) {
    for (int i = 0; i < config_key_count; i++) {
        if (strcmp(config_keys[i].section, section) == 0 &&
            strcmp(config_keys[i].name, name) == 0) {
            return &config_keys[i];
        }
    }
    return NULL;
}

bool config_section_known(const char *section) {
    for (int i = 0; i < config_key_count; i++) {
        if (section[0] != '\0' && strcmp(config_keys[i].section, section) == 0) {
            return true;
        }
    }
    return false;
}

// A wrong section adds at most 3, so that a key in the wrong section is found in the right
// one; a missing section adds 1.
static int section_distance(const char *given, const char *section) {
    if (given[0] == '\0') {
        return 1;
    }
    int d = spelling_distance(given, section);
    return d < 3 ? d : 3;
}

// What other programs call a key. A section is that of the key unless the given section has a key
// of this name too.
static const struct {
    const char *word, *section, *name;
} synonyms[] = {
    {"algo", "", "method"},
    {"algorithm", "", "method"},
    {"alpha", "sac", "initial_temperature"},
    {"batch", "sac", "batch_size"},
    {"ensemble_size", "model", "members"},
    {"ent_coef", "sac", "initial_temperature"},
    {"eval_freq", "eval", "every_steps"},
    {"gamma", "sac", "discount"},
    {"gradient_steps", "pacing", "updates_per_step"},
    {"layers", "sac", "hidden_layers"},
    {"learning_starts", "run", "explore_steps"},
    {"lr", "sac", "learning_rate"},
    {"max_episode_steps", "task", "horizon"},
    {"n_envs", "run", "envs_per_actor"},
    {"n_eval_episodes", "eval", "episodes"},
    {"net_arch", "sac", "hidden_width"},
    {"num_envs", "run", "envs_per_actor"},
    {"polyak", "sac", "tau"},
    {"temperature", "sac", "initial_temperature"},
    {"threads", "compute", "learner_threads"},
    {"timesteps", "run", "steps"},
    {"total_timesteps", "run", "steps"},
    {"utd", "pacing", "updates_per_step"},
    {"utd_ratio", "pacing", "updates_per_step"},
    {"width", "sac", "hidden_width"},
};

static const struct config_key *key_by_synonym(const char *section, const char *name) {
    for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++) {
        if (strcasecmp(name, synonyms[i].word) == 0) {
            const struct config_key *key = config_key_find(section, synonyms[i].name);
            return key ? key : config_key_find(synonyms[i].section, synonyms[i].name);
        }
    }
    return NULL;
}

const struct config_key *config_key_nearest(const char *section, const char *name) {
    const struct config_key *best = key_by_synonym(section, name);
    int best_distance = best ? 0 : INT32_MAX;
    for (int i = 0; i < config_key_count; i++) {
        int d = section_distance(section, config_keys[i].section) +
                spelling_distance(name, config_keys[i].name);
        if (d < best_distance && spelling_is_near(name, config_keys[i].name)) {
            best_distance = d;
            best = &config_keys[i];
        }
    }
    return best;
}

void config_key_suggest(char *out, size_t out_len, const char *section, const char *name) {
    const struct config_key *key = config_key_nearest(section, name);
    char full[96];
    if (key) {
        config_key_name(key, full, sizeof(full));
        snprintf(out, out_len, "did you mean %s?", full);
    } else {
        snprintf(out, out_len, "`spur config TASK` prints all keys");
    }
}

const char *config_section_nearest(const char *section) {
    const char *best = NULL;
    int best_distance = INT32_MAX;
    for (int i = 0; i < config_key_count; i++) {
        int d = spelling_distance(section, config_keys[i].section);
        if (config_keys[i].section[0] != '\0' && d < best_distance &&
            spelling_is_near(section, config_keys[i].section)) {
            best_distance = d;
            best = config_keys[i].section;
        }
    }
    return best;
}

// ---- setting ----

static void *field_of(struct config *c, const struct config_key *key) {
    return (char *)c + key->offset;
}

static const void *const_field_of(const struct config *c, const struct config_key *key) {
    return (const char *)c + key->offset;
}

// ---- names ----

// The name number index of a key; false if there are fewer.
static bool name_at(char *out, size_t out_len, const struct config_key *key, int index) {
    const char *p = key->unit;
    for (; index > 0; index--) {
        p = strchr(p, '|');
        if (!p || !p[1]) { // the list may end with a bar
            return false;
        }
        p++;
    }
    snprintf(out, out_len, "%.*s", (int)strcspn(p, "|"), p);
    return true;
}

// "rule, never or learned"
static void list_names(char *out, size_t out_len, const struct config_key *key) {
    char name[32], after[32];
    size_t n = 0;
    for (int i = 0; name_at(name, sizeof(name), key, i) && n < out_len; i++) {
        bool last = !name_at(after, sizeof(after), key, i + 1);
        n += (size_t)snprintf(out + n, out_len - n, "%s%s",
                              i == 0 ? ""
                              : last ? " or "
                                     : ", ",
                              name);
    }
}

// The word that a key accepts instead of a number, NaN in the field; NULL: none.
static const char *nan_word(const struct config_key *key) {
    return key->kind == CONFIG_AUTO ? "auto" : key->kind == CONFIG_NONE ? "none" : NULL;
}

static const char *expected_text(char *out, size_t out_len, const struct config_key *key) {
    switch (key->kind) {
    case CONFIG_STRING:
        return "text";
    case CONFIG_U64:
    case CONFIG_INT:
        return "a whole number";
    case CONFIG_F64:
        return "a number";
    case CONFIG_AUTO:
    case CONFIG_NONE:
        snprintf(out, out_len, "a number or %s", nan_word(key));
        return out;
    case CONFIG_BOOL:
        return "true or false";
    case CONFIG_LIST:
        return "a list of numbers, as in [1, 2.5]";
    case CONFIG_NAME:
        list_names(out, out_len, key);
        return out;
    }
    return "";
}

static int refuse_type(const struct config_key *key, const struct config_value *value, char *why,
                       size_t why_len) {
    char names[96];
    const char *expected = expected_text(names, sizeof(names), key);
    switch (value->kind) {
    case CONFIG_VALUE_NOTHING:
        snprintf(why, why_len, "expected %s, found nothing", expected);
        break;
    case CONFIG_VALUE_SCALAR:
        snprintf(why, why_len, "expected %s, found %s\"%.60s\"", expected,
                 value->quoted ? "the quoted text " : "", value->text[0]);
        break;
    case CONFIG_VALUE_LIST:
        snprintf(why, why_len, "expected %s, found a list", expected);
        break;
    case CONFIG_VALUE_MAPPING:
        snprintf(why, why_len, "expected %s, found a mapping", expected);
        break;
    }
    return -1;
}

static int check_range(const struct config_key *key, double x, const char *text, char *why,
                       size_t why_len) {
    if (x >= key->min && x <= key->max) {
        return 0;
    }
    char range[96];
    config_key_range(key, range, sizeof(range));
    snprintf(why, why_len, "%.60s is out of range; it must be %s", text, range);
    return -1;
}

static int set_number(struct config *c, const struct config_key *key,
                      const struct config_value *value, char *why, size_t why_len) {
    double x;
    const char *word = nan_word(key);
    bool real = key->kind == CONFIG_F64 || word;
    if (word && value->kind == CONFIG_VALUE_SCALAR && strcmp(value->text[0], word) == 0) {
        *(double *)field_of(c, key) = (double)NAN;
        return 0;
    }
    if (value->kind != CONFIG_VALUE_SCALAR || value->quoted || !yaml_number(&x, value->text[0])) {
        return refuse_type(key, value, why, why_len);
    }
    if (!real && x != floor(x)) {
        return refuse_type(key, value, why, why_len);
    }
    if (check_range(key, x, value->text[0], why, why_len) < 0) {
        return -1;
    }
    if (real) {
        *(double *)field_of(c, key) = x == 0 ? 0 : x; // no negative zero
    } else if (key->kind == CONFIG_INT) {
        *(int *)field_of(c, key) = (int)x;
    } else {
        *(uint64_t *)field_of(c, key) = (uint64_t)x;
    }
    return 0;
}

static int set_list(struct config *c, const struct config_key *key,
                    const struct config_value *value, char *why, size_t why_len) {
    if (value->kind != CONFIG_VALUE_LIST) {
        return refuse_type(key, value, why, why_len);
    }
    if (value->n > CONFIG_LIST_MAX) {
        snprintf(why, why_len, "expected at most %d numbers in the list, found %d", CONFIG_LIST_MAX,
                 value->n);
        return -1;
    }
    struct config_list list = {.n = value->n};
    for (int i = 0; i < value->n; i++) {
        if (!value->text[i] || !yaml_number(&list.v[i], value->text[i])) {
            snprintf(why, why_len, "expected a number as item %d of the list, found %s%.60s%s",
                     i + 1, value->text[i] ? "\"" : "",
                     value->text[i] ? value->text[i] : "no number", value->text[i] ? "\"" : "");
            return -1;
        }
        if (check_range(key, list.v[i], value->text[i], why, why_len) < 0) {
            return -1;
        }
    }
    *(struct config_list *)field_of(c, key) = list;
    return 0;
}

const char *config_env_removed(const char *env) {
    return strcmp(env, "wire") == 0
               ? "the value wire was removed: name the environment itself, as "
                 "--env python:MODULE:FUNCTION or --env \"COMMAND ARGUMENTS\"; "
                 "docs/protocol.md describes actors of your own"
               : NULL;
}

static int set_string(struct config *c, const struct config_key *key,
                      const struct config_value *value, char *why, size_t why_len) {
    if (value->kind != CONFIG_VALUE_SCALAR) {
        return refuse_type(key, value, why, why_len);
    }
    size_t len = strlen(value->text[0]);
    if (len >= CONFIG_STRING_MAX) {
        snprintf(why, why_len, "expected at most %d bytes of text, found %zu",
                 CONFIG_STRING_MAX - 1, len);
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        if (iscntrl((unsigned char)value->text[0][i])) {
            snprintf(why, why_len, "expected plain text, found a control character in it");
            return -1;
        }
    }
    const char *removed = config_env_removed(value->text[0]);
    if (removed && key->offset == offsetof(struct config, task.env)) {
        snprintf(why, why_len, "%s", removed);
        return -1;
    }
    // Zeros after the text, so that equal configurations are equal bytes.
    memset(field_of(c, key), 0, CONFIG_STRING_MAX);
    memcpy(field_of(c, key), value->text[0], len);
    return 0;
}

static int set_name(struct config *c, const struct config_key *key,
                    const struct config_value *value, char *why, size_t why_len) {
    if (value->kind != CONFIG_VALUE_SCALAR) {
        return refuse_type(key, value, why, why_len);
    }
    if (key->kind == CONFIG_BOOL && !value->quoted) {
        bool yes = strcmp(value->text[0], "true") == 0;
        if (yes || strcmp(value->text[0], "false") == 0) {
            *(bool *)field_of(c, key) = yes;
            return 0;
        }
    }
    char name[32];
    for (int i = 0; key->kind == CONFIG_NAME && name_at(name, sizeof(name), key, i); i++) {
        if (strcmp(value->text[0], name) == 0) {
            memcpy(field_of(c, key), &i, sizeof(i));
            if (key->offset == offsetof(struct config, method)) {
                config_use_method(c, (enum method_id)i);
            }
            return 0;
        }
    }
    return refuse_type(key, value, why, why_len);
}

int config_key_set(struct config *c, const struct config_key *key, const struct config_value *value,
                   char *why, size_t why_len) {
    switch (key->kind) {
    case CONFIG_STRING:
        return set_string(c, key, value, why, why_len);
    case CONFIG_U64:
    case CONFIG_INT:
    case CONFIG_F64:
    case CONFIG_AUTO:
    case CONFIG_NONE:
        return set_number(c, key, value, why, why_len);
    case CONFIG_LIST:
        return set_list(c, key, value, why, why_len);
    case CONFIG_BOOL:
    case CONFIG_NAME:
        return set_name(c, key, value, why, why_len);
    }
    return -1;
}

void config_defaults(struct config *c) {
    memset(c, 0, sizeof(*c));
    for (int i = 0; i < config_key_count; i++) {
        char name[96], assignment[256], err[512];
        config_key_name(&config_keys[i], name, sizeof(name));
        snprintf(assignment, sizeof(assignment), "%s=%s", name, config_keys[i].def);
        int rc = config_set(c, assignment, err, sizeof(err));
        CHECK(rc == 0);
    }
}

// ---- formatting ----

void config_format_number(double x, char *out, size_t out_len) {
    CHECK(out);
    if (x == floor(x) && fabs(x) < 1e15) {
        snprintf(out, out_len, "%.0f", x);
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(out, out_len, "%.*g", digits, x);
        if (strtod(out, NULL) == x) {
            return;
        }
    }
}

static void format_string(const char *s, char *out, size_t out_len) {
    // Quotes a text that YAML could read as another type.
    bool plain = s[0] != '\0' && !isdigit((unsigned char)s[0]) && s[0] != '-' && s[0] != '.' &&
                 strcmp(s, "null") != 0;
    for (const char *p = s; *p; p++) {
        plain = plain && (isalnum((unsigned char)*p) || strchr("_-.", *p));
    }
    if (plain) {
        snprintf(out, out_len, "%s", s);
        return;
    }
    size_t n = 0;
    out[n++] = '"';
    for (const char *p = s; *p && n + 4 < out_len; p++) {
        if (*p == '"' || *p == '\\') {
            out[n++] = '\\';
        }
        out[n++] = *p;
    }
    out[n++] = '"';
    out[n] = '\0';
}

static void format_list(const struct config_list *list, char *out, size_t out_len) {
    size_t n = (size_t)snprintf(out, out_len, "[");
    for (int i = 0; i < list->n; i++) {
        char number[40];
        config_format_number(list->v[i], number, sizeof(number));
        n += (size_t)snprintf(out + n, out_len - n, "%s%s", i ? ", " : "", number);
    }
    snprintf(out + n, out_len - n, "]");
}

void config_key_format(const struct config *c, const struct config_key *key, char *out,
                       size_t out_len) {
    CHECK(out_len >= 2 * CONFIG_STRING_MAX && out_len >= 40 * CONFIG_LIST_MAX);
    const void *field = const_field_of(c, key);
    switch (key->kind) {
    case CONFIG_STRING:
        format_string(field, out, out_len);
        break;
    case CONFIG_U64:
        snprintf(out, out_len, "%llu", (unsigned long long)*(const uint64_t *)field);
        break;
    case CONFIG_INT:
        snprintf(out, out_len, "%d", *(const int *)field);
        break;
    case CONFIG_F64:
        config_format_number(*(const double *)field, out, out_len);
        break;
    case CONFIG_AUTO:
    case CONFIG_NONE:
        if (isnan(*(const double *)field)) {
            snprintf(out, out_len, "%s", nan_word(key));
        } else {
            config_format_number(*(const double *)field, out, out_len);
        }
        break;
    case CONFIG_BOOL:
        snprintf(out, out_len, "%s", *(const bool *)field ? "true" : "false");
        break;
    case CONFIG_LIST:
        format_list(field, out, out_len);
        break;
    case CONFIG_NAME: {
        int index;
        memcpy(&index, field, sizeof(index));
        bool known = name_at(out, out_len, key, index);
        CHECK(known);
        break;
    }
    }
}

void config_key_range(const struct config_key *key, char *out, size_t out_len) {
    if (key->kind == CONFIG_STRING || key->kind == CONFIG_BOOL || key->kind == CONFIG_NAME) {
        char names[96];
        snprintf(out, out_len, "%s",
                 key->kind == CONFIG_STRING ? "" : expected_text(names, sizeof(names), key));
        return;
    }
    char low[40], high[40];
    config_format_number(key->min, low, sizeof(low));
    config_format_number(key->max, high, sizeof(high));
    const char *word = nan_word(key);
    snprintf(out, out_len, "%s%sbetween %s and %s", word ? word : "", word ? ", or " : "", low,
             high);
}

const char *config_kind_name(enum config_kind kind) {
    static const char *const names[] = {
        [CONFIG_STRING] = "text",  [CONFIG_U64] = "integer", [CONFIG_INT] = "integer",
        [CONFIG_F64] = "number",   [CONFIG_AUTO] = "number", [CONFIG_NONE] = "number",
        [CONFIG_BOOL] = "boolean", [CONFIG_NAME] = "name",   [CONFIG_LIST] = "list of numbers",
    };
    return names[kind];
}
