// SPDX-License-Identifier: MIT
// Tests the trainer's execution of commands: the rows of an update, the limits of a
// grant, the publication of policies, the discount of a real step.
#include "learner/trainer.h"

#include <math.h>

#include "tests/unit/trainer_fixture.h"

static void test_batches_are_mixed(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    struct trainer *t = make(&run);
    grant(t, 100, 200);
    assert_false(trainer_can_update(t)); // no rows
    add(t, false, 0, 50);
    assert_true(trainer_can_update(t));
    trainer_update(t); // D_model is empty: all rows are real
    for (int i = 0; i < 40; i++) {
        assert_true(fixture_sac(t)->batch.reward[i] < 50);
    }
    add(t, true, 0, 200);
    for (int u = 0; u < 20; u++) {
        trainer_update(t); // int(0.05 * 40) = 2 real rows
        for (int i = 0; i < 40; i++) {
            assert_int_equal(fixture_sac(t)->batch.reward[i] < MODEL_BASE, i < 2);
        }
    }
    trainer_destroy(&t);
    fixture_remove(run.dir);
}

// With as many rows in both, rows of the same rank are rarely drawn from both at once.
static void test_both_replays_are_drawn_independently(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    run.config.sac.real_ratio = 0.5;
    struct trainer *t = make(&run);
    add(t, false, 0, 200);
    add(t, true, 0, 200);
    grant(t, 20, 200);
    int same = 0;
    while (trainer_can_update(t)) {
        trainer_update(t);
        for (int i = 0; i < 20; i++) {
            const float *reward = fixture_sac(t)->batch.reward;
            same += reward[i] == reward[20 + i] - MODEL_BASE;
        }
    }
    assert_in_range(same, 0, 10); // of 400 pairs: 2 expected
    trainer_destroy(&t);
    fixture_remove(run.dir);
}

static void test_updates_stop_at_the_grant(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    struct trainer *t = make(&run);
    assert_int_equal(t->report.policy_version, 1);
    add(t, false, 0, 50);
    assert_false(trainer_can_update(t));
    grant(t, 9, 200);
    uint64_t published = 0;
    while (trainer_can_update(t)) {
        bool now = trainer_update(t);
        assert_int_equal(now, t->updates % 4 == 0);
        published += now;
        assert_int_equal(t->report.policy_version, 1 + published);
    }
    assert_int_equal(t->report.updates, 9);
    assert_int_equal(published, 2);
    assert_int_equal(t->report.sum.n, 9);
    assert_true(t->report.idle);
    trainer_destroy(&t);
    fixture_remove(run.dir);
}

// Four updates belong to a real step, ten steps to an epoch.
static void test_discount_follows_the_real_step(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    run.config.run.explore_steps = 30;
    run.config.rollout.epoch_steps = 10;
    run.config.sac.discount = 0.8;
    run.config.sac.discount_rise = (struct config_list){.n = 3, .v = {1, 3, 0.4}};
    struct trainer *t = make(&run);
    add(t, false, 0, 50);
    grant(t, 130, 20);
    while (trainer_can_update(t)) {
        uint64_t epoch = t->updates / 40;
        double want = epoch < 2 ? 0.4 : epoch == 2 ? 0.6 : 0.8;
        trainer_update(t);
        assert_true(fabs(fixture_sac(t)->sac.config.discount - want) < 1e-15);
    }
    assert_int_equal(t->updates, 130);
    trainer_destroy(&t);
    fixture_remove(run.dir);
}

static void test_capacity_follows_the_grant(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    struct trainer *t = make(&run);
    assert_int_equal(t->d_model.capacity, 200); // 100 steps * 2 rollouts * k 1
    assert_int_equal(t->d_model.reserved, 600); // k 3 at the end
    add(t, true, 0, 300);
    assert_int_equal(t->report.model_rows, 200);
    grant(t, 0, 600);
    add(t, true, 300, 350);
    assert_int_equal(t->report.model_rows, 550);
    assert_true(replay_part(&t->d_model, 0).reward[0] == MODEL_BASE + 100);
    assert_int_equal(t->report.model_capacity, 600);
    trainer_destroy(&t);
    fixture_remove(run.dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_are_mixed),
        cmocka_unit_test(test_both_replays_are_drawn_independently),
        cmocka_unit_test(test_updates_stop_at_the_grant),
        cmocka_unit_test(test_discount_follows_the_real_step),
        cmocka_unit_test(test_capacity_follows_the_grant),
    };
    return cmocka_run_group_tests_name("trainer", tests, NULL, NULL);
}
