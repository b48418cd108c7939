// SPDX-License-Identifier: MIT
// What a fuzz target provides: one parser of bytes that come from outside, and inputs that it
// accepts. Each fuzz_NAME.c is one target, built in two ways:
//
//   fuzz_NAME        with libFuzzer (CC=clang meson setup BUILD -Dfuzz=true), which searches
//   mutations_NAME   with run_mutations.c, for `make test`: every sample, and some thousand random
//                    changes of it
//
// A target does more than not crash: of an input that is accepted it reads every number, and where
// there is a writer, what is written is read back equal.
#ifndef SPUR_TESTS_FUZZ_FUZZ_H
#define SPUR_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_SAMPLE_MAX (1u << 19) // bytes

// The entry of libFuzzer. Returns 0.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

// Writes sample `index` (from 0), which the target accepts, and returns its size; 0: no more.
size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]);

// ---- helpers of targets (helpers.c) ----

// Counts an input as accepted.
void fuzz_accept(void);
unsigned long fuzz_accepted(void);
// Reads every byte, so that a sanitizer sees a range that is not there.
void fuzz_read(const void *data, size_t len);
// The path of a file with that content, valid until the next call with the same slot (0 or 1).
const char *fuzz_file(int slot, const void *data, size_t len);
// The content of the file at path as a sample, which is removed.
size_t fuzz_take_file(uint8_t out[FUZZ_SAMPLE_MAX], const char *path);
// A folder of this process, removed at its end.
const char *fuzz_folder(void);

#endif
