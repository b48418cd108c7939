// SPDX-License-Identifier: MIT
// Metadata and tensors of the two files, the order of renames, and the choice of a matching pair
// when loading.
#include "learner/checkpoint.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "common/base/stats.h"
#include "common/config/keys.h"
#include "common/nn/policy_file.h"
#include "common/nn/safetensors.h"
#include "learner/staging.h"

#define META_MAX 80
#define COUNTERS 12
#define TEXT_MAX 512
#define WEIGHT_MAX 1e12f // no update reaches it, and products of two are finite

#define LEARNER_FILE "learner.safetensors"

struct paths {
    char dir[PATH_MAX];
    char next[PATH_MAX], next_model[PATH_MAX], next_policy[PATH_MAX]; // in the learner's folder
    char newest[PATH_MAX], previous[PATH_MAX], unreadable[PATH_MAX];
    char model[PATH_MAX], policy[PATH_MAX];
};

static int make_paths(struct paths *p, const char *run_dir, const char *staging, char *err,
                      size_t err_len) {
    int rc = file_join(p->dir, sizeof(p->dir), run_dir, "checkpoint");
    rc |= file_join(p->next, sizeof(p->next), staging, LEARNER_FILE);
    rc |= file_join(p->next_model, sizeof(p->next_model), staging, "replay_model.safetensors");
    rc |= file_join(p->next_policy, sizeof(p->next_policy), staging, "policy.safetensors");
    rc |= file_join(p->newest, sizeof(p->newest), p->dir, LEARNER_FILE);
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

int checkpoint_stage(char staging[PATH_MAX], const char *run_dir, char *err, size_t err_len) {
    struct paths p;
    staging[0] = '\0';
    if (make_paths(&p, run_dir, "", err, err_len) < 0) {
        return -1;
    }
    return staging_create(staging, p.dir, LEARNER_FILE, err, err_len);
}

// ---- metadata: shapes, which must agree, and other settings, which are compared ----

struct meta {
    int n, strict; // the first `strict` entries must agree
    struct safetensors_meta list[META_MAX];
    char text[META_MAX][64];
    int keys; // names of configuration keys
    char key[META_MAX][96];
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

static void meta_key(struct meta *m, const struct config *c, const struct config_key *key) {
    CHECK(m->keys < META_MAX);
    char value[40 * CONFIG_LIST_MAX];
    config_key_format(c, key, value, sizeof(value));
    config_key_name(key, m->key[m->keys], sizeof(m->key[0]));
    meta_text(m, m->key[m->keys++], value);
}

// Whether a list of full names, separated by blanks, contains the key.
static bool lists_key(const char *list, const struct config_key *key) {
    char name[96];
    config_key_name(key, name, sizeof(name));
    size_t len = strlen(name);
    for (const char *p = strstr(list, name); p; p = strstr(p + 1, name)) {
        if ((p == list || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0')) {
            return true;
        }
    }
    return false;
}

// The keys of the method's sections: those that determine shapes, or all others.
static void meta_keys(struct meta *m, const struct checkpoint *cp, bool shape) {
    for (int i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (config_key_of_method(key, cp->config->method) &&
            lists_key(cp->method->shape_keys, key) == shape) {
            meta_key(m, cp->config, key);
        }
    }
}

static void make_meta(struct meta *m, const struct checkpoint *cp) {
    *m = (struct meta){0};
    meta_text(m, "task", cp->task->name);
    meta_text(m, "method", cp->method->name);
    meta_number(m, "obs_dim", cp->task->obs_dim);
    meta_number(m, "act_dim", cp->task->act_dim);
    meta_number(m, "seed", (double)cp->config->run.seed);
    meta_keys(m, cp, true);
    m->strict = m->n;
    meta_keys(m, cp, false);
    meta_key(m, cp->config, config_key_find("pacing", "updates_per_step"));
    meta_text(m, "spur_version", SPUR_VERSION);
}

// A value of the file. Files written before methods could be chosen belong to MBPO, and have the
// keys of sac and pacing alone, without their section.
static const char *meta_value(const struct safetensors *file, const char *key) {
    const char *value = safetensors_meta_value(file, key);
    if (value) {
        return value;
    }
    if (strcmp(key, "method") == 0) {
        return "mbpo";
    }
    bool bare = strncmp(key, "sac.", 4) == 0 || strncmp(key, "pacing.", 7) == 0;
    return bare ? safetensors_meta_value(file, strchr(key, '.') + 1) : NULL;
}

static int check_meta(const struct safetensors *file, const char *path, const struct checkpoint *cp,
                      char *err, size_t err_len) {
    // A file that lacks a key was written before the key existed: its default applies.
    struct meta want, defaults;
    struct config plain;
    struct checkpoint of_defaults = *cp;
    config_defaults(&plain);
    plain.method = cp->config->method;
    of_defaults.config = &plain;
    make_meta(&defaults, &of_defaults);
    make_meta(&want, cp);
    for (int i = 0; i < want.n; i++) {
        const char *have = meta_value(file, want.list[i].key);
        if (!have && i < want.strict && strchr(want.list[i].key, '.')) {
            have = defaults.list[i].value;
        }
        bool same = have && strcmp(have, want.list[i].value) == 0;
        if (same || (!have && i >= want.strict)) {
            continue;
        }
        if (i < want.strict) {
            snprintf(err, err_len,
                     "%s: %s is %s there and %s in the configuration; use another run directory, "
                     "or the configuration of this run",
                     path, want.list[i].key, have ? have : "missing", want.list[i].value);
            return -1;
        }
        log_warn("%s: %s was %s and is now %s", path, want.list[i].key, have, want.list[i].value);
    }
    return 0;
}

// ---- saving ----

// Rows ever added to D_model; 0 without D_model.
static uint64_t rows_added(const struct checkpoint *cp) {
    return cp->d_model ? cp->d_model->added : 0;
}

static uint64_t mark_of(const struct checkpoint *cp) {
    return cp->updates + rows_added(cp);
}

struct checkpoint_copy {
    const struct task *task;
    const char *run_dir, *staging;
    struct meta meta;
    struct tensor tensors[METHOD_BLOCKS_MAX + COUNTERS];
    int count;
    char *data; // of all tensors
    uint64_t mark;
    struct policy policy_shape;
    float *policy;
    struct policy_file_info info;
    char seed[24];
};

bool checkpoint_has_rows(const struct config *config) {
    return (method_info(config->method)->needs & METHOD_MODEL_ROWS) != 0 &&
           config->pacing.mode == PACING_LOCKSTEP;
}

// Copies the data of the tensors to which copy points.
static void own_data(struct checkpoint_copy *copy) {
    size_t bytes = 0, used = 0;
    for (int i = 0; i < copy->count; i++) {
        bytes += tensor_size(&copy->tensors[i]);
    }
    copy->data = xmalloc(bytes);
    for (int i = 0; i < copy->count; i++) {
        struct tensor *t = &copy->tensors[i];
        memcpy(copy->data + used, t->data, tensor_size(t));
        t->data = copy->data + used;
        used += tensor_size(t);
    }
}

static void copy_learner(struct checkpoint_copy *copy, const struct checkpoint *cp) {
    struct method_block blocks[METHOD_BLOCKS_MAX];
    int count = cp->method->blocks(cp->agent, blocks);
    struct tensor *tensors = copy->tensors;
    for (int i = 0; i < count; i++) {
        tensors[i] = tensor_f32(blocks[i].name, blocks[i].data, blocks[i].n);
    }
    const uint64_t added = rows_added(cp), capacity = cp->d_model ? cp->d_model->capacity : 0;
    tensors[count++] = tensor_u64("updates", &cp->updates, 1);
    tensors[count++] = tensor_u64("policy_version", &cp->policy_version, 1);
    tensors[count++] = tensor_u64("model_capacity", &capacity, 1);
    tensors[count++] = tensor_u64("model_rows_added", &added, 1);
    tensors[count++] = tensor_u64("mark", &copy->mark, 1);
    tensors[count++] = tensor_u64("step", &cp->step, 1);
    if (cp->published) {
        size_t n = policy_params(cp->method->policy(cp->agent).shape);
        tensors[count++] = tensor_f32("published", cp->published, n);
        tensors[count++] = tensor_u64("published_updates", &cp->published_updates, 1);
    }
    const struct states *s = cp->d_states;
    if (s) {
        tensors[count++] = tensor_u64("states.number", &s->number, 1);
        tensors[count++] = tensor_u64("states.rows", s->len, (uint64_t)s->batches);
        tensors[count++] = tensor_u64("states.updates", s->updates, (uint64_t)s->batches);
        tensors[count++] = tensor_f32("states", s->data, states_floats(s));
    }
    copy->count = count;
    own_data(copy);
}

static void copy_policy(struct checkpoint_copy *copy, const struct checkpoint *cp) {
    struct method_policy policy = cp->method->policy(cp->agent);
    size_t n = policy_params(policy.shape);
    copy->policy_shape = *policy.shape;
    copy->policy = xfloats(n);
    memcpy(copy->policy, policy.params, n * sizeof(float));
    snprintf(copy->seed, sizeof(copy->seed), "%llu", (unsigned long long)cp->config->run.seed);
    copy->info = (struct policy_file_info){
        .task = cp->task->name,
        .version = cp->policy_version,
        .updates = cp->updates,
        .more = {{"spur_version", SPUR_VERSION}, {"seed", copy->seed}},
    };
}

struct checkpoint_copy *checkpoint_copy_create(const struct checkpoint *cp) {
    struct checkpoint_copy *copy = xcalloc(1, sizeof(*copy));
    copy->task = cp->task;
    copy->run_dir = cp->run_dir;
    copy->staging = cp->staging;
    copy->mark = mark_of(cp);
    make_meta(&copy->meta, cp);
    copy_learner(copy, cp);
    copy_policy(copy, cp);
    return copy;
}

void checkpoint_copy_destroy(struct checkpoint_copy **copy) {
    if (*copy) {
        free((*copy)->data);
        free((*copy)->policy);
    }
    free(*copy);
    *copy = NULL;
}

static const char *const column_names[REPLAY_COLUMNS] = {
    [REPLAY_OBS] = "obs",
    [REPLAY_ACT] = "act",
    [REPLAY_REWARD] = "reward",
    [REPLAY_NEXT_OBS] = "next_obs",
    [REPLAY_TERMINATED] = "terminated",
};

// The ring consists of one or two runs of rows: "obs" and the second one, "obs.2".
static struct tensor column_tensor(const struct replay *d_model, enum replay_column c, int part) {
    char name[TENSOR_NAME_MAX];
    snprintf(name, sizeof(name), "%s%s", column_names[c], part == 0 ? "" : ".2");
    struct replay_rows rows = replay_part(d_model, part);
    const void *data[REPLAY_COLUMNS] = {
        [REPLAY_OBS] = rows.obs,
        [REPLAY_ACT] = rows.act,
        [REPLAY_REWARD] = rows.reward,
        [REPLAY_NEXT_OBS] = rows.next_obs,
        [REPLAY_TERMINATED] = rows.terminated,
    };
    bool flat = c == REPLAY_REWARD || c == REPLAY_TERMINATED;
    uint64_t width = (uint64_t)(c == REPLAY_ACT ? d_model->act_dim : d_model->obs_dim);
    return tensor_make(name, c == REPLAY_TERMINATED ? TENSOR_U8 : TENSOR_F32, data[c], flat ? 1 : 2,
                       (uint64_t[]){rows.n, width});
}

static int save_model(const struct replay *d_model, const char *task, uint64_t mark,
                      const char *path, char *err, size_t err_len) {
    struct tensor tensors[2 * REPLAY_COLUMNS + 1];
    int n = 0;
    tensors[n++] = tensor_u64("mark", &mark, 1);
    // Both parts of a column are adjacent.
    for (int i = 0; i < 2 * REPLAY_COLUMNS; i++) {
        if (replay_part(d_model, i % 2).n > 0) {
            tensors[n++] = column_tensor(d_model, (enum replay_column)(i / 2), i % 2);
        }
    }
    const struct safetensors_meta meta = {"task", task};
    return safetensors_write(path, tensors, n, &meta, 1, err, err_len);
}

static int move_file(const char *from, const char *to, char *err, size_t err_len) {
    if (rename(from, to) < 0) {
        snprintf(err, err_len, "%s: cannot be renamed to %s: %s", from, to, strerror(errno));
        return -1;
    }
    return 0;
}

// Without rows the file of a run that had them goes.
static int save_rows(const struct checkpoint_copy *copy, const struct replay *d_model,
                     const struct paths *p, char *err, size_t err_len) {
    if (!d_model) {
        unlink(p->model);
        return 0;
    }
    if (save_model(d_model, copy->task->name, copy->mark, p->next_model, err, err_len) < 0) {
        return -1;
    }
    return move_file(p->next_model, p->model, err, err_len);
}

// The pair is complete: its learner file becomes the newest one.
static int move_up(const struct paths *p, char *err, size_t err_len) {
    int rc = file_exists(p->next) ? file_keep(p->newest, p->previous) : 0;
    if (rc < 0) {
        return error_set(err, err_len, -1, "%s: cannot be kept as %s: %s", p->newest, p->previous,
                         strerror(-rc));
    }
    return move_file(p->next, p->newest, err, err_len);
}

int checkpoint_write(const struct checkpoint_copy *copy, const struct replay *d_model, char *err,
                     size_t err_len) {
    struct paths p;
    if (make_paths(&p, copy->run_dir, copy->staging, err, err_len) < 0 ||
        safetensors_write(p.next, copy->tensors, copy->count, copy->meta.list, copy->meta.n, err,
                          err_len) < 0 ||
        policy_file_write(p.next_policy, &copy->policy_shape, copy->policy, &copy->info, err,
                          err_len) < 0 ||
        move_file(p.next_policy, p.policy, err, err_len) < 0 ||
        save_rows(copy, d_model, &p, err, err_len) < 0) {
        return -1;
    }
    return move_up(&p, err, err_len);
}

// ---- loading ----

static bool read_u64(const struct safetensors *file, const char *name, uint64_t *out) {
    char err[256];
    return safetensors_copy_u64(file, name, out, 1, err, sizeof(err)) == 0;
}

// out (b->n) = the block in the file.
static int read_block(float *out, const struct safetensors *file, const struct method_block *b,
                      char *err, size_t err_len) {
    if (b->absent && !safetensors_find(file, b->name)) {
        memcpy(out, b->absent, b->n * sizeof(float));
        return 0;
    }
    return safetensors_copy_f32(file, b->name, out, b->n, err, err_len);
}

// A new state of the method from the file. NULL with a sentence in err.
static void *load_agent(const struct checkpoint *cp, const struct safetensors *file, char *err,
                        size_t err_len) {
    void *agent = cp->method->create(cp->config, cp->task);
    struct method_block blocks[METHOD_BLOCKS_MAX];
    int count = cp->method->blocks(agent, blocks);
    for (int i = 0; i < count; i++) {
        if (read_block(blocks[i].data, file, &blocks[i], err, err_len) < 0) {
            cp->method->destroy(agent);
            return NULL;
        }
    }
    // The statistics of both networks' scaling have the units of the data.
    const unsigned both = METHOD_PART_POLICY | METHOD_PART_CRITICS;
    bool sound = method_finite(cp->method, agent);
    for (int i = 0; i < count; i++) {
        sound = sound && (blocks[i].parts == both ||
                          stats_all_within(blocks[i].data, blocks[i].weights, WEIGHT_MAX));
    }
    if (!sound) {
        snprintf(err, err_len, "it holds numbers that are not finite, or weights beyond %g",
                 (double)WEIGHT_MAX);
        cp->method->destroy(agent);
        return NULL;
    }
    return agent;
}

// Distribution rollouts that a run ahead of its updates may hold.
#define STATES_AHEAD_MAX 3

// The next rollout is the one for the update at hand, where the file has none, or counts them by
// another dhmbpo.states_every.
static void number_states(struct states *s, uint64_t updates, uint64_t every) {
    bool fits = s->rows > 0 && s->number * every >= updates &&
                s->number <= updates / every + STATES_AHEAD_MAX;
    s->number = fits ? s->number : updates / every;
}

// Unusable states are a warning, not an error: their rollouts can be made again.
static void take_states(struct states *s, const struct safetensors *file) {
    char err[256];
    uint64_t n = (uint64_t)s->batches, number, most = 0;
    uint64_t *rows = xcalloc(n, sizeof(*rows)), *updates = xcalloc(n, sizeof(*updates));
    bool read = safetensors_copy_u64(file, "states.rows", rows, n, err, sizeof(err)) == 0 &&
                safetensors_copy_u64(file, "states.updates", updates, n, err, sizeof(err)) == 0 &&
                read_u64(file, "states.number", &number);
    for (int i = 0; i < s->batches && read; i++) {
        most = rows[i] > most ? rows[i] : most;
    }
    read = read && most <= s->rows_max &&
           safetensors_copy_f32(file, "states", s->data, states_floats(s), err, sizeof(err)) == 0 &&
           stats_all_finite(s->data, states_floats(s));
    if (read) {
        states_restore(s, number, rows, updates);
    } else {
        log_warn("the states of the last distribution rollouts have another shape, or are not "
                 "finite; D_states starts empty");
    }
    free(rows);
    free(updates);
}

// A file of ratio, or of an earlier build, has neither step nor policy.
static void take_published(struct checkpoint *cp, const struct safetensors *file) {
    struct method_policy policy = cp->method->policy(cp->agent);
    size_t n = policy_params(policy.shape);
    char err[256];
    if (!read_u64(file, "step", &cp->step)) {
        cp->step = CHECKPOINT_NO_STEP;
    }
    if (cp->published &&
        (!read_u64(file, "published_updates", &cp->published_updates) ||
         safetensors_copy_f32(file, "published", cp->published, n, err, sizeof(err)) != 0)) {
        memcpy(cp->published, policy.params, n * sizeof(float));
        cp->published_updates = cp->updates;
        cp->step = CHECKPOINT_NO_STEP;
    }
}

// An incomplete file changes nothing.
static int take_learner(struct checkpoint *cp, const struct safetensors *file, uint64_t *mark,
                        char *err, size_t err_len) {
    uint64_t updates, version, capacity, added;
    if (!read_u64(file, "updates", &updates) || !read_u64(file, "policy_version", &version) ||
        !read_u64(file, "model_capacity", &capacity) ||
        !read_u64(file, "model_rows_added", &added) || !read_u64(file, "mark", mark)) {
        snprintf(err, err_len, "a counter is missing");
        return -1;
    }
    if (version == 0 || (cp->d_model && capacity == 0)) {
        snprintf(err, err_len, "a counter is 0, which is impossible");
        return -1;
    }
    if (updates > RNG_COUNT_MAX) {
        return error_set(err, err_len, -1, "%llu updates are more than any run makes",
                         (unsigned long long)updates);
    }
    void *agent = load_agent(cp, file, err, err_len);
    if (!agent) {
        return -1;
    }
    cp->method->destroy(cp->agent);
    cp->agent = agent;
    cp->updates = updates;
    cp->policy_version = version;
    take_published(cp, file);
    if (cp->d_states) {
        take_states(cp->d_states, file);
        number_states(cp->d_states, updates, cp->config->dhmbpo.states_every);
    }
    if (cp->d_model) {
        cp->d_model->added = added;
        replay_resize(cp->d_model,
                      capacity < cp->d_model->reserved ? capacity : cp->d_model->reserved);
    }
    return 0;
}

// Rows of one part of the ring; n is 0 if the file has no such part.
static int read_part(struct replay_rows *rows, const struct safetensors *file,
                     const struct checkpoint *cp, int part) {
    const struct tensor *columns[REPLAY_COLUMNS];
    *rows = (struct replay_rows){0};
    for (int c = 0; c < REPLAY_COLUMNS; c++) {
        struct tensor want = column_tensor(cp->d_model, (enum replay_column)c, part);
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

// An unusable D_model is a warning, not an error: its rows can be made again.
static void take_model(struct checkpoint *cp, const struct safetensors *file, const char *path) {
    struct replay_rows parts[2];
    for (int part = 0; part < 2; part++) {
        if (read_part(&parts[part], file, cp, part) < 0 || !rows_finite(&parts[part], cp->task)) {
            log_warn("%s: columns have other shapes, or are not finite; D_model starts empty",
                     path);
            return;
        }
    }
    uint64_t added = cp->d_model->added;
    replay_add(cp->d_model, &parts[0]);
    replay_add(cp->d_model, &parts[1]);
    cp->d_model->added = added;
}

// 1: loaded; 0: no file, or an unreadable one (*unreadable); -1: refused.
static int load_one(struct checkpoint *cp, uint64_t *mark, bool *unreadable, const char *path,
                    char *err, size_t err_len) {
    if (!file_exists(path)) {
        return 0;
    }
    char why[TEXT_MAX];
    struct safetensors *file = safetensors_open(path, why, sizeof(why));
    int rc = 0;
    if (!file) {
        log_warn("ignored: %s", why);
        *unreadable = true;
    } else if (check_meta(file, path, cp, err, err_len) < 0) {
        rc = -1;
    } else if (take_learner(cp, file, mark, why, sizeof(why)) < 0) {
        log_warn("ignored: %s: %s", path, why);
        *unreadable = true;
    } else {
        rc = 1;
    }
    safetensors_close(&file);
    return rc;
}

// Whether `next` is complete and matches D_model on disk (model_mark NULL: there is none). If
// so, only the renames are missing.
static bool pair_complete(const struct paths *p, const uint64_t *model_mark) {
    char err[256];
    struct safetensors *next = safetensors_open(p->next, err, sizeof(err));
    uint64_t mark;
    bool complete = next && read_u64(next, "mark", &mark) && (!model_mark || mark == *model_mark);
    safetensors_close(&next);
    return complete;
}

int checkpoint_load(struct checkpoint *cp, char *err, size_t err_len) {
    struct paths p;
    if (make_paths(&p, cp->run_dir, cp->staging, err, err_len) < 0) {
        return -1;
    }
    char why[TEXT_MAX] = "no such file";
    const bool rows = checkpoint_has_rows(cp->config);
    struct safetensors *model =
        cp->d_model && file_exists(p.model) ? safetensors_open(p.model, why, sizeof(why)) : NULL;
    uint64_t model_mark = 0, mark = 0;
    bool has_model = model && read_u64(model, "mark", &model_mark);
    int rc = 0;
    if (file_exists(p.next)) {
        if (rows ? has_model && pair_complete(&p, &model_mark) : pair_complete(&p, NULL)) {
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
        rc = load_one(cp, &mark, &unreadable, path, err, err_len);
    }
    if (rc == 0 && unreadable) {
        snprintf(err, err_len,
                 "%s: no checkpoint is readable; move the files away to start a new run", p.dir);
        rc = -1;
    }
    if (rc == 1 && path == p.previous && file_exists(p.newest)) {
        // Otherwise the next checkpoint would replace the readable one by it.
        rc = move_file(p.newest, p.unreadable, err, err_len) < 0 ? -1 : 1;
    }
    if (rc == 1) {
        if (has_model && model_mark == mark) {
            take_model(cp, model, p.model);
        } else if (rows) {
            log_warn("%s does not match %s (%s); D_model starts empty", p.model, path,
                     model ? "the marks differ" : why);
            cp->step = CHECKPOINT_NO_STEP;
        }
        log_info("resumed from %s: %llu updates, policy version %llu, %llu model rows", path,
                 (unsigned long long)cp->updates, (unsigned long long)cp->policy_version,
                 (unsigned long long)(cp->d_model ? cp->d_model->len : 0));
    }
    safetensors_close(&model);
    return rc;
}

// ---- another run's ----

static bool is_taken(const struct config *c, const struct method_block *b) {
    unsigned taken =
        (c->from.policy ? METHOD_PART_POLICY : 0) | (c->from.critics ? METHOD_PART_CRITICS : 0);
    return b->weights > 0 && (b->parts & taken);
}

static int take_block(const struct safetensors *file, const struct method_block *b, char *err,
                      size_t err_len) {
    float *all = xfloats(b->n);
    int rc = read_block(all, file, b, err, err_len);
    if (rc == 0 && !stats_all_finite(all, b->n)) {
        rc = error_set(err, err_len, -1, "%s has numbers that are not finite", b->name);
    }
    if (rc == 0) {
        memcpy(b->data, all, b->weights * sizeof(float));
    }
    free(all);
    return rc;
}

int checkpoint_take_over(struct checkpoint *cp, char *err, size_t err_len) {
    struct paths p;
    char why[TEXT_MAX];
    if (make_paths(&p, cp->config->from.run, "", err, err_len) < 0) {
        return -1;
    }
    struct safetensors *file = safetensors_open(p.newest, why, sizeof(why));
    if (!file) {
        return error_set(err, err_len, -1, "--from: %s", why);
    }
    struct method_block blocks[METHOD_BLOCKS_MAX];
    int count = cp->method->blocks(cp->agent, blocks), rc = 0;
    for (int i = 0; i < count && rc == 0; i++) {
        rc = is_taken(cp->config, &blocks[i]) ? take_block(file, &blocks[i], why, sizeof(why)) : 0;
    }
    safetensors_close(&file);
    return rc ? error_set(err, err_len, -1, "--from: %s: %s", p.newest, why) : 0;
}
