// SPDX-License-Identifier: MIT
// The model server's process: the core, and stand-ins for its threads. The store has the rules of
// modelserver/storage/store.c, on the fake disk.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/sim.h"

// ---- the store ----

void disk_init(struct sim_disk *d, const struct task *task) {
    uint32_t o = (uint32_t)task->obs_dim, a = (uint32_t)task->act_dim;
    *d = (struct sim_disk){.obs = xcalloc(SIM_ROWS_MAX * o, sizeof(float)),
                           .act = xcalloc(SIM_ROWS_MAX * a, sizeof(float)),
                           .reward = xcalloc(SIM_ROWS_MAX, sizeof(float)),
                           .next_obs = xcalloc(SIM_ROWS_MAX * o, sizeof(float)),
                           .flags = xcalloc(SIM_ROWS_MAX, 1)};
    d->columns = (struct env_columns){o, a, d->obs, d->act, d->reward, d->next_obs, d->flags};
}

void disk_deinit(struct sim_disk *d) {
    free(d->obs);
    free(d->act);
    free(d->reward);
    free(d->next_obs);
    free(d->flags);
}

// As in store.c.
static struct store_actor *actor_of(struct sim_disk *d, const struct store_batch *b) {
    bool placed = b->index != STORE_NEW_ACTOR;
    if (placed && b->seq != 0) {
        return &d->actor[b->index];
    }
    for (uint64_t i = 0; i < d->actors; i++) {
        if (strcmp(d->actor[i].id, b->id) == 0) {
            return &d->actor[i];
        }
    }
    if (!placed && d->actors == STORE_ACTORS_MAX) {
        return NULL;
    }
    if (!placed) {
        d->actor[d->actors] = (struct store_actor){.index = d->actors};
    }
    struct store_actor *a = &d->actor[placed ? b->index : d->actors++];
    memcpy(a->id, b->id, sizeof(a->id));
    a->incarnation = 0;
    return a;
}

static uint32_t number_in(float x) {
    return x >= 0 && x < 1e9f ? (uint32_t)x : 0;
}

static void put_row(struct sim *s, struct store_actor *a, const struct store_batch *b, uint32_t i) {
    struct sim_disk *d = &s->disk;
    uint32_t o = d->columns.obs_dim, n = d->columns.act_dim;
    CHECK(d->rows < SIM_ROWS_MAX);
    memcpy(d->obs + d->rows * o, b->obs + i * o, o * sizeof(float));
    memcpy(d->act + d->rows * n, b->act + i * n, n * sizeof(float));
    memcpy(d->next_obs + d->rows * o, b->next_obs + i * o, o * sizeof(float));
    d->reward[d->rows] = b->reward[i];
    d->flags[d->rows] = b->flags[i];
    struct sim_row *row = &d->row[d->rows++];
    row->process = number_in(b->next_obs[i * o + 2]);
    row->number = number_in(b->next_obs[i * o + 3]);
    check_stored(s, row);
    a->steps++;
    a->steps_incarnation++;
    a->episodes += !a->in_episode;
    a->in_episode = (b->flags[i] & (WIRE_TERMINATED | WIRE_TRUNCATED)) == 0;
}

static void commit_batch(struct sim *s, struct store_batch *b) {
    struct sim_disk *d = &s->disk;
    if (b->handed_out && b->incarnation > d->starts[b->role] &&
        s->plant != PLANT_starts_not_durable) {
        d->starts[b->role] = b->incarnation;
    }
    b->error = 0;
    if (b->role != WIRE_ROLE_ACTOR) {
        return;
    }
    struct store_actor *a = actor_of(d, b);
    if (!a) {
        b->error = -ENOSPC;
        return;
    }
    bool new_incarnation = b->incarnation != a->incarnation;
    bool begins = new_incarnation && (b->seq == 0 || a->incarnation == 0);
    uint64_t next = new_incarnation ? 1 : a->seq + 1;
    if ((new_incarnation && !begins) || (b->seq != 0 && b->seq != next)) {
        b->error = -ESTALE;
        return;
    }
    if (new_incarnation) {
        a->incarnation = b->incarnation;
        a->seq = a->steps_incarnation = 0;
        a->in_episode = false;
    }
    int times = d->rows % 16 != 15                      ? 1
                : s->plant == PLANT_commit_forgets_rows ? 0
                : s->plant == PLANT_commit_stores_twice ? 2
                                                        : 1;
    for (uint32_t i = 0; i < b->rows * (uint32_t)times; i++) {
        put_row(s, a, b, i % b->rows);
    }
    a->steps_incarnation += b->rows_refused;
    a->seq = b->seq != 0 ? b->seq : a->seq;
    b->actor = *a;
}

int disk_commit(struct sim *s, struct store_batch **batch, int n) {
    n = n < SIM_COMMIT_MAX ? n : SIM_COMMIT_MAX;
    for (int i = 0; i < n; i++) {
        if (s->disk.full) {
            batch[i]->error = s->plant == PLANT_full_disk_unreported ? 0 : -ENOSPC;
        } else {
            commit_batch(s, batch[i]);
        }
    }
    return n;
}

static void on_commit(struct sim_process *p) {
    struct store_batch *done[SIM_COMMIT_MAX];
    if (p->sim->plant != PLANT_none) {
        p->sim->disk_before = p->sim->disk;
    }
    int n = disk_commit(p->sim, p->batch, p->batches);
    memcpy(done, p->batch, (size_t)n * sizeof(done[0]));
    p->batches -= n;
    memmove(p->batch, p->batch + n, (size_t)p->batches * sizeof(p->batch[0]));
    p->disk_busy = p->batches > 0;
    if (p->disk_busy) {
        sim_schedule(p->sim, p->sim->commit_us, SIM_COMMIT, p);
    }
    for (int i = 0; i < n; i++) {
        ms_on_stored(p->ms, sim_now_ms(p), done[i], "nothing could be stored: the disk is full");
    }
}

static void job_store(void *arg, struct store_batch *batch) {
    struct sim_process *p = arg;
    CHECK(p->batches < (int)(sizeof(p->batch) / sizeof(p->batch[0])));
    p->batch[p->batches++] = batch;
    if (!p->disk_busy) {
        p->disk_busy = true;
        sim_schedule(p->sim, p->sim->commit_us, SIM_COMMIT, p);
    }
}

// ---- trainings, rollouts, checkpoints ----

static void job_fit(void *arg, struct ms_fit_job *job) {
    struct sim_process *p = arg;
    CHECK(!p->fit);
    p->fit = job;
    p->sim->fits++;
    sim_schedule(p->sim, p->sim->fit_us, SIM_FIT, p);
}

// The first members are the elites, in the order of their errors.
static void fill_model(struct model *m, const struct config *c, uint64_t version, uint64_t rows) {
    m->version = version;
    m->env_rows = rows;
    m->members = c->model.members;
    m->elites = c->model.elites;
    memset(m->params, 0, m->params_len * sizeof(float));
    memset(m->normalizer, 0, m->normalizer_len * sizeof(float));
    for (int i = 0; i < m->members; i++) {
        m->holdout_mse[i] = (float)(i + 1);
    }
    for (int i = 0; i < m->elites; i++) {
        m->elite[i] = i;
    }
}

static void on_fit(struct sim_process *p) {
    struct ms_fit_job *job = p->fit;
    struct model *m = job->out;
    p->fit = NULL;
    if (p->sim->plant == PLANT_fit_lost && job->number == 1) {
        return;
    }
    job->result = p->sim->fit_result;
    m->epochs = 7;
    fill_model(m, &p->sim->config, job->number + 1, job->rows);
    ms_on_fit(p->ms, sim_now_ms(p), job);
}

static void job_rollout(void *arg, struct rollout_block *block) {
    struct sim_process *p = arg;
    CHECK(!p->block);
    p->block = block;
    p->sim->rollouts++;
    sim_schedule(p->sim, p->sim->rollout_us, SIM_ROLLOUT, p);
}

static void on_rollout(struct sim_process *p) {
    struct rollout_block *b = p->block;
    struct rollout_rows *out = &b->out;
    size_t o = p->sim->disk.columns.obs_dim, a = p->sim->disk.columns.act_dim;
    p->block = NULL;
    uint64_t once = (uint64_t)b->job.count * b->job.length;
    uint64_t times = (b->job.rows_min + once - 1) / once; // as often as it takes
    out->rows = (uint32_t)(once * (times > 0 ? times : 1));
    out->not_finite = out->terminated = 0;
    memset(out->obs, 0, out->rows * o * sizeof(float));
    memset(out->act, 0, out->rows * a * sizeof(float));
    memset(out->reward, 0, out->rows * sizeof(float));
    memset(out->next_obs, 0, out->rows * o * sizeof(float));
    memset(out->flags, 0, out->rows);
    ms_on_rollout(p->ms, sim_now_ms(p), b);
}

static void job_save(void *arg, struct ms_save_job *job) {
    struct sim_process *p = arg;
    CHECK(!p->save && !p->fit);
    p->save = job;
    p->sim->saves++;
    sim_schedule(p->sim, p->sim->commit_us, SIM_SAVE, p);
}

static void write_state(struct sim_disk *d, const struct ms_save_job *job) {
    if (job->keep && d->has_state) {
        d->has_previous = true;
        d->previous = d->state;
        d->previous_version = d->model_version;
        d->previous_rows = d->model_rows;
    }
    d->has_state = true;
    d->state = job->state;
    d->model_version = job->model ? job->model->version : 0;
    d->model_rows = job->model ? job->model->env_rows : 0;
}

static void on_save(struct sim_process *p) {
    struct ms_save_job *job = p->save;
    p->save = NULL;
    job->failed = p->sim->disk.full;
    if (!job->failed) {
        write_state(&p->sim->disk, job);
    }
    ms_on_save(p->ms, sim_now_ms(p), job);
}

static void job_evaluated(void *arg, const struct ms_evaluation *evaluation) {
    struct sim *s = ((struct sim_process *)arg)->sim;
    s->evaluation = *evaluation;
    s->evaluations++;
    learning_curve_count(&s->disk.history, &evaluation->row, &s->config);
}

void server_event(struct sim_process *p, struct sim_event *e) {
    switch (e->kind) {
    case SIM_COMMIT:
        on_commit(p);
        break;
    case SIM_FIT:
        on_fit(p);
        break;
    case SIM_ROLLOUT:
        on_rollout(p);
        break;
    case SIM_SAVE:
        on_save(p);
        break;
    default:
        CHECK(!"an event of the model server");
    }
}

// ---- life ----

// A commit or a checkpoint in progress is durable or not.
void server_crash(struct sim_process *p) {
    struct sim *s = p->sim;
    if (s->plant == PLANT_commit_not_durable && s->disk_before.columns.obs_dim) {
        s->disk.rows = s->disk_before.rows;
    }
    if (s->plant == PLANT_commit_forgets_actor && s->disk_before.columns.obs_dim) {
        memcpy(s->disk.actor, s->disk_before.actor, sizeof(s->disk.actor));
    }
    if (p->batches > 0 && !s->disk.full && sim_chance(s, 0.5)) {
        disk_commit(s, p->batch, p->batches);
    }
    if (p->save && !s->disk.full && sim_chance(s, 0.5)) {
        write_state(&s->disk, p->save);
    }
    ms_destroy(&p->ms);
}

void server_go_back(struct sim *s, uint64_t step) {
    struct sim_disk *d = &s->disk;
    if (d->has_state && d->state.checkpoint_id == step) {
        return;
    }
    d->has_state = step != 0;
    d->has_previous = false;
    d->state = d->previous;
    d->model_version = step != 0 ? d->previous_version : 0;
    d->model_rows = step != 0 ? d->previous_rows : 0;
}

void server_start(struct sim_process *p) {
    struct sim *s = p->sim;
    struct sim_disk *d = &s->disk;
    snprintf(p->endpoint, sizeof(p->endpoint), "sim://modelserver");
    struct ms_setup setup = {.config = &s->config,
                             .task = s->task,
                             .run_id = 42,
                             .pid = p->number,
                             .port = p->port,
                             .jobs = {p, job_store, job_fit, job_rollout, job_save, job_evaluated},
                             .env = &d->columns,
                             .env_rows = d->rows,
                             .actors = d->actors > 0 ? d->actor : NULL,
                             .actor_count = d->actors,
                             .history = d->history,
                             .state = d->has_state ? &d->state : NULL,
                             .previous_step = d->has_previous ? d->previous.checkpoint_id : 0};
    memcpy(setup.starts, d->starts, sizeof(setup.starts));
    struct ensemble e = ms_ensemble(&s->config, s->task);
    struct model_slots slots;
    model_slots_init(&slots, &e, TASK_TERMINATION_RULE, 0);
    struct model *m = model_take(&slots);
    fill_model(m, &s->config, d->model_version, d->model_rows);
    setup.model = m->version > 0 ? m : NULL;
    p->ms = ms_create(&setup, sim_now_ms(p));
    model_slots_deinit(&slots);
}
