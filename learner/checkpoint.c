// SPDX-License-Identifier: MIT
#include "learner/checkpoint.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/stats.h"
#include "common/config/keys.h"
#include "common/nn/policy_file.h"
#include "common/nn/safetensors.h"
#include "learner/trainer.h"

#define META_MAX 20
#define COUNTERS 5

struct paths {
    char dir[PATH_MAX];
    char next[PATH_MAX], newest[PATH_MAX], previous[PATH_MAX], unreadable[PATH_MAX];
    char model[PATH_MAX], policy[PATH_MAX];
};

static int make_paths(struct paths *p, const char *run_dir, char *err, size_t err_len) {
    int rc = file_join(p->dir, sizeof(p->dir), run_dir, "checkpoint");
    rc |= file_join(p->next, sizeof(p->next), p->dir, "learner.next.safetensors");
    rc |= file_join(p->newest, sizeof(p->newest), p->dir, "learner.safetensors");
    rc |= file_join(p->previous, sizeof(p->previous), p->dir, "learner.previous.safetensors");
    rc |= file_join(p->unreadable, sizeof(p->unreadable), p->dir, "learner.unreadable.safetensors");
    rc |= file_join(p->model, sizeof(p->model), p->dir, "replay_model.safetensors");
    rc |= file_join(p->policy, sizeof(p->policy), run_dir, "policy.safetensors");
    if (rc != 0) {
        snprintf(err, err_len, "%.200s...: the path is too long", run_dir);
        return -1;
    }
    return 0;
}

// ---- metadata: what a checkpoint must agree in, and what it should ----

struct meta {
    int n, strict; // the first `strict` entries are about shapes: they must agree
    struct safetensors_meta list[META_MAX];
    char text[META_MAX][64];
};

static void meta_text(struct meta *m, const char *key, const char *value) {
    CHECK(m->n < META_MAX);
    snprintf(m->text[m->n], sizeof(m->text[0]), "%.63s", value);
    m->list[m->n] = (struct safetensors_meta){key, m->text[m->n]};
    m->n++;
}

static void meta_number(struct meta *m, const char *key, double value) {
    char text[64];
    snprintf(text, sizeof(text), "%.16g", value);
    meta_text(m, key, text);
}

static void meta_key(struct meta *m, const struct config *c, const char *section, const char *key) {
    char text[40 * CONFIG_LIST_MAX];
    config_key_format(c, config_key_find(section, key), text, sizeof(text));
    meta_text(m, key, text);
}

static void make_meta(struct meta *m, const struct trainer *t) {
    const struct config *c = &t->config;
    *m = (struct meta){0};
    meta_text(m, "task", t->task->name);
    meta_number(m, "obs_dim", t->task->obs_dim);
    meta_number(m, "act_dim", t->task->act_dim);
    meta_number(m, "hidden_width", c->sac.hidden_width);
    meta_number(m, "hidden_layers", c->sac.hidden_layers);
    meta_number(m, "seed", (double)c->run.seed);
    m->strict = m->n;
    meta_number(m, "batch_size", c->sac.batch_size);
    meta_number(m, "learning_rate", c->sac.learning_rate);
    meta_number(m, "discount", c->sac.discount);
    meta_key(m, c, "sac", "discount_rise");
    meta_number(m, "tau", c->sac.tau);
    meta_number(m, "target_entropy", c->sac.target_entropy);
    meta_number(m, "real_ratio", c->sac.real_ratio);
    meta_number(m, "updates_per_step", c->pacing.updates_per_step);
    meta_text(m, "spur_version", SPUR_VERSION);
}

static int check_meta(const struct safetensors *file, const char *path, const struct trainer *t,
                      char *err, size_t err_len) {
    struct meta want;
    make_meta(&want, t);
    for (int i = 0; i < want.n; i++) {
        const char *have = safetensors_meta_value(file, want.list[i].key);
        if (have && strcmp(have, want.list[i].value) == 0) {
            continue;
        }
        if (i < want.strict) {
            snprintf(err, err_len,
                     "%s: %s is %s there and %s in the configuration; use another run directory, "
                     "or the configuration that this one was started with",
                     path, want.list[i].key, have ? have : "missing", want.list[i].value);
            return -1;
        }
        log_warn("%s: %s was %s and is %s from here on", path, want.list[i].key,
                 have ? have : "missing", want.list[i].value);
    }
    return 0;
}

// ---- saving ----

static uint64_t mark_of(const struct trainer *t) {
    return t->sac.updates + t->d_model.added;
}

static int save_learner(const struct trainer *t, const char *path, char *err, size_t err_len) {
    struct meta meta;
    make_meta(&meta, t);
    struct sac_block blocks[SAC_BLOCKS];
    sac_blocks(blocks, &t->sac);
    struct tensor tensors[SAC_BLOCKS + COUNTERS];
    for (int i = 0; i < SAC_BLOCKS; i++) {
        tensors[i] = tensor_f32(blocks[i].name, blocks[i].data, blocks[i].n);
    }
    const uint64_t mark = mark_of(t);
    tensors[SAC_BLOCKS] = tensor_u64("updates", &t->sac.updates, 1);
    tensors[SAC_BLOCKS + 1] = tensor_u64("policy_version", &t->report.policy_version, 1);
    tensors[SAC_BLOCKS + 2] = tensor_u64("model_capacity", &t->d_model.capacity, 1);
    tensors[SAC_BLOCKS + 3] = tensor_u64("model_rows_added", &t->d_model.added, 1);
    tensors[SAC_BLOCKS + 4] = tensor_u64("mark", &mark, 1);
    return safetensors_write(path, tensors, SAC_BLOCKS + COUNTERS, meta.list, meta.n, err, err_len);
}

static const char *const column_names[REPLAY_COLUMNS] = {
    [REPLAY_OBS] = "obs",
    [REPLAY_ACT] = "act",
    [REPLAY_REWARD] = "reward",
    [REPLAY_NEXT_OBS] = "next_obs",
    [REPLAY_TERMINATED] = "terminated",
};

// The ring is one or two runs of rows: "obs" and what follows it, "obs.2".
static struct tensor column_tensor(const struct trainer *t, enum replay_column c, int part) {
    char name[TENSOR_NAME_MAX];
    snprintf(name, sizeof(name), "%s%s", column_names[c], part == 0 ? "" : ".2");
    struct replay_rows rows = replay_part(&t->d_model, part);
    const void *data[REPLAY_COLUMNS] = {
        [REPLAY_OBS] = rows.obs,
        [REPLAY_ACT] = rows.act,
        [REPLAY_REWARD] = rows.reward,
        [REPLAY_NEXT_OBS] = rows.next_obs,
        [REPLAY_TERMINATED] = rows.terminated,
    };
    bool flat = c == REPLAY_REWARD || c == REPLAY_TERMINATED;
    uint64_t width = (uint64_t)(c == REPLAY_ACT ? t->task->act_dim : t->task->obs_dim);
    return tensor_make(name, c == REPLAY_TERMINATED ? TENSOR_U8 : TENSOR_F32, data[c], flat ? 1 : 2,
                       (uint64_t[]){rows.n, width});
}

static int save_model(const struct trainer *t, const char *path, char *err, size_t err_len) {
    struct tensor tensors[2 * REPLAY_COLUMNS + 1];
    int n = 0;
    const uint64_t mark = mark_of(t);
    tensors[n++] = tensor_u64("mark", &mark, 1);
    // Both parts of a column side by side.
    for (int i = 0; i < 2 * REPLAY_COLUMNS; i++) {
        if (replay_part(&t->d_model, i % 2).n > 0) {
            tensors[n++] = column_tensor(t, (enum replay_column)(i / 2), i % 2);
        }
    }
    const struct safetensors_meta meta = {"task", t->task->name};
    return safetensors_write(path, tensors, n, &meta, 1, err, err_len);
}

static int move_file(const char *from, const char *to, char *err, size_t err_len) {
    if (rename(from, to) < 0) {
        snprintf(err, err_len, "%s: cannot be renamed to %s: %s", from, to, strerror(errno));
        return -1;
    }
    return 0;
}

// The pair is complete: its learner file becomes the newest one.
static int move_up(const struct paths *p, char *err, size_t err_len) {
    if (file_exists(p->newest) && move_file(p->newest, p->previous, err, err_len) < 0) {
        return -1;
    }
    return move_file(p->next, p->newest, err, err_len);
}

int checkpoint_save(const struct trainer *t, char *err, size_t err_len) {
    struct paths p;
    if (make_paths(&p, t->run_dir, err, err_len) < 0) {
        return -1;
    }
    int rc = file_make_dirs(p.dir);
    if (rc < 0) {
        snprintf(err, err_len, "%s: %s", p.dir, strerror(-rc));
        return -1;
    }
    if (save_learner(t, p.next, err, err_len) < 0 || save_model(t, p.model, err, err_len) < 0 ||
        move_up(&p, err, err_len) < 0) {
        return -1;
    }
    char seed[24];
    snprintf(seed, sizeof(seed), "%llu", (unsigned long long)t->config.run.seed);
    struct policy_file_info info = {
        .task = t->task->name,
        .version = t->report.policy_version,
        .updates = t->sac.updates,
        .more = {{"spur_version", SPUR_VERSION}, {"seed", seed}},
    };
    return policy_file_write(p.policy, &t->sac.policy, t->sac.policy_params, &info, err, err_len);
}

// ---- loading ----

static bool read_u64(const struct safetensors *file, const char *name, uint64_t *out) {
    char err[256];
    return safetensors_copy_u64(file, name, out, 1, err, sizeof(err)) == 0;
}

// All or nothing, so that a file that lacks a part leaves the trainer as it was.
static int take_learner(struct trainer *t, const struct safetensors *file, uint64_t *mark,
                        char *err, size_t err_len) {
    uint64_t updates, version, capacity, added;
    if (!read_u64(file, "updates", &updates) || !read_u64(file, "policy_version", &version) ||
        !read_u64(file, "model_capacity", &capacity) ||
        !read_u64(file, "model_rows_added", &added) || !read_u64(file, "mark", mark)) {
        snprintf(err, err_len, "a counter is missing");
        return -1;
    }
    if (version == 0 || capacity == 0) {
        snprintf(err, err_len, "a counter is 0 that never is");
        return -1;
    }
    struct sac loaded;
    sac_init(&loaded, &t->sac.config);
    struct sac_block blocks[SAC_BLOCKS];
    sac_blocks(blocks, &loaded);
    for (int i = 0; i < SAC_BLOCKS; i++) {
        if (safetensors_copy_f32(file, blocks[i].name, blocks[i].data, blocks[i].n, err, err_len) <
            0) {
            sac_deinit(&loaded);
            return -1;
        }
    }
    if (!sac_finite(&loaded)) {
        snprintf(err, err_len, "it holds numbers that are not finite");
        sac_deinit(&loaded);
        return -1;
    }
    loaded.updates = updates;
    sac_deinit(&t->sac);
    t->sac = loaded;
    t->report.policy_version = version;
    t->d_model.added = added;
    replay_resize(&t->d_model, capacity < t->d_model.reserved ? capacity : t->d_model.reserved);
    return 0;
}

// Rows of one part of the ring; n 0 when the file has no such part.
static int read_part(struct replay_rows *rows, const struct safetensors *file,
                     const struct trainer *t, int part) {
    const struct tensor *columns[REPLAY_COLUMNS];
    *rows = (struct replay_rows){0};
    for (int c = 0; c < REPLAY_COLUMNS; c++) {
        struct tensor want = column_tensor(t, (enum replay_column)c, part);
        columns[c] = safetensors_find(file, want.name);
        if (!columns[c]) {
            return c == 0 ? 0 : -1;
        }
        if (columns[c]->type != want.type || columns[c]->dims != want.dims ||
            columns[c]->shape[0] != columns[0]->shape[0] ||
            (want.dims == 2 && columns[c]->shape[1] != want.shape[1])) {
            return -1;
        }
    }
    *rows = (struct replay_rows){
        .n = columns[0]->shape[0],
        .obs = columns[REPLAY_OBS]->data,
        .act = columns[REPLAY_ACT]->data,
        .reward = columns[REPLAY_REWARD]->data,
        .next_obs = columns[REPLAY_NEXT_OBS]->data,
        .terminated = columns[REPLAY_TERMINATED]->data,
    };
    return 0;
}

static bool rows_finite(const struct replay_rows *r, const struct task *task) {
    uint64_t O = (uint64_t)task->obs_dim, A = (uint64_t)task->act_dim;
    return stats_all_finite(r->obs, r->n * O) && stats_all_finite(r->next_obs, r->n * O) &&
           stats_all_finite(r->act, r->n * A) && stats_all_finite(r->reward, r->n);
}

// D_model is worth a warning, not a refusal: it can be made again.
static void take_model(struct trainer *t, const struct safetensors *file, const char *path) {
    struct replay_rows parts[2];
    for (int part = 0; part < 2; part++) {
        if (read_part(&parts[part], file, t, part) < 0 || !rows_finite(&parts[part], t->task)) {
            log_warn("%s: columns of other shapes, or not finite; D_model starts empty", path);
            return;
        }
    }
    uint64_t added = t->d_model.added;
    replay_add(&t->d_model, &parts[0]);
    replay_add(&t->d_model, &parts[1]);
    t->d_model.added = added;
}

// 1: loaded; 0: there is none, or it does not read (*unreadable); -1: refused.
static int load_one(struct trainer *t, uint64_t *mark, bool *unreadable, const char *path,
                    char *err, size_t err_len) {
    if (!file_exists(path)) {
        return 0;
    }
    char why[TRAINER_TEXT_MAX];
    struct safetensors *file = safetensors_open(path, why, sizeof(why));
    int rc = 0;
    if (!file) {
        log_warn("left aside: %s", why);
        *unreadable = true;
    } else if (check_meta(file, path, t, err, err_len) < 0) {
        rc = -1;
    } else if (take_learner(t, file, mark, why, sizeof(why)) < 0) {
        log_warn("left aside: %s: %s", path, why);
        *unreadable = true;
    } else {
        rc = 1;
    }
    safetensors_close(&file);
    return rc;
}

// Whether `next` belongs to the D_model on disk: then only the renames are missing.
static bool pair_complete(const struct paths *p, uint64_t model_mark) {
    char err[256];
    struct safetensors *next = safetensors_open(p->next, err, sizeof(err));
    uint64_t mark;
    bool complete = next && read_u64(next, "mark", &mark) && mark == model_mark;
    safetensors_close(&next);
    return complete;
}

int checkpoint_load(struct trainer *t, char *err, size_t err_len) {
    struct paths p;
    if (make_paths(&p, t->run_dir, err, err_len) < 0) {
        return -1;
    }
    char why[TRAINER_TEXT_MAX] = "there is none";
    struct safetensors *model =
        file_exists(p.model) ? safetensors_open(p.model, why, sizeof(why)) : NULL;
    uint64_t model_mark = 0, mark = 0;
    bool has_model = model && read_u64(model, "mark", &model_mark);
    int rc = 0;
    if (file_exists(p.next)) {
        if (has_model && pair_complete(&p, model_mark)) {
            rc = move_up(&p, err, err_len);
        } else {
            unlink(p.next);
        }
    }
    bool unreadable = false;
    const char *const candidates[] = {p.newest, p.previous};
    const char *path = NULL;
    for (int i = 0; i < 2 && rc == 0; i++) {
        path = candidates[i];
        rc = load_one(t, &mark, &unreadable, path, err, err_len);
    }
    if (rc == 0 && unreadable) {
        snprintf(err, err_len, "%s: no checkpoint there reads; move the files away to start anew",
                 p.dir);
        rc = -1;
    }
    if (rc == 1 && path == p.previous && file_exists(p.newest)) {
        // Else the next checkpoint would put it in the place of the one that reads.
        rc = move_file(p.newest, p.unreadable, err, err_len) < 0 ? -1 : 1;
    }
    if (rc == 1) {
        if (has_model && model_mark == mark) {
            take_model(t, model, p.model);
        } else {
            log_warn("%s is not the one of %s (%s); D_model starts empty", p.model, path,
                     model ? "it carries another mark" : why);
        }
        log_info("resumed from %s: %llu updates, policy version %llu, %llu model rows", path,
                 (unsigned long long)t->sac.updates, (unsigned long long)t->report.policy_version,
                 (unsigned long long)t->d_model.len);
    }
    safetensors_close(&model);
    return rc < 0 ? -1 : 0;
}
