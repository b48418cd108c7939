// SPDX-License-Identifier: MIT
// Bounds of ratio and lockstep, with the reasons for waiting.
#include "modelserver/core/pacing.h"

#include <math.h>
#include <stdio.h>

#include "common/base/check.h"

struct pacing pacing_make(const struct config *config) {
    CHECK(config->pacing.updates_per_step > 0);
    CHECK(config->model.train_every_steps > 0);
    // With less slack than one update in steps, both bounds could round down to no
    // progress, and both sides would wait for each other.
    uint64_t slack = config->pacing.slack_steps;
    uint64_t slack_min = (uint64_t)ceil(1 / config->pacing.updates_per_step);
    return (struct pacing){.mode = config->pacing.mode,
                           .updates_per_step = config->pacing.updates_per_step,
                           .explore = config_explore_end(config),
                           .steps_max = config_steps_max(config),
                           .slack = slack > slack_min ? slack : slack_min,
                           .train_every = config->model.train_every_steps,
                           .waits = config->pacing.mode == PACING_LOCKSTEP ||
                                    (config->pacing.mode == PACING_RATIO &&
                                     config->pacing.training != PACING_TRAINING_OVERLAP),
                           .phases = config->pacing.mode == PACING_RATIO &&
                                     config->pacing.training == PACING_TRAINING_PHASE,
                           .warm_start = config_warm_start(config)};
}

uint64_t pacing_training_point(const struct pacing *p, uint64_t steps) {
    if (steps < p->explore) {
        return 0;
    }
    return steps - (steps - p->explore) % p->train_every;
}

uint64_t pacing_updates_due(const struct pacing *p, uint64_t steps) {
    if (steps < p->explore) {
        return 0;
    }
    return p->warm_start + (uint64_t)floor(p->updates_per_step * (double)(steps - p->explore));
}

uint64_t pacing_updates_total(const struct pacing *p) {
    return pacing_updates_due(p, p->steps_max);
}

double pacing_steps_of(const struct pacing *p, uint64_t updates) {
    uint64_t after = updates > p->warm_start ? updates - p->warm_start : 0;
    return (double)after / p->updates_per_step;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void explain(char *why, size_t why_len, const char *text) {
    if (why) {
        snprintf(why, why_len, "%s", text);
    }
}

// Phases: the steps whose updates may be made now. The last phase may be a shorter one.
static uint64_t phase_steps(const struct pacing *p, const struct pacing_view *v) {
    if (v->training_point > 0) {
        uint64_t before = v->training_point - least(v->training_point, p->train_every);
        return before > p->explore ? before : p->explore;
    }
    return v->steps < p->steps_max ? pacing_training_point(p, v->steps) : p->steps_max;
}

uint64_t pacing_updates_allowed(const struct pacing *p, const struct pacing_view *v, char *why,
                                size_t why_len) {
    if (v->steps < p->explore) {
        if (why) {
            snprintf(why, why_len, "exploration: %llu of %llu real steps",
                     (unsigned long long)v->steps, (unsigned long long)p->explore);
        }
        return 0;
    }
    if (!v->ready) {
        explain(why, why_len,
                !v->has_model ? "the first training of the model" : "the first rollouts");
        return 0;
    }
    uint64_t total = pacing_updates_total(p);
    bool trains = p->waits && v->training_point > p->explore;
    uint64_t slack = p->mode == PACING_RATIO && !trains && !p->phases ? p->slack : 0;
    uint64_t late = p->mode == PACING_FREE ? p->slack : slack; // rollouts may be, in steps
    uint64_t steps = least(v->steps, v->rollout_steps + late);
    if (p->phases) {
        steps = phase_steps(p, v);
    } else if (trains) { // the updates of a training point follow its training
        steps = least(steps, v->training_point - 1);
    }
    double allowed = p->updates_per_step * (double)(steps - least(steps, p->explore));
    allowed += p->updates_per_step * (double)slack + (double)p->warm_start;
    if (v->updates_supplied > 0 && allowed > (double)v->updates_supplied) {
        explain(why, why_len, "the next distribution rollout");
        return least(v->updates_supplied, total);
    }
    if (allowed >= (double)total) {
        explain(why, why_len, "nothing: all updates of the run are allowed");
        return total;
    }
    if (p->phases) {
        explain(why, why_len,
                v->training_point > 0 ? "the training of the model" : "the steps of this phase");
    } else if (why && steps < v->steps) {
        snprintf(why, why_len, "rollouts for %llu real steps: in progress",
                 (unsigned long long)(v->steps - v->rollout_steps));
    } else if (why) {
        snprintf(why, why_len, "real steps: %llu are stored, and each allows %g updates",
                 (unsigned long long)v->steps, p->updates_per_step);
    }
    return (uint64_t)floor(allowed);
}

// One step at a time: the next one is allowed when training, rollouts and updates
// due for the last one are complete.
static uint64_t lockstep_steps(const struct pacing *p, const struct pacing_view *v, char *why,
                               size_t why_len) {
    uint64_t due = pacing_updates_due(p, v->steps);
    if (v->training_point > 0) {
        explain(why, why_len, "the training of the model");
    } else if (!v->has_policy) {
        explain(why, why_len, "the learner's policy");
    } else if (!v->ready || v->rollout_steps < v->steps) {
        explain(why, why_len, "the rollouts for the last step");
    } else if (v->updates < due) {
        if (why) {
            snprintf(why, why_len, "the learner: %llu updates behind",
                     (unsigned long long)(due - v->updates));
        }
    } else {
        explain(why, why_len, "nothing");
        return least(v->steps + 1, p->steps_max);
    }
    return v->steps;
}

// The next phase of steps follows the updates of the one before.
static uint64_t phase_limit(const struct pacing *p, const struct pacing_view *v, char *why,
                            size_t why_len) {
    uint64_t point = pacing_training_point(p, v->steps), due = pacing_updates_due(p, point);
    if (v->training_point > 0) {
        explain(why, why_len, "the training of the model");
    } else if (v->updates < due) {
        if (why) {
            snprintf(why, why_len, "the updates of this phase: %llu are left",
                     (unsigned long long)(due - v->updates));
        }
    } else if (!v->has_policy) {
        explain(why, why_len, "the learner's policy");
    } else {
        explain(why, why_len, "nothing");
        return point + p->train_every;
    }
    return v->steps;
}

static uint64_t ratio_steps(const struct pacing *p, const struct pacing_view *v, char *why,
                            size_t why_len) {
    double by_updates = (double)p->explore + pacing_steps_of(p, v->updates);
    uint64_t limit = (uint64_t)floor(by_updates) + p->slack;
    uint64_t due = pacing_updates_due(p, v->steps);
    if (why && v->updates < due) {
        snprintf(why, why_len, "the learner: %llu updates behind",
                 (unsigned long long)(due - v->updates));
    } else if (why) {
        snprintf(why, why_len, "the learner: real steps may be at most %llu ahead",
                 (unsigned long long)p->slack);
    }
    // Steps must not pass the next training point while a training is due or running; if they wait
    // for trainings, no point before its training.
    uint64_t point = v->training_point;
    if (p->waits) {
        uint64_t next = pacing_training_point(p, v->steps) + p->train_every;
        limit = least(limit, point > 0 ? point : next);
        if (point > 0) {
            explain(why, why_len, "the training of the model");
        }
    } else if (point > 0 && point + p->train_every < limit) {
        limit = point + p->train_every;
        explain(why, why_len, "the training of the model: another one would be due");
    }
    return limit;
}

uint64_t pacing_steps_allowed(const struct pacing *p, const struct pacing_view *v, char *why,
                              size_t why_len) {
    uint64_t limit;
    if (v->steps >= p->steps_max) {
        explain(why, why_len, "nothing: the step budget is spent");
        return p->steps_max;
    }
    if (p->mode == PACING_FREE) {
        explain(why, why_len, "nothing: actors never wait");
        limit = p->steps_max;
    } else if (v->steps < p->explore) {
        explain(why, why_len, "nothing: exploration");
        limit = p->explore;
    } else if (p->mode == PACING_LOCKSTEP) {
        limit = lockstep_steps(p, v, why, why_len);
    } else {
        limit = p->phases ? phase_limit(p, v, why, why_len) : ratio_steps(p, v, why, why_len);
        limit = limit < v->steps ? v->steps : limit;
    }
    return least(limit, p->steps_max);
}
