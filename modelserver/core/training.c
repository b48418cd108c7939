// SPDX-License-Identifier: MIT
// Start and outcome of a training, and the model that it leaves.
#include "modelserver/core/training.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/nn/normalizer.h"

#define TRAININGS_BROKEN_MAX 3 // in a row; single ones may be bad luck

void training_init(struct training *t, const struct run_context *run, const struct ms_jobs *jobs,
                   struct counters *counters) {
    *t = (struct training){.run = run, .jobs = jobs, .counters = counters};
    CHECK(run->config.model.lag_trainings <= TRAINING_LAG_MAX);
    if (run->has_model) {
        struct ensemble e = ms_ensemble(&run->config, run->task);
        model_slots_init(&t->models, &e, run->task->termination, run->config.model.lag_trainings);
    }
}

void training_deinit(struct training *t) {
    model_slots_deinit(&t->models);
}

void training_state(const struct training *t, struct ms_state *out) {
    out->trainings = t->trainings;
    out->trained_for = t->trained_for;
}

void training_restore(struct training *t, const struct ms_state *from) {
    t->trainings = from->trainings;
    t->trained_for = from->trained_for;
}

void training_restore_model(struct training *t, uint64_t now_ms, const struct model *from) {
    struct model *m = model_take(&t->models);
    memcpy(m->params, from->params, t->models.params * sizeof(float));
    memcpy(m->normalizer, from->normalizer, t->models.normalizer * sizeof(float));
    if (t->models.termination > 0) {
        memcpy(m->termination, from->termination, t->models.termination * sizeof(float));
        memcpy(m->termination_score, from->termination_score, sizeof(m->termination_score));
    }
    memcpy(m->elite, from->elite, sizeof(m->elite));
    memcpy(m->holdout_mse, from->holdout_mse, sizeof(m->holdout_mse));
    m->version = from->version;
    m->env_rows = from->env_rows;
    m->epochs = from->epochs;
    m->members = from->members;
    m->elites = from->elites;
    t->model = m;
    t->model_ms = now_ms;
}

uint64_t training_point(const struct training *t, uint64_t steps) {
    if (t->running) {
        return t->running_for;
    }
    if (!t->run->has_model) {
        return 0;
    }
    uint64_t point = pacing_training_point(&t->run->pacing, steps);
    return t->model && point <= t->trained_for ? 0 : point;
}

struct model *training_supplied(const struct training *t) {
    struct model *m = t->model;
    for (int i = 0; i < t->run->config.model.lag_trainings && t->older[i]; i++) {
        m = t->older[i];
    }
    return m;
}

static void set_model(struct training *t, uint64_t now_ms, struct model *m) {
    int lag = t->run->config.model.lag_trainings;
    model_drop(lag > 0 ? &t->older[lag - 1] : &t->model);
    for (int i = lag - 1; i > 0; i--) {
        t->older[i] = t->older[i - 1];
    }
    if (lag > 0) {
        t->older[0] = t->model;
    }
    t->model = m;
    t->model_ms = now_ms;
}

void training_start(struct training *t, uint64_t steps) {
    uint64_t point = training_point(t, steps);
    if (t->running || point == 0) {
        return;
    }
    t->running = true;
    t->running_for = point;
    t->job = (struct ms_fit_job){
        .out = model_take(&t->models), .rows = steps, .number = t->trainings, .epochs = &t->epochs};
    t->jobs->fit(t->jobs->arg, &t->job);
}

static void log_model(const struct model *m) {
    log_info("model %llu: %llu rows, %llu epochs, holdout error %.4g",
             (unsigned long long)m->version, (unsigned long long)m->env_rows,
             (unsigned long long)m->epochs, model_holdout_mse(m));
    if (m->outliers > 0) {
        log_warn("model %llu: %llu rows left out: an observation or its change is more than %.0f "
                 "standard deviations from the mean",
                 (unsigned long long)m->version, (unsigned long long)m->outliers,
                 (double)NORMALIZER_OUTLIER);
    }
    if (m->termination) {
        struct termination_score s = model_termination_score(m);
        log_info("termination heads: of %.0f held-out terminal rows %.3g missed; false "
                 "terminations %.3g",
                 (double)s.ended, (double)s.missed, (double)s.wrong);
    }
}

bool training_is_broken(const struct training *t, char *out, size_t out_len) {
    out[0] = '\0';
    if (!t->model || t->broken < TRAININGS_BROKEN_MAX) {
        return false;
    }
    snprintf(out, out_len,
             "the model is no longer trained: %llu trainings in a row ended with weights that are "
             "not finite, and the one of step %llu is used; stop the run, and look for wild rows: "
             "spur data list RUN_DIR",
             (unsigned long long)t->broken, (unsigned long long)t->model->env_rows);
    return true;
}

enum training_outcome training_done(struct training *t, uint64_t now_ms, struct ms_fit_job *job) {
    CHECK(t->running);
    t->running = false;
    struct model *m = job->out;
    if (job->result == FIT_DONE) {
        set_model(t, now_ms, m);
        t->trainings++;
        t->broken = 0;
        t->trained_for = t->running_for;
        log_model(m);
        return TRAINING_NEW_MODEL;
    }
    model_drop(&m);
    if (job->result == FIT_STOPPED) {
        return TRAINING_KEPT_MODEL;
    }
    counters_add(t->counters, MS_trainings_broken, 1);
    t->broken++;
    if (!t->model) {
        return TRAINING_NO_MODEL;
    }
    log_error("a training ended with weights that are not finite; the model before is kept");
    t->trained_for = t->running_for;
    return TRAINING_KEPT_MODEL;
}
