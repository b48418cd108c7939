// SPDX-License-Identifier: MIT
// Tests a client's session with a simulated clock and constructed messages: Hello,
// heartbeats, detection of silence, reopening with growing pauses, refusals, and
// messages of other runs, which it drops.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/session.h"

#define RUN 77

static struct session fresh(bool request_only) {
    struct session s;
    session_init(&s, "spur-modelserver", "ipc:///nowhere", request_only, 1000);
    s.run_id = request_only ? RUN : 0;
    return s;
}

static enum session_verdict hear(struct session *s, uint64_t now_ms, enum wire_type type,
                                 uint64_t run_id) {
    struct wire_msg msg = {.type = type, .run_id = run_id};
    if (type == WIRE_WELCOME) {
        msg.welcome.heartbeat_ms = 500;
        msg.welcome.lost_after_ms = 3000;
        msg.welcome.incarnation = 7;
    }
    return session_on_message(s, now_ms, &msg);
}

static enum session_verdict refuse(struct session *s, uint64_t now_ms, enum wire_refusal code,
                                   bool fatal) {
    struct wire_msg msg = {.type = WIRE_REFUSE, .refuse = {.code = code, .fatal = fatal}};
    snprintf(msg.refuse.text, sizeof(msg.refuse.text), "no room");
    return session_on_message(s, now_ms, &msg);
}

static struct session up(void) {
    struct session s = fresh(false);
    assert_int_equal(session_on_tick(&s, 1000), SESSION_HELLO);
    session_sent(&s, 1000, true);
    assert_int_equal(hear(&s, 1010, WIRE_WELCOME, RUN), SESSION_WELCOMED);
    assert_int_equal(s.state, SESSION_UP);
    return s;
}

static void hello_until_sent_then_welcome(void **state) {
    (void)state;
    struct session s = fresh(false);
    assert_int_equal(session_on_tick(&s, 1000), SESSION_HELLO);
    assert_int_equal(session_on_tick(&s, 1050), SESSION_HELLO); // the socket did not accept it
    session_sent(&s, 1050, true);
    assert_int_equal(session_on_tick(&s, 1100), 0); // one is pending
    assert_int_equal(hear(&s, 1110, WIRE_WELCOME, RUN), SESSION_WELCOMED);
    assert_int_equal(s.run_id, RUN);

    // A heartbeat when nothing else was sent for a while.
    assert_int_equal(session_on_tick(&s, 1549), 0);
    assert_int_equal(session_on_tick(&s, 1550), SESSION_HEARTBEAT);
    session_sent(&s, 1550, false);
    assert_int_equal(session_on_tick(&s, 1600), 0);
}

// Times that no configuration allows are those at the bound.
static void welcomed_times_have_bounds(void **state) {
    (void)state;
    static const uint32_t given[][2] = {{1, 1}, {UINT32_MAX, UINT32_MAX}, {0, 5}};
    static const uint32_t used[][2] = {{10, 100}, {60000, 600000}, {500, 3000}};
    for (int i = 0; i < 3; i++) {
        struct session s = up();
        struct wire_msg msg = {.type = WIRE_WELCOME, .run_id = RUN};
        msg.welcome.incarnation = 7;
        msg.welcome.heartbeat_ms = given[i][0];
        msg.welcome.lost_after_ms = given[i][1];
        assert_int_equal(session_on_message(&s, 1020, &msg), SESSION_WELCOMED);
        assert_int_equal(s.heartbeat_ms, used[i][0]);
        assert_int_equal(s.lost_after_ms, used[i][1]);
    }
}

static void unreachable_peer_is_named(void **state) {
    (void)state;
    struct session s = fresh(false);
    int said = 0, reopened = 0;
    for (uint64_t now = 1000; now <= 1000 + 30000; now += 100) {
        unsigned duties = session_on_tick(&s, now);
        if (duties & SESSION_WARN) {
            said++;
            assert_non_null(strstr(s.line, "ipc:///nowhere"));
            assert_non_null(strstr(s.line, "check that spur-modelserver runs there"));
            if (now == 1000 + 6000) {
                assert_non_null(strstr(s.line, "no answer for 6 s"));
            }
        }
        reopened += (duties & SESSION_REOPEN) != 0;
    }
    assert_int_equal(said, 10); // every 3 s
    // After 3, then 6, then 12 s, and so on: at 3, 9, 21 s.
    assert_int_equal(reopened, 3);
}

static void silence_loses_the_connection(void **state) {
    (void)state;
    struct session s = up();
    session_sent(&s, 3500, false);
    assert_int_equal(session_on_tick(&s, 1010 + 2999) & SESSION_REOPEN, 0);
    unsigned duties = session_on_tick(&s, 1010 + 3000);
    assert_int_equal(duties, SESSION_WARN | SESSION_REOPEN | SESSION_HELLO);
    assert_int_equal(s.state, SESSION_OPENING);
    assert_int_equal(s.lost, 1);
    char waiting[256];
    session_waiting(&s, 6010, waiting, sizeof(waiting));
    assert_non_null(strstr(waiting, "no answer for 5 s"));

    // Messages before the new Welcome belong to the old connection.
    assert_int_equal(hear(&s, 6020, WIRE_CREDIT, RUN), SESSION_HANDLED);
    assert_int_equal(s.foreign, 1);
    assert_int_equal(hear(&s, 6030, WIRE_WELCOME, RUN), SESSION_WELCOMED);
    session_waiting(&s, 6030, waiting, sizeof(waiting));
    assert_string_equal(waiting, "");
}

static void unknown_means_hello_once(void **state) {
    (void)state;
    struct session s = up();
    session_sent(&s, 1100, false);
    assert_int_equal(refuse(&s, 1200, WIRE_REFUSED_UNKNOWN, false), SESSION_HANDLED);
    assert_int_equal(refuse(&s, 1200, WIRE_REFUSED_UNKNOWN, false), SESSION_HANDLED);
    assert_true(session_on_tick(&s, 1200) & SESSION_HELLO);
    session_sent(&s, 1200, true);
    assert_false(session_on_tick(&s, 1250) & SESSION_HELLO);
    assert_int_equal(hear(&s, 1260, WIRE_WELCOME, RUN), SESSION_WELCOMED);
}

static void the_owner_may_restart_it(void **state) {
    (void)state;
    struct session s = up();
    session_restart(&s, 1500);
    assert_int_equal(hear(&s, 1510, WIRE_CREDIT, RUN), SESSION_HANDLED); // from before
    assert_int_equal(session_on_tick(&s, 1520), SESSION_HELLO);          // on the same socket
    session_sent(&s, 1520, true);
    assert_int_equal(hear(&s, 1530, WIRE_WELCOME, RUN), SESSION_WELCOMED);
}

static void temporary_refusals_are_retried_with_growing_pauses(void **state) {
    (void)state;
    struct session s = fresh(false);
    uint64_t now = 1000, last = 0, gap_before = 0;
    for (int i = 0; i < 5; i++) {
        while (!(session_on_tick(&s, now) & SESSION_HELLO)) {
            now += 10;
        }
        assert_true(last == 0 || now - last > gap_before);
        gap_before = last ? now - last : 0;
        last = now;
        session_sent(&s, now, true);
        assert_int_equal(refuse(&s, now, WIRE_REFUSED_FULL, false), SESSION_HANDLED);
    }
    assert_int_equal(s.refused, 5);
    char waiting[256];
    session_waiting(&s, now, waiting, sizeof(waiting));
    assert_non_null(strstr(waiting, "no room"));
}

static void fatal_refusal_stops(void **state) {
    (void)state;
    struct session s = up();
    assert_int_equal(refuse(&s, 1200, WIRE_REFUSED_FENCED, true), SESSION_STOP);
    assert_string_equal(s.text, "no room");
    assert_int_equal(session_on_tick(&s, 99999), 0);
    assert_int_equal(hear(&s, 99999, WIRE_WELCOME, RUN), SESSION_HANDLED);
    assert_int_equal(s.state, SESSION_FATAL);
}

static void the_welcome_numbers_the_start(void **state) {
    (void)state;
    struct session s = fresh(false);
    assert_int_equal(s.incarnation, 0); // the first Hello asks for one
    s = up();
    assert_int_equal(s.incarnation, 7);
    assert_true(session_on_tick(&s, 9000) & SESSION_HELLO);
    assert_int_equal(s.incarnation, 7); // and this one presents it
    // A server that hands out none would take two starts for one.
    s = fresh(false);
    session_on_tick(&s, 1000);
    session_sent(&s, 1000, true);
    struct wire_msg msg = {.type = WIRE_WELCOME, .run_id = RUN};
    assert_int_equal(session_on_message(&s, 1010, &msg), SESSION_STOP);
    assert_non_null(strstr(s.text, "older spur"));
}

static void other_runs_are_dropped(void **state) {
    (void)state;
    struct session s = up();
    assert_int_equal(hear(&s, 1100, WIRE_CREDIT, RUN + 1), SESSION_HANDLED);
    assert_int_equal(s.foreign, 1);
    assert_int_equal(s.heard_ms, 1010); // and do not count as heard
    assert_int_equal(hear(&s, 1100, WIRE_CREDIT, RUN), SESSION_FOR_OWNER);
    assert_int_equal(hear(&s, 1200, WIRE_WELCOME, RUN + 1), SESSION_STOP);
    assert_non_null(strstr(s.text, "another run"));
}

static void a_refused_row_leaves_the_connection(void **state) {
    (void)state;
    struct session s = up();
    assert_int_equal(refuse(&s, 1100, WIRE_REFUSED_VALUE, false), SESSION_FOR_OWNER);
    assert_int_equal(s.state, SESSION_UP);
}

static void request_only_sessions_count_silence_from_the_request(void **state) {
    (void)state;
    struct session s = fresh(true);
    assert_int_equal(session_on_tick(&s, 500000), 0); // no request pending: silence is allowed
    session_request(&s, 500000);
    session_request(&s, 500000);
    assert_int_equal(session_on_tick(&s, 500000), SESSION_HELLO);
    session_sent(&s, 500000, true);
    assert_int_equal(session_on_tick(&s, 502000), 0);
    assert_int_equal(session_on_tick(&s, 503000), SESSION_WARN | SESSION_REOPEN | SESSION_HELLO);
    session_sent(&s, 503000, true);
    assert_int_equal(hear(&s, 503100, WIRE_POLICY, RUN), SESSION_FOR_OWNER);
    assert_int_equal(s.state, SESSION_UP);
    assert_int_equal(session_on_tick(&s, 900000), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_until_sent_then_welcome),
        cmocka_unit_test(welcomed_times_have_bounds),
        cmocka_unit_test(unreachable_peer_is_named),
        cmocka_unit_test(silence_loses_the_connection),
        cmocka_unit_test(unknown_means_hello_once),
        cmocka_unit_test(the_owner_may_restart_it),
        cmocka_unit_test(temporary_refusals_are_retried_with_growing_pauses),
        cmocka_unit_test(fatal_refusal_stops),
        cmocka_unit_test(the_welcome_numbers_the_start),
        cmocka_unit_test(other_runs_are_dropped),
        cmocka_unit_test(a_refused_row_leaves_the_connection),
        cmocka_unit_test(request_only_sessions_count_silence_from_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
