// SPDX-License-Identifier: MIT
// Checkpoints of the model server: of an accepted one every number is finite, each elite is a
// member, and it is written and read back equal.
#include <math.h>
#include <string.h>

#include "common/base/check.h"
#include "modelserver/storage/checkpoint.h"
#include "tests/fuzz/fuzz.h"

enum { PARAMS = 50, NORMALIZER = 6, MEMBERS = 3, ELITES = 2 };

static const struct ms_checkpoint_run some_run = {"hopper", 4711, 3};

struct content {
    struct ms_state state;
    float weights[PARAMS], m[PARAMS], v[PARAMS], normalizer[NORMALIZER];
    uint64_t steps;
    bool has_model;
    float params[PARAMS], model_normalizer[NORMALIZER];
    struct model model;
};

static struct fit_state fit_of(struct content *c) {
    return (struct fit_state){.normalizer_floats = NORMALIZER,
                              .normalizer = c->normalizer,
                              .params = PARAMS,
                              .weights = c->weights,
                              .adam_m = c->m,
                              .adam_v = c->v,
                              .adam_steps = &c->steps};
}

static int read(struct content *c, const char *path, char *err, size_t err_len) {
    memset(c, 0, sizeof(*c));
    c->model = (struct model){.members = MEMBERS,
                              .elites = ELITES,
                              .params = c->params,
                              .normalizer = c->model_normalizer};
    struct fit_state fit = fit_of(c);
    return ms_checkpoint_read(path, &some_run, &c->state, &fit, &c->model, &c->has_model, err,
                              err_len);
}

static void write(struct content *c, bool has_model, const char *path) {
    char err[512];
    struct fit_state fit = fit_of(c);
    CHECK(ms_checkpoint_write(path, &some_run, &c->state, has_model ? &c->model : NULL, &fit, false,
                              err, sizeof(err)) == 0);
}

static void check_usable(const struct content *c) {
    for (int i = 0; i < PARAMS; i++) {
        CHECK(isfinite(c->weights[i]) && isfinite(c->m[i]) && isfinite(c->v[i]));
        CHECK(isfinite(c->params[i]));
    }
    for (int i = 0; c->has_model && i < ELITES; i++) {
        CHECK(c->model.elite[i] >= 0 && c->model.elite[i] < MEMBERS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static struct content c, again;
    char err[512] = "";
    if (read(&c, fuzz_write("input", data, len), err, sizeof(err)) != 0) {
        CHECK(err[0] != '\0');
        return 0;
    }
    fuzz_accept();
    check_usable(&c);
    write(&c, c.has_model, fuzz_path("again"));
    CHECK(read(&again, fuzz_path("again"), err, sizeof(err)) == 0);
    CHECK(memcmp(&c.state, &again.state, sizeof(c.state)) == 0);
    CHECK(memcmp(c.weights, again.weights, sizeof(c.weights)) == 0);
    CHECK(memcmp(c.params, again.params, sizeof(c.params)) == 0);
    CHECK(c.steps == again.steps && c.has_model == again.has_model);
    return 0;
}

size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]) {
    static struct content c;
    if (index > 1) {
        return 0;
    }
    memset(&c, 0, sizeof(c));
    for (int i = 0; i < PARAMS; i++) {
        c.weights[i] = c.params[i] = 1.0f / (float)(i + 3);
        c.v[i] = c.weights[i] * 1e-9f;
    }
    c.steps = 99;
    c.model = (struct model){.version = 4,
                             .env_rows = 2500,
                             .epochs = 31,
                             .members = MEMBERS,
                             .elites = ELITES,
                             .elite = {2, 0},
                             .holdout_mse = {0.5f, 0.7f, 0.25f},
                             .params = c.params,
                             .normalizer = c.model_normalizer};
    write(&c, index == 1, fuzz_path("sample"));
    return fuzz_without_sum(out, fuzz_take(out, "sample"));
}
