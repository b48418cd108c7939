// SPDX-License-Identifier: MIT
// Checkpoints of the learner: a trainer that is made from an accepted one goes on to learn.
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/trainer_fixture.h"

#define CHECKPOINT "checkpoint/learner.safetensors"

static struct run sac_run(void) {
    struct run run;
    snprintf(run.dir, sizeof(run.dir), "%s", fuzz_folder());
    CHECK(file_make_dirs(fuzz_path("checkpoint")) == 0);
    run.config = fixture_config();
    config_use_method(&run.config, METHOD_sac);
    run.config.sac.hidden_width = 4;
    run.config.sac.batch_size = 8;
    return run;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct run run = sac_run();
    char err[1024] = "";
    fuzz_write(CHECKPOINT, data, len);
    struct trainer *t = trainer_create(&run.config, fixture_task(), run.dir, err, sizeof(err));
    if (!t) {
        CHECK(err[0] != '\0');
        return 0;
    }
    fuzz_accept();
    uint64_t updates = t->updates;
    add(t, false, 0, 20);
    grant(t, updates + 1, 0);
    if (updates < UINT64_MAX - 1 && trainer_can_update(t)) {
        trainer_update(t);
        CHECK(t->updates == updates + 1);
    }
    trainer_destroy(&t);
    return 0;
}

size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]) {
    struct run run = sac_run();
    if (index > 0) {
        return 0;
    }
    remove(fuzz_path(CHECKPOINT));
    struct trainer *t = make(&run);
    add(t, false, 0, 60);
    grant(t, 5, 0);
    train_all(t);
    command(t, TRAINER_CHECKPOINT);
    CHECK(t->report.saved);
    trainer_destroy(&t);
    return fuzz_without_sum(out, fuzz_take(out, CHECKPOINT));
}
