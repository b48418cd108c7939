// SPDX-License-Identifier: MIT
// What the log of a run says about a process: why it failed, and errors while it runs.
#ifndef SPUR_CLI_RUN_LOG_TAIL_H
#define SPUR_CLI_RUN_LOG_TAIL_H

#include <stddef.h>
#include <sys/types.h>

// All functions read the open file log_fd, which may have been removed since.

// Prints the last lines of a process in the log to standard error, at most lines_max, and path, the
// log's. program: the name under which the process logs before it has read its options.
void log_tail_print(int log_fd, const char *path, const char *process, const char *program,
                    int lines_max);

// Writes the last error that a process logged, "" if its last lines have none. out_len bytes of it.
void log_tail_reason(char *out, size_t out_len, int log_fd, const char *process,
                     const char *program);

// Calls found for each error logged at offset *at or later, in complete lines, and moves *at behind
// them. Of more than 64 KiB the last are read.
typedef void log_error_fn(void *arg, const char *process, const char *text);
void log_tail_errors(int log_fd, off_t *at, log_error_fn *found, void *arg);

#endif
