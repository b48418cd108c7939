// SPDX-License-Identifier: MIT
// A refusal as a value: the sentence goes to the caller's buffer, the code is returned.
#ifndef SPUR_COMMON_BASE_ERROR_H
#define SPUR_COMMON_BASE_ERROR_H

#include <stddef.h>

// Prints the sentence to err, cut off at err_len, and returns code:
// `return error_set(err, err_len, -1, "%s: not a number", text);`
int error_set(char *err, size_t err_len, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
