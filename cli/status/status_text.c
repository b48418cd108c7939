// SPDX-License-Identifier: MIT
// The text of `spur status`.
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/status/status.h"
#include "cli/text.h"
#include "common/base/check.h"
#include "proto/epoch.h"

// Formatted numbers as arguments of printf; each use has its own buffer.
#define COUNT(n) text_count((char[TEXT_LEN]){0}, n)
#define FIGURE(x) text_figure((char[TEXT_LEN]){0}, x)
#define DURATION(s) text_duration((char[TEXT_LEN]){0}, s)

enum { ACTORS_SHOWN_MAX = 40, ID_SHOWN_MAX = 48 };

// The reason for waiting, without the word "waiting", which the label of the line has.
static const char *reason(const char *waiting) {
    static const char label[] = "waiting ";
    bool doubled = strncmp(waiting, label, strlen(label)) == 0;
    return waiting + (doubled ? strlen(label) : 0);
}

static void print_head(const struct wire_status *s, FILE *out) {
    fprintf(out, "%s %s, task %s, %s%s%sseed %llu, run %016llx, process %llu, up %s\n", s->daemon,
            s->version, s->task[0] ? s->task : "unknown", s->method[0] ? "method " : "", s->method,
            s->method[0] ? ", " : "", (unsigned long long)s->seed, (unsigned long long)s->run_id,
            (unsigned long long)s->pid, DURATION(s->uptime_s));
    fprintf(out, "state      %s\n", s->state);
    fprintf(out, "waiting    %s\n", s->waiting[0] ? reason(s->waiting) : "nobody");
    if (s->stuck[0]) {
        fprintf(out, "stuck      %s\n", s->stuck);
    }
    if (s->warning[0]) {
        fprintf(out, "warning    %s\n", s->warning);
    }
}

static void print_data(const struct wire_status *s, FILE *out) {
    if (s->env_steps_budget > 0) {
        fprintf(out, "steps      %s of %s, %s/s, %s episodes; the first %s explore\n",
                COUNT(s->env_steps), COUNT(s->env_steps_budget), FIGURE(s->env_steps_per_s),
                COUNT(s->episodes), COUNT(s->explore_steps));
    } else {
        fprintf(out, "steps      %s, %s/s, %s episodes\n", COUNT(s->env_steps),
                FIGURE(s->env_steps_per_s), COUNT(s->episodes));
    }
    if (s->env_rows > 0 || s->model_capacity > 0) {
        fprintf(out, "data       D_env %s rows", COUNT(s->env_rows));
        if (s->model_capacity > 0) {
            fprintf(out, "; D_model %s of %s rows", COUNT(s->model_rows), COUNT(s->model_capacity));
        }
        fputc('\n', out);
    }
}

static void print_ends(const struct wire_status *s, FILE *out) {
    fprintf(out,
            "ends       %s rows terminated; the task's rule explains %s, and holds in %s other "
            "rows\n",
            COUNT(s->ends_terminated), COUNT(s->ends_terminated - s->ends_unexplained),
            COUNT(s->ends_contradicted));
    if (s->ends_advice[0]) {
        fprintf(out, "           %s\n", s->ends_advice);
    }
}

static void print_pacing(const struct wire_status *s, FILE *out) {
    fprintf(out, "pacing     %s: %s updates per step wanted, %s achieved\n", s->pacing_mode,
            FIGURE(s->updates_per_step), FIGURE(s->updates_per_step_achieved));
    fprintf(out, "           allowed: %s updates, %s steps\n", COUNT(s->updates_allowed),
            COUNT(s->steps_allowed));
}

static void print_learner(const struct wire_status *s, FILE *out) {
    fprintf(out, "learner    %s: %s updates, %s/s, policy version %s\n",
            status_peer_state(s->learner_state), COUNT(s->updates), FIGURE(s->updates_per_s),
            epoch_text((char[EPOCH_TEXT_MAX]){0}, s->policy_version));
    for (uint32_t i = 0; s->updates > 0 && i < s->metrics.count; i++) {
        fprintf(out, "%s%s %s%s", i ? ", " : "           ", s->metrics.list[i].name,
                FIGURE(s->metrics.list[i].value), i + 1 < s->metrics.count ? "" : "\n");
    }
    if (s->learner_waiting[0]) {
        fprintf(out, "           waiting: %s\n", reason(s->learner_waiting));
    }
}

static void print_model(const struct wire_status *s, FILE *out) {
    if (s->members == 0) {
        fprintf(out, "model      none yet%s\n", s->model_training_now ? "; training now" : "");
        return;
    }
    fprintf(out, "model      version %s, %s and %s steps old; %s trainings, the last %s epochs%s\n",
            COUNT(s->model_version), DURATION(s->model_age_s), COUNT(s->model_age_steps),
            COUNT(s->model_trainings), COUNT(s->model_epochs),
            s->model_training_now ? "; training now" : "");
    fprintf(out, "           holdout error:");
    for (uint32_t i = 0; i < s->members && i < WIRE_MEMBERS_MAX; i++) {
        fprintf(out, " %s", FIGURE(s->holdout_mse[i]));
    }
    fprintf(out, "; elites:");
    for (uint32_t i = 0; i < s->elites && i < WIRE_MEMBERS_MAX; i++) {
        fprintf(out, " %u", s->elite[i]);
    }
    if (s->has_termination) {
        fprintf(out,
                "\n           termination heads, held out: %s rows ended; missed %s of them, "
                "ended %s of the others",
                COUNT(s->termination_ended), FIGURE(s->termination_missed),
                FIGURE(s->termination_wrong));
    }
    fprintf(out, "\nrollouts   k %s, mean length %s; %s rows, %s/s\n", COUNT(s->rollout_length),
            FIGURE(s->rollout_length_mean), COUNT(s->rollout_rows), FIGURE(s->rollout_rows_per_s));
}

static void print_eval(const struct wire_status *s, FILE *out) {
    char target[2 * TEXT_LEN] = "no target";
    if (!isnan(s->eval_target)) {
        snprintf(target, sizeof(target), "target %s", FIGURE(s->eval_target));
    }
    if (s->evaluations == 0) {
        fprintf(out, "evaluation none yet; %s\n", target);
        return;
    }
    fprintf(out, "evaluation %s of them; at step %s: %s ± %s; best %s, %s", COUNT(s->evaluations),
            COUNT(s->eval_env_steps), FIGURE(s->eval_return_last), FIGURE(s->eval_return_std),
            FIGURE(s->eval_return_best), target);
    if (!isnan(s->eval_target)) {
        fprintf(out, ", solved %u in a row", s->eval_solved_in_row);
    }
    fputc('\n', out);
    if (s->eval_episodes_cut > 0) {
        fprintf(out, "           %u episodes of the last one were cut at eval.steps_max\n",
                s->eval_episodes_cut);
    }
}

// The width of the column of ids, for the first `shown` actors.
static int id_width(const struct wire_status *s, uint32_t shown) {
    int width = 14;
    for (uint32_t i = 0; i < shown; i++) {
        int len = (int)strnlen(s->actors[i].id, ID_SHOWN_MAX);
        width = len > width ? len : width;
    }
    return width;
}

static void print_actors(const struct wire_status *s, FILE *out) {
    uint32_t shown = s->actor_count < ACTORS_SHOWN_MAX ? s->actor_count : ACTORS_SHOWN_MAX;
    int width = id_width(s, shown);
    fprintf(out, "\n%-*s %-12s %-9s %-9s %9s %8s %9s %7s %7s %7s %8s  %s\n", width, "ID", "HOST",
            "ROLE", "STATE", "STEPS", "STEPS/S", "POLICY", "AGE s", "UNACKED", "HEARD s", "RETURN",
            "WAITING");
    for (uint32_t i = 0; i < shown; i++) {
        const struct wire_actor_status *a = &s->actors[i];
        fprintf(out, "%-*.*s %-12.32s %-9s %-9s %9s %8s %9s %7s %7s %7.1f %8s  %s\n", width,
                ID_SHOWN_MAX, a->id, a->host, status_role(a->role), status_peer_state(a->state),
                COUNT(a->steps), FIGURE(a->steps_per_s), COUNT(epoch_number(a->policy_version)),
                FIGURE(a->policy_age_s), COUNT(a->unacked_rows), a->heard_s, FIGURE(a->last_return),
                reason(a->waiting));
    }
    if (shown < s->actor_count) {
        fprintf(out, "... and %u more: --json lists them all\n", s->actor_count - shown);
    }
}

static void print_counters(const struct wire_status *s, FILE *out) {
    int zero = 0, printed = 0;
    for (uint32_t i = 0; i < s->counter_count; i++) {
        if (s->counters[i].value == 0) {
            zero++;
            continue;
        }
        fprintf(out, "%s%s %s", printed++ ? ", " : "\ncounters   ", s->counters[i].name,
                COUNT(s->counters[i].value));
    }
    if (s->counter_count > 0) {
        fprintf(out, "%s%d of %u are 0\n", printed ? "; " : "\ncounters   ", zero,
                s->counter_count);
    }
}

static void print_all(const struct wire_status *s, FILE *out) {
    print_head(s, out);
    print_data(s, out);
    if (s->has_ends && (s->ends_terminated > 0 || s->ends_contradicted > 0)) {
        print_ends(s, out);
    }
    if (s->has_pacing) {
        print_pacing(s, out);
    }
    if (s->has_learner) {
        print_learner(s, out);
    }
    if (s->has_model) {
        print_model(s, out);
    }
    if (s->has_eval) {
        print_eval(s, out);
    }
    if (s->actor_count > 0) {
        print_actors(s, out);
    }
    print_counters(s, out);
}

void status_print_text(const struct wire_status *s, FILE *out) {
    char *text;
    size_t len;
    FILE *memory = open_memstream(&text, &len);
    CHECK_RESOURCES(memory);
    print_all(s, memory);
    CHECK_RESOURCES(fclose(memory) == 0);
    // Strings come from peers: control characters must not reach the terminal.
    for (size_t i = 0; i < len; i++) {
        if (iscntrl((unsigned char)text[i]) && text[i] != '\n') {
            text[i] = '?';
        }
    }
    fwrite(text, 1, len, out);
    free(text);
}
