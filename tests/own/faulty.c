// SPDX-License-Identifier: MIT
// A plug-in that counts its steps, with one fault, selected at compile time by
// -DFAULT=name. Tests show that each is refused or stopped.
#include <fenv.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "include/spur/env.h"

enum fault {
    none,
    version,
    size,
    name,
    obs_dim,
    act_dim,
    horizon,
    bounds,
    range,
    function,
    create_fails,
    slow,
    nan_at_reset,
    nan_in_step,
    nan_reward,
    unwritten,
    overrun,
    step_fails,
    meddles,
    crashes,
    exits,
    hangs,
};

#define OBS_DIM 2

static int steps;

// The first creation of a process reads the task and unloads the plug-in. The environment keeps the
// count; children inherit it, so it has the process id.
static void sleep_in_second(void) {
    static const char key[] = "SPUR_TEST_CREATED";
    char once[32], twice[32];
    snprintf(once, sizeof(once), "once by %d", (int)getpid());
    snprintf(twice, sizeof(twice), "twice by %d", (int)getpid());
    const char *before = getenv(key);
    if (before != NULL && strcmp(before, once) == 0) {
        setenv(key, twice, 1);
        for (unsigned left = 4; left > 0;) {
            left = sleep(left); // a signal interrupts it
        }
    } else if (before == NULL || strcmp(before, twice) != 0) {
        setenv(key, once, 1);
    }
}

// Changes what a process has once: working directory, mask of file modes, environment, signals,
// rounding, standard streams.
static void meddle(void) {
    puts("a banner");
    if (chdir("/") != 0) {
        abort();
    }
    umask(0);
    setenv("LC_ALL", "C.UTF-8", 1);
    setlocale(LC_ALL, "");
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    fesetround(FE_UPWARD);
    fclose(stdin);
    fclose(stdout);
}

static void *create(char *err, size_t err_len) {
    if (FAULT == meddles) {
        meddle();
    }
    if (FAULT == create_fails) {
        snprintf(err, err_len, "no licence for the simulator");
        return NULL;
    }
    if (FAULT == slow) {
        sleep_in_second();
    }
    return &steps;
}

static void destroy(void *env) {
    (void)env;
}

static void reset(void *env, float *obs, uint64_t seed) {
    *(int *)env = 0;
    obs[0] = FAULT == nan_at_reset ? NAN : 0;
    obs[1] = (float)(seed % 1000) / 1000;
}

static int step(void *env, float *obs, double *reward, int *terminated, const float *action) {
    int n = ++*(int *)env;
    if (n == 3) {
        switch ((int)FAULT) {
        case crashes:
            signal(SIGSEGV, SIG_DFL); // a sanitizer's handler would exit
            raise(SIGSEGV);
            break;
        case exits:
            exit(0);
        case hangs:
            for (;;) {
                pause();
            }
        default:
            break;
        }
    }
    obs[0] = FAULT == nan_in_step && n >= 3 ? NAN : (float)n;
    if (FAULT != unwritten) {
        obs[1] = action[0];
    }
    if (FAULT == overrun) {
        memset(obs + OBS_DIM, 0, 3 * sizeof(float));
    }
    if (FAULT != nan_reward) {
        *reward = n;
    }
    *terminated = n == 100;
    return FAULT == step_fails ? -5 : 0;
}

static const float low[] = {-2, 0}, high[] = {FAULT == bounds ? -2 : 6, 1};
static const struct spur_env_range ranges[] = {{FAULT == range ? OBS_DIM : 0, -1, 50}};

#ifdef NO_SYMBOL
extern const struct spur_env not_spur_env;
#define spur_env_object not_spur_env
#else
#define spur_env_object spur_env
#endif

const struct spur_env spur_env_object = {
    .version = FAULT == version ? 99 : SPUR_ENV_VERSION,
    .size = FAULT == size ? 8 : sizeof(struct spur_env),
    .name = FAULT == name ? "no/name" : "counter",
    .obs_dim = FAULT == obs_dim ? 100000 : OBS_DIM,
    .act_dim = FAULT == act_dim ? 0 : 2,
    .horizon = FAULT == horizon ? 0 : 10,
    .act_low = low,
    .act_high = high,
    .ranges = 1,
    .range = ranges,
    .create = create,
    .destroy = destroy,
    .reset = reset,
    .step = FAULT == function ? NULL : step,
};
