// SPDX-License-Identifier: MIT
#include "common/check.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

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

float *xfloats(size_t n) {
    size_t bytes = (n * sizeof(float) + 63) / 64 * 64;
    float *p = aligned_alloc(64, bytes ? bytes : 64);
    if (!p || n > SIZE_MAX / sizeof(float) - 64) {
        die(EXIT_CODE_FAILURE, "see the predicted memory of `spur config`, or lower replay sizes",
            "out of memory: %zu floats", n);
    }
    memset(p, 0, bytes ? bytes : 64);
    return p;
}
