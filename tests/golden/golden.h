// SPDX-License-Identifier: MIT
// Golden numbers: float32 inputs and PyTorch's float64 answers, from the file
// golden.safetensors that make_golden.py writes.
#ifndef SPUR_TESTS_GOLDEN_GOLDEN_H
#define SPUR_TESTS_GOLDEN_GOLDEN_H

#include <stddef.h>

// Set-up and tear-down of a group of cmocka tests: open and close the file.
int golden_open(void **state);
int golden_close(void **state);

// Copies the input `name` of n numbers to x. Fails the test if the file lacks it.
void golden_copy(float *x, const char *name, size_t n);
// The same into new memory; the caller frees it with free().
float *golden_input(const char *name, size_t n);
// The answer `name` of n numbers, borrowed. Fails the test if the file lacks it.
const double *golden_answer(const char *name, size_t n);

// Compares n numbers with the answer `name`. The tolerance is relative to the
// largest number of the answer.
void golden_expect(const char *name, const float *got, size_t n, double tolerance);

#endif
