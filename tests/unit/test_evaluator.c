// SPDX-License-Identifier: MIT
// Shows that the evaluator answers each request once, with the returns of whole
// episodes, keeps the newest waiting request, resends a lost report and refuses
// impossible requests. The test plays the other side (actor_world.h).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "tests/unit/actor_world.h"

static void request(struct world *w, uint64_t id, uint64_t version, uint32_t episodes) {
    float params[256];
    struct wire_msg msg = {.type = WIRE_EVAL_REQUEST};
    msg.eval_request = (struct wire_eval_request){
        .id = id, .env_steps = 100 * id, .seed = SEED, .episodes = episodes};
    msg.eval_request.policy = make_policy(params, version);
    snprintf(msg.eval_request.task, sizeof(msg.eval_request.task), "counter");
    hear(w, PORT_MODELSERVER, &msg);
}

static void evaluate(struct world *w) {
    for (int i = 0; i < 1000 && evaluator_may_step(w->evaluator); i++) {
        evaluator_step(w->evaluator, w->now_ms);
    }
    assert_false(evaluator_may_step(w->evaluator));
}

static void requests_are_answered(void **state) {
    (void)state;
    struct world *w = world_make(true);
    welcome(w);
    request(w, 1, 5, 40); // more episodes than lanes
    evaluate(w);
    const struct wire_msg *s = find_sent(w, WIRE_EVAL_REPORT, 0);
    assert_int_equal(s->eval_report.id, 1);
    assert_int_equal(s->eval_report.env_steps, 100);
    assert_int_equal(s->eval_report.policy_version, 5);
    assert_int_equal(s->eval_report.episodes, 40);
    for (int i = 0; i < 40; i++) {
        assert_true(s->eval_report.returns[i] == 15);
    }
    assert_int_equal(steps_taken, 40 * EPISODE_STEPS);

    request(w, 1, 5, 40); // the report was lost: resent, not played again
    assert_int_equal(count_sent(w, WIRE_EVAL_REPORT), 2);
    assert_int_equal(steps_taken, 40 * EPISODE_STEPS);
    world_free(w);
}

static void a_supervised_evaluator_of_a_stopped_run_starts_again(void **state) {
    (void)state;
    struct world *w = world_make(true);
    int code;
    const char *why;
    w->who.supervised = true;
    welcome(w);
    struct wire_msg shutdown = {.type = WIRE_SHUTDOWN};
    hear(w, PORT_MODELSERVER, &shutdown);
    assert_true(evaluator_finished(w->evaluator, &code, &why));
    assert_int_equal(code, EXIT_CODE_OK);
    code = client_exit_code(evaluator_server(w->evaluator), code);
    assert_int_equal(code, EXIT_CODE_TEMPFAIL);
    world_free(w);
}

static void long_episodes_are_cut(void **state) {
    (void)state;
    float params[256];
    struct world *w = world_make(true);
    struct wire_msg msg = {.type = WIRE_EVAL_REQUEST};
    welcome(w);
    msg.eval_request =
        (struct wire_eval_request){.id = 1, .seed = SEED, .episodes = 20, .steps_max = 3};
    msg.eval_request.policy = make_policy(params, 5);
    snprintf(msg.eval_request.task, sizeof(msg.eval_request.task), "counter");
    hear(w, PORT_MODELSERVER, &msg);
    evaluate(w);
    const struct wire_msg *s = find_sent(w, WIRE_EVAL_REPORT, 0);
    assert_int_equal(s->eval_report.episodes_cut, 20);
    assert_true(s->eval_report.returns[0] == 1 + 2 + 3 && s->eval_report.returns[19] == 1 + 2 + 3);
    assert_int_equal(steps_taken, 20 * 3);

    // A limit that the task's own time limit reaches first, or at the same step, cuts nothing.
    msg.eval_request.id = 2;
    msg.eval_request.steps_max = EPISODE_STEPS;
    hear(w, PORT_MODELSERVER, &msg);
    evaluate(w);
    s = find_sent(w, WIRE_EVAL_REPORT, 1);
    assert_int_equal(s->eval_report.episodes_cut, 0);
    assert_true(s->eval_report.returns[0] == 15);
    world_free(w);
}

static void the_newest_waiting_request_wins(void **state) {
    (void)state;
    struct world *w = world_make(true);
    welcome(w);
    request(w, 1, 5, 2);
    request(w, 2, 6, 2);
    request(w, 3, 7, 2);
    evaluate(w);
    assert_int_equal(count_sent(w, WIRE_EVAL_REPORT), 2);
    assert_int_equal(find_sent(w, WIRE_EVAL_REPORT, 0)->eval_report.id, 1);
    assert_int_equal(find_sent(w, WIRE_EVAL_REPORT, 1)->eval_report.id, 3);
    assert_int_equal(counter(w, "requests_replaced"), 1);
    world_free(w);
}

// Found by the simulator: the run waited for its last evaluation for ever.
static void a_restarted_server_counts_requests_anew(void **state) {
    (void)state;
    struct world *w = world_make(true);
    welcome(w);
    request(w, 1, 5, 2);
    evaluate(w);
    request(w, 1, 5, 2); // repeated
    evaluate(w);
    request(w, 1, 6, 2); // of another server: another policy
    evaluate(w);
    assert_int_equal(count_sent(w, WIRE_EVAL_REPORT), 3);
    assert_true(find_sent(w, WIRE_EVAL_REPORT, 1)->eval_report.policy_version == 5);
    assert_true(find_sent(w, WIRE_EVAL_REPORT, 2)->eval_report.policy_version == 6);
    assert_int_equal(steps_taken, 2 * 2 * EPISODE_STEPS);
    world_free(w);
}

static void a_report_waits_for_the_socket(void **state) {
    (void)state;
    struct world *w = world_make(true);
    welcome(w);
    request(w, 1, 5, 1);
    w->deaf = true;
    evaluate(w);
    w->deaf = false;
    pass(w, 50);
    assert_int_equal(count_sent(w, WIRE_EVAL_REPORT), 1);
    pass(w, 500);
    assert_int_equal(count_sent(w, WIRE_EVAL_REPORT), 1);
    world_free(w);
}

static void impossible_requests_are_refused(void **state) {
    (void)state;
    struct world *w = world_make(true);
    float params[256];
    welcome(w);
    request(w, 1, 5, 0);
    struct wire_msg msg = {.type = WIRE_EVAL_REQUEST};
    msg.eval_request = (struct wire_eval_request){.id = 2, .episodes = 1};
    msg.eval_request.policy = make_policy(params, 1);
    snprintf(msg.eval_request.task, sizeof(msg.eval_request.task), "humanoid");
    hear(w, PORT_MODELSERVER, &msg);
    snprintf(msg.eval_request.task, sizeof(msg.eval_request.task), "counter");
    msg.eval_request.policy.act_dim = 2;
    hear(w, PORT_MODELSERVER, &msg);
    assert_int_equal(counter(w, "requests_refused"), 3);
    assert_false(evaluator_may_step(w->evaluator));
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered),
        cmocka_unit_test(a_supervised_evaluator_of_a_stopped_run_starts_again),
        cmocka_unit_test(long_episodes_are_cut),
        cmocka_unit_test(the_newest_waiting_request_wins),
        cmocka_unit_test(a_restarted_server_counts_requests_anew),
        cmocka_unit_test(a_report_waits_for_the_socket),
        cmocka_unit_test(impossible_requests_are_refused),
    };
    log_init("test_evaluator", LOG_ERROR, -1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
