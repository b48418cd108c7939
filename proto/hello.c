// SPDX-License-Identifier: MIT
// Fills in and validates the fields of Hello.
#include "proto/hello.h"

#include <stdio.h>
#include <string.h>

static void put(char out[WIRE_STRING_MAX], const char *text) {
    snprintf(out, WIRE_STRING_MAX, "%s", text ? text : "");
}

void hello_fill(struct wire_hello *hello, const struct hello_sender *sender) {
    *hello = (struct wire_hello){
        .role = sender->role,
        .incarnation = sender->incarnation,
        .pid = sender->pid,
        .environments = (uint32_t)sender->environments,
    };
    put(hello->id, sender->id);
    put(hello->host, sender->host);
    put(hello->version, sender->version);
    put(hello->endpoint, sender->endpoint);
    if (sender->task) {
        put(hello->task, sender->task);
        hello->obs_dim = (uint32_t)sender->obs_dim;
        hello->act_dim = (uint32_t)sender->act_dim;
    }
}

void hello_endpoint(char out[WIRE_STRING_MAX], const struct wire_hello *h) {
    static const char *const wildcards[] = {"tcp://0.0.0.0:", "tcp://[::]:"};
    snprintf(out, WIRE_STRING_MAX, "%s", h->endpoint);
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(wildcards[i]);
        if (strncmp(h->endpoint, wildcards[i], n) == 0 && h->host[0]) {
            snprintf(out, WIRE_STRING_MAX, "tcp://%.200s:%.8s", h->host, h->endpoint + n);
        }
    }
}

int hello_check(enum wire_refusal *code, char *text, size_t text_len, const struct wire_hello *h,
                const struct hello_run *run) {
    if ((h->task[0] && strcmp(h->task, run->task) != 0) ||
        (h->obs_dim && h->obs_dim != (uint32_t)run->obs_dim) ||
        (h->act_dim && h->act_dim != (uint32_t)run->act_dim)) {
        snprintf(text, text_len,
                 "%.64s has %.48s with %u observations and %u actions; this run's task is %.48s "
                 "with %d and %d",
                 h->id, h->task[0] ? h->task : "an environment", h->obs_dim, h->act_dim, run->task,
                 run->obs_dim, run->act_dim);
        *code = WIRE_REFUSED_TASK;
        return -1;
    }
    if (h->id[0] == '\0') {
        snprintf(text, text_len, "a Hello without an id");
        *code = WIRE_REFUSED_FORMAT;
        return -1;
    }
    if (h->role == WIRE_ROLE_ACTOR && h->environments > 1 && run->lockstep) {
        snprintf(text, text_len,
                 "%s has %u environments, but an actor in lockstep has one: start it with "
                 "--envs-per-actor 1, or the run with pacing.mode=ratio",
                 h->id, h->environments);
        *code = WIRE_REFUSED_MODE;
        return -1;
    }
    if (h->role == WIRE_ROLE_LEARNER && h->real_rows > run->real_rows) {
        snprintf(text, text_len,
                 "%s has %llu real rows, the store only %llu: it belongs to another run", h->id,
                 (unsigned long long)h->real_rows, (unsigned long long)run->real_rows);
        *code = WIRE_REFUSED_RUN;
        return -1;
    }
    return 0;
}
