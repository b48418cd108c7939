// SPDX-License-Identifier: MIT
// Formats a refusal.
#include "common/base/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(char *err, size_t err_len, int code, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(err, err_len, fmt, args);
    va_end(args);
    return code;
}
