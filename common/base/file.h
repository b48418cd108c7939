// SPDX-License-Identifier: MIT
// Files written whole or not at all, and small ones read whole.
//
// All return 0 or a negative errno.
#ifndef SPUR_COMMON_BASE_FILE_H
#define SPUR_COMMON_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

// Writes path through a temporary file in the same folder: written, synced,
// renamed, folder synced. After a crash either the old or the new content is
// there.
int file_write_atomic(const char *path, const void *data, size_t len);
int file_writev_atomic(const char *path, const struct iovec *iov, int iov_count);

// *data is allocated (gives, free()) and has a NUL behind its len bytes.
// -EFBIG when longer than len_max.
int file_read_all(char **data, size_t *len, const char *path, size_t len_max);

int file_make_dirs(const char *path); // mkdir -p, mode 0755
bool file_exists(const char *path);
// dir + "/" + name into out; -ENAMETOOLONG when it does not fit.
int file_join(char *out, size_t out_len, const char *dir, const char *name);
// 0 if files can be made in dir.
int file_dir_writable(const char *dir);

// Holds an exclusive lock file so that one run directory serves one process.
// Returns a descriptor (close to release) or -EWOULDBLOCK when held, with the
// holder's pid in *pid if it is known (else 0).
int file_lock(const char *path, int *pid);

#endif
