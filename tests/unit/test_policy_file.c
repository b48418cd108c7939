// SPDX-License-Identifier: MIT
// Shows that reading a policy file gives the written weights, equal to the bit, and that metadata
// out of range is refused before any size is computed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/nn/policy_file.h"

static char path[64];
static char err[512];

static int make_path(void **state) {
    (void)state;
    snprintf(path, sizeof(path), "/tmp/spur-test-policy-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state) {
    (void)state;
    return unlink(path);
}

static void write_and_read(struct policy policy) {
    size_t n = policy_params(&policy);
    float *params = xfloats(n), *back = xfloats(n);
    struct rng rng = rng_make(1, RNG_TEST, 0);
    for (size_t i = 0; i < n; i++) {
        params[i] = (float)rng_uniform(&rng) - 0.5f;
    }
    const struct policy_file_info info = {.task = "some_task",
                                          .version = 12,
                                          .updates = 340,
                                          .more = {{"seed", "3"}, {"return_mean", "1.5"}}};
    if (policy_file_write(path, &policy, params, &info, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
    struct policy_file f;
    if (policy_file_open(&f, path, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
    assert_string_equal(f.task, "some_task");
    assert_int_equal(f.version, 12);
    assert_int_equal(f.updates, 340);
    assert_int_equal(f.policy.obs_dim, 5);
    assert_int_equal(f.policy.act_dim, 2);
    assert_memory_equal(&f.policy.net, &policy.net, sizeof(policy.net));
    assert_string_equal(safetensors_meta_value(f.file, "seed"), "3");
    assert_string_equal(safetensors_meta_value(f.file, "return_mean"), "1.5");
    assert_int_equal(policy_file_params(back, &f, err, sizeof(err)), 0);
    assert_memory_equal(back, params, n * sizeof(float));
    policy_file_close(&f);
    free(params);
    free(back);
}

static void a_file_is_read_as_written(void **state) {
    (void)state;
    write_and_read(policy_make(5, 2, 7, 3));
    struct mlp_hidden hidden = {.layers = 2, .width = {7, 9}, .activation = ACTIVATION_RELU};
    write_and_read(policy_make_hidden(5, 2, &hidden));
    hidden = mlp_hidden_equal(7, 3, ACTIVATION_SILU);
    write_and_read(policy_make_hidden(5, 2, &hidden));
}

// hidden_width 0 needs widths of all layers and a known activation.
static void hidden_layers_are_described(void **state) {
    (void)state;
    static const char *const wrong[][2] = {{"7", "silu"},   {"7,9,9", "silu"},  {"7,0", "silu"},
                                           {"7,9", "tanh"}, {"7;9", "relu"},    {"7,-9", "relu"},
                                           {"", "relu"},    {"7,99999", "relu"}};
    float x = 0;
    struct tensor tensor = tensor_f32("policy.0.bias", &x, 1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct safetensors_meta meta[] = {
            {"task", "t"},         {"obs_dim", "3"},        {"act_dim", "1"},
            {"hidden_width", "0"}, {"hidden_layers", "2"},  {"version", "1"},
            {"updates", "0"},      {"hidden", wrong[i][0]}, {"activation", wrong[i][1]}};
        assert_int_equal(safetensors_write(path, &tensor, 1, meta, 9, err, sizeof(err)), 0);
        struct policy_file f;
        assert_int_equal(policy_file_open(&f, path, err, sizeof(err)), -1);
        assert_non_null(strstr(err, "hidden and activation do not describe 2 layers"));
    }
}

static void numbers_out_of_range_are_refused(void **state) {
    (void)state;
    static const char *const keys[] = {"obs_dim",       "act_dim", "hidden_width",
                                       "hidden_layers", "version", "updates"};
    static const char *const wrong[][2] = {
        {"obs_dim", "0"},        {"obs_dim", "65537"},
        {"act_dim", "0"},        {"act_dim", "4294967297"},
        {"hidden_width", "0"},   {"hidden_width", "65537"},
        {"hidden_layers", "12"}, {"hidden_layers", "1x"},
        {"version", "-1"},       {"updates", "99999999999999999999999"},
    };
    float x = 0;
    struct tensor tensor = tensor_f32("policy.0.bias", &x, 1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct safetensors_meta meta[7] = {{"task", "t"}};
        for (int k = 0; k < 6; k++) {
            meta[k + 1] = (struct safetensors_meta){
                keys[k], strcmp(keys[k], wrong[i][0]) == 0 ? wrong[i][1] : "1"};
        }
        assert_int_equal(safetensors_write(path, &tensor, 1, meta, 7, err, sizeof(err)), 0);
        struct policy_file f;
        assert_int_equal(policy_file_open(&f, path, err, sizeof(err)), -1);
        assert_null(f.file);
        if (!strstr(err, wrong[i][0]) || !strstr(err, wrong[i][1])) {
            fail_msg("\"%s\" does not name %s %s", err, wrong[i][0], wrong[i][1]);
        }
    }
}

// Opens the file and expects its weights to be refused.
static void expect_refused(const char *why) {
    struct policy_file f;
    if (policy_file_open(&f, path, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
    float *params = xfloats(policy_params(&f.policy));
    assert_int_equal(policy_file_params(params, &f, err, sizeof(err)), -1);
    if (!strstr(err, why)) {
        fail_msg("\"%s\" does not say \"%s\"", err, why);
    }
    free(params);
    policy_file_close(&f);
}

static void a_transposed_weight_is_refused(void **state) {
    (void)state;
    const struct safetensors_meta meta[] = {
        {"task", "t"},          {"obs_dim", "3"}, {"act_dim", "1"}, {"hidden_width", "4"},
        {"hidden_layers", "1"}, {"version", "1"}, {"updates", "0"}};
    const float zeros[12] = {0};
    const struct tensor tensors[] = {
        tensor_make("policy.0.weight", TENSOR_F32, zeros, 2, (uint64_t[]){3, 4}),
        tensor_f32("policy.0.bias", zeros, 4),
        tensor_make("policy.1.weight", TENSOR_F32, zeros, 2, (uint64_t[]){2, 4}),
        tensor_f32("policy.1.bias", zeros, 2)};
    assert_int_equal(safetensors_write(path, tensors, 4, meta, 7, err, sizeof(err)), 0);
    expect_refused("policy.0.weight does not have the shape (4, 3)");
}

static void weights_that_are_not_finite_are_refused(void **state) {
    (void)state;
    struct policy policy = policy_make(3, 1, 4, 1);
    size_t n = policy_params(&policy);
    float *params = xfloats(n);
    params[n - 1] = NAN;
    const struct policy_file_info info = {.task = "t"};
    assert_int_equal(policy_file_write(path, &policy, params, &info, err, sizeof(err)), 0);
    free(params);
    expect_refused("not finite");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_read_as_written, make_path, remove_path),
        cmocka_unit_test_setup_teardown(hidden_layers_are_described, make_path, remove_path),
        cmocka_unit_test_setup_teardown(numbers_out_of_range_are_refused, make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_transposed_weight_is_refused, make_path, remove_path),
        cmocka_unit_test_setup_teardown(weights_that_are_not_finite_are_refused, make_path,
                                        remove_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
