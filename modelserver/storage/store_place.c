// SPDX-License-Identifier: MIT
// Device, inode and size.
#include "modelserver/storage/store_place.h"

#include <stdio.h>
#include <sys/stat.h>

bool store_place_holds(struct store_place *p, int fd) {
    struct stat open, named;
    p->gone = p->gone || fstat(fd, &open) != 0 || stat(p->path, &named) != 0 ||
              open.st_dev != named.st_dev || open.st_ino != named.st_ino || open.st_size < p->size;
    p->size = p->gone ? p->size : open.st_size;
    return !p->gone;
}

void store_place_describe(const struct store_place *p, char *err, size_t err_len) {
    snprintf(
        err, err_len,
        "%s was removed, moved or replaced, or cut off, while the run uses it: nothing more is "
        "stored; put the run directory back, then resume the run",
        p->path);
}
