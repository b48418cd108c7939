// SPDX-License-Identifier: MIT
// Shared libraries loaded on first use, so that a program also runs where they are
// not installed.
//
// The caller defines a table of pointers to the symbols it needs. A library is
// never unloaded.
#ifndef SPUR_COMMON_BASE_LIBRARY_H
#define SPUR_COMMON_BASE_LIBRARY_H

#include <stddef.h>

struct library_symbol {
    const char *name;
    size_t at; // offset of its pointer in the table
};

// For X-macro lists of symbols that the library's header declares: the member of the
// table, and the row of the symbol list.
#define LIBRARY_POINTER(symbol) __typeof__(symbol) *symbol;
#define LIBRARY_ROW(table, symbol) {#symbol, offsetof(struct table, symbol)},

// Loads the first of files (names or paths, NULL-terminated) that can be loaded, and
// writes the addresses of count symbols into table. 0, or -1 with a message in err
// and an unchanged table.
int library_load(void *table, const struct library_symbol *symbols, size_t count,
                 const char *const files[], char *err, size_t err_len);

#endif
