// SPDX-License-Identifier: MIT
// Configurations: what is accepted is printed, and the print is read back to the same print.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/config/config.h"
#include "tests/fuzz/fuzz.h"

static char *print(const struct config *c, size_t *len) {
    char *text = NULL;
    FILE *f = open_memstream(&text, len);
    CHECK(f);
    config_print(c, f, false);
    fclose(f);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static struct config c, again;
    char err[512] = "";
    config_defaults(&c);
    if (config_parse(&c, (const char *)data, len, "fuzz.yaml", err, sizeof(err)) != 0) {
        CHECK(err[0] != '\0');
        return 0;
    }
    fuzz_accept();
    config_choose(&c);
    if (config_check(&c, err, sizeof(err)) != 0) {
        CHECK(err[0] != '\0');
    }
    size_t first_len, second_len;
    char *first = print(&c, &first_len);
    config_defaults(&again);
    if (config_parse(&again, first, first_len, "print", err, sizeof(err)) != 0) {
        fprintf(stderr, "%s\n%s\n", err, first);
        CHECK(!"a printed configuration is read");
    }
    char *second = print(&again, &second_len);
    CHECK(first_len == second_len && memcmp(first, second, first_len) == 0);
    free(first);
    free(second);
    return 0;
}

size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]) {
    static const char *const samples[] = {
        "method: dhmbpo\nrun:\n  task: hopper\n  steps: 125000\n",
        "# a comment\nsac: {hidden: [400, 300], target_entropy: auto, discount: 0.995}\n",
        "task:\n  env: python:balance:Balance\n  healthy: [0, -1, 1]\n  clipped: [0, 1, -10, 10]\n",
        "model:\n  weight_decay: [2.5e-05, 5e-05, 7.5e-05, 7.5e-05, 0.0001]\n  stop: paired_test\n",
        "rollout: {schedule: [20, 100, 1, 15]}\neval: {target: none}\nfrom: {rows: auto}\n",
    };
    static struct config c;
    size_t n = sizeof(samples) / sizeof(samples[0]), len;
    if ((size_t)index < n) {
        memcpy(out, samples[index], strlen(samples[index]));
        return strlen(samples[index]);
    }
    if ((size_t)index > n) {
        return 0;
    }
    config_defaults(&c);
    char *text = print(&c, &len);
    memcpy(out, text, len);
    free(text);
    return len;
}
