// SPDX-License-Identifier: MIT
// A plug-in: swing-up of a pendulum whose motor is too weak to lift it directly.
//
//   cd examples/pendulum
//   cc -O2 -shared -fPIC -I ../../include pendulum.c -o pendulum.so -lm
//   spur run pendulum.yaml
//
// The angle is 0 upright. Observations are its cosine and sine and the speed. The reward is minus
// a cost of angle, speed and torque.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <spur/env.h>

#define PI 3.14159265358979323846
#define TORQUE 2.0f
#define SPEED_MAX 8.0

static const double gravity = 10.0, mass = 1.0, length = 1.0, dt = 0.05;

struct pendulum {
    double angle, speed;
};

static void *create(char *err, size_t err_len) {
    struct pendulum *p = calloc(1, sizeof(*p));
    if (!p) {
        snprintf(err, err_len, "out of memory");
    }
    return p;
}

static void destroy(void *env) {
    free(env);
}

static void observe(const struct pendulum *p, float *obs) {
    obs[0] = (float)cos(p->angle);
    obs[1] = (float)sin(p->angle);
    obs[2] = (float)p->speed;
}

// The next number of the splitmix64 stream at *state, in [0, 1).
static double uniform(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static void reset(void *env, float *obs, uint64_t seed) {
    struct pendulum *p = env;
    p->angle = PI * (2.0 * uniform(&seed) - 1.0);
    p->speed = 2.0 * uniform(&seed) - 1.0;
    observe(p, obs);
}

static int step(void *env, float *obs, double *reward, int *terminated, const float *action) {
    struct pendulum *p = env;
    double torque = (double)action[0];
    double lean = remainder(p->angle, 2.0 * PI); // in [-pi, pi]
    *reward = -(lean * lean + 0.1 * p->speed * p->speed + 0.001 * torque * torque);
    *terminated = 0;
    // A rod of even mass about its end: its moment of inertia is m l^2 / 3.
    double push = 1.5 * gravity / length * sin(p->angle) + 3.0 / (mass * length * length) * torque;
    p->speed = fmin(fmax(p->speed + push * dt, -SPEED_MAX), SPEED_MAX);
    p->angle += p->speed * dt;
    observe(p, obs);
    return 0;
}

static const float low[] = {-TORQUE}, high[] = {TORQUE};

const struct spur_env spur_env = {
    .version = SPUR_ENV_VERSION,
    .size = sizeof(struct spur_env),
    .name = "pendulum",
    .obs_dim = 3,
    .act_dim = 1,
    .horizon = 200,
    .act_low = low,
    .act_high = high,
    .create = create,
    .destroy = destroy,
    .reset = reset,
    .step = step,
};
