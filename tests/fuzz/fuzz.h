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

// Called once at the start: log lines go nowhere.
int LLVMFuzzerInitialize(int *argc, char ***argv);

// Writes sample `index` (from 0), which the target accepts, and returns its size; 0: no more.
size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]);

// ---- helpers of targets (helpers.c) ----

// Counts an input as accepted.
void fuzz_accept(void);
unsigned long fuzz_accepted(void);
// Reads every byte, so that a sanitizer sees a range that is not there.
void fuzz_read(const void *data, size_t len);
// A folder of this process, removed at its end, and the path of a name in it (valid until the next
// call).
const char *fuzz_folder(void);
const char *fuzz_path(const char *name);
// Writes a file there, of mode 0600. Returns its path, as fuzz_path does.
const char *fuzz_write(const char *name, const void *data, size_t len);
// The content of a file there as a sample; the file is removed.
size_t fuzz_take(uint8_t out[FUZZ_SAMPLE_MAX], const char *name);
// Gives the checksum of a safetensors file another name, in place, so that it is not looked at:
// with it almost every change would be refused for it alone. Returns len.
size_t fuzz_without_sum(uint8_t *data, size_t len);

#endif
