// SPDX-License-Identifier: MIT
// Shows that the termination rule on observations (common/task), which ends
// rollouts of a learned model, agrees with the task's own: both judge many real
// transitions of every task under random actions. Half of the episodes start
// with one coordinate near a limit of the task, so that all kinds of termination
// are common.
//
// SPUR_TEST_ROWS sets the transitions per task; the default takes about a second.
// docs/environments/built-in.md has the results of 100,000 per task.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/env.h"
#include "actor/env/env_factory.h"
#include "common/base/rng.h"

#define SEED 20260131
#define EPISODE_MAX 100 // steps
#define BATCH 100       // rows judged at once
#define STATE_MAX 64

// How episodes of a task approach its limits, and how often the rules may differ: a
// height or an angle within float rounding of its limit is too rare to occur here.
// A task uses the entry with the longest matching prefix of its name.
static const struct facts {
    const char *name;
    int rows;       // by default
    int coordinate; // of qpos; -1: random actions alone terminate often enough
    double low, high;
    double disagreement; // maximum rate
} facts[] = {
    {"ant", 3000, 2, 0.1, 1.1, 0},
    {"half_cheetah", 3000, -1, 0, 0, 0},
    {"hopper", 5000, 1, 0.6, 1.3, 0},
    {"humanoid", 1000, 2, 0.9, 2.1, 0},
    {"inverted_double_pendulum", 20000, -1, 0, 0, 1e-4},
    {"inverted_pendulum", 20000, 1, -0.25, 0.25, 0},
    {"pusher", 2000, -1, 0, 0, 0},
    {"reacher", 2000, -1, 0, 0, 0},
    {"swimmer", 2000, -1, 0, 0, 0},
    {"walker2d", 3000, 1, 0.7, 2.1, 0},
};

static const struct facts *find_facts(const char *task) {
    const struct facts *best = NULL;
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        size_t len = strlen(facts[i].name);
        if (strncmp(task, facts[i].name, len) == 0 && (best == NULL || len > strlen(best->name))) {
            best = &facts[i];
        }
    }
    return best;
}

static int rows_of(const struct facts *f) {
    const char *wish = getenv("SPUR_TEST_ROWS");
    int rows = wish != NULL ? atoi(wish) : f->rows;
    assert_true(rows >= BATCH && rows % BATCH == 0);
    return rows;
}

static struct env *create(const struct task *task) {
    char err[256];
    struct env *env = env_create(task, err, sizeof err);
    if (env == NULL) {
        fail_msg("%s", err);
    }
    return env;
}

static void start(struct env *env, const struct facts *f, int episode, struct rng *rng) {
    env_reset(env, rng);
    if (f->coordinate >= 0 && episode % 2 == 1) {
        double qpos[STATE_MAX], qvel[STATE_MAX];
        env_get_state(env, qpos, qvel);
        qpos[f->coordinate] = rng_range(rng, f->low, f->high);
        env_set_state(env, qpos, qvel);
    }
}

static void the_rule_agrees_with_the_task(void **state) {
    (void)state;
    static float obs[BATCH * TASK_OBS_DIM_MAX];
    for (int k = 0; k < task_count(); k++) {
        const struct task *task = task_at(k);
        const struct facts *f = find_facts(task->name);
        if (f == NULL) {
            fail_msg("%s: no entry", task->name);
        }
        struct env *env = create(task);
        struct rng rng = rng_make(SEED, RNG_ENV_RESET, 7), noise = rng_make(SEED, RNG_EXPLORE, 7);
        int rows = rows_of(f), early = 0, late = 0, ends = 0, episode = 0, length = 0;
        start(env, f, episode, &rng);
        for (int row = 0; row < rows; row += BATCH) {
            bool terminated[BATCH];
            uint8_t done[BATCH];
            for (int b = 0; b < BATCH; b++) {
                float action[TASK_ACT_DIM_MAX];
                for (int i = 0; i < task->act_dim; i++) {
                    action[i] = (float)rng_range(&noise, -1.0, 1.0);
                }
                struct env_step step = env_step(env, action);
                assert_false(step.bad);
                env_obs(env, obs + (ptrdiff_t)b * task->obs_dim);
                terminated[b] = step.terminated;
                if (step.terminated || ++length == EPISODE_MAX) {
                    start(env, f, ++episode, &rng);
                    length = 0;
                }
            }
            task_terminated(task, done, obs, BATCH);
            for (int b = 0; b < BATCH; b++) {
                early += done[b] == 1 && !terminated[b];
                late += done[b] == 0 && terminated[b];
                ends += terminated[b];
            }
        }
        print_message("%s: %d rows, %d ends; the rule ends %d others and misses %d\n", task->name,
                      rows, ends, early, late);
        if (task->terminated == NULL) {
            assert_int_equal(ends, 0);
        } else {
            assert_true(ends > rows / 200); // enough terminations for a meaningful test
        }
        assert_true(early + late <= f->disagreement * rows);
        env_destroy(&env);
    }
}

// One step of the task from a start with the foot at this velocity: whether the rule on
// observations ends it. The task itself must.
static bool rule_ends(const char *name, double foot_velocity) {
    const struct task *task = task_find(name);
    struct env *env = create(task);
    struct rng rng = rng_make(SEED, RNG_ENV_RESET, 8);
    double qpos[STATE_MAX], qvel[STATE_MAX];
    float action[TASK_ACT_DIM_MAX] = {0};
    env_reset(env, &rng);
    env_get_state(env, qpos, qvel);
    qvel[5] = foot_velocity;
    env_set_state(env, qpos, qvel);
    struct env_step step = env_step(env, action);
    assert_true(step.terminated && !step.bad);
    float obs[TASK_OBS_DIM_MAX];
    uint8_t done = 77;
    env_obs(env, obs);
    task_terminated(task, &done, obs, 1);
    env_destroy(&env);
    return done;
}

// Hopper terminates at 100 rad/s, but observed velocities are clipped at 10, so a
// rule on observations cannot detect it. Random actions never reach it.
static void what_is_clipped_cannot_be_seen(void **state) {
    (void)state;
    assert_false(rule_ends("hopper", 150.0));
    assert_true(rule_ends("hopper_unclipped", 150.0));
}

// With every joint at 50 rad/s, exactly the numbers that the task declares as clipped are 10. (The
// last numbers of the double pendulum and of ant_v5 are forces, which the state does not set.)
static void clips_are_the_environments_own(void **state) {
    (void)state;
    for (int t = 0; t < task_count(); t++) {
        const struct task *task = task_at(t);
        struct env *env = create(task);
        struct rng rng = rng_make(SEED, RNG_ENV_RESET, 9);
        double qpos[STATE_MAX], qvel[STATE_MAX];
        float obs[TASK_OBS_DIM_MAX], clipped[TASK_OBS_DIM_MAX];
        env_reset(env, &rng);
        env_get_state(env, qpos, qvel);
        for (int i = 0; i < STATE_MAX; i++) {
            qvel[i] = 50.0;
        }
        env_set_state(env, qpos, qvel);
        env_obs(env, obs);
        int at_bound = 0, within = 0;
        for (int i = 0; i < task->obs_dim; i++) {
            clipped[i] = obs[i] == 10.0f ? 50.0f : obs[i];
            at_bound += obs[i] == 10.0f;
        }
        task_clip(task, clipped, 1);
        assert_memory_equal(clipped, obs, (size_t)task->obs_dim * sizeof(float));
        for (int k = 0; k < task->clips && task->clip[k].high == 10.0f; k++) {
            within += task->clip[k].last - task->clip[k].first + 1;
        }
        int forces = within > 0 && task->act_dim == 1 ? within - 3 : 0;
        assert_int_equal(at_bound, within - forces);
        env_destroy(&env);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule_agrees_with_the_task),
        cmocka_unit_test(what_is_clipped_cannot_be_seen),
        cmocka_unit_test(clips_are_the_environments_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
