// SPDX-License-Identifier: MIT
// Products of our own. Compiled once a variant, with the instructions that it may
// use; everything is static but its table.
//
// C (M, N) = A (M, K) B (K, N) is worked on in panels of two vectors of columns,
// K_BLOCK deep. A panel of B stays in the first-level cache while all rows of A pass
// by, a tile of rows at a time; the tile's part of C is in registers throughout. A's
// numbers are broadcast from where they are, at any stride, so that A transposed
// costs nothing. A panel of B is read from where it is as well; only those of B
// transposed are put together first.
//
// What lies in strips (strip.h) is read and written in whole vectors. Nothing is read
// or written beyond anything else: partial vectors are masked.
//
// The bf16 variant is the same with words in place of numbers: a word holds two
// neighbours of the K direction, rounded to bf16, and its multiply-add is the dot
// product of two words, added up in float. All of A and B is then copied, of A a
// block of rows at a time.
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
// max(v, 0); a NaN passes.
static inline vec v_relu(vec v) {
    return _mm512_max_ps(_mm512_setzero_ps(), v);
}
// v where g > 0, else 0
static inline vec v_where_positive(vec v, vec g) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(g, _mm512_setzero_ps(), _CMP_GT_OQ), v);
}

// Asks for a line beside a word's arithmetic.
static inline void fetch_beside(const char *line) {
    _mm_prefetch(line, _MM_HINT_T1);
}

// r[i][j] becomes r[j][i].
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
    // t[4 i + j] has columns j, j + 4, j + 8, j + 12 of rows 4 i ... 4 i + 3.
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

// A word's arithmetic is too little here to carry that as well.
static inline void fetch_beside(const char *line) {
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

// The first n lanes; masks cost time where there is nothing to mask.
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

#define PANEL (2 * LANES) // columns of a panel; a strip is one or two of them
#define K_BLOCK 256       // numbers of its depth: 32 KiB with AVX-512
#define LINE 64           // bytes of a cache line

#ifdef __AVX512BF16__

#define WORD 2      // numbers
#define M_BLOCK 256 // rows of A that are copied at once

// Words of 16 pairs: of the first n of 32 numbers side by side;
static inline vec v_words_along(const float *p, int n) {
    vec low = v_load_first(p, n < LANES ? n : LANES);
    vec high = n > LANES ? v_load_first(p + LANES, n - LANES) : v_zero();
    return (vec)_mm512_cvtne2ps_pbh(high, low);
}
// of n columns of two rows, or of the one that is left.
static inline vec v_words_across(const float *p, ptrdiff_t stride, int n, int rows) {
    vec even = v_load_first(p, n), odd = rows > 1 ? v_load_first(p + stride, n) : v_zero();
    const __m512i interleave =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return (vec)_mm512_permutexvar_epi16(interleave, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

#else

#define WORD 1
#define M_BLOCK INT_MAX

static inline vec v_words_along(const float *p, int n) {
    return v_load_first(p, n);
}

#endif

// What happens to a tile of C between the registers and memory.
enum {
    FROM_C = 1, // the sums go on from what C holds: not the first block of K
    BIAS = 2,
    RELU = 4,
    GATE_ZERO = 8,  // zero where the gate is not positive
    GATE_TIMES = 16 // times the gate
};

// Where a matrix's numbers are: (r, c) at
//     at[r * row + c / LAYOUT_ROWS * strip + c % LAYOUT_ROWS * step].
struct view {
    const float *at;
    ptrdiff_t row, strip, step;
};

static struct view plain(const float *at, int columns) {
    return (struct view){at, columns, LAYOUT_ROWS, 1};
}

static struct view plain_transposed(const float *at, int columns) {
    return (struct view){at, 1, (ptrdiff_t)LAYOUT_ROWS * columns, columns};
}

static struct view strips(const float *at, int rows) {
    return (struct view){at, LAYOUT_ROWS, (ptrdiff_t)LAYOUT_ROWS * rows, 1};
}

static inline const float *number(struct view v, int r, int c) {
    return v.at + r * v.row + c / LAYOUT_ROWS * v.strip + c % LAYOUT_ROWS * v.step;
}

struct product {
    struct view A; // (M, K)
    float *C;      // (M, N), of which what follows says where the numbers are
    ptrdiff_t C_row, C_strip;
    int M, N;
    int flags;         // of the last block of K
    const float *bias; // (M)
    const float *gate; // (M, N), laid out as C
    // Asked for beside the arithmetic: a line with each word of K, and the jump with each
    // strip of them.
    const char *ahead;
    ptrdiff_t ahead_jump;
};

// Columns of B, K words deep.
struct panel {
    const float *at;
    ptrdiff_t step; // from one word of a column to the next
};

// The rows of A in a tile, from two pointers seven rows apart and three strides: so
// many addresses fit into registers, because one may add a stride times 1, 2, 4 or 8.
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

static inline void rows_step(struct rows *a, ptrdiff_t step) {
    a->first += step * (ptrdiff_t)sizeof(float);
    a->eighth += step * (ptrdiff_t)sizeof(float);
}

#define EACH UNROLL for (int j = 0; j < vectors; j++) UNROLL for (int i = 0; i < rows; i++)

// Vector j of a row of a tile: the last one may have `last` lanes.
static inline vec load_part(const float *p, int j, int vectors, bool whole, int last) {
    return whole || j < vectors - 1 ? v_load(p + j * LANES) : v_load_lanes(p + j * LANES, last);
}

// One tile: `rows` rows of p from m, `vectors` vectors of columns, K words deep. Unless whole,
// the last vector has only `last` lanes. rows, vectors and whole are constants wherever this is
// inlined.
static inline __attribute__((always_inline)) void tile(const struct product *p, struct panel panel,
                                                       int m, int last, int K, int flags, int rows,
                                                       int vectors, bool whole) {
    vec c[TILE_ROWS][2];
    float *C = p->C + m * p->C_row;
    EACH {
        c[i][j] = v_zero();
    }
    if (flags & FROM_C) {
        EACH {
            c[i][j] = load_part(C + i * p->C_row, j, vectors, whole, last);
        }
    }
    struct rows a = rows_from(p->A.at + m * p->A.row, p->A.row);
    const ptrdiff_t step = p->A.step, next_strip = p->A.strip - LAYOUT_ROWS * p->A.step;
    const char *ahead = p->ahead;
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
        fetch_beside(ahead);
        ahead += LINE;
        panel.at += panel.step;
        rows_step(&a, step);
        if (s % LAYOUT_ROWS == 0) {
            rows_step(&a, next_strip);
            ahead += p->ahead_jump;
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
    if (flags & GATE_ZERO) {
        EACH {
            vec g = load_part(p->gate + (m + i) * p->C_row, j, vectors, whole, last);
            c[i][j] = v_where_positive(c[i][j], g);
        }
    }
    if (flags & GATE_TIMES) {
        EACH {
            vec g = load_part(p->gate + (m + i) * p->C_row, j, vectors, whole, last);
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

static void any_tile(const struct product *p, struct panel panel, int m, int last, int K, int flags,
                     int rows, int vectors) {
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

// Asks for what a tile will need at its end, while it has work to do.
static inline void fetch_ahead(const float *p, ptrdiff_t stride, int rows, int columns) {
    for (int i = 0; i < rows; i++, p += stride) {
        for (int j = 0; j < columns; j += LINE / (int)sizeof(float)) {
            _mm_prefetch((const char *)(p + j), _MM_HINT_T0);
        }
    }
}

// All rows of one panel, in tiles of even height so that the last is no splinter.
static void pass_rows(const struct product *whole, struct panel panel, int columns, int K,
                      int flags) {
    struct product p = *whole;
    // The next tile's rows of A: one piece, or one in each strip.
    bool in_strips = p.A.row == LAYOUT_ROWS && p.A.step == 1;
    p.ahead_jump = in_strips ? p.A.strip * (ptrdiff_t)sizeof(float) - LAYOUT_ROWS * LINE : 0;
    int vectors = columns > LANES ? 2 : 1;
    int last = columns - (vectors - 1) * LANES;
    int tiles = (p.M + TILE_ROWS - 1) / TILE_ROWS;
    for (int t = 0, m = 0; t < tiles; t++) {
        int end = (int)((long)p.M * (t + 1) / tiles);
        fetch_ahead(p.C + m * p.C_row, p.C_row, end - m, columns);
        if (flags & (GATE_ZERO | GATE_TIMES)) {
            fetch_ahead(p.gate + m * p.C_row, p.C_row, end - m, columns);
        }
        p.ahead = (const char *)number(p.A, end, 0);
        any_tile(&p, panel, m, last, K, flags, end - m, vectors);
        m = end;
    }
}

// panel (words of K, PANEL) = B transposed: the numbers from k on of its rows r, r + 1,
// ... of which there are `columns`.
static void transpose_panel(float *panel, struct view B, int r, int k, int columns, int K) {
    for (int half = 0; half < PANEL; half += LANES) {
        for (int at = 0; at < K; at += WORD * LANES) {
            int deep = K - at < WORD * LANES ? K - at : WORD * LANES;
            const float *from = number(B, r + half, k + at);
            vec row[LANES];
            UNROLL
            for (int i = 0; i < LANES; i++) {
                row[i] = half + i < columns ? v_words_along(from + i * B.row, deep) : v_zero();
            }
            transpose(row);
            for (int i = 0; i < deep; i += WORD) {
                v_store(panel + (ptrdiff_t)((at + i) / WORD) * PANEL + half, row[i / WORD]);
            }
        }
    }
}

// The part of p with rows of C from m on, of the K numbers from k on.
static struct product part(const struct product *p, int m, int k) {
    struct product part = *p;
    part.A.at = number(p->A, m, k);
    part.C += m * p->C_row;
    part.M = p->M - m < M_BLOCK ? p->M - m : M_BLOCK;
    part.bias = p->bias ? p->bias + m : NULL;
    part.gate = p->gate ? p->gate + m * p->C_row : NULL;
    return part;
}

#ifdef __AVX512BF16__

// panel (words of K, PANEL) = the columns from B on, in a strip of which `columns` are
// whole vectors.
static void copy_panel(float *panel, const float *B, int columns, int K) {
    for (int k = 0; k < K; k += WORD, B += WORD * LAYOUT_ROWS, panel += PANEL) {
        for (int j = 0; j < columns; j += LANES) {
            v_store(panel + j, v_words_across(B + j, LAYOUT_ROWS, LANES, K - k));
        }
    }
}

// A copy of A in words. Rows are longer than they need be, so that those of a tile
// do not meet in the same sets of the cache.
#define ALONG (K_BLOCK / WORD + LANES)
#define ACROSS (M_BLOCK + LANES)
#define COPY_FLOATS                                                                                \
    (M_BLOCK * ALONG > K_BLOCK / WORD * ACROSS ? M_BLOCK * ALONG : K_BLOCK / WORD * ACROSS)

static void copy_rows(struct product *p, float *copy, int K) {
    if (p->A.step == 1) {
        for (int m = 0; m < p->M; m++) {
            for (int k = 0; k < K; k += LAYOUT_ROWS) { // words of a whole vector
                int deep = K - k < LAYOUT_ROWS ? K - k : LAYOUT_ROWS;
                v_store(copy + m * ALONG + k / WORD, v_words_along(number(p->A, m, k), deep));
            }
        }
        p->A = (struct view){copy, ALONG, LAYOUT_ROWS, 1};
    } else {
        for (int k = 0; k < K; k += WORD) {
            for (int m = 0; m < p->M; m += LANES) {
                int lanes = p->M - m < LANES ? p->M - m : LANES;
                v_store(copy + k / WORD * ACROSS + m,
                        v_words_across(number(p->A, m, k), p->A.step, lanes, K - k));
            }
        }
        p->A = (struct view){copy, 1, LAYOUT_ROWS * ACROSS, ACROSS};
    }
}

#else

#define COPY_FLOATS 1
static void copy_rows(struct product *p, float *copy, int K) {
    (void)p;
    (void)copy;
    (void)K;
}

static void copy_panel(float *panel, const float *B, int columns, int K) {
    (void)panel;
    (void)B;
    (void)columns;
    (void)K;
}

#endif

// C = A B, with B (K, N) or, transposed, B (N, K).
static void multiply(const struct product *whole, struct view B, bool transposed, int K) {
    float copied[K_BLOCK / WORD * PANEL] __attribute__((aligned(64)));
    float copy[COPY_FLOATS] __attribute__((aligned(64)));
    for (int m = 0; m < whole->M; m += M_BLOCK) {
        for (int k = 0; k < K; k += K_BLOCK) {
            bool ends = K - k <= K_BLOCK;
            int deep = ends ? K - k : K_BLOCK;
            struct product p = part(whole, m, k);
            copy_rows(&p, copy, deep);
            int flags = (k > 0 ? FROM_C : 0) | (ends ? p.flags : 0);
            for (int n = 0; n < p.N; n += PANEL) {
                int columns = p.N - n < PANEL ? p.N - n : PANEL;
                struct product own = p;
                ptrdiff_t at = n / LAYOUT_ROWS * p.C_strip + n % LAYOUT_ROWS;
                own.C += at;
                own.gate = p.gate ? p.gate + at : NULL;
                struct panel panel = {copied, PANEL};
                if (transposed) {
                    transpose_panel(copied, B, n, k, columns, deep);
                } else if (WORD > 1) {
                    copy_panel(copied, number(B, k, n), columns, deep);
                } else {
                    panel = (struct panel){number(B, k, n), LAYOUT_ROWS};
                }
                pass_rows(&own, panel, columns, (deep + WORD - 1) / WORD, flags);
            }
        }
    }
}

// Vectors of a strip are computed whole.
static int whole_vectors(int B) {
    return (B + LANES - 1) / LANES * LANES;
}

static void forward(float *y, const float *W, const float *x, const float *b, bool relu,
                    struct gemm_shape s) {
    struct product p = {.A = plain(W, s.in),
                        .C = y,
                        .C_row = LAYOUT_ROWS,
                        .C_strip = (ptrdiff_t)LAYOUT_ROWS * s.out,
                        .M = s.out,
                        .N = whole_vectors(s.B),
                        .bias = b,
                        .flags = b ? BIAS | (relu ? RELU : 0) : 0};
    multiply(&p, strips(x, s.in), false, s.in);
}

static void back(float *dx, const float *W, const float *dz, enum gemm_epilogue gate,
                 const float *g, struct gemm_shape s) {
    static const int flags[] = {[GEMM_EPILOGUE_NONE] = 0,
                                [GEMM_EPILOGUE_RELU] = GATE_ZERO,
                                [GEMM_EPILOGUE_SLOPE] = GATE_TIMES};
    struct product p = {.A = plain_transposed(W, s.in),
                        .C = dx,
                        .C_row = LAYOUT_ROWS,
                        .C_strip = (ptrdiff_t)LAYOUT_ROWS * s.in,
                        .M = s.in,
                        .N = whole_vectors(s.B),
                        .gate = g,
                        .flags = flags[gate]};
    multiply(&p, strips(dz, s.out), false, s.out);
}

static void weights(float *dW, const float *dz, const float *x, struct gemm_shape s) {
    struct product p = {.A = strips(dz, s.out),
                        .C = dW,
                        .C_row = s.in,
                        .C_strip = LAYOUT_ROWS,
                        .M = s.out,
                        .N = s.in};
    multiply(&p, strips(x, s.in), true, s.B);
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
const struct gemm_table gemm_bf16 = {COMPUTE_BF16, forward, back, weights, transpose_matrix};
#elif defined __AVX512F__
const struct gemm_table gemm_avx512 = {COMPUTE_AVX512, forward, back, weights, transpose_matrix};
#else
const struct gemm_table gemm_avx2 = {COMPUTE_AVX2, forward, back, weights, transpose_matrix};
#endif
