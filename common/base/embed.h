// SPDX-License-Identifier: MIT
// Files that travel inside the binary: MuJoCo models, default configurations.
//
// common/embed.py turns them into one C file that defines a table
//
//     const struct embed_file NAME[];
//     const int NAME_count;
//
// which its user declares with EMBED_TABLE(NAME). The bytes are those of the
// file, with a NUL behind them that len does not count, so that text may be
// used as a string.
#ifndef SPUR_COMMON_BASE_EMBED_H
#define SPUR_COMMON_BASE_EMBED_H

#include <stddef.h>

struct embed_file {
    const char *name; // without folders: "hopper.xml"
    const unsigned char *data;
    size_t len;
};

#define EMBED_TABLE(table)                                                                         \
    extern const struct embed_file table[];                                                        \
    extern const int table##_count

#endif
