// SPDX-License-Identifier: MIT
// Shows that the actor's core follows the protocol: credits, acknowledgements and
// resending, versions, bounds, refusals, episodes, random streams. The test plays
// the other side (actor_world.h).
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "tests/unit/actor_world.h"

static void ack(struct world *w, uint64_t seq) {
    struct wire_msg msg = {.type = WIRE_ACK, .ack = {.seq = seq}};
    hear(w, PORT_MODELSERVER, &msg);
}

static void credits_are_respected(void **state) {
    (void)state;
    struct world *w = world_make(false);
    assert_false(actor_may_step(w->actor));
    welcome(w);
    assert_false(actor_may_step(w->actor)); // welcome, but no credit
    credit(w, 6, 100, 0, 0);
    step(w);
    assert_int_equal(steps_taken, 6);
    assert_int_equal(rows_sent(w), 6); // and sent, since no further step is allowed
    assert_int_equal(count_sent(w, WIRE_TRANSITIONS), 2); // 4 + 2: batches are bounded
    assert_non_null(strstr(line_of(w).waiting, "the learner is behind"));

    credit(w, 6, 100, 0, 0); // a total: repeating it has no effect
    assert_false(actor_may_step(w->actor));
    credit(w, 4, 100, 0, 0); // withdrawn
    assert_false(actor_may_step(w->actor));
    credit(w, 7, 100, 0, 0);
    step(w);
    assert_int_equal(steps_taken, 7);
    world_free(w);
}

static void rows_are_what_happened(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 7, 100, 0, 0);
    step(w);
    const struct wire_transitions *first = &find_sent(w, WIRE_TRANSITIONS, 0)->transitions;
    const struct wire_transitions *second = &find_sent(w, WIRE_TRANSITIONS, 1)->transitions;
    const struct wire_rows *one = &first->rows, *two = &second->rows;
    assert_int_equal(first->seq, 1);
    assert_int_equal(second->seq, 2);
    assert_int_equal(first->policy_version, 0);
    for (int i = 0; i < 4; i++) {
        assert_true(one->obs[i * OBS_DIM + 1] == (float)i);
        assert_true(one->next_obs[i * OBS_DIM + 1] == (float)i + 1);
        assert_true(one->next_obs[i * OBS_DIM + 2] == one->act[i]);
        assert_true(fabsf(one->act[i]) <= 1);
        assert_true(one->reward[i] == (float)i + 1);
        assert_int_equal(one->flags[i], 0);
    }
    // The fifth row ends the episode with its true next observation; the sixth starts a new one.
    assert_int_equal(two->flags[0], WIRE_TRUNCATED);
    assert_true(two->next_obs[1] == EPISODE_STEPS);
    assert_true(two->obs[OBS_DIM + 1] == 0);
    assert_true(two->obs[OBS_DIM] != one->obs[0]); // another start state

    const struct wire_episode *episode = &find_sent(w, WIRE_EPISODE, 0)->episode;
    assert_int_equal(episode->length, EPISODE_STEPS);
    assert_true(episode->episode_return == 15);
    assert_false(episode->terminated);
    world_free(w);
}

static void a_message_is_sent_after_20_ms(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, ACTOR_STEPS_PER_CALL + 3, 100, 0, 0);
    actor_step(w->actor, w->now_ms); // 8 rows: two full messages
    assert_int_equal(rows_sent(w), 8);
    credit(w, 1000, 1000, 0, 0);
    ack(w, 2);
    w->now_ms += ACTOR_FLUSH_MS + 1;
    actor_step(w->actor, w->now_ms);
    assert_int_equal(rows_sent(w), 16);
    world_free(w);
}

static void acknowledged_rows_are_freed(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 100, 100, 0, 0);
    step(w);
    assert_int_equal(steps_taken, UNACKED_MAX); // the limit of unacknowledged rows
    assert_int_equal(line_of(w).unacked_rows, UNACKED_MAX);
    assert_non_null(strstr(line_of(w).waiting, "acknowledge"));
    ack(w, 1);
    assert_int_equal(line_of(w).unacked_rows, UNACKED_MAX - 4);
    step(w);
    assert_int_equal(steps_taken, UNACKED_MAX + 4);
    ack(w, 1); // repeated and older ones have no effect
    ack(w, 0);
    assert_int_equal(line_of(w).unacked_rows, UNACKED_MAX);
    ack(w, 99); // of a message never sent
    assert_int_equal(counter(w, "messages_unexpected"), 1);
    assert_int_equal(line_of(w).unacked_rows, UNACKED_MAX);
    world_free(w);
}

// Whether exactly the messages first..last were sent, in order.
static void assert_sent_seqs(const struct world *w, uint64_t first, uint64_t last) {
    assert_int_equal(count_sent(w, WIRE_TRANSITIONS), last - first + 1);
    for (uint64_t seq = first; seq <= last; seq++) {
        const struct wire_msg *s = find_sent(w, WIRE_TRANSITIONS, (int)(seq - first));
        assert_int_equal(s->transitions.seq, seq);
        assert_true(s->transitions.rows.reward[0] ==
                    (float)((seq - 1) * BATCH_MAX % EPISODE_STEPS + 1));
    }
}

static void resends_after_silence_gap_and_welcome(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 12, 100, 0, 0);
    step(w);
    assert_sent_seqs(w, 1, 3);

    // The server has message 1 only and acknowledges it twice: 2 and 3 were lost.
    ack(w, 1);
    sent_forget(&w->sent);
    w->now_ms += 600;
    ack(w, 1);
    assert_sent_seqs(w, 2, 3);
    ack(w, 1); // a burst of such answers causes one resend
    assert_sent_seqs(w, 2, 3);
    assert_int_equal(counter(w, "messages_resent"), 2);

    // Heartbeats arrive, acknowledgements do not.
    sent_forget(&w->sent);
    for (int i = 0; i < 7; i++) {
        credit(w, 12, 100, 0, 0);
        pass(w, 500);
    }
    assert_sent_seqs(w, 2, 3);

    // A server that forgot the routing id, and has stored 2 by now.
    sent_forget(&w->sent);
    struct wire_msg unknown = {.type = WIRE_REFUSE, .refuse = {.code = WIRE_REFUSED_UNKNOWN}};
    hear(w, PORT_MODELSERVER, &unknown);
    pass(w, 50);
    assert_int_equal(count_sent(w, WIRE_HELLO), 1);
    assert_int_equal(count_sent(w, WIRE_TRANSITIONS), 0);
    welcome_with(w, 3, 8, 2);
    assert_sent_seqs(w, 3, 3);
    assert_int_equal(line_of(w).unacked_rows, 4);
    assert_int_equal(line_of(w).steps, 12); // not counted twice
    world_free(w);
}

static void a_full_socket_loses_nothing(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 8, 100, 0, 0);
    w->deaf = true;
    step(w);
    assert_int_equal(w->sent.count, 0);
    assert_int_equal(counter(w, "episodes_unsent"), 1);
    w->deaf = false;
    pass(w, 50);
    assert_sent_seqs(w, 1, 2);
    world_free(w);
}

static void a_server_that_lost_rows_is_not_trusted(void **state) {
    (void)state;
    struct world *w = world_make(false);
    int code;
    welcome(w);
    credit(w, 8, 100, 0, 0);
    step(w);
    ack(w, 2);
    struct wire_msg unknown = {.type = WIRE_REFUSE, .refuse = {.code = WIRE_REFUSED_UNKNOWN}};
    hear(w, PORT_MODELSERVER, &unknown);
    pass(w, 50);
    welcome_with(w, 2, 4, 1);
    assert_true(finished(w, &code));
    assert_int_equal(code, EXIT_CODE_TEMPFAIL);
    world_free(w);
}

static void waits_for_the_required_policy(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 10, 2, 0, 0);
    step(w);
    assert_int_equal(steps_taken, 2); // exploration is over and there is no policy
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 1);
    int get = sent_position(&w->sent, 0, WIRE_POLICY_GET, 0);
    assert_int_equal(w->sent.all[get]->socket, PORT_LEARNER);
    give_policy(w, 1);
    credit(w, 3, 2, 1, 1);
    step(w);
    assert_int_equal(steps_taken, 3);

    sent_forget(&w->sent);
    credit(w, 4, 2, 2, 2);
    assert_false(actor_may_step(w->actor));
    assert_int_equal(find_sent(w, WIRE_POLICY_GET, 0)->policy_get.have_version, 1);
    assert_non_null(strstr(line_of(w).waiting, "policy 2, has 1"));
    give_policy(w, 2);
    step(w);
    assert_int_equal(steps_taken, 4);
    assert_int_equal(find_sent(w, WIRE_TRANSITIONS, 0)->transitions.policy_version, 2);

    // Older versions have no effect.
    give_policy(w, 1);
    assert_int_equal(line_of(w).policy_version, 2);
    world_free(w);
}

// Many actors take turns: each fetches a policy for its own turn alone, and acts by it.
static void a_policy_is_fetched_for_its_turn(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 2, 2, 0, 1); // random steps need none
    step(w);
    for (uint64_t newest = 2; newest <= 9; newest++) {
        credit(w, 2, 2, 0, newest);
        pass(w, 200);
    }
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 0);
    credit(w, 3, 2, 0, 9); // its turn
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 1);
    give_policy(w, 9);
    step(w);
    assert_int_equal(steps_taken, 3);

    sent_forget(&w->sent);
    credit(w, 3, 2, 0, 20); // others act
    pass(w, 200);
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 0);
    credit(w, 4, 2, 0, 20);
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 1);
    assert_false(actor_may_step(w->actor)); // although policy 9 would suffice
    assert_non_null(strstr(line_of(w).waiting, "policy 20, has 9"));
    give_policy(w, 20);
    step(w);
    assert_int_equal(find_sent(w, WIRE_TRANSITIONS, 0)->transitions.policy_version, 20);

    // A policy of the last 20 ms is new enough.
    credit(w, 5, 2, 0, 21);
    assert_true(actor_may_step(w->actor));
    step(w);

    // The wait is short: without an answer it acts by the policy at hand.
    pass(w, 50);
    credit(w, 6, 2, 0, 30);
    assert_false(actor_may_step(w->actor));
    pass(w, ACTOR_POLICY_WAIT_MS);
    assert_true(actor_may_step(w->actor));
    give_policy(w, 30);

    // With credit left, a newer policy does not stop it.
    credit(w, 9, 2, 0, 31);
    assert_true(actor_may_step(w->actor));
    world_free(w);
}

static void versions_never_decrease(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 10, 0, 5, 5);
    give_policy(w, 5);
    credit(w, 10, 0, 5, 6);
    give_policy(w, 4);
    assert_int_equal(counter(w, "policies_stale"), 1);
    assert_int_equal(line_of(w).policy_version, 5);
    assert_true(actor_may_step(w->actor)); // 5 suffices, although a newer one exists
    world_free(w);
}

static void requests_pause_without_a_new_policy(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 10, 0, 3, 3);
    for (int i = 0; i < 20; i++) { // immediate answers, each without weights
        struct wire_msg msg = {.type = WIRE_POLICY, .policy = {.version = 2}};
        hear(w, PORT_LEARNER, &msg);
    }
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 1);
    pass(w, ACTOR_POLICY_RETRY_MS);
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 2);
    world_free(w);
}

static void policies_that_do_not_fit_are_refused(void **state) {
    (void)state;
    struct world *w = world_make(false);
    float params[512] = {0};
    welcome(w);
    credit(w, 10, 0, 1, 1);

    struct wire_policy good = make_policy(params, 1), p = good;
    struct wire_msg msg = {.type = WIRE_POLICY};
    p.obs_dim = OBS_DIM + 1; // another task's
    msg.policy = p;
    hear(w, PORT_LEARNER, &msg);
    pass(w, 100);
    p = good;
    p.params_len--; // short
    msg.policy = p;
    hear(w, PORT_LEARNER, &msg);
    pass(w, 100);
    p = good;
    p.params_len++; // long
    msg.policy = p;
    hear(w, PORT_LEARNER, &msg);
    pass(w, 100);
    p = good;
    p.hidden_layers = 1000; // more than supported
    msg.policy = p;
    hear(w, PORT_LEARNER, &msg);
    pass(w, 100);
    assert_int_equal(counter(w, "policies_refused"), 4);
    assert_false(actor_may_step(w->actor));

    msg.policy = good;
    hear(w, PORT_LEARNER, &msg);
    assert_true(actor_may_step(w->actor));
    world_free(w);
}

static void a_policy_that_overflows_is_not_acted_on(void **state) {
    (void)state;
    struct world *w = world_make(false);
    float params[256];
    welcome(w);
    credit(w, 10, 0, 1, 1);
    struct wire_msg msg = {.type = WIRE_POLICY, .policy = make_policy(params, 1)};
    for (uint64_t i = 0; i < msg.policy.params_len; i++) {
        params[i] = i >= 32 && i % 2 ? -3e38f : 3e38f; // each is finite, their sums are not
    }
    hear(w, PORT_LEARNER, &msg);
    step(w);
    assert_int_equal(rows_sent(w), 0);
    assert_int_equal(counter(w, "policies_broken"), 1);
    assert_non_null(strstr(line_of(w).waiting, "non-finite"));
    give_policy(w, 2);
    step(w);
    assert_int_equal(rows_sent(w), 10);
    world_free(w);
}

static void random_and_policy_rows_do_not_mix(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 4, 2, 0, 1);
    give_policy(w, 1);
    step(w);
    assert_int_equal(count_sent(w, WIRE_TRANSITIONS), 2);
    assert_int_equal(find_sent(w, WIRE_TRANSITIONS, 0)->transitions.policy_version, 0);
    assert_int_equal(find_sent(w, WIRE_TRANSITIONS, 0)->transitions.rows.rows, 2);
    assert_int_equal(find_sent(w, WIRE_TRANSITIONS, 1)->transitions.policy_version, 1);
    world_free(w);
}

static void a_bad_step_is_dropped(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    bad_step_at = 3;
    credit(w, 4, 100, 0, 0);
    step(w);
    assert_int_equal(steps_taken, 5); // one of them makes no row
    assert_int_equal(rows_sent(w), 4);
    assert_int_equal(counter(w, "steps_bad"), 1);
    const struct wire_msg *s = find_sent(w, WIRE_TRANSITIONS, 0);
    assert_int_equal(s->transitions.rows.flags[0], 0);
    assert_int_equal(s->transitions.rows.flags[1],
                     WIRE_TRUNCATED); // the episode ends before the bad step
    assert_true(s->transitions.rows.obs[2 * OBS_DIM + 1] == 0); // and the next row begins one
    assert_int_equal(count_sent(w, WIRE_EPISODE), 0);
    const struct wire_msg *heartbeat = find_sent(w, WIRE_HEARTBEAT, 0); // at once, for the status
    assert_non_null(heartbeat);
    assert_int_equal(heartbeat->heartbeat.steps_bad, 1);
    world_free(w);
}

static void a_broken_environment_stops_the_actor(void **state) {
    (void)state;
    struct world *w = world_make(false);
    int code;
    const char *why;
    welcome(w);
    bad_step_at = 3;
    bad_for_good = true;
    credit(w, 100, 100, 0, 0);
    for (int i = 0; i < 10; i++) {
        step(w);
    }
    assert_int_equal(steps_taken, 2 + ACTOR_BAD_MAX / ACTOR_BAD_WEIGHT);
    assert_true(actor_finished(w->actor, &code, &why));
    assert_int_equal(code, EXIT_CODE_CONFIG);
    assert_non_null(strstr(why, "the environment counter is broken: 20 of its steps were bad"));
    assert_int_equal(rows_sent(w), 2); // earlier rows are not lost
    assert_int_equal(count_sent(w, WIRE_GOODBYE), 1);
    world_free(w);
}

// While an environment in another process is waited for, heartbeats go on, and a signal to stop
// ends the wait.
static void heartbeats_continue_during_a_slow_step(void **state) {
    (void)state;
    struct world *w = world_make(false);
    slow_until_ms = w->now_ms + 1000;
    pass(w, 50);
    welcome_with(w, 1, 0, 0); // the environment is made meanwhile
    const struct wire_msg *s = find_sent(w, WIRE_HEARTBEAT, 0);
    assert_string_equal(s->heartbeat.waiting, "the environment: it is being started");
    sent_forget(&w->sent);
    pass(w, 1000);
    slow_until_ms = w->now_ms + 1000;
    sent_forget(&w->sent);
    slow_ms = 7500;
    credit(w, 3, 100, 0, 0);
    step(w);
    assert_int_equal(steps_taken, 3);
    assert_true(count_sent(w, WIRE_HEARTBEAT) >= 1);
    s = find_sent(w, WIRE_HEARTBEAT, 0);
    assert_string_equal(s->heartbeat.waiting, "the environment: no answer for 7 s");
    slow_ms = 0;
    stop_requested = true;
    credit(w, 6, 100, 0, 0);
    step(w);
    assert_int_equal(steps_taken, 3);
    assert_int_equal(counter(w, "steps_bad"), 0);
    world_free(w);

    // While the environment starts, there are no rows to send first.
    w = world_make(false);
    slow_until_ms = w->now_ms + 1000;
    stop_requested = true;
    welcome(w);
    int code = -1;
    assert_true(finished(w, &code));
    assert_int_equal(code, EXIT_CODE_OK);
    world_free(w);
}

// A second incarnation that continues the counts of the first draws the same
// random numbers as the first would.
static void streams_continue_after_a_restart(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 10, 100, 0, 0);
    step(w);
    assert_int_equal(rows_sent(w), 10);
    float act7 = find_sent(w, WIRE_TRANSITIONS, 1)->transitions.rows.act[3];
    float start1 = find_sent(w, WIRE_TRANSITIONS, 1)->transitions.rows.obs[OBS_DIM];
    float act0 = find_sent(w, WIRE_TRANSITIONS, 0)->transitions.rows.act[0];
    assert_true(act0 != act7);
    world_free(w);

    w = world_make(false);
    pass(w, 50);
    welcome_with(w, 1, 7, 1); // 7 rows and 1 episode are known of this id
    sent_forget(&w->sent);
    credit(w, 1, 100, 0, 0);
    step(w);
    const struct wire_msg *s = find_sent(w, WIRE_TRANSITIONS, 0);
    assert_int_equal(s->transitions.seq, 1); // numbers of messages start again
    assert_true(s->transitions.rows.act[0] == act7);
    assert_true(s->transitions.rows.obs[0] == start1);
    assert_int_equal(line_of(w).steps, 8);
    world_free(w);
}

static void leaving_waits_for_acknowledgement(void **state) {
    (void)state;
    struct world *w = world_make(false);
    int code;
    welcome(w);
    credit(w, 3, 100, 0, 0);
    step(w);
    actor_leave(w->actor, w->now_ms, "test");
    assert_false(finished(w, &code));
    assert_false(actor_may_step(w->actor));
    pass(w, 500);
    assert_false(finished(w, &code));
    ack(w, 1);
    assert_true(finished(w, &code));
    assert_int_equal(code, 0);
    assert_int_equal(count_sent(w, WIRE_GOODBYE), 1);
    world_free(w);

    // At most two seconds.
    w = world_make(false);
    welcome(w);
    credit(w, 3, 100, 0, 0);
    step(w);
    struct wire_msg shutdown = {.type = WIRE_SHUTDOWN};
    hear(w, PORT_MODELSERVER, &shutdown);
    pass(w, ACTOR_LEAVE_MS - 50);
    assert_false(finished(w, &code));
    pass(w, 50);
    assert_true(finished(w, &code));
    assert_int_equal(code, 0);
    world_free(w);
}

// The server that another `spur run` left behind stops, at the address where the next one will be.
static void a_supervised_actor_of_a_stopped_run_starts_again(void **state) {
    (void)state;
    for (int done = 0; done < 2; done++) {
        for (int supervised = 0; supervised < 2; supervised++) {
            struct world *w = world_make(false);
            int code;
            w->who.supervised = supervised;
            pass(w, 50);
            struct wire_msg shutdown = {.type = WIRE_SHUTDOWN, .shutdown.done = done};
            hear(w, PORT_MODELSERVER, &shutdown);
            assert_true(finished(w, &code));
            assert_int_equal(code, EXIT_CODE_OK);
            assert_int_equal(client_exit_code(actor_server(w->actor), code),
                             supervised && !done ? EXIT_CODE_TEMPFAIL : EXIT_CODE_OK);
            assert_int_equal(client_exit_code(actor_server(w->actor), EXIT_CODE_IO), EXIT_CODE_IO);
            world_free(w);
        }
    }
}

static void refusals_stop_or_wait(void **state) {
    (void)state;
    struct world *w = world_make(false);
    int code;
    const char *why;
    welcome(w);
    struct wire_msg msg = {.type = WIRE_REFUSE, .refuse = {.code = WIRE_REFUSED_VALUE}};
    hear(w, PORT_MODELSERVER, &msg);
    assert_int_equal(counter(w, "rows_refused"), 1);
    assert_false(finished(w, &code));
    msg.refuse = (struct wire_refuse){.code = WIRE_REFUSED_FENCED, .fatal = true, .text = "fenced"};
    hear(w, PORT_MODELSERVER, &msg);
    assert_true(actor_finished(w->actor, &code, &why));
    assert_int_equal(code, EXIT_CODE_PROTOCOL);
    assert_string_equal(why, "fenced");
    world_free(w);

    // Not fatal: sends Hello again, later.
    w = world_make(false);
    pass(w, 50);
    msg.refuse = (struct wire_refuse){.code = WIRE_REFUSED_FULL, .text = "full"};
    hear(w, PORT_MODELSERVER, &msg);
    assert_false(finished(w, &code));
    pass(w, 500);
    assert_int_equal(count_sent(w, WIRE_HELLO), 2);
    world_free(w);
}

static void tasks_that_differ_stop_the_actor(void **state) {
    (void)state;
    struct world *w = world_make(false);
    int code;
    const char *why;
    pass(w, 50);
    struct wire_msg msg = {.type = WIRE_WELCOME};
    msg.welcome =
        (struct wire_welcome){.obs_dim = 11, .act_dim = 3, .next_seq = 1, .incarnation = 1};
    snprintf(msg.welcome.task, sizeof(msg.welcome.task), "counter");
    hear(w, PORT_MODELSERVER, &msg);
    assert_true(actor_finished(w->actor, &code, &why));
    assert_int_equal(code, EXIT_CODE_PROTOCOL);
    assert_non_null(strstr(why, "11 observations"));
    world_free(w);

    w = world_make(false);
    pass(w, 50);
    msg.welcome =
        (struct wire_welcome){.obs_dim = 11, .act_dim = 3, .next_seq = 1, .incarnation = 1};
    snprintf(msg.welcome.task, sizeof(msg.welcome.task), "my_robot");
    hear(w, PORT_MODELSERVER, &msg);
    assert_true(actor_finished(w->actor, &code, &why));
    assert_int_equal(code, EXIT_CODE_PROTOCOL);
    assert_non_null(strstr(why, "the run's task is my_robot, which is not built in: start this "
                                "process with --env ENV"));
    world_free(w);
}

// A user environment: its task is who->task, the time limit is the run's.
static void brings_its_own_task(void **state) {
    (void)state;
    static const struct task own = {.name = "my_robot",
                                    .title = "my_robot",
                                    .env = "/my_robot.so",
                                    .obs_dim = OBS_DIM,
                                    .act_dim = ACT_DIM,
                                    .act_low = -1,
                                    .act_high = 1,
                                    .horizon = 1000};
    struct world *w = world_make(false);
    w->who.task = &own;
    pass(w, 50);
    const struct wire_msg *hello = find_sent(w, WIRE_HELLO, 0);
    assert_string_equal(hello->hello.task, "my_robot");
    assert_int_equal(hello->hello.obs_dim, OBS_DIM);
    struct wire_msg msg = {.type = WIRE_WELCOME};
    msg.welcome = (struct wire_welcome){.obs_dim = OBS_DIM,
                                        .act_dim = ACT_DIM,
                                        .horizon = EPISODE_STEPS,
                                        .next_seq = 1,
                                        .incarnation = 1,
                                        .batch_rows_max = BATCH_MAX,
                                        // As many as fit in memory.
                                        .unacked_rows_max = UINT32_MAX,
                                        .heartbeat_ms = 500,
                                        .lost_after_ms = 3000};
    snprintf(msg.welcome.task, sizeof(msg.welcome.task), "my_robot");
    hear(w, PORT_MODELSERVER, &msg);
    credit(w, 4, 100, 0, 0);
    step(w);
    assert_int_equal(rows_sent(w), 4);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credits_are_respected),
        cmocka_unit_test(rows_are_what_happened),
        cmocka_unit_test(a_message_is_sent_after_20_ms),
        cmocka_unit_test(acknowledged_rows_are_freed),
        cmocka_unit_test(resends_after_silence_gap_and_welcome),
        cmocka_unit_test(a_full_socket_loses_nothing),
        cmocka_unit_test(a_server_that_lost_rows_is_not_trusted),
        cmocka_unit_test(waits_for_the_required_policy),
        cmocka_unit_test(a_policy_is_fetched_for_its_turn),
        cmocka_unit_test(versions_never_decrease),
        cmocka_unit_test(requests_pause_without_a_new_policy),
        cmocka_unit_test(policies_that_do_not_fit_are_refused),
        cmocka_unit_test(a_policy_that_overflows_is_not_acted_on),
        cmocka_unit_test(random_and_policy_rows_do_not_mix),
        cmocka_unit_test(a_bad_step_is_dropped),
        cmocka_unit_test(a_broken_environment_stops_the_actor),
        cmocka_unit_test(heartbeats_continue_during_a_slow_step),
        cmocka_unit_test(streams_continue_after_a_restart),
        cmocka_unit_test(leaving_waits_for_acknowledgement),
        cmocka_unit_test(a_supervised_actor_of_a_stopped_run_starts_again),
        cmocka_unit_test(refusals_stop_or_wait),
        cmocka_unit_test(tasks_that_differ_stop_the_actor),
        cmocka_unit_test(brings_its_own_task),
    };
    log_init("test_actor", LOG_ERROR, -1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
