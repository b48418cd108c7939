// SPDX-License-Identifier: MIT
// Reads YAML text to a struct config: two levels, sections and keys, with each value checked
// by the table of keys. Other features of YAML, such as keys that are no text, are refused.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/config/config.h"
#include "common/config/keys.h"
#include "common/config/yaml_doc.h"

struct reader {
    struct config *c;
    struct yaml *doc;
    bool has_method; // the document names a method: keys of other methods are refused
    char *err;
    size_t err_len;
};

// yaml_refuse with the reader's document and buffer.
#define refuse(r, line, ...) yaml_refuse((r)->doc, line, (r)->err, (r)->err_len, __VA_ARGS__)

static void read_value(struct config_value *value, const struct yaml *doc, int node) {
    *value = (struct config_value){.kind = CONFIG_VALUE_NOTHING};
    switch (yaml_kind(doc, node)) {
    case YAML_KIND_NOTHING:
        break;
    case YAML_KIND_MAPPING:
        value->kind = CONFIG_VALUE_MAPPING;
        break;
    case YAML_KIND_TEXT: {
        const char *text = yaml_text(doc, node);
        value->kind = CONFIG_VALUE_SCALAR;
        value->quoted = yaml_quoted(doc, node);
        value->n = 1;
        value->text[0] =
            text ? text : "\1"; // a NUL inside: control characters are refused for every kind
        break;
    }
    case YAML_KIND_LIST:
        value->kind = CONFIG_VALUE_LIST;
        value->n = yaml_count(doc, node);
        for (int i = 0; i < value->n && i < CONFIG_LIST_MAX; i++) {
            int item = yaml_item(doc, node, i);
            value->text[i] = yaml_quoted(doc, item) ? NULL : yaml_text(doc, item);
        }
        break;
    }
}

static int set_key(struct reader *r, const struct config_key *key, int node) {
    struct config_value value;
    char why[256], name[96];
    read_value(&value, r->doc, node);
    if (config_key_set(r->c, key, &value, why, sizeof(why)) < 0) {
        config_key_name(key, name, sizeof(name));
        return refuse(r, yaml_line(r->doc, node), "%s: %s", name, why);
    }
    return 0;
}

static int read_key(struct reader *r, const char *section, int mapping, int index) {
    const char *name = yaml_key(r->doc, mapping, index);
    size_t line = yaml_key_line(r->doc, mapping, index);
    if (!name) {
        return refuse(r, line, "%s: expected a key, found something else", section);
    }
    const struct config_key *key = config_key_find(section, name);
    char text[256];
    if (!key) {
        config_key_suggest(text, sizeof(text), section, name);
        return refuse(r, line, "%.60s.%.60s: unknown key; %s", section, name, text);
    }
    if (r->has_method && !config_key_used(key, r->c->method)) {
        config_key_unused_text(text, sizeof(text), key, r->c->method);
        return refuse(r, line, "%s", text);
    }
    return set_key(r, key, yaml_item(r->doc, mapping, index));
}

static int read_section(struct reader *r, const char *section, int node) {
    enum yaml_kind kind = yaml_kind(r->doc, node);
    if (kind == YAML_KIND_NOTHING) {
        return 0; // all keys are commented out
    }
    if (kind != YAML_KIND_MAPPING) {
        return refuse(r, yaml_line(r->doc, node), "%s: expected keys of this section, found %s",
                      section, kind == YAML_KIND_LIST ? "a list" : "a value");
    }
    int n = yaml_count(r->doc, node);
    for (int i = 0; i < n; i++) {
        size_t twin = yaml_twin_line(r->doc, node, i);
        if (twin) {
            return refuse(r, yaml_key_line(r->doc, node, i),
                          "%s.%.60s: given twice; first on line %zu", section,
                          yaml_key(r->doc, node, i), twin);
        }
        if (read_key(r, section, node, i) < 0) {
            return -1;
        }
    }
    return 0;
}

static int refuse_section(struct reader *r, size_t line, const char *name, int value) {
    if (yaml_kind(r->doc, value) == YAML_KIND_MAPPING) {
        const char *nearest = config_section_nearest(name);
        return nearest
                   ? refuse(r, line, "%.60s: unknown section; did you mean %s?", name, nearest)
                   : refuse(r, line, "%.60s: unknown section; `spur config TASK` prints all", name);
    }
    char text[160];
    config_key_suggest(text, sizeof(text), "", name);
    return refuse(r, line, "%.60s: unknown key; %s", name, text);
}

// The method first, wherever it is: its defaults come before the document's other keys.
static int read_top_keys(struct reader *r, int root) {
    int n = yaml_count(r->doc, root);
    for (int i = 0; i < n; i++) {
        const char *name = yaml_key(r->doc, root, i);
        const struct config_key *key = name ? config_key_find("", name) : NULL;
        if (key && set_key(r, key, yaml_item(r->doc, root, i)) < 0) {
            return -1;
        }
        r->has_method = r->has_method || key;
    }
    return 0;
}

static int read_root(struct reader *r) {
    int root = yaml_root(r->doc);
    enum yaml_kind kind = yaml_kind(r->doc, root);
    if (kind == YAML_KIND_NOTHING) {
        return refuse(r, 1,
                      "the file is empty: a configuration names at least a task, as in "
                      "\"run: {task: hopper}\"");
    }
    if (kind != YAML_KIND_MAPPING) {
        return refuse(r, yaml_line(r->doc, root), "expected sections such as \"run:\", found %s",
                      kind == YAML_KIND_LIST ? "a list" : "a value");
    }
    if (read_top_keys(r, root) < 0) {
        return -1;
    }
    int n = yaml_count(r->doc, root);
    for (int i = 0; i < n; i++) {
        const char *name = yaml_key(r->doc, root, i);
        size_t line = yaml_key_line(r->doc, root, i), twin = yaml_twin_line(r->doc, root, i);
        int value = yaml_item(r->doc, root, i);
        if (!name) {
            return refuse(r, line, "expected a section, found something else");
        }
        if (twin) {
            return refuse(r, line, "%.60s: given twice; first on line %zu", name, twin);
        }
        if (config_key_find("", name)) {
            continue;
        }
        if (!config_section_known(name)) {
            return refuse_section(r, line, name, value);
        }
        if (read_section(r, name, value) < 0) {
            return -1;
        }
    }
    return 0;
}

// Reads to a copy, so that a refused file changes nothing.
static int read_document(struct config *c, struct yaml *doc, char *err, size_t err_len) {
    if (!doc) {
        return -1;
    }
    struct config copy = *c;
    struct reader r = {.c = &copy, .doc = doc, .err = err, .err_len = err_len};
    int rc = read_root(&r);
    yaml_destroy(&doc);
    if (rc == 0) {
        *c = copy;
    }
    return rc;
}

int config_parse(struct config *c, const char *text, size_t len, const char *name, char *err,
                 size_t err_len) {
    CHECK(name);
    return read_document(c, yaml_parse(text, len, name, err, err_len), err, err_len);
}

int config_load(struct config *c, const char *path, char *err, size_t err_len) {
    return read_document(c, yaml_load(path, err, err_len), err, err_len);
}

__attribute__((format(printf, 3, 4))) static int refuse_set(char *err, size_t err_len,
                                                            const char *fmt, ...) {
    char text[768];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    snprintf(err, err_len, "--set %s", text);
    return -1;
}

int config_set(struct config *c, const char *assignment, char *err, size_t err_len) {
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment) {
        return refuse_set(err, err_len, "%.100s: expected section.key=value", assignment);
    }
    char name[128];
    snprintf(name, sizeof(name), "%.*s", (int)(equals - assignment), assignment);
    char *dot = strchr(name, '.');
    const char *section = dot ? name : "", *key_name = dot ? dot + 1 : name;
    if (dot) {
        *dot = '\0';
    }
    const struct config_key *key = config_key_find(section, key_name);
    if (!key) {
        char text[160];
        config_key_suggest(text, sizeof(text), section, key_name);
        return refuse_set(err, err_len, "%s%s%s: unknown key; %s", section, dot ? "." : "",
                          key_name, text);
    }
    char why[512];
    struct yaml *doc = yaml_parse(equals + 1, strlen(equals + 1), NULL, why, sizeof(why));
    if (!doc) {
        return refuse_set(err, err_len, "%s", why);
    }
    struct config_value value;
    read_value(&value, doc, yaml_root(doc));
    int rc = config_key_set(c, key, &value, why, sizeof(why));
    if (rc < 0) {
        refuse_set(err, err_len, "%s%s%s: %s", section, dot ? "." : "", key_name, why);
    }
    yaml_destroy(&doc);
    return rc;
}
