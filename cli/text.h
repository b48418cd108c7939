// SPDX-License-Identifier: MIT
// Formatting of numbers for humans: counts, durations, sizes.
#ifndef SPUR_CLI_TEXT_H
#define SPUR_CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define TEXT_LEN 48

// Each writes into out and returns it.
const char *text_count(char out[TEXT_LEN], uint64_t n);        // "125,000"
const char *text_duration(char out[TEXT_LEN], double seconds); // "2 min 31 s"; "?" if not finite
const char *text_bytes(char out[TEXT_LEN], uint64_t bytes);    // "1.5 GiB"
// About four significant digits: "0.0123", "12.3", "1,240"; "-" if not finite.
const char *text_figure(char out[TEXT_LEN], double x);

// A path or address as one word of a shell command: quoted if it has other than plain characters.
// Returns out, or the text itself where it would not fit.
const char *text_shell(char *out, size_t out_len, const char *text);

#endif
