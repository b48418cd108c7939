// SPDX-License-Identifier: MIT
// Failure of an assertion, fatal errors, and the allocators.
#include "common/base/check.h"

#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/log.h"
#include "common/base/rlimits.h"

void check_failed(const char *file, int line, const char *fact) {
    log_error("%s:%d: assertion failed: %s (a bug in spur)", file, line, fact);
    signal(SIGABRT, SIG_DFL); // not a library's
    abort();
}

void die(enum exit_code code, const char *hint, const char *fmt, ...) {
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    log_error("%s", text);
    if (hint) {
        log_error("hint: %s", hint);
    }
    exit(code);
}

void check_resources_failed(const char *file, int line, const char *fact) {
    die(EXIT_CODE_RESOURCES, "close other programs, or raise the limits of this one (ulimit -a)",
        "out of memory, open files or threads: %s:%d: %s failed", file, line, fact);
}

static _Noreturn void die_out_of_memory(size_t n, size_t size) {
    uint64_t limit = rlimits_address_space();
    if (limit != UINT64_MAX) {
        die(EXIT_CODE_RESOURCES,
            "raise the limit (ulimit -v), or lower what `spur config` predicts",
            "out of memory: %zu x %zu bytes; this process is limited to %.0f MiB of address space",
            n, size, (double)limit / (1 << 20));
    }
    die(EXIT_CODE_RESOURCES,
        "see the memory that `spur config` predicts; lower rollout.retain_epochs or run.steps",
        "out of memory: %zu x %zu bytes", n, size);
}

void check_libraries(void) {
    json_set_alloc_funcs(xmalloc, free);
}

void *xmalloc(size_t size) {
    return xcalloc(1, size);
}

void *xcalloc(size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p) {
        die_out_of_memory(n, size);
    }
    return p;
}

char *xstrdup(const char *s) {
    size_t len = strlen(s) + 1;
    return memcpy(xmalloc(len), s, len);
}

// The size of a huge page on x86 and ARM.
#define HUGE_PAGE ((size_t)2 << 20)

float *xfloats(size_t n) {
    size_t bytes = (n * sizeof(float) + 63) / 64 * 64;
    bool huge = bytes >= HUGE_PAGE;
    void *p;
    if (n > SIZE_MAX / sizeof(float) - 64 ||
        posix_memalign(&p, huge ? HUGE_PAGE : 64, bytes ? bytes : 64) != 0) {
        die_out_of_memory(n, sizeof(float));
    }
    if (huge) { // whole pages only: the rest would occupy one more
        madvise(p, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    }
    memset(p, 0, bytes ? bytes : 64);
    return p;
}
