// SPDX-License-Identifier: MIT
// SIMD matrix products with register tiles. Compiled once per instruction set; only the table of
// functions is exported.
//
// C (M, N) = A (M, K) B (K, N) is computed in panels of B: two vectors of columns, K_BLOCK rows. A
// panel stays in the L1 cache while a microkernel runs over all rows of A, TILE_ROWS at a time,
// with its tile of C in registers (cf. Goto and van de Geijn 2008). Elements of A are broadcast
// from memory at any stride, so A needs neither packing nor transposition. Panels of B are read in
// place too, except for B transposed, which is packed.
//
// Operands in the blocked layout (layout.h) are accessed in whole vectors, padding included. All
// other accesses stay within the operand: partial vectors are masked.
//
// The bf16 variant has the same loops over pairs: a 32-bit lane holds two neighbours along K,
// rounded to bf16, and v_fma is the dot product of two pairs, accumulated in float. A and B are
// both packed, A in blocks of M_BLOCK rows.
#include <immintrin.h>
#include <limits.h>
#include <stddef.h>

#include "common/nn/gemm_table.h"
#include "common/nn/layout.h"

#ifdef __AVX512F__

#define LANES 16
#ifdef __clang__
#define TILE_ROWS 12 // clang 14 keeps the sums of 13 rows on the stack
#else
#define TILE_ROWS 14 // times two vectors: 28 of 32 registers
#endif
typedef __m512 vec;

static inline vec v_zero(void) {
    return _mm512_setzero_ps();
}
static inline vec v_all(float x) {
    return _mm512_set1_ps(x);
}
static inline vec v_load(const float *p) {
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vec v) {
    _mm512_storeu_ps(p, v);
}
static inline __mmask16 first_lanes(int n) {
    return (__mmask16)((1u << n) - 1);
}
static inline vec v_load_lanes(const float *p, int n) {
    return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
static inline void v_store_lanes(float *p, vec v, int n) {
    _mm512_mask_storeu_ps(p, first_lanes(n), v);
}
static inline vec v_add(vec a, vec b) {
    return _mm512_add_ps(a, b);
}
static inline vec v_times(vec a, vec b) {
    return _mm512_mul_ps(a, b);
}
#ifdef __AVX512BF16__
static inline vec v_fma(vec a, vec b, vec c) {
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}
#else
static inline vec v_fma(vec a, vec b, vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
#endif
// max(v, 0); NaN if v is NaN.
static inline vec v_relu(vec v) {
    return _mm512_max_ps(_mm512_setzero_ps(), v);
}
// v where g > 0, else 0
static inline vec v_where_positive(vec v, vec g) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(g, _mm512_setzero_ps(), _CMP_GT_OQ), v);
}

// Prefetches one cache line alongside each step over K.
static inline void prefetch_in_step(const char *line) {
    _mm_prefetch(line, _MM_HINT_T1);
}

// Transposes a square of LANES x LANES in registers.
static inline void transpose(vec r[LANES]) {
    vec t[LANES];
    for (int i = 0; i < 16; i += 4) {
        vec a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        vec c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = (vec)_mm512_unpacklo_pd((__m512d)a, (__m512d)c);
        t[i + 1] = (vec)_mm512_unpackhi_pd((__m512d)a, (__m512d)c);
        t[i + 2] = (vec)_mm512_unpacklo_pd((__m512d)b, (__m512d)d);
        t[i + 3] = (vec)_mm512_unpackhi_pd((__m512d)b, (__m512d)d);
    }
    // t[4 i + j] holds columns j, j + 4, j + 8 and j + 12 of rows 4 i to 4 i + 3.
    for (int j = 0; j < 4; j++) {
        vec a = _mm512_shuffle_f32x4(t[j], t[j + 4], 0x88);
        vec b = _mm512_shuffle_f32x4(t[j], t[j + 4], 0xdd);
        vec c = _mm512_shuffle_f32x4(t[j + 8], t[j + 12], 0x88);
        vec d = _mm512_shuffle_f32x4(t[j + 8], t[j + 12], 0xdd);
        r[j] = _mm512_shuffle_f32x4(a, c, 0x88);
        r[j + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
        r[j + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        r[j + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}

#else // AVX2 and FMA

#define LANES 8
#define TILE_ROWS 6 // times two vectors: 12 of 16 registers
typedef __m256 vec;

static inline vec v_zero(void) {
    return _mm256_setzero_ps();
}
static inline vec v_all(float x) {
    return _mm256_set1_ps(x);
}
static inline vec v_load(const float *p) {
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vec v) {
    _mm256_storeu_ps(p, v);
}
static inline __m256i first_lanes(int n) {
    static const int ones[2 * LANES] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(ones + LANES - n));
}
static inline vec v_load_lanes(const float *p, int n) {
    return _mm256_maskload_ps(p, first_lanes(n));
}
static inline void v_store_lanes(float *p, vec v, int n) {
    _mm256_maskstore_ps(p, first_lanes(n), v);
}
static inline vec v_add(vec a, vec b) {
    return _mm256_add_ps(a, b);
}
static inline vec v_times(vec a, vec b) {
    return _mm256_mul_ps(a, b);
}
static inline vec v_fma(vec a, vec b, vec c) {
    return _mm256_fmadd_ps(a, b, c);
}
static inline vec v_relu(vec v) {
    return _mm256_max_ps(_mm256_setzero_ps(), v);
}
static inline vec v_where_positive(vec v, vec g) {
    return _mm256_and_ps(_mm256_cmp_ps(g, _mm256_setzero_ps(), _CMP_GT_OQ), v);
}

// No prefetch: six rows have too few multiply-adds per step over K to hide it.
static inline void prefetch_in_step(const char *line) {
    (void)line;
}

static inline void transpose(vec r[LANES]) {
    vec t[LANES];
    for (int i = 0; i < 8; i += 4) {
        vec a = _mm256_unpacklo_ps(r[i], r[i + 1]), b = _mm256_unpackhi_ps(r[i], r[i + 1]);
        vec c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = (vec)_mm256_unpacklo_pd((__m256d)a, (__m256d)c);
        t[i + 1] = (vec)_mm256_unpackhi_pd((__m256d)a, (__m256d)c);
        t[i + 2] = (vec)_mm256_unpacklo_pd((__m256d)b, (__m256d)d);
        t[i + 3] = (vec)_mm256_unpackhi_pd((__m256d)b, (__m256d)d);
    }
    for (int j = 0; j < 4; j++) {
        r[j] = _mm256_permute2f128_ps(t[j], t[j + 4], 0x20);
        r[j + 4] = _mm256_permute2f128_ps(t[j], t[j + 4], 0x31);
    }
}

#endif

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

// Access to the first n lanes. Whole vectors are accessed without a mask, which is faster.
static inline vec v_load_first(const float *p, int n) {
    return n == LANES ? v_load(p) : v_load_lanes(p, n);
}
static inline void v_store_first(float *p, vec v, int n) {
    if (n == LANES) {
        v_store(p, v);
    } else {
        v_store_lanes(p, v, n);
    }
}

#define PANEL (2 * LANES) // columns of a panel; divides LAYOUT_ROWS
#define K_BLOCK 256       // rows of a panel: 32 KiB with AVX-512
#define LINE 64           // bytes of a cache line

#ifdef __AVX512BF16__

#define K_STEP 2    // elements along K per multiply-add: a pair
#define M_BLOCK 256 // rows of A packed at a time

// Packs the first n of 32 consecutive floats into pairs.
static inline vec v_pack_row(const float *p, int n) {
    vec low = v_load_first(p, n < LANES ? n : LANES);
    vec high = n > LANES ? v_load_first(p + LANES, n - LANES) : v_zero();
    return (vec)_mm512_cvtne2ps_pbh(high, low);
}
// Packs n columns of two rows into pairs (row 0, row 1); rows == 1 pairs with zero.
static inline vec v_pack_columns(const float *p, ptrdiff_t stride, int n, int rows) {
    vec even = v_load_first(p, n), odd = rows > 1 ? v_load_first(p + stride, n) : v_zero();
    const __m512i interleave =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return (vec)_mm512_permutexvar_epi16(interleave, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

#else

#define K_STEP 1
#define M_BLOCK INT_MAX // A is not packed

static inline vec v_pack_row(const float *p, int n) {
    return v_load_first(p, n);
}

#endif

// Prologue and epilogue of a tile of C.
enum {
    ACCUMULATE = 1, // start from C instead of zero: every block of K but the first
    BIAS = 2,
    RELU = 4,
    RELU_BACKWARD = 8, // zero where `saved` is not positive
    TIMES_SLOPE = 16   // multiply by `saved`
};

// A matrix in memory, row-major, transposed or blocked. Element (r, c) is
//     at[r * row + c / LAYOUT_ROWS * block + c % LAYOUT_ROWS * step].
struct view {
    const float *at;
    ptrdiff_t row, block, step;
};

static struct view row_major(const float *at, int columns) {
    return (struct view){at, columns, LAYOUT_ROWS, 1};
}

static struct view transposed_row_major(const float *at, int columns) {
    return (struct view){at, 1, (ptrdiff_t)LAYOUT_ROWS * columns, columns};
}

static struct view blocked(const float *at, int rows) {
    return (struct view){at, LAYOUT_ROWS, (ptrdiff_t)LAYOUT_ROWS * rows, 1};
}

static inline const float *element(struct view v, int r, int c) {
    return v.at + r * v.row + c / LAYOUT_ROWS * v.block + c % LAYOUT_ROWS * v.step;
}

struct product {
    struct view A; // (M, K)
    float *C;      // (M, N), row stride C_row, C_block from one block of columns to the next
    ptrdiff_t C_row, C_block;
    int M, N;
    int flags;          // epilogue, after the last block of K
    const float *bias;  // (M)
    const float *saved; // (M, N), laid out as C
    // Address to prefetch: advances by a line per step over K, and by the jump after LAYOUT_ROWS
    // steps.
    const char *prefetch;
    ptrdiff_t prefetch_jump;
};

// A panel of B: PANEL columns, in steps over K.
struct panel {
    const float *at;
    ptrdiff_t step; // floats from one step to the next
};

// Addresses of up to 14 rows of A from two pointers, seven rows apart, and three strides. These fit
// into registers, as x86 addressing scales a register by 1, 2, 4 or 8.
struct rows {
    const char *first, *eighth;
    ptrdiff_t one, three, five;
};

static inline struct rows rows_from(const float *A, ptrdiff_t stride) {
    const ptrdiff_t row = stride * (ptrdiff_t)sizeof(float);
    return (struct rows){(const char *)A, (const char *)A + 7 * row, row, 3 * row, 5 * row};
}

static inline float row_value(const struct rows *a, int i) {
    const ptrdiff_t at[7] = {0, a->one, 2 * a->one, a->three, 4 * a->one, a->five, 2 * a->three};
    return *(const float *)((i < 7 ? a->first : a->eighth) + at[i % 7]);
}

static inline void rows_advance(struct rows *a, ptrdiff_t step) {
    a->first += step * (ptrdiff_t)sizeof(float);
    a->eighth += step * (ptrdiff_t)sizeof(float);
}

#define EACH UNROLL for (int j = 0; j < vectors; j++) UNROLL for (int i = 0; i < rows; i++)

// Loads vector j of a row of a tile; the last vector has only `last` lanes unless whole.
static inline vec load_vector(const float *p, int j, int vectors, bool whole, int last) {
    return whole || j < vectors - 1 ? v_load(p + j * LANES) : v_load_lanes(p + j * LANES, last);
}

// Microkernel: one tile of C, `rows` rows from row m and `vectors` vectors of columns, over K
// steps. The last vector has only `last` lanes unless whole. rows, vectors and whole are
// compile-time constants after inlining.
static inline __attribute__((always_inline)) void tile(const struct product *p, struct panel panel,
                                                       int m, int last, int K, int flags, int rows,
                                                       int vectors, bool whole) {
    vec c[TILE_ROWS][2];
    float *C = p->C + m * p->C_row;
    EACH {
        c[i][j] = v_zero();
    }
    if (flags & ACCUMULATE) {
        EACH {
            c[i][j] = load_vector(C + i * p->C_row, j, vectors, whole, last);
        }
    }
    struct rows a = rows_from(p->A.at + m * p->A.row, p->A.row);
    const ptrdiff_t step = p->A.step, next_block = p->A.block - LAYOUT_ROWS * p->A.step;
    const char *prefetch = p->prefetch;
    for (int s = 1; s <= K; s++) {
        vec b[2];
        UNROLL
        for (int j = 0; j < vectors; j++) {
            b[j] = v_load(panel.at + j * LANES);
        }
        UNROLL
        for (int i = 0; i < rows; i++) {
            vec value = v_all(row_value(&a, i));
            UNROLL
            for (int j = 0; j < vectors; j++) {
                c[i][j] = v_fma(value, b[j], c[i][j]);
            }
        }
        prefetch_in_step(prefetch);
        prefetch += LINE;
        panel.at += panel.step;
        rows_advance(&a, step);
        if (s % LAYOUT_ROWS == 0) {
            rows_advance(&a, next_block);
            prefetch += p->prefetch_jump;
        }
    }
    if (flags & BIAS) {
        UNROLL
        for (int i = 0; i < rows; i++) {
            vec bias = v_all(p->bias[m + i]);
            UNROLL
            for (int j = 0; j < vectors; j++) {
                c[i][j] = v_add(c[i][j], bias);
            }
        }
    }
    if (flags & RELU) {
        EACH {
            c[i][j] = v_relu(c[i][j]);
        }
    }
    if (flags & RELU_BACKWARD) {
        EACH {
            vec g = load_vector(p->saved + (m + i) * p->C_row, j, vectors, whole, last);
            c[i][j] = v_where_positive(c[i][j], g);
        }
    }
    if (flags & TIMES_SLOPE) {
        EACH {
            vec g = load_vector(p->saved + (m + i) * p->C_row, j, vectors, whole, last);
            c[i][j] = v_times(c[i][j], g);
        }
    }
    EACH {
        float *to = C + i * p->C_row + j * LANES;
        if (whole || j < vectors - 1) {
            v_store(to, c[i][j]);
        } else {
            v_store_lanes(to, c[i][j], last);
        }
    }
}

#define TILE_CASE(rows)                                                                            \
    case rows:                                                                                     \
        if (vectors == 2 && last == LANES) {                                                       \
            tile(p, panel, m, last, K, flags, rows, 2, true);                                      \
        } else if (vectors == 2) {                                                                 \
            tile(p, panel, m, last, K, flags, rows, 2, false);                                     \
        } else {                                                                                   \
            tile(p, panel, m, last, K, flags, rows, 1, false);                                     \
        }                                                                                          \
        break;

// Calls the microkernel specialised for `rows` and `vectors`.
static void tile_dispatch(const struct product *p, struct panel panel, int m, int last, int K,
                          int flags, int rows, int vectors) {
    switch (rows) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
        TILE_CASE(5)
        TILE_CASE(6)
#if TILE_ROWS > 6
        TILE_CASE(7)
        TILE_CASE(8)
        TILE_CASE(9)
        TILE_CASE(10)
        TILE_CASE(11)
        TILE_CASE(12)
#endif
#if TILE_ROWS > 12
        TILE_CASE(13)
        TILE_CASE(14)
#endif
    }
}

// Prefetches the rows of C or `saved` that a tile accesses after its multiply-adds.
static inline void prefetch_rows(const float *p, ptrdiff_t stride, int rows, int columns) {
    for (int i = 0; i < rows; i++, p += stride) {
        for (int j = 0; j < columns; j += LINE / (int)sizeof(float)) {
            _mm_prefetch((const char *)(p + j), _MM_HINT_T0);
        }
    }
}

// Multiplies all rows of A by one panel, in tiles of nearly equal height.
static void multiply_panel(const struct product *whole, struct panel panel, int columns, int K,
                           int flags) {
    struct product p = *whole;
    // Each tile prefetches the next tile's rows of A: one contiguous range, or one per block.
    bool is_blocked = p.A.row == LAYOUT_ROWS && p.A.step == 1;
    p.prefetch_jump = is_blocked ? p.A.block * (ptrdiff_t)sizeof(float) - LAYOUT_ROWS * LINE : 0;
    int vectors = columns > LANES ? 2 : 1;
    int last = columns - (vectors - 1) * LANES;
    int tiles = (p.M + TILE_ROWS - 1) / TILE_ROWS;
    for (int t = 0, m = 0; t < tiles; t++) {
        int end = (int)((long)p.M * (t + 1) / tiles);
        prefetch_rows(p.C + m * p.C_row, p.C_row, end - m, columns);
        if (flags & (RELU_BACKWARD | TIMES_SLOPE)) {
            prefetch_rows(p.saved + m * p.C_row, p.C_row, end - m, columns);
        }
        p.prefetch = (const char *)element(p.A, end, 0);
        tile_dispatch(&p, panel, m, last, K, flags, end - m, vectors);
        m = end;
    }
}

// Packs a panel of B^T, given B (N, K): panel (K / K_STEP, PANEL) from rows r, r + 1, ... of B, of
// which there are `columns`, and K elements from column k.
static void pack_transposed(float *panel, struct view B, int r, int k, int columns, int K) {
    for (int half = 0; half < PANEL; half += LANES) {
        for (int at = 0; at < K; at += K_STEP * LANES) {
            int depth = K - at < K_STEP * LANES ? K - at : K_STEP * LANES;
            const float *from = element(B, r + half, k + at);
            vec row[LANES];
            UNROLL
            for (int i = 0; i < LANES; i++) {
                row[i] = half + i < columns ? v_pack_row(from + i * B.row, depth) : v_zero();
            }
            transpose(row);
            for (int i = 0; i < depth; i += K_STEP) {
                v_store(panel + (ptrdiff_t)((at + i) / K_STEP) * PANEL + half, row[i / K_STEP]);
            }
        }
    }
}

// The sub-product of up to M_BLOCK rows of C from row m, and of A's columns from k.
static struct product sub_product(const struct product *p, int m, int k) {
    struct product sub = *p;
    sub.A.at = element(p->A, m, k);
    sub.C += m * p->C_row;
    sub.M = p->M - m < M_BLOCK ? p->M - m : M_BLOCK;
    sub.bias = p->bias ? p->bias + m : NULL;
    sub.saved = p->saved ? p->saved + m * p->C_row : NULL;
    return sub;
}

#ifdef __AVX512BF16__

// Packs a panel of blocked B (K, N): panel (K / K_STEP, PANEL) from `columns` columns, a multiple
// of LANES within one block.
static void pack_panel(float *panel, const float *B, int columns, int K) {
    for (int k = 0; k < K; k += K_STEP, B += K_STEP * LAYOUT_ROWS, panel += PANEL) {
        for (int j = 0; j < columns; j += LANES) {
            v_store(panel + j, v_pack_columns(B + j, LAYOUT_ROWS, LANES, K - k));
        }
    }
}

// Packed A, by rows or, if A is transposed, by columns. Row strides are padded so that the rows of
// a tile do not map to the same cache sets.
#define ROW_STRIDE (K_BLOCK / K_STEP + LANES)
#define COLUMN_STRIDE (M_BLOCK + LANES)
#define PACKED_FLOATS                                                                              \
    (M_BLOCK * ROW_STRIDE > K_BLOCK / K_STEP * COLUMN_STRIDE ? M_BLOCK * ROW_STRIDE                \
                                                             : K_BLOCK / K_STEP * COLUMN_STRIDE)

static void pack_A(struct product *p, float *packed, int K) {
    if (p->A.step == 1) {
        for (int m = 0; m < p->M; m++) {
            for (int k = 0; k < K; k += LAYOUT_ROWS) { // one vector of pairs
                int depth = K - k < LAYOUT_ROWS ? K - k : LAYOUT_ROWS;
                v_store(packed + m * ROW_STRIDE + k / K_STEP,
                        v_pack_row(element(p->A, m, k), depth));
            }
        }
        p->A = (struct view){packed, ROW_STRIDE, LAYOUT_ROWS, 1};
    } else {
        for (int k = 0; k < K; k += K_STEP) {
            for (int m = 0; m < p->M; m += LANES) {
                int lanes = p->M - m < LANES ? p->M - m : LANES;
                v_store(packed + k / K_STEP * COLUMN_STRIDE + m,
                        v_pack_columns(element(p->A, m, k), p->A.step, lanes, K - k));
            }
        }
        p->A = (struct view){packed, 1, LAYOUT_ROWS * COLUMN_STRIDE, COLUMN_STRIDE};
    }
}

#else

#define PACKED_FLOATS 1
static void pack_A(struct product *p, float *packed, int K) {
    (void)p;
    (void)packed;
    (void)K;
}

static void pack_panel(float *panel, const float *B, int columns, int K) {
    (void)panel;
    (void)B;
    (void)columns;
    (void)K;
}

#endif

// C (M, N) = A (M, K) B, with B (K, N) blocked or, if transposed, B (N, K).
static void multiply(const struct product *whole, struct view B, bool transposed, int K) {
    float panel_buffer[K_BLOCK / K_STEP * PANEL] __attribute__((aligned(64)));
    float packed_A[PACKED_FLOATS] __attribute__((aligned(64)));
    for (int m = 0; m < whole->M; m += M_BLOCK) {
        for (int k = 0; k < K; k += K_BLOCK) {
            bool is_last = K - k <= K_BLOCK;
            int depth = is_last ? K - k : K_BLOCK;
            struct product p = sub_product(whole, m, k);
            pack_A(&p, packed_A, depth);
            int flags = (k > 0 ? ACCUMULATE : 0) | (is_last ? p.flags : 0);
            for (int n = 0; n < p.N; n += PANEL) {
                int columns = p.N - n < PANEL ? p.N - n : PANEL;
                struct product panel_product = p;
                ptrdiff_t at = n / LAYOUT_ROWS * p.C_block + n % LAYOUT_ROWS;
                panel_product.C += at;
                panel_product.saved = p.saved ? p.saved + at : NULL;
                struct panel panel = {panel_buffer, PANEL};
                if (transposed) {
                    pack_transposed(panel_buffer, B, n, k, columns, depth);
                } else if (K_STEP > 1) {
                    pack_panel(panel_buffer, element(B, k, n), columns, depth);
                } else {
                    panel = (struct panel){element(B, k, n), LAYOUT_ROWS};
                }
                multiply_panel(&panel_product, panel, columns, (depth + K_STEP - 1) / K_STEP,
                               flags);
            }
        }
    }
}

// B rounded up to whole vectors: padding of the blocked layout is computed, not masked.
static int whole_vectors(int B) {
    return (B + LANES - 1) / LANES * LANES;
}

static void forward(float *y, const float *W, const float *x, const float *b, bool relu,
                    struct gemm_shape s) {
    struct product p = {.A = row_major(W, s.in),
                        .C = y,
                        .C_row = LAYOUT_ROWS,
                        .C_block = (ptrdiff_t)LAYOUT_ROWS * s.out,
                        .M = s.out,
                        .N = whole_vectors(s.B),
                        .bias = b,
                        .flags = b ? BIAS | (relu ? RELU : 0) : 0};
    multiply(&p, blocked(x, s.in), false, s.in);
}

static void backward_data(float *dx, const float *W, const float *dz, enum gemm_epilogue epilogue,
                          const float *saved, struct gemm_shape s) {
    static const int flags[] = {[GEMM_EPILOGUE_NONE] = 0,
                                [GEMM_EPILOGUE_RELU] = RELU_BACKWARD,
                                [GEMM_EPILOGUE_SLOPE] = TIMES_SLOPE};
    struct product p = {.A = transposed_row_major(W, s.in),
                        .C = dx,
                        .C_row = LAYOUT_ROWS,
                        .C_block = (ptrdiff_t)LAYOUT_ROWS * s.in,
                        .M = s.in,
                        .N = whole_vectors(s.B),
                        .saved = saved,
                        .flags = flags[epilogue]};
    multiply(&p, blocked(dz, s.out), false, s.out);
}

static void backward_weights(float *dW, const float *dz, const float *x, struct gemm_shape s) {
    struct product p = {.A = blocked(dz, s.out),
                        .C = dW,
                        .C_row = s.in,
                        .C_block = LAYOUT_ROWS,
                        .M = s.out,
                        .N = s.in};
    multiply(&p, blocked(x, s.in), true, s.B);
}

static void transpose_matrix(float *to, int to_ld, const float *from, int from_ld, int rows,
                             int columns) {
    for (int r = 0; r < rows; r += LANES) {
        int height = rows - r < LANES ? rows - r : LANES;
        for (int c = 0; c < columns; c += LANES) {
            int width = columns - c < LANES ? columns - c : LANES;
            const float *p = from + (ptrdiff_t)r * from_ld + c;
            vec square[LANES];
            UNROLL
            for (int i = 0; i < LANES; i++) {
                square[i] = i < height ? v_load_first(p + (ptrdiff_t)i * from_ld, width) : v_zero();
            }
            transpose(square);
            UNROLL
            for (int i = 0; i < LANES; i++) {
                if (i < width) {
                    v_store_first(to + (ptrdiff_t)(c + i) * to_ld + r, square[i], height);
                }
            }
        }
    }
}

#ifdef __AVX512BF16__
const struct gemm_table gemm_bf16 = {COMPUTE_BF16, forward, backward_data, backward_weights,
                                     transpose_matrix};
#elif defined __AVX512F__
const struct gemm_table gemm_avx512 = {COMPUTE_AVX512, forward, backward_data, backward_weights,
                                       transpose_matrix};
#else
const struct gemm_table gemm_avx2 = {COMPUTE_AVX2, forward, backward_data, backward_weights,
                                     transpose_matrix};
#endif
