// SPDX-License-Identifier: MIT
#include "common/base/check.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/log.h"

void check_failed(const char *file, int line, const char *fact) {
    log_error("%s:%d: this must hold but does not: %s (a bug in spur)", file, line, fact);
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

void *xmalloc(size_t size) {
    return xcalloc(1, size);
}

void *xcalloc(size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p) {
        die(EXIT_CODE_FAILURE, "see the predicted memory of `spur config`, or lower replay sizes",
            "out of memory: %zu x %zu bytes", n, size);
    }
    return p;
}

char *xstrdup(const char *s) {
    size_t len = strlen(s) + 1;
    return memcpy(xmalloc(len), s, len);
}

// A large page of x86 and ARM.
#define LARGE_PAGE ((size_t)2 << 20)

float *xfloats(size_t n) {
    size_t bytes = (n * sizeof(float) + 63) / 64 * 64;
    bool large = bytes >= LARGE_PAGE;
    void *p;
    if (n > SIZE_MAX / sizeof(float) - 64 ||
        posix_memalign(&p, large ? LARGE_PAGE : 64, bytes ? bytes : 64) != 0) {
        die(EXIT_CODE_FAILURE, "see the predicted memory of `spur config`, or lower replay sizes",
            "out of memory: %zu floats", n);
    }
    if (large) { // only whole pages: what is left over would take another
        madvise(p, bytes / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
    }
    memset(p, 0, bytes ? bytes : 64);
    return p;
}
