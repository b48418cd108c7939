// SPDX-License-Identifier: MIT
#include "common/nn/elementwise.h"

#include <string.h>

#include "common/nn/cpu.h"
#include "common/nn/elementwise_table.h"

// Chosen by hand, once, through one pointer: the toolchain's own ways (ifunc,
// target_clones) resolve before the sanitizers are ready and crash under them.
static const struct elementwise_table *table = &elementwise_baseline;

// The best first.
static const struct {
    const struct elementwise_table *table;
    enum cpu_vectors needs;
} variants[] = {
#ifdef SPUR_ELEMENTWISE_X86
    {&elementwise_avx512, CPU_VECTORS_AVX512},
    {&elementwise_avx2, CPU_VECTORS_AVX2},
#endif
    {&elementwise_baseline, CPU_VECTORS_BASELINE},
};

// isa NULL: the best.
static bool use(const char *isa) {
    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        if ((!isa || strcmp(variants[i].table->isa, isa) == 0) &&
            cpu_vectors() >= variants[i].needs) {
            table = variants[i].table;
            return true;
        }
    }
    return false;
}

// Before main, so that no thread ever sees the choice change.
__attribute__((constructor)) static void choose(void) {
    use(NULL);
}

bool elementwise_use(const char *isa) {
    return use(isa);
}

const char *elementwise_isa(void) {
    return table->isa;
}

void elementwise_exp(float *y, const float *x, size_t n) {
    table->exp(y, x, n);
}

void elementwise_tanh(float *y, const float *x, size_t n) {
    table->tanh(y, x, n);
}

void elementwise_softplus(float *y, float *slope, const float *x, size_t n) {
    table->softplus(y, slope, x, n);
}

void elementwise_bias(float *h, const float *b, int N, int B) {
    table->bias(h, b, N, B);
}

void elementwise_bias_relu(float *h, const float *b, int N, int B) {
    table->bias_relu(h, b, N, B);
}

void elementwise_bias_silu(float *h, float *slope, const float *b, int N, int B) {
    table->bias_silu(h, slope, b, N, B);
}

void elementwise_relu_backward(float *dh, const float *h, int N, int B) {
    table->relu_backward(dh, h, N, B);
}

void elementwise_slope_backward(float *dh, const float *slope, int N, int B) {
    table->slope_backward(dh, slope, N, B);
}

void elementwise_sums(float *sum, const float *x, const float *w, int N, int B) {
    table->sums(sum, x, w, N, B);
}

void elementwise_dots(float *y, const float *A, const float *x, int M, int n) {
    table->dots(y, A, x, M, n);
}

int elementwise_keep(float *to, const float *from, const float *keep, int N, int B) {
    return table->keep(to, from, keep, N, B);
}

void elementwise_adam_step(float *p, float *m, float *v, const float *g, size_t n,
                           const struct elementwise_adam *a) {
    table->adam_step(p, m, v, g, n, a);
}

void elementwise_adam_polyak_step(float *p, float *m, float *v, float *target, const float *g,
                                  size_t n, const struct elementwise_adam *a, float tau) {
    table->adam_polyak_step(p, m, v, target, g, n, a, tau);
}

void elementwise_philox(uint32_t *out, uint64_t seed, uint64_t stream, const uint64_t *block,
                        size_t n) {
    table->philox(out, seed, stream, block, n);
}

void elementwise_normals(float *out, const uint32_t *words, size_t n) {
    table->normals(out, words, n);
}

void elementwise_stream_normals(float *out, const struct rng *stream, size_t n) {
    enum { BLOCKS = 64, WORDS = 4 };
    for (size_t done = 0; done < n; done += BLOCKS * WORDS) {
        uint64_t block[BLOCKS];
        uint32_t words[BLOCKS * WORDS];
        float numbers[BLOCKS * WORDS];
        for (size_t i = 0; i < BLOCKS; i++) {
            block[i] = done / WORDS + i;
        }
        size_t count = n - done < BLOCKS * WORDS ? n - done : BLOCKS * WORDS;
        elementwise_philox(words, stream->seed, stream->stream, block, (count + WORDS - 1) / WORDS);
        elementwise_normals(numbers, words, (count + 1) / 2 * 2);
        memcpy(out + done, numbers, count * sizeof(float));
    }
}
