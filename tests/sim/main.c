// SPDX-License-Identifier: MIT
// spur-sim: runs seeds of the simulator, and says how to replay one that fails.
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "tests/sim/sim.h"

#define PLANT_SEEDS 200 // within which a planted fault must be found

static const char *const plant_names[] = {
#define X(name) #name,
    SIM_PLANTS(X)
#undef X
};

static char replay[128]; // the command, for a failed CHECK

static void on_abort(int signal_number) {
    (void)!write(STDERR_FILENO, replay, strlen(replay));
    _exit(128 + signal_number);
}

static void set_replay(uint64_t seed, enum sim_plant plant) {
    snprintf(replay, sizeof(replay),
             "replay: build/tests/spur-sim --seed %" PRIu64 "%s%s --trace\n", seed,
             plant ? " --plant " : "", plant ? plant_names[plant] : "");
}

struct total {
    uint64_t still_us, events, rows, updates, starts, hash;
    double seconds;
};

static bool run_seed(uint64_t seed, enum sim_plant plant, bool trace, struct total *total,
                     char *violation, size_t violation_len) {
    struct sim *s = xcalloc(1, sizeof(*s));
    s->seed = seed;
    s->plant = plant;
    s->trace = trace;
    set_replay(seed, plant);
    bool held = sim_run(s);
    snprintf(violation, violation_len, "%s", s->violation);
    total->still_us = s->still_us_max > total->still_us ? s->still_us_max : total->still_us;
    total->events += s->executed;
    total->rows += s->disk.rows;
    total->updates += s->updates_max;
    total->starts += s->processes;
    total->hash = total->hash * 31 + s->trace_hash;
    total->seconds += (double)s->now_us * 1e-6;
    free(s);
    return held;
}

static int run_seeds(uint64_t first, uint64_t count, enum sim_plant plant, bool trace) {
    struct total total = {0};
    char violation[512];
    uint64_t failed = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (!run_seed(seed, plant, trace, &total, violation, sizeof(violation))) {
            printf("seed %" PRIu64 ": %s\n%s", seed, violation, replay);
            failed++;
        }
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " failed: %" PRIu64 " events, %" PRIu64 " starts, %" PRIu64
           " rows, %" PRIu64
           " updates in %.0f simulated seconds; longest standstill after faults %.1f s; "
           "trace %016" PRIx64 "\n",
           count, failed, total.events, total.starts, total.rows, total.updates, total.seconds,
           (double)total.still_us * 1e-6, total.hash);
    return failed > 0;
}

// The same seed gives the same events.
static int run_twice(uint64_t first, uint64_t count) {
    char violation[512];
    int differ = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct total once = {0}, again = {0};
        run_seed(seed, PLANT_none, false, &once, violation, sizeof(violation));
        run_seed(seed, PLANT_none, false, &again, violation, sizeof(violation));
        if (once.hash != again.hash || once.events != again.events) {
            printf("seed %" PRIu64 ": %" PRIu64 " events, then %" PRIu64 "\n", seed, once.events,
                   again.events);
            differ++;
        }
    }
    printf("%" PRIu64 " seeds run twice, %d differ\n", count, differ);
    return differ > 0;
}

// Each planted fault must be found.
static int run_plants(void) {
    int missed = 0;
    for (int plant = PLANT_none + 1; plant < PLANT_COUNT; plant++) {
        struct total total = {0};
        char violation[512] = "";
        uint64_t seed = 1;
        while (seed <= PLANT_SEEDS &&
               run_seed(seed, (enum sim_plant)plant, false, &total, violation, sizeof(violation))) {
            seed++;
        }
        missed += seed > PLANT_SEEDS;
        if (seed > PLANT_SEEDS) {
            printf("%-24s NOT FOUND in %d seeds\n", plant_names[plant], PLANT_SEEDS);
        } else {
            printf("%-24s seed %-4" PRIu64 " %s\n", plant_names[plant], seed, violation);
        }
    }
    printf("%d planted faults, %d found\n", PLANT_COUNT - 1, PLANT_COUNT - 1 - missed);
    return missed > 0;
}

static enum sim_plant plant_of(const char *name) {
    for (int i = 0; i < PLANT_COUNT; i++) {
        if (strcmp(plant_names[i], name) == 0) {
            return (enum sim_plant)i;
        }
    }
    die(EXIT_CODE_USAGE, NULL, "there is no planted fault %s", name);
}

int main(int argc, char **argv) {
    uint64_t first = 1, count = 1;
    enum sim_plant plant = PLANT_none;
    bool trace = false, logs = false, plants = false, twice = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--seeds") == 0) {
            count = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--first") == 0 || strcmp(argv[i], "--seed") == 0) {
            first = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--plant") == 0) {
            plant = plant_of(value);
            i++;
        } else if (strcmp(argv[i], "--plants") == 0) {
            plants = true;
        } else if (strcmp(argv[i], "--twice") == 0) {
            twice = true;
        } else if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
        } else if (strcmp(argv[i], "--log") == 0) {
            logs = true;
        } else {
            die(EXIT_CODE_USAGE,
                "--seed S | --first S --seeds N [--twice] | --plants; --plant NAME, --trace, --log",
                "unknown option %s", argv[i]);
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    log_init("sim", logs ? LOG_INFO : LOG_ERROR,
             logs ? STDERR_FILENO : open("/dev/null", O_WRONLY));
    return plants  ? run_plants()
           : twice ? run_twice(first, count)
                   : run_seeds(first, count, plant, trace);
}
