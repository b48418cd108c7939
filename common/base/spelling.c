// SPDX-License-Identifier: MIT
// Edit distance by dynamic programming, one row at a time.
#include "common/base/spelling.h"

#include <ctype.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

int spelling_distance(const char *a, const char *b) {
    int row[SPELLING_LEN_MAX + 1]; // from the first i letters of a to the first 0..n of b
    int n = (int)strnlen(b, SPELLING_LEN_MAX);
    for (int j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (int i = 0; i < SPELLING_LEN_MAX && a[i] != '\0'; i++) {
        int diagonal = row[0]; // distance of the first i and the first j letters
        row[0] = i + 1;
        for (int j = 0; j < n; j++) {
            int above = row[j + 1];
            int shorter = row[j] < above ? row[j] : above;
            int same = tolower((unsigned char)a[i]) == tolower((unsigned char)b[j]);
            row[j + 1] = same ? diagonal : shorter + 1;
            diagonal = above;
        }
    }
    return row[n];
}

bool spelling_is_near(const char *a, const char *b) {
    int letters = (int)(strnlen(a, SPELLING_LEN_MAX) + strnlen(b, SPELLING_LEN_MAX));
    return 5 * spelling_distance(a, b) <= 2 * letters;
}

const char *spelling_option(const char *argument, const struct option *options) {
    char name[SPELLING_LEN_MAX];
    const char *best = NULL;
    int best_distance = INT_MAX;
    argument += strspn(argument, "-");
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(argument, "="), argument);
    for (const struct option *o = options; o->name; o++) {
        int distance = spelling_distance(name, o->name);
        if (distance < best_distance && spelling_is_near(name, o->name)) {
            best_distance = distance;
            best = o->name;
        }
    }
    return best;
}

const char *plural(int n) {
    return n == 1 ? "" : "s";
}
