// SPDX-License-Identifier: MIT
// Time constants of the AR(1) processes, and one step of their sum.
#include "actor/action_noise.h"

#include <math.h>

#include "common/base/check.h"
#include "common/task/task.h"

// The shortest time constant of pink noise in steps, fitted so that the spectrum is straight up to
// half a cycle a step.
#define PINK_SHORTEST 0.55
// Limits of the horizon for which pink noise is made.
#define PINK_HORIZON_MIN 64
#define PINK_HORIZON_MAX (1 << 20)

static void add_process(struct action_noise *n, double keep) {
    CHECK(n->count < ACTION_NOISE_PROCESSES_MAX);
    n->keep[n->count] = (float)keep;
    n->fresh[n->count] = (float)sqrt(1 - keep * keep);
    n->count++;
}

static void add_pink(struct action_noise *n, uint64_t horizon) {
    horizon = horizon < PINK_HORIZON_MIN ? PINK_HORIZON_MIN : horizon;
    horizon = horizon > PINK_HORIZON_MAX ? PINK_HORIZON_MAX : horizon;
    double longest = (double)horizon / 2;
    int intervals = (int)ceil(log2(longest / PINK_SHORTEST));
    for (int k = 0; k <= intervals; k++) {
        double tau = PINK_SHORTEST * pow(longest / PINK_SHORTEST, (double)k / intervals);
        add_process(n, exp(-1 / tau));
    }
}

struct action_noise action_noise_make(enum wire_noise kind, uint64_t horizon, double ou_theta) {
    struct action_noise n = {.kind = kind};
    switch (kind) {
    case WIRE_NOISE_PINK:
        add_pink(&n, horizon);
        break;
    case WIRE_NOISE_OU:
        CHECK(ou_theta > 0 && ou_theta <= 1);
        add_process(&n, 1 - ou_theta);
        break;
    case WIRE_NOISE_DEFAULT:
    case WIRE_NOISE_WHITE:
        n.kind = WIRE_NOISE_WHITE;
        add_process(&n, 0);
        break;
    }
    n.weight = 1 / sqrtf((float)n.count);
    return n;
}

void action_noise_step(float *out, float *state, const struct action_noise *n, struct rng *rng,
                       int act_dim, bool begin) {
    CHECK(act_dim <= TASK_ACT_DIM_MAX);
    float z[TASK_ACT_DIM_MAX];
    for (int j = 0; j < act_dim; j++) {
        out[j] = 0;
    }
    for (int k = 0; k < n->count; k++) {
        rng_fill_normal(rng, z, (size_t)act_dim);
        for (int j = 0; j < act_dim; j++) {
            float *x = &state[k * act_dim + j];
            *x = begin ? z[j] : n->keep[k] * *x + n->fresh[k] * z[j];
            out[j] += n->weight * *x;
        }
    }
}

float action_noise_uniform(float x) {
    return erff(x * 0x1.6a09e6p-1f); // 2 Phi(x) - 1
}
