// SPDX-License-Identifier: MIT
// Execution of commands, mixed batches, publication, and checkpoints.
#include "learner/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "learner/staging.h"

static struct trainer_command *new_command(enum trainer_command_kind kind, size_t rows) {
    struct trainer_command *command = xmalloc(sizeof(*command) + rows);
    *command = (struct trainer_command){.kind = kind};
    return command;
}

struct trainer_command *trainer_command_create(enum trainer_command_kind kind) {
    return new_command(kind, 0);
}

struct trainer_command *trainer_command_experience(const struct wire_rows *rows, uint32_t skip) {
    struct trainer_command *command = new_command(TRAINER_EXPERIENCE, rows->rows - skip);
    command->kept = wire_keep(rows);
    const struct wire_rows *kept = &command->kept->rows;
    command->rows = (struct replay_rows){
        .n = kept->rows - skip,
        .obs = kept->obs + (size_t)skip * kept->obs_dim,
        .act = kept->act + (size_t)skip * kept->act_dim,
        .reward = kept->reward + skip,
        .next_obs = kept->next_obs + (size_t)skip * kept->obs_dim,
        .terminated = command->terminated,
    };
    for (uint64_t i = 0; i < command->rows.n; i++) {
        // Not truncated: after a time limit the next state still has a value.
        command->terminated[i] = (kept->flags[skip + i] & WIRE_TERMINATED) != 0;
    }
    return command;
}

struct trainer_command *trainer_command_model(const struct wire_model *model) {
    struct trainer_command *command = new_command(TRAINER_MODEL, 0);
    size_t params = model->params_len, normalizer = model->normalizer_len;
    command->memory = xfloats(params + normalizer + model->termination_len);
    command->ensemble = *model;
    command->ensemble.params = command->memory;
    command->ensemble.normalizer = command->memory + params;
    command->ensemble.termination = command->memory + params + normalizer;
    memcpy(command->memory, model->params, params * sizeof(float));
    memcpy(command->memory + params, model->normalizer, normalizer * sizeof(float));
    if (model->termination_len > 0) {
        memcpy(command->memory + params + normalizer, model->termination,
               model->termination_len * sizeof(float));
    }
    return command;
}

struct trainer_command *trainer_command_states(const struct wire_states *states) {
    struct trainer_command *command = new_command(TRAINER_STATES, 0);
    size_t n = (size_t)states->rows * states->obs_dim;
    command->memory = xfloats(n);
    command->states = *states;
    command->states.obs = command->memory;
    memcpy(command->memory, states->obs, n * sizeof(float));
    return command;
}

void trainer_command_destroy(struct trainer_command **command) {
    if (*command) {
        wire_drop(&(*command)->kept);
        free((*command)->memory);
    }
    free(*command);
    *command = NULL;
}

uint64_t trainer_model_rows_max(const struct config *config) {
    // The schedule is linear: the maximum is at one end.
    uint64_t first = config_model_rows(config, 0);
    uint64_t last = config_model_rows(config, config_steps_max(config));
    return first > last ? first : last;
}

void trainer_memory(uint64_t *real, uint64_t *model, uint64_t *networks,
                    const struct config *config, const struct task *task) {
    *real = replay_bytes(task->obs_dim, task->act_dim, config_env_rows_max(config));
    *model = replay_bytes(task->obs_dim, task->act_dim, trainer_model_rows_max(config));
    *networks = method_find(config->method)->memory(config, task);
    if (config_has_states(config)) {
        *model +=
            states_bytes(task->obs_dim, config->dhmbpo.retain, (uint32_t)config_states_max(config));
        *networks += dynamics_bytes(config, task);
    }
}

static void refresh(struct trainer *t) {
    struct trainer_report *r = &t->report;
    r->updates = t->updates;
    r->real_rows = t->d_env.len;
    r->model_rows = t->has_states ? t->d_states.rows : t->d_model.len;
    r->states = t->d_states.number;
    r->model_capacity = t->d_model.capacity;
    r->idle = !trainer_can_update(t);
}

// The trainer's state for a checkpoint.
static struct checkpoint checkpoint_of(struct trainer *t) {
    return (struct checkpoint){
        .config = &t->config,
        .task = t->task,
        .run_dir = t->run_dir,
        .staging = t->staging,
        .method = t->method,
        .agent = t->agent,
        .d_model = t->has_model_rows ? &t->d_model : NULL,
        .d_states = t->has_states ? &t->d_states : NULL,
        .updates = t->updates,
        .policy_version = t->report.policy_version,
        .step = t->saving_step,
        .published = t->config.pacing.mode == PACING_LOCKSTEP ? t->published : NULL,
        .published_updates = t->published_updates,
    };
}

static void publish(struct trainer *t) {
    struct method_policy policy = trainer_policy(t);
    memcpy(t->published, policy.params, policy_params(policy.shape) * sizeof(float));
    t->published_updates = t->updates;
}

struct trainer *trainer_create(const struct config *config, const struct task *task,
                               const char *run_dir, char *err, size_t err_len) {
    struct trainer *t = xcalloc(1, sizeof(*t));
    t->config = *config;
    t->task = task;
    int len = snprintf(t->run_dir, sizeof(t->run_dir), "%s", run_dir);
    if (len < 0 || (size_t)len >= sizeof(t->run_dir)) {
        snprintf(err, err_len, "run directory: the path is longer than %zu bytes",
                 sizeof(t->run_dir));
        goto fail;
    }
    uint64_t model_rows_max = trainer_model_rows_max(config);
    if (model_rows_max > REPLAY_ROWS_MAX) {
        snprintf(err, err_len, "D_model would have %llu rows; lower rollout.retain_epochs",
                 (unsigned long long)model_rows_max);
        goto fail;
    }
    t->has_model_rows = model_rows_max > 0;
    uint64_t real_rows_max = config_env_rows_max(config);
    if (replay_init(&t->d_env, task->obs_dim, task->act_dim, real_rows_max, real_rows_max, err,
                    err_len) < 0 ||
        (t->has_model_rows && replay_init(&t->d_model, task->obs_dim, task->act_dim, model_rows_max,
                                          config_model_rows(config, 0), err, err_len) < 0)) {
        goto fail;
    }
    t->has_states = config_has_states(config);
    if (t->has_states) {
        states_init(&t->d_states, task->obs_dim, config->dhmbpo.retain,
                    (uint32_t)config_states_max(config));
        dynamics_init(&t->dynamics, config, task);
    }
    t->method = method_find(config->method);
    t->agent = t->method->create(config, task);
    for (const char *const *name = t->method->metrics; *name; name++) {
        metrics_set(&t->report.sum.total, *name, 0);
    }
    t->publish_every = config_publish_every(config);
    t->report.policy_version = 1;
    if (checkpoint_stage(t->staging, run_dir, err, err_len) < 0) {
        goto fail;
    }
    size_t n = policy_params(trainer_policy(t).shape);
    t->published = xfloats(n);
    struct checkpoint checkpoint = checkpoint_of(t);
    int loaded = checkpoint_load(&checkpoint, err, err_len);
    if (loaded < 0) {
        goto fail;
    }
    if (loaded == 0 && config->from.run[0] != '\0' &&
        checkpoint_take_over(&checkpoint, err, err_len) < 0) {
        goto fail;
    }
    t->agent = checkpoint.agent;
    t->updates = checkpoint.updates;
    t->report.policy_version = checkpoint.policy_version;
    t->report.checkpoint_step = t->saving_step = checkpoint.step;
    t->published_updates = checkpoint.published_updates;
    if (loaded == 0 || !checkpoint.published) {
        publish(t);
    }
    refresh(t);
    return t;
fail:
    trainer_destroy(&t);
    return NULL;
}

void trainer_destroy(struct trainer **t) {
    if (!*t) {
        return;
    }
    if ((*t)->agent) {
        (*t)->method->destroy((*t)->agent);
    }
    states_deinit(&(*t)->d_states);
    dynamics_deinit(&(*t)->dynamics);
    checkpoint_copy_destroy(&(*t)->copy);
    free((*t)->published);
    replay_deinit(&(*t)->d_model);
    replay_deinit(&(*t)->d_env);
    staging_remove((*t)->staging);
    free(*t);
    *t = NULL;
}

static void fail(struct trainer *t, const char *what) {
    t->report.failed = true;
    snprintf(
        t->report.text, sizeof(t->report.text),
        "%s after %llu updates; training stops and the last good checkpoint is kept: "
        "look for wild steps (spur data list RUN_DIR) and at the losses in progress.csv, lower "
        "the learning rate, and resume",
        what, (unsigned long long)t->updates);
}

struct checkpoint_copy *trainer_take_copy(struct trainer *t) {
    struct checkpoint_copy *copy = t->copy;
    t->copy = NULL;
    return copy;
}

void trainer_written(struct trainer *t, const char *why) {
    if (!why) {
        t->report.checkpoints++;
        t->report.checkpoint_step = t->saving_step;
        t->report.saved = true;
        return;
    }
    if (staging_is_lost(t->staging)) {
        t->report.replaced = true;
        snprintf(t->report.text, sizeof(t->report.text),
                 "another learner has taken over the files of this run; this one has written none "
                 "since, and stops");
        return;
    }
    // Not fatal: the disk may have space for the next one.
    log_error("no checkpoint: %s", why);
    t->report.checkpoint_failures++;
    if (!t->report.failed) { // why updates stopped is said last
        snprintf(t->report.text, sizeof(t->report.text), "%s", why);
    }
}

static void save(struct trainer *t, bool later) {
    t->report.saved = false;
    if (t->report.failed) {
        return;
    }
    if (!method_finite(t->method, t->agent)) {
        fail(t, "a weight is not a finite number");
        return;
    }
    char err[TRAINER_TEXT_MAX];
    bool rows = checkpoint_has_rows(&t->config);
    struct checkpoint checkpoint = checkpoint_of(t);
    t->copy = checkpoint_copy_create(&checkpoint);
    if (later && !rows) {
        return;
    }
    int rc = checkpoint_write(t->copy, rows ? &t->d_model : NULL, err, sizeof(err));
    checkpoint_copy_destroy(&t->copy);
    trainer_written(t, rc < 0 ? err : NULL);
}

// In lockstep the checkpoints that the model server asks for are the only ones, as they belong to
// its own.
static void finish(struct trainer *t) {
    if (t->config.pacing.mode != PACING_LOCKSTEP) {
        save(t, false);
    } else if (t->report.checkpoints + t->report.checkpoint_failures == 0) {
        t->report.saved = true; // none was asked for
    }
    t->report.finished = true;
}

void trainer_handle(struct trainer *t, struct trainer_command *command) {
    switch (command->kind) {
    case TRAINER_EXPERIENCE:
        replay_add(command->model ? &t->d_model : &t->d_env, &command->rows);
        t->report.session = command->session;
        t->report.experience_seq = command->seq;
        break;
    case TRAINER_MODEL:
        dynamics_set(&t->dynamics, &command->ensemble);
        t->report.session = command->session;
        t->report.experience_seq = command->seq;
        break;
    case TRAINER_STATES:
        states_add(&t->d_states, command->states.obs, command->states.rows,
                   command->states.policy_updates);
        t->report.session = command->session;
        t->report.experience_seq = command->seq;
        break;
    case TRAINER_GRANT:
        t->report.updates_allowed = command->updates_allowed;
        if (t->has_model_rows) {
            replay_resize(&t->d_model, command->model_capacity);
        }
        break;
    case TRAINER_WRITTEN:
        break;
    case TRAINER_CHECKPOINT:
        t->saving_step = command->step;
        save(t, t->writes_later);
        break;
    case TRAINER_FINISH:
        finish(t);
        break;
    }
    trainer_command_destroy(&command);
    refresh(t);
}

bool trainer_can_update(const struct trainer *t) {
    bool ready = !t->has_states || (t->dynamics.version > 0 && t->d_states.rows > 0);
    return !t->report.failed && !t->report.finished && t->d_env.len > 0 && ready &&
           t->updates < t->report.updates_allowed;
}

struct method_policy trainer_policy(const struct trainer *t) {
    return t->method->policy(t->agent);
}

bool trainer_update(struct trainer *t) {
    CHECK(trainer_can_update(t));
    const struct method_source source = {.d_env = &t->d_env,
                                         .d_model = &t->d_model,
                                         .states = t->has_states ? &t->d_states : NULL,
                                         .dynamics = t->has_states ? &t->dynamics : NULL};
    struct metrics metrics = {0};
    t->method->update(t->agent, t->updates + 1, &source, &metrics);
    t->updates++;
    bool published = t->updates % t->publish_every == 0;
    if (!metrics_finite(&metrics)) {
        fail(t, "a loss is not a finite number");
    } else if (published && !method_finite(t->method, t->agent)) {
        fail(t, "a weight is not a finite number");
    } else {
        metrics_sum_add(&t->report.sum, &metrics);
        t->report.policy_version += published;
    }
    published = published && !t->report.failed;
    if (published) {
        publish(t);
    }
    refresh(t);
    return published;
}
