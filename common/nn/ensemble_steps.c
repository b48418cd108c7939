// SPDX-License-Identifier: MIT
// Scheduling of an ensemble's training steps over a thread team, by tickets.
//
// A ticket is one member's share of one step: ticket = step * members + member. A thread claims the
// next ticket and completes it. It waits only for lower tickets, so there is always one that can
// proceed: no deadlock.
#include "common/nn/ensemble_steps.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

struct ensemble_steps {
    struct ensemble e;
    int batch_max;
    struct thread_team *team;
    struct worker {
        float *x, *y, *row_weight, *scratch, *gradient;
    } worker[THREAD_TEAM_SIZE_MAX];
    float *d_noise; // (members, N) contributions of the members, then (N) their sum

    // The current run.
    struct ensemble_training *training;
    const atomic_bool *stop;
    uint64_t tickets;                               // total number
    _Atomic uint64_t next;                          // first unclaimed ticket
    atomic_uint member_steps[ENSEMBLE_MEMBERS_MAX]; // steps completed, by member
    atomic_uint noise_steps;                        // updates of the noise's parameters completed
    atomic_uint contributions;                      // to their gradient, over all steps of the run
};

struct ensemble_steps *ensemble_steps_create(const struct ensemble *e, int batch_max,
                                             struct thread_team *team) {
    struct ensemble_steps *s = xmalloc(sizeof(*s));
    s->e = *e;
    s->batch_max = batch_max;
    s->team = team;
    size_t B = (size_t)batch_max, T = (size_t)e->target_dim;
    s->d_noise = xfloats(((size_t)e->members + 1) * ensemble_noise_floats(e));
    for (int i = 0; i < thread_team_size(team); i++) {
        s->worker[i] = (struct worker){.x = xfloats(B * (size_t)e->in_dim),
                                       .y = xfloats(B * T),
                                       .row_weight = xfloats(B),
                                       .scratch = xfloats(ensemble_scratch(e, batch_max)),
                                       .gradient = xfloats(mlp_adam_floats(&e->net))};
    }
    return s;
}

void ensemble_steps_destroy(struct ensemble_steps **steps) {
    struct ensemble_steps *s = *steps;
    if (!s) {
        return;
    }
    for (int i = 0; i < thread_team_size(s->team); i++) {
        free(s->worker[i].x);
        free(s->worker[i].y);
        free(s->worker[i].row_weight);
        free(s->worker[i].scratch);
        free(s->worker[i].gradient);
    }
    free(s->d_noise);
    free(s);
    *steps = NULL;
}

uint64_t ensemble_steps_memory_bytes(const struct ensemble *e, int batch_max, int threads) {
    uint64_t B = (uint64_t)batch_max, T = (uint64_t)e->target_dim;
    uint64_t worker = B * ((uint64_t)e->in_dim + T + 1) + ensemble_scratch(e, batch_max) +
                      mlp_adam_floats(&e->net);
    uint64_t noise = ((uint64_t)e->members + 1) * ensemble_noise_floats(e);
    return ((uint64_t)threads * worker + noise) * sizeof(float) + sizeof(struct ensemble_steps);
}

static void step_free_noise(struct ensemble_steps *s, uint32_t step) {
    struct ensemble_training *t = s->training;
    size_t at = ensemble_log_sigma_offset(&s->e, 0), n = ensemble_params(&s->e) - at;
    adam_shrink(t->params + at, n, &t->adam, ENSEMBLE_NOISE_DECAY);
    adam_step(t->params + at, t->m + at, t->v + at, s->d_noise, n, &t->adam, 0, t->t + step + 1);
}

// Adam step on the bounds; contributions to the gradient are summed in the order of members.
static void step_bounds(struct ensemble_steps *s, uint32_t step) {
    struct ensemble_training *t = s->training;
    size_t n = ensemble_noise_floats(&s->e), at = ensemble_max_logvar_offset(&s->e);
    float *sum = s->d_noise + (size_t)s->e.members * n;
    memset(sum, 0, n * sizeof(float));
    for (int i = 0; i < s->e.members; i++) {
        for (size_t j = 0; j < n; j++) {
            sum[j] += s->d_noise[(size_t)i * n + j];
        }
    }
    ensemble_bounds_loss(sum, &s->e, t->params, t->weight);
    adam_step(t->params + at, t->m + at, t->v + at, sum, n, &t->adam, 0, t->t + step + 1);
}

static void step_noise(struct ensemble_steps *s, uint32_t step) {
    if (s->e.free_noise) {
        step_free_noise(s, step);
    } else {
        step_bounds(s, step);
    }
    thread_team_raise(s->team, &s->noise_steps, step + 1);
}

static void step_member(struct ensemble_steps *s, int worker, int member, uint32_t step) {
    struct ensemble_training *t = s->training;
    const struct ensemble *e = &s->e;
    struct worker *w = &s->worker[worker];
    size_t n = ensemble_noise_floats(e);
    float *d_noise = s->d_noise + (size_t)member * n;
    int B = t->batch(t->arg, w->x, w->y, w->row_weight, member, step);
    CHECK(B <= s->batch_max);
    thread_team_wait(s->team, worker, &s->member_steps[member], step);
    uint64_t number = (t->t + step) * ENSEMBLE_MEMBERS_MAX + (uint64_t)member;
    const struct mlp_dropout dropout = {.rate = t->dropout,
                                        .rng = rng_make(t->seed, RNG_MODEL_DROPOUT, number)};
    ensemble_member_forward(w->scratch, e, t->params, member, w->x, B,
                            t->dropout ? &dropout : NULL);
    thread_team_wait(s->team, worker, &s->noise_steps, step);
    memset(d_noise, 0, n * sizeof(float));
    ensemble_member_output(NULL, d_noise, w->scratch, e, t->params, member, w->y, t->weight,
                           w->row_weight, B);
    unsigned all = (unsigned)e->members * (step + 1);
    if (atomic_fetch_add(&s->contributions, 1) + 1 == all) {
        step_noise(s, step);
    }
    const struct mlp_adam adam = {.adam = t->adam,
                                  .decay = t->decay,
                                  .decoupled = t->decoupled,
                                  .t = t->t + step + 1,
                                  .m = t->m,
                                  .v = t->v,
                                  .gradient = w->gradient};
    ensemble_member_adam(&adam, t->params, w->scratch, e, member, B);
    thread_team_raise(s->team, &s->member_steps[member], step + 1);
}

static void work(void *arg, int item, int worker) {
    (void)item;
    struct ensemble_steps *s = arg;
    uint64_t members = (uint64_t)s->e.members;
    while (!atomic_load_explicit(s->stop, memory_order_relaxed)) {
        uint64_t ticket = atomic_fetch_add(&s->next, 1);
        if (ticket >= s->tickets) {
            return;
        }
        step_member(s, worker, (int)(ticket % members), (uint32_t)(ticket / members));
    }
}

bool ensemble_steps_run(struct ensemble_steps *s, struct ensemble_training *training, uint32_t n,
                        const atomic_bool *stop) {
    s->training = training;
    s->stop = stop;
    s->tickets = (uint64_t)n * (uint64_t)s->e.members;
    atomic_store(&s->next, 0);
    for (int i = 0; i < s->e.members; i++) {
        atomic_store(&s->member_steps[i], 0);
    }
    atomic_store(&s->noise_steps, 0);
    atomic_store(&s->contributions, 0);
    thread_team_run(s->team, work, s, thread_team_size(s->team));
    training->t += n;
    return atomic_load(&s->noise_steps) == n;
}
