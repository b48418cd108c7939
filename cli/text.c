// SPDX-License-Identifier: MIT
// Counts with thousands separators, durations, sizes and figures as text.
#include "cli/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *text_count(char out[TEXT_LEN], uint64_t n) {
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
    int at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            out[at++] = ',';
        }
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *text_duration(char out[TEXT_LEN], double seconds) {
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e9) {
        snprintf(out, TEXT_LEN, "?");
        return out;
    }
    long s = lround(seconds);
    if (s < 60) {
        snprintf(out, TEXT_LEN, "%ld s", s);
    } else if (s < 3600) {
        snprintf(out, TEXT_LEN, "%ld min %ld s", s / 60, s % 60);
    } else if (s < 86400) {
        snprintf(out, TEXT_LEN, "%ld h %ld min", s / 3600, s % 3600 / 60);
    } else {
        snprintf(out, TEXT_LEN, "%ld d %ld h", s / 86400, s % 86400 / 3600);
    }
    return out;
}

const char *text_bytes(char out[TEXT_LEN], uint64_t bytes) {
    static const char *const units[] = {"KiB", "MiB", "GiB"};
    int unit = bytes >= 1ull << 30 ? 2 : bytes >= 1ull << 20 ? 1 : 0;
    snprintf(out, TEXT_LEN, "%.1f %s", (double)bytes / (double)(1ull << (10 * (unit + 1))),
             units[unit]);
    return out;
}

const char *text_figure(char out[TEXT_LEN], double x) {
    if (!isfinite(x)) {
        snprintf(out, TEXT_LEN, "-");
    } else if (fabs(x) >= 1000 && fabs(x) < 1e15) {
        char count[TEXT_LEN];
        text_count(count, (uint64_t)llround(fabs(x)));
        snprintf(out, TEXT_LEN, "%s%.*s", x < 0 ? "-" : "", TEXT_LEN - 2, count);
    } else if (x == 0 || fabs(x) >= 100) {
        snprintf(out, TEXT_LEN, "%.0f", x);
    } else if (fabs(x) >= 10) {
        snprintf(out, TEXT_LEN, "%.1f", x);
    } else {
        snprintf(out, TEXT_LEN, "%.3g", x);
    }
    return out;
}

const char *text_shell(char *out, size_t out_len, const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_@%+=:,./-";
    static const char quote[] = "'\\''"; // ends the quoted part, adds a quote, begins another
    if (text[0] != '\0' && text[0] != '-' && strspn(text, plain) == strlen(text)) {
        return text;
    }
    size_t n = 0;
    const char *dashed = text[0] == '-' ? "./" : ""; // a relative path, not an option
    for (const char *p = dashed; *p != '\0' && n + 1 < out_len; p++) {
        out[n++] = *p;
    }
    if (n + 1 < out_len) {
        out[n++] = '\'';
    }
    for (const char *p = text; *p != '\0'; p++) {
        const char *put = *p == '\'' ? quote : p;
        size_t len = *p == '\'' ? strlen(quote) : 1;
        if (n + len + 2 > out_len) {
            return text;
        }
        memcpy(out + n, put, len);
        n += len;
    }
    out[n++] = '\'';
    out[n] = '\0';
    return out;
}
