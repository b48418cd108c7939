// SPDX-License-Identifier: MIT
// CPUID through the compiler's run-time library, which also checks that the operating system saves
// the wide registers.
#include "common/nn/cpu.h"

struct cpu {
    bool detected, bf16;
    enum cpu_vectors vectors;
};

#if defined(__x86_64__)
static struct cpu detect(void) {
    __builtin_cpu_init();
    struct cpu cpu = {.detected = true};
    if (__builtin_cpu_supports("avx")) {
        cpu.vectors = CPU_VECTORS_AVX;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        cpu.vectors = CPU_VECTORS_AVX2;
    }
    if (cpu.vectors == CPU_VECTORS_AVX2 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw")) {
        cpu.vectors = CPU_VECTORS_AVX512;
        cpu.bf16 = __builtin_cpu_supports("avx512bf16");
    }
    return cpu;
}
#else
static struct cpu detect(void) {
    return (struct cpu){.detected = true};
}
#endif

// Constructors run in undefined order, and those of gemm.c and kernels.c call this one's functions:
// whichever is first detects. No other thread exists yet.
static const struct cpu *the_cpu(void) {
    static struct cpu cpu;
    if (!cpu.detected) {
        cpu = detect();
    }
    return &cpu;
}

__attribute__((constructor)) static void detect_before_main(void) {
    the_cpu();
}

enum cpu_vectors cpu_vectors(void) {
    return the_cpu()->vectors;
}

bool cpu_has_bf16(void) {
    return the_cpu()->bf16;
}
