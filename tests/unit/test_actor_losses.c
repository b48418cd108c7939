// SPDX-License-Identifier: MIT
// Shows that an actor and a server that follow the protocol store every row once and
// in order under any loss of messages. A minimal reference server answers. A
// simulated network drops messages in both directions, forgets peers and goes silent,
// at random from a seed. A failure prints the seed. A wait for a slow environment loses
// no connection.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "common/base/rng.h"
#include "tests/unit/actor_world.h"

#define SEEDS 40
#define ROUNDS 1000
#define STEPS_A_ROUND 3
#define HEALING_ROUNDS 500

struct server {
    struct rng rng;
    double loss;     // share of messages that are lost
    bool known;      // has the actor's Hello
    uint64_t stored; // last message
    uint64_t rows;   // in those
    uint64_t silent_until_ms;
};

static bool lost(struct server *s) {
    return rng_uniform(&s->rng) < s->loss;
}

// The rows continue those of the previous message: obs[1] counts the steps of an
// episode.
static void store(struct server *s, const struct wire_msg *m) {
    const struct wire_transitions *t = &m->transitions;
    for (uint32_t i = 0; i < t->rows.rows; i++) {
        assert_true(m->transitions.rows.obs[i * OBS_DIM + 1] ==
                    (float)((s->rows + i) % EPISODE_STEPS));
        assert_int_equal(m->transitions.rows.flags[i] != 0,
                         (s->rows + i) % EPISODE_STEPS == EPISODE_STEPS - 1);
    }
    s->stored = t->seq;
    s->rows += t->rows.rows;
}

static void reply(struct world *w, struct server *s, struct wire_msg *msg) {
    if (!lost(s)) {
        hear(w, PORT_MODELSERVER, msg);
    }
}

static void serve(struct world *w, struct server *s, const struct wire_msg *m) {
    if (m->type == WIRE_HELLO) {
        s->known = true;
        if (!lost(s)) {
            welcome_with(w, s->stored + 1, s->rows, s->rows / EPISODE_STEPS);
        }
        return;
    }
    if (!s->known) {
        struct wire_msg unknown = {.type = WIRE_REFUSE, .refuse = {.code = WIRE_REFUSED_UNKNOWN}};
        reply(w, s, &unknown);
        return;
    }
    if (m->type == WIRE_TRANSITIONS) {
        if (m->transitions.seq == s->stored + 1) {
            store(s, m);
        }
        struct wire_msg ack = {.type = WIRE_ACK, .ack = {.seq = s->stored}};
        reply(w, s, &ack);
    }
}

// Delivers the actor's messages to the server, and the answers.
static void deliver(struct world *w, struct server *s) {
    for (int i = 0, n = w->sent.count; i < n; i++) { // serving makes no others
        if (w->now_ms >= s->silent_until_ms && !lost(s)) {
            serve(w, s, &w->sent.all[i]->msg);
        }
    }
    sent_forget(&w->sent);
}

static void round_of(struct world *w, struct server *s, uint64_t steps_allowed) {
    struct wire_msg credit = {.type = WIRE_CREDIT};
    credit.credit.steps_allowed = credit.credit.random_steps = steps_allowed;
    if (s->known && w->now_ms >= s->silent_until_ms) {
        reply(w, s, &credit);
    }
    actor_step(w->actor, w->now_ms);
    deliver(w, s);
    pass(w, 100);
    deliver(w, s);
}

// Returns the number of resent messages.
static uint64_t each_row_is_stored_once(uint64_t seed) {
    struct world *w = world_make(false);
    struct server s = {.rng = rng_make(seed, RNG_TEST, 0), .loss = 0.1};
    for (int i = 0; i < ROUNDS; i++) {
        if (rng_uniform(&s.rng) < 0.02) {
            s.known = false; // a new connection for the server
        }
        if (rng_uniform(&s.rng) < 0.01) {
            s.silent_until_ms = w->now_ms + rng_below(&s.rng, 8000);
        }
        round_of(w, &s, (uint64_t)(i + 1) * STEPS_A_ROUND);
    }
    // The network recovers: everything arrives.
    s.loss = 0;
    s.silent_until_ms = 0;
    int healing = 0;
    while (healing++ < HEALING_ROUNDS && s.rows < ROUNDS * STEPS_A_ROUND) {
        round_of(w, &s, ROUNDS * STEPS_A_ROUND);
    }
    round_of(w, &s, ROUNDS * STEPS_A_ROUND);
    if (s.rows != ROUNDS * STEPS_A_ROUND || line_of(w).unacked_rows != 0) {
        fail_msg("seed %llu: %llu rows stored, %llu not acknowledged, of %d",
                 (unsigned long long)seed, (unsigned long long)s.rows,
                 (unsigned long long)line_of(w).unacked_rows, ROUNDS * STEPS_A_ROUND);
    }
    assert_int_equal(line_of(w).steps, s.rows);
    uint64_t resent = counter(w, "messages_resent");
    world_free(w);
    return resent;
}

static void losses_of_all_kinds(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        assert_true(each_row_is_stored_once(seed) > 10); // enough rows for a meaningful test
    }
}

// The time of a wait for an environment is not the model server's silence: its messages have not
// been read yet.
static void a_wait_loses_nobody(void **state) {
    (void)state;
    struct world *w = world_make(false);
    slow_until_ms = w->now_ms + 5000;
    welcome(w);
    w->now_ms = slow_until_ms + 100;
    actor_on_tick(w->actor, w->now_ms);
    assert_int_equal(w->reopened, 0);
    pass(w, 3000);
    assert_int_equal(w->reopened, 1); // silent since the end of the wait
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(losses_of_all_kinds),
                                       cmocka_unit_test(a_wait_loses_nobody)};
    log_init("test_actor_losses", LOG_ERROR, -1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
