// SPDX-License-Identifier: MIT
// The end of a run's log, for whoever must know why something failed.
#ifndef SPUR_CLI_RUN_LOG_TAIL_H
#define SPUR_CLI_RUN_LOG_TAIL_H

// Prints the last lines of RUN_DIR/log of the process to standard error, at most
// lines_max, and where the rest is. program: the name it logs by before it
// knows its own.
void log_tail_print(const char *run_dir, const char *process, const char *program, int lines_max);

#endif
