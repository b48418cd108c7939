// SPDX-License-Identifier: MIT
// Shows that an actor with several environments steps them in turn without effect on each other,
// and that the noise of its actions is correlated within an episode and a function of the step.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "common/base/log.h"
#include "tests/unit/actor_world.h"

// Ornstein-Uhlenbeck noise that hardly moves within an episode: the smallest theta.
static struct world *join_with_slow_noise(int envs) {
    world_envs = envs;
    world_noise = WIRE_NOISE_OU;
    struct world *w = world_make(false);
    welcome(w);
    world_envs = 1;
    world_noise = WIRE_NOISE_DEFAULT;
    return w;
}

static void random_actions_are_correlated_over_an_episode(void **state) {
    (void)state;
    struct world *w = join_with_slow_noise(1);
    credit(w, 10, 100, 0, 0);
    step(w);
    for (int i = 1; i < 10; i++) {
        float change = fabsf(sent_value(w, i, 'a') - sent_value(w, i - 1, 'a'));
        if (i == EPISODE_STEPS) {
            assert_true(change > 0.1f); // a new episode, a new sequence
        } else {
            assert_true(change > 0 && change < 0.1f);
        }
    }
    world_free(w);
}

static void environments_take_turns(void **state) {
    (void)state;
    struct world *one = join_with(1), *three = join_with(3);
    credit(one, 4, 100, 0, 0);
    step(one);
    // Less than a round at a time: the allowed steps are taken, and the next round continues there.
    for (uint64_t allowed = 2; allowed <= 12; allowed += 2) {
        credit(three, allowed, 100, 0, 0);
        step(three);
        assert_int_equal(rows_sent(three), allowed);
    }
    world_free(three);
    three = join_with(3);
    credit(three, 12, 100, 0, 0);
    step(three);
    for (int n = 0; n < 12; n++) {
        assert_true(sent_value(three, n, 'n') == (float)(n / 3)); // steps in the episode
        for (int m = 0; m < n; m++) {
            assert_true(sent_value(three, n, 'a') != sent_value(three, m, 'a'));
            assert_true((sent_value(three, n, 's') == sent_value(three, m, 's')) ==
                        (n % 3 == m % 3)); // each has its own episode
        }
    }
    // Environments do not affect each other.
    for (int n = 0; n < 4; n++) {
        assert_true(sent_value(one, n, 'a') == sent_value(three, 3 * n, 'a'));
        assert_true(sent_value(one, n, 's') == sent_value(three, 3 * n, 's'));
    }
    world_free(one);
    world_free(three);
}

// Actions chosen with one policy, while another is required by then.
static void chosen_actions_obey_the_required_version(void **state) {
    (void)state;
    struct world *w = join_with(12);
    credit(w, 100, 0, 1, 1);
    give_policy(w, 1);
    actor_step(w->actor, w->now_ms); // ACTOR_STEPS_PER_CALL of the 12 chosen actions
    assert_int_equal(rows_sent(w), 8);
    give_policy(w, 2);
    credit(w, 100, 0, 2, 2);
    step(w);
    assert_int_equal(rows_sent(w), 12);
    for (int i = 0; i < 3; i++) {
        const struct wire_msg *msg = find_sent(w, WIRE_TRANSITIONS, i);
        assert_int_equal(msg->transitions.policy_version, i < 2 ? 1 : 2);
    }
    world_free(w);
}

// The noise is a function of the step: actions that a newer policy decides again have the noise
// that they had.
static void a_step_that_is_decided_again_keeps_its_noise(void **state) {
    (void)state;
    struct world *once = join_with_slow_noise(12), *again = join_with_slow_noise(12);
    give_policy(once, 2);
    give_policy(again, 1);
    credit(once, 100, 0, 1, 2);
    credit(again, 100, 0, 1, 1);
    actor_step(again->actor, again->now_ms); // 8 of the 12 chosen actions
    give_policy(again, 2);
    credit(again, 100, 0, 2, 2);
    step(once);
    step(again);
    for (int n = 0; n < 12; n++) {
        assert_true((sent_value(once, n, 'a') == sent_value(again, n, 'a')) == (n >= 8));
    }
    world_free(once);
    world_free(again);
}

static void a_bad_step_ends_its_own_episode_alone(void **state) {
    (void)state;
    struct world *w = join_with(3);
    bad_step_at = 4; // the second one of the first environment
    credit(w, 8, 100, 0, 0);
    step(w);
    assert_int_equal(steps_taken, 9);
    assert_int_equal(counter(w, "steps_bad"), 1);
    const struct wire_msg *s = find_sent(w, WIRE_TRANSITIONS, 0);
    const float steps[] = {0, 0, 0, 1, 1, 0, 2, 2}; // before each row, in its episode
    for (int n = 0; n < 8; n++) {
        assert_true(sent_value(w, n, 'n') == steps[n]);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(s->transitions.rows.flags[i], i == 0 ? WIRE_TRUNCATED : 0);
    }
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_actions_are_correlated_over_an_episode),
        cmocka_unit_test(environments_take_turns),
        cmocka_unit_test(chosen_actions_obey_the_required_version),
        cmocka_unit_test(a_step_that_is_decided_again_keeps_its_noise),
        cmocka_unit_test(a_bad_step_ends_its_own_episode_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
