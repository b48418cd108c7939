// SPDX-License-Identifier: MIT
// Shared libraries that are loaded on first use, so that a program also runs
// where they are not installed.
//
// The caller lists the symbols it needs in a table of pointers of its own; a
// library that has been loaded stays so until the process ends.
#ifndef SPUR_COMMON_BASE_LIBRARY_H
#define SPUR_COMMON_BASE_LIBRARY_H

#include <stddef.h>

struct library_symbol {
    const char *name;
    size_t at; // offset of its pointer in the table
};

// A table's entry and its row among the symbols, for X-macro lists of names that
// are declared in the library's header.
#define LIBRARY_POINTER(symbol) __typeof__(symbol) *symbol;
#define LIBRARY_ROW(table, symbol) {#symbol, offsetof(struct table, symbol)},

// Loads the first of files (names or paths, up to a NULL) that is there, and
// writes the address of each of count symbols into table. 0, or -1 with a
// sentence in err and an unchanged table.
int library_load(void *table, const struct library_symbol *symbols, size_t count,
                 const char *const files[], char *err, size_t err_len);

#endif
