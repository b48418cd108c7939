// SPDX-License-Identifier: MIT
// Files embedded in a program: MuJoCo models, default configurations.
//
// common/base/embed.py converts them to a C file that defines a table
//
//     const struct embed_file NAME[];
//     const int NAME_count;
//
// EMBED_TABLE(NAME) declares it where it is used. The data are the bytes of the file,
// followed by a NUL that len does not count, so that text can be used as a string.
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
