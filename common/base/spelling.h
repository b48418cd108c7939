// SPDX-License-Identifier: MIT
// Edit distance between words, to suggest the nearest valid name, and plurals.
#ifndef SPUR_COMMON_BASE_SPELLING_H
#define SPUR_COMMON_BASE_SPELLING_H

#include <stdbool.h>

#define SPELLING_LEN_MAX 64 // further letters are ignored

// The smallest number of insertions and deletions that turns a into b, ignoring case. A
// replaced letter counts as two, so that a part of a name is close to the whole.
int spelling_distance(const char *a, const char *b);

// Whether b is probably meant by a: the distance is at most 40% of both lengths.
bool spelling_is_near(const char *a, const char *b);

// The option that is probably meant by an argument ("--stepz=3"); NULL: none.
struct option;
const char *spelling_option(const char *argument, const struct option *options);

const char *plural(int n); // "" for one, else "s"

#endif
