// SPDX-License-Identifier: MIT
// Plays episodes and accumulates figures; replays one start state with chosen actions.
#include "cli/check/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/mujoco_internal.h"
#include "actor/episode.h"
#include "common/base/check.h"
#include "common/base/clock.h"

#define ROUNDING 3e-7 // relative spread of a constant that is computed in single precision

// ---- columns ----

void column_add(struct column *c, double x) {
    c->min = c->n == 0 || x < c->min ? x : c->min;
    c->max = c->n == 0 || x > c->max ? x : c->max;
    c->n++;
    double d = x - c->mean;
    c->mean += d / (double)c->n;
    c->m2 += d * (x - c->mean);
}

double column_std(const struct column *c) {
    return c->n > 0 ? sqrt(c->m2 / (double)c->n) : 0;
}

bool column_is_constant(const struct column *c) {
    return c->min == c->max;
}

bool column_is_rounding(const struct column *c) {
    double size = fmax(fabs(c->min), fabs(c->max));
    return !column_is_constant(c) && c->max - c->min <= ROUNDING * size;
}

// ---- the rule ----

bool trial_has_rule(const struct task *task) {
    return task->terminated != NULL && (task->env == NULL || task->ranges > 0);
}

bool trial_rule_holds(const struct task *task, const float *obs) {
    return trial_has_rule(task) && task->terminated(task, obs);
}

// ---- trials ----

static double now_s(void) {
    return (double)clock_ns() * 1e-9;
}

struct play {
    struct trial *t;
    struct trial_obs *obs;
    struct env *env;
    const struct task *task;
    const struct trial_plan *plan;
    struct episode episode;
    double until_s;
    double wide[TASK_OBS_DIM_MAX];
    float narrow[TASK_OBS_DIM_MAX];
};

static void observe(struct play *p, bool first) {
    env_obs_f64(p->env, p->wide);
    for (int i = 0; i < p->task->obs_dim; i++) {
        p->narrow[i] = (float)p->wide[i];
        column_add(&p->obs->all[i], p->wide[i]);
        if (first) {
            column_add(&p->obs->start[i], p->wide[i]);
        }
    }
}

static void begin(struct play *p, int number) {
    double before = now_s();
    episode_begin_evaluation(&p->episode, p->env, p->plan->seed, (uint64_t)number);
    p->t->reset_s += now_s() - before;
    observe(p, true);
    p->t->ended_at_start += trial_rule_holds(p->task, p->narrow);
}

static void count_end(struct play *p) {
    struct trial *t = p->t;
    bool holds = trial_rule_holds(p->task, p->narrow);
    if (p->episode.state == EPISODE_TERMINATED) {
        t->terminated++;
        t->unexplained += !holds;
    } else {
        t->contradicted += holds;
    }
    t->truncated += p->episode.state == EPISODE_TRUNCATED;
}

static void count_parts(struct play *p) {
    struct trial *t = p->t;
    const double *values;
    const char *const *names;
    if (!mujoco_env_model(p->env)) {
        return;
    }
    int n = env_reward_parts(&values, &names, p->env);
    t->parts = n < TRIAL_PARTS_MAX ? n : TRIAL_PARTS_MAX;
    for (int i = 0; i < t->parts; i++) {
        t->part_name[i] = names[i];
        column_add(&t->part[i], values[i]);
    }
}

// One step. False at the end of the episode.
static bool step(struct play *p, struct rng *rng) {
    struct trial *t = p->t;
    float noise[TASK_ACT_DIM_MAX], act[TASK_ACT_DIM_MAX];
    actions_draw(noise, p->plan->actions, rng, p->task->act_dim);
    actions_compute(act, p->plan->actions, NULL, p->narrow, noise, 1, p->task->act_dim);
    double before = now_s();
    double reward = episode_step(&p->episode, p->env, act);
    double after = now_s();
    t->step_s += after - before;
    t->steps++;
    if (p->episode.state == EPISODE_BROKEN) {
        t->bad++;
        t->broken = p->episode.env_broken;
        return false;
    }
    column_add(&t->reward, reward);
    count_parts(p);
    observe(p, false);
    count_end(p);
    if (p->episode.state != EPISODE_RUNNING) {
        return false;
    }
    t->late = t->late || after > p->until_s;
    if (p->episode.length >= p->plan->steps_max || t->late) {
        t->cut++;
        return false;
    }
    return true;
}

void trial_play(struct trial *t, struct trial_obs *obs, struct env *env, const struct task *task,
                const struct trial_plan *plan) {
    CHECK(plan->episodes <= TRIAL_EPISODES_MAX && !actions_need_policy(plan->actions));
    struct play p = {.t = t, .obs = obs, .env = env, .task = task, .plan = plan};
    *t = (struct trial){0};
    p.until_s = now_s() + plan->seconds_max;
    while (t->episodes < plan->episodes && !t->broken && !t->late) {
        struct rng rng = actions_rng(plan->seed, (uint64_t)t->episodes);
        begin(&p, t->episodes);
        while (step(&p, &rng)) {
        }
        t->returns[t->episodes] = p.episode.episode_return;
        t->lengths[t->episodes] = (double)p.episode.length;
        t->episodes++;
        t->late = t->late || now_s() > p.until_s;
    }
}

// ---- probes ----

struct record {
    int obs_dim, length; // steps that were made
    bool bad;
    double reward[PROBE_STEPS];
    double *obs; // (PROBE_STEPS + 1, obs_dim)
};

// Plays the first steps from a start state: with random actions, or with action `only` at `value`
// and all others 0.
static void play_record(struct record *r, struct env *env, const struct task *task, uint64_t seed,
                        int only, float value) {
    struct episode episode;
    struct rng rng = actions_rng(seed, 0);
    episode_begin_evaluation(&episode, env, seed, 0);
    env_obs_f64(env, r->obs);
    r->length = 0;
    while (r->length < PROBE_STEPS && episode.state == EPISODE_RUNNING) {
        float act[TASK_ACT_DIM_MAX] = {0};
        if (only < 0) {
            actions_draw(act, ACTIONS_RANDOM, &rng, task->act_dim);
        } else {
            act[only] = value;
        }
        r->reward[r->length] = episode_step(&episode, env, act);
        if (episode.state == EPISODE_BROKEN) {
            r->bad = true;
            return;
        }
        r->length++;
        env_obs_f64(env, r->obs + (size_t)r->length * (size_t)r->obs_dim);
    }
}

static bool same(const struct record *a, const struct record *b) {
    return a->length == b->length &&
           memcmp(a->reward, b->reward, (size_t)a->length * sizeof(double)) == 0 &&
           memcmp(a->obs, b->obs, (size_t)(a->length + 1) * (size_t)a->obs_dim * sizeof(double)) ==
               0;
}

static void find_useless(struct probe *p, struct record *zero, struct record *other,
                         struct env *env, const struct task *task, uint64_t seed) {
    play_record(zero, env, task, seed, 0, 0);
    for (int i = 0; i < task->act_dim && !other->bad; i++) {
        bool useless = true;
        for (int sign = -1; sign <= 1 && useless; sign += 2) {
            play_record(other, env, task, seed, i, (float)sign);
            useless = same(zero, other);
        }
        p->useless |= (uint64_t)useless << i;
    }
}

void probe_run(struct probe *p, struct env *env, const struct task *task, uint64_t seed) {
    size_t row = (size_t)task->obs_dim;
    struct record a = {.obs_dim = task->obs_dim}, b = a;
    a.obs = xcalloc((PROBE_STEPS + 1) * row, sizeof(double));
    b.obs = xcalloc((PROBE_STEPS + 1) * row, sizeof(double));
    *p = (struct probe){0};
    play_record(&a, env, task, seed, -1, 0);
    play_record(&b, env, task, seed, -1, 0);
    p->same_start = memcmp(a.obs, b.obs, row * sizeof(double)) == 0;
    p->same_steps = same(&a, &b);
    if (p->same_steps && !a.bad && !b.bad) {
        find_useless(p, &a, &b, env, task, seed);
    }
    p->valid = !a.bad && !b.bad;
    free(a.obs);
    free(b.obs);
}
