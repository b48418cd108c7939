// SPDX-License-Identifier: MIT
// The fixture's port, jobs and messages.
#include "tests/unit/ms_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "proto/epoch.h"

static struct net_peer route_of(uint8_t peer) {
    return (struct net_peer){.len = 1, .id = {peer}};
}

// ---- port ----

static int world_send(void *arg, enum port_socket socket, const struct net_peer *to,
                      const struct wire_msg *m) {
    struct world *w = arg;
    CHECK(socket == PORT_OWN);
    if (to->id[0] == w->gone) {
        return -EHOSTUNREACH;
    }
    if (w->sockets_full) {
        return -EAGAIN;
    }
    if (to->id[0] == w->busy && w->busy_sends > 0) {
        w->busy_sends--;
        return -EAGAIN;
    }
    sent_add(&w->sent, socket, to, m);
    if (m->type == WIRE_WELCOME && to->id[0] >= LEARNER && to->id[0] < EVALUATOR) {
        w->epoch = m->welcome.incarnation;
    } else if (m->type == WIRE_EXPERIENCE) {
        w->experience_seq = m->experience.seq;
        *(m->experience.kind == WIRE_REAL ? &w->real_rows : &w->model_rows) +=
            m->experience.rows.rows;
    } else if (m->type == WIRE_ENSEMBLE) {
        w->experience_seq = m->model.seq;
    } else if (m->type == WIRE_STATES) {
        w->experience_seq = m->states.seq;
        w->states = m->states.number + 1;
    } else if (m->type == WIRE_GRANT) {
        w->checkpoint = m->grant.checkpoint_id;
    }
    return 0;
}

// ---- life ----

static void start(struct world *w) {
    struct sim_process *p = xcalloc(1, sizeof(*p));
    *p = (struct sim_process){.sim = w->sim,
                              .kind = SIM_MODELSERVER,
                              .number = 1,
                              .alive = true,
                              .port = {.arg = w, .send = world_send}};
    w->sim->config = w->config;
    w->sim->task = w->task;
    w->sim->now_us = 1000 * w->now;
    w->server = p;
    server_start(p);
    w->ms = p->ms;
}

static void prepare(struct world *w, enum pacing_mode mode) {
    *w = (struct world){.now = 1000, .prompt = true};
    log_init("test", LOG_ERROR, -1);
    config_defaults(&w->config);
    struct config *c = &w->config;
    snprintf(c->run.task, sizeof(c->run.task), "inverted_pendulum");
    c->run.steps = 60;
    c->run.explore_steps = 20;
    c->pacing.mode = mode;
    c->pacing.updates_per_step = 2;
    c->pacing.slack_steps = 4;
    c->model.train_every_steps = 10;
    c->model.hidden_width = 8;
    c->model.hidden_layers = 1;
    c->rollout.per_step = 3;
    c->rollout.schedule = (struct config_list){4, {0, 1, 2, 2}};
    c->rollout.epoch_steps = 50;
    c->sac.hidden_width = 8;
    c->eval.every_steps = 10;
    c->eval.target = 100;
    c->eval.solved_evaluations = 2;
    c->run.stop_when_solved = false;
    c->network.batch_rows_max = 8;
    if (mode == PACING_LOCKSTEP) { // steps would wait for each evaluation
        c->eval.every_steps = 1000;
    }
    w->task = task_find(c->run.task);
    w->version = 1;
    w->run_id = 42;
    w->sim = xcalloc(1, sizeof(*w->sim));
    disk_init(&w->sim->disk, w->task);
}

void world_init(struct world *w, enum pacing_mode mode) {
    prepare(w, mode);
    start(w);
}

void world_init_states(struct world *w, enum pacing_mode mode) {
    prepare(w, mode);
    w->config.method = METHOD_dhmbpo;
    w->config.dhmbpo.states_every = 4;
    w->config.dhmbpo.starts = 3;
    w->config.dhmbpo.states = 5;
    w->config.dhmbpo.warm_start_updates = 8;
    start(w);
}

// What was not stored yet is lost.
static void stop(struct world *w) {
    w->server->batches = 0;
    w->server->save = NULL;
    server_crash(w->server);
    free(w->server);
}

void world_restart(struct world *w) {
    stop(w);
    start(w);
}

void world_deinit(struct world *w) {
    stop(w);
    sim_forget_events(w->sim);
    disk_deinit(&w->sim->disk);
    free(w->sim);
    sent_deinit(&w->sent);
}

// ---- jobs ----

static void end_job(struct world *w, enum sim_event_kind kind) {
    struct sim_event event = {.kind = kind};
    server_event(w->server, &event);
}

void world_end_stores(struct world *w) {
    for (int n = w->server->batches; n > 0; n -= SIM_COMMIT_MAX) {
        end_job(w, SIM_COMMIT);
    }
}

void world_end_fit(struct world *w) {
    end_job(w, SIM_FIT);
}

void world_end_rollout(struct world *w) {
    end_job(w, SIM_ROLLOUT);
}

void world_end_save(struct world *w) {
    end_job(w, SIM_SAVE);
}

bool world_is_busy(const struct world *w) {
    const struct sim_process *p = w->server;
    return p->batches > 0 || p->fit || p->block || p->save;
}

void world_settle(struct world *w) {
    const struct sim_process *p = w->server;
    while (world_is_busy(w)) {
        if (p->batches > 0) {
            world_end_stores(w);
        } else if (p->fit) {
            world_end_fit(w);
        } else if (p->block) {
            world_end_rollout(w);
        } else {
            world_end_save(w);
        }
    }
}

static void end_prompt_jobs(struct world *w) {
    if (w->prompt) {
        world_settle(w);
    }
}

void world_tick(struct world *w, uint64_t ms) {
    w->now += ms;
    w->sim->now_us = 1000 * w->now;
    ms_on_tick(w->ms, w->now);
    end_prompt_jobs(w);
}

// ---- messages in ----

void world_message(struct world *w, uint8_t peer, struct wire_msg *msg) {
    struct net_peer from = route_of(peer);
    msg->run_id = msg->type == WIRE_HELLO && !w->rejoins ? 0 : w->run_id;
    ms_on_message(w->ms, w->now, &from, msg);
    end_prompt_jobs(w);
}

void world_hello(struct world *w, uint8_t peer, enum wire_role role, const char *id,
                 uint64_t incarnation) {
    struct wire_msg msg = {.type = WIRE_HELLO, .hello = {.role = role, .incarnation = incarnation}};
    snprintf(msg.hello.id, sizeof(msg.hello.id), "%s", id);
    snprintf(msg.hello.host, sizeof(msg.hello.host), "here");
    snprintf(msg.hello.endpoint, sizeof(msg.hello.endpoint), "%s", w->endpoint ? w->endpoint : "");
    if (role == WIRE_ROLE_LEARNER) {
        msg.hello.updates = w->updates;
        msg.hello.policy_version = world_version(w);
        msg.hello.real_rows = w->real_rows;
        msg.hello.model_rows = w->model_rows;
        msg.hello.states = w->states;
        msg.hello.checkpoint = w->checkpoint;
    }
    world_message(w, peer, &msg);
}

void world_rejoin(struct world *w, uint8_t peer, enum wire_role role, const char *id,
                  uint64_t incarnation) {
    w->rejoins = true;
    world_hello(w, peer, role, id, incarnation);
    w->rejoins = false;
}

void world_rows(struct world *w, uint8_t peer, uint64_t seq, uint32_t rows) {
    static float zeros[64 * 16];
    static uint8_t flags[64];
    struct wire_msg msg = {.type = WIRE_TRANSITIONS, .transitions = {.seq = seq}};
    msg.transitions.rows = (struct wire_rows){.rows = rows,
                                              .obs_dim = (uint32_t)w->task->obs_dim,
                                              .act_dim = (uint32_t)w->task->act_dim,
                                              .obs = zeros,
                                              .act = zeros,
                                              .reward = zeros,
                                              .next_obs = zeros,
                                              .flags = flags};
    world_message(w, peer, &msg);
}

void world_refused_rows(struct world *w, uint8_t peer, uint64_t seq, uint32_t rows) {
    static const float zeros[64 * 16];
    static const uint8_t flags[64];
    struct net_peer from = route_of(peer);
    struct wire_msg msg = {.type = WIRE_TRANSITIONS,
                           .run_id = w->run_id,
                           .transitions = {.seq = seq,
                                           .rows = {.rows = rows,
                                                    .obs_dim = (uint32_t)w->task->obs_dim,
                                                    .act_dim = (uint32_t)w->task->act_dim,
                                                    .obs = zeros,
                                                    .act = zeros,
                                                    .reward = zeros,
                                                    .next_obs = zeros,
                                                    .flags = flags}}};
    ms_on_unparsable(w->ms, w->now, &from, WIRE_REFUSED_VALUE, "row 0 is not finite", &msg);
    end_prompt_jobs(w);
}

uint64_t world_version(const struct world *w) {
    return epoch_version(w->epoch, w->version);
}

void world_policy(struct world *w, uint8_t peer, uint64_t version, uint64_t updates) {
    static float params[65536];
    struct policy p = ms_policy(&w->config, w->task);
    struct wire_msg msg = {.type = WIRE_POLICY,
                           .policy = {.version = epoch_version(w->epoch, version),
                                      .updates = updates,
                                      .obs_dim = (uint32_t)w->task->obs_dim,
                                      .act_dim = (uint32_t)w->task->act_dim,
                                      .hidden_layers = 2,
                                      .hidden = {8, 8},
                                      .activation = WIRE_ACTIVATION_RELU,
                                      .params_len = policy_params(&p),
                                      .params = params}};
    world_message(w, peer, &msg);
}

void world_progress(struct world *w, uint8_t peer) {
    struct wire_msg msg = {.type = WIRE_PROGRESS,
                           .progress = {.experience_seq = w->experience_seq,
                                        .updates = w->updates,
                                        .policy_version = world_version(w),
                                        .real_rows = w->real_rows,
                                        .model_rows = w->model_rows,
                                        .checkpoint_id = w->checkpoint,
                                        .checkpoint = w->checkpoint}};
    world_message(w, peer, &msg);
}

void world_learn(struct world *w, uint8_t peer) {
    const struct wire_msg *grant = sent_last(&w->sent, peer, WIRE_GRANT);
    while (grant && w->updates < grant->grant.updates_allowed) {
        w->updates++;
        if (w->updates % config_publish_every(&w->config) == 0) {
            world_policy(w, peer, ++w->version, w->updates);
            world_progress(w, peer);
        }
        grant = sent_last(&w->sent, peer, WIRE_GRANT);
    }
    world_progress(w, peer);
}

void world_meet_actor(struct world *w) {
    world_hello(w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 1);
}

void world_meet_learner(struct world *w) {
    world_hello(w, LEARNER, WIRE_ROLE_LEARNER, "learner", 0);
    world_end_stores(w); // it is welcomed after that
    world_policy(w, LEARNER, w->version, w->updates);
    world_progress(w, LEARNER);
}

uint64_t world_walk(struct world *w, uint64_t seq, uint64_t steps) {
    const struct wire_msg *credit = sent_last(&w->sent, ACTOR, WIRE_CREDIT);
    while (world_status(w)->env_steps < steps && credit &&
           credit->credit.steps_allowed > world_status(w)->env_steps) {
        world_rows(w, ACTOR, seq++, 1);
        credit = sent_last(&w->sent, ACTOR, WIRE_CREDIT);
    }
    return seq;
}

void world_report(struct world *w, double value) {
    world_report_of(w, value, (uint32_t)w->config.eval.episodes);
}

void world_report_of(struct world *w, double value, uint32_t episodes) {
    const struct wire_msg *s = sent_last(&w->sent, EVALUATOR, WIRE_EVAL_REQUEST);
    double returns[WORLD_EPISODES_MAX], lengths[WORLD_EPISODES_MAX];
    CHECK(s && episodes <= WORLD_EPISODES_MAX);
    for (uint32_t i = 0; i < episodes; i++) {
        returns[i] = value + (i % 2 ? 1 : -1);
        lengths[i] = 5;
    }
    struct wire_msg msg = {.type = WIRE_EVAL_REPORT,
                           .eval_report = {.id = s->eval_request.id,
                                           .env_steps = s->eval_request.env_steps,
                                           .policy_version = s->eval_request.policy.version,
                                           .episodes = episodes,
                                           .episodes_cut = 1,
                                           .returns = returns,
                                           .lengths = lengths}};
    world_message(w, EVALUATOR, &msg);
}

// ---- status ----

const struct wire_status *world_status(struct world *w) {
    static struct wire_status status;
    ms_status(w->ms, w->now, &status);
    return &status;
}

uint64_t world_counter(struct world *w, const char *name) {
    const struct wire_status *s = world_status(w);
    for (uint32_t i = 0; i < s->counter_count; i++) {
        if (strcmp(s->counters[i].name, name) == 0) {
            return s->counters[i].value;
        }
    }
    CHECK(!"a counter of that name");
    return 0;
}
