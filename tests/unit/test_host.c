// SPDX-License-Identifier: MIT
// Shows that cgroup limits are found, using copies of Linux's files in a folder: version 1 and 2,
// set on the group itself, on a parent group, or seen from inside a container. Cores are counted
// and divided by them and by the affinity mask. A process detects that its parent has already
// ended.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/host.h"
#include "common/config/thread_plan.h"

static char root[64];

static int set_up(void **state) {
    (void)state;
    snprintf(root, sizeof(root), "/tmp/spur-test-process-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", root);
    return system(command);
}

// Writes text to a file below root, with its folders.
static void place(const char *path, const char *text) {
    char whole[256], folder[256];
    snprintf(whole, sizeof(whole), "%s%s", root, path);
    snprintf(folder, sizeof(folder), "%s", whole);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(file_make_dirs(folder), 0);
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_limits(double cores, uint64_t memory) {
    double got = host_cgroup_cores(root);
    if (got < cores - 1e-9 || got > cores + 1e-9) {
        fail_msg("%g cores, not %g", got, cores);
    }
    assert_int_equal(host_cgroup_memory(root), memory);
}

static void no_cgroup_means_no_limit(void **state) {
    (void)state;
    assert_limits(0, 0);
    place("/proc/self/cgroup", "0::/\n");
    assert_limits(0, 0);
}

static void version_2(void **state) {
    (void)state;
    place("/proc/self/cgroup", "0::/user/job\n");
    place("/sys/fs/cgroup/user/job/cpu.max", "max 100000\n");
    place("/sys/fs/cgroup/user/job/memory.max", "max\n");
    assert_limits(0, 0);
    place("/sys/fs/cgroup/user/job/cpu.max", "350000 100000\n");
    place("/sys/fs/cgroup/user/job/memory.max", "2147483648\n");
    assert_limits(3.5, UINT64_C(2) << 30);
    place("/sys/fs/cgroup/user/cpu.max", "100000 50000\n"); // a tighter limit on the parent group
    place("/sys/fs/cgroup/user/memory.max", "3221225472\n");
    assert_limits(2, UINT64_C(2) << 30);
}

static void version_1(void **state) {
    (void)state;
    place("/proc/self/cgroup", "12:cpuset:/other\n5:memory:/job\n4:cpu,cpuacct:/job\n0::/\n");
    place("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
    place("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    place("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n");
    assert_limits(0, 0);
    place("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "150000\n");
    place("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "536870912\n");
    assert_limits(1.5, 512 << 20);
}

// The path is the host's and does not exist here: the mount point is the container's own group.
static void inside_a_container(void **state) {
    (void)state;
    place("/proc/self/cgroup", "5:memory:/docker/0123\n4:cpuacct,cpu:/docker/0123\n");
    place("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
    place("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    place("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
    assert_limits(2, 1 << 30);
}

// In a child process, because it sets its affinity: `bound` cores (0: all), a quota (NULL: none)
// and the settings of compute.*. Returns the cores and the printed line.
static void assert_division(int bound, const char *quota, int learner, int modelserver,
                            const char *expected) {
    place("/proc/self/cgroup", "0::/job\n");
    place("/sys/fs/cgroup/job/cpu.max", quota ? quota : "max 100000\n");
    pid_t pid = fork();
    if (pid == 0) {
        cpu_set_t all, some;
        CPU_ZERO(&some);
        sched_getaffinity(0, sizeof(all), &all);
        for (int cpu = 0, n = 0; cpu < CPU_SETSIZE && n < bound; cpu++) {
            if (CPU_ISSET(cpu, &all)) {
                CPU_SET(cpu, &some);
                n++;
            }
        }
        if (bound > 0 && sched_setaffinity(0, sizeof(some), &some) != 0) {
            _exit(2);
        }
        struct config config;
        char text[256];
        config_defaults(&config);
        config.compute.learner_threads = learner;
        config.compute.modelserver_threads = modelserver;
        thread_plan_describe(text, sizeof(text), &config, root);
        if (strcmp(text, expected) != 0) {
            print_error("\"%s\", not \"%s\"\n", text, expected);
            _exit(1);
        }
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

// A process bound to one core has one core, whatever the quota; a quota rounds down, because half a
// core too many would be throttled.
static void cores_are_those_given(void **state) {
    (void)state;
    assert_division(
        1, NULL, 0, 0,
        "1 core (affinity 1, no cgroup limit): learner 1 thread, model server 1 thread");
    assert_division(1, "150000 100000\n", 0, 0,
                    "1 core (affinity 1, cgroup limit 1.5): learner 1 thread, "
                    "model server 1 thread");
    assert_division(1, "50000 100000\n", 2, 3,
                    "1 core (affinity 1, cgroup limit 0.5): learner 2 threads, "
                    "model server 3 threads");
    if (host_affinity() < 2) {
        return; // the following needs two cores
    }
    assert_division(2, NULL, 0, 0,
                    "2 cores (affinity 2, no cgroup limit): learner 2 threads, "
                    "model server 1 thread");
    assert_division(2, "150000 100000\n", 0, 0,
                    "1 core (affinity 2, cgroup limit 1.5): learner 1 thread, "
                    "model server 1 thread");
}

static void a_process_is_bound(void **state) {
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        cpu_set_t all;
        int core = 0;
        sched_getaffinity(0, sizeof(all), &all);
        while (!CPU_ISSET(core, &all)) {
            core++;
        }
        _exit(host_bind(getpid(), core) && host_affinity() == 1 && sched_getcpu() == core &&
                      !host_bind(getpid(), CPU_SETSIZE)
                  ? 0
                  : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void cores_are_divided(void **state) {
    (void)state;
    struct config c;
    config_defaults(&c);
    const struct {
        int cores, learner, modelserver;
    } expected[] = {{1, 1, 1}, {2, 2, 1}, {3, 2, 1}, {4, 2, 2}, {8, 2, 6}, {64, 2, 7}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        struct thread_plan t = thread_plan_divide(&c, expected[i].cores);
        assert_int_equal(t.learner, expected[i].learner);
        assert_int_equal(t.modelserver, expected[i].modelserver); // at most one per member
    }
    c.sac.hidden_width = 64; // too small for two
    assert_int_equal(thread_plan_divide(&c, 4).learner, 1);
    c.sac.hidden = (struct config_list){3, {64, 512, 512}};
    assert_int_equal(thread_plan_divide(&c, 4).learner, 2);
    c.sac.hidden.n = 0;
    config_use_method(&c, METHOD_dhmbpo); // tiles for more threads; trainings have all cores
    assert_int_equal(thread_plan_divide(&c, 64).learner, THREAD_PLAN_TILES_MAX);
    assert_int_equal(thread_plan_divide(&c, 4).modelserver, 4);
    config_use_method(&c, METHOD_mbpo);
    c.compute.learner_threads = 7; // explicit values win, limited by the available work
    c.compute.modelserver_threads = 4;
    struct thread_plan t = thread_plan_divide(&c, 1);
    assert_int_equal(t.learner, THREAD_PLAN_LEARNER_MAX);
    assert_int_equal(t.modelserver, 4);
}

static void this_machine_has_sane_limits(void **state) {
    (void)state;
    assert_in_range(host_cores(), 1, 16384);
    uint64_t rss = host_rss(), limit = host_memory_limit();
    assert_true(rss > 100 << 10);
    assert_true(limit > rss);
    enum { MORE = 32 << 20 };
    volatile char *more = malloc(MORE); // volatile: keeps the writes
    for (int i = 0; i < MORE; i += 1024) {
        more[i] = 1;
    }
    assert_true(host_rss() > rss + MORE / 4 * 3);
    free((void *)more);
}

static void a_dead_parent_is_detected(void **state) {
    (void)state;
    pid_t self = getpid(), pid = fork();
    if (pid == 0) {
        int right = host_die_with(self, SIGTERM), wrong = host_die_with(self + 1, SIGTERM);
        _exit(right == 0 && wrong == -ESRCH ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_stopped_process_is_found(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        for (;;) {
            pause();
        }
    }
    usleep(20000); // it sleeps
    assert_false(host_is_stopped(child));
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
    assert_true(host_is_stopped(child));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(host_is_stopped(child));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_cgroup_means_no_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(version_2, set_up, tear_down),
        cmocka_unit_test_setup_teardown(version_1, set_up, tear_down),
        cmocka_unit_test_setup_teardown(inside_a_container, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cores_are_those_given, set_up, tear_down),
        cmocka_unit_test(cores_are_divided),
        cmocka_unit_test(a_process_is_bound),
        cmocka_unit_test(this_machine_has_sane_limits),
        cmocka_unit_test(a_dead_parent_is_detected),
        cmocka_unit_test(a_stopped_process_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
