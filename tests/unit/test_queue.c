// SPDX-License-Identifier: MIT
// Shows that the queue keeps order, refuses when full, respects its time limit, wakes
// waiting threads when closed, and loses nothing between threads (also run under TSan).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "common/base/clock.h"
#include "common/base/queue.h"

static int items[100];

static void order_and_refusal(void **state) {
    (void)state;
    struct queue *q = queue_create(3);
    assert_true(queue_push(q, &items[0]));
    assert_true(queue_push(q, &items[1]));
    assert_true(queue_push(q, &items[2]));
    assert_false(queue_push(q, &items[3])); // full
    assert_ptr_equal(queue_pop(q, 0), &items[0]);
    assert_true(queue_push(q, &items[3]));
    assert_ptr_equal(queue_pop(q, 0), &items[1]);
    queue_close(q);
    assert_false(queue_push(q, &items[4])); // closed
    assert_ptr_equal(queue_pop(q, UINT32_MAX), &items[2]);
    assert_ptr_equal(queue_pop(q, UINT32_MAX), &items[3]);
    assert_null(queue_pop(q, UINT32_MAX)); // closed and empty: no waiting
    queue_destroy(&q);
    assert_null(q);
}

static void respects_its_time_limit(void **state) {
    (void)state;
    struct queue *q = queue_create(1);
    uint64_t start = clock_ms();
    assert_null(queue_pop(q, 50));
    assert_true(clock_ms() - start >= 49);
    queue_destroy(&q);
}

static void *close_later(void *arg) {
    struct queue *q = arg;
    queue_pop(q, 30);
    queue_close(q);
    return NULL;
}

static void closing_wakes(void **state) {
    (void)state;
    struct queue *q = queue_create(1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, close_later, q), 0);
    assert_null(queue_pop(q, UINT32_MAX));
    assert_true(queue_closed(q));
    pthread_join(thread, NULL);
    queue_destroy(&q);
}

enum { MANY = 20000 };

static void *produce(void *arg) {
    struct queue *q = arg;
    for (uintptr_t i = 1; i <= MANY;) {
        if (queue_push(q, (void *)i)) {
            i++;
        }
    }
    return NULL;
}

static void nothing_is_lost_between_threads(void **state) {
    (void)state;
    struct queue *q = queue_create(8);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, produce, q), 0);
    }
    uint64_t sum = 0;
    for (int i = 0; i < 2 * MANY; i++) {
        sum += (uintptr_t)queue_pop(q, UINT32_MAX);
    }
    assert_int_equal(sum, (uint64_t)MANY * (MANY + 1));
    assert_int_equal(queue_len(q), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    queue_destroy(&q);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_refusal),
        cmocka_unit_test(respects_its_time_limit),
        cmocka_unit_test(closing_wakes),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
