// SPDX-License-Identifier: MIT
// Tests the learner's checkpoints: a trainer created from them continues with the same
// bits. They are then damaged in every way that a crash or a user can cause, and the
// loaded state is checked; numbers that are not finite never reach them.
#include "learner/checkpoint.h"

#include <math.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/nn/safetensors.h"
#include "learner/staging.h"
#include "tests/unit/trainer_fixture.h"

#define LEARNER_FILE "learner.safetensors"

static void check_same(const struct trainer *a, const struct trainer *b) {
    struct sac_block x[SAC_BLOCKS], y[SAC_BLOCKS];
    sac_blocks(x, &fixture_sac(a)->sac);
    sac_blocks(y, &fixture_sac(b)->sac);
    for (int i = 0; i < SAC_BLOCKS; i++) {
        if (memcmp(x[i].data, y[i].data, x[i].n * sizeof(float)) != 0) {
            fail_msg("block %s differs", x[i].name);
        }
    }
    assert_int_equal(a->updates, b->updates);
    assert_int_equal(a->report.policy_version, b->report.policy_version);
    assert_int_equal(a->d_model.len, b->d_model.len);
    assert_int_equal(a->d_model.added, b->d_model.added);
    assert_int_equal(a->d_model.capacity, b->d_model.capacity);
}

// A killed run, resumed from its checkpoint, against an uninterrupted one.
static void test_resumes_with_the_same_bits(void **state) {
    (void)state;
    struct run run, through;
    setup(&run);
    setup(&through);
    struct trainer *t = make(&run), *whole = make(&through);
    struct trainer *both[2] = {t, whole};
    for (int i = 0; i < 2; i++) {
        add(both[i], false, 0, 60);
        add(both[i], true, 0, 500); // wraps its 200 rows
        grant(both[i], 10, 450);
        add(both[i], true, 500, 300);
        train_all(both[i]);
    }
    command(t, TRAINER_CHECKPOINT);
    assert_true(t->report.saved);
    trainer_destroy(&t);

    t = make(&run);
    check_same(t, whole);
    assert_int_equal(t->d_env.len, 0); // the store sends D_env again
    both[0] = t;
    add(t, false, 0, 60);
    for (int i = 0; i < 2; i++) {
        add(both[i], true, 800, 100);
        grant(both[i], 30, 450);
        train_all(both[i]);
    }
    check_same(t, whole);
    trainer_destroy(&t);
    trainer_destroy(&whole);
    fixture_remove(run.dir);
    fixture_remove(through.dir);
}

// Makes checkpoints after 4 and after 8 updates, with 10 and 20 model rows.
static void make_two_checkpoints(const struct run *run) {
    struct trainer *t = make(run);
    add(t, false, 0, 60);
    for (uint64_t i = 1; i <= 2; i++) {
        add(t, true, i * 10, 10);
        grant(t, i * 4, 200);
        train_all(t);
        command(t, TRAINER_CHECKPOINT);
    }
    assert_int_equal(t->report.checkpoints, 2);
    trainer_destroy(&t);
}

static void path_of(char out[PATH_MAX], const struct run *run, const char *name) {
    assert_int_equal(file_join(out, PATH_MAX, run->dir, name), 0);
}

static void spoil(const struct run *run, const char *name) {
    char path[PATH_MAX];
    path_of(path, run, name);
    assert_true(file_exists(path));
    assert_int_equal(file_write_atomic(path, "garbage", 7), 0);
}

static void move(const struct run *run, const char *from, const char *to) {
    char a[PATH_MAX], b[PATH_MAX];
    path_of(a, run, from);
    path_of(b, run, to);
    assert_int_equal(rename(a, b), 0);
}

static void expect_loaded(const struct run *run, uint64_t updates, uint64_t model_rows) {
    struct trainer *t = make(run);
    assert_int_equal(t->updates, updates);
    assert_int_equal(t->report.policy_version, 1 + updates / 4);
    assert_int_equal(t->report.model_rows, model_rows);
    trainer_destroy(&t);
}

static void test_falls_back_to_the_older(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    make_two_checkpoints(&run);
    expect_loaded(&run, 8, 20);
    spoil(&run, "checkpoint/learner.safetensors");
    expect_loaded(&run, 4, 0); // D_model on disk belongs to the newer checkpoint
    // The next checkpoint does not replace the good file by the damaged one.
    struct trainer *t = make(&run);
    command(t, TRAINER_CHECKPOINT);
    trainer_destroy(&t);
    expect_loaded(&run, 4, 0);
    spoil(&run, "checkpoint/learner.safetensors");
    expect_loaded(&run, 4, 0);
    spoil(&run, "checkpoint/learner.previous.safetensors");
    char err[1024];
    assert_null(trainer_create(&run.config, fixture_task(), run.dir, err, sizeof(err)));
    assert_non_null(strstr(err, "no checkpoint is readable"));
    fixture_remove(run.dir);
}

// In ratio a checkpoint has no D_model: the model server fills it again.
static void test_rows_are_saved_in_lockstep_alone(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    char rows[PATH_MAX];
    path_of(rows, &run, "checkpoint/replay_model.safetensors");
    make_two_checkpoints(&run);
    assert_true(file_exists(rows));

    // A run in ratio of an earlier build has the file, and loads it once.
    run.config.pacing.mode = PACING_RATIO;
    expect_loaded(&run, 8, 20);
    struct trainer *t = make(&run);
    command(t, TRAINER_CHECKPOINT);
    assert_int_equal(t->report.checkpoints, 1);
    assert_false(file_exists(rows));
    struct trainer *again = make(&run);
    assert_int_equal(again->report.model_rows, 0);
    assert_int_equal(again->d_model.capacity, t->d_model.capacity);
    replay_resize(&t->d_model, 1); // all but the rows is the same
    again->d_model.len = t->d_model.len;
    again->d_model.capacity = t->d_model.capacity;
    check_same(t, again);
    trainer_destroy(&t);
    trainer_destroy(&again);
    fixture_remove(run.dir);
}

// ---- states and ensemble ----

static void take_ensemble(struct trainer *t, uint64_t version) {
    struct dynamics d;
    struct wire_model model = fixture_model(&d, &t->config, version);
    trainer_handle(t, trainer_command_model(&model));
    dynamics_deinit(&d);
}

static void take_rollout(struct trainer *t, uint64_t number, uint32_t rows) {
    float obs[8 * OBS];
    struct rng rng = rng_make(5, RNG_TEST, number);
    rng_fill_normal(&rng, obs, 8 * OBS);
    const struct wire_states states = {
        .number = number, .policy_updates = 4 * number, .rows = rows, .obs_dim = OBS, .obs = obs};
    trainer_handle(t, trainer_command_states(&states));
}

// Every block of the method, and D_states.
static void check_same_states(const struct trainer *a, const struct trainer *b) {
    struct method_block x[METHOD_BLOCKS_MAX], y[METHOD_BLOCKS_MAX];
    int count = a->method->blocks(a->agent, x);
    b->method->blocks(b->agent, y);
    for (int i = 0; i < count; i++) {
        assert_memory_equal(x[i].data, y[i].data, x[i].n * sizeof(float));
    }
    const struct states *s = &a->d_states, *other = &b->d_states;
    assert_int_equal(s->number, other->number);
    assert_int_equal(s->rows, other->rows);
    assert_memory_equal(s->len, other->len, 3 * sizeof(s->len[0]));
    assert_memory_equal(s->updates, other->updates, 3 * sizeof(s->updates[0]));
    assert_memory_equal(s->data, other->data, states_floats(s) * sizeof(float));
}

// A killed run of dhmbpo, resumed, against an uninterrupted one: the ensemble arrives again.
static void test_states_resume_with_the_same_bits(void **state) {
    (void)state;
    struct run run, through;
    setup(&run);
    setup(&through);
    run.config = through.config = fixture_states_config();
    struct trainer *t = make(&run), *whole = make(&through);
    struct trainer *both[2] = {t, whole};
    for (int i = 0; i < 2; i++) {
        add(both[i], false, 0, 60);
        take_ensemble(both[i], 1);
        for (uint64_t d = 0; d < 5; d++) { // more than are retained
            take_rollout(both[i], d, 4 + (uint32_t)d);
            grant(both[i], 4 * d + 3, 0);
            train_all(both[i]);
        }
        assert_int_equal(both[i]->updates, 19);
    }
    command(t, TRAINER_CHECKPOINT);
    trainer_destroy(&t);
    t = both[0] = make(&run);
    check_same_states(t, whole);
    assert_int_equal(t->report.states, 5);
    assert_false(trainer_can_update(t)); // without rows and ensemble
    add(t, false, 0, 60);
    take_ensemble(t, 1);
    for (int i = 0; i < 2; i++) {
        take_rollout(both[i], 5, 6);
        grant(both[i], 23, 0);
        train_all(both[i]);
    }
    check_same_states(t, whole);
    trainer_destroy(&t);
    trainer_destroy(&whole);
    fixture_remove(run.dir);
    fixture_remove(through.dir);
}

// The file counts rollouts by another number of updates, or has another number of them: the next
// one is that of the update at hand, so that none is made again and none is missing.
static void test_states_are_numbered_by_updates(void **state) {
    (void)state;
    static const struct {
        uint64_t every;
        int retain;
        uint64_t number, rows;
    } resumed[] = {{4, 3, 5, 18}, {4, 7, 4, 0}, {2, 3, 9, 18}, {16, 3, 1, 18}, {1, 3, 19, 18}};
    struct run run;
    setup(&run);
    run.config = fixture_states_config();
    struct trainer *t = make(&run);
    add(t, false, 0, 60);
    take_ensemble(t, 1);
    for (uint64_t d = 0; d < 5; d++) {
        take_rollout(t, d, 6);
    }
    grant(t, 19, 0);
    train_all(t);
    command(t, TRAINER_CHECKPOINT);
    trainer_destroy(&t);
    for (size_t i = 0; i < sizeof(resumed) / sizeof(resumed[0]); i++) {
        run.config.dhmbpo.states_every = resumed[i].every;
        run.config.dhmbpo.retain = resumed[i].retain;
        t = make(&run);
        assert_int_equal(t->report.states, resumed[i].number);
        assert_int_equal(t->d_states.rows, resumed[i].rows);
        trainer_destroy(&t);
    }
    fixture_remove(run.dir);
}

// A copy holds the state of its time, whatever the trainer does until it is written.
static void test_a_copy_is_written_later(void **state) {
    (void)state;
    struct run run, through;
    setup(&run);
    setup(&through);
    run.config.pacing.mode = through.config.pacing.mode = PACING_RATIO;
    struct trainer *t = make(&run), *same = make(&through);
    add(t, false, 0, 60);
    add(same, false, 0, 60);
    grant(t, 8, 200);
    grant(same, 8, 200);
    train_all(t);
    train_all(same);
    t->writes_later = true;
    command(t, TRAINER_CHECKPOINT);
    assert_int_equal(t->report.checkpoints, 0);
    grant(t, 20, 200);
    train_all(t);
    struct checkpoint_copy *copy = trainer_take_copy(t);
    assert_null(trainer_take_copy(t));
    char err[1024] = "";
    assert_int_equal(checkpoint_write(copy, NULL, err, sizeof(err)), 0);
    checkpoint_copy_destroy(&copy);
    trainer_written(t, NULL);
    assert_true(t->report.saved);
    assert_int_equal(t->report.checkpoints, 1);
    trainer_destroy(&t);
    t = make(&run);
    check_same(t, same);

    // The last one is written at once, and one that could not be written is counted.
    t->writes_later = true;
    trainer_written(t, "no space");
    assert_int_equal(t->report.checkpoint_failures, 1);
    assert_string_equal(t->report.text, "no space");
    command(t, TRAINER_FINISH);
    assert_true(t->report.saved);
    assert_null(trainer_take_copy(t));

    // With D_model a checkpoint is written at once, too.
    t->config.pacing.mode = PACING_LOCKSTEP;
    command(t, TRAINER_CHECKPOINT);
    assert_true(t->report.saved);
    assert_null(trainer_take_copy(t));
    trainer_destroy(&t);
    trainer_destroy(&same);
    fixture_remove(run.dir);
    fixture_remove(through.dir);
}

static void test_damaged_model_rows_are_skipped(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    make_two_checkpoints(&run);
    spoil(&run, "checkpoint/replay_model.safetensors");
    expect_loaded(&run, 8, 0);
    fixture_remove(run.dir);
}

// A crash after D_model was replaced and before the learner files were renamed, and a
// crash one step earlier.
static void test_crash_between_the_files(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    make_two_checkpoints(&run);
    char folder[PATH_MAX]; // of a killed start
    path_of(folder, &run, "checkpoint/learner.next.killed");
    assert_int_equal(mkdir(folder, 0700), 0);
    move(&run, "checkpoint/learner.safetensors", "checkpoint/learner.next.killed/" LEARNER_FILE);
    expect_loaded(&run, 8, 20); // and the missing rename is done
    assert_false(file_exists(folder));
    expect_loaded(&run, 8, 20);

    // D_model still belongs to the newest; `next` is incomplete and removed.
    assert_int_equal(mkdir(folder, 0700), 0);
    move(&run, "checkpoint/learner.previous.safetensors",
         "checkpoint/learner.next.killed/" LEARNER_FILE);
    expect_loaded(&run, 8, 20);
    assert_false(file_exists(folder));
    fixture_remove(run.dir);
}

// A copy of a file of the run, to be compared with it later.
static void read_file(char **data, size_t *len, const struct run *run, const char *name) {
    char path[PATH_MAX];
    path_of(path, run, name);
    assert_int_equal(file_read_all(data, len, path, 1 << 24), 0);
}

// A learner that was frozen before or while it wrote a checkpoint, and goes on after another one
// has taken over, changes no file of the run.
static void test_a_replaced_learner_writes_nothing(void **state) {
    (void)state;
    static const char *const files[] = {
        "checkpoint/learner.safetensors", "checkpoint/learner.previous.safetensors",
        "checkpoint/replay_model.safetensors", "policy.safetensors"};
    enum { FILES = sizeof(files) / sizeof(files[0]) };
    struct run run;
    setup(&run);
    make_two_checkpoints(&run);
    struct trainer *frozen = make(&run);
    char started[PATH_MAX]; // written before it was frozen
    assert_int_equal(file_join(started, sizeof(started), frozen->staging, "policy.safetensors"), 0);
    assert_int_equal(file_write_atomic(started, "old", 3), 0);
    struct trainer *active = make(&run);
    assert_true(staging_is_lost(frozen->staging));
    assert_false(staging_is_lost(active->staging));
    char *before[FILES];
    size_t len[FILES];
    for (int i = 0; i < FILES; i++) {
        read_file(&before[i], &len[i], &run, files[i]);
    }
    add(frozen, false, 0, 60);
    grant(frozen, 9, 200);
    train_all(frozen);
    command(frozen, TRAINER_CHECKPOINT);
    assert_true(frozen->report.replaced);
    assert_false(frozen->report.saved);
    assert_non_null(strstr(frozen->report.text, "another learner has taken over"));
    trainer_destroy(&frozen);
    for (int i = 0; i < FILES; i++) {
        char *now;
        size_t now_len;
        read_file(&now, &now_len, &run, files[i]);
        assert_int_equal(now_len, len[i]);
        assert_memory_equal(now, before[i], now_len);
        free(now);
        free(before[i]);
    }
    command(active, TRAINER_CHECKPOINT);
    assert_true(active->report.saved);
    assert_false(active->report.replaced);
    trainer_destroy(&active);
    fixture_remove(run.dir);
}

// A removed run directory is an error of the disk, not another learner.
static void test_a_removed_directory_is_no_other_learner(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    struct trainer *t = make(&run);
    char path[PATH_MAX];
    path_of(path, &run, "checkpoint");
    fixture_remove(path);
    command(t, TRAINER_CHECKPOINT);
    assert_int_equal(t->report.checkpoint_failures, 1);
    assert_false(t->report.replaced);
    trainer_destroy(&t);
    fixture_remove(run.dir);
}

static void expect_refused(const struct run *run, const struct config *config, const char *key) {
    char err[1024] = "";
    struct trainer *t = trainer_create(config, fixture_task(), run->dir, err, sizeof(err));
    if (t || !strstr(err, key)) {
        fail_msg("must name %s, says: %s", key, err);
    }
}

static void test_refuses_mismatching_checkpoints(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    make_two_checkpoints(&run);
    struct config c = run.config;
    c.sac.hidden_width = 32;
    expect_refused(&run, &c, "hidden_width is 16 there and 32");
    c = run.config;
    c.run.seed = 8;
    expect_refused(&run, &c, "seed");
    const struct task *hopper = task_find("hopper");
    char err[1024];
    assert_null(trainer_create(&run.config, hopper, run.dir, err, sizeof(err)));
    assert_non_null(strstr(err, "task is inverted_pendulum there and hopper"));

    // Another learning rate or discount is allowed and logged.
    c = run.config;
    c.sac.learning_rate = 1e-4;
    c.sac.discount_rise = (struct config_list){.n = 3, .v = {1, 3, 0.4}};
    char lines[4096] = "";
    FILE *log = tmpfile();
    log_init("test", LOG_INFO, fileno(log));
    struct trainer *t = trainer_create(&c, fixture_task(), run.dir, err, sizeof(err));
    log_init("test", LOG_INFO, -1);
    assert_non_null(t);
    assert_int_equal(t->updates, 8);
    trainer_destroy(&t);
    rewind(log);
    assert_true(fread(lines, 1, sizeof(lines) - 1, log) > 0);
    fclose(log);
    assert_non_null(strstr(lines, "sac.learning_rate was 0.0003 and is now 0.0001"));
    assert_non_null(strstr(lines, "sac.discount_rise was [] and is now [1, 3, 0.4]"));
    assert_null(strstr(lines, "tau"));
    fixture_remove(run.dir);
}

// Rewrites the checkpoint as the builds before methods wrote it: keys without a section.
// first_weight: of the policy; NaN: as it is. updates: 0: as they are.
static void age_checkpoint(const struct run *run, const char *learning_rate, float first_weight,
                           uint64_t updates) {
    char path[PATH_MAX], err[1024];
    path_of(path, run, "checkpoint/learner.safetensors");
    struct safetensors *file = safetensors_open(path, err, sizeof(err));
    assert_non_null(file);
    const struct safetensors_meta meta[] = {
        {"task", "inverted_pendulum"}, {"obs_dim", "4"},       {"act_dim", "1"},
        {"hidden_width", "16"},        {"hidden_layers", "2"}, {"seed", "7"},
        {"batch_size", "40"},          {"tau", "0.005"},       {"learning_rate", learning_rate},
        {"updates_per_step", "4"},
    };
    struct tensor tensors[32];
    int count = safetensors_count(file);
    assert_true(count <= 32);
    for (int i = 0; i < count; i++) {
        tensors[i] = *safetensors_at(file, i);
    }
    if (!isnan(first_weight)) {
        ((float *)(uintptr_t)safetensors_find(file, "policy")->data)[0] = first_weight;
    }
    if (updates > 0) {
        ((uint64_t *)(uintptr_t)safetensors_find(file, "updates")->data)[0] = updates;
    }
    assert_int_equal(safetensors_write(path, tensors, count, meta, sizeof(meta) / sizeof(meta[0]),
                                       err, sizeof(err)),
                     0);
    safetensors_close(&file);
}

static void test_numbers_that_no_update_reaches_are_refused(void **state) {
    (void)state;
    const float bad[] = {INFINITY, 1e20f, -1e13f, 100};
    for (int i = 0; i < 4; i++) {
        struct run run;
        setup(&run);
        make_two_checkpoints(&run);
        age_checkpoint(&run, "0.0003", 100, 0);
        expect_loaded(&run, 8, 20);
        age_checkpoint(&run, "0.0003", bad[i], i == 3 ? UINT64_C(1) << 41 : 0);
        expect_loaded(&run, 4, 0);
        fixture_remove(run.dir);
    }
}

static void test_loads_checkpoints_of_earlier_builds(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    make_two_checkpoints(&run);
    age_checkpoint(&run, "0.001", (float)NAN, 0);
    char lines[4096] = "";
    FILE *log = tmpfile();
    log_init("test", LOG_WARN, fileno(log));
    expect_loaded(&run, 8, 20);
    log_init("test", LOG_INFO, -1);
    rewind(log);
    assert_true(fread(lines, 1, sizeof(lines) - 1, log) > 0);
    fclose(log);
    // One difference, one line: the model's keys of the same names are not compared.
    assert_non_null(strstr(lines, "sac.learning_rate was 0.001 and is now 0.0003"));
    assert_ptr_equal(strchr(lines, '\n'), lines + strlen(lines) - 1);

    // Its method is mbpo, and its widths must fit.
    struct config c = run.config;
    config_use_method(&c, METHOD_sac);
    expect_refused(&run, &c, "method is mbpo there and sac");
    c = run.config;
    c.sac.hidden_width = 32;
    expect_refused(&run, &c, "sac.hidden_width is 16 there and 32");
    fixture_remove(run.dir);
}

static bool all_zero(const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (x[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool equal(const float *x, const float *y, size_t n) {
    return memcmp(x, y, n * sizeof(float)) == 0;
}

// A new run starts from another one's weights, without its optimizer's state and counters.
static void test_starts_from_another_run(void **state) {
    (void)state;
    struct run old, new;
    setup(&old);
    struct trainer *from = make(&old);
    add(from, false, 0, 50);
    add(from, true, 0, 200);
    grant(from, 20, 200);
    train_all(from);
    command(from, TRAINER_CHECKPOINT);
    const struct sac *was = &fixture_sac(from)->sac;

    setup(&new);
    new.config.run.seed++;
    struct trainer *t = make(&new);
    struct sac *other = &fixture_sac(t)->sac;
    assert_false(equal(other->policy_params, was->policy_params, was->policy_n));
    trainer_destroy(&t);
    snprintf(new.config.from.run, sizeof(new.config.from.run), "%.200s", old.dir);
    for (int parts = 0; parts < 4; parts++) {
        new.config.from.policy = parts & 1;
        new.config.from.critics = parts & 2;
        t = make(&new);
        const struct sac *s = &fixture_sac(t)->sac;
        assert_int_equal(equal(s->policy_params, was->policy_params, was->policy_n), parts & 1);
        assert_int_equal(s->alpha[0] == was->alpha[0], parts & 1);
        assert_int_equal(equal(s->critic_params, was->critic_params, was->critic_n), parts >> 1);
        assert_int_equal(equal(s->critic_target, was->critic_target, was->critic_n), parts >> 1);
        assert_true(all_zero(s->policy_m, s->policy_n) && all_zero(s->policy_v, s->policy_n));
        assert_true(all_zero(s->critic_m, s->critic_n) && all_zero(s->critic_v, s->critic_n));
        assert_true(all_zero(s->alpha + 1, 2));
        assert_int_equal(t->updates, 0);
        assert_int_equal(t->report.policy_version, 1);
        assert_int_equal(t->d_model.len, 0);
        trainer_destroy(&t);
    }

    // Once it has a checkpoint of its own, it resumes from that.
    t = make(&new);
    add(t, false, 0, 50);
    grant(t, 4, 200);
    train_all(t);
    command(t, TRAINER_CHECKPOINT);
    trainer_destroy(&t);
    t = make(&new);
    assert_int_equal(t->updates, 4);
    trainer_destroy(&t);

    // Other shapes, and no checkpoint.
    char err[1024];
    fixture_remove(new.dir);
    setup(&new);
    snprintf(new.config.from.run, sizeof(new.config.from.run), "%.200s", old.dir);
    new.config.sac.hidden_width *= 2;
    assert_null(trainer_create(&new.config, fixture_task(), new.dir, err, sizeof(err)));
    assert_non_null(strstr(err, "--from: "));
    snprintf(new.config.from.run, sizeof(new.config.from.run), "/nowhere");
    assert_null(trainer_create(&new.config, fixture_task(), new.dir, err, sizeof(err)));
    assert_non_null(strstr(err, "/nowhere/checkpoint/learner.safetensors"));
    trainer_destroy(&from);
    fixture_remove(old.dir);
    fixture_remove(new.dir);
}

static void test_stops_at_not_finite(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    make_two_checkpoints(&run);
    struct trainer *t = make(&run);
    static struct fixture_rows rows;
    fixture_fill(&rows, 0, 50, 0);
    for (int i = 0; i < 50; i++) {
        rows.reward[i] = 3e38f;
    }
    trainer_handle(t, fixture_command(&rows, 50));
    grant(t, 100, 200);
    int made = 0;
    while (trainer_can_update(t) && made < 50) {
        made++;
        trainer_update(t);
    }
    assert_true(t->report.failed);
    assert_true(made < 50);
    assert_non_null(strstr(t->report.text, "not a finite number"));
    trainer_written(t, "no space"); // of a copy made before
    assert_non_null(strstr(t->report.text, "not a finite number"));
    command(t, TRAINER_FINISH);
    assert_int_equal(t->report.checkpoints, 0);
    assert_false(t->report.saved);
    trainer_destroy(&t);
    expect_loaded(&run, 8, 20);
    fixture_remove(run.dir);
}

// A folder that cannot be written: counted, logged, and training continues.
static void test_survives_a_full_disk(void **state) {
    (void)state;
    struct run run;
    setup(&run);
    struct trainer *t = make(&run);
    char path[PATH_MAX];
    assert_int_equal(file_join(path, sizeof(path), t->staging, LEARNER_FILE), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    add(t, false, 0, 50);
    grant(t, 8, 200);
    command(t, TRAINER_CHECKPOINT);
    assert_int_equal(t->report.checkpoint_failures, 1);
    assert_non_null(strstr(t->report.text, "checkpoint"));
    assert_true(trainer_can_update(t));
    rmdir(path);
    command(t, TRAINER_CHECKPOINT);
    assert_int_equal(t->report.checkpoints, 1);
    trainer_destroy(&t);
    fixture_remove(run.dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resumes_with_the_same_bits),
        cmocka_unit_test(test_falls_back_to_the_older),
        cmocka_unit_test(test_rows_are_saved_in_lockstep_alone),
        cmocka_unit_test(test_states_resume_with_the_same_bits),
        cmocka_unit_test(test_states_are_numbered_by_updates),
        cmocka_unit_test(test_a_copy_is_written_later),
        cmocka_unit_test(test_damaged_model_rows_are_skipped),
        cmocka_unit_test(test_crash_between_the_files),
        cmocka_unit_test(test_a_replaced_learner_writes_nothing),
        cmocka_unit_test(test_a_removed_directory_is_no_other_learner),
        cmocka_unit_test(test_refuses_mismatching_checkpoints),
        cmocka_unit_test(test_loads_checkpoints_of_earlier_builds),
        cmocka_unit_test(test_starts_from_another_run),
        cmocka_unit_test(test_numbers_that_no_update_reaches_are_refused),
        cmocka_unit_test(test_stops_at_not_finite),
        cmocka_unit_test(test_survives_a_full_disk),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
