// SPDX-License-Identifier: MIT
// Processes, what each event does, and the life of a run.
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

#define RUN_US_MAX 900000000 // of fake time, for a whole run

// ---- trace ----

void sim_trace(struct sim *s, const char *fmt, ...) {
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (s->trace) {
        printf("%12.6f  %s\n", (double)s->now_us * 1e-6, line);
    }
}

static void mix(struct sim *s, uint64_t x) {
    s->trace_hash = (s->trace_hash ^ x) * UINT64_C(0x9e3779b97f4a7c15);
    s->trace_hash ^= s->trace_hash >> 32;
}

// ---- processes ----

static uint64_t tick_us(const struct sim_process *p) {
    return p->kind == SIM_ACTOR || p->kind == SIM_EVALUATOR ? 50000 : p->sim->tick_us;
}

struct sim_process *sim_start(struct sim *s, int slot) {
    struct sim_slot *place = &s->slot[slot];
    CHECK(s->processes < SIM_PROCESSES_MAX);
    struct sim_process *p = calloc(1, sizeof(*p));
    CHECK(p);
    s->process[s->processes++] = p;
    *p = (struct sim_process){.sim = s,
                              .kind = place->kind,
                              .slot = slot,
                              .number = s->processes,
                              .alive = true,
                              .skew_ms = sim_between(s, 1, 10000000),
                              .link = {-1, -1, -1},
                              .heard_us = s->now_us};
    p->port = (struct port){.arg = p, .send = network_send, .reopen = network_reopen};
    snprintf(p->id, sizeof(p->id), "%s", place->id);
    place->process = p;
    sim_trace(s, "start %s#%u", p->id, p->number);
    if (p->kind == SIM_MODELSERVER) {
        server_start(p);
    } else if (p->kind == SIM_LEARNER) {
        trainer_start(p);
    } else if (p->kind != SIM_STRANGER) {
        actors_start(p);
    }
    if (p->kind != SIM_MODELSERVER) {
        network_reopen(p, PORT_MODELSERVER, "sim://modelserver");
    }
    sim_schedule(s, sim_between(s, 1, tick_us(p)), SIM_TICK, p);
    return p;
}

static void end_process(struct sim_process *p, bool silently) {
    check_gone(p->sim, p);
    p->alive = false;
    network_forget(p, silently);
    if (p->ms) {
        server_crash(p);
    }
    trainer_stop(p);
    actor_destroy(&p->actor);
    evaluator_destroy(&p->evaluator);
    struct sim_slot *place = &p->sim->slot[p->slot];
    place->process = place->process == p ? NULL : place->process;
}

void sim_crash(struct sim_process *p) {
    bool silently = p->sim->faults.silences && sim_chance(p->sim, 0.3);
    sim_trace(p->sim, "crash %s#%u%s", p->id, p->number, silently ? ", with its machine" : "");
    end_process(p, silently);
}

void sim_exit(struct sim_process *p, int code, const char *why) {
    struct sim *s = p->sim;
    bool newest = s->slot[p->slot].process == p;
    sim_trace(s, "exit %s#%u code %d: %s", p->id, p->number, code, why);
    if (p->kind == SIM_MODELSERVER) {
        s->done = code == 0;
    }
    end_process(p, false);
    if (newest && !s->done) {
        sim_schedule(s, sim_between(s, 100000, 3000000), SIM_START, NULL)->slot = p->slot;
    }
}

static void settle_server(struct sim_process *p) {
    uint64_t step;
    if (ms_starts_again(p->ms, &step)) {
        sim_exit(p, EXIT_CODE_TEMPFAIL, "it starts again");
        server_go_back(p->sim, step);
        return;
    }
    if (ms_phase(p->ms) != MS_STOPPED) {
        return;
    }
    if (ms_failed(p->ms)) {
        check_fail(p->sim, "the model server gave up: %s", ms_end_text(p->ms));
    }
    bool done =
        p->sim->disk.rows >= p->sim->config.run.steps || strcmp(ms_end_text(p->ms), "solved") == 0;
    sim_exit(p, done ? EXIT_CODE_OK : EXIT_CODE_TEMPFAIL, ms_end_text(p->ms));
}

void sim_settle(struct sim_process *p) {
    const char *why = "";
    int code = 0;
    enum exit_code learner_code;
    if (!p->alive) {
        return;
    }
    check_after(p->sim, p);
    if (p->ms) {
        settle_server(p);
    } else if (p->learner && learner_finished(p->learner, &learner_code)) {
        sim_exit(p, (int)learner_code, "");
    } else if ((p->actor && actor_finished(p->actor, &code, &why)) ||
               (p->evaluator && evaluator_finished(p->evaluator, &code, &why))) {
        if (code != EXIT_CODE_OK && code != EXIT_CODE_PROTOCOL) {
            check_fail(p->sim, "%s ends with code %d: %s", p->id, code, why);
        }
        sim_exit(p, code, why);
    } else if (((p->actor && actor_may_step(p->actor)) ||
                (p->evaluator && evaluator_may_step(p->evaluator))) &&
               !p->step_pending) {
        p->step_pending = true;
        sim_schedule(p->sim, p->sim->step_us, SIM_STEP, p);
    }
}

// ---- the run ----

static void tick(struct sim_process *p) {
    uint64_t now = sim_now_ms(p);
    if (p->ms) {
        ms_on_tick(p->ms, now);
    } else if (p->learner) {
        learner_on_tick(p->learner, now);
    } else if (p->actor) {
        actor_on_tick(p->actor, now);
    } else if (p->evaluator) {
        evaluator_on_tick(p->evaluator, now);
    } else {
        stranger_tick(p);
    }
}

static void restart(struct sim *s, int slot) {
    if (!s->slot[slot].process && !s->done) {
        sim_start(s, slot);
    }
}

// An event of a process that is frozen waits for it.
static bool is_frozen(struct sim *s, struct sim_event *e) {
    if (!e->process || e->process->frozen_until <= s->now_us) {
        return false;
    }
    struct sim_event *later =
        sim_schedule(s, e->process->frozen_until - s->now_us, e->kind, e->process);
    memcpy(later->value, e->value, sizeof(e->value));
    return true;
}

static void execute_of_process(struct sim_process *p, struct sim_event *e) {
    switch (e->kind) {
    case SIM_TICK:
        tick(p);
        break;
    case SIM_STEP:
        actors_step(p);
        break;
    case SIM_TRAIN:
    case SIM_LEARNER_SAVE:
        trainer_event(p, e);
        break;
    default:
        server_event(p, e);
    }
}

static void execute(struct sim *s, struct sim_event *e) {
    s->now_us = e->at_us;
    mix(s, e->at_us ^ (uint64_t)e->kind << 56);
    mix(s, (e->process ? e->process->number : 0) ^ (uint64_t)e->len << 32);
    struct sim_process *p = e->process;
    if (p) {
        if (p->alive && !is_frozen(s, e)) {
            execute_of_process(p, e);
            sim_settle(p);
            if (e->kind == SIM_TICK && p->alive) {
                sim_schedule(s, tick_us(p), SIM_TICK, p);
            }
        }
    } else if (e->kind == SIM_MESSAGE) {
        p = network_deliver(s, e);
        if (p) {
            sim_settle(p);
        }
    } else if (e->kind == SIM_CONNECT) {
        network_connect(s, e);
    } else if (e->kind == SIM_START) {
        restart(s, e->slot);
    } else if (e->kind == SIM_FAULT && !s->healed) {
        faults_event(s);
    } else if (e->kind == SIM_HEAL) {
        faults_heal(s);
    }
    free(e->bytes);
}

static void begin(struct sim *s) {
    s->rng = rng_make(s->seed, RNG_TEST, 0);
    s->pack = wire_create();
    s->unpack = wire_create();
    s->trace_hash = UINT64_C(14695981039346656037);
    faults_choose(s);
    disk_init(&s->disk, s->task);
    for (int i = 0; i < s->slots; i++) {
        sim_schedule(s, sim_between(s, 0, 500000), SIM_START, NULL)->slot = i;
    }
    sim_schedule(s, s->faults.fault_every_us, SIM_FAULT, NULL);
    sim_schedule(s, s->heal_us, SIM_HEAL, NULL);
}

static void end(struct sim *s) {
    s->done = true;
    for (uint32_t i = 0; i < s->processes; i++) {
        if (s->process[i]->alive) {
            end_process(s->process[i], true); // looks at all of them
        }
    }
    for (uint32_t i = 0; i < s->processes; i++) {
        free(s->process[i]);
    }
    sim_forget_events(s);
    wire_destroy(&s->pack);
    wire_destroy(&s->unpack);
    disk_deinit(&s->disk);
}

bool sim_run(struct sim *s) {
    begin(s);
    while (!s->violation[0] && !s->done && s->heap_len > 0) {
        struct sim_event e = sim_next_event(s);
        execute(s, &e);
        s->executed++;
        if (s->now_us > RUN_US_MAX) {
            check_fail(s, "5: the run has not ended after %d s", RUN_US_MAX / 1000000);
        }
    }
    if (!s->violation[0]) {
        check_end(s);
    }
    end(s);
    return !s->violation[0];
}
