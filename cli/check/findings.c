// SPDX-License-Identifier: MIT
// The rules by which figures become errors and warnings. An error is a fault that drops data; a
// warning is unusual and often a mistake.
#include "cli/check/findings.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/stats.h"

#define LARGE 1000.0    // of an observation or reward
#define SMALL 1e-3      // of a reward
#define OFFSET 1e4      // mean of an observation in its standard deviations
#define SLOW_HOURS 24.0 // of run.steps at the measured speed
#define SHORT_STEPS 2.0 // mean length of episodes
#define SIGNIFICANT 2.0 // standard errors between two mean returns

static void add(char (*list)[FINDING_LEN], int *count, const char *fmt, va_list args) {
    if (*count < FINDINGS_MAX) {
        vsnprintf(list[(*count)++], FINDING_LEN, fmt, args);
    }
}

__attribute__((format(printf, 2, 3))) static void error(struct findings *f, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    add(f->error, &f->errors, fmt, args);
    va_end(args);
}

__attribute__((format(printf, 2, 3))) static void warn(struct findings *f, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    add(f->warning, &f->warnings, fmt, args);
    va_end(args);
}

// Sums over the trials.
struct totals {
    unsigned long long steps, bad, terminated, unexplained, contradicted, ended_at_start;
};

static struct totals totals_of(const struct measured *m) {
    struct totals sum = {0};
    for (int i = 0; i < CHECK_TRIALS; i++) {
        const struct trial *t = &m->trial[i];
        sum.steps += t->steps;
        sum.bad += t->bad;
        sum.terminated += t->terminated;
        sum.unexplained += t->unexplained;
        sum.contradicted += t->contradicted;
        sum.ended_at_start += t->ended_at_start;
    }
    return sum;
}

double measured_steps_per_s(const struct measured *m) {
    double steps = 0, seconds = 0;
    for (int i = 0; i < CHECK_TRIALS; i++) {
        steps += (double)m->trial[i].steps;
        seconds += m->trial[i].step_s;
    }
    return seconds > 0 ? steps / seconds : 0;
}

double measured_reset_ms(const struct measured *m) {
    double resets = 0, seconds = 0;
    for (int i = 0; i < CHECK_TRIALS; i++) {
        resets += m->trial[i].episodes;
        seconds += m->trial[i].reset_s;
    }
    return resets > 0 ? 1000 * seconds / resets : 0;
}

// ---- observations ----

typedef bool column_test(const struct column *c);

static bool is_large(const struct column *c) {
    return fmax(fabs(c->min), fabs(c->max)) > LARGE;
}

static bool is_offset(const struct column *c) {
    return !column_is_constant(c) && !column_is_rounding(c) &&
           fabs(c->mean) > OFFSET * column_std(c);
}

// Columns that pass a test, as "2 to 31, 40"; "" if there is none. Long lists end with "...".
static const char *list_columns(char out[96], const struct measured *m, column_test *test) {
    size_t len = 0;
    int n = m->task->obs_dim;
    out[0] = '\0';
    for (int i = 0; i < n; i++) {
        int first = i;
        if (!test(&m->obs.all[i])) {
            continue;
        }
        while (i + 1 < n && test(&m->obs.all[i + 1])) {
            i++;
        }
        if (len > 70) {
            snprintf(out + len, 96 - len, ", ...");
            break;
        }
        len += (size_t)snprintf(out + len, 96 - len, "%s%d", len ? ", " : "", first);
        if (i > first) {
            len += (size_t)snprintf(out + len, 96 - len, " to %d", i);
        }
    }
    return out;
}

static void observations(struct findings *f, const struct measured *m) {
    static const struct {
        column_test *test;
        const char *text;
    } rules[] = {
        {column_is_constant, "never changes, as a sensor that is not connected or computed"},
        {column_is_rounding, "changes by rounding errors only"},
        {is_large, "goes beyond 1000; spur standardises it, other programs may not"},
        {is_offset,
         "its mean is more than 10000 standard deviations from 0, so that single precision "
         "keeps few digits of its changes; subtract an offset"},
    };
    char list[96];
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (list_columns(list, m, rules[i].test)[0] != '\0') {
            warn(f, "observation %s: %s", list, rules[i].text);
        }
    }
    bool varies = false;
    for (int i = 0; i < m->task->obs_dim; i++) {
        varies = varies || !column_is_constant(&m->obs.start[i]);
    }
    // Both trials have the same start states.
    if (!varies && m->trial[CHECK_RANDOM].episodes > 1) {
        warn(f, "every episode starts with the same observation: use the seed of reset, so that "
                "the policy learns from more than one start state");
    }
}

// ---- rewards and returns ----

static void rewards(struct findings *f, const struct measured *m) {
    const struct column *a = &m->trial[CHECK_RANDOM].reward, *b = &m->trial[CHECK_ZERO].reward;
    double min = fmin(a->min, b->min), max = fmax(a->max, b->max);
    double size = fmax(fabs(min), fabs(max));
    if (a->n == 0 || b->n == 0) {
        return;
    }
    if (min == max && totals_of(m).terminated == 0) {
        warn(f, "the reward is always %g and no episode was terminated: there is nothing to learn",
             min);
    } else if (size > LARGE) {
        warn(f, "rewards reach %g; spur scales them, other programs may not",
             min < -max ? min : max);
    } else if (size > 0 && size < SMALL) {
        warn(f, "no reward is larger than %g; spur scales them, other programs may not", size);
    }
}

// Standing still is better if its mean return is, by twice the standard error of the difference.
static void standing_still(struct findings *f, const struct measured *m) {
    const struct trial *a = &m->trial[CHECK_RANDOM], *b = &m->trial[CHECK_ZERO];
    if (a->episodes < 2 || b->episodes < 2) {
        return;
    }
    double random = stats_mean(a->returns, a->episodes), zero = stats_mean(b->returns, b->episodes);
    double std_a = stats_std(a->returns, a->episodes), std_b = stats_std(b->returns, b->episodes);
    double noise = sqrt(std_a * std_a / a->episodes + std_b * std_b / b->episodes);
    if (zero - random > SIGNIFICANT * noise && zero - random > 1e-9 * fabs(zero)) {
        warn(f,
             "actions of 0 have a mean return of %.4g, random ones of %.4g: standing still pays "
             "better than trying, and a policy may stop there",
             zero, random);
    }
}

// ---- ends ----

static void ends(struct findings *f, const struct measured *m) {
    struct totals sum = totals_of(m);
    bool learned = m->task->termination == TASK_TERMINATION_LEARNED;
    if (sum.ended_at_start > 0) {
        error(f,
              "the termination rule (task.healthy, or the ranges of the environment) holds in "
              "%llu start states: their episodes end at once",
              sum.ended_at_start);
    }
    if (sum.unexplained > 0 && !trial_has_rule(m->task) && !learned) {
        warn(f,
             "%llu episodes were terminated, and the task has no rule for that: set "
             "task.termination to learned, or describe the rule in task.healthy",
             sum.terminated);
    } else if (sum.unexplained > 0 && trial_has_rule(m->task)) {
        warn(f,
             "%llu of %llu terminated episodes ended where the termination rule does not hold: "
             "complete it, or set task.termination to learned",
             sum.unexplained, sum.terminated);
    }
    if (sum.contradicted > 0) {
        warn(f,
             "the termination rule holds in %llu observations in which the environment went "
             "on: the model's rollouts end there, real episodes do not",
             sum.contradicted);
    }
}

static void lengths(struct findings *f, const struct measured *m) {
    const struct trial *a = &m->trial[CHECK_RANDOM];
    double mean = stats_mean(a->lengths, a->episodes);
    if (a->episodes > 0 && a->bad == 0 && mean < SHORT_STEPS) {
        warn(f,
             "random actions end an episode after %.1f steps on average: start states are too "
             "near to the end",
             mean);
    }
    if ((uint64_t)m->task->horizon > m->config->eval.steps_max) {
        warn(f, "the time limit is %d steps: evaluation episodes are cut at eval.steps_max, %llu",
             m->task->horizon, (unsigned long long)m->config->eval.steps_max);
    }
}

// ---- steps ----

static void steps(struct findings *f, const struct measured *m) {
    struct totals sum = totals_of(m);
    if (m->trial[CHECK_RANDOM].broken || m->trial[CHECK_ZERO].broken) {
        error(f, "the environment cannot go on after %llu steps; the lines above say why",
              sum.steps);
    } else if (sum.bad > 0) {
        error(f,
              "%llu of %llu steps were bad: a number that is not finite, or a failure of the "
              "simulator; the lines above say which. Such steps are dropped in a run",
              sum.bad, sum.steps);
    }
    if (m->trial[CHECK_RANDOM].late || m->trial[CHECK_ZERO].late) {
        warn(f, "the time for the trials ended after %llu steps: --seconds allows more", sum.steps);
    }
    double rate = measured_steps_per_s(m);
    double hours = rate > 0 ? (double)m->config->run.steps / rate / 3600 : 0;
    if (hours > SLOW_HOURS) {
        warn(f,
             "a step takes %.3g ms: run.steps, %llu, take %.0f hours in one environment; "
             "run.actors steps several",
             1000 / rate, (unsigned long long)m->config->run.steps, hours);
    }
}

static void probes(struct findings *f, const struct measured *m) {
    const struct probe *p = &m->probe;
    char list[96] = "";
    if (!p->valid) {
        return;
    }
    if (!p->same_start) {
        warn(f, "reset with the same seed gives another observation: evaluations use different "
                "start states each time, and no run can be repeated");
    } else if (!p->same_steps) {
        warn(f, "the same seed and actions give other steps: no run can be repeated");
    }
    for (int i = 0; i < m->task->act_dim; i++) {
        size_t len = strlen(list);
        if ((p->useless >> i & 1) && len < sizeof(list) - 8) {
            snprintf(list + len, sizeof(list) - len, "%s%d", len ? ", " : "", i);
        }
    }
    if (list[0] != '\0') {
        warn(f,
             "action %s changes nothing within %d steps, neither at its lower nor at its upper "
             "bound",
             list, PROBE_STEPS);
    }
}

void findings_collect(struct findings *f, const struct measured *m) {
    *f = (struct findings){0};
    steps(f, m);
    ends(f, m);
    observations(f, m);
    rewards(f, m);
    standing_still(f, m);
    lengths(f, m);
    probes(f, m);
}
