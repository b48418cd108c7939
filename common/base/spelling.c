// SPDX-License-Identifier: MIT
#include "common/base/spelling.h"

#include <ctype.h>
#include <string.h>

int spelling_distance(const char *a, const char *b) {
    int row[SPELLING_LEN_MAX + 1]; // distances of a's first i letters to b's first 0..n
    int n = (int)strnlen(b, SPELLING_LEN_MAX);
    for (int j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (int i = 0; i < SPELLING_LEN_MAX && a[i] != '\0'; i++) {
        int diagonal = row[0]; // of i letters and j
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

const char *plural(int n) {
    return n == 1 ? "" : "s";
}
