// SPDX-License-Identifier: MIT
// YAML text into a struct config (yaml.h is included by this file alone).
//
// libyaml builds the document, with the place of every node; we walk the two
// levels that a configuration has and hand each value to the table. Anything
// else that YAML can say (anchors to whole sections, several documents, keys
// that are not scalars) is refused or has no effect beyond its value.
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "common/check.h"
#include "common/config.h"
#include "common/config_keys.h"
#include "common/file.h"

#define FILE_LEN_MAX (1u << 20)

struct reader {
    struct config *c;
    yaml_document_t doc;
    const char *name; // of the file; NULL for --set, which has no lines
    char *err;
    size_t err_len;
};

// Writes "name:line: text" and returns -1.
static int refuse(struct reader *r, size_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct reader *r, size_t line, const char *fmt, ...) {
    char text[768];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (r->name) {
        snprintf(r->err, r->err_len, "%s:%zu: %s", r->name, line, text);
    } else {
        snprintf(r->err, r->err_len, "--set %s", text);
    }
    return -1;
}

static size_t line_of(const yaml_node_t *node) {
    return node->start_mark.line + 1;
}

// The text of a scalar, or NULL if it is none or holds a NUL.
static const char *scalar_text(const yaml_node_t *node) {
    if (node->type != YAML_SCALAR_NODE) {
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

static bool is_quoted(const yaml_node_t *node) {
    return node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

static bool is_nothing(const yaml_node_t *node) {
    const char *text = scalar_text(node);
    return text && !is_quoted(node) &&
           (text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static void read_value(struct config_value *value, yaml_document_t *doc, const yaml_node_t *node) {
    *value = (struct config_value){.kind = CONFIG_VALUE_NOTHING};
    if (!node || is_nothing(node)) {
        return;
    }
    if (node->type == YAML_MAPPING_NODE) {
        value->kind = CONFIG_VALUE_MAPPING;
    } else if (node->type == YAML_SCALAR_NODE) {
        const char *text = scalar_text(node);
        value->kind = CONFIG_VALUE_SCALAR;
        value->quoted = is_quoted(node);
        value->n = 1;
        value->text[0] = text ? text : "\1"; // a NUL inside: no kind takes control characters
    } else if (node->type == YAML_SEQUENCE_NODE) {
        value->kind = CONFIG_VALUE_LIST;
        value->n = (int)(node->data.sequence.items.top - node->data.sequence.items.start);
        for (int i = 0; i < value->n && i < CONFIG_LIST_MAX; i++) {
            const yaml_node_t *item =
                yaml_document_get_node(doc, node->data.sequence.items.start[i]);
            bool plain = scalar_text(item) && !is_quoted(item) && !is_nothing(item);
            value->text[i] = plain ? scalar_text(item) : NULL;
        }
    }
}

static int read_key(struct reader *r, const char *section, const yaml_node_t *name_node,
                    const yaml_node_t *value_node) {
    const char *name = scalar_text(name_node);
    if (!name) {
        return refuse(r, line_of(name_node), "%s: expected a key, found something else", section);
    }
    const struct config_key *key = config_key_find(section, name);
    if (!key) {
        const struct config_key *nearest = config_key_nearest(section, name);
        return refuse(r, line_of(name_node), "%.60s.%.60s: unknown key; did you mean %s.%s?",
                      section, name, nearest->section, nearest->name);
    }
    struct config_value value;
    char why[256];
    read_value(&value, &r->doc, value_node);
    if (config_key_set(r->c, key, &value, why, sizeof(why)) < 0) {
        return refuse(r, line_of(value_node), "%s.%s: %s", section, name, why);
    }
    return 0;
}

// The pair before `pair` that has the same key, or NULL.
static const yaml_node_t *earlier_twin(yaml_document_t *doc, const yaml_node_t *mapping,
                                       const yaml_node_pair_t *pair) {
    const char *name = scalar_text(yaml_document_get_node(doc, pair->key));
    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; name && p < pair; p++) {
        const yaml_node_t *other = yaml_document_get_node(doc, p->key);
        const char *other_name = scalar_text(other);
        if (other_name && strcmp(name, other_name) == 0) {
            return other;
        }
    }
    return NULL;
}

static int read_section(struct reader *r, const char *section, const yaml_node_t *node) {
    if (is_nothing(node)) {
        return 0; // all its keys are commented out
    }
    if (node->type != YAML_MAPPING_NODE) {
        return refuse(r, line_of(node), "%s: expected keys of this section, found %s", section,
                      node->type == YAML_SEQUENCE_NODE ? "a list" : "a value");
    }
    const yaml_node_pair_t *end = node->data.mapping.pairs.top;
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < end; pair++) {
        const yaml_node_t *name = yaml_document_get_node(&r->doc, pair->key);
        const yaml_node_t *twin = earlier_twin(&r->doc, node, pair);
        if (twin) {
            return refuse(r, line_of(name), "%s.%.60s: given twice; first on line %zu", section,
                          scalar_text(name), line_of(twin));
        }
        if (read_key(r, section, name, yaml_document_get_node(&r->doc, pair->value)) < 0) {
            return -1;
        }
    }
    return 0;
}

static int refuse_section(struct reader *r, const yaml_node_t *name_node, const char *name,
                          const yaml_node_t *value) {
    if (value->type == YAML_MAPPING_NODE) {
        return refuse(r, line_of(name_node), "%.60s: unknown section; did you mean %s?", name,
                      config_section_nearest(name));
    }
    const struct config_key *nearest = config_key_nearest("", name);
    return refuse(r, line_of(name_node), "%.60s: unknown key; did you mean %s.%s?", name,
                  nearest->section, nearest->name);
}

static int read_root(struct reader *r) {
    const yaml_node_t *root = yaml_document_get_root_node(&r->doc);
    if (!root || is_nothing(root)) {
        return 0; // empty: all is left as it is
    }
    if (root->type != YAML_MAPPING_NODE) {
        return refuse(r, line_of(root), "expected sections such as \"run:\", found %s",
                      root->type == YAML_SEQUENCE_NODE ? "a list" : "a value");
    }
    const yaml_node_pair_t *end = root->data.mapping.pairs.top;
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < end; pair++) {
        const yaml_node_t *name_node = yaml_document_get_node(&r->doc, pair->key);
        const yaml_node_t *value = yaml_document_get_node(&r->doc, pair->value);
        const char *name = scalar_text(name_node);
        if (!name) {
            return refuse(r, line_of(name_node), "expected a section, found something else");
        }
        const yaml_node_t *twin = earlier_twin(&r->doc, root, pair);
        if (twin) {
            return refuse(r, line_of(name_node), "%.60s: given twice; first on line %zu", name,
                          line_of(twin));
        }
        if (!config_section_known(name)) {
            return refuse_section(r, name_node, name, value);
        }
        if (read_section(r, name, value) < 0) {
            return -1;
        }
    }
    return 0;
}

// What libyaml has to say about text that is no YAML. Reader errors (wrong
// encoding) come with an offset in place of a line.
static int refuse_yaml(struct reader *r, const yaml_parser_t *parser, const char *text,
                       size_t len) {
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && i < len; i++) {
            line += text[i] == '\n';
        }
    }
    return refuse(r, line, "not valid YAML: %s%s%s",
                  parser->problem ? parser->problem : "unreadable", parser->context ? ", " : "",
                  parser->context ? parser->context : "");
}

// Loads the only document of text into r->doc; the caller deletes it if 0 is
// returned.
static int load_document(struct reader *r, const char *text, size_t len) {
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        return refuse(r, 1, "out of memory");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    int rc = 0;
    if (!yaml_parser_load(&parser, &r->doc)) {
        rc = refuse_yaml(r, &parser, text, len);
        goto out;
    }
    if (yaml_document_get_root_node(&r->doc)) {
        yaml_document_t second;
        if (!yaml_parser_load(&parser, &second)) {
            rc = refuse_yaml(r, &parser, text, len);
        } else {
            const yaml_node_t *root = yaml_document_get_root_node(&second);
            if (root) {
                rc = refuse(r, line_of(root), "a second document; one file is one configuration");
            }
            yaml_document_delete(&second);
        }
        if (rc < 0) {
            yaml_document_delete(&r->doc);
        }
    }
out:
    yaml_parser_delete(&parser);
    return rc;
}

int config_parse(struct config *c, const char *text, size_t len, const char *name, char *err,
                 size_t err_len) {
    CHECK(name);
    // Into a copy: a file that is refused changes nothing.
    struct config copy = *c;
    struct reader r = {.c = &copy, .name = name, .err = err, .err_len = err_len};
    if (load_document(&r, text, len) < 0) {
        return -1;
    }
    int rc = read_root(&r);
    yaml_document_delete(&r.doc);
    if (rc == 0) {
        *c = copy;
    }
    return rc;
}

int config_load(struct config *c, const char *path, char *err, size_t err_len) {
    char *text;
    size_t len;
    int rc = file_read_all(&text, &len, path, FILE_LEN_MAX);
    if (rc < 0) {
        snprintf(err, err_len, "%s: cannot be read: %s", path, strerror(-rc));
        return -1;
    }
    rc = config_parse(c, text, len, path, err, err_len);
    free(text);
    return rc;
}

int config_set(struct config *c, const char *assignment, char *err, size_t err_len) {
    struct reader r = {.c = c, .err = err, .err_len = err_len};
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment) {
        return refuse(&r, 0, "%.100s: expected section.key=value", assignment);
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
        const struct config_key *nearest = config_key_nearest(section, key_name);
        return refuse(&r, 0, "%s%s%s: unknown key; did you mean %s.%s?", section, dot ? "." : "",
                      key_name, nearest->section, nearest->name);
    }
    if (load_document(&r, equals + 1, strlen(equals + 1)) < 0) {
        return -1;
    }
    struct config_value value;
    char why[256];
    read_value(&value, &r.doc, yaml_document_get_root_node(&r.doc));
    int rc = config_key_set(c, key, &value, why, sizeof(why));
    if (rc < 0) {
        refuse(&r, 0, "%s.%s: %s", section, key_name, why);
    }
    yaml_document_delete(&r.doc);
    return rc;
}
