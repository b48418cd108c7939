// SPDX-License-Identifier: MIT
// A YAML text as a tree of nodes with line numbers, for configurations and descriptions of
// environments. yaml_doc.c is the only file that includes libyaml's yaml.h.
//
// A node is a number, valid as long as its document. 0 is no node and reads as an empty
// value. An alias can make a node its own ancestor, so a caller descends to a fixed depth.
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

// name: of the file, for errors ("hopper.yaml:12: not valid YAML: ..."); NULL for a text
// without lines. Borrows name, copies text. NULL with a sentence in err.
struct yaml *yaml_parse(const char *text, size_t len, const char *name, char *err, size_t err_len);
// Parses a file of at most 1 MiB.
struct yaml *yaml_load(const char *path, char *err, size_t err_len);
void yaml_destroy(struct yaml **doc);

int yaml_root(const struct yaml *doc);
enum yaml_kind yaml_kind(const struct yaml *doc, int node);
size_t yaml_line(const struct yaml *doc, int node); // 1, 2, ...
// The text as written; NULL for other kinds and for a text that contains NUL.
const char *yaml_text(const struct yaml *doc, int node);
bool yaml_quoted(const struct yaml *doc, int node); // in quotes, or a block scalar scalar
// Number of items of a list or of pairs of a mapping; 0 for other kinds.
int yaml_count(const struct yaml *doc, int node);
int yaml_item(const struct yaml *doc, int node, int index); // item of a list, value of a pair
const char *yaml_key(const struct yaml *doc, int node, int index); // NULL if it is no text
size_t yaml_key_line(const struct yaml *doc, int node, int index);
// The line of an earlier pair with the same key in the mapping; 0: there is none.
size_t yaml_twin_line(const struct yaml *doc, int node, int index);
// The value of a key in a mapping; 0 if there is none.
int yaml_find(const struct yaml *doc, int node, const char *key);

// Parses a decimal number. Refuses hexadecimal, infinities, NaN and blanks.
bool yaml_number(double *x, const char *text);

// Prints "name:line: text" to err, or the text alone without a name. Returns -1.
int yaml_refuse(const struct yaml *doc, size_t line, char *err, size_t err_len, const char *fmt,
                ...) __attribute__((format(printf, 5, 6)));

#endif
