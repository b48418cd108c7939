// SPDX-License-Identifier: MIT
// How far two words are apart, to offer the nearest right one for a wrong one; and
// plurals.
#ifndef SPUR_COMMON_BASE_SPELLING_H
#define SPUR_COMMON_BASE_SPELLING_H

#define SPELLING_LEN_MAX 64 // letters beyond are not looked at

// The fewest letters to take out or put in that make a of b, upper and lower case
// alike. Replacing a letter counts as both, so that half a name is near the whole.
int spelling_distance(const char *a, const char *b);

const char *plural(int n); // "" for one, else "s"

#endif
