// SPDX-License-Identifier: MIT
// The queue of events, in the order of (time, number); chance, and the clocks of processes.
#include <stdlib.h>

#include "common/base/check.h"
#include "tests/sim/sim.h"

static bool is_before(const struct sim_event *a, const struct sim_event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

static void swap(struct sim_event *a, struct sim_event *b) {
    struct sim_event t = *a;
    *a = *b;
    *b = t;
}

struct sim_event *sim_schedule(struct sim *s, uint64_t in_us, enum sim_event_kind kind,
                               struct sim_process *p) {
    if (s->heap_len == s->heap_cap) {
        s->heap_cap = s->heap_cap ? 2 * s->heap_cap : 1024;
        s->heap = realloc(s->heap, s->heap_cap * sizeof(*s->heap));
        CHECK(s->heap);
    }
    size_t i = s->heap_len++;
    s->heap[i] = (struct sim_event){
        .at_us = s->now_us + in_us, .number = ++s->events, .kind = kind, .process = p};
    for (; i > 0 && is_before(&s->heap[i], &s->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        swap(&s->heap[i], &s->heap[(i - 1) / 2]);
    }
    return &s->heap[i];
}

struct sim_event sim_next_event(struct sim *s) {
    struct sim_event first = s->heap[0];
    s->heap[0] = s->heap[--s->heap_len];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t c = 2 * i + 1; c <= 2 * i + 2 && c < s->heap_len; c++) {
            least = is_before(&s->heap[c], &s->heap[least]) ? c : least;
        }
        if (least == i) {
            return first;
        }
        swap(&s->heap[i], &s->heap[least]);
        i = least;
    }
}

// ---- chance and time ----

bool sim_chance(struct sim *s, double p) {
    return p > 0 && rng_uniform(&s->rng) < p;
}

uint64_t sim_between(struct sim *s, uint64_t low, uint64_t high) {
    return low + rng_below(&s->rng, (uint32_t)(high - low + 1));
}

uint64_t sim_now_ms(const struct sim_process *p) {
    return p->sim->now_us / 1000 + p->skew_ms;
}

void sim_forget_events(struct sim *s) {
    for (size_t i = 0; i < s->heap_len; i++) {
        free(s->heap[i].bytes);
    }
    free(s->heap);
    s->heap = NULL;
    s->heap_len = s->heap_cap = 0;
}
