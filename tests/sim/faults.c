// SPDX-License-Identifier: MIT
// What a seed decides: the configuration, the speeds of the machines, the faults and strangers.
#include <math.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/sim.h"

#define SLOT_STRANGER (SIM_SLOTS_MAX - 1)
#define STRANGER_ROWS 2

// ---- the run ----

static void choose_pacing(struct sim *s, struct config *c) {
    static const double ratios[] = {0.5, 1, 2, 3};
    uint64_t mode = sim_between(s, 0, 9);
    c->pacing.mode = mode < 6 ? PACING_RATIO : mode < 9 ? PACING_LOCKSTEP : PACING_FREE;
    c->pacing.training = sim_chance(s, 0.3) ? PACING_TRAINING_WAIT : c->pacing.training;
    c->pacing.updates_per_step = ratios[sim_between(s, 0, 3)];
    c->pacing.slack_steps = sim_between(s, 1, 12);
    c->model.train_every_steps = sim_between(s, 10, 40);
}

static void choose_method(struct sim *s, struct config *c) {
    uint64_t method = sim_between(s, 0, 3);
    c->method = method < 2 ? METHOD_mbpo : method == 2 ? METHOD_dhmbpo : METHOD_sac;
    c->dhmbpo.states_every = 4;
    c->dhmbpo.starts = 3;
    c->dhmbpo.states = 5;
    c->dhmbpo.warm_start_updates = 8;
}

static void choose_config(struct sim *s) {
    struct config *c = &s->config;
    config_defaults(c);
    snprintf(c->run.task, sizeof(c->run.task), "inverted_pendulum");
    s->task = task_find(c->run.task);
    c->run.seed = s->seed;
    c->run.steps = sim_between(s, 80, 200);
    c->run.explore_steps = sim_between(s, 10, 30);
    choose_pacing(s, c);
    choose_method(s, c);
    c->model.hidden_width = 4;
    c->model.hidden_layers = 1;
    c->model.members = 3;
    c->model.elites = 2;
    c->rollout.per_step = 3;
    c->rollout.schedule = (struct config_list){4, {0, 1, 2, 2}};
    c->rollout.epoch_steps = 50;
    c->sac.hidden_width = 4;
    c->eval.every_steps = sim_between(s, 4, 40);
    c->eval.episodes = 2;
    c->eval.target = 1e9;
    c->run.stop_when_solved = false;
    c->checkpoint.every_s = sim_between(s, 1, 8);
    c->network.batch_rows_max = (int)sim_between(s, 1, 8);
    c->network.unacked_rows_max = (int)sim_between(s, 8, 64);
}

static void choose_slots(struct sim *s) {
    bool lockstep = s->config.pacing.mode == PACING_LOCKSTEP;
    int actors = lockstep ? 1 : (int)sim_between(s, 1, 4);
    s->slot[0] = (struct sim_slot){.kind = SIM_MODELSERVER, .id = "modelserver"};
    s->slot[1] = (struct sim_slot){.kind = SIM_LEARNER, .id = "learner", .envs = 1};
    s->slot[2] = (struct sim_slot){.kind = SIM_EVALUATOR, .id = "evaluator", .envs = 1};
    s->slots = 3;
    for (int i = 0; i < actors; i++) {
        struct sim_slot *slot = &s->slot[s->slots++];
        *slot =
            (struct sim_slot){.kind = SIM_ACTOR, .envs = lockstep ? 1 : (int)sim_between(s, 1, 3)};
        snprintf(slot->id, sizeof(slot->id), "actor-%d", i);
    }
    s->slot[SLOT_STRANGER] = (struct sim_slot){.kind = SIM_STRANGER, .id = "stranger"};
}

void faults_choose(struct sim *s) {
    choose_config(s);
    choose_slots(s);
    s->step_us = sim_between(s, 500, 60000);
    s->update_us = sim_between(s, 500, 40000);
    s->commit_us = sim_chance(s, 0.2) ? sim_between(s, 30000, 1500000) : sim_between(s, 200, 30000);
    s->fit_us = sim_between(s, 20000, 2000000);
    s->rollout_us = sim_between(s, 500, 50000);
    s->tick_us = 20000;
    s->heal_us = sim_between(s, 4000000, 15000000);
    struct sim_faults *f = &s->faults;
    *f = (struct sim_faults){.delay_us = sim_between(s, 50, 2000),
                             .jitter_us = sim_between(s, 0, 30000),
                             .fault_every_us = sim_between(s, 200000, 3000000),
                             .crashes = sim_chance(s, 0.6),
                             .cuts = sim_chance(s, 0.6),
                             .freezes = sim_chance(s, 0.4),
                             .silences = sim_chance(s, 0.4),
                             .full_disk = sim_chance(s, 0.2),
                             .strangers = sim_chance(s, 0.3),
                             .twins = sim_chance(s, 0.3),
                             .moves = sim_chance(s, 0.3),
                             .leaves = sim_chance(s, 0.3)};
    f->drop = sim_chance(s, 0.3) ? (double)sim_between(s, 1, 20) * 0.01 : 0;
    f->duplicate = sim_chance(s, 0.3) ? 0.02 : 0;
}

// ---- faults ----

static struct sim_process *any_process(struct sim *s) {
    return s->slot[sim_between(s, 0, (uint64_t)s->slots - 1)].process;
}

static void break_any_link(struct sim *s, bool silently) {
    for (int tries = 0; tries < 8 && s->links > 0; tries++) {
        int link = (int)sim_between(s, 0, (uint64_t)s->links - 1);
        if (!s->link[link].closed && s->link[link].server) {
            if (silently) {
                network_silence(s, link);
            } else {
                network_cut(s, link);
            }
            return;
        }
    }
}

static void crash(struct sim *s, struct sim_process *p) {
    int slot = p->slot;
    sim_crash(p);
    sim_schedule(s, sim_between(s, 50000, 4000000), SIM_START, NULL)->slot = slot;
}

// Another start of the same program, while the first is cut off and comes back later.
static void start_twin(struct sim *s, struct sim_process *p) {
    if (p->kind == SIM_MODELSERVER) {
        return;
    }
    p->cut_until = s->now_us + sim_between(s, 500000, 6000000);
    sim_start(s, p->slot);
}

static void leave(struct sim_process *p) {
    uint64_t now = sim_now_ms(p);
    if (p->actor) {
        actor_leave(p->actor, now, "stopped by SIGTERM");
    } else if (p->evaluator) {
        evaluator_leave(p->evaluator, now, "stopped by SIGTERM");
    } else if (p->learner) {
        learner_stop(p->learner, "stopped by SIGTERM");
    } else {
        ms_stop(p->ms, now, false, "stopped by SIGTERM");
    }
    sim_settle(p);
}

static void strike(struct sim *s, struct sim_process *p) {
    const struct sim_faults *f = &s->faults;
    uint64_t kind = sim_between(s, 0, 7);
    if (kind == 0 && f->crashes) {
        crash(s, p);
    } else if (kind == 1 && f->cuts) {
        break_any_link(s, f->silences && sim_chance(s, 0.5));
    } else if (kind == 2 && f->cuts) {
        p->cut_until = s->now_us + sim_between(s, 100000, 6000000);
        sim_trace(s, "partition %s#%u", p->id, p->number);
    } else if (kind == 3 && f->freezes) {
        p->frozen_until = s->now_us + sim_between(s, 100000, 6000000);
        sim_trace(s, "freeze %s#%u", p->id, p->number);
    } else if (kind == 4 && f->full_disk) {
        s->disk.full = !s->disk.full;
        sim_trace(s, "disk %s", s->disk.full ? "full" : "has room");
    } else if (kind == 5 && f->twins) {
        start_twin(s, p);
    } else if (kind == 6 && f->leaves) {
        leave(p);
    } else if (kind == 7 && f->strangers && !s->slot[SLOT_STRANGER].process) {
        sim_start(s, SLOT_STRANGER);
    }
}

void faults_event(struct sim *s) {
    struct sim_process *p = any_process(s);
    if (p) {
        strike(s, p);
    }
    sim_schedule(s, s->faults.fault_every_us, SIM_FAULT, NULL);
}

void faults_heal(struct sim *s) {
    sim_trace(s, "heal");
    s->healed = true;
    s->moved_us = s->now_us;
    s->disk.full = false;
    s->faults.drop = s->faults.duplicate = 0;
    for (uint32_t i = 0; i < s->processes; i++) {
        struct sim_process *p = s->process[i];
        p->cut_until = p->cut_until < s->now_us ? p->cut_until : s->now_us;
        if (p->alive && p->kind == SIM_STRANGER) {
            sim_crash(p);
        }
    }
}

// ---- strangers ----

static void send_to_server(struct sim_process *p, struct wire_msg *msg) {
    const void *bytes;
    size_t len;
    wire_pack(p->sim->pack, &bytes, &len, msg);
    network_raw(p, PORT_MODELSERVER, bytes, len);
}

static void say_hello(struct sim_process *p) {
    static const char *const names[] = {"actor-0", "actor-1", "learner", "evaluator", "x"};
    struct sim *s = p->sim;
    struct wire_msg msg = {.type = WIRE_HELLO, .run_id = sim_chance(s, 0.3) ? 42 : 0};
    msg.hello.role = (enum wire_role)sim_between(s, WIRE_ROLE_ACTOR, WIRE_ROLE_LEARNER);
    msg.hello.incarnation = sim_chance(s, 0.5) ? 0 : sim_between(s, 1000000, 1000020);
    snprintf(msg.hello.id, sizeof(msg.hello.id), "%s", names[sim_between(s, 0, 4)]);
    snprintf(msg.hello.host, sizeof(msg.hello.host), "elsewhere");
    send_to_server(p, &msg);
}

static void send_rows(struct sim_process *p) {
    struct sim *s = p->sim;
    float obs[STRANGER_ROWS * 4] = {0}, act[STRANGER_ROWS] = {0}, reward[STRANGER_ROWS] = {0};
    uint8_t flags[STRANGER_ROWS] = {0};
    for (int i = 0; i < STRANGER_ROWS; i++) {
        obs[4 * i + 2] = (float)p->number;
        obs[4 * i + 3] = (float)++p->made;
    }
    uint64_t wild = sim_between(s, 0, 5);
    obs[1] = wild == 0 ? NAN : wild == 1 ? 1e20F : 0;
    struct wire_msg msg = {.type = WIRE_TRANSITIONS, .run_id = 42};
    msg.transitions.seq = sim_between(s, 1, 4);
    msg.transitions.rows = (struct wire_rows){.rows = STRANGER_ROWS,
                                              .obs_dim = 4,
                                              .act_dim = 1,
                                              .obs = obs,
                                              .act = act,
                                              .reward = reward,
                                              .next_obs = obs,
                                              .flags = flags};
    send_to_server(p, &msg);
}

void stranger_tick(struct sim_process *p) {
    struct sim *s = p->sim;
    uint8_t noise[64];
    uint64_t what = sim_between(s, 0, 40);
    if (what == 0) {
        for (size_t i = 0; i < sizeof(noise); i++) {
            noise[i] = (uint8_t)rng_u32(&s->rng);
        }
        network_raw(p, PORT_MODELSERVER, noise, sim_between(s, 0, sizeof(noise)));
    } else if (what <= 2) {
        say_hello(p);
    } else if (what <= 6) {
        send_rows(p);
    } else if (what == 7) {
        struct wire_msg msg = {.type = WIRE_STATUS_REQUEST};
        send_to_server(p, &msg);
    } else if (what == 8) {
        network_reopen(p, PORT_MODELSERVER, "sim://modelserver");
    }
}
