// SPDX-License-Identifier: MIT
// The processor's vector units, detected once and before main() runs.
#ifndef SPUR_COMMON_NN_CPU_H
#define SPUR_COMMON_NN_CPU_H

#include <stdbool.h>

// Vector extensions in ascending order; each includes the ones before it.
enum cpu_vectors {
    CPU_VECTORS_BASELINE, // guaranteed by the architecture
    CPU_VECTORS_AVX,
    CPU_VECTORS_AVX2,   // AVX2 and FMA
    CPU_VECTORS_AVX512, // AVX-512 F, VL, DQ and BW
};

enum cpu_vectors cpu_vectors(void);
bool cpu_has_bf16(void); // AVX-512 with bf16 dot products (avx512_bf16)

#endif
