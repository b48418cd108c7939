// SPDX-License-Identifier: MIT
// Parallel episodes: lanes that are still running come first, so that each step is one batch.
#include "actor/evaluation.h"

#include <stdio.h>
#include <stdlib.h>

#include "actor/env/env.h"
#include "actor/env/env_factory.h"
#include "actor/episode.h"
#include "actor/policy_controller.h"
#include "common/base/check.h"
#include "common/base/rng.h"

struct lane {
    struct env *env;
    struct episode episode;
    uint32_t number; // of the episode
    double weight;   // discount^t of its next reward
    struct rng rng;  // of its actions
};

struct evaluation {
    const struct task *task;
    struct policy_controller controller;
    struct evaluation_plan plan; // without the policy
    uint32_t begun, cut;
    double returns[WIRE_EPISODES_MAX], lengths[WIRE_EPISODES_MAX], discounted[WIRE_EPISODES_MAX];
    uint64_t steps, broken;
    bool failed;

    // The first `live` lanes have a running episode.
    struct lane lanes[EVALUATION_LANES_MAX];
    int lane_count, live;
    float *obs, *act, *noise; // (lanes, obs_dim), (lanes, act_dim), (lanes, act_dim)
};

int evaluation_lanes(const struct task *task) {
    return env_in_process(task) ? 1 : EVALUATION_LANES_MAX;
}

struct evaluation *evaluation_create(const struct task *task, const struct env_wait *wait,
                                     char *err, size_t err_len) {
    struct evaluation *e = xcalloc(1, sizeof(*e));
    e->task = task;
    e->lane_count = evaluation_lanes(task);
    for (int i = 0; i < e->lane_count; i++) {
        e->lanes[i].env = env_create_waiting(task, wait, err, err_len);
        if (!e->lanes[i].env) {
            evaluation_destroy(&e);
            return NULL;
        }
    }
    e->obs = xfloats((size_t)EVALUATION_LANES_MAX * (size_t)task->obs_dim);
    e->act = xfloats((size_t)EVALUATION_LANES_MAX * (size_t)task->act_dim);
    e->noise = xfloats((size_t)EVALUATION_LANES_MAX * (size_t)task->act_dim);
    return e;
}

void evaluation_destroy(struct evaluation **evaluation) {
    struct evaluation *e = *evaluation;
    if (!e) {
        return;
    }
    for (int i = 0; i < EVALUATION_LANES_MAX; i++) {
        if (e->lanes[i].env) {
            env_destroy(&e->lanes[i].env);
        }
    }
    policy_controller_deinit(&e->controller);
    free(e->obs);
    free(e->act);
    free(e->noise);
    free(e);
    *evaluation = NULL;
}

static void begin_episode(struct evaluation *e, struct lane *lane) {
    lane->number = e->begun++;
    lane->weight = 1;
    lane->rng = actions_rng(e->plan.seed, lane->number);
    episode_begin_evaluation(&lane->episode, lane->env, e->plan.seed, lane->number);
    e->discounted[lane->number] = 0;
}

static int load_policy(struct evaluation *e, const struct wire_policy *policy, char *err,
                       size_t err_len) {
    // Unlike an actor, an evaluation may use an older policy than the one before.
    e->controller.version = 0;
    enum policy_controller_verdict verdict = policy_controller_load(
        &e->controller, policy, e->task, EVALUATION_LANES_MAX, 0, err, err_len);
    if (verdict == POLICY_CONTROLLER_KEPT) {
        snprintf(err, err_len, "it contains no policy");
    }
    return verdict == POLICY_CONTROLLER_LOADED ? 0 : -1;
}

int evaluation_begin(struct evaluation *e, const struct evaluation_plan *plan, char *err,
                     size_t err_len) {
    CHECK(plan->episodes > 0 && plan->episodes <= WIRE_EPISODES_MAX);
    if (actions_need_policy(plan->actions) && load_policy(e, plan->policy, err, err_len) < 0) {
        return -1;
    }
    e->plan = *plan;
    e->plan.policy = NULL;
    e->begun = 0;
    e->cut = 0;
    e->live = 0;
    while (e->live < e->lane_count && e->begun < plan->episodes) {
        begin_episode(e, &e->lanes[e->live++]);
    }
    return 0;
}

// Records the lane's episode, then begins its next one, or else swaps the lane with the last
// live one.
static void end_episode(struct evaluation *e, int i) {
    const struct episode *episode = &e->lanes[i].episode;
    e->returns[e->lanes[i].number] = episode->episode_return;
    e->lengths[e->lanes[i].number] = (double)episode->length;
    e->broken += episode->state == EPISODE_BROKEN;
    if (e->begun < e->plan.episodes) {
        begin_episode(e, &e->lanes[i]);
        return;
    }
    struct lane ended = e->lanes[i];
    e->lanes[i] = e->lanes[--e->live];
    e->lanes[e->live] = ended;
}

// The actions of the live lanes.
static void act(struct evaluation *e) {
    size_t obs_dim = (size_t)e->task->obs_dim, act_dim = (size_t)e->task->act_dim;
    for (int i = 0; i < e->live; i++) {
        env_obs(e->lanes[i].env, e->obs + (size_t)i * obs_dim);
        actions_draw(e->noise + (size_t)i * act_dim, e->plan.actions, &e->lanes[i].rng,
                     e->task->act_dim);
    }
    actions_compute(e->act, e->plan.actions, &e->controller, e->obs, e->noise, e->live,
                    e->task->act_dim);
}

// Ends an episode that has reached the plan's limit.
static void cut(struct evaluation *e, struct episode *episode) {
    if (episode->state == EPISODE_RUNNING && episode->length == e->plan.steps_max) {
        episode->state = EPISODE_TRUNCATED;
        e->cut++;
    }
}

bool evaluation_step(struct evaluation *e) {
    size_t act_dim = (size_t)e->task->act_dim;
    if (e->live == 0) {
        return false;
    }
    act(e);

    // In reverse order, so that a lane that is swapped in has already been stepped.
    for (int i = e->live - 1; i >= 0; i--) {
        struct lane *lane = &e->lanes[i];
        double reward = episode_step(&lane->episode, lane->env, e->act + (size_t)i * act_dim);
        e->steps++;
        e->discounted[lane->number] += lane->weight * reward;
        lane->weight *= e->plan.discount;
        cut(e, &lane->episode);
        e->failed = e->failed || lane->episode.env_broken;
        if (lane->episode.state != EPISODE_RUNNING) {
            end_episode(e, i);
        }
    }
    return e->live > 0;
}

const double *evaluation_returns(const struct evaluation *e) {
    return e->returns;
}

const double *evaluation_lengths(const struct evaluation *e) {
    return e->lengths;
}

const double *evaluation_discounted(const struct evaluation *e) {
    return e->discounted;
}

uint32_t evaluation_episodes(const struct evaluation *e) {
    return e->plan.episodes;
}

uint64_t evaluation_steps(const struct evaluation *e) {
    return e->steps;
}

bool evaluation_failed(const struct evaluation *e) {
    return e->failed;
}

uint64_t evaluation_broken(const struct evaluation *e) {
    return e->broken;
}

uint32_t evaluation_cut(const struct evaluation *e) {
    return e->cut;
}

const struct task *evaluation_task(const struct evaluation *e) {
    return e->task;
}
