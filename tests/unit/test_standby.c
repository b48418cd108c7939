// SPDX-License-Identifier: MIT
// Tests a standby learner with a fake model server: it asks for the status and sends nothing else;
// it takes over when the learner is lost or has left for a while, not when it returns, when the
// run ends, when the model server is silent, or when the run is another one.
#include "learner/standby.h"

#include <errno.h>

#include "tests/unit/learner_fixture.h"

#define RUN_ID 42

struct world {
    struct config config;
    struct learner_identity who;
    struct standby *standby;
    uint64_t now_ms;
    int asked, reopened;
    struct wire_msg answer; // the last one to a peer
};

static int send_message(void *arg, enum port_socket socket, const struct net_peer *to,
                        const struct wire_msg *msg) {
    struct world *w = arg;
    if (socket == PORT_OWN) {
        assert_non_null(to);
        w->answer = *msg;
        return 0;
    }
    assert_int_equal(socket, PORT_MODELSERVER);
    assert_int_equal(msg->type, WIRE_STATUS_REQUEST); // never a Hello
    assert_true(msg->status_request.standby);
    w->asked++;
    return 0;
}

static void reopen(void *arg, enum port_socket socket, const char *endpoint) {
    assert_int_equal(socket, PORT_MODELSERVER);
    assert_string_equal(endpoint, "ipc://server");
    ((struct world *)arg)->reopened++;
}

static struct world *world_create(void) {
    struct world *w = xcalloc(1, sizeof(*w));
    w->config = fixture_config();
    w->who = (struct learner_identity){.config = &w->config,
                                       .task = fixture_task(),
                                       .id = "standby-1",
                                       .host = "here",
                                       .modelserver = "ipc://server",
                                       .endpoint = "ipc://own",
                                       .pid = 6};
    const struct port port = {.arg = w, .send = send_message, .reopen = reopen};
    w->now_ms = 1000;
    w->standby = standby_create(&w->who, &port, w->now_ms);
    return w;
}

static void world_destroy(struct world *w) {
    standby_destroy(&w->standby);
    free(w);
}

// Status of a running run; learner 0: the model server has seen none.
static struct wire_msg status(const struct world *w, enum wire_peer_state learner) {
    struct wire_msg msg = {.type = WIRE_STATUS, .run_id = RUN_ID};
    struct wire_status *s = &msg.status;
    snprintf(s->daemon, sizeof(s->daemon), "modelserver");
    snprintf(s->task, sizeof(s->task), "inverted_pendulum");
    snprintf(s->method, sizeof(s->method), "%s", method_info(w->config.method)->name);
    s->seed = w->config.run.seed;
    s->has_learner = learner != 0;
    s->learner_state = learner;
    return msg;
}

static void hear(struct world *w, const struct wire_msg *msg) {
    standby_on_message(w->standby, w->now_ms, PORT_MODELSERVER, NULL, msg);
}

// Ticks for so long; each request is answered by msg, unless that is NULL. The time after which
// the place is free; 0: it is not.
static uint64_t pass(struct world *w, uint64_t ms, const struct wire_msg *msg) {
    for (uint64_t begun_ms = w->now_ms; w->now_ms - begun_ms < ms;) {
        w->now_ms += 20;
        int before = w->asked;
        if (standby_on_tick(w->standby, w->now_ms)) {
            return w->now_ms - begun_ms;
        }
        if (w->asked > before && msg) {
            hear(w, msg);
        }
    }
    return 0;
}

static bool finished(const struct world *w, enum exit_code code) {
    enum exit_code got;
    return standby_finished(w->standby, &got) && got == code;
}

static void test_takes_over_from_one_that_is_lost_or_left(void **state) {
    (void)state;
    static const enum wire_peer_state gone[] = {WIRE_PEER_LOST, WIRE_PEER_LEFT};
    for (int i = 0; i < 2; i++) {
        struct world *w = world_create();
        struct wire_msg here = status(w, WIRE_PEER_WAITING), away = status(w, gone[i]);
        assert_int_equal(pass(w, 60000, &here), 0);
        assert_in_range(w->asked, 100, 121);
        uint64_t after = pass(w, 10000, &away);
        assert_in_range(after, STANDBY_PATIENCE_MS, STANDBY_PATIENCE_MS + 2 * STANDBY_ASK_MS);
        world_destroy(w);
    }
}

// `spur run` restarts a killed learner within a second.
static void test_one_that_returns_keeps_its_place(void **state) {
    (void)state;
    struct world *w = world_create();
    struct wire_msg here = status(w, WIRE_PEER_CONNECTED), away = status(w, WIRE_PEER_LOST);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pass(w, 1000, &here), 0);
        assert_int_equal(pass(w, STANDBY_PATIENCE_MS - 200, &away), 0);
    }
    world_destroy(w);
}

// The first learner of a run, or of a model server that was restarted, needs longer to join.
static void test_the_first_learner_has_time_to_join(void **state) {
    (void)state;
    struct world *w = world_create();
    struct wire_msg none = status(w, 0);
    uint64_t after = pass(w, 60000, &none);
    assert_in_range(after, STANDBY_FIRST_MS, STANDBY_FIRST_MS + 2 * STANDBY_ASK_MS);
    world_destroy(w);
}

// What was heard before a silence of the model server does not count.
static void test_a_silent_model_server_proves_nothing(void **state) {
    (void)state;
    struct world *w = world_create();
    struct wire_msg away = status(w, WIRE_PEER_LOST);
    assert_int_equal(pass(w, STANDBY_PATIENCE_MS / 2, &away), 0);
    assert_int_equal(pass(w, 60000, NULL), 0);
    assert_true(w->reopened > 0);
    hear(w, &away);
    uint64_t after = pass(w, 30000, &away);
    assert_in_range(after, STANDBY_PATIENCE_MS, STANDBY_PATIENCE_MS + 2 * STANDBY_ASK_MS);
    world_destroy(w);
}

static void test_leaves_with_the_run(void **state) {
    (void)state;
    struct world *w = world_create();
    struct wire_msg ending = status(w, WIRE_PEER_LEFT);
    ending.status.ending = true;
    assert_int_equal(pass(w, 5000, &ending), 0);
    assert_true(finished(w, EXIT_CODE_OK));
    world_destroy(w);

    w = world_create();
    standby_stop(w->standby, "stopped by a signal");
    assert_true(finished(w, EXIT_CODE_OK));
    world_destroy(w);
}

static void test_another_run_is_refused(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct world *w = world_create();
        struct wire_msg here = status(w, WIRE_PEER_CONNECTED), other = status(w, WIRE_PEER_LOST);
        assert_int_equal(pass(w, 2000, &here), 0);
        other.run_id += i == 0;
        other.status.seed += i == 1;
        other.status.task[0] += i == 2;
        other.status.method[0] += i == 3;
        other.status.daemon[0] += i == 4;
        assert_int_equal(pass(w, 5000, &other), 0);
        assert_true(finished(w, EXIT_CODE_PROTOCOL));
        world_destroy(w);
    }
}

static void test_answers_peers(void **state) {
    (void)state;
    struct world *w = world_create();
    struct wire_msg here = status(w, WIRE_PEER_CONNECTED);
    const struct net_peer peer = {.len = 5};
    const struct wire_msg ask = {.type = WIRE_STATUS_REQUEST}, get = {.type = WIRE_POLICY_GET};
    pass(w, 2000, &here);
    standby_on_message(w->standby, w->now_ms, PORT_OWN, &peer, &ask);
    assert_int_equal(w->answer.type, WIRE_STATUS);
    assert_string_equal(w->answer.status.state, "standby");
    assert_non_null(strstr(w->answer.status.waiting, "standing by"));
    standby_on_message(w->standby, w->now_ms, PORT_OWN, &peer, &get);
    assert_int_equal(w->answer.type, WIRE_REFUSE);
    assert_int_equal(w->answer.refuse.code, WIRE_REFUSED_UNKNOWN);
    world_destroy(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_over_from_one_that_is_lost_or_left),
        cmocka_unit_test(test_one_that_returns_keeps_its_place),
        cmocka_unit_test(test_the_first_learner_has_time_to_join),
        cmocka_unit_test(test_a_silent_model_server_proves_nothing),
        cmocka_unit_test(test_leaves_with_the_run),
        cmocka_unit_test(test_another_run_is_refused),
        cmocka_unit_test(test_answers_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
