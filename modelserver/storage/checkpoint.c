// SPDX-License-Identifier: MIT
// Tensors and metadata of the state; loading checks shapes, run and finite numbers.
#include "modelserver/storage/checkpoint.h"

#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/base/log.h"
#include "common/base/stats.h"
#include "common/nn/policy_file.h"
#include "common/nn/safetensors.h"
#include "common/nn/termination.h"

#define FORMAT "spur-modelserver-1"
#define NUMBER_MAX 32
#define WEIGHT_MAX 1e12f // no training reaches it, and products of two are finite

// The model's numbers that are not floats, in one tensor.
enum { INFO_VERSION, INFO_ENV_ROWS, INFO_EPOCHS, INFO_MEMBERS, INFO_ELITES, INFO_COUNT };

// struct ms_state is words throughout; these are its three parts.
enum {
    STATE_WORDS = offsetof(struct ms_state, wall_ms) / sizeof(uint64_t),
    CLOCK_WORDS = offsetof(struct ms_state, counters) / sizeof(uint64_t) - STATE_WORDS,
};
_Static_assert(sizeof(struct ms_state) ==
                   (STATE_WORDS + CLOCK_WORDS + MS_COUNTER_COUNT) * sizeof(uint64_t),
               "words without gaps");

static const char *print_u64(char out[NUMBER_MAX], uint64_t value) {
    snprintf(out, NUMBER_MAX, "%" PRIu64, value);
    return out;
}

int ms_checkpoint_write(const char *path, const struct ms_checkpoint_run *run,
                        const struct ms_state *state, const struct model *model,
                        const struct fit_state *fit, bool keep, char *err, size_t err_len) {
    struct tensor tensors[17];
    int n = 0;
    tensors[n++] = tensor_u64("state", &state->trainings, STATE_WORDS);
    tensors[n++] = tensor_u64("clock", &state->wall_ms, CLOCK_WORDS);
    tensors[n++] = tensor_u64("counters", state->counters, MS_COUNTER_COUNT);
    if (fit->params > 0) {
        tensors[n++] = tensor_f32("ensemble.weights", fit->weights, fit->params);
        tensors[n++] = tensor_f32("ensemble.adam_m", fit->adam_m, fit->params);
        tensors[n++] = tensor_f32("ensemble.adam_v", fit->adam_v, fit->params);
        tensors[n++] = tensor_u64("ensemble.adam_steps", fit->adam_steps, 1);
        tensors[n++] = tensor_f32("ensemble.normalizer", fit->normalizer, fit->normalizer_floats);
    }
    if (fit->termination_params > 0) {
        uint64_t trained = fit->termination_trained;
        tensors[n++] = tensor_f32("termination.weights", fit->termination, fit->termination_params);
        tensors[n++] = tensor_f32("termination.adam_m", fit->termination_m, trained);
        tensors[n++] = tensor_f32("termination.adam_v", fit->termination_v, trained);
        tensors[n++] = tensor_u64("termination.adam_steps", fit->termination_steps, 1);
    }
    uint64_t info[INFO_COUNT], elite[ENSEMBLE_MEMBERS_MAX];
    if (model) {
        const struct model *m = model;
        info[INFO_VERSION] = m->version;
        info[INFO_ENV_ROWS] = m->env_rows;
        info[INFO_EPOCHS] = m->epochs;
        info[INFO_MEMBERS] = (uint64_t)m->members;
        info[INFO_ELITES] = (uint64_t)m->elites;
        for (int i = 0; i < m->elites; i++) {
            elite[i] = (uint64_t)m->elite[i];
        }
        tensors[n++] = tensor_u64("model.info", info, INFO_COUNT);
        tensors[n++] = tensor_u64("model.elites", elite, (uint64_t)m->elites);
        tensors[n++] = tensor_f32("model.holdout_mse", m->holdout_mse, (uint64_t)m->members);
        if (fit->termination_params > 0) {
            tensors[n++] = tensor_f32("model.termination_score", &m->termination_score[0].ended,
                                      (uint64_t)m->members * TERMINATION_SCORE_FLOATS);
        }
    }
    char run_id[NUMBER_MAX], seed[NUMBER_MAX];
    const struct safetensors_meta meta[] = {{"format", FORMAT},
                                            {"task", run->task},
                                            {"run_id", print_u64(run_id, run->run_id)},
                                            {"seed", print_u64(seed, run->seed)},
                                            {"version", SPUR_VERSION}};
    char previous[PATH_MAX];
    int rc = file_beside(previous, sizeof(previous), path, "previous");
    rc = rc || !keep ? rc : file_keep(path, previous);
    if (rc < 0) {
        return error_set(err, err_len, -1, "%s: the one before cannot be kept: %s", path,
                         strerror(-rc));
    }
    return safetensors_write(path, tensors, n, meta, sizeof(meta) / sizeof(meta[0]), err, err_len);
}

static int check_meta(const struct safetensors *c, const char *path,
                      const struct ms_checkpoint_run *run, char *err, size_t err_len) {
    char run_id[NUMBER_MAX];
    const char *format = safetensors_meta_value(c, "format"),
               *id = safetensors_meta_value(c, "run_id");
    if (!format || strcmp(format, FORMAT) != 0) {
        snprintf(err, err_len, "%s: not a checkpoint of this version's model server; move it away",
                 path);
        return -1;
    }
    if (!id || strcmp(id, print_u64(run_id, run->run_id)) != 0) {
        snprintf(err, err_len, "%s: belongs to another run than the store beside it; move it away",
                 path);
        return -1;
    }
    return 0;
}

static int read_model(const struct safetensors *c, const char *path, struct model *m,
                      const struct fit_state *fit, char *err, size_t err_len) {
    uint64_t info[INFO_COUNT], elite[ENSEMBLE_MEMBERS_MAX];
    if (safetensors_copy_u64(c, "model.info", info, INFO_COUNT, err, err_len) != 0) {
        return -1;
    }
    m->version = info[INFO_VERSION];
    m->env_rows = info[INFO_ENV_ROWS];
    m->epochs = info[INFO_EPOCHS];
    if (info[INFO_MEMBERS] != (uint64_t)m->members || info[INFO_ELITES] != (uint64_t)m->elites) {
        snprintf(err, err_len,
                 "%s: holds %" PRIu64 " members and %" PRIu64 " elites, not %d and %d", path,
                 info[INFO_MEMBERS], info[INFO_ELITES], m->members, m->elites);
        return -1;
    }
    if (safetensors_copy_u64(c, "model.elites", elite, (uint64_t)m->elites, err, err_len) != 0 ||
        safetensors_copy_f32(c, "model.holdout_mse", m->holdout_mse, (uint64_t)m->members, err,
                             err_len) != 0) {
        return -1;
    }
    for (int i = 0; i < m->elites; i++) {
        if (elite[i] >= (uint64_t)m->members) {
            snprintf(err, err_len, "%s: elite %" PRIu64 " of %d members", path, elite[i],
                     m->members);
            return -1;
        }
        m->elite[i] = (int)elite[i];
    }
    memcpy(m->params, fit->weights, fit->params * sizeof(float));
    memcpy(m->normalizer, fit->normalizer, fit->normalizer_floats * sizeof(float));
    if (fit->termination_params == 0) {
        return 0;
    }
    memcpy(m->termination, fit->termination, fit->termination_params * sizeof(float));
    return safetensors_copy_f32(c, "model.termination_score", &m->termination_score[0].ended,
                                (uint64_t)m->members * TERMINATION_SCORE_FLOATS, err, err_len);
}

// Files of builds that did not standardise targets have the inputs' normalizer only, and none
// before the first training.
static int read_normalizer(const struct safetensors *c, const struct fit_state *fit, char *err,
                           size_t err_len) {
    if (safetensors_find(c, "ensemble.normalizer")) {
        return safetensors_copy_f32(c, "ensemble.normalizer", fit->normalizer,
                                    fit->normalizer_floats, err, err_len);
    }
    const struct tensor *inputs = safetensors_find(c, "model.normalizer");
    if (!inputs) {
        return 0;
    }
    uint64_t n = inputs->shape[0];
    if (n >= fit->normalizer_floats) {
        snprintf(err, err_len, "model.normalizer has %" PRIu64 " numbers, at most %zu expected", n,
                 fit->normalizer_floats - 1);
        return -1;
    }
    float *targets = fit->normalizer + n;
    size_t T = (fit->normalizer_floats - n) / 2;
    for (size_t j = 0; j < T; j++) {
        targets[j] = 0;
        targets[T + j] = 1;
    }
    return safetensors_copy_f32(c, "model.normalizer", fit->normalizer, n, err, err_len);
}

// Nothing in a run without a model.
static int read_ensemble(const struct safetensors *c, const struct fit_state *fit, char *err,
                         size_t err_len) {
    size_t n = fit->params;
    if (n == 0) {
        return 0;
    }
    int rc = safetensors_copy_f32(c, "ensemble.weights", fit->weights, n, err, err_len);
    rc = rc ? rc : safetensors_copy_f32(c, "ensemble.adam_m", fit->adam_m, n, err, err_len);
    rc = rc ? rc : safetensors_copy_f32(c, "ensemble.adam_v", fit->adam_v, n, err, err_len);
    rc = rc ? rc : safetensors_copy_u64(c, "ensemble.adam_steps", fit->adam_steps, 1, err, err_len);
    return rc ? rc : read_normalizer(c, fit, err, err_len);
}

static int read_heads(const struct safetensors *c, const struct fit_state *fit, char *err,
                      size_t err_len) {
    uint64_t all = fit->termination_params, trained = fit->termination_trained;
    if (all == 0) {
        return 0;
    }
    int rc = safetensors_copy_f32(c, "termination.weights", fit->termination, all, err, err_len);
    rc = rc ? rc
            : safetensors_copy_f32(c, "termination.adam_m", fit->termination_m, trained, err,
                                   err_len);
    rc = rc ? rc
            : safetensors_copy_f32(c, "termination.adam_v", fit->termination_v, trained, err,
                                   err_len);
    return rc ? rc
              : safetensors_copy_u64(c, "termination.adam_steps", fit->termination_steps, 1, err,
                                     err_len);
}

// After the heads' networks, the scale and shift of each: numbers, or those of a head that never
// ends an episode (termination_never), as after a training without a terminal row.
static bool heads_are_valid(const struct fit_state *f) {
    for (uint64_t i = f->termination_trained; i < f->termination_params; i += 2) {
        const float *calibration = f->termination + i;
        if (!termination_calibrated_never(calibration) &&
            !stats_all_within(calibration, 2, WEIGHT_MAX)) {
            return false;
        }
    }
    return stats_all_within(f->termination, f->termination_trained, WEIGHT_MAX);
}

// A checksum does not help against what was wrong when it was written.
static int check_numbers(const struct fit_state *f, const char *path, char *err, size_t err_len) {
    uint64_t trained = f->termination_trained;
    if (!stats_all_within(f->weights, f->params, WEIGHT_MAX) || !heads_are_valid(f)) {
        return error_set(err, err_len, -1, "%s: weights of the model are not finite, or beyond %g",
                         path, (double)WEIGHT_MAX);
    }
    if (!stats_all_finite(f->adam_m, f->params) || !stats_all_finite(f->adam_v, f->params) ||
        !stats_all_finite(f->normalizer, f->normalizer_floats) ||
        !stats_all_finite(f->termination_m, trained) ||
        !stats_all_finite(f->termination_v, trained)) {
        return error_set(err, err_len, -1, "%s: it holds numbers that are not finite", path);
    }
    return 0;
}

static int check_counts(const struct fit_state *f, const struct ms_state *state, const char *path,
                        char *err, size_t err_len) {
    uint64_t steps = f->params > 0 ? *f->adam_steps : 0; // 0: a run without a model
    uint64_t heads = f->termination_params > 0 ? *f->termination_steps : 0;
    if (state->trainings <= RNG_COUNT_MAX && steps <= RNG_COUNT_MAX && heads <= RNG_COUNT_MAX) {
        return 0;
    }
    return error_set(err, err_len, -1,
                     "%s: %llu trainings with %llu steps, and %llu of heads, are more than any run "
                     "makes",
                     path, (unsigned long long)state->trainings, (unsigned long long)steps,
                     (unsigned long long)heads);
}

// A checkpoint of an earlier build may lack the last ones.
static int read_counters(const struct safetensors *c, struct ms_state *state, char *err,
                         size_t err_len) {
    const struct tensor *t = safetensors_find(c, "counters");
    uint64_t n = t && t->shape[0] < MS_COUNTER_COUNT ? t->shape[0] : MS_COUNTER_COUNT;
    memset(state->counters, 0, sizeof(state->counters));
    return safetensors_copy_u64(c, "counters", state->counters, n, err, err_len);
}

int ms_checkpoint_read(const char *path, const struct ms_checkpoint_run *run,
                       struct ms_state *state, const struct fit_state *fit, struct model *model,
                       bool *has_model, char *err, size_t err_len) {
    struct safetensors *c = safetensors_open(path, err, err_len);
    if (!c) {
        return -1;
    }
    *has_model = safetensors_find(c, "model.info") != NULL;
    int rc = check_meta(c, path, run, err, err_len);
    rc = rc ? rc : safetensors_copy_u64(c, "state", &state->trainings, STATE_WORDS, err, err_len);
    rc = rc ? rc : safetensors_copy_u64(c, "clock", &state->wall_ms, CLOCK_WORDS, err, err_len);
    rc = rc ? rc : read_counters(c, state, err, err_len);
    rc = rc ? rc : read_ensemble(c, fit, err, err_len);
    rc = rc ? rc : read_heads(c, fit, err, err_len);
    rc = rc ? rc : check_numbers(fit, path, err, err_len);
    rc = rc ? rc : check_counts(fit, state, path, err, err_len);
    if (rc == 0 && *has_model) {
        rc = read_model(c, path, model, fit, err, err_len);
    }
    safetensors_close(&c);
    return rc;
}

int ms_checkpoint_load(const char *path, const struct ms_checkpoint_run *run,
                       struct ms_state *state, const struct fit_state *fit, struct model *model,
                       bool *has_model, char *err, size_t err_len) {
    char previous[PATH_MAX], unreadable[PATH_MAX], why[512] = "";
    if (file_beside(previous, sizeof(previous), path, "previous") < 0 ||
        file_beside(unreadable, sizeof(unreadable), path, "unreadable") < 0) {
        return error_set(err, err_len, -1, "%s: the path is too long", path);
    }
    const char *const files[] = {path, previous};
    for (int i = 0; i < 2; i++) {
        if (!file_exists(files[i])) {
            continue;
        }
        if (ms_checkpoint_read(files[i], run, state, fit, model, has_model, err, err_len) == 0) {
            if (why[0]) { // the next checkpoint would replace the good one by it
                log_warn("%s is used instead", files[i]);
                rename(path, unreadable);
            }
            return 1;
        }
        log_warn("ignored: %s", err);
        if (!why[0]) {
            snprintf(why, sizeof(why), "%s", err);
        }
    }
    return why[0] == '\0' ? 0
                          : error_set(err, err_len, -1,
                                      "%s; move it away, and the model is trained anew from the "
                                      "stored steps",
                                      why);
}

static uint64_t step_of(const char *path) {
    char err[256];
    struct ms_state state = {0};
    struct safetensors *c = file_exists(path) ? safetensors_open(path, err, sizeof(err)) : NULL;
    if (c && safetensors_copy_u64(c, "clock", &state.wall_ms, CLOCK_WORDS, err, sizeof(err)) != 0) {
        state.checkpoint_id = 0;
    }
    safetensors_close(&c);
    return state.checkpoint_id;
}

uint64_t ms_checkpoint_previous_step(const char *path) {
    char previous[PATH_MAX];
    return file_beside(previous, sizeof(previous), path, "previous") < 0 ? 0 : step_of(previous);
}

void ms_checkpoint_go_back(const char *path, uint64_t step) {
    char previous[PATH_MAX];
    if (step_of(path) == step || file_beside(previous, sizeof(previous), path, "previous") < 0) {
        return;
    }
    if (step == 0) {
        unlink(previous);
        unlink(path);
    } else {
        rename(previous, path);
    }
}

int ms_checkpoint_take_over(const char *path, const struct fit_state *fit, char *err,
                            size_t err_len) {
    struct safetensors *c = safetensors_open(path, err, err_len);
    if (!c) {
        return -1;
    }
    int rc = safetensors_copy_f32(c, "ensemble.weights", fit->weights, fit->params, err, err_len);
    rc = rc ? rc : read_normalizer(c, fit, err, err_len);
    if (rc == 0 && fit->termination_params > 0 && safetensors_find(c, "termination.weights")) {
        rc = safetensors_copy_f32(c, "termination.weights", fit->termination,
                                  fit->termination_params, err, err_len);
    }
    rc = rc ? rc : check_numbers(fit, path, err, err_len);
    safetensors_close(&c);
    return rc;
}

int ms_checkpoint_policy_write(const char *path, const struct task *task,
                               const struct policy *shape, const float *params, uint64_t version,
                               const struct learning_curve_row *row, char *err, size_t err_len) {
    char env_steps[NUMBER_MAX], mean[NUMBER_MAX];
    snprintf(mean, sizeof(mean), "%.9g", row->return_mean);
    const struct policy_file_info info = {
        .task = task->name,
        .version = version,
        .updates = row->updates,
        .more = {{"env_steps", print_u64(env_steps, row->env_steps)}, {"return_mean", mean}},
    };
    return policy_file_write(path, shape, params, &info, err, err_len);
}
