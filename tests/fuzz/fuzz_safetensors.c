// SPDX-License-Identifier: MIT
// Safetensors files: of an accepted one every tensor is read and written again, equal. The samples
// have no checksum, since with one almost every change would be refused for it alone.
#include <string.h>

#include "common/base/check.h"
#include "common/nn/safetensors.h"
#include "tests/fuzz/fuzz.h"

static void check_equal(const struct safetensors *a, const struct safetensors *b) {
    CHECK(safetensors_count(a) == safetensors_count(b));
    for (int i = 0; i < safetensors_count(a); i++) {
        const struct tensor *x = safetensors_at(a, i), *y = safetensors_find(b, x->name);
        CHECK(y && x->type == y->type && x->dims == y->dims);
        CHECK(memcmp(x->shape, y->shape, (size_t)x->dims * sizeof(x->shape[0])) == 0);
        CHECK(memcmp(x->data, y->data, tensor_size(x)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    char err[512] = "";
    struct safetensors *f = safetensors_open(fuzz_write("input", data, len), err, sizeof(err));
    if (!f) {
        CHECK(err[0] != '\0');
        return 0;
    }
    fuzz_accept();
    static struct tensor tensors[4096];
    int n = safetensors_count(f);
    for (int i = 0; i < n; i++) {
        tensors[i] = *safetensors_at(f, i);
        fuzz_read(tensors[i].data, tensor_size(&tensors[i]));
    }
    CHECK(safetensors_write(fuzz_path("again"), tensors, n, NULL, 0, err, sizeof(err)) == 0);
    struct safetensors *again = safetensors_open(fuzz_path("again"), err, sizeof(err));
    CHECK(again);
    check_equal(f, again);
    safetensors_close(&again);
    safetensors_close(&f);
    return 0;
}

size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]) {
    static const float a[6] = {1, -2, 3e30f, 0, 5, 6};
    static const double b[3] = {1e300, 0, -1};
    static const uint64_t c[2] = {UINT64_MAX, 7};
    const uint64_t shape[2] = {2, 3}, three = 3, two = 2, none = 0;
    const struct tensor tensors[] = {tensor_make("policy.0.weight", TENSOR_F32, a, 2, shape),
                                     tensor_make("double", TENSOR_F64, b, 1, &three),
                                     tensor_make("counters", TENSOR_U64, c, 1, &two),
                                     tensor_make("bytes", TENSOR_U8, c, 1, &three),
                                     tensor_make("empty", TENSOR_F32, a, 1, &none)};
    const struct safetensors_meta meta[] = {{"task", "hopper"}, {"note", "\"quoted\" \\ \u00e9"}};
    char err[256];
    if (index > 2) {
        return 0;
    }
    CHECK(safetensors_write(fuzz_path("sample"), tensors, index == 1 ? 5 : 1, meta, index, err,
                            sizeof(err)) == 0);
    return fuzz_without_sum(out, fuzz_take(out, "sample"));
}
