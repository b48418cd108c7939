// SPDX-License-Identifier: MIT
// Assertions, fatal errors at start-up, and allocation that cannot fail.
//
// CHECK asserts an invariant of the code. It is never compiled out; a failure prints
// the condition and aborts. Input from peers, files and users must not reach a CHECK:
// functions return an error for it, and callers handle that. die() is for main() and
// start-up only: it prints what failed, why, and what to do, and exits with one of the
// codes below.
#ifndef SPUR_COMMON_BASE_CHECK_H
#define SPUR_COMMON_BASE_CHECK_H

#include <stddef.h>

// Exit codes, as in sysexits.h. A supervisor decides by them whether to restart.
enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_FAILURE = 1,
    EXIT_CODE_UNSOLVED = 3,     // `spur run --require-solved`: the steps are spent
    EXIT_CODE_USAGE = 64,       // wrong command line
    EXIT_CODE_DATA = 65,        // data from which nothing can be learned
    EXIT_CODE_UNAVAILABLE = 69, // a peer or service is missing
    EXIT_CODE_RESOURCES = 71,   // out of memory, threads, processes or descriptors
    EXIT_CODE_IO = 74,          // a file could not be read or written
    EXIT_CODE_TEMPFAIL = 75,    // try again later
    EXIT_CODE_PROTOCOL = 76,    // the peer has another version of the schema, or another task
    EXIT_CODE_DENIED = 77,      // a key is missing or not admitted
    EXIT_CODE_CONFIG = 78,      // the configuration is wrong
};

#define CHECK(fact)                                                                                \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            check_failed(__FILE__, __LINE__, #fact);                                               \
        }                                                                                          \
    } while (0)

_Noreturn void check_failed(const char *file, int line, const char *fact);

// The same for calls of libraries that fail only when memory, descriptors or threads have run out:
// says so, and exits with EXIT_CODE_RESOURCES.
#define CHECK_RESOURCES(fact)                                                                      \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            check_resources_failed(__FILE__, __LINE__, #fact);                                     \
        }                                                                                          \
    } while (0)

// To be called in main, after rlimits_start: jansson, which reports a lack of memory as bad input,
// allocates by xmalloc.
void check_libraries(void);

_Noreturn void check_resources_failed(const char *file, int line, const char *fact);

// Prints "program: what and why" and, unless hint is NULL, "  hint: ..." to
// standard error (through the log when it is open) and exits with code.
_Noreturn void die(enum exit_code code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// malloc, calloc and strdup that never return NULL. Memory is allocated at start-up,
// where running out of it is fatal. The caller frees.
void *xmalloc(size_t size); // zeroed as well
void *xcalloc(size_t n, size_t size);
char *xstrdup(const char *s);
// Zeroed floats, aligned to 64 bytes. Blocks of 2 MiB and more use huge pages where the
// system has them. Freed with free().
float *xfloats(size_t n);

#endif
