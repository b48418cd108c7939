// SPDX-License-Identifier: MIT
// Selection of the kernels for matrix products, and the portable implementation on OpenBLAS.
#include "common/nn/gemm.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/nn/blas.h"
#include "common/nn/cpu.h"
#include "common/nn/elementwise.h"
#include "common/nn/gemm_table.h"
#include "common/nn/layout.h"

// ---- portable implementation: OpenBLAS block by block, epilogues as separate passes ----

static void openblas_forward(float *y, const float *W, const float *x, const float *b, bool relu,
                             struct gemm_shape s) {
    for (int i = 0; i < layout_blocks(s.B); i++) {
        blas_gemm_nn(y + layout_offset(s.out, i), LAYOUT_ROWS, W, s.in, x + layout_offset(s.in, i),
                     LAYOUT_ROWS, s.out, layout_block_rows(s.B, i), s.in);
    }
    if (b && relu) {
        elementwise_bias_relu(y, b, s.out, s.B);
    } else if (b) {
        elementwise_bias(y, b, s.out, s.B);
    }
}

static void openblas_backward_data(float *dx, const float *W, const float *dz,
                                   enum gemm_epilogue epilogue, const float *saved,
                                   struct gemm_shape s) {
    for (int i = 0; i < layout_blocks(s.B); i++) {
        blas_gemm_tn(dx + layout_offset(s.in, i), LAYOUT_ROWS, W, s.in,
                     dz + layout_offset(s.out, i), LAYOUT_ROWS, s.in, layout_block_rows(s.B, i),
                     s.out);
    }
    if (epilogue == GEMM_EPILOGUE_RELU) {
        elementwise_relu_backward(dx, saved, s.in, s.B);
    } else if (epilogue == GEMM_EPILOGUE_SLOPE) {
        elementwise_slope_backward(dx, saved, s.in, s.B);
    }
}

static void openblas_backward_weights(float *dW, const float *dz, const float *x,
                                      struct gemm_shape s) {
    for (int i = 0; i < layout_blocks(s.B); i++) {
        blas_gemm_nt(dW, s.in, dz + layout_offset(s.out, i), LAYOUT_ROWS,
                     x + layout_offset(s.in, i), LAYOUT_ROWS, s.out, s.in,
                     layout_block_rows(s.B, i), i > 0);
    }
}

// Tiled, so that each cache line of either matrix is fully used while it is in the cache.
static void portable_transpose(float *to, int to_ld, const float *from, int from_ld, int rows,
                               int columns) {
    enum { SIDE = 16 };
    for (int r0 = 0; r0 < rows; r0 += SIDE) {
        int r1 = r0 + SIDE < rows ? r0 + SIDE : rows;
        for (int c = 0; c < columns; c++) {
            for (int r = r0; r < r1; r++) {
                to[(size_t)c * (size_t)to_ld + (size_t)r] =
                    from[(size_t)r * (size_t)from_ld + (size_t)c];
            }
        }
    }
}

const struct gemm_table gemm_openblas = {COMPUTE_OPENBLAS, openblas_forward, openblas_backward_data,
                                         openblas_backward_weights, portable_transpose};

// ---- selection ----

// Fastest first, except bf16, which COMPUTE_AUTO never reaches.
static const struct gemm_table *const all[] = {
#ifdef SPUR_KERNELS_X86
    &gemm_avx512,
    &gemm_avx2,
#endif
    &gemm_openblas,
#ifdef SPUR_KERNELS_X86
    &gemm_bf16,
#endif
};

static const struct gemm_table *table = &gemm_openblas;        // for GEMM_F32
static const struct gemm_table *hidden_table = &gemm_openblas; // for GEMM_BF16_ALLOWED

static bool processor_has(const struct gemm_table *t) {
    switch (t->kernels) {
    case COMPUTE_AVX2:
        return cpu_vectors() >= CPU_VECTORS_AVX2;
    case COMPUTE_AVX512:
        return cpu_vectors() >= CPU_VECTORS_AVX512;
    case COMPUTE_BF16:
        return cpu_has_bf16();
    default:
        return true;
    }
}

// The kernels for products in float when t is selected.
static const struct gemm_table *f32_table(const struct gemm_table *t) {
#ifdef SPUR_KERNELS_X86
    if (t == &gemm_bf16) {
        return &gemm_avx512;
    }
#endif
    return t;
}

bool gemm_use(enum compute_kernels kernels) {
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if ((kernels == COMPUTE_AUTO || kernels == all[i]->kernels) && processor_has(all[i])) {
            char err[512];
            if (all[i] == &gemm_openblas && blas_load(err, sizeof(err)) < 0 &&
                kernels != COMPUTE_AUTO) {
                return false; // plain loops, if need be, but not under that name
            }
            hidden_table = all[i];
            table = f32_table(hidden_table);
            return true;
        }
    }
    return false;
}

// Runs before main, when no other thread exists.
__attribute__((constructor)) static void choose(void) {
    gemm_use(COMPUTE_AUTO);
}

void gemm_missing(char *out, size_t out_len, enum compute_kernels kernels) {
    const char *features = kernels == COMPUTE_AVX2     ? "AVX2 and FMA"
                           : kernels == COMPUTE_AVX512 ? "AVX-512 (F, VL, DQ and BW)"
                                                       : "AVX-512 with BF16 (avx512_bf16)";
    char err[512];
    if (kernels == COMPUTE_OPENBLAS && blas_load(err, sizeof(err)) < 0) {
        snprintf(out, out_len, "OpenBLAS cannot be loaded (%s)", err);
    } else {
        snprintf(out, out_len, "this processor does not have %s", features);
    }
}

void gemm_start(enum compute_kernels kernels) {
    char missing[600];
    if (!gemm_use(kernels)) {
        gemm_missing(missing, sizeof(missing), kernels);
        die(EXIT_CODE_CONFIG, "set it to auto", "compute.kernels: %s", missing);
    }
}

const char *gemm_name(void) {
    static char openblas[64];
    switch (hidden_table->kernels) {
    case COMPUTE_BF16:
        return "AVX-512 kernels, hidden layers in bf16";
    case COMPUTE_AVX512:
        return "AVX-512 kernels";
    case COMPUTE_AVX2:
        return "AVX2 kernels";
    default:
        if (!*blas_core()) {
            return "plain loops";
        }
        snprintf(openblas, sizeof(openblas), "OpenBLAS %s", blas_core());
        return openblas;
    }
}

bool gemm_is_slow(char *out, size_t out_len) {
    return table == &gemm_openblas && blas_core_is_slow(out, out_len);
}

static const struct gemm_table *table_for(enum gemm_operands operands) {
    return operands == GEMM_BF16_ALLOWED ? hidden_table : table;
}

void gemm_forward(float *y, const float *W, const float *x, const float *b, bool relu,
                  struct gemm_shape shape, enum gemm_operands operands) {
    table_for(operands)->forward(y, W, x, b, relu, shape);
}

void gemm_backward_data(float *dx, const float *W, const float *dz, enum gemm_epilogue epilogue,
                        const float *saved, struct gemm_shape shape, enum gemm_operands operands) {
    table_for(operands)->backward_data(dx, W, dz, epilogue, saved, shape);
}

void gemm_backward_weights(float *dW, const float *dz, const float *x, struct gemm_shape shape,
                           enum gemm_operands operands) {
    table_for(operands)->backward_weights(dW, dz, x, shape);
}

void gemm_from_rows(float *x, const float *rows, int n, int B) {
    for (int i = 0; i < layout_blocks(B); i++) {
        float *block = x + layout_offset(n, i);
        int count = layout_block_rows(B, i);
        if (count < LAYOUT_ROWS) {
            memset(block, 0, layout_offset(n, 1) * sizeof(float));
        }
        table->transpose(block, LAYOUT_ROWS, rows + (size_t)i * LAYOUT_ROWS * (size_t)n, n, count,
                         n);
    }
}

void gemm_to_rows(float *rows, const float *x, int n, int B) {
    for (int i = 0; i < layout_blocks(B); i++) {
        table->transpose(rows + (size_t)i * LAYOUT_ROWS * (size_t)n, n, x + layout_offset(n, i),
                         LAYOUT_ROWS, n, layout_block_rows(B, i));
    }
}
