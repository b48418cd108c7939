// SPDX-License-Identifier: MIT
// Shows that start states have the specified distributions: 10,000 resets per task,
// with bounds, means, standard deviations, fourth moments, rejection sampling, and
// independence of the coordinates. The distributions are repeated here per robot,
// directly from Gymnasium's classes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/env.h"
#include "actor/env/env_factory.h"
#include "common/base/rng.h"

#define SEED 20260131
#define RESETS 10000
#define COORDINATES_MAX 64 // nq + nv
#define SIGMAS 4.5         // allowed deviation of a mean, in standard errors

enum law {
    END,     // of the list
    FIXED,   // always `centre`
    UNIFORM, // centre +- width
    NORMAL,  // standard deviation `width`
    UNIT,    // 4 numbers: 1 0 0 0 with noise as UNIFORM, normalised
    DISC,    // 2 numbers: uniform within +-width where their norm is below width
    BESIDE,  // 2 numbers: uniform in [-0.3, 0] x [-0.2, 0.2] where it is above width
};

// Coordinates first .. last of qpos followed by qvel.
struct segment {
    enum law law;
    int first, last;
    double centre, width;
};

// The variants of a robot (another class, fewer observations) share their start
// states: a task uses the entry with the longest matching prefix of its name.
static const struct robot {
    const char *name;
    struct segment segments[8];
} robots[] = {
    {"ant", // nq 15, nv 14
     {{UNIFORM, 0, 1, 0, 0.1},
      {UNIFORM, 2, 2, 0.75, 0.1},
      {UNIT, 3, 6, 0, 0.1},
      {UNIFORM, 7, 14, 0, 0.1},
      {NORMAL, 15, 28, 0, 0.1}}},
    {"half_cheetah", {{UNIFORM, 0, 8, 0, 0.1}, {NORMAL, 9, 17, 0, 0.1}}},
    {"hopper",
     {{UNIFORM, 0, 0, 0, 0.005}, {UNIFORM, 1, 1, 1.25, 0.005}, {UNIFORM, 2, 11, 0, 0.005}}},
    {"humanoid", // nq 24, nv 23
     {{UNIFORM, 0, 1, 0, 0.01},
      {UNIFORM, 2, 2, 1.4, 0.01},
      {UNIT, 3, 6, 0, 0.01},
      {UNIFORM, 7, 46, 0, 0.01}}},
    {"inverted_double_pendulum", {{UNIFORM, 0, 2, 0, 0.1}, {NORMAL, 3, 5, 0, 0.1}}},
    {"inverted_pendulum", {{UNIFORM, 0, 3, 0, 0.01}}},
    {"pusher", // nq 11, nv 11
     {{FIXED, 0, 6, 0, 0},
      {BESIDE, 7, 8, 0, 0.17},
      {FIXED, 9, 10, 0, 0},
      {UNIFORM, 11, 17, 0, 0.005},
      {FIXED, 18, 21, 0, 0}}},
    {"reacher", // nq 4, nv 4
     {{UNIFORM, 0, 1, 0, 0.1},
      {DISC, 2, 3, 0, 0.2},
      {UNIFORM, 4, 5, 0, 0.005},
      {FIXED, 6, 7, 0, 0}}},
    {"swimmer", {{UNIFORM, 0, 9, 0, 0.1}}},
    {"walker2d",
     {{UNIFORM, 0, 0, 0, 0.005}, {UNIFORM, 1, 1, 1.25, 0.005}, {UNIFORM, 2, 17, 0, 0.005}}},
};

static const struct robot *find_robot(const char *task) {
    const struct robot *best = NULL;
    for (size_t i = 0; i < sizeof robots / sizeof robots[0]; i++) {
        size_t len = strlen(robots[i].name);
        if (strncmp(task, robots[i].name, len) == 0 && (best == NULL || len > strlen(best->name))) {
            best = &robots[i];
        }
    }
    return best;
}

// ---- moments ----

struct moments {
    double mean, spread, fourth; // central, the fourth in units of spread^4
    double largest;              // distance from the centre
};

static struct moments moments_of(const double *x, double centre) {
    struct moments m = {0};
    double squares = 0, fourths = 0;
    for (int i = 0; i < RESETS; i++) {
        m.mean += x[i] / RESETS;
        m.largest = fmax(m.largest, fabs(x[i] - centre));
    }
    for (int i = 0; i < RESETS; i++) {
        double d = x[i] - m.mean;
        squares += d * d;
        fourths += d * d * d * d;
    }
    m.spread = sqrt(squares / RESETS);
    m.fourth = m.spread > 0 ? fourths / RESETS / pow(m.spread, 4) : 0;
    return m;
}

static void check_moments(const char *what, struct moments m, double centre, double spread,
                          double fourth, double lowest_bound, double bound) {
    double mean_error = spread / sqrt(RESETS);
    double spread_error = spread * sqrt((fourth - 1) / 4 / RESETS);
    if (fabs(m.mean - centre) > SIGMAS * mean_error ||
        fabs(m.spread - spread) > SIGMAS * spread_error || fabs(m.fourth - fourth) > 0.5 ||
        m.largest > bound || m.largest < lowest_bound) {
        fail_msg("%s: mean %g (expected %g), spread %g (%g), fourth moment %g (%g), largest %g "
                 "(%g to %g), seed %d",
                 what, m.mean, centre, m.spread, spread, m.fourth, fourth, m.largest, lowest_bound,
                 bound, SEED);
    }
}

static void check_one(const char *what, const double *x, const struct segment *s) {
    struct moments m = moments_of(x, s->centre);
    if (s->law == UNIFORM) {
        // `centre + width` may round up by one bit.
        check_moments(what, m, s->centre, s->width / sqrt(3.0), 1.8, 0.998 * s->width,
                      s->width * (1 + 1e-12));
    } else if (s->law == NORMAL) {
        check_moments(what, m, s->centre, s->width, 3.0, 3 * s->width, 6 * s->width);
    } else if (m.mean != s->centre || m.largest != 0) {
        fail_msg("%s: not always %g but up to %g away", what, s->centre, m.largest);
    }
}

// ---- quaternions ----

// q = (1 + u0, u1, u2, u3) / norm. The ratios r = u_i / (1 + u0) survive the
// division: their mean is 0 and E[r^2] = E[u^2] E[(1 + u0)^-2] = w^2/3 / (1 - w^2).
static void check_quaternion(const char *what, const double *q, double w) {
    for (int r = 0; r < RESETS; r++) {
        double norm = 0;
        for (int i = 0; i < 4; i++) {
            norm += q[i * RESETS + r] * q[i * RESETS + r];
        }
        if (fabs(norm - 1) > 1e-14 || q[r] < 0) {
            fail_msg("%s: not a unit quaternion near 1 0 0 0: norm %.17g, w %g", what, norm, q[r]);
        }
    }
    double *ratio = calloc(RESETS, sizeof *ratio);
    assert_non_null(ratio);
    for (int i = 1; i < 4; i++) {
        for (int r = 0; r < RESETS; r++) {
            ratio[r] = q[i * RESETS + r] / q[r];
        }
        struct moments m = moments_of(ratio, 0);
        // A little above a uniform number's 1.8, by the division.
        check_moments(what, m, 0, w / sqrt(3.0 * (1 - w * w)), 1.8, w, w / (1 - w));
    }
    free(ratio);
}

// ---- pairs from rejection sampling ----

struct region {
    double low[2], high[2]; // the sampled box
    double radius;
    bool inside; // accept norms below the radius; else above
};

#define CELLS 6     // a side
#define POINTS 1200 // a side, for areas by counting

static bool kept(const struct region *region, double x, double y) {
    double norm = sqrt(x * x + y * y);
    return region->inside ? norm < region->radius : norm > region->radius;
}

static int cell_of(const struct region *region, double x, double y) {
    double p = (x - region->low[0]) / (region->high[0] - region->low[0]);
    double q = (y - region->low[1]) / (region->high[1] - region->low[1]);
    int i = (int)fmin(floor(p * CELLS), CELLS - 1), j = (int)fmin(floor(q * CELLS), CELLS - 1);
    return i * CELLS + j;
}

// Every pair is in the region, and the counts in 36 cells agree with the share of
// the region's area in each cell (a chi-square test).
static void check_region(const char *what, const double *x, const double *y,
                         const struct region *region) {
    double area[CELLS * CELLS] = {0}, total = 0, count[CELLS * CELLS] = {0};
    for (int i = 0; i < POINTS; i++) {
        for (int j = 0; j < POINTS; j++) {
            double px = region->low[0] + (i + 0.5) / POINTS * (region->high[0] - region->low[0]);
            double py = region->low[1] + (j + 0.5) / POINTS * (region->high[1] - region->low[1]);
            if (kept(region, px, py)) {
                area[cell_of(region, px, py)]++;
                total++;
            }
        }
    }
    for (int r = 0; r < RESETS; r++) {
        if (!kept(region, x[r], y[r]) || x[r] < region->low[0] || x[r] > region->high[0] ||
            y[r] < region->low[1] || y[r] > region->high[1]) {
            fail_msg("%s: (%.17g, %.17g) is outside of the region", what, x[r], y[r]);
        }
        count[cell_of(region, x[r], y[r])]++;
    }
    double chi_square = 0;
    int cells = 0;
    for (int c = 0; c < CELLS * CELLS; c++) {
        double expected = area[c] / total * RESETS;
        if (expected >= 5) { // smaller counts do not follow a chi-square distribution
            chi_square += (count[c] - expected) * (count[c] - expected) / expected;
            cells++;
        }
    }
    assert_true(cells >= 20);
    double limit = cells - 1 + SIGMAS * sqrt(2.0 * (cells - 1));
    if (chi_square > limit) {
        fail_msg("%s: chi-square %g in %d cells, above %g, seed %d", what, chi_square, cells, limit,
                 SEED);
    }
}

// ---- a task ----

static void check_segment(const char *task, const double *x, const struct segment *s) {
    char what[96];
    snprintf(what, sizeof what, "%s: coordinates %d to %d", task, s->first, s->last);
    const double *first = x + (ptrdiff_t)s->first * RESETS;
    if (s->law == UNIT) {
        check_quaternion(what, first, s->width);
    } else if (s->law == DISC) {
        const struct region disc = {{-s->width, -s->width}, {s->width, s->width}, s->width, true};
        check_region(what, first, first + RESETS, &disc);
    } else if (s->law == BESIDE) {
        const struct region beside = {{-0.3, -0.2}, {0.0, 0.2}, s->width, false};
        check_region(what, first, first + RESETS, &beside);
    } else {
        for (int i = s->first; i <= s->last; i++) {
            snprintf(what, sizeof what, "%s: coordinate %d", task, i);
            check_one(what, x + (ptrdiff_t)i * RESETS, s);
        }
    }
}

// Coordinates are independent: correlations are 0 within sampling error. (So are
// those of a pair from rejection sampling, by symmetry in one of the two.)
static void check_independence(const char *task, const double *x, int n) {
    struct moments m[COORDINATES_MAX];
    for (int i = 0; i < n; i++) {
        m[i] = moments_of(x + (ptrdiff_t)i * RESETS, 0);
        for (int j = 0; j < i; j++) {
            double sum = 0;
            for (int r = 0; r < RESETS; r++) {
                sum += (x[i * RESETS + r] - m[i].mean) * (x[j * RESETS + r] - m[j].mean);
            }
            double scale = RESETS * m[i].spread * m[j].spread;
            if (scale > 0 && fabs(sum / scale) > 0.05) {
                fail_msg("%s: coordinates %d and %d correlate: %g, seed %d", task, i, j,
                         sum / scale, SEED);
            }
        }
    }
}

static void starts_are_distributed_as_they_should(void **state) {
    (void)state;
    for (int k = 0; k < task_count(); k++) {
        const struct task *task = task_at(k);
        const struct robot *robot = find_robot(task->name);
        if (robot == NULL) {
            fail_msg("%s: unknown start states; add its robot to this test", task->name);
        }
        char err[256];
        struct env *env = env_create(task, err, sizeof err);
        if (env == NULL) {
            fail_msg("%s", err);
        }
        struct env_dims dims = env_dims(env);
        int n = dims.nq + dims.nv;
        assert_true(n <= COORDINATES_MAX);
        double *x = calloc((size_t)n * RESETS, sizeof *x); // (n, RESETS)
        assert_non_null(x);
        struct rng rng = rng_make(SEED, RNG_ENV_RESET, 0);
        for (int r = 0; r < RESETS; r++) {
            double qpos[COORDINATES_MAX], qvel[COORDINATES_MAX];
            env_reset(env, &rng);
            env_get_state(env, qpos, qvel);
            for (int i = 0; i < n; i++) {
                x[i * RESETS + r] = i < dims.nq ? qpos[i] : qvel[i - dims.nq];
            }
        }
        int next = 0; // the segments must cover every coordinate once
        for (const struct segment *s = robot->segments; s->law != END; s++) {
            assert_int_equal(s->first, next);
            check_segment(task->name, x, s);
            next = s->last + 1;
        }
        assert_int_equal(next, n);
        check_independence(task->name, x, n);
        free(x);
        env_destroy(&env);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_are_distributed_as_they_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
