// SPDX-License-Identifier: MIT
// Messages of the wire: an accepted one is usable, and packing it and unpacking the result gives
// the same bytes.
#include <string.h>

#include "common/base/check.h"
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/wire_samples.h"

static void read_rows(const struct wire_rows *r) {
    CHECK(((uintptr_t)r->obs | (uintptr_t)r->act | (uintptr_t)r->reward) % sizeof(float) == 0);
    fuzz_read(r->obs, (size_t)r->rows * r->obs_dim * sizeof(float));
    fuzz_read(r->act, (size_t)r->rows * r->act_dim * sizeof(float));
    fuzz_read(r->reward, r->rows * sizeof(float));
    fuzz_read(r->next_obs, (size_t)r->rows * r->obs_dim * sizeof(float));
    fuzz_read(r->flags, r->rows);
}

static void use(const struct wire_msg *msg) {
    fuzz_read(msg, sizeof(*msg));
    switch (msg->type) {
    case WIRE_TRANSITIONS:
        read_rows(&msg->transitions.rows);
        break;
    case WIRE_EXPERIENCE:
        read_rows(&msg->experience.rows);
        break;
    case WIRE_ENSEMBLE:
        fuzz_read(msg->model.params, msg->model.params_len * sizeof(float));
        fuzz_read(msg->model.normalizer, msg->model.normalizer_len * sizeof(float));
        fuzz_read(msg->model.termination, msg->model.termination_len * sizeof(float));
        break;
    case WIRE_STATES:
        fuzz_read(msg->states.obs, sizeof(float) * msg->states.rows * msg->states.obs_dim);
        break;
    case WIRE_POLICY:
        fuzz_read(msg->policy.params, msg->policy.params_len * sizeof(float));
        break;
    case WIRE_EVAL_REPORT:
        fuzz_read(msg->eval_report.returns, msg->eval_report.episodes * sizeof(double));
        fuzz_read(msg->eval_report.lengths, msg->eval_report.episodes * sizeof(double));
        break;
    case WIRE_STATUS:
        fuzz_read(msg->status.actors, msg->status.actor_count * sizeof(struct wire_actor_status));
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static struct wire *in, *back;
    static struct wire_msg msg, again;
    if (!in) {
        in = wire_create();
        back = wire_create();
    }
    char err[256] = "";
    int rc = wire_unpack(in, &msg, data, len, err, sizeof(err));
    if (rc != 0) {
        CHECK(rc <= -WIRE_REFUSED_SCHEMA && rc >= -WIRE_REFUSED_FORMAT);
        CHECK(err[0] != '\0');
        return 0;
    }
    fuzz_accept();
    use(&msg);

    const void *first, *second;
    size_t first_len, second_len;
    wire_pack(in, &first, &first_len, &msg);
    CHECK(wire_unpack(back, &again, first, first_len, err, sizeof(err)) == 0);
    wire_pack(back, &second, &second_len, &again);
    CHECK(first_len == second_len);
    CHECK(memcmp(first, second, first_len) == 0);
    return 0;
}

size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]) {
    static struct wire *wire;
    static struct wire_msg msg;
    const void *data;
    size_t len;
    int type = WIRE_HELLO + index;
    if (type > WIRE_TYPE_LAST) {
        return 0;
    }
    if (!wire) {
        wire = wire_create();
    }
    wire_sample(&msg, (enum wire_type)type);
    wire_pack(wire, &data, &len, &msg);
    CHECK(len <= FUZZ_SAMPLE_MAX);
    memcpy(out, data, len);
    return len;
}
