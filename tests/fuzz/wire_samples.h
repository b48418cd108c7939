// SPDX-License-Identifier: MIT
// A valid message of every type without zero fields, for the tests of the wire.
#ifndef SPUR_TESTS_FUZZ_WIRE_SAMPLES_H
#define SPUR_TESTS_FUZZ_WIRE_SAMPLES_H

#include "proto/wire.h"

// Fills *msg, padding included, so that memcmp works. Its arrays are static and
// are reset by each call; the caller may change them in between.
void wire_sample(struct wire_msg *msg, enum wire_type type);

enum { SAMPLE_ROWS = 3, SAMPLE_OBS = 4, SAMPLE_ACT = 2, SAMPLE_PARAMS = 10, SAMPLE_ACTORS = 2 };

#endif
