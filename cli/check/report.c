// SPDX-License-Identifier: MIT
// Prints figures and findings. Columns that are constant at the same value share a line.
#include "cli/check/report.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/base/check.h"
#include "common/base/stats.h"

#define WIDTH 100
enum { OBS_WIDTH = 12, REWARD_WIDTH = 22 }; // of names

static const char *const trial_names[] = {[CHECK_RANDOM] = "random", [CHECK_ZERO] = "zero"};

// ---- text ----

// Prints text after a mark, wrapped at WIDTH with an indent.
static void print_wrapped(const char *mark, const char *text) {
    size_t at = (size_t)printf("%s", mark);
    for (const char *word = text; *word != '\0';) {
        size_t len = strcspn(word, " ");
        if (at + 1 + len > WIDTH) {
            at = (size_t)printf("\n   ") - 1;
        }
        at += (size_t)printf(" %.*s", (int)len, word);
        word += len + (word[len] == ' ');
    }
    putchar('\n');
}

static void print_head(const struct measured *m) {
    const struct task *t = m->task;
    printf("%s (%s): %d observations, %d actions, time limit %d steps\n", t->name, t->title,
           t->obs_dim, t->act_dim, t->horizon);
    printf("%.3g steps/s in one environment, %.3g ms per reset\n", measured_steps_per_s(m),
           measured_reset_ms(m));
}

// Whether the episodes that were terminated agree with the rule of the task.
static void print_rule(const struct measured *m) {
    static const char *const names[] = {[TASK_TERMINATION_RULE] = "rule",
                                        [TASK_TERMINATION_NEVER] = "never",
                                        [TASK_TERMINATION_LEARNED] = "learned",
                                        [TASK_TERMINATION_AUTO] = "auto"};
    unsigned long long ends = 0, unexplained = 0, contradicted = 0;
    for (int i = 0; i < CHECK_TRIALS; i++) {
        ends += m->trial[i].terminated;
        unexplained += m->trial[i].unexplained;
        contradicted += m->trial[i].contradicted;
    }
    printf("\ntask.termination: %s; ", names[m->task->termination]);
    if (trial_has_rule(m->task)) {
        printf("the rule explains %llu of %llu ends, and holds in %llu other observations\n",
               ends - unexplained, ends, contradicted);
    } else {
        printf("no rule, %llu ends\n", ends);
    }
}

static bool same_constant(const struct measured *m, int a, int b) {
    const struct column *x = &m->obs.all[a], *y = &m->obs.all[b];
    return column_is_constant(x) && column_is_constant(y) && x->min == y->min;
}

// -0 is printed as 0.
static void print_column(int width, const char *name, const struct column *c,
                         const struct column *start) {
    printf("%-*s %11.5g %11.5g %11.5g %11.5g", width, name, c->min + 0.0, c->max + 0.0,
           c->mean + 0.0, column_std(c));
    if (start) {
        printf(" %11.5g %11.5g", start->min, start->max);
    }
    printf("%s\n", column_is_constant(c)   ? "  constant"
                   : column_is_rounding(c) ? "  rounding"
                                           : "");
}

// The reward of a trial, and its parts if it has several.
static void print_rewards(const char *name, const struct trial *t) {
    print_column(REWARD_WIDTH, name, &t->reward, NULL);
    for (int i = 0; i < t->parts && t->parts > 1; i++) {
        char part[32];
        snprintf(part, sizeof(part), "  %.20s", t->part_name[i]);
        print_column(REWARD_WIDTH, part, &t->part[i], NULL);
    }
}

static void print_columns(const struct measured *m) {
    printf("\n%-*s %11s %11s %11s %11s %11s %11s\n", OBS_WIDTH, "OBSERVATION", "MIN", "MAX", "MEAN",
           "STD", "START MIN", "START MAX");
    for (int i = 0; i < m->task->obs_dim; i++) {
        char name[32];
        int first = i;
        while (i + 1 < m->task->obs_dim && same_constant(m, first, i + 1)) {
            i++;
        }
        snprintf(name, sizeof(name), i > first ? "%d to %d" : "%d", first, i);
        print_column(OBS_WIDTH, name, &m->obs.all[first], &m->obs.start[first]);
    }
    printf("\n%-*s %11s %11s %11s %11s\n", REWARD_WIDTH, "REWARD", "MIN", "MAX", "MEAN", "STD");
    for (int i = 0; i < CHECK_TRIALS; i++) {
        print_rewards(trial_names[i], &m->trial[i]);
    }
}

static void print_trials(const struct measured *m) {
    printf("\n%-10s %8s %11s %11s %11s %8s %10s %10s %6s %6s\n", "ACTIONS", "EPISODES", "RETURN",
           "STD", "MAX", "LENGTH", "TERMINATED", "TRUNCATED", "CUT", "BAD");
    for (int i = 0; i < CHECK_TRIALS; i++) {
        const struct trial *t = &m->trial[i];
        double best = t->returns[0];
        for (int j = 1; j < t->episodes; j++) {
            best = t->returns[j] > best ? t->returns[j] : best;
        }
        printf("%-10s %8d %11.5g %11.4g %11.5g %8.1f %10llu %10llu %6llu %6llu\n", trial_names[i],
               t->episodes, stats_mean(t->returns, t->episodes), stats_std(t->returns, t->episodes),
               best, stats_mean(t->lengths, t->episodes), (unsigned long long)t->terminated,
               (unsigned long long)t->truncated, (unsigned long long)t->cut,
               (unsigned long long)t->bad);
    }
}

static void print_findings(const struct findings *f) {
    putchar('\n');
    for (int i = 0; i < f->errors; i++) {
        print_wrapped("error:", f->error[i]);
    }
    for (int i = 0; i < f->warnings; i++) {
        print_wrapped("warning:", f->warning[i]);
    }
    printf("errors: %d, warnings: %d\n", f->errors, f->warnings);
}

void report_text(const struct measured *m, const struct findings *f) {
    print_head(m);
    print_columns(m);
    print_trials(m);
    print_rule(m);
    print_findings(f);
}

// ---- JSON ----

static json_t *column(const struct column *c) {
    return json_pack("{s:f, s:f, s:f, s:f}", "min", c->min, "max", c->max, "mean", c->mean, "std",
                     column_std(c));
}

static json_t *observation(const struct column *all, const struct column *start) {
    json_t *o = column(all);
    json_object_set_new(o, "start_min", json_real(start->min));
    json_object_set_new(o, "start_max", json_real(start->max));
    return o;
}

static json_t *numbers(const double *x, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        json_array_append_new(list, json_real(x[i]));
    }
    return list;
}

static json_t *parts(const struct trial *t) {
    json_t *o = json_object();
    for (int i = 0; i < t->parts; i++) {
        json_object_set_new(o, t->part_name[i], column(&t->part[i]));
    }
    return o;
}

static json_t *trial(const struct trial *t) {
    return json_pack("{s:i, s:I, s:o, s:o, s:o, s:o, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I}",
                     "episodes", t->episodes, "steps", (json_int_t)t->steps, "returns",
                     numbers(t->returns, t->episodes), "lengths", numbers(t->lengths, t->episodes),
                     "reward", column(&t->reward), "reward_parts", parts(t), "return_mean",
                     stats_mean(t->returns, t->episodes), "return_std",
                     stats_std(t->returns, t->episodes), "terminated", (json_int_t)t->terminated,
                     "truncated", (json_int_t)t->truncated, "cut", (json_int_t)t->cut, "bad",
                     (json_int_t)t->bad, "ends_without_rule", (json_int_t)t->unexplained,
                     "rule_without_end", (json_int_t)t->contradicted);
}

static json_t *texts(const char (*text)[FINDING_LEN], int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        json_array_append_new(list, json_string(text[i]));
    }
    return list;
}

static json_t *reproducible(const struct probe *p) {
    return p->valid ? json_boolean(p->same_start && p->same_steps) : json_null();
}

void report_json(const struct measured *m, const struct findings *f) {
    const struct task *t = m->task;
    json_t *columns = json_array();
    for (int i = 0; i < t->obs_dim; i++) {
        json_array_append_new(columns, observation(&m->obs.all[i], &m->obs.start[i]));
    }
    json_t *o = json_pack(
        "{s:s, s:i, s:i, s:i, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:o}", "task", t->name, "obs_dim",
        t->obs_dim, "act_dim", t->act_dim, "horizon", t->horizon, "steps_per_s",
        measured_steps_per_s(m), "reset_ms", measured_reset_ms(m), "reproducible",
        reproducible(&m->probe), "observations", columns, trial_names[CHECK_RANDOM],
        trial(&m->trial[CHECK_RANDOM]), trial_names[CHECK_ZERO], trial(&m->trial[CHECK_ZERO]),
        "errors", texts(f->error, f->errors), "warnings", texts(f->warning, f->warnings));
    CHECK(o);
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    putchar('\n');
    json_decref(o);
}
