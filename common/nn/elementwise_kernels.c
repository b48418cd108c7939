// SPDX-License-Identifier: MIT
// The loops behind vector.h. Compiled once a variant, with the instructions it
// may use and ELEMENTWISE_ISA, the variant's name; everything is static but its table.
//
// The functions are made for loops that a compiler can widen: no branch, no call,
// no table. Ranges are reduced as usual (exp(x) = 2^n exp(r), log and tanh
// through it), and the polynomials are minimax fits of the stated error on the
// stated interval, found with the Remez exchange and rounded to float.
//
// Clamps are written `x < lo ? lo : x`, which lets a NaN pass.
#ifdef __AVX512F__
#include <immintrin.h>
#endif
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/nn/elementwise_table.h"
#include "common/nn/layout.h"

// Fused multiply-add where the variant has it. (a * b + c is left unfused by
// -ffp-contract=off, and without the instruction a fused one would be a call.)
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

// 1.5 * 2^23: adding it rounds to the nearest integer, which then stands in the
// low bits of the sum.
static const float round_magic = 0x1.8p23f;

// x = n log 2 + r with |r| <= log(2) / 2. Returns exp(r), and n in *n_out.
// exp(r) = 1 + r + r^2 Q(r); error of Q's part 3.1e-9.
static inline float exp_reduced(int32_t *n_out, float x) {
    float shifted = FMA(x, 0x1.715476p+0f, round_magic);
    float n = shifted - round_magic;
    float r = FMA(n, -0x1.62ep-1f, x); // log 2 in two parts, the first exact in n
    r = FMA(n, -0x1.0bfbe8p-15f, r);
    float q = 0x1.6a2352p-10f;
    q = FMA(q, r, 0x1.123a6ap-7f);
    q = FMA(q, r, 0x1.5558f4p-5f);
    q = FMA(q, r, 0x1.55549p-3f);
    q = FMA(q, r, 0x1.fffffcp-2f);
    *n_out = bits_of(shifted) - bits_of(round_magic);
    return FMA(q * r, r, r) + 1.0f;
}

// 2^n for normal results. Unsigned, because n is any number when x is a NaN.
static inline float power_of_two(int32_t n) {
    return float_of((int32_t)((uint32_t)(n + 127) << 23));
}

// For all x. The scale is applied in two halves, so that it reaches both
// infinity and the denormals with one rounding.
static inline float exp_full(float x) {
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    int32_t n;
    float y = exp_reduced(&n, x);
    int32_t half = n >> 1;
    return y * power_of_two(half) * power_of_two(n - half);
}

// exp of x held in [-87, 87]: enough inside the functions below, where what lies
// beyond no longer changes the result.
static inline float exp_held(float x) {
    x = x > 87.0f ? 87.0f : x;
    x = x < -87.0f ? -87.0f : x;
    int32_t n;
    float y = exp_reduced(&n, x);
    return y * power_of_two(n);
}

static inline float magnitude(float x) {
    return float_of(bits_of(x) & INT32_MAX);
}

// Near zero x + x^3 P(x^2), error 4.1e-9; beyond, 1 - 2 / (exp(2|x|) + 1).
static inline float tanh_one(float x) {
    float a = magnitude(x);
    float z = x * x;
    float p = -0x1.76ac3p-8f;
    p = FMA(p, z, 0x1.5256dcp-6f);
    p = FMA(p, z, -0x1.b8444ap-5f);
    p = FMA(p, z, 0x1.110768p-3f);
    p = FMA(p, z, -0x1.555534p-2f);
    float near = FMA(p * z, a, a);
    float far = 1.0f - 2.0f / (exp_held(2.0f * a) + 1.0f);
    float y = a < 0.625f ? near : far;
    return float_of(bits_of(y) | (bits_of(x) & INT32_MIN));
}

// log(1 + e) for e in [0, 1], as 2 atanh(t) with t = e / (2 + e) in [0, 1/3]:
// 2 (t + t^3 P(t^2)), error 1.1e-10, and exact to the last digits for small e.
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

// softplus(x) = max(x, 0) + log(1 + exp(-|x|)); far left that is exp(x), which
// may be smaller than exp_held goes.
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

// What is done to all numbers of a feature alike is done to whole strips, also behind the
// last row.
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

// z sigmoid(z). Below -87 the result is zero but for 1e-36, and holding z there
// keeps infinity times zero out.
static inline float silu_one(float *s, float z) {
    z = z < -87.0f ? -87.0f : z;
    *s = 1.0f / (1.0f + exp_held(-z));
    return z * *s;
}

// The same for several vectors side by side. One is a chain of two dozen operations
// that wait for each other, and a processor does not look far enough ahead to fill
// the gaps with the next one's; so every operation is done for all of them before
// the next. The compiler keeps the arrays in registers.
#ifdef __AVX512F__
#define WIDE 64
#else
#define WIDE 32
#endif
#define EACH for (int l = 0; l < WIDE; l++)

// h = silu(h + b), and its slope unless that is NULL. b: of the features side by side.
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
    EACH { // exp_held(-z)
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

// Sixteen partial sums side by side, as a type of their own: a compiler may not
// reorder a sum of floats by itself.
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

// The sum of n numbers of x, weighted by w unless that is NULL: n / 32 pieces of 32, `apart`
// numbers from one to the next in x, then the rest.
static inline __attribute__((always_inline)) float weighted_sum(const float *x, const float *w,
                                                                int n, size_t apart) {
    lanes s0 = {0}, s1 = {0};
    int i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES, x += apart) {
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
    const size_t strip = layout_offset(N, 1);
    for (int j = 0; j < N; j++, x += LAYOUT_ROWS) {
        sum[j] = w ? weighted_sum(x, w, B, strip) : weighted_sum(x, NULL, B, strip);
    }
}

static void kernel_dots(float *restrict y, const float *restrict A, const float *restrict x, int M,
                        int n) {
    for (int j = 0; j < M; j++, A += n) {
        y[j] = weighted_sum(A, x, n, LAYOUT_ROWS);
    }
}

// Half a strip at a time, whose kept rows may come to lie in two strips.
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

// The moments of a weight without gradient shrink for ever; as denormals they
// would slow the step down many times on some processors, so they become zero.
static inline float flush(float x) {
    return magnitude(x) < 0x1p-126f ? 0.0f : x;
}

// One number's step; returns where p goes.
static inline float adam_one(float p, float *m, float *v, float g,
                             const struct elementwise_adam *a) {
    float grad = FMA(a->decay, p, g);
    float mean = flush(FMA(a->beta1, *m, a->gain1 * grad));
    float square = flush(FMA(a->beta2, *v, a->gain2 * grad * grad));
    *m = mean;
    *v = square;
    return p - a->step * mean / FMA(__builtin_sqrtf(square), a->root_scale, a->epsilon);
}

// How many of n numbers from p on stand before the next cache line. Parameters, moments and
// targets lie alike, so that none of their vectors lies on two lines from there on.
static inline size_t before_line(const float *p, size_t n) {
    size_t head = (64 - (uintptr_t)p % 64) % 64 / sizeof(float);
    return head < n ? head : n;
}

static inline void adam_run(float *restrict p, float *restrict m, float *restrict v,
                            const float *restrict g, size_t n, const struct elementwise_adam *a) {
    const struct elementwise_adam local = *a; // which nothing written below can change
    for (size_t i = 0; i < n; i++) {
        p[i] = adam_one(p[i], &m[i], &v[i], g[i], &local);
    }
}

static void kernel_adam_step(float *p, float *m, float *v, const float *g, size_t n,
                             const struct elementwise_adam *a) {
    size_t head = before_line(p, n);
    adam_run(p, m, v, g, head, a);
    adam_run(p + head, m + head, v + head, g + head, n - head, a);
}

static inline void adam_polyak_run(float *restrict p, float *restrict m, float *restrict v,
                                   float *restrict target, const float *restrict g, size_t n,
                                   const struct elementwise_adam *a, float tau) {
    const struct elementwise_adam local = *a;
    for (size_t i = 0; i < n; i++) {
        float stepped = adam_one(p[i], &m[i], &v[i], g[i], &local);
        p[i] = stepped;
        target[i] = FMA(tau, stepped, (1.0f - tau) * target[i]);
    }
}

static void kernel_adam_polyak_step(float *p, float *m, float *v, float *target, const float *g,
                                    size_t n, const struct elementwise_adam *a, float tau) {
    size_t head = before_line(p, n);
    adam_polyak_run(p, m, v, target, g, head, a, tau);
    adam_polyak_run(p + head, m + head, v + head, target + head, g + head, n - head, a, tau);
}

// ---- random numbers ----

// One round of Philox4x32 (rng.c has the generator one block at a time).
static inline void philox_round(uint32_t c[4], uint32_t k0, uint32_t k1) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t high0 = (uint32_t)(p0 >> 32), high1 = (uint32_t)(p1 >> 32);
    c[0] = high1 ^ c[1] ^ k0;
    c[1] = (uint32_t)p1;
    c[2] = high0 ^ c[3] ^ k1;
    c[3] = (uint32_t)p0;
}

static void kernel_philox(uint32_t *restrict out, uint64_t seed, uint64_t stream,
                          const uint64_t *restrict block, size_t n) {
    const uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    const uint32_t s0 = (uint32_t)stream, s1 = (uint32_t)(stream >> 32);
    for (size_t i = 0; i < n; i++) {
        uint32_t c[4] = {(uint32_t)block[i], (uint32_t)(block[i] >> 32), s0, s1};
#pragma GCC unroll 10
        for (uint32_t round = 0; round < 10; round++) {
            philox_round(c, k0 + round * 0x9E3779B9u, k1 + round * 0xBB67AE85u);
        }
        out[4 * i] = c[0];
        out[4 * i + 1] = c[1];
        out[4 * i + 2] = c[2];
        out[4 * i + 3] = c[3];
    }
}

static inline double double_of(uint64_t i) {
    double x;
    memcpy(&x, &i, sizeof(x));
    return x;
}

static inline uint64_t bits_of_double(double x) {
    uint64_t i;
    memcpy(&i, &x, sizeof(i));
    return i;
}

// log(x) of a normal x: x = 2^e m with m in [sqrt(1/2), sqrt(2)), and log m =
// 2 atanh(t) with t = (m - 1) / (m + 1), a series in t^2 <= 0.0295 whose first
// term left out is below 2e-12 of the whole.
static inline double log_double(double x) {
    const uint64_t sqrt_half = UINT64_C(0x3fe6a09e667f3bcd);
    // The exponent, counted from sqrt(1/2) on; its bits are added to 1.5 * 2^52,
    // which is how an integer becomes a double without an instruction for it.
    uint64_t above = bits_of_double(x) - sqrt_half + (UINT64_C(1024) << 52);
    uint64_t e = above >> 52;
    double n = double_of(e + UINT64_C(0x4338000000000000)) - (0x1.8p52 + 1024);
    double m = double_of(bits_of_double(x) - ((e - 1024) << 52));
    double t = (m - 1.0) / (m + 1.0);
    double z = t * t;
    double p = 1.0 / 13;
    p = p * z + 1.0 / 11;
    p = p * z + 1.0 / 9;
    p = p * z + 1.0 / 7;
    p = p * z + 1.0 / 5;
    p = p * z + 1.0 / 3;
    return n * 0x1.62e42fefa39efp-1 + 2.0 * (t + t * z * p);
}

// Box-Muller as in rng.c. An angle is a word, so it is brought to [-pi/4, pi/4]
// exactly; there Taylor's series are good to 1e-13.
static void kernel_normals(float *restrict out, const uint32_t *restrict words, size_t n) {
    for (size_t i = 0; i < n / 2; i++) {
        uint32_t a = words[2 * i], b = words[2 * i + 1];
        // (a + 1) / 2^32, by way of a signed conversion: the one all processors have.
        double u = ((double)(int32_t)(a ^ 0x80000000u) + 0x1.00000002p31) * 0x1p-32;
        double radius = __builtin_sqrt(-2.0 * log_double(u));
        uint32_t quarter = (b + 0x20000000u) >> 30;
        double x = (double)(int32_t)(b - (quarter << 30)) * 0x1.921fb54442d18p-30;
        double z = x * x;
        double s = 1.0 / 6227020800;
        s = s * z - 1.0 / 39916800;
        s = s * z + 1.0 / 362880;
        s = s * z - 1.0 / 5040;
        s = s * z + 1.0 / 120;
        s = s * z - 1.0 / 6;
        s = x + x * z * s;
        double c = -1.0 / 87178291200;
        c = c * z + 1.0 / 479001600;
        c = c * z - 1.0 / 3628800;
        c = c * z + 1.0 / 40320;
        c = c * z - 1.0 / 720;
        c = c * z + 1.0 / 24;
        c = c * z - 0.5;
        c = 1.0 + z * c;
        double cosine = quarter & 1 ? s : c, sine = quarter & 1 ? c : s;
        out[2 * i] = (float)(radius * ((quarter + 1) & 2 ? -cosine : cosine));
        out[2 * i + 1] = (float)(radius * (quarter & 2 ? -sine : sine));
    }
}

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

const struct elementwise_table JOIN(elementwise_, ELEMENTWISE_ISA) = {
    .isa = TEXT(ELEMENTWISE_ISA),
    .exp = kernel_exp,
    .tanh = kernel_tanh,
    .softplus = kernel_softplus,
    .bias = kernel_bias,
    .bias_relu = kernel_bias_relu,
    .bias_silu = kernel_bias_silu,
    .relu_backward = kernel_relu_backward,
    .slope_backward = kernel_slope_backward,
    .sums = kernel_sums,
    .dots = kernel_dots,
    .keep = kernel_keep,
    .adam_step = kernel_adam_step,
    .adam_polyak_step = kernel_adam_polyak_step,
    .philox = kernel_philox,
    .normals = kernel_normals,
};
