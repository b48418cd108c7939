// SPDX-License-Identifier: MIT
// SAC updates in the learner of a complete run, which also receives experience, publishes policies
// and answers status requests.
//
// `spur run` is started in a temporary directory. Its learner has one thread on a core of its own,
// like the case that is its limit; all other processes share the remaining cores. Between rounds
// the processes are suspended, so that they do not slow down the cases compared with.
#include "cli/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/run/endpoints.h"
#include "cli/run/rundir.h"
#include "cli/status/status_client.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/host.h"
#include "common/io/loop.h"

#define PROCESSES_MAX 8
#define READY_MS_MAX 60000
#define LEAVE_MS_MAX 5000
#define POLL_MS 50
#define ASK_MS_MAX 5000
#define SETTLE_MS 100   // from resuming the processes to the start of the measurement
#define SECONDS_MIN 0.5 // the learner updates its status every 20 ms
#define STATUS_MS 250   // interval of status requests, as in `spur run`

struct system_bench {
    char folder[PATH_MAX], run_dir[PATH_MAX], spur[PATH_MAX];
    struct loop *loop;
    struct loop_child *run;
    bool ended;
    pid_t pids[PROCESSES_MAX]; // of its daemons
    int count;
    struct status_client *learner;
    int learner_core;
    clockid_t learner_clock; // its CPU time
    cpu_set_t others;
};

static void pause_ms(uint64_t ms) {
    usleep((useconds_t)ms * 1000);
}

static void signal_daemons(const struct system_bench *s, int number) {
    for (int i = 0; i < s->count; i++) {
        kill(s->pids[i], number);
    }
}

static void on_run_end(void *arg, int exit_status, int term_signal) {
    struct system_bench *s = arg;
    (void)exit_status;
    (void)term_signal;
    s->ended = true;
    loop_stop(s->loop);
}

static void on_timeout(void *arg) {
    struct system_bench *s = arg;
    loop_stop(s->loop);
}

// ---- start ----

// Hopper, with k in the middle of its schedule. An early first model and short trainings, so that
// the learner does not wait for the processes on the other cores.
static bool start(struct system_bench *s, char *note, size_t note_len) {
    static const char *const sets[] = {
        "run.explore_steps=2000",        "run.steps=1000000",
        "rollout.schedule=[0, 1, 8, 8]", "model.stop=budget",
        "model.steps_max=100",           "model.train_every_steps=50",
        "compute.learner_threads=1",     "eval.every_steps=1000000000",
        "checkpoint.every_s=86400",      "network.lost_after_ms=600000",
        "network.heartbeat_ms=60000",    "compute.modelserver_threads=1",
    };
    enum { SETS = sizeof(sets) / sizeof(sets[0]) };
    const char *args[5 + 2 * SETS + 1] = {s->spur, "run", "hopper", "--run-dir", s->run_dir};
    for (int i = 0; i < SETS; i++) {
        args[5 + 2 * i] = "--set";
        args[6 + 2 * i] = sets[i];
    }
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    cpu_set_t mine;
    CHECK(sched_getaffinity(0, sizeof(mine), &mine) == 0);
    sched_setaffinity(0, sizeof(s->others), &s->others); // inherited by all children
    s->run = loop_spawn(s->loop, args, null_fd, on_run_end, s, note, note_len);
    sched_setaffinity(0, sizeof(mine), &mine);
    close(null_fd);
    return s->run != NULL;
}

// The learner's endpoint is the second line of the file.
static bool find_learner(struct system_bench *s, char *note, size_t note_len) {
    char path[PATH_MAX], endpoint[NET_ENDPOINT_MAX], *text;
    size_t len;
    if (!rundir_join(path, s->run_dir, "endpoints") || file_read_all(&text, &len, path, 4096) < 0) {
        return false;
    }
    bool found = sscanf(text, "modelserver: %*s learner: %255s", endpoint) == 1;
    free(text);
    if (found) {
        s->learner = status_client_create(endpoint, NULL, note, note_len);
    }
    return s->learner != NULL;
}

// Waits for the first updates.
static bool wait_for_updates(struct system_bench *s, char *note, size_t note_len) {
    const struct wire_status *status;
    for (uint64_t begin_ms = clock_ms(); clock_ms() - begin_ms < READY_MS_MAX; pause_ms(POLL_MS)) {
        if (!s->learner && !find_learner(s, note, note_len)) {
            continue;
        }
        if (status_client_status(s->learner, &status, ASK_MS_MAX, note, note_len) == 0 &&
            status->updates > 0) {
            return true;
        }
    }
    snprintf(note, note_len, "the run did not reach its first update in time");
    return false;
}

// Reads the process ids from the log: "learner started as process 123".
static void find_daemons(struct system_bench *s) {
    char path[PATH_MAX], line[1024];
    FILE *log = rundir_join(path, s->run_dir, "log") ? fopen(path, "re") : NULL;
    while (log && s->count < PROCESSES_MAX && fgets(line, sizeof(line), log)) {
        const char *at = strstr(line, " started as process ");
        if (at) {
            s->pids[s->count++] = (pid_t)strtol(at + strlen(" started as process "), NULL, 10);
        }
    }
    if (log) {
        fclose(log);
    }
}

static bool start_all(struct system_bench *s, const char *where, char *note, size_t note_len) {
    const struct wire_status *status;
    ssize_t len = readlink("/proc/self/exe", s->spur, sizeof(s->spur) - 1);
    cpu_set_t all;
    if (len <= 0 || sched_getaffinity(0, sizeof(all), &all) != 0) {
        snprintf(note, note_len, "cannot determine the path or the cores of this program");
        return false;
    }
    CPU_ZERO(&s->others);
    s->learner_core = -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all) && s->learner_core < 0) {
            s->learner_core = cpu;
        } else if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &s->others);
        }
    }
    if (host_cores() < 2) {
        snprintf(note, note_len, "needs two cores: one for the learner, one for other processes");
        return false;
    }
    if (bench_make_folder(s->folder, where) != 0) {
        snprintf(note, note_len, "cannot create a directory in %.200s", where);
        return false;
    }
    if (!rundir_join(s->run_dir, s->folder, "run") || !start(s, note, note_len) ||
        !wait_for_updates(s, note, note_len) ||
        status_client_status(s->learner, &status, ASK_MS_MAX, note, note_len) != 0) {
        return false;
    }
    if (!host_bind((pid_t)status->pid, s->learner_core) ||
        clock_getcpuclockid((pid_t)status->pid, &s->learner_clock) != 0) {
        snprintf(note, note_len, "cannot bind the learner to a core and read its CPU time");
        return false;
    }
    find_daemons(s);
    signal_daemons(s, SIGSTOP);
    return true;
}

// ---- measuring ----

struct sample {
    uint64_t updates, clock_ns, cpu_ns; // cpu_ns: all threads of the learner
};

static bool take_sample(struct sample *m, struct system_bench *s, char *note, size_t note_len) {
    const struct wire_status *status;
    struct timespec cpu;
    if (status_client_status(s->learner, &status, ASK_MS_MAX, note, note_len) != 0 ||
        clock_gettime(s->learner_clock, &cpu) != 0) {
        return false;
    }
    *m = (struct sample){status->updates, clock_ns(),
                         (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec};
    return true;
}

// Updates per second of the learner's CPU time. Its waiting time, on which other programs have an
// influence, is reported in the note only.
static double system_run(struct bench_case *c, double seconds) {
    struct system_bench *s = c->state;
    struct sample first, last = {0};
    uint64_t limit_ns = (uint64_t)((seconds < SECONDS_MIN ? SECONDS_MIN : seconds) * 1e9);
    signal_daemons(s, SIGCONT);
    pause_ms(SETTLE_MS);
    bool fine = take_sample(&first, s, c->note, sizeof(c->note));
    while (fine && last.clock_ns < first.clock_ns + limit_ns) {
        pause_ms(STATUS_MS);
        fine = take_sample(&last, s, c->note, sizeof(c->note));
    }
    signal_daemons(s, SIGSTOP);
    if (!fine) {
        return -1;
    }
    double cpu_s = (double)(last.cpu_ns - first.cpu_ns) / 1e9;
    double clock_s = (double)(last.clock_ns - first.clock_ns) / 1e9;
    snprintf(
        c->note, sizeof(c->note),
        "limit: sac_updates, which has no experience, publishing and status; in the last round "
        "the learner was computing %.0f%% of the time",
        100 * cpu_s / clock_s);
    return cpu_s > 0 ? (double)(last.updates - first.updates) / cpu_s : 0;
}

static void system_close(void *state) {
    struct system_bench *s = state;
    status_client_destroy(&s->learner);
    if (s->run) {
        find_daemons(s);
        signal_daemons(s, SIGKILL);
        loop_child_kill(s->run, SIGKILL);
        loop_add_timer(s->loop, LEAVE_MS_MAX, 0, on_timeout, s);
        if (!s->ended) {
            loop_run(s->loop);
        }
        endpoints_clear(s->run_dir);
    }
    loop_destroy(&s->loop);
    if (s->folder[0]) {
        bench_remove_folder(s->folder);
    }
    free(s);
}

void bench_add_system(struct bench *b, const struct bench_case *alone, const char *where) {
    struct bench_case *c = bench_add(b, "sac_updates_in_run", "updates/s");
    struct system_bench *s = xcalloc(1, sizeof(*s));
    snprintf(c->what, sizeof(c->what), "SAC updates in a run's learner, one thread, k = 8");
    c->state = s;
    c->close = system_close;
    c->limit = bench_index(b, alone);
    c->cost = 1;
    s->loop = loop_create();
    if (start_all(s, where, c->note, sizeof(c->note))) {
        c->run = system_run;
    }
}
