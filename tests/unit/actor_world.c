// SPDX-License-Identifier: MIT
// A scripted environment, and the messages of a server.
#include "tests/unit/actor_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "actor/env/env.h"
#include "actor/env/env_factory.h"
#include "common/base/check.h"
#include "common/nn/policy.h"

// ---- a deterministic task and environment ----

static const struct task counter_task = {.name = "counter",
                                         .title = "Counter-v0",
                                         .obs_dim = OBS_DIM,
                                         .act_dim = ACT_DIM,
                                         .act_low = -1,
                                         .act_high = 1,
                                         .horizon = EPISODE_STEPS};

const struct task *task_find(const char *name) {
    return strcmp(name, counter_task.name) == 0 ? &counter_task : NULL;
}

const char *task_nearest(const char *name) {
    (void)name;
    return counter_task.name;
}

struct env {
    double start, steps, action;
    const struct env_wait *wait;
};

// As an environment in another process does. False: the wait was given up.
static bool wait_for_it(const struct env_wait *wait) {
    return slow_until_ms == 0 || wait->fn(wait->arg, slow_until_ms, slow_until_ms - slow_ms);
}

static bool is_stop_requested(void *arg) {
    (void)arg;
    return stop_requested;
}
int bad_step_at;
bool bad_for_good;
uint64_t slow_until_ms;
uint64_t slow_ms;
bool stop_requested;
int steps_taken;
int world_envs = 1;
enum wire_noise world_noise = WIRE_NOISE_DEFAULT;

bool env_in_process(const struct task *task) {
    (void)task;
    return false;
}

struct env *env_create_waiting(const struct task *task, const struct env_wait *wait, char *err,
                               size_t err_len) {
    if (!wait_for_it(wait)) {
        snprintf(err, err_len, "stopped while it waited");
        return NULL;
    }
    assert_true(task->obs_dim == OBS_DIM && task->horizon == EPISODE_STEPS);
    struct env *env = calloc(1, sizeof(struct env));
    env->wait = wait;
    return env;
}

void env_destroy(struct env **env) {
    free(*env);
    *env = NULL;
}

void env_reset(struct env *env, struct rng *rng) {
    *env = (struct env){.start = rng_uniform(rng), .wait = env->wait};
}

void env_obs(const struct env *env, float *obs) {
    obs[0] = (float)env->start;
    obs[1] = (float)env->steps;
    obs[2] = (float)env->action;
}

struct env_step env_step(struct env *env, const float *action) {
    if (!wait_for_it(env->wait)) {
        return (struct env_step){.bad = true};
    }
    steps_taken++;
    env->steps++;
    env->action = action[0];
    return (struct env_step){.reward = env->steps,
                             .truncated = env->steps >= EPISODE_STEPS,
                             .bad = steps_taken == bad_step_at ||
                                    (bad_for_good && steps_taken > bad_step_at)};
}

// ---- messages of the server ----

static int world_send(void *arg, enum port_socket socket, const struct net_peer *to,
                      const struct wire_msg *msg) {
    struct world *w = arg;
    assert_null(to);
    if (w->deaf) {
        return -EAGAIN;
    }
    assert_true(msg->type != WIRE_TRANSITIONS || msg->transitions.rows.rows <= BATCH_MAX);
    sent_add(&w->sent, socket, to, msg);
    return 0;
}

static void world_reopen(void *arg, enum port_socket socket, const char *endpoint) {
    struct world *w = arg;
    if (socket == PORT_LEARNER) {
        w->learner_at = endpoint;
    }
    w->reopened++;
}

struct world *world_make(bool evaluate) {
    struct world *w = xcalloc(1, sizeof(*w));
    w->now_ms = 1000;
    w->port = (struct port){.arg = w, .send = world_send, .reopen = world_reopen};
    w->who = (struct client_identity){.id = "actor-0",
                                      .host = "here",
                                      .version = "test",
                                      .pid = 1,
                                      .envs = world_envs,
                                      .endpoint = "",
                                      .modelserver = "ipc:///server",
                                      .learner = "ipc:///learner",
                                      .stop_requested = is_stop_requested};
    bad_step_at = 0;
    bad_for_good = stop_requested = false;
    slow_until_ms = 0;
    steps_taken = 0;
    if (evaluate) {
        w->evaluator = evaluator_create(&w->who, &w->port, w->now_ms);
    } else {
        w->actor = actor_create(&w->who, &w->port, w->now_ms);
    }
    return w;
}

void world_free(struct world *w) {
    actor_destroy(&w->actor);
    evaluator_destroy(&w->evaluator);
    sent_deinit(&w->sent);
    free(w);
}

void hear(struct world *w, enum port_socket from, struct wire_msg *msg) {
    msg->run_id = RUN;
    if (w->actor) {
        actor_on_message(w->actor, from, w->now_ms, msg);
    } else {
        evaluator_on_message(w->evaluator, w->now_ms, msg);
    }
}

void pass(struct world *w, uint64_t ms) {
    for (uint64_t end = w->now_ms + ms; w->now_ms < end;) {
        w->now_ms += 50;
        if (w->actor) {
            actor_on_tick(w->actor, w->now_ms);
        } else {
            evaluator_on_tick(w->evaluator, w->now_ms);
        }
    }
}

int count_sent(const struct world *w, enum wire_type type) {
    return sent_count(&w->sent, 0, type);
}

const struct wire_msg *find_sent(const struct world *w, enum wire_type type, int which) {
    int i = sent_position(&w->sent, 0, type, which);
    if (i < 0) {
        fail_msg("no message of type %d was sent", (int)type);
    }
    return &w->sent.all[i]->msg;
}

uint64_t rows_sent(const struct world *w) {
    uint64_t rows = 0;
    for (int i = 0; i < count_sent(w, WIRE_TRANSITIONS); i++) {
        rows += find_sent(w, WIRE_TRANSITIONS, i)->transitions.rows.rows;
    }
    return rows;
}

void welcome_with(struct world *w, uint64_t next_seq, uint64_t steps, uint64_t episodes) {
    struct wire_msg msg = {.type = WIRE_WELCOME};
    msg.welcome = (struct wire_welcome){.seed = SEED,
                                        .obs_dim = OBS_DIM,
                                        .act_dim = ACT_DIM,
                                        .horizon = EPISODE_STEPS,
                                        .actor_index = 3,
                                        .next_seq = next_seq,
                                        .actor_steps = steps,
                                        .actor_episodes = episodes,
                                        .heartbeat_ms = 500,
                                        .lost_after_ms = 3000,
                                        .batch_rows_max = BATCH_MAX,
                                        .unacked_rows_max = UNACKED_MAX,
                                        .noise = world_noise,
                                        .noise_ou_theta = 0.0001,
                                        .incarnation = 9};
    snprintf(msg.welcome.task, sizeof(msg.welcome.task), "counter");
    hear(w, PORT_MODELSERVER, &msg);
}

void welcome(struct world *w) {
    pass(w, 50);
    assert_int_equal(count_sent(w, WIRE_HELLO), 1);
    welcome_with(w, 1, 0, 0);
    sent_forget(&w->sent);
}

struct wire_policy make_policy(float *params, uint64_t version) {
    struct policy shape = policy_make(OBS_DIM, ACT_DIM, 8, 1);
    struct rng rng = rng_make(version, RNG_TEST, 0);
    policy_init(params, &shape, &rng);
    return (struct wire_policy){.version = version,
                                .updates = version,
                                .obs_dim = OBS_DIM,
                                .act_dim = ACT_DIM,
                                .hidden = {8},
                                .hidden_layers = 1,
                                .activation = WIRE_ACTIVATION_RELU,
                                .params_len = policy_params(&shape),
                                .params = params};
}

void step(struct world *w) {
    for (int i = 0; i < 100 && actor_may_step(w->actor); i++) {
        actor_step(w->actor, w->now_ms);
    }
}

void credit(struct world *w, uint64_t allowed, uint64_t random, uint64_t min_version,
            uint64_t newest) {
    struct wire_msg msg = {.type = WIRE_CREDIT};
    msg.credit = (struct wire_credit){.steps_allowed = allowed,
                                      .random_steps = random,
                                      .min_policy_version = min_version,
                                      .newest_policy_version = newest};
    snprintf(msg.credit.reason, sizeof(msg.credit.reason), "the learner is behind");
    snprintf(msg.credit.learner, sizeof(msg.credit.learner), "%s", w->told ? w->told : "");
    hear(w, PORT_MODELSERVER, &msg);
}

void give_policy(struct world *w, uint64_t version) {
    float params[256];
    struct wire_msg msg = {.type = WIRE_POLICY, .policy = make_policy(params, version)};
    hear(w, PORT_LEARNER, &msg);
}

float sent_value(const struct world *w, int n, char what) {
    const struct wire_rows *rows = &find_sent(w, WIRE_TRANSITIONS, n / BATCH_MAX)->transitions.rows;
    int i = n % BATCH_MAX;
    return what == 'a' ? rows->act[i] : rows->obs[i * OBS_DIM + (what == 'n')];
}

struct world *join_with(int envs) {
    world_envs = envs;
    struct world *w = world_make(false);
    world_envs = 1;
    welcome(w);
    return w;
}

uint64_t counter(struct world *w, const char *name) {
    static struct wire_status status;
    struct wire_actor_status line;
    if (w->actor) {
        actor_status(w->actor, w->now_ms, &status, &line);
    } else {
        evaluator_status(w->evaluator, w->now_ms, &status, &line);
    }
    for (uint32_t i = 0; i < status.counter_count; i++) {
        if (strcmp(status.counters[i].name, name) == 0) {
            return status.counters[i].value;
        }
    }
    fail_msg("there is no counter %s", name);
    return 0;
}

struct wire_actor_status line_of(struct world *w) {
    static struct wire_status status;
    struct wire_actor_status line;
    actor_status(w->actor, w->now_ms, &status, &line);
    return line;
}

bool finished(struct world *w, int *code) {
    const char *why;
    return w->actor ? actor_finished(w->actor, code, &why)
                    : evaluator_finished(w->evaluator, code, &why);
}
