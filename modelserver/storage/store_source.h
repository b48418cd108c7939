// SPDX-License-Identifier: MIT
// The rows of another run's store, read by a child process.
//
// LMDB trusts its file: one that is damaged, or shortened while it is read, ends the process by
// SIGBUS or SIGSEGV. So a child reads it and passes the values on through a pipe. The run of the
// store may go on meanwhile.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_SOURCE_H
#define SPUR_MODELSERVER_STORAGE_STORE_SOURCE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct store_source {
    char dir[PATH_MAX];
    pid_t pid;
    int fd; // the end of the pipe
};

// Starts to read the first `rows` rows, of len bytes each, of the store in folder dir. 0, or -1
// with a sentence in err.
int store_source_open(struct store_source *s, const char *dir, uint64_t rows, size_t len, char *err,
                      size_t err_len);
// Copies the next row's value (len), which matches its checksum. 0, or -1 with a sentence in err.
int store_source_read(struct store_source *s, unsigned char *value, size_t len, char *err,
                      size_t err_len);
void store_source_close(struct store_source *s);

#endif
