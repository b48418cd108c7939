// SPDX-License-Identifier: MIT
// Files of reference trajectories (JSON): an accepted one is replayed and compared. The sample is a
// file of the repository.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/parity/parity.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    char *report = NULL, *errors = NULL;
    size_t report_len, errors_len;
    FILE *out = open_memstream(&report, &report_len), *err = open_memstream(&errors, &errors_len);
    enum exit_code code = parity_check_file(fuzz_write("input", data, len), out, err);
    fclose(out);
    fclose(err);
    if (code == EXIT_CODE_IO) {
        CHECK(errors_len > 0);
    } else {
        fuzz_accept();
    }
    free(report);
    free(errors);
    return 0;
}

size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]) {
    const char *root = getenv("SPUR_SOURCE_ROOT");
    char path[4096], *data;
    size_t len;
    if (index > 0) {
        return 0;
    }
    snprintf(path, sizeof(path), "%s/tests/parity/inverted_pendulum.json", root ? root : ".");
    CHECK(file_read_all(&data, &len, path, FUZZ_SAMPLE_MAX) == 0);
    memcpy(out, data, len);
    free(data);
    return len;
}
