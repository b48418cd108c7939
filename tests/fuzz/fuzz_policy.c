// SPDX-License-Identifier: MIT
// Policy files: the weights of an accepted one are finite, and it acts.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/nn/hidden.h"
#include "common/nn/policy_file.h"
#include "tests/fuzz/fuzz.h"

static void act(const struct policy *p, const float *params) {
    float *obs = xcalloc((size_t)p->obs_dim, sizeof(float));
    float *out = xcalloc((size_t)p->act_dim, sizeof(float));
    float *scratch = xcalloc(policy_scratch(p, 1), sizeof(float));
    policy_mean(out, scratch, p, params, obs, 1);
    for (int i = 0; i < p->act_dim; i++) {
        CHECK(isnan(out[i]) || fabsf(out[i]) <= 1); // huge weights may cancel to NaN
    }
    free(obs);
    free(out);
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    char err[512] = "";
    struct policy_file f = {0};
    float *params = NULL;
    if (policy_file_open(&f, fuzz_write("input", data, len), err, sizeof(err)) == 0 &&
        policy_params(&f.policy) <= len) { // more weights than bytes: the next call refuses it
        params = xcalloc(policy_params(&f.policy), sizeof(float));
        if (policy_file_params(params, &f, err, sizeof(err)) == 0) {
            fuzz_accept();
            fuzz_read(f.task, strlen(f.task));
            act(&f.policy, params);
        }
    }
    CHECK(params || err[0] != '\0' || policy_params(&f.policy) > len);
    free(params);
    policy_file_close(&f);
    return 0;
}

size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]) {
    static const struct mlp_hidden shapes[] = {
        {.layers = 2, .width = {4, 4}, .activation = ACTIVATION_RELU},
        {.layers = 3, .width = {3, 5, 2}, .activation = ACTIVATION_SILU},
    };
    if (index >= (int)(sizeof(shapes) / sizeof(shapes[0]))) {
        return 0;
    }
    struct policy p = policy_make_hidden(3, 2, &shapes[index]);
    struct rng rng = rng_make(1, RNG_TEST, 0);
    float *params = xcalloc(policy_params(&p), sizeof(float));
    policy_init(params, &p, &rng);
    const struct policy_file_info info = {.task = "hopper", .version = 7, .updates = 70};
    char err[256];
    CHECK(policy_file_write(fuzz_path("sample"), &p, params, &info, err, sizeof(err)) == 0);
    free(params);
    return fuzz_without_sum(out, fuzz_take(out, "sample"));
}
