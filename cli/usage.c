// SPDX-License-Identifier: MIT
// Parsing of options and error messages of the command line.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "common/base/check.h"

int cli_fail(int code, const char *hint, const char *fmt, ...) {
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fflush(stdout);
    fprintf(stderr, "spur: %s\n", text);
    if (hint) {
        fprintf(stderr, "  hint: %s\n", hint);
    }
    return code;
}

int cli_usage_error(char **argv, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fprintf(stderr, "%s: %s\n  see: %s --help\n", argv[0], text, argv[0]);
    return EXIT_CODE_USAGE;
}

int cli_next_option(int argc, char **argv, const struct option *options) {
    // getopt prints its own message, prefixed by argv[0].
    int option = getopt_long(argc, argv, "h", options, NULL);
    if (option == '?') {
        fprintf(stderr, "  see: %s --help\n", argv[0]);
    }
    return option;
}

bool cli_parse_number(uint64_t *out, char **argv, const char *option, const char *text,
                      uint64_t min, uint64_t max) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    // 19 digits cannot overflow.
    if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text) || strlen(text) > 19 ||
        value < min || value > max) {
        cli_usage_error(argv, "%s: expected an integer from %llu to %llu, found \"%.60s\"", option,
                        (unsigned long long)min, (unsigned long long)max, text);
        return false;
    }
    *out = value;
    return true;
}
