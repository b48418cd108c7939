// SPDX-License-Identifier: MIT
// Helpers shared by the kernel files: bit casts, fused multiply-add and the name of the variant.
#ifndef SPUR_COMMON_NN_KERNEL_MATH_H
#define SPUR_COMMON_NN_KERNEL_MATH_H

#include <stdint.h>
#include <string.h>

// name_ISA, for the variant being compiled: KERNEL_NAME(adam_kernels) is adam_kernels_avx2.
#define KERNEL_JOIN_(a, b) a##_##b
#define KERNEL_JOIN(a, b) KERNEL_JOIN_(a, b)
#define KERNEL_NAME(name) KERNEL_JOIN(name, KERNEL_ISA)

// Fused multiply-add if the instruction set has it: without, __builtin_fmaf is a library call.
// (-ffp-contract=off leaves a * b + c unfused.)
#ifdef __FMA__
#define FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif

static inline int32_t bits_of(float x) {
    int32_t i;
    memcpy(&i, &x, sizeof(i));
    return i;
}

static inline float float_of(int32_t i) {
    float x;
    memcpy(&x, &i, sizeof(x));
    return x;
}

static inline float magnitude(float x) {
    return float_of(bits_of(x) & INT32_MAX);
}

#endif
