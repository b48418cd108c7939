// SPDX-License-Identifier: MIT
// The learner's process: the core, and a stand-in for its trainer and that one's thread. The
// rules are those of learner/trainer.c, without numbers.
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/sim.h"

#define COMMAND_US 300 // to handle one

static struct policy shape_of(const struct sim *s) {
    return ms_policy(&s->config, s->task);
}

static void refresh(struct sim_process *p) {
    const struct config *c = &p->sim->config;
    struct trainer_report *r = &p->trainer.report;
    bool ready = !config_has_states(c) || (p->trainer.model_version > 0 && r->model_rows > 0);
    r->real_rows = p->trainer.real_rows;
    uint64_t extra = p->sim->plant == PLANT_grant_ignored;
    r->idle = r->finished || r->real_rows == 0 || !ready ||
              r->updates >= r->updates_allowed + (r->updates_allowed > 0 ? extra : 0);
}

// As worker_take and learner_on_report in learner/main.c.
static void report(struct sim_process *p, bool published) {
    static const float params[65536];
    struct policy shape = shape_of(p->sim);
    CHECK(policy_params(&shape) <= sizeof(params) / sizeof(params[0]));
    struct trainer_report *r = &p->trainer.report;
    if (p->sim->plant == PLANT_report_lost && r->idle && r->updates > 8) {
        return;
    }
    learner_on_report(p->learner, sim_now_ms(p), r, published ? params : NULL, r->policy_version,
                      r->updates);
    metrics_sum_clear(&r->sum);
}

void trainer_wake(struct sim_process *p) {
    struct sim_trainer *t = &p->trainer;
    if (!t->busy && (t->count > 0 || !t->report.idle)) {
        t->busy = true;
        sim_schedule(p->sim, t->count > 0 ? COMMAND_US : p->sim->update_us, SIM_TRAIN, p);
    }
}

static bool submit(void *arg, struct trainer_command *command) {
    struct sim_process *p = arg;
    struct sim_trainer *t = &p->trainer;
    if (t->count == LEARNER_COMMANDS_MAX) {
        return false;
    }
    t->queue[(t->head + t->count++) % LEARNER_COMMANDS_MAX] = command;
    trainer_wake(p);
    return true;
}

// ---- checkpoints: begun by the trainer, durable when the writer ends ----

static void save_begins(struct sim_process *p, uint64_t step) {
    const struct trainer_report *r = &p->trainer.report;
    struct sim_event *e =
        sim_schedule(p->sim, sim_between(p->sim, 1000, 60000), SIM_LEARNER_SAVE, p);
    e->value[0] = r->updates;
    e->value[1] = r->policy_version;
    e->value[2] = r->model_rows;
    e->value[3] = r->states;
    e->value[4] = step;
}

static bool save_ends(struct sim_process *p, const uint64_t value[5]) {
    struct sim_disk *d = &p->sim->disk;
    struct trainer_report *r = &p->trainer.report;
    if (d->full || p->sim->slot[p->slot].process != p) {
        r->checkpoint_failures += d->full;
        return false;
    }
    d->has_learner = true;
    d->updates = value[0] + (p->sim->plant == PLANT_checkpoint_of_later ? 16 : 0);
    d->version = value[1];
    d->learner_model_rows = value[2];
    d->states = value[3];
    d->learner_step = r->checkpoint_step = value[4];
    r->checkpoints++;
    r->saved = true;
    return true;
}

// ---- commands and updates ----

static void add_experience(struct sim_process *p, const struct trainer_command *c) {
    struct trainer_report *r = &p->trainer.report;
    check_trained(p, c);
    if (c->model) {
        uint64_t rows = r->model_rows + c->rows.n;
        r->model_rows = rows < r->model_capacity ? rows : r->model_capacity;
    } else {
        p->trainer.real_rows += c->rows.n;
    }
}

static void handle(struct sim_process *p, struct trainer_command *c) {
    struct trainer_report *r = &p->trainer.report;
    if (c->kind == TRAINER_EXPERIENCE || c->kind == TRAINER_MODEL || c->kind == TRAINER_STATES) {
        r->session = c->session;
        r->experience_seq = c->seq;
    }
    if (c->kind == TRAINER_EXPERIENCE) {
        add_experience(p, c);
    } else if (c->kind == TRAINER_MODEL) {
        p->trainer.model_version = c->ensemble.version;
    } else if (c->kind == TRAINER_STATES) {
        r->model_rows += c->states.rows;
        r->states++;
    } else if (c->kind == TRAINER_GRANT) {
        r->updates_allowed = c->updates_allowed;
        r->model_capacity = c->model_capacity;
        r->model_rows = r->model_rows < r->model_capacity || config_has_states(&p->sim->config)
                            ? r->model_rows
                            : r->model_capacity;
    } else if (c->kind == TRAINER_CHECKPOINT) {
        save_begins(p, c->step);
    } else if (c->kind == TRAINER_FINISH) {
        const uint64_t now[5] = {r->updates, r->policy_version, r->model_rows, r->states};
        r->saved = p->sim->config.pacing.mode == PACING_LOCKSTEP; // there only when asked for
        if (!r->saved) {
            save_ends(p, now);
        }
        r->finished = true;
    }
    trainer_command_destroy(&c);
}

// True: published.
static bool update(struct sim_process *p) {
    struct trainer_report *r = &p->trainer.report;
    r->updates++;
    bool published = r->updates % config_publish_every(&p->sim->config) == 0;
    bool repeats = p->sim->plant == PLANT_version_repeated && r->updates > 20;
    r->policy_version += published && !repeats;
    return published;
}

static struct trainer_command *take(struct sim_process *p) {
    struct sim_trainer *t = &p->trainer;
    int first = t->head, second = (first + 1) % LEARNER_COMMANDS_MAX;
    if (p->sim->plant == PLANT_rows_swapped && t->count > 1 &&
        t->queue[first]->kind == TRAINER_EXPERIENCE &&
        t->queue[second]->kind == TRAINER_EXPERIENCE) {
        struct trainer_command *c = t->queue[first];
        t->queue[first] = t->queue[second];
        t->queue[second] = c;
    }
    t->head = second;
    t->count--;
    return t->queue[first];
}

void trainer_event(struct sim_process *p, struct sim_event *e) {
    struct sim_trainer *t = &p->trainer;
    bool published = false;
    if (e->kind == SIM_LEARNER_SAVE) {
        save_ends(p, e->value);
    } else {
        t->busy = false;
        if (t->count > 0) {
            handle(p, take(p));
        } else if (!t->report.idle) {
            published = update(p);
        }
    }
    refresh(p);
    report(p, published);
    trainer_wake(p);
}

// ---- life ----

static bool is_bound(const struct sim *s, const char *endpoint) {
    for (uint32_t i = 0; i < s->processes; i++) {
        if (s->process[i]->alive && strcmp(s->process[i]->endpoint, endpoint) == 0) {
            return true;
        }
    }
    return false;
}

void trainer_start(struct sim_process *p) {
    struct sim *s = p->sim;
    const struct sim_disk *d = &s->disk;
    bool rows = s->config.pacing.mode == PACING_LOCKSTEP || config_has_states(&s->config);
    struct trainer_report *r = &p->trainer.report;
    *r = (struct trainer_report){.policy_version = 1};
    if (d->has_learner) {
        r->updates = d->updates;
        r->policy_version = d->version;
        r->states = d->states;
        r->checkpoint_step = d->learner_step;
        r->model_rows = rows ? d->learner_model_rows : 0;
    }
    r->model_capacity = config_has_states(&s->config) ? 0 : config_model_rows(&s->config, 0);
    refresh(p);
    bool moved = (s->faults.moves && sim_chance(s, 0.5)) || is_bound(s, "sim://learner");
    snprintf(p->endpoint, sizeof(p->endpoint), moved ? "sim://learner-%u" : "sim://learner",
             p->number);
    p->learner_who = (struct learner_identity){.config = &s->config,
                                               .task = s->task,
                                               .id = "learner",
                                               .host = "sim",
                                               .modelserver = "sim://modelserver",
                                               .endpoint = p->endpoint,
                                               .pid = p->number};
    const struct learner_jobs jobs = {.arg = p, .submit = submit};
    struct policy shape = shape_of(s);
    p->learner = learner_create(&p->learner_who, &p->port, &jobs, &shape, sim_now_ms(p));
    report(p, true);
}

void trainer_stop(struct sim_process *p) {
    struct sim_trainer *t = &p->trainer;
    for (; t->count > 0; t->count--) {
        trainer_command_destroy(&t->queue[t->head]);
        t->head = (t->head + 1) % LEARNER_COMMANDS_MAX;
    }
    learner_destroy(&p->learner);
}
