// SPDX-License-Identifier: MIT
// Whether the store's open file is still the one at its path, and as long as it was. What is
// written to a file that was removed or replaced is lost when the last process closes it, without
// any error.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_PLACE_H
#define SPUR_MODELSERVER_STORAGE_STORE_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct store_place {
    char path[PATH_MAX];
    off_t size; // when it was last looked at: LMDB never shortens a file
    bool gone;  // once it was found removed, replaced or shortened
};

// Compares the open file fd with the path: two system calls.
bool store_place_holds(struct store_place *p, int fd);
// Says that it does not.
void store_place_describe(const struct store_place *p, char *err, size_t err_len);

#endif
