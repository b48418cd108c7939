// SPDX-License-Identifier: MIT
// Shows that a team runs every item once, on the worker of its number, with fewer and more threads
// than cores, and on the caller without a team. Writes of one job are visible to the next on any
// thread, also after the threads slept. Items can wait for each other, across the wrap of a
// counter. An idle team uses no processor time, and one with fewer cores than threads soon stops
// spinning.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/thread_team.h"

enum { ITEMS = 7, SHORT_ROUNDS = 2000 };

struct job {
    int size; // of the team
    int count[ITEMS], worker[ITEMS];
};

static void count_item(void *arg, int item, int worker) {
    struct job *job = arg;
    job->count[item]++;
    job->worker[item] = worker;
}

static void pause_ms(long ms) {
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void every_item_once(void **state) {
    (void)state;
    const int sizes[] = {1, 2, 3, 5, THREAD_TEAM_SIZE_MAX};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct job job = {.size = sizes[s]};
        struct thread_team *team = thread_team_create(job.size);
        assert_int_equal(thread_team_size(team), job.size);
        thread_team_run(team, count_item, &job, 0); // an empty job
        for (int round = 1; round <= ITEMS; round++) {
            thread_team_run(team, count_item, &job, round);
            for (int i = 0; i < ITEMS; i++) {
                assert_int_equal(job.count[i], i < round ? round - i : 0);
                assert_int_equal(job.worker[i], i < round ? i % job.size : 0);
            }
        }
        thread_team_destroy(&team);
        assert_null(team);
        thread_team_destroy(&team);
    }
    struct job alone = {.size = 1};
    thread_team_run(NULL, count_item, &alone, ITEMS);
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(alone.count[i], 1);
        assert_int_equal(alone.worker[i], 0);
    }
}

// Item i adds its left neighbour's value of the previous round.
struct chain {
    uint32_t now[ITEMS], before[ITEMS];
};

static void add_neighbour(void *arg, int item, int worker) {
    (void)worker;
    struct chain *c = arg;
    c->now[item] = 3 * c->before[item] + c->before[(item + ITEMS - 1) % ITEMS] + 1;
}

static void rounds_are_ordered(void **state) {
    (void)state;
    for (int size = 1; size <= 4; size++) {
        struct thread_team *team = thread_team_create(size);
        struct chain got = {0}, expected = {0};
        for (int round = 0; round < SHORT_ROUNDS; round++) {
            thread_team_run(team, add_neighbour, &got, ITEMS);
            memcpy(got.before, got.now, sizeof(got.now));
            for (int i = 0; i < ITEMS; i++) {
                add_neighbour(&expected, i, 0);
            }
            memcpy(expected.before, expected.now, sizeof(expected.now));
            if (round % 500 == 0) {
                pause_ms(2); // long enough for all to sleep
            }
        }
        assert_memory_equal(got.now, expected.now, sizeof(got.now));
        thread_team_destroy(&team);
    }
}

// Items that wait for each other within a job: item i adds the i-th number only after
// item i - 1, although items start in any order and some are late.
struct relay {
    struct thread_team *team;
    atomic_uint at;
    uint64_t sum; // guarded by at
    int size;
};

static void take_turn(void *arg, int item, int worker) {
    struct relay *r = arg;
    for (unsigned round = 0; round < 50; round++) {
        unsigned turn = round * (unsigned)r->size + (unsigned)item;
        if (turn % 37 == 0) {
            pause_ms(1); // long enough for the others to sleep
        }
        thread_team_wait(r->team, worker, &r->at, turn - 20);
        r->sum = 3 * r->sum + turn;
        thread_team_raise(r->team, &r->at, turn - 20 + 1);
    }
}

static void items_can_wait_for_each_other(void **state) {
    (void)state;
    for (int size = 1; size <= 4; size++) {
        struct relay r = {.team = thread_team_create(size), .size = size};
        uint64_t expected = 0;
        for (unsigned turn = 0; turn < 50 * (unsigned)size; turn++) {
            expected = 3 * expected + turn;
        }
        atomic_store(&r.at, UINT_MAX - 19); // 20 turns before it wraps
        thread_team_run(r.team, take_turn, &r, size);
        assert_true(r.sum == expected);
        thread_team_destroy(&r.team);
    }
}

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// Includes the threads of a team.
static void bind_all_threads(const cpu_set_t *set) {
    DIR *threads = opendir("/proc/self/task");
    assert_non_null(threads);
    for (struct dirent *t; (t = readdir(threads));) {
        if (t->d_name[0] != '.') {
            assert_int_equal(sched_setaffinity(atoi(t->d_name), sizeof(*set), set), 0);
        }
    }
    closedir(threads);
}

static void idle_teams_sleep(void **state) {
    (void)state;
    struct thread_team *team = thread_team_create(2);
    struct job job = {.size = 2};
    thread_team_run(team, count_item, &job, ITEMS);
    double before = cpu_s();
    pause_ms(400);
    double used = cpu_s() - before;
    print_message("an idle team used %.3f ms of 400\n", used * 1e3);
    assert_true(used < 0.04);
    thread_team_destroy(&team);
}

// Some tens of microseconds of work that is not optimised away.
static void work(void *arg, int item, int worker) {
    (void)worker;
    volatile uint64_t *sums = arg;
    for (int i = 0; i < 100000; i++) {
        sums[item * 8] += (uint64_t)i;
    }
}

static double thread_team_cpu_s(struct thread_team *team, int rounds) {
    uint64_t sums[2 * 8] = {0};
    double before = cpu_s();
    for (int i = 0; i < rounds; i++) {
        thread_team_run(team, work, sums, 2);
    }
    return cpu_s() - before;
}

// Two threads on one core: a waiting thread must yield. One thread does the same work
// first; the difference is spinning and switching.
static void a_contended_core_is_yielded(void **state) {
    (void)state;
    enum { ROUNDS = 400 };
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    struct thread_team *alone = thread_team_create(1),
                       *pair = thread_team_create(2); // sees the whole machine
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &one);
        }
    }
    bind_all_threads(&one);
    thread_team_cpu_s(alone, ROUNDS / 10);
    double needed = thread_team_cpu_s(alone, ROUNDS), used = thread_team_cpu_s(pair, ROUNDS);
    print_message("two threads on one core used %.1f ms for %.1f ms of work\n", used * 1e3,
                  needed * 1e3);
    assert_true(used < 3 * needed); // an unbounded spin uses fifty times as much
    bind_all_threads(&all);
    thread_team_destroy(&alone);
    thread_team_destroy(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once),
        cmocka_unit_test(rounds_are_ordered),
        cmocka_unit_test(items_can_wait_for_each_other),
        cmocka_unit_test(idle_teams_sleep),
        cmocka_unit_test(a_contended_core_is_yielded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
