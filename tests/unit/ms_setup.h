// SPDX-License-Identifier: MIT
// The world of a test of the model server's core, set up for each test in a pacing mode.
#ifndef SPUR_TESTS_UNIT_MS_SETUP_H
#define SPUR_TESTS_UNIT_MS_SETUP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/ms_world.h"

static struct world w;

static inline int lockstep_world(void **state) {
    (void)state;
    world_init(&w, PACING_LOCKSTEP);
    return 0;
}

static inline int ratio_world(void **state) {
    (void)state;
    world_init(&w, PACING_RATIO);
    return 0;
}

static inline int free_world(void **state) {
    (void)state;
    world_init(&w, PACING_FREE);
    return 0;
}

static inline int end_world(void **state) {
    (void)state;
    world_deinit(&w);
    return 0;
}

#define LOCKSTEP(test) cmocka_unit_test_setup_teardown(test, lockstep_world, end_world)
#define RATIO(test) cmocka_unit_test_setup_teardown(test, ratio_world, end_world)
#define FREE(test) cmocka_unit_test_setup_teardown(test, free_world, end_world)

static inline void expect_refusal(uint8_t peer, enum wire_refusal code, bool fatal) {
    const struct wire_msg *s = sent_last(&w.sent, peer, WIRE_REFUSE);
    assert_non_null(s);
    assert_int_equal(s->refuse.code, code);
    assert_int_equal(s->refuse.fatal, fatal);
}

#endif
