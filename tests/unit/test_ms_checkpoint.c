// SPDX-License-Identifier: MIT
// Shows that the model server reads its own files back, equal to the bit, and refuses
// foreign ones: checkpoint, learning curve, best policy.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/nn/safetensors.h"
#include "modelserver/storage/checkpoint.h"
#include "modelserver/storage/learning_curve.h"

enum { PARAMS = 50, NORMALIZER = 6 };

static char path[64], err[512];

static int make_path(void **state) {
    (void)state;
    snprintf(path, sizeof(path), "/tmp/spur-saved-XXXXXX");
    int fd = mkstemp(path);
    close(fd);
    return fd >= 0 ? unlink(path) : -1;
}

static int remove_path(void **state) {
    (void)state;
    char name[96];
    unlink(path);
    snprintf(name, sizeof(name), "%s.previous", path);
    unlink(name);
    snprintf(name, sizeof(name), "%s.unreadable", path);
    unlink(name);
    return 0;
}

struct ensemble_floats {
    float weights[PARAMS], m[PARAMS], v[PARAMS], normalizer[NORMALIZER];
    uint64_t steps;
};

static struct fit_state view_of(struct ensemble_floats *f) {
    return (struct fit_state){.normalizer_floats = NORMALIZER,
                              .normalizer = f->normalizer,
                              .params = PARAMS,
                              .weights = f->weights,
                              .adam_m = f->m,
                              .adam_v = f->v,
                              .adam_steps = &f->steps};
}

static const struct ms_checkpoint_run some_run = {"hopper", 4711, 3};

static void a_checkpoint_comes_back_to_the_bit(void **state) {
    (void)state;
    struct ensemble_floats before = {.steps = 99}, after = {0};
    for (int i = 0; i < PARAMS; i++) {
        before.weights[i] = 1.0f / (float)(i + 3);
        before.m[i] = -before.weights[i];
        before.v[i] = before.weights[i] * 1e-9f;
    }
    struct model model = {.version = 4,
                          .env_rows = 2500,
                          .epochs = 31,
                          .members = 3,
                          .elites = 2,
                          .elite = {2, 0},
                          .holdout_mse = {0.5f, 0.7f, 0.25f},
                          .params = before.weights,
                          .normalizer = before.normalizer};
    before.normalizer[5] = 0.125f;
    struct ms_state written;
    uint64_t *words = &written.trainings;
    for (size_t i = 0; i < sizeof(written) / sizeof(uint64_t); i++) {
        words[i] = i * i + 1;
    }
    struct fit_state fit = view_of(&before), read_fit = view_of(&after);
    assert_int_equal(
        ms_checkpoint_write(path, &some_run, &written, &model, &fit, true, err, sizeof(err)), 0);

    float params[PARAMS], normalizer[NORMALIZER];
    struct model back = {.members = 3, .elites = 2, .params = params, .normalizer = normalizer};
    struct ms_state read_state;
    bool has_model = false;
    int rc = ms_checkpoint_read(path, &some_run, &read_state, &read_fit, &back, &has_model, err,
                                sizeof(err));
    assert_int_equal(rc, 0);
    assert_true(has_model);
    assert_memory_equal(&read_state, &written, sizeof(read_state));
    assert_memory_equal(after.weights, before.weights, sizeof(before.weights));
    assert_memory_equal(after.m, before.m, sizeof(before.m));
    assert_memory_equal(after.v, before.v, sizeof(before.v));
    assert_int_equal(after.steps, 99);
    assert_memory_equal(params, before.weights, sizeof(params));
    assert_memory_equal(normalizer, before.normalizer, sizeof(normalizer));
    assert_int_equal(back.version, 4);
    assert_int_equal(back.env_rows, 2500);
    assert_int_equal(back.epochs, 31);
    assert_int_equal(back.elite[0], 2);
    assert_int_equal(back.elite[1], 0);
    assert_true(back.holdout_mse[2] == 0.25f);

    // An elite that is no member.
    const int right = model.elite[0];
    model.elite[0] = model.members;
    assert_int_equal(
        ms_checkpoint_write(path, &some_run, &written, &model, &fit, true, err, sizeof(err)), 0);
    assert_int_equal(ms_checkpoint_read(path, &some_run, &read_state, &read_fit, &back, &has_model,
                                        err, sizeof(err)),
                     -1);
    assert_non_null(strstr(err, "elite 3 of 3 members"));
    model.elite[0] = right;
    assert_int_equal(
        ms_checkpoint_write(path, &some_run, &written, &model, &fit, true, err, sizeof(err)), 0);

    // A count that no run reaches.
    const uint64_t trainings = written.trainings;
    written.trainings = UINT64_C(1) << 41;
    assert_int_equal(
        ms_checkpoint_write(path, &some_run, &written, &model, &fit, true, err, sizeof(err)), 0);
    assert_int_equal(ms_checkpoint_read(path, &some_run, &read_state, &read_fit, &back, &has_model,
                                        err, sizeof(err)),
                     -1);
    assert_non_null(strstr(err, "more than any run makes"));
    written.trainings = trainings;
    assert_int_equal(
        ms_checkpoint_write(path, &some_run, &written, &model, &fit, true, err, sizeof(err)), 0);

    // Other runs, other shapes.
    struct ms_checkpoint_run other = {"hopper", 4712, 3};
    assert_int_equal(ms_checkpoint_read(path, &other, &read_state, &read_fit, &back, &has_model,
                                        err, sizeof(err)),
                     -1);
    assert_non_null(strstr(err, "another run"));
    back.members = 5;
    assert_int_equal(ms_checkpoint_read(path, &some_run, &read_state, &read_fit, &back, &has_model,
                                        err, sizeof(err)),
                     -1);
    read_fit.params = PARAMS - 1;
    assert_int_equal(ms_checkpoint_read(path, &some_run, &read_state, &read_fit, &back, &has_model,
                                        err, sizeof(err)),
                     -1);
    assert_int_equal(truncate(path, 300), 0); // truncated
    read_fit.params = PARAMS;
    assert_int_equal(ms_checkpoint_read(path, &some_run, &read_state, &read_fit, &back, &has_model,
                                        err, sizeof(err)),
                     -1);
}

// A run without a model has neither ensemble nor heads.
static void a_run_without_a_model_has_a_checkpoint(void **state) {
    (void)state;
    const struct ms_state written = {.rollout_steps = 7};
    struct ms_state back = {0};
    const struct fit_state none = {0};
    struct model model = {0};
    bool has_model = true;
    assert_int_equal(
        ms_checkpoint_write(path, &some_run, &written, NULL, &none, true, err, sizeof(err)), 0);
    assert_int_equal(
        ms_checkpoint_read(path, &some_run, &back, &none, &model, &has_model, err, sizeof(err)), 0);
    assert_int_equal(back.rollout_steps, 7);
    assert_false(has_model);
}

static int load(struct ensemble_floats *f, struct ms_state *state) {
    struct fit_state fit = view_of(f);
    struct model none = {.members = 3, .elites = 2};
    bool has_model;
    return ms_checkpoint_load(path, &some_run, state, &fit, &none, &has_model, err, sizeof(err));
}

static void must_write(struct ensemble_floats *f, uint64_t trainings) {
    struct fit_state fit = view_of(f);
    const struct ms_state state = {.trainings = trainings};
    if (ms_checkpoint_write(path, &some_run, &state, NULL, &fit, true, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
}

static void flip_a_bit(const char *name) {
    FILE *file = fopen(name, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -5, SEEK_END), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, -5, SEEK_END), 0);
    fputc(byte ^ 4, file);
    fclose(file);
}

static void a_damaged_checkpoint_gives_way_to_the_one_before(void **state) {
    (void)state;
    char previous[96], unreadable[96];
    snprintf(previous, sizeof(previous), "%s.previous", path);
    snprintf(unreadable, sizeof(unreadable), "%s.unreadable", path);
    struct ensemble_floats f = {.weights = {1, 2}};
    struct ms_state read_state;
    assert_int_equal(load(&f, &read_state), 0); // no file
    must_write(&f, 1);
    assert_false(file_exists(previous));
    must_write(&f, 2);
    assert_int_equal(load(&f, &read_state), 1);
    assert_int_equal(read_state.trainings, 2);
    flip_a_bit(path);
    assert_int_equal(load(&f, &read_state), 1);
    assert_int_equal(read_state.trainings, 1);
    assert_true(f.weights[1] == 2);
    assert_true(file_exists(unreadable) && !file_exists(path));
    // The one before stays until there is another.
    assert_int_equal(load(&f, &read_state), 1);
    must_write(&f, 3);
    assert_int_equal(load(&f, &read_state), 1);
    assert_int_equal(read_state.trainings, 3);
    flip_a_bit(path);
    flip_a_bit(previous);
    assert_int_equal(load(&f, &read_state), -1);
    assert_non_null(strstr(err, path));
    assert_non_null(strstr(err, "it is damaged"));
    assert_non_null(strstr(err, "move it away"));
}

static void numbers_that_no_training_reaches_are_refused(void **state) {
    (void)state;
    const float bad[] = {NAN, INFINITY, 1e20f};
    for (int i = 0; i < 3; i++) {
        struct ensemble_floats f = {0}, back;
        struct ms_state read_state;
        must_write(&f, 1);
        f.weights[7] = bad[i];
        must_write(&f, 2);
        assert_int_equal(load(&back, &read_state), 1);
        assert_int_equal(read_state.trainings, 1);
        assert_true(back.weights[7] == 0);
        f.weights[7] = 0;
        f.v[3] = i == 0 ? NAN : 1;
        f.normalizer[2] = i == 1 ? INFINITY : 1;
        must_write(&f, 3);
        assert_int_equal(load(&back, &read_state), 1);
        assert_int_equal(read_state.trainings, i < 2 ? 1 : 3);
        remove_path(NULL);
    }
}

// A head without a terminal row has the shift -infinity; other calibrations are numbers.
static void heads_that_never_end_come_back(void **state) {
    (void)state;
    enum { TRAINED = 4, HEADS = 2, ALL = TRAINED + 2 * HEADS };
    static const struct {
        float scale, shift;
        int rc;
    } calibrations[] = {{0, -INFINITY, 0},    {0, INFINITY, -1}, {1, -INFINITY, -1},
                        {NAN, -INFINITY, -1}, {0, NAN, -1},      {1, -3, 0}};
    for (size_t i = 0; i < sizeof(calibrations) / sizeof(calibrations[0]); i++) {
        struct ensemble_floats f = {0};
        float heads[ALL] = {0}, m[TRAINED] = {0}, v[TRAINED] = {0};
        uint64_t steps = 1;
        heads[ALL - 2] = calibrations[i].scale;
        heads[ALL - 1] = calibrations[i].shift;
        struct fit_state fit = view_of(&f);
        fit.termination_params = ALL;
        fit.termination_trained = TRAINED;
        fit.termination = heads;
        fit.termination_m = m;
        fit.termination_v = v;
        fit.termination_steps = &steps;
        struct ms_state counts = {0};
        bool has_model;
        assert_int_equal(
            ms_checkpoint_write(path, &some_run, &counts, NULL, &fit, true, err, sizeof(err)), 0);
        assert_int_equal(
            ms_checkpoint_read(path, &some_run, &counts, &fit, NULL, &has_model, err, sizeof(err)),
            calibrations[i].rc);
        remove_path(NULL);
    }
}

static void before_the_first_training_there_is_no_model(void **state) {
    (void)state;
    struct ensemble_floats f = {.steps = 0};
    struct fit_state fit = view_of(&f);
    const struct ms_state written = {.rollout_steps = 20};
    assert_int_equal(
        ms_checkpoint_write(path, &some_run, &written, NULL, &fit, true, err, sizeof(err)), 0);
    struct ms_state read_state;
    struct model back = {.members = 3, .elites = 2};
    bool has_model = true;
    assert_int_equal(
        ms_checkpoint_read(path, &some_run, &read_state, &fit, &back, &has_model, err, sizeof(err)),
        0);
    assert_false(has_model);
    assert_int_equal(read_state.rollout_steps, 20);
}

static void the_best_policy_is_a_file_for_all(void **state) {
    (void)state;
    const struct task *task = task_find("hopper");
    struct policy p = policy_make(task->obs_dim, task->act_dim, 16, 2);
    float *params = xfloats(policy_params(&p));
    params[mlp_bias_offset(&p.net, 2)] = 7;
    struct learning_curve_row row = {.env_steps = 5000, .updates = 80, .return_mean = 321.5};
    assert_int_equal(ms_checkpoint_policy_write(path, task, &p, params, 12, &row, err, sizeof(err)),
                     0);
    free(params);
    struct safetensors *c = safetensors_open(path, err, sizeof(err));
    assert_non_null(c);
    assert_int_equal(safetensors_count(c), 6);
    const struct tensor *t = safetensors_find(c, "policy.0.weight");
    assert_int_equal(t->dims, 2);
    assert_int_equal(t->shape[0], 16);
    assert_int_equal(t->shape[1], task->obs_dim);
    t = safetensors_find(c, "policy.2.bias");
    assert_int_equal(t->shape[0], 2 * task->act_dim);
    assert_true(((const float *)t->data)[0] == 7);
    assert_string_equal(safetensors_meta_value(c, "task"), "hopper");
    assert_string_equal(safetensors_meta_value(c, "hidden_width"), "16");
    assert_string_equal(safetensors_meta_value(c, "hidden_layers"), "2");
    assert_string_equal(safetensors_meta_value(c, "version"), "12");
    assert_string_equal(safetensors_meta_value(c, "env_steps"), "5000");
    assert_string_equal(safetensors_meta_value(c, "return_mean"), "321.5");
    safetensors_close(&c);
}

// ---- the learning curve ----

static long size_of(const char *name) {
    struct stat st;
    assert_int_equal(stat(name, &st), 0);
    return (long)st.st_size;
}

static void append(uint64_t env_steps, double return_mean, uint64_t updates) {
    struct learning_curve_row row = {.env_steps = env_steps,
                                     .updates = updates,
                                     .wall_seconds = (double)env_steps / 100,
                                     .return_mean = return_mean,
                                     .return_std = 2};
    if (learning_curve_append(path, &row, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
}

static void the_curve_continues_after_a_restart(void **state) {
    (void)state;
    struct learning_curve_history h;
    struct config c;
    config_defaults(&c);
    c.eval.target = 100;
    assert_int_equal(learning_curve_open(&h, path, &c, err, sizeof(err)), 0);
    assert_int_equal(h.evaluations, 0);
    append(250, 120, 20);
    append(500, 30, 20);
    append(750, 101, 20);
    append(1000, 100, 20);
    FILE *file = fopen(path, "a");
    fputs("1250,12.5,99", file); // truncated by a crash
    fclose(file);
    assert_int_equal(learning_curve_open(&h, path, &c, err, sizeof(err)), 0);
    assert_int_equal(h.evaluations, 4);
    assert_int_equal(h.env_steps, 1000);
    assert_true(h.wall_seconds == 10 && h.return_best == 120 && h.return_mean == 100);
    assert_int_equal(h.solved_in_row, 2);
    append(1250, 7, 20);
    char *text;
    size_t len;
    assert_int_equal(file_read_all(&text, &len, path, 1 << 16), 0);
    int lines = 0;
    for (size_t i = 0; i < len; i++) {
        lines += text[i] == '\n';
    }
    assert_int_equal(lines, 6); // header and five rows; the truncated one is removed
    assert_memory_equal(text, "env_steps,wall_seconds,return_mean,return_std,", 46);
    free(text);
}

// A disk that is full within a row, and a row whose rest was never written.
static void a_row_is_whole_or_absent(void **state) {
    (void)state;
    struct learning_curve_history h;
    struct config c;
    struct learning_curve_row row = {.env_steps = 500, .return_mean = 7};
    struct rlimit before, small;
    config_defaults(&c);
    append(250, 120, 20);
    long size = size_of(path);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = (rlim_t)size + 7;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(learning_curve_append(path, &row, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "File too large"));
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(size_of(path), size);
    FILE *file = fopen(path, "a");
    fputs("500,5.0", file);
    fclose(file);
    append(500, 30, 20);
    assert_int_equal(learning_curve_open(&h, path, &c, err, sizeof(err)), 0);
    assert_int_equal(h.evaluations, 2);
    assert_int_equal(h.env_steps, 500);
    assert_true(h.return_mean == 30);
    // Two rows in one line, as earlier builds could leave them.
    file = fopen(path, "a");
    fputs("7500,1.0,5,1,20,1000,7.0,5,1,20,\n", file);
    fclose(file);
    assert_int_equal(learning_curve_open(&h, path, &c, err, sizeof(err)), -1);
    assert_non_null(strstr(err, ":4: "));
    assert_non_null(strstr(err, "remove the line"));
}

static void an_unknown_figure_is_an_empty_field(void **state) {
    (void)state;
    struct learning_curve_row row = {.env_steps = 250, .updates_per_step = (double)NAN};
    char *text;
    size_t len;
    assert_int_equal(learning_curve_append(path, &row, err, sizeof(err)), 0);
    assert_int_equal(file_read_all(&text, &len, path, 1 << 16), 0);
    assert_string_equal(strchr(text, '\n') + 1, "250,0.000,0,0,0,\n");
    free(text);
}

static void a_policy_without_updates_solves_nothing(void **state) {
    (void)state;
    struct learning_curve_history h;
    struct config c;
    config_defaults(&c);
    for (uint64_t i = 1; i <= 3; i++) {
        append(250 * i, 120, 0);
    }
    append(1000, 120, 20);
    c.eval.target = 100;
    assert_int_equal(learning_curve_open(&h, path, &c, err, sizeof(err)), 0);
    assert_int_equal(h.evaluations, 4);
    assert_int_equal(h.solved_in_row, 1);
    assert_false(h.solved);
    c.eval.solved_evaluations = 1;
    assert_int_equal(learning_curve_open(&h, path, &c, err, sizeof(err)), 0);
    assert_true(h.solved && h.solved_env_steps == 1000);
    // Without a target, no return solves the task.
    config_defaults(&c);
    c.eval.solved_evaluations = 1;
    assert_int_equal(learning_curve_open(&h, path, &c, err, sizeof(err)), 0);
    assert_true(!h.solved && h.solved_in_row == 0 && h.return_best == 120);
}

static void a_foreign_file_is_not_changed(void **state) {
    (void)state;
    struct learning_curve_history h;
    struct config c;
    config_defaults(&c);
    c.eval.target = 100;
    assert_int_equal(file_write_atomic(path, "step,value\n1,2\n", 15), 0);
    assert_int_equal(learning_curve_open(&h, path, &c, err, sizeof(err)), -1);
    assert_non_null(strstr(err, path));
    struct learning_curve_row row = {0};
    assert_int_equal(learning_curve_append("/nowhere/progress.csv", &row, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "/nowhere/progress.csv"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_without_a_model_has_a_checkpoint, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(a_checkpoint_comes_back_to_the_bit, make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_damaged_checkpoint_gives_way_to_the_one_before, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(numbers_that_no_training_reaches_are_refused, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(heads_that_never_end_come_back, make_path, remove_path),
        cmocka_unit_test_setup_teardown(before_the_first_training_there_is_no_model, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(the_best_policy_is_a_file_for_all, make_path, remove_path),
        cmocka_unit_test_setup_teardown(the_curve_continues_after_a_restart, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(a_row_is_whole_or_absent, make_path, remove_path),
        cmocka_unit_test_setup_teardown(an_unknown_figure_is_an_empty_field, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(a_policy_without_updates_solves_nothing, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(a_foreign_file_is_not_changed, make_path, remove_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
