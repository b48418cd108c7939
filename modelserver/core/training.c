// SPDX-License-Identifier: MIT
//
// Trainings of the model: one at a time, at the training points of the pacing.
#include "modelserver/core/core.h"

#include "common/base/check.h"
#include "common/base/log.h"

bool training_is_due(const struct modelserver *ms) {
    uint64_t point = pacing_training_point(&ms->run.pacing, ms->ingest.steps);
    return point > 0 && (!ms->training.model || point > ms->training.trained_for);
}

void training_start(struct modelserver *ms) {
    if (ms->training.running || !training_is_due(ms)) {
        return;
    }
    ms->training.running = true;
    ms->training.point = pacing_training_point(&ms->run.pacing, ms->ingest.steps);
    ms->training.job = (struct ms_fit_job){.out = model_take(&ms->training.models),
                                           .rows = ms->ingest.steps,
                                           .number = ms->training.trainings};
    ms->jobs.fit(ms->jobs.arg, &ms->training.job);
}

static void training_broke(struct modelserver *ms, uint64_t now_ms) {
    ms_count(ms, MS_trainings_broken, 1);
    if (ms->training.model) {
        log_error("a training ended with weights that are not finite; the model before is kept");
        ms->training.trained_for = ms->training.point;
        return;
    }
    ms->shutdown.failed = true;
    ms_stop(ms, now_ms, false, "the first training of the model did not end in finite weights");
}

void ms_on_fit(struct modelserver *ms, uint64_t now_ms, struct ms_fit_job *job) {
    CHECK(ms->training.running);
    ms->training.running = false;
    struct model *m = job->out;
    if (job->result == FIT_DONE) {
        model_drop(&ms->training.model);
        ms->training.model = m;
        ms->training.model_ms = now_ms;
        ms->training.trainings++;
        ms->training.trained_for = ms->training.point;
        ms->saving.due = true;
        log_info("model %llu: %llu rows, %llu epochs, holdout error %.4g",
                 (unsigned long long)m->version, (unsigned long long)m->env_rows,
                 (unsigned long long)m->epochs, model_holdout_mse(m));
        if (m->termination) {
            struct termination_score s = model_termination_score(m);
            log_info("termination heads: %.0f held out rows ended; missed %.3g of them, ended "
                     "%.3g of the others",
                     (double)s.ended, (double)s.missed, (double)s.wrong);
        }
    } else {
        model_drop(&m);
        if (job->result == FIT_BROKEN) {
            training_broke(ms, now_ms);
        }
    }
    ms_advance(ms, now_ms);
}
