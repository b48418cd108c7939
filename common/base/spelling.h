// SPDX-License-Identifier: MIT
// Edit distance between words, to suggest the nearest valid name, and plurals.
#ifndef SPUR_COMMON_BASE_SPELLING_H
#define SPUR_COMMON_BASE_SPELLING_H

#define SPELLING_LEN_MAX 64 // further letters are ignored

// The smallest number of insertions and deletions that turns a into b, ignoring case. A
// replaced letter counts as two, so that a part of a name is close to the whole.
int spelling_distance(const char *a, const char *b);

const char *plural(int n); // "" for one, else "s"

#endif
