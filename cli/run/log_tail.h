// SPDX-License-Identifier: MIT
// Prints the end of a process's log, to explain why the process failed.
#ifndef SPUR_CLI_RUN_LOG_TAIL_H
#define SPUR_CLI_RUN_LOG_TAIL_H

#include <stddef.h>

// Prints the last lines of a process in RUN_DIR/log to standard error, at most lines_max, and the
// path of the log. program: the name under which the process logs before it has read its options.
void log_tail_print(const char *run_dir, const char *process, const char *program, int lines_max);

// Writes the last error that a process logged, "" if its last lines have none. out_len bytes of it.
void log_tail_reason(char *out, size_t out_len, const char *run_dir, const char *process,
                     const char *program);

#endif
