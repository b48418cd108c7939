// SPDX-License-Identifier: MIT
// Checks for programmer errors, and the one way to give up at start-up.
//
// CHECK is for what the code itself guarantees: it is always on, prints the
// fact that does not hold and aborts. Peers, files and users never reach a
// CHECK: their mistakes are values that functions return and callers handle.
// die() is for main() and start-up only: it says what failed, why, and what to
// do about it, and exits with one of the codes below.
#ifndef SPUR_COMMON_BASE_CHECK_H
#define SPUR_COMMON_BASE_CHECK_H

#include <stddef.h>

// Exit codes, as in sysexits.h, so that supervisors can tell "try again" from
// "do not".
enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_FAILURE = 1,
    EXIT_CODE_USAGE = 64,       // wrong command line
    EXIT_CODE_UNAVAILABLE = 69, // a peer or service is missing
    EXIT_CODE_IO = 74,          // a file could not be read or written
    EXIT_CODE_TEMPFAIL = 75,    // try again later
    EXIT_CODE_PROTOCOL = 76,    // the peer speaks another schema or task
    EXIT_CODE_CONFIG = 78,      // the configuration is wrong
};

#define CHECK(fact)                                                                                \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            check_failed(__FILE__, __LINE__, #fact);                                               \
        }                                                                                          \
    } while (0)

_Noreturn void check_failed(const char *file, int line, const char *fact);

// Prints "program: what and why" and, unless hint is NULL, "  hint: ..." to
// standard error (through the log when it is open) and exits with code.
_Noreturn void die(enum exit_code code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// malloc, calloc, strdup that never return NULL: running out of memory at
// start-up is fatal, and nothing allocates afterwards. Caller frees.
void *xmalloc(size_t size); // zeroed, too
void *xcalloc(size_t n, size_t size);
char *xstrdup(const char *s);
// 64-byte aligned, zeroed floats, from 2 MiB on in large pages if the system has them; freed
// with free().
float *xfloats(size_t n);

#endif
