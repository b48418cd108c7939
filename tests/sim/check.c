// SPDX-License-Identifier: MIT
// The invariants of the system, numbered:
//  1  stored rows are the acknowledged ones, each once, in the order of their actor
//  2  updates are within the bounds of the ratio; so are steps, apart from rows on credit that
//     was withdrawn
//  3  versions of policies never decrease, and name one policy each; a start's number is its own
//  4  only rows of the store, in its order, reach the trainer
//  5  when all run and the network is whole, the run makes progress within a bounded time
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/check.h"
#include "modelserver/core/core.h"
#include "tests/sim/sim.h"

#define STILL_US_MAX 25000000 // longest time without progress

void check_fail(struct sim *s, const char *fmt, ...) {
    if (s->violation[0]) {
        return; // the first one counts
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(s->violation, sizeof(s->violation), fmt, args);
    va_end(args);
    sim_trace(s, "VIOLATION %s", s->violation);
}

// False: the key has another value already.
static bool is_unique(struct sim_pair *pairs, int *count, uint64_t key, uint64_t value) {
    for (int i = 0; i < *count; i++) {
        if (pairs[i].key == key) {
            return pairs[i].value == value;
        }
    }
    CHECK(*count < 4096);
    pairs[(*count)++] = (struct sim_pair){key, value};
    return true;
}

// ---- 1: rows ----

void check_stored(struct sim *s, const struct sim_row *row) {
    struct sim_process *p =
        row->process >= 1 && row->process <= s->processes ? s->process[row->process - 1] : NULL;
    if (!p || (p->kind != SIM_ACTOR && p->kind != SIM_STRANGER)) {
        check_fail(s, "1: a row is stored that nobody made");
    } else if (p->kind == SIM_STRANGER) {
        s->withdrawn++;
    } else if (row->number != p->stored + 1) {
        check_fail(s, "1: row %u of %s#%u is stored after row %" PRIu64, row->number, p->id,
                   p->number, p->stored);
    } else {
        p->stored++;
    }
}

static void check_acknowledged(struct sim *s, struct sim_process *p) {
    static struct wire_status status;
    struct wire_actor_status line;
    actor_status(p->actor, sim_now_ms(p), &status, &line);
    p->acknowledged = false;
    if (p->made - line.unacked_rows > p->stored) {
        check_fail(s, "1: %s#%u dropped %" PRIu64 " rows as acknowledged, %" PRIu64 " are stored",
                   p->id, p->number, p->made - line.unacked_rows, p->stored);
    }
}

static void check_ack(struct sim *s, const struct sim_process *to, uint64_t seq) {
    for (uint64_t i = 0; i < s->disk.actors; i++) {
        const struct store_actor *a = &s->disk.actor[i];
        if (strcmp(a->id, to->id) == 0 && a->incarnation == to->incarnation && seq > a->seq) {
            check_fail(s, "1: message %" PRIu64 " of %s is acknowledged, %" PRIu64 " is stored",
                       seq, to->id, a->seq);
        }
    }
}

// ---- 2: the ratio ----

static void withdraw(struct sim *s, struct sim_process *p) {
    s->withdrawn += p->allowed > p->stored ? p->allowed - p->stored : 0;
    p->allowed = p->stored;
}

static void check_credit(struct sim *s, struct sim_process *to, uint64_t allowed) {
    if (allowed < to->allowed) {
        s->withdrawn += to->allowed - allowed;
    }
    to->allowed = allowed;
}

static void check_ratio(struct sim *s) {
    const struct config *c = &s->config;
    double G = c->pacing.updates_per_step, S = (double)s->disk.rows;
    double E = (double)config_explore_end(c), W = (double)config_warm_start(c);
    double slack = fmax((double)c->pacing.slack_steps, ceil(1 / G));
    double late = c->pacing.mode == PACING_RATIO ? slack : 0;
    double most = S < E ? 0 : W + floor(G * (S - E) + G * late);
    const struct sim_process *learner = s->slot[1].process;
    uint64_t updates = learner ? learner->trainer.report.updates : 0;
    if ((double)updates > most) {
        check_fail(s, "2: %" PRIu64 " updates at %g steps, at most %g", updates, S, most);
    }
    double U = fmax(0, (double)s->updates_max - W);
    double steps = c->pacing.mode == PACING_LOCKSTEP ? ceil((U + 1) / G) : U / G + slack;
    steps += E + (double)s->withdrawn;
    if (c->pacing.mode != PACING_FREE && S > steps) {
        check_fail(s, "2: %g steps at %" PRIu64 " updates, at most %g", S, s->updates_max, steps);
    }
}

// ---- 3: versions ----

static void check_welcome(struct sim *s, struct sim_process *to, const struct wire_welcome *w) {
    int role = to->kind == SIM_LEARNER     ? WIRE_ROLE_LEARNER
               : to->kind == SIM_EVALUATOR ? WIRE_ROLE_EVALUATOR
                                           : WIRE_ROLE_ACTOR;
    uint64_t key = (uint64_t)role << 32 | w->incarnation;
    to->incarnation = w->incarnation;
    if (!is_unique(s->start, &s->start_count, key, to->number)) {
        check_fail(s, "3: start %" PRIu64 " of %s was another process before", w->incarnation,
                   to->id);
    }
}

static void check_version(struct sim *s, uint64_t *newest, uint64_t version, const char *who) {
    if (version > 0 && version < *newest) {
        check_fail(s, "3: %s: policy %" PRIx64 " after %" PRIx64, who, version, *newest);
    }
    *newest = version > *newest ? version : *newest;
}

static void check_policy(struct sim *s, const struct wire_policy *p) {
    if (p->params_len > 0 && !is_unique(s->policy, &s->policy_count, p->version, p->updates)) {
        check_fail(s, "3: two policies are version %" PRIx64, p->version);
    }
}

// ---- messages ----

void check_sent(struct sim *s, struct sim_process *from, struct sim_process *to,
                const struct wire_msg *msg) {
    if (from->kind == SIM_STRANGER || to->kind == SIM_STRANGER) {
        return;
    }
    if (msg->type == WIRE_WELCOME) {
        check_welcome(s, to, &msg->welcome);
    } else if (msg->type == WIRE_ACK) {
        check_ack(s, to, msg->ack.seq);
    } else if (msg->type == WIRE_CREDIT) {
        check_credit(s, to, msg->credit.steps_allowed);
        check_version(s, &s->newest, msg->credit.newest_policy_version, "the model server");
    } else if (msg->type == WIRE_TRANSITIONS && msg->transitions.seq > from->seq) {
        from->seq = msg->transitions.seq; // earlier ones are repeated
        check_version(s, &from->policy_version, msg->transitions.policy_version, from->id);
    } else if (msg->type == WIRE_POLICY) {
        check_policy(s, &msg->policy);
    }
}

void check_delivered(struct sim *s, struct sim_process *to, struct sim_process *from,
                     const struct wire_msg *msg) {
    if (to->ms && from->actor) {
        uint64_t lost_us = s->config.network.lost_after_ms * 1000;
        if (s->now_us - from->heard_us + 200000 > lost_us) {
            withdraw(s, from);
        }
        from->heard_us = s->now_us;
    }
    s->gone = to->ms && msg->type == WIRE_GOODBYE && from->kind == SIM_ACTOR ? from : NULL;
    to->acknowledged = to->actor && (msg->type == WIRE_ACK || msg->type == WIRE_WELCOME);
}

// ---- 4: rows of the trainer ----

void check_trained(struct sim_process *p, const struct trainer_command *c) {
    struct sim *s = p->sim;
    const struct sim_disk *d = &s->disk;
    uint64_t first = p->trainer.real_rows, o = d->columns.obs_dim;
    if (c->model || c->rows.n == 0) {
        return;
    }
    if (first + c->rows.n > d->rows ||
        memcmp(c->rows.next_obs, d->next_obs + first * o, c->rows.n * o * sizeof(float)) != 0) {
        check_fail(s, "4: the trainer of %s#%u received other rows than %" PRIu64 " to %" PRIu64,
                   p->id, p->number, first, first + c->rows.n);
    }
}

// ---- 5: progress ----

static void check_progress(struct sim *s) {
    uint64_t mark = s->disk.rows + 7919 * s->disk.history.evaluations + s->processes;
    const struct sim_process *learner = s->slot[1].process;
    mark = mark * 65537 + (learner ? learner->trainer.report.updates : 0);
    if (mark != s->mark || !s->healed) {
        uint64_t still_us = s->healed ? s->now_us - s->moved_us : 0;
        s->still_us_max = still_us > s->still_us_max ? still_us : s->still_us_max;
        s->mark = mark;
        s->moved_us = s->now_us;
    } else if (s->now_us - s->moved_us > STILL_US_MAX) {
        static struct wire_status status;
        if (s->slot[0].process) {
            ms_status(s->slot[0].process->ms, sim_now_ms(s->slot[0].process), &status);
        }
        check_fail(s, "5: no progress for %d s at %" PRIu64 " steps, %" PRIu64 " updates: %s",
                   STILL_US_MAX / 1000000, s->disk.rows, s->updates_max,
                   status.stuck[0] ? status.stuck : status.waiting);
    }
}

// ---- after events ----

// An actor that said Goodbye on the connection of its Hello has left at once.
static void check_left(struct sim *s, const struct sim_process *server,
                       const struct sim_process *p) {
    const struct peer *peer = peers_by_id(server->ms->peers, WIRE_ROLE_ACTOR, p->id);
    if (peer && net_peer_equal(&peer->route, &s->route) && peer->incarnation == p->incarnation &&
        peer->state != WIRE_PEER_LEFT) {
        check_fail(s, "5: %s#%u said Goodbye and is not gone", p->id, p->number);
    }
}

void check_gone(struct sim *s, const struct sim_process *p) {
    for (uint32_t i = 0; i < s->processes; i++) {
        struct sim_process *actor = s->process[i];
        if (actor->actor && (actor == p || p->ms)) {
            withdraw(s, actor);
        }
    }
}

void check_after(struct sim *s, const struct sim_process *p) {
    uint64_t updates = p->trainer.report.updates;
    s->updates_max = updates > s->updates_max ? updates : s->updates_max;
    check_ratio(s);
    check_progress(s);
    if (p->acknowledged) {
        check_acknowledged(s, s->process[p->number - 1]);
    }
    if (p->ms && s->gone) {
        check_left(s, s->process[p->number - 1], s->gone);
        s->gone = NULL;
    }
}

void check_end(struct sim *s) {
    if (!s->done) {
        check_fail(s, "5: nothing happens any more at %" PRIu64 " steps", s->disk.rows);
    }
}
