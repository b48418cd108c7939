// SPDX-License-Identifier: MIT
// Measures the steps a second of an environment in another process, as an actor steps it: scaled
// actions, observations, resets. Prints steps and seconds. usage: process_speed ENV SECONDS; see
// process_speed.py.
#include <stdio.h>
#include <stdlib.h>

#include "actor/env/env_factory.h"
#include "common/base/clock.h"

int main(int argc, char **argv) {
    static struct env_own own;
    static float obs[TASK_OBS_DIM_MAX], act[TASK_ACT_DIM_MAX];
    char err[1024];
    if (argc != 3) {
        fprintf(stderr, "usage: process_speed ENV SECONDS\n");
        return 2;
    }
    if (env_own_read(&own, &(struct env_spec){.env = argv[1]}, err, sizeof(err)) < 0) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    struct env *env = env_create(&own.task, err, sizeof(err));
    if (!env) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    struct rng rng = rng_make(1, RNG_TEST, 0);
    double seconds = strtod(argv[2], NULL);
    uint64_t steps = 0, start_ns = clock_ns(), now_ns = start_ns;
    bool over = true;
    while ((double)(now_ns - start_ns) < seconds * 1e9) {
        if (over) {
            env_reset(env, &rng);
        }
        for (int i = 0; i < own.task.act_dim; i++) {
            act[i] = (float)rng_range(&rng, -1, 1);
        }
        struct env_step step = env_step(env, act);
        env_obs(env, obs);
        if (step.bad) {
            fprintf(stderr, "a bad step\n");
            return 1;
        }
        over = step.terminated || step.truncated;
        steps++;
        now_ns = clock_ns();
    }
    printf("%llu %.6f\n", (unsigned long long)steps, (double)(now_ns - start_ns) / 1e9);
    env_destroy(&env);
    return 0;
}
