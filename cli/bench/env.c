// SPDX-License-Identifier: MIT
// Environment steps of an actor, compared with a bare simulator loop.
//
// The actor's core is measured without sockets: messages are packed and acknowledged immediately.
// First one environment with uniformly random actions, then ENVS environments with the paper's
// policy. The limit is a loop of the simulator only, which replays recorded episodes of the same
// kind, as the cost of a step depends on the motion.
//
// Rates are per second of CPU time of the thread, which reduces the influence of other programs.
#include "cli/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/actor.h"
#include "actor/env/env.h"
#include "actor/env/env_factory.h"
#include "actor/env/mujoco_internal.h"
#include "actor/policy_controller.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/config/config.h"
#include "common/nn/policy.h"

#define ENVS 64
#define RECORDED 1024  // steps of the bare loop, replayed cyclically
#define WARM_ROUNDS 50 // until the environments are at different steps of their episodes
#define UNLIMITED (1ull << 60)
#define RUN 1

// ---- the bare loop ----

// Recorded steps: start states of episodes, and controls.
struct recording {
    struct env *env;
    int nq, nv, nu;
    bool begins[RECORDED]; // an episode starts before this step
    double *qpos, *qvel;   // (RECORDED, nq), (RECORDED, nv)
    double *ctrl;          // (RECORDED, nu)
    size_t at;
};

static void recording_step(void *state) {
    struct recording *r = state;
    size_t i = r->at++ % RECORDED;
    if (r->begins[i]) {
        env_set_state(r->env, r->qpos + i * (size_t)r->nq, r->qvel + i * (size_t)r->nv);
    }
    env_simulate(r->env, r->ctrl + i * (size_t)r->nu);
}

static double recording_run(struct bench_case *c, double seconds) {
    return bench_repeat_cpu(recording_step, c->state, 1, seconds);
}

static void recording_close(void *state) {
    struct recording *r = state;
    env_destroy(&r->env);
    free(r->qpos);
    free(r->qvel);
    free(r->ctrl);
    free(r);
}

// Records steps with the policy, or with random actions if NULL. Returns NULL with a message in
// err.
static struct recording *record(const struct task *task, struct policy_controller *controller,
                                char *err, size_t err_len) {
    struct env *env = env_create(task, err, err_len);
    if (!env) {
        return NULL;
    }
    struct env_dims dims = env_dims(env);
    struct recording *r = xcalloc(1, sizeof(*r));
    *r = (struct recording){.env = env, .nq = dims.nq, .nv = dims.nv, .nu = dims.nu};
    r->qpos = xcalloc((size_t)RECORDED * (size_t)r->nq, sizeof(double));
    r->qvel = xcalloc((size_t)RECORDED * (size_t)r->nv, sizeof(double));
    r->ctrl = xcalloc((size_t)RECORDED * (size_t)r->nu, sizeof(double));
    struct rng rng = rng_make(1, RNG_BENCH, 4);
    float obs[TASK_OBS_DIM_MAX], act[TASK_ACT_DIM_MAX], noise[TASK_ACT_DIM_MAX + 1];
    double middle = 0.5 * ((double)task->act_high + (double)task->act_low);
    double half = 0.5 * ((double)task->act_high - (double)task->act_low);
    bool over = true;
    for (size_t i = 0; i < RECORDED; i++) {
        r->begins[i] = over;
        if (over) {
            env_reset(env, &rng);
            env_get_state(env, r->qpos + i * (size_t)r->nq, r->qvel + i * (size_t)r->nv);
        }
        env_obs(env, obs);
        for (int j = 0; j < task->act_dim; j++) {
            noise[j] = (float)rng_normal(&rng);
            act[j] = (float)rng_range(&rng, -1, 1);
        }
        if (controller) {
            policy_controller_sample(controller, act, obs, noise, 1);
        }
        for (int j = 0; j < r->nu; j++) {
            r->ctrl[i * (size_t)r->nu + (size_t)j] = middle + half * (double)act[j];
        }
        struct env_step step = env_step(env, act);
        over = step.terminated || step.truncated || step.bad;
    }
    return r;
}

// ---- the actor ----

struct actor_bench {
    struct actor *actor;
    struct client_identity who;
    struct port port;
    struct wire *wire;
    uint64_t seq, seq_acked; // of Transitions
    int steps;               // in one call
};

static int on_send(void *arg, enum port_socket socket, const struct net_peer *to,
                   const struct wire_msg *msg) {
    struct actor_bench *s = arg;
    const void *data;
    size_t len;
    (void)socket;
    (void)to;
    wire_pack(s->wire, &data, &len, msg);
    s->seq = msg->type == WIRE_TRANSITIONS ? msg->transitions.seq : s->seq;
    return 0;
}

static void on_reopen(void *arg, enum port_socket socket, const char *endpoint) {
    (void)arg;
    (void)socket;
    (void)endpoint;
}

static void deliver(struct actor_bench *s, enum port_socket from, struct wire_msg *msg) {
    msg->run_id = RUN;
    actor_on_message(s->actor, from, clock_ms(), msg);
}

static void actor_bench_step(void *state) {
    struct actor_bench *s = state;
    for (int done = 0; done < s->steps; done += ACTOR_STEPS_PER_CALL) {
        actor_step(s->actor, clock_ms());
    }
    if (s->seq > s->seq_acked) {
        struct wire_msg msg = {.type = WIRE_ACK, .ack = {.seq = s->seq}};
        s->seq_acked = s->seq;
        deliver(s, PORT_MODELSERVER, &msg);
    }
}

static double actor_run(struct bench_case *c, double seconds) {
    struct actor_bench *s = c->state;
    return bench_repeat_cpu(actor_bench_step, s, s->steps, seconds);
}

static void actor_close(void *state) {
    struct actor_bench *s = state;
    actor_destroy(&s->actor);
    wire_destroy(&s->wire);
    free(s);
}

// Creates an actor that has joined and has unlimited credit. policy NULL: random actions. Returns
// NULL with a message in err.
static struct actor_bench *join(const struct task *task, int envs, const struct wire_policy *policy,
                                char *err, size_t err_len) {
    struct config config;
    config_defaults(&config);
    struct actor_bench *s = xcalloc(1, sizeof(*s));
    s->wire = wire_create();
    s->port = (struct port){.arg = s, .send = on_send, .reopen = on_reopen};
    s->who = (struct client_identity){.id = "bench",
                                      .host = "",
                                      .version = SPUR_VERSION,
                                      .envs = envs,
                                      .endpoint = "",
                                      .modelserver = "bench",
                                      .learner = "bench"};
    // A multiple of the steps per call, and of a round.
    s->steps = envs > ACTOR_STEPS_PER_CALL ? envs : ACTOR_STEPS_PER_CALL;
    s->actor = actor_create(&s->who, &s->port, clock_ms());
    actor_on_tick(s->actor, clock_ms());

    static struct wire_msg msg; // too large for the stack
    msg = (struct wire_msg){.type = WIRE_WELCOME};
    msg.welcome =
        (struct wire_welcome){.seed = 1,
                              .incarnation = 1,
                              .obs_dim = (uint32_t)task->obs_dim,
                              .act_dim = (uint32_t)task->act_dim,
                              .horizon = (uint32_t)task->horizon,
                              .next_seq = 1,
                              .heartbeat_ms = (uint32_t)config.network.heartbeat_ms,
                              .lost_after_ms = (uint32_t)config.network.lost_after_ms,
                              .batch_rows_max = (uint32_t)config.network.batch_rows_max,
                              .unacked_rows_max = (uint32_t)config.network.unacked_rows_max};
    snprintf(msg.welcome.task, sizeof(msg.welcome.task), "%s", task->name);
    deliver(s, PORT_MODELSERVER, &msg);
    if (policy) {
        msg = (struct wire_msg){.type = WIRE_POLICY, .policy = *policy};
        deliver(s, PORT_LEARNER, &msg);
    }
    msg = (struct wire_msg){.type = WIRE_CREDIT};
    msg.credit =
        (struct wire_credit){.steps_allowed = UNLIMITED, .random_steps = policy ? 0 : UNLIMITED};
    deliver(s, PORT_MODELSERVER, &msg);
    if (!actor_may_step(s->actor)) {
        const char *why = "";
        int code;
        actor_finished(s->actor, &code, &why);
        snprintf(err, err_len, "the actor does not step: %s", why);
        actor_close(s);
        return NULL;
    }
    for (int i = 0; i < WARM_ROUNDS; i++) {
        actor_bench_step(s);
    }
    return s;
}

// ---- cases ----

// A policy with the paper's network and random weights. The caller frees *params.
static struct wire_policy make_policy(float **params, const struct task *task) {
    struct config config;
    config_defaults(&config);
    struct policy policy = policy_make(task->obs_dim, task->act_dim, config.sac.hidden_width,
                                       config.sac.hidden_layers);
    struct rng rng = rng_make(1, RNG_POLICY_INIT, 0);
    *params = xfloats(policy_params(&policy));
    policy_init(*params, &policy, &rng);
    struct wire_policy out = {
        .version = 1,
        .obs_dim = (uint32_t)task->obs_dim,
        .act_dim = (uint32_t)task->act_dim,
        .params_len = policy_params(&policy),
        .params = *params,
    };
    wire_policy_hidden(&out, policy.net.layers - 1, policy.net.dims + 1, WIRE_ACTIVATION_RELU);
    return out;
}

static struct bench_case *add(struct bench *b, const struct task *task, const char *name,
                              const char *what) {
    char full[64];
    snprintf(full, sizeof(full), "%s_%.40s", name, task->name);
    struct bench_case *c = bench_add(b, full, "steps/s");
    snprintf(c->what, sizeof(c->what), "%s, %s", task->title, what);
    return c;
}

// Adds a bare loop and the actor that it limits.
static void add_pair(struct bench *b, const struct task *task, struct bench_case *bare,
                     struct bench_case *full, const struct wire_policy *policy) {
    struct policy_controller controller = {0};
    char *err = full->note;
    size_t err_len = sizeof(full->note);
    bool ok = !policy || policy_controller_load(&controller, policy, task, 1, 0, err, err_len) ==
                             POLICY_CONTROLLER_LOADED;
    bare->state = ok ? record(task, policy ? &controller : NULL, err, err_len) : NULL;
    policy_controller_deinit(&controller);
    snprintf(bare->note, sizeof(bare->note), "%.200s",
             bare->state ? "limit of the next case" : err);
    bare->run = bare->state ? recording_run : NULL;
    bare->close = bare->state ? recording_close : NULL;

    full->state = bare->state ? join(task, policy ? ENVS : 1, policy, err, err_len) : NULL;
    if (full->state) {
        full->run = actor_run;
        full->close = actor_close;
        full->limit = bench_index(b, bare);
        full->cost = 1;
        snprintf(full->note, sizeof(full->note), "limit: the bare loop");
    }
}

bool bench_has_env(const struct task *task) {
    return strstr(task->name, "_v5") == NULL; // same cost as the v4 task
}

void bench_add_env(struct bench *b, const struct task *task) {
    float *params;
    struct wire_policy policy = make_policy(&params, task);
    struct bench_case *bare = add(b, task, "env_bare", "simulator only");
    struct bench_case *full = add(b, task, "env_steps", "steps of an actor, random actions");
    add_pair(b, task, bare, full, NULL);
    bare = add(b, task, "env_bare_policy", "simulator only, policy's actions");
    full = add(b, task, "env_steps_64", "steps of an actor, policy for 64 at once");
    add_pair(b, task, bare, full, &policy);
    free(params);
}
