// SPDX-License-Identifier: MIT
// Tests the messages of the learner's core to the model server and to actors: a fake
// server passes messages to it and reads its answers, and a real trainer executes its
// commands at once. Order and totals must be right. Missing, repeated, malformed or
// foreign data is refused, counted and requested again.
#include "learner/learner.h"

#include "tests/unit/learner_rig.h"

// One lockstep turn: rows, grant, updates, then the policy before the progress.
static void test_a_lockstep_turn(void **state) {
    (void)state;
    struct rig *r = rig_create();
    tick(r, 20);
    const struct wire_hello *hello = &expect(r, true, WIRE_HELLO)->hello;
    assert_int_equal(hello->role, WIRE_ROLE_LEARNER);
    assert_string_equal(hello->task, "inverted_pendulum");
    assert_string_equal(hello->endpoint, "ipc://own");
    assert_int_equal(hello->incarnation, 0); // to be given one
    assert_int_equal(hello->updates, 0);
    assert_int_equal(hello->policy_version, 1);
    assert_int_equal(hello->real_rows, 0);

    struct wire_msg w = welcome(r);
    hear(r, &w);
    const struct wire_policy *policy = &expect(r, true, WIRE_POLICY)->policy;
    assert_int_equal(policy->version, epoch_version(EPOCH, 1));
    assert_int_equal(policy->params_len, fixture_sac(r->trainer)->sac.policy_n);
    assert_int_equal(expect(r, true, WIRE_PROGRESS)->progress.experience_seq, 0);

    experience(r, 1, false, 0, 100);
    experience(r, 2, true, 500, 50);
    grant(r, 4, 200);
    assert_int_equal(unseen(r), 0);
    work(r);
    policy = &expect(r, true, WIRE_POLICY)->policy;
    assert_int_equal(policy->version, epoch_version(EPOCH, 2));
    assert_int_equal(policy->updates, 4);
    const struct wire_progress *p = &expect(r, true, WIRE_PROGRESS)->progress;
    assert_int_equal(p->experience_seq, 2);
    assert_int_equal(p->updates, 4);
    assert_int_equal(p->policy_version, epoch_version(EPOCH, 2));
    assert_int_equal(p->real_rows, 100);
    assert_int_equal(p->model_rows, 50);
    assert_int_equal(p->model_capacity, 200);
    assert_true(*metrics_find(&p->metrics, "critic_loss") > 0);
    assert_true(*metrics_find(&p->metrics, "temperature") > 0);
    assert_non_null(strstr(p->waiting, "one more real step"));
    assert_int_equal(unseen(r), 0);

    // A repeated grant counts as a heartbeat only.
    int before = r->submitted;
    grant(r, 4, 200);
    assert_int_equal(r->submitted, before);
    rig_destroy(r);
}

// Progress without a publication: at the end of a grant, as a heartbeat, and while
// only rows arrive.
static void test_progress_is_sent_in_time(void **state) {
    (void)state;
    struct rig *r = rig_create();
    join(r);
    experience(r, 1, false, 0, 100);
    grant(r, 2, 200);
    work(r);
    assert_int_equal(expect(r, true, WIRE_PROGRESS)->progress.updates, 2);
    tick(r, 499);
    assert_int_equal(unseen(r), 0);
    tick(r, 2);
    learner_on_tick(r->core, r->now_ms);
    expect(r, true, WIRE_PROGRESS);
    for (uint64_t seq = 2; seq <= 17; seq++) {
        experience(r, seq, true, seq, 1);
        work(r);
    }
    assert_int_equal(expect(r, true, WIRE_PROGRESS)->progress.experience_seq, 17);
    assert_int_equal(unseen(r), 0);
    rig_destroy(r);
}

// Only TERMINATED cuts a value off; TRUNCATED is a time limit.
static void test_time_limits_are_not_ends(void **state) {
    (void)state;
    struct rig *r = rig_create();
    join(r);
    experience(r, 1, false, 0, 3);
    struct replay_rows rows = replay_part(&r->trainer->d_env, 0);
    assert_int_equal(rows.n, 3);
    assert_int_equal(rows.terminated[0], 1);
    assert_int_equal(rows.terminated[1], 0);
    assert_int_equal(rows.terminated[2], 0);
    rig_destroy(r);
}

static void expect_start_over(struct rig *r, uint64_t real_rows) {
    experience(r, 99, false, real_rows, 5); // sent before the new Welcome: dropped
    assert_int_equal(r->trainer->d_env.len, real_rows);
    tick(r, 20);
    assert_int_equal(expect(r, true, WIRE_HELLO)->hello.real_rows, real_rows);
    struct wire_msg w = welcome(r);
    hear(r, &w);
    expect(r, true, WIRE_POLICY);
    assert_int_equal(expect(r, true, WIRE_PROGRESS)->progress.experience_seq, 0);
}

static void test_gaps_are_requested_again(void **state) {
    (void)state;
    struct rig *r = rig_create();
    join(r);
    experience(r, 1, false, 0, 10);
    experience(r, 3, false, 20, 10); // 2 is missing
    assert_int_equal(r->trainer->d_env.len, 10);
    expect_start_over(r, 10);
    // Sequence numbers restart; known rows are skipped.
    experience(r, 1, false, 8, 10);
    assert_int_equal(r->trainer->d_env.len, 18);
    assert_true(replay_part(&r->trainer->d_env, 0).reward[17] == 17);
    experience(r, 1, false, 8, 10); // repeated: ignored
    assert_int_equal(r->trainer->d_env.len, 18);
    experience(r, 2, false, 0, 5); // all rows known
    assert_int_equal(r->trainer->d_env.len, 18);
    assert_int_equal(r->trainer->report.experience_seq, 2);
    // A gap in D_env.
    experience(r, 3, false, 30, 5);
    expect_start_over(r, 18);
    assert_int_equal(counter(r, "experience_missing"), 2);
    assert_int_equal(counter(r, "real_rows_repeated"), 7);
    assert_true(counter(r, "messages_foreign") >= 2);
    rig_destroy(r);
}

// A capacity beyond the space that the learner has reserved, or none at all.
static void test_capacities_are_clamped(void **state) {
    (void)state;
    struct rig *r = rig_create();
    join(r);
    grant(r, 0, UINT64_C(1) << 40);
    assert_int_equal(r->trainer->d_model.capacity, r->trainer->d_model.reserved);
    grant(r, 0, 0);
    assert_int_equal(r->trainer->d_model.capacity, 1);
    assert_int_equal(counter(r, "model_capacity_clamped"), 2);
    rig_destroy(r);
}

static void test_other_shapes_are_refused(void **state) {
    (void)state;
    struct rig *r = rig_create();
    join(r);
    static float numbers[64];
    static uint8_t flags[4];
    struct wire_msg msg = {.type = WIRE_EXPERIENCE};
    msg.experience = (struct wire_experience){
        .seq = 1,
        .kind = WIRE_REAL,
        .rows = {2, OBS + 1, ACT, numbers, numbers, numbers, numbers, flags},
    };
    hear(r, &msg);
    assert_int_equal(r->trainer->d_env.len, 0);
    assert_int_equal(counter(r, "experience_refused_shape"), 1);
    expect_start_over(r, 0);
    rig_destroy(r);
}

// ---- the ensemble and states ----

static void ensemble(struct rig *r, uint64_t seq, uint64_t version) {
    struct dynamics d;
    struct wire_msg msg = {.type = WIRE_ENSEMBLE, .model = fixture_model(&d, &r->config, version)};
    msg.model.seq = seq;
    hear(r, &msg);
    dynamics_deinit(&d);
}

static void states_of(struct rig *r, uint64_t seq, uint64_t number, uint32_t rows,
                      uint64_t model_version) {
    static float obs[64 * OBS];
    struct wire_msg msg = {.type = WIRE_STATES};
    msg.states = (struct wire_states){.seq = seq,
                                      .number = number,
                                      .model_version = model_version,
                                      .rows = rows,
                                      .obs_dim = OBS,
                                      .obs = obs};
    hear(r, &msg);
}

static void states(struct rig *r, uint64_t seq, uint64_t number, uint32_t rows) {
    states_of(r, seq, number, rows, 0);
}

// Both are needed before the first update; the waiting text says so.
static void test_the_ensemble_and_states_start_updates(void **state) {
    (void)state;
    struct rig *r = rig_create_with(fixture_states_config());
    join(r);
    experience(r, 1, false, 0, 50);
    grant(r, 4, 0);
    work(r);
    assert_int_equal(r->trainer->updates, 0);
    assert_non_null(strstr(status(r).waiting, "the ensemble and its states"));
    states(r, 2, 0, 6);
    work(r);
    assert_int_equal(r->trainer->updates, 0);
    ensemble(r, 3, 1);
    work(r);
    assert_int_equal(r->trainer->updates, 4);
    assert_int_equal(r->trainer->dynamics.version, 1);
    assert_int_equal(r->trainer->dynamics.elite[0], 2);
    rig_destroy(r);
}

// A missing message, another number, and too many rows: the learner says Hello again with the
// number of rollouts that it holds.
static void test_states_follow_each_other(void **state) {
    (void)state;
    for (int fault = 0; fault < 3; fault++) {
        struct rig *r = rig_create_with(fixture_states_config());
        join(r);
        experience(r, 1, false, 0, 50);
        states(r, 2, 0, 6);
        states(r, 2, 0, 6); // a repetition is harmless
        work(r);
        sent_forget(&r->sent);
        states(r, fault == 0 ? 4 : 3, fault == 1 ? 2 : 1, fault == 2 ? 9 : 6);
        assert_int_equal(counter(r, "states_unexpected"), fault > 0);
        tick(r, 20);
        assert_int_equal(expect(r, true, WIRE_HELLO)->hello.states, 1);
        rig_destroy(r);
    }
}

// An ensemble may get lost while its number does not: a message of an earlier connection had taken
// it. The states that were made with it tell.
static void test_states_of_an_unknown_ensemble_ask_for_it(void **state) {
    (void)state;
    struct rig *r = rig_create_with(fixture_states_config());
    join(r);
    experience(r, 1, false, 0, 50);
    ensemble(r, 2, 5);
    states_of(r, 3, 0, 6, 5);
    states_of(r, 4, 1, 6, 4); // older ones are on the way when a training ends
    ensemble(r, 4, 6);        // taken for a repetition
    assert_int_equal(counter(r, "experience_missing"), 0);
    work(r);
    sent_forget(&r->sent);
    states_of(r, 5, 2, 6, 6);
    assert_int_equal(counter(r, "experience_missing"), 1);
    tick(r, 20);
    assert_int_equal(expect(r, true, WIRE_HELLO)->hello.states, 2);
    rig_destroy(r);
}

// An ensemble of other shapes, and one for a method that takes none: another configuration.
static void test_other_ensembles_end_it(void **state) {
    (void)state;
    for (int fault = 0; fault < 3; fault++) {
        struct rig *r = rig_create_with(fault == 0 ? fixture_config() : fixture_states_config());
        join(r);
        struct config other = fixture_states_config();
        other.model.hidden_width += fault == 1;
        struct dynamics d;
        struct wire_msg msg = {.type = WIRE_ENSEMBLE, .model = fixture_model(&d, &other, 1)};
        msg.model.seq = 1;
        msg.model.elite[0] = fault == 2 ? 3 : 2; // there are three members
        hear(r, &msg);
        enum exit_code code;
        assert_true(learner_finished(r->core, &code));
        assert_int_equal(code, EXIT_CODE_PROTOCOL);
        assert_int_equal(r->trainer->dynamics.version, 0);
        dynamics_deinit(&d);
        rig_destroy(r);
    }
}

// A full queue: rows are requested again, a grant is kept.
static void test_a_full_queue_loses_nothing(void **state) {
    (void)state;
    struct rig *r = rig_create();
    join(r);
    experience(r, 1, false, 0, 50);
    r->full = true;
    grant(r, 4, 200);
    grant(r, 8, 200);
    work(r);
    assert_int_equal(unseen(r), 0);
    r->full = false;
    tick(r, 20);
    work(r);
    assert_int_equal(expect(r, true, WIRE_POLICY)->policy.updates, 8);
    expect(r, true, WIRE_PROGRESS);
    r->full = true;
    experience(r, 2, false, 50, 10);
    assert_int_equal(counter(r, "experience_refused_full"), 1);
    r->full = false;
    expect_start_over(r, 50);
    rig_destroy(r);
}

// A socket that accepts nothing: the newest policy is sent later, once.
// A Grant says what the server has sent, and what has arrived there.
static void test_lost_messages_are_noticed(void **state) {
    (void)state;
    struct rig *r = rig_create();
    join(r);
    experience(r, 1, false, 0, 50);
    struct wire_msg msg = {.type = WIRE_GRANT};
    msg.grant = (struct wire_grant){.updates_allowed = 4,
                                    .model_capacity = 200,
                                    .experience_seq = 1,
                                    .policy_version = epoch_version(EPOCH, 1)};
    hear(r, &msg);
    work(r);
    assert_int_equal(expect(r, true, WIRE_POLICY)->policy.version, epoch_version(EPOCH, 2));
    expect(r, true, WIRE_PROGRESS);
    for (int ms = 0; ms < 2900; ms += 100) { // policy 2 may be on its way
        hear(r, &msg);
        tick(r, 100);
        assert_true(unseen(r) == 0 || expect(r, true, WIRE_PROGRESS));
    }
    tick(r, 200);
    sent_forget(&r->sent);
    hear(r, &msg);
    tick(r, 20);
    assert_int_equal(expect(r, true, WIRE_POLICY)->policy.version, epoch_version(EPOCH, 2));
    msg.grant.policy_version = epoch_version(EPOCH, 2);
    // The rows of message 2 do not arrive: no updates without them.
    sent_forget(&r->sent);
    msg.grant.updates_allowed = 8;
    msg.grant.experience_seq = 2;
    hear(r, &msg);
    work(r);
    assert_int_equal(status(r).updates, 4);
    assert_int_equal(counter(r, "experience_missing"), 1);
    tick(r, 20);
    assert_int_equal(expect(r, true, WIRE_HELLO)->hello.real_rows, 50);
    // Message 1 of before this Hello arrives after the Welcome: the server's own 1 would be
    // ignored.
    struct wire_msg again = welcome(r);
    hear(r, &again);
    experience(r, 1, false, 50, 10);
    msg.grant.experience_seq = 0;
    bool said_hello = false;
    for (int ms = 0; ms < 4000; ms += 100) {
        sent_forget(&r->sent);
        hear(r, &msg);
        tick(r, 100);
        said_hello = said_hello || sent_next(&r->sent, 0, WIRE_HELLO);
        assert_true(!said_hello || ms >= 2900);
    }
    assert_true(said_hello);
    rig_destroy(r);
}

static void test_the_newest_policy_wins(void **state) {
    (void)state;
    struct rig *r = rig_create();
    join(r);
    experience(r, 1, false, 0, 50);
    r->deaf = true;
    grant(r, 4, 200);
    work(r);
    grant(r, 8, 200);
    work(r);
    r->deaf = false;
    tick(r, 20);
    assert_int_equal(expect(r, true, WIRE_POLICY)->policy.version, epoch_version(EPOCH, 3));
    assert_int_equal(expect(r, true, WIRE_PROGRESS)->progress.updates, 8);
    assert_int_equal(unseen(r), 0);
    rig_destroy(r);
}

static void test_other_runs_are_not_joined(void **state) {
    (void)state;
    for (int wrong = 0; wrong < 3; wrong++) {
        struct rig *r = rig_create();
        tick(r, 20);
        struct wire_msg w = welcome(r);
        if (wrong == 0) {
            snprintf(w.welcome.task, sizeof(w.welcome.task), "hopper");
        } else if (wrong == 1) {
            w.welcome.obs_dim++;
        } else {
            w.welcome.seed++;
        }
        hear(r, &w);
        enum exit_code code;
        assert_true(learner_finished(r->core, &code));
        assert_int_equal(code, EXIT_CODE_PROTOCOL);
        rig_destroy(r);
    }
}

// Fenced by a newer learner: it does not write its checkpoint.
static void test_a_fatal_refusal_ends_it(void **state) {
    (void)state;
    struct rig *r = rig_create();
    join(r);
    struct wire_msg msg = {.type = WIRE_REFUSE};
    msg.refuse.code = WIRE_REFUSED_FENCED;
    msg.refuse.fatal = true;
    hear(r, &msg);
    enum exit_code code;
    assert_true(learner_finished(r->core, &code));
    assert_int_equal(code, EXIT_CODE_PROTOCOL);
    assert_int_equal(r->trainer->report.checkpoints, 0);
    rig_destroy(r);
}

static const struct wire_msg *ask(struct rig *r, uint64_t run_id, uint64_t have,
                                  enum wire_type type) {
    const struct net_peer peer = {.len = 5, .id = "peer"};
    struct wire_msg msg = {.type = WIRE_POLICY_GET, .run_id = run_id};
    msg.policy_get.have_version = have;
    learner_on_peer(r->core, r->now_ms, &peer, &msg);
    return expect(r, false, type);
}

static void test_answers_at_its_own_endpoint(void **state) {
    (void)state;
    struct rig *r = rig_create();
    assert_int_equal(ask(r, RUN_ID, 0, WIRE_REFUSE)->refuse.code, WIRE_REFUSED_UNKNOWN);
    join(r);
    const struct wire_msg *msg = ask(r, RUN_ID, 0, WIRE_POLICY);
    assert_int_equal(msg->policy.version, epoch_version(EPOCH, 1));
    assert_int_equal(msg->policy.hidden[0], 16);
    assert_int_equal(msg->policy.hidden_layers, 2);
    assert_int_equal(msg->policy.params_len, fixture_sac(r->trainer)->sac.policy_n);
    msg = ask(r, RUN_ID, epoch_version(EPOCH - 1, 31824), WIRE_POLICY); // of a learner before
    assert_true(msg->policy.params_len > 0);
    msg = ask(r, RUN_ID, epoch_version(EPOCH, 1), WIRE_POLICY);
    assert_int_equal(msg->policy.version, epoch_version(EPOCH, 1));
    assert_int_equal(msg->policy.params_len, 0);
    assert_int_equal(ask(r, RUN_ID + 1, 0, WIRE_REFUSE)->refuse.code, WIRE_REFUSED_RUN);

    const struct net_peer peer = {.len = 5, .id = "peer"};
    const struct wire_msg stray = {.type = WIRE_TRANSITIONS, .run_id = RUN_ID};
    learner_on_peer(r->core, r->now_ms, &peer, &stray);
    assert_int_equal(expect(r, false, WIRE_REFUSE)->refuse.code, WIRE_REFUSED_MODE);
    learner_on_garbage(r->core, &peer, WIRE_REFUSED_SCHEMA, "another schema");
    assert_int_equal(expect(r, false, WIRE_REFUSE)->refuse.code, WIRE_REFUSED_SCHEMA);
    learner_on_garbage(r->core, NULL, WIRE_REFUSED_FORMAT, "noise");
    assert_int_equal(counter(r, "messages_refused_format"), 2);
    assert_int_equal(counter(r, "messages_unexpected"), 1);
    assert_int_equal(counter(r, "policy_requests"), 3);
    assert_string_equal(status(r).state, "waiting");
    rig_destroy(r);
}

// An absent server: logged, and retried on new sockets without limit.
static void test_waits_for_the_server(void **state) {
    (void)state;
    struct rig *r = rig_create();
    int hellos = 0;
    for (int i = 0; i < 3000; i++) { // a minute
        tick(r, 20);
        while (unseen(r) > 0) {
            expect(r, true, WIRE_HELLO);
            hellos++;
        }
    }
    assert_true(r->reopened >= 3);
    assert_true(hellos > r->reopened);
    assert_non_null(strstr(status(r).waiting, "ipc://server"));
    struct wire_msg w = welcome(r); // to the pending Hello
    hear(r, &w);
    expect(r, true, WIRE_POLICY);
    expect(r, true, WIRE_PROGRESS);
    rig_destroy(r);
}

static void test_checkpoints_on_request_and_in_time(void **state) {
    (void)state;
    struct rig *r = rig_create();
    join(r);
    struct wire_msg msg = {.type = WIRE_GRANT};
    msg.grant = (struct wire_grant){.model_capacity = 200, .checkpoint_id = 3};
    hear(r, &msg);
    hear(r, &msg); // a total: once
    work(r);
    assert_int_equal(r->trainer->report.checkpoints, 1);
    experience(r, 1, false, 0, 50);
    grant(r, 4, 200);
    work(r);
    uint64_t every_ms = r->config.checkpoint.every_s * 1000;
    for (uint64_t ms = 0; ms <= every_ms + 1000; ms += 1000) {
        sent_forget(&r->sent);
        tick(r, 1000);
        work(r);
        struct wire_msg alive = {.type = WIRE_HEARTBEAT};
        hear(r, &alive);
    }
    assert_int_equal(r->trainer->report.checkpoints, 2);
    rig_destroy(r);
}

// Shutdown: the last checkpoint, then Goodbye; a new start resumes from it.
static void test_shuts_down_and_resumes(void **state) {
    (void)state;
    struct rig *r = rig_create();
    join(r);
    experience(r, 1, false, 0, 50);
    experience(r, 2, true, 100, 30);
    grant(r, 4, 200);
    work(r);
    sent_forget(&r->sent);
    enum exit_code code;
    struct wire_msg msg = {.type = WIRE_SHUTDOWN};
    msg.shutdown.done = true;
    hear(r, &msg);
    learner_stop(r->core, "again, which changes nothing");
    assert_false(learner_finished(r->core, &code));
    work(r);
    expect(r, true, WIRE_GOODBYE);
    assert_true(learner_finished(r->core, &code));
    assert_int_equal(code, EXIT_CODE_OK);
    char path[PATH_MAX];
    assert_int_equal(file_join(path, sizeof(path), r->dir, "policy.safetensors"), 0);
    assert_true(file_exists(path));

    rig_stop(r);
    r->version = 0;
    start(r);
    tick(r, 20);
    const struct wire_hello *hello = &expect(r, true, WIRE_HELLO)->hello;
    assert_int_equal(hello->updates, 4);
    assert_int_equal(hello->policy_version, 2);
    assert_int_equal(hello->real_rows, 0);
    assert_int_equal(hello->model_rows, 0); // so that the model server fills D_model again
    rig_destroy(r);
}

static void test_not_finite_stops_it(void **state) {
    (void)state;
    struct rig *r = rig_create();
    join(r);
    experience(r, 1, false, 0, 50);
    fixture_sac(r->trainer)->sac.policy_params[0] = 1.0f / 0.0f;
    grant(r, 4, 200);
    work(r);
    enum exit_code code;
    assert_true(learner_finished(r->core, &code));
    assert_int_equal(code, EXIT_CODE_FAILURE);
    expect(r, true, WIRE_PROGRESS); // its final state; no policy
    expect(r, true, WIRE_GOODBYE);
    rig_destroy(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lockstep_turn),
        cmocka_unit_test(test_progress_is_sent_in_time),
        cmocka_unit_test(test_time_limits_are_not_ends),
        cmocka_unit_test(test_gaps_are_requested_again),
        cmocka_unit_test(test_capacities_are_clamped),
        cmocka_unit_test(test_other_shapes_are_refused),
        cmocka_unit_test(test_the_ensemble_and_states_start_updates),
        cmocka_unit_test(test_states_follow_each_other),
        cmocka_unit_test(test_states_of_an_unknown_ensemble_ask_for_it),
        cmocka_unit_test(test_other_ensembles_end_it),
        cmocka_unit_test(test_a_full_queue_loses_nothing),
        cmocka_unit_test(test_lost_messages_are_noticed),
        cmocka_unit_test(test_the_newest_policy_wins),
        cmocka_unit_test(test_other_runs_are_not_joined),
        cmocka_unit_test(test_a_fatal_refusal_ends_it),
        cmocka_unit_test(test_answers_at_its_own_endpoint),
        cmocka_unit_test(test_waits_for_the_server),
        cmocka_unit_test(test_checkpoints_on_request_and_in_time),
        cmocka_unit_test(test_shuts_down_and_resumes),
        cmocka_unit_test(test_not_finite_stops_it),
    };
    return cmocka_run_group_tests_name("learner", tests, NULL, NULL);
}
