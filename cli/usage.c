// SPDX-License-Identifier: MIT
// Parsing of options and error messages of the command line.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "common/base/check.h"
#include "common/base/spelling.h"
#include "common/config/keys.h"

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

// What an unknown option may mean: another one, or a key of the configuration.
static void suggest(const char *argument, const struct option *options) {
    bool takes_keys = false;
    for (const struct option *o = options; o->name; o++) {
        takes_keys |= strcmp(o->name, "set") == 0;
    }
    const char *option = spelling_option(argument, options);
    const char *word = argument + strspn(argument, "-");
    char name[64], key_name[96];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
    for (char *p = name; *p != '\0'; p++) {
        *p = *p == '-' ? '_' : *p;
    }
    const struct config_key *key = takes_keys ? config_key_nearest("", name) : NULL;
    if (optopt != 0 || strncmp(argument, "--", 2) != 0) {
        return; // a known option without its value, or an argument
    }
    if (option) {
        fprintf(stderr, "  did you mean --%s?\n", option);
    } else if (key) {
        config_key_name(key, key_name, sizeof(key_name));
        fprintf(stderr, "  did you mean --set %s=...?\n", key_name);
    }
}

int cli_next_option(int argc, char **argv, const struct option *options) {
    // getopt prints its own message, prefixed by argv[0].
    int option = getopt_long(argc, argv, "h", options, NULL);
    if (option == '?') {
        suggest(argv[optind - 1], options);
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
