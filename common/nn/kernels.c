// SPDX-License-Identifier: MIT
// Run-time selection of the SIMD kernels, through one pointer.
//
// Not by ifunc or target_clones: their resolvers run before the sanitizers are initialised and
// crash under them.
#include "common/nn/kernels.h"

#include <string.h>

#include "common/nn/cpu.h"

#define KERNELS(isa)                                                                               \
    { #isa, &elementwise_kernels_##isa, &adam_kernels_##isa, &rng_bulk_kernels_##isa }

// The best first.
static const struct {
    enum cpu_vectors needs;
    struct kernels kernels;
} variants[] = {
#ifdef SPUR_KERNELS_X86
    {CPU_VECTORS_AVX512, KERNELS(avx512)},
    {CPU_VECTORS_AVX2, KERNELS(avx2)},
#endif
    {CPU_VECTORS_BASELINE, KERNELS(baseline)},
};
enum { VARIANTS = sizeof(variants) / sizeof(variants[0]) };

static const struct kernels *selected = &variants[VARIANTS - 1].kernels;

// isa NULL: the best.
static bool use(const char *isa) {
    for (int i = 0; i < VARIANTS; i++) {
        const struct kernels *k = &variants[i].kernels;
        if ((!isa || strcmp(k->isa, isa) == 0) && cpu_vectors() >= variants[i].needs) {
            selected = k;
            return true;
        }
    }
    return false;
}

// Runs before main, when no other thread exists.
__attribute__((constructor)) static void choose(void) {
    use(NULL);
}

const struct kernels *kernels(void) {
    return selected;
}

bool kernels_use(const char *isa) {
    return use(isa);
}
