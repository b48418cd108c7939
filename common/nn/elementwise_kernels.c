// SPDX-License-Identifier: MIT
// Element-wise functions in float, as loops that the compiler vectorises. Compiled once per
// instruction set; only the table of functions is exported.
//
// To be vectorisable, the functions have no branches, calls or lookup tables. exp uses the range
// reduction exp(x) = 2^n exp(r), log and tanh are based on it. Polynomials are minimax fits with
// the stated error on the stated interval, by the Remez algorithm, rounded to float.
//
// Clamps are written `x < lo ? lo : x`, which keeps a NaN.
#ifdef __AVX512F__
#include <immintrin.h>
#endif
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/nn/elementwise.h"
#include "common/nn/kernel_math.h"
#include "common/nn/kernels.h"
#include "common/nn/layout.h"

// 1.5 * 2^23: adding it rounds to the nearest integer, which is then in the low bits of the sum.
static const float round_magic = 0x1.8p23f;

// x = n log 2 + r with |r| <= log(2) / 2. Returns exp(r), stores n in *n_out.
// exp(r) = 1 + r + r^2 Q(r); error of Q's part 3.1e-9.
static inline float exp_reduced(int32_t *n_out, float x) {
    float shifted = FMA(x, 0x1.715476p+0f, round_magic);
    float n = shifted - round_magic;
    float r = FMA(n, -0x1.62ep-1f, x); // log 2 in two parts; n times the first is exact
    r = FMA(n, -0x1.0bfbe8p-15f, r);
    float q = 0x1.6a2352p-10f;
    q = FMA(q, r, 0x1.123a6ap-7f);
    q = FMA(q, r, 0x1.5558f4p-5f);
    q = FMA(q, r, 0x1.55549p-3f);
    q = FMA(q, r, 0x1.fffffcp-2f);
    *n_out = bits_of(shifted) - bits_of(round_magic);
    return FMA(q * r, r, r) + 1.0f;
}

// 2^n for normal results. Unsigned, as n is arbitrary if x is a NaN: no signed overflow.
static inline float power_of_two(int32_t n) {
    return float_of((int32_t)((uint32_t)(n + 127) << 23));
}

// exp for all x. The factor 2^n is applied in two halves, to reach infinity and the denormals with
// a single rounding.
static inline float exp_full(float x) {
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    int32_t n;
    float y = exp_reduced(&n, x);
    int32_t half = n >> 1;
    return y * power_of_two(half) * power_of_two(n - half);
}

// exp with x clamped to [-87, 87]. Sufficient in the functions below: beyond, their results no
// longer change.
static inline float exp_clamped(float x) {
    x = x > 87.0f ? 87.0f : x;
    x = x < -87.0f ? -87.0f : x;
    int32_t n;
    float y = exp_reduced(&n, x);
    return y * power_of_two(n);
}

// Near zero x + x^3 P(x^2), error 4.1e-9; else 1 - 2 / (exp(2|x|) + 1).
static inline float tanh_one(float x) {
    float a = magnitude(x);
    float z = x * x;
    float p = -0x1.76ac3p-8f;
    p = FMA(p, z, 0x1.5256dcp-6f);
    p = FMA(p, z, -0x1.b8444ap-5f);
    p = FMA(p, z, 0x1.110768p-3f);
    p = FMA(p, z, -0x1.555534p-2f);
    float near = FMA(p * z, a, a);
    float far = 1.0f - 2.0f / (exp_clamped(2.0f * a) + 1.0f);
    float y = a < 0.625f ? near : far;
    return float_of(bits_of(y) | (bits_of(x) & INT32_MIN));
}

// log(1 + e) for e in [0, 1], as 2 atanh(t) with t = e / (2 + e) in [0, 1/3]:
// 2 (t + t^3 P(t^2)), error 1.1e-10, with full relative precision for small e.
static inline float log1p_of_exp(float e) {
    float t = e / (2.0f + e);
    float z = t * t;
    float p = 0x1.f1aea8p-4f;
    p = FMA(p, z, 0x1.b6d6b4p-4f);
    p = FMA(p, z, 0x1.250972p-3f);
    p = FMA(p, z, 0x1.9996a8p-3f);
    p = FMA(p, z, 0x1.555558p-2f);
    t += t;
    return FMA(p * z, t, t);
}

static void kernel_exp(float *restrict y, const float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        y[i] = exp_full(x[i]);
    }
}

static void kernel_tanh(float *restrict y, const float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        y[i] = tanh_one(x[i]);
    }
}

// softplus(x) = max(x, 0) + log(1 + e), e = exp(-|x|). e is from exp_full: for very negative x the
// result is e itself, below the range of exp_clamped.
static inline float softplus_one(float x, float e) {
    return (x > 0.0f ? x : 0.0f) + log1p_of_exp(e);
}

static void kernel_softplus(float *restrict y, float *restrict slope, const float *restrict x,
                            size_t n) {
    if (!slope) {
        for (size_t i = 0; i < n; i++) {
            y[i] = softplus_one(x[i], exp_full(-magnitude(x[i])));
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float value = x[i];
        float e = exp_full(-magnitude(value));
        float s = 1.0f / (1.0f + e);
        slope[i] = value < 0.0f ? e * s : s;
        y[i] = softplus_one(value, e);
    }
}

// Activations run over whole blocks, padding included.
static void kernel_bias(float *restrict h, const float *restrict b, int N, int B) {
    for (int s = 0; s < layout_blocks(B); s++) {
        for (int j = 0; j < N; j++, h += LAYOUT_ROWS) {
            const float bias = b[j];
            for (int i = 0; i < LAYOUT_ROWS; i++) {
                h[i] += bias;
            }
        }
    }
}

static void kernel_bias_relu(float *restrict h, const float *restrict b, int N, int B) {
    for (int s = 0; s < layout_blocks(B); s++) {
        for (int j = 0; j < N; j++, h += LAYOUT_ROWS) {
            const float bias = b[j];
            for (int i = 0; i < LAYOUT_ROWS; i++) {
                float z = h[i] + bias;
                h[i] = z < 0.0f ? 0.0f : z;
            }
        }
    }
}

// z sigmoid(z), with sigmoid(z) in *s. z is clamped at -87, where the result is within 2e-36 of
// zero: avoids infinity times zero.
static inline float silu_one(float *s, float z) {
    z = z < -87.0f ? -87.0f : z;
    *s = 1.0f / (1.0f + exp_clamped(-z));
    return z * *s;
}

// silu_one on several vectors, interleaved. A single vector is a chain of two dozen dependent
// operations, longer than out-of-order execution can overlap with the next vector's; so each
// operation is applied to all vectors before the next operation. The compiler keeps the arrays in
// registers.
#ifdef __AVX512F__
#define WIDE 64
#else
#define WIDE 32
#endif
#define EACH for (int l = 0; l < WIDE; l++)

// h = silu(h + b) for WIDE / LAYOUT_ROWS features of a block, and the slope unless NULL.
static inline __attribute__((always_inline)) void silu_wide(float *restrict h,
                                                            float *restrict slope, const float *b) {
    float z[WIDE], x[WIDE], shifted[WIDE], r[WIDE], q[WIDE], s[WIDE];
    for (int k = 0; k < WIDE / LAYOUT_ROWS; k++) {
        for (int l = k * LAYOUT_ROWS; l < (k + 1) * LAYOUT_ROWS; l++) {
            z[l] = h[l] + b[k];
        }
    }
    EACH {
        z[l] = z[l] < -87.0f ? -87.0f : z[l];
    }
    EACH { // exp_clamped(-z)
        x[l] = -z[l] < -87.0f ? -87.0f : -z[l];
    }
    EACH {
        shifted[l] = FMA(x[l], 0x1.715476p+0f, round_magic);
    }
    EACH {
        r[l] = FMA(shifted[l] - round_magic, -0x1.62ep-1f, x[l]);
    }
    EACH {
        r[l] = FMA(shifted[l] - round_magic, -0x1.0bfbe8p-15f, r[l]);
    }
    EACH {
        q[l] = FMA(0x1.6a2352p-10f, r[l], 0x1.123a6ap-7f);
    }
    EACH {
        q[l] = FMA(q[l], r[l], 0x1.5558f4p-5f);
    }
    EACH {
        q[l] = FMA(q[l], r[l], 0x1.55549p-3f);
    }
    EACH {
        q[l] = FMA(q[l], r[l], 0x1.fffffcp-2f);
    }
    EACH {
        q[l] *= r[l];
    }
    EACH {
        q[l] = FMA(q[l], r[l], r[l]);
    }
    EACH {
        q[l] += 1.0f;
    }
    EACH {
        s[l] = q[l] * power_of_two(bits_of(shifted[l]) - bits_of(round_magic));
    }
    EACH {
        s[l] = 1.0f / (1.0f + s[l]);
    }
    EACH {
        h[l] = z[l] * s[l];
    }
    if (slope) {
        EACH {
            slope[l] = FMA(z[l] * s[l], 1.0f - s[l], s[l]);
        }
    }
}

static void kernel_bias_silu(float *restrict h, float *restrict slope, const float *restrict b,
                             int N, int B) {
    enum { FEATURES = WIDE / LAYOUT_ROWS };
    for (int s = 0; s < layout_blocks(B); s++) {
        int j = 0;
        for (; j + FEATURES <= N; j += FEATURES, h += WIDE) {
            if (slope) {
                silu_wide(h, slope, b + j);
                slope += WIDE;
            } else {
                silu_wide(h, NULL, b + j);
            }
        }
        for (; j < N; j++, h += LAYOUT_ROWS) {
            for (int i = 0; i < LAYOUT_ROWS; i++) {
                float sigmoid;
                h[i] = silu_one(&sigmoid, h[i] + b[j]);
                if (slope) {
                    slope[i] = FMA(h[i], 1.0f - sigmoid, sigmoid);
                }
            }
            slope = slope ? slope + LAYOUT_ROWS : NULL;
        }
    }
}

static void kernel_relu_backward(float *restrict dh, const float *restrict h, int N, int B) {
    for (size_t i = 0; i < layout_floats(N, B); i++) {
        dh[i] = h[i] > 0.0f ? dh[i] : 0.0f;
    }
}

static void kernel_slope_backward(float *restrict dh, const float *restrict slope, int N, int B) {
    for (size_t i = 0; i < layout_floats(N, B); i++) {
        dh[i] *= slope[i];
    }
}

// Sixteen partial sums as a vector type: the compiler must not reorder a plain sum of floats.
typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));
#define LANES 16

static inline __attribute__((always_inline)) void add_lanes(lanes *sum, const float *x,
                                                            const float *w) {
    lanes terms = *(const lanes *)x;
    if (w) {
        terms *= *(const lanes *)w;
    }
    *sum += terms;
}

// Sum of n elements of x, weighted by w unless NULL. x consists of chunks of 32 contiguous floats,
// `stride` floats from one chunk to the next.
static inline __attribute__((always_inline)) float weighted_sum(const float *x, const float *w,
                                                                int n, size_t stride) {
    lanes s0 = {0}, s1 = {0};
    int i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES, x += stride) {
        add_lanes(&s0, x, w ? w + i : NULL);
        add_lanes(&s1, x + LANES, w ? w + i + LANES : NULL);
    }
    if (i + LANES <= n) {
        add_lanes(&s0, x, w ? w + i : NULL);
        i += LANES;
        x += LANES;
    }
    lanes s = s0 + s1;
    float sum = 0;
    for (int k = 0; k < LANES / 2; k++) {
        sum += s[k] + s[k + LANES / 2];
    }
    for (; i < n; i++, x++) {
        sum += w ? *x * w[i] : *x;
    }
    return sum;
}

static void kernel_sums(float *restrict sum, const float *restrict x, const float *restrict w,
                        int N, int B) {
    const size_t block = layout_offset(N, 1);
    for (int j = 0; j < N; j++, x += LAYOUT_ROWS) {
        sum[j] = w ? weighted_sum(x, w, B, block) : weighted_sum(x, NULL, B, block);
    }
}

static void kernel_dots(float *restrict y, const float *restrict A, const float *restrict x, int M,
                        int n) {
    for (int j = 0; j < M; j++, A += n) {
        y[j] = weighted_sum(A, x, n, LAYOUT_ROWS);
    }
}

// Compacts half a block of input at a time; its kept rows may cross into the next output block.
static int kernel_keep(float *to, const float *from, const float *keep, int N, int B) {
    int kept = 0;
    for (int first = 0; first < B; first += LANES) {
        int end = first + LANES < B ? first + LANES : B;
        const float *half = from + layout_index(N, 0, first);
        float *place = to + layout_index(N, 0, kept);
        float *next = to + layout_offset(N, kept / LAYOUT_ROWS + 1);
        int room = LAYOUT_ROWS - kept % LAYOUT_ROWS;
#ifdef __AVX512F__
        __mmask16 valid = (__mmask16)((1u << (end - first)) - 1);
        __mmask16 mask = _mm512_mask_cmp_ps_mask(valid, _mm512_maskz_loadu_ps(valid, keep + first),
                                                 _mm512_setzero_ps(), _CMP_NEQ_UQ);
        int count = __builtin_popcount(mask), here = count < room ? count : room;
        __mmask16 first_lanes = (__mmask16)((1u << here) - 1);
        __mmask16 last_lanes = (__mmask16)(((1u << count) - 1) & ~first_lanes);
        for (int j = 0; j < N; j++) {
            __m512 numbers =
                _mm512_maskz_compress_ps(mask, _mm512_loadu_ps(half + j * LAYOUT_ROWS));
            _mm512_mask_storeu_ps(place + j * LAYOUT_ROWS, first_lanes, numbers);
            if (last_lanes) {
                _mm512_mask_storeu_ps(next + j * LAYOUT_ROWS, (__mmask16)(last_lanes >> here),
                                      _mm512_maskz_compress_ps(last_lanes, numbers));
            }
        }
#else
        int which[LANES], count = 0;
        for (int i = first; i < end; i++) {
            if (keep[i] != 0.0f) {
                which[count++] = i - first;
            }
        }
        for (int j = 0; j < N; j++) {
            for (int i = 0; i < count; i++) {
                float *row = i < room ? place + i : next + (i - room);
                row[j * LAYOUT_ROWS] = half[j * LAYOUT_ROWS + which[i]];
            }
        }
#endif
        kept += count;
    }
    return kept;
}

// mean and 1 / standard deviation over the features of a block of rows.
static void block_moments(float *restrict mean, float *restrict inverse, const float *restrict x,
                          int N, float epsilon) {
    float sum[LAYOUT_ROWS] = {0}, squares[LAYOUT_ROWS] = {0};
    for (int j = 0; j < N; j++) {
        for (int i = 0; i < LAYOUT_ROWS; i++) {
            sum[i] += x[j * LAYOUT_ROWS + i];
        }
    }
    for (int i = 0; i < LAYOUT_ROWS; i++) {
        mean[i] = sum[i] / (float)N;
    }
    for (int j = 0; j < N; j++) {
        for (int i = 0; i < LAYOUT_ROWS; i++) {
            float centred = x[j * LAYOUT_ROWS + i] - mean[i];
            squares[i] = FMA(centred, centred, squares[i]);
        }
    }
    for (int i = 0; i < LAYOUT_ROWS; i++) {
        inverse[i] = 1.0f / sqrtf(squares[i] / (float)N + epsilon);
    }
}

static void kernel_layer_norm(float *restrict x, float *restrict inverse, int N, int B,
                              float epsilon) {
    float mean[LAYOUT_ROWS], unused[LAYOUT_ROWS];
    for (int s = 0; s < layout_blocks(B); s++, x += layout_offset(N, 1)) {
        float *own = inverse ? inverse + layout_offset(1, s) : unused;
        block_moments(mean, own, x, N, epsilon);
        for (int j = 0; j < N; j++) {
            for (int i = 0; i < LAYOUT_ROWS; i++) {
                x[j * LAYOUT_ROWS + i] = (x[j * LAYOUT_ROWS + i] - mean[i]) * own[i];
            }
        }
    }
}

static void kernel_layer_norm_backward(float *restrict dx, const float *restrict y,
                                       const float *restrict inverse, const float *restrict slope,
                                       int N, int B) {
    size_t block = layout_offset(N, 1);
    for (int s = 0; s < layout_blocks(B); s++, dx += block, y += block, slope += block) {
        float mean[LAYOUT_ROWS] = {0}, along[LAYOUT_ROWS] = {0};
        const float *own = inverse + layout_offset(1, s);
        for (int j = 0; j < N; j++) {
            for (int i = 0; i < LAYOUT_ROWS; i++) {
                int k = j * LAYOUT_ROWS + i;
                mean[i] += dx[k];
                along[i] = FMA(dx[k], y[k], along[i]);
            }
        }
        for (int i = 0; i < LAYOUT_ROWS; i++) {
            mean[i] /= (float)N;
            along[i] /= (float)N;
        }
        for (int j = 0; j < N; j++) {
            for (int i = 0; i < LAYOUT_ROWS; i++) {
                int k = j * LAYOUT_ROWS + i;
                dx[k] = (dx[k] - mean[i] - y[k] * along[i]) * own[i] * slope[k];
            }
        }
    }
}

const struct elementwise_kernels KERNEL_NAME(elementwise_kernels) = {
    .exp = kernel_exp,
    .tanh = kernel_tanh,
    .softplus = kernel_softplus,
    .bias = kernel_bias,
    .bias_relu = kernel_bias_relu,
    .bias_silu = kernel_bias_silu,
    .relu_backward = kernel_relu_backward,
    .slope_backward = kernel_slope_backward,
    .layer_norm = kernel_layer_norm,
    .layer_norm_backward = kernel_layer_norm_backward,
    .sums = kernel_sums,
    .dots = kernel_dots,
    .keep = kernel_keep,
};
