// SPDX-License-Identifier: MIT
// Atomic writing of files, reading of small files, directories and locks.
//
// Functions return 0 or a negative errno.
#ifndef SPUR_COMMON_BASE_FILE_H
#define SPUR_COMMON_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

// Replaces path atomically: writes a temporary file in the same directory, syncs and
// renames it, and syncs the directory. After a crash the file has either the old or the
// new content.
int file_write_atomic(const char *path, const void *data, size_t len);
int file_writev_atomic(const char *path, const struct iovec *iov, int iov_count);

// Removes the temporary files in dir that killed writers left; a writer locks its own. Returns
// their number.
int file_sweep(const char *dir);

// Appends whole lines and syncs them. An incomplete last line, left by a crash, is removed first.
// After an error the file is as before.
int file_append_lines(const char *path, const char *text, size_t len);

// Makes `kept` a second name of the file at path, in place of what it named before: when path is
// replaced next, kept is the file before. At any instant kept is whole, and path is untouched. On
// file systems without hard links path is renamed to kept. 0 without a file at path.
int file_keep(const char *path, const char *kept);
// out = path with ".WORD" before the last dot of its name, or at its end: "a/b.x" and "old" give
// "a/b.old.x".
int file_beside(char *out, size_t out_len, const char *path, const char *word);

// Allocates *data (gives; freed with free()): len bytes, followed by a NUL. -EFBIG if the
// file is longer than len_max.
int file_read_all(char **data, size_t *len, const char *path, size_t len_max);

int file_make_dirs(const char *path); // mkdir -p, mode 0755
int file_make_dir(const char *path);  // mkdir; 0 if it exists
bool file_exists(const char *path);
// out = dir "/" name; -ENAMETOOLONG if it does not fit.
int file_join(char *out, size_t out_len, const char *dir, const char *name);
// 0 if a file can be created in dir.
int file_dir_writable(const char *dir);

// Locks path exclusively, so that one process uses a run directory. Returns a descriptor;
// closing it releases the lock. -EWOULDBLOCK if another process has the lock, with its pid
// in *pid if known, else 0.
int file_lock(const char *path, int *pid);
// The same in place of a process that has the lock and does not answer: the file is replaced, and
// what that process has locked is no longer at path.
int file_lock_replace(const char *path);

// Flushes standard output at the end of a program. Returns exit_code, or EXIT_CODE_IO instead of 0
// after logging the error, if any of the output is lost: a full disk must not look like success.
int file_close_output(int exit_code);

#endif
