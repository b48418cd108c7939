// SPDX-License-Identifier: MIT
// A YAML text as a tree to walk, with the line of every node, for files that
// people write: configurations and descriptions of environments. yaml_doc.c is the
// only file that includes libyaml's yaml.h.
//
// Nodes are numbers, good while their document is; 0 is no node, and behaves like
// an empty value. Aliases may make a node its own ancestor: walk to a fixed depth.
#ifndef SPUR_COMMON_CONFIG_YAML_DOC_H
#define SPUR_COMMON_CONFIG_YAML_DOC_H

#include <stdbool.h>
#include <stddef.h>

enum yaml_kind {
    YAML_KIND_NOTHING, // empty, ~ or null
    YAML_KIND_TEXT,
    YAML_KIND_LIST,
    YAML_KIND_MAPPING,
};

struct yaml;

// name is the file's, for errors: "hopper.yaml:12: not valid YAML: ..."; NULL for
// text that has no lines. Borrows name, copies text. NULL with a sentence in err.
struct yaml *yaml_parse(const char *text, size_t len, const char *name, char *err, size_t err_len);
// The same of a file, of a mebibyte at most.
struct yaml *yaml_load(const char *path, char *err, size_t err_len);
void yaml_destroy(struct yaml **doc);

int yaml_root(const struct yaml *doc);
enum yaml_kind yaml_kind(const struct yaml *doc, int node);
size_t yaml_line(const struct yaml *doc, int node); // 1, 2, ...
// Of a text, as written; NULL for other kinds, and for a text with a NUL in it.
const char *yaml_text(const struct yaml *doc, int node);
bool yaml_quoted(const struct yaml *doc, int node); // in quotes, or a block
// How many items a list or pairs a mapping has; 0 for other kinds.
int yaml_count(const struct yaml *doc, int node);
int yaml_item(const struct yaml *doc, int node, int index);        // of a list, or value of a pair
const char *yaml_key(const struct yaml *doc, int node, int index); // NULL: it is no text
size_t yaml_key_line(const struct yaml *doc, int node, int index);
// The line where the key of a pair was given before in the same mapping; 0: it was not.
size_t yaml_twin_line(const struct yaml *doc, int node, int index);
// The value of a key of a mapping; 0 when it is not there.
int yaml_find(const struct yaml *doc, int node, const char *key);

// Decimal numbers only: no hexadecimal, infinities or NaN, no blanks.
bool yaml_number(double *x, const char *text);

// Writes "name:line: text", or the text alone where there are no lines. Returns -1.
int yaml_refuse(const struct yaml *doc, size_t line, char *err, size_t err_len, const char *fmt,
                ...) __attribute__((format(printf, 5, 6)));

#endif
