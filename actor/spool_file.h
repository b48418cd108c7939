// SPDX-License-Identifier: MIT
// A file in memory for a spool (spool.h): what is written to it survives the process, also one
// that is killed. After a power cut what was written in the last half minute may be missing; the
// spool's checksums find it.
#ifndef SPUR_ACTOR_SPOOL_FILE_H
#define SPUR_ACTOR_SPOOL_FILE_H

#include <stddef.h>

struct spool_file {
    void *block; // NULL: none
    size_t bytes;
    int fd;
};

// Opens a file, or makes one of `bytes` bytes, all of which are reserved on the disk. A file that
// exists keeps its size. 0, or -1 with the reason in err: among them another process that has it.
int spool_file_open(struct spool_file *f, const char *path, size_t bytes, char *err,
                    size_t err_len);
void spool_file_close(struct spool_file *f);

#endif
