// SPDX-License-Identifier: MIT
// Documents and nodes of libyaml.
#include "common/config/yaml_doc.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "common/base/check.h"
#include "common/base/file.h"

#define FILE_LEN_MAX (1u << 20)
#define BRACKETS_MAX 64 // nested; libyaml takes time with the square of it

struct yaml {
    yaml_document_t document;
    const char *name;
    char *name_copy; // of a loaded file
};

int yaml_refuse(const struct yaml *doc, size_t line, char *err, size_t err_len, const char *fmt,
                ...) {
    char text[768];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (doc->name) {
        snprintf(err, err_len, "%s:%zu: %s", doc->name, line, text);
    } else {
        snprintf(err, err_len, "%s", text);
    }
    return -1;
}

// ---- parsing ----

// Reports libyaml's error. Reader errors (wrong encoding) have an offset instead of a line.
static int refuse_parser(const struct yaml *doc, const yaml_parser_t *parser, const char *text,
                         size_t len, char *err, size_t err_len) {
    // Without memory libyaml gives that error, or none.
    CHECK_RESOURCES(parser->error != YAML_MEMORY_ERROR && parser->problem);
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && i < len; i++) {
            line += text[i] == '\n';
        }
    }
    return yaml_refuse(doc, line, err, err_len, "not valid YAML: %s%s%s", parser->problem,
                       parser->context ? ", " : "", parser->context ? parser->context : "");
}

// Loads the only document of the text. On failure nothing remains to be deleted.
static int load_document(struct yaml *doc, yaml_parser_t *parser, const char *text, size_t len,
                         char *err, size_t err_len) {
    if (!yaml_parser_load(parser, &doc->document)) {
        return refuse_parser(doc, parser, text, len, err, err_len);
    }
    if (!yaml_document_get_root_node(&doc->document)) {
        return 0; // empty
    }
    yaml_document_t second;
    int rc = 0;
    if (!yaml_parser_load(parser, &second)) {
        rc = refuse_parser(doc, parser, text, len, err, err_len);
    } else {
        const yaml_node_t *root = yaml_document_get_root_node(&second);
        if (root) {
            rc = yaml_refuse(doc, root->start_mark.line + 1, err, err_len,
                             "a second document; a file has one");
        }
        yaml_document_delete(&second);
    }
    if (rc < 0) {
        yaml_document_delete(&doc->document);
    }
    return rc;
}

// Line of the bracket that is nested too deeply; 0: none is. Brackets in quotes count, which are
// hardly ever so many.
static size_t deepest_line(const char *text, size_t len) {
    size_t line = 1;
    int depth = 0;
    for (size_t i = 0; i < len && depth <= BRACKETS_MAX; i++) {
        line += text[i] == '\n';
        depth += text[i] == '[' || text[i] == '{';
        depth -= depth > 0 && (text[i] == ']' || text[i] == '}');
    }
    return depth > BRACKETS_MAX ? line : 0;
}

struct yaml *yaml_parse(const char *text, size_t len, const char *name, char *err, size_t err_len) {
    struct yaml *doc = xcalloc(1, sizeof(*doc));
    doc->name = name;
    size_t deep = deepest_line(text, len);
    if (deep > 0) {
        yaml_refuse(doc, deep, err, err_len, "brackets are nested more than %d deep", BRACKETS_MAX);
        free(doc);
        return NULL;
    }
    yaml_parser_t parser;
    CHECK_RESOURCES(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    int rc = load_document(doc, &parser, text, len, err, err_len);
    yaml_parser_delete(&parser);
    if (rc < 0) {
        free(doc);
        return NULL;
    }
    return doc;
}

struct yaml *yaml_load(const char *path, char *err, size_t err_len) {
    char *text;
    size_t len;
    int rc = file_read_all(&text, &len, path, FILE_LEN_MAX);
    if (rc < 0) {
        snprintf(err, err_len, "%s: cannot be read: %s", path, strerror(-rc));
        return NULL;
    }
    struct yaml *doc = yaml_parse(text, len, path, err, err_len);
    free(text);
    if (doc) {
        doc->name = doc->name_copy = xstrdup(path);
    }
    return doc;
}

void yaml_destroy(struct yaml **doc) {
    if (*doc) {
        yaml_document_delete(&(*doc)->document);
        free((*doc)->name_copy);
        free(*doc);
        *doc = NULL;
    }
}

// ---- nodes ----

// libyaml only reads the document, but its parameter is not const.
static const yaml_node_t *at(const struct yaml *doc, int node) {
    return yaml_document_get_node((yaml_document_t *)&doc->document, node);
}

// The text of a scalar; NULL for other nodes and for a text that contains NUL.
static const char *text_of(const yaml_node_t *node) {
    if (!node || node->type != YAML_SCALAR_NODE) {
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

int yaml_root(const struct yaml *doc) {
    return at(doc, 1) ? 1 : 0;
}

enum yaml_kind yaml_kind(const struct yaml *doc, int node) {
    const yaml_node_t *n = at(doc, node);
    if (!n) {
        return YAML_KIND_NOTHING;
    }
    switch (n->type) {
    case YAML_SEQUENCE_NODE:
        return YAML_KIND_LIST;
    case YAML_MAPPING_NODE:
        return YAML_KIND_MAPPING;
    case YAML_SCALAR_NODE: {
        const char *text = text_of(n);
        bool nothing = text && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                       (text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
        return nothing ? YAML_KIND_NOTHING : YAML_KIND_TEXT;
    }
    case YAML_NO_NODE:
        break;
    }
    return YAML_KIND_NOTHING;
}

size_t yaml_line(const struct yaml *doc, int node) {
    const yaml_node_t *n = at(doc, node);
    return n ? n->start_mark.line + 1 : 1;
}

const char *yaml_text(const struct yaml *doc, int node) {
    return yaml_kind(doc, node) == YAML_KIND_TEXT ? text_of(at(doc, node)) : NULL;
}

bool yaml_quoted(const struct yaml *doc, int node) {
    const yaml_node_t *n = at(doc, node);
    return n && n->type == YAML_SCALAR_NODE && n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

int yaml_count(const struct yaml *doc, int node) {
    const yaml_node_t *n = at(doc, node);
    switch (yaml_kind(doc, node)) {
    case YAML_KIND_LIST:
        return (int)(n->data.sequence.items.top - n->data.sequence.items.start);
    case YAML_KIND_MAPPING:
        return (int)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
    case YAML_KIND_NOTHING:
    case YAML_KIND_TEXT:
        break;
    }
    return 0;
}

static const yaml_node_pair_t *pair_of(const struct yaml *doc, int node, int index) {
    CHECK(yaml_kind(doc, node) == YAML_KIND_MAPPING);
    CHECK(index >= 0 && index < yaml_count(doc, node));
    return &at(doc, node)->data.mapping.pairs.start[index];
}

int yaml_item(const struct yaml *doc, int node, int index) {
    if (yaml_kind(doc, node) == YAML_KIND_MAPPING) {
        return pair_of(doc, node, index)->value;
    }
    CHECK(index >= 0 && index < yaml_count(doc, node));
    return at(doc, node)->data.sequence.items.start[index];
}

const char *yaml_key(const struct yaml *doc, int node, int index) {
    return text_of(at(doc, pair_of(doc, node, index)->key));
}

size_t yaml_key_line(const struct yaml *doc, int node, int index) {
    return yaml_line(doc, pair_of(doc, node, index)->key);
}

size_t yaml_twin_line(const struct yaml *doc, int node, int index) {
    const char *key = yaml_key(doc, node, index);
    for (int i = 0; key && i < index; i++) {
        const char *other = yaml_key(doc, node, i);
        if (other && strcmp(key, other) == 0) {
            return yaml_key_line(doc, node, i);
        }
    }
    return 0;
}

int yaml_find(const struct yaml *doc, int node, const char *key) {
    int n = yaml_kind(doc, node) == YAML_KIND_MAPPING ? yaml_count(doc, node) : 0;
    for (int i = 0; i < n; i++) {
        const char *have = yaml_key(doc, node, i);
        if (have && strcmp(have, key) == 0) {
            return yaml_item(doc, node, i);
        }
    }
    return 0;
}

bool yaml_number(double *x, const char *text) {
    if (text[0] == '\0' || text[strspn(text, "0123456789+-.eE")] != '\0') {
        return false;
    }
    char *end;
    *x = strtod(text, &end);
    return *end == '\0' && isfinite(*x);
}
