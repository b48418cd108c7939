// SPDX-License-Identifier: MIT
// Shows that wire_unpack withstands any bytes, and that an accepted message is usable: every number
// can be read, and packing it and unpacking the result gives the same bytes.
//
// With libFuzzer (meson setup -Dfuzz=true, with clang) it searches for failing input:
//   fuzz_wire -max_len=4096 CORPUS_DIR
// Without it, main mutates a valid message of every type a few thousand times, from a fixed seed.
// The first argument sets the number of mutations per type, the second the seed.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "proto/wire.h"
#include "tests/fuzz/wire_samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static volatile uint64_t digest; // keeps the reads below from being optimised away
static unsigned long passed;

static void read_all(const void *data, size_t len) {
    const unsigned char *p = data;
    uint64_t sum = digest;
    for (size_t i = 0; i < len; i++) {
        sum = sum * 31 + p[i];
    }
    digest = sum;
}

static void read_rows(const struct wire_rows *r) {
    CHECK(((uintptr_t)r->obs | (uintptr_t)r->act | (uintptr_t)r->reward) % sizeof(float) == 0);
    read_all(r->obs, (size_t)r->rows * r->obs_dim * sizeof(float));
    read_all(r->act, (size_t)r->rows * r->act_dim * sizeof(float));
    read_all(r->reward, r->rows * sizeof(float));
    read_all(r->next_obs, (size_t)r->rows * r->obs_dim * sizeof(float));
    read_all(r->flags, r->rows);
}

static void use(const struct wire_msg *msg) {
    read_all(msg, sizeof(*msg));
    switch (msg->type) {
    case WIRE_TRANSITIONS:
        read_rows(&msg->transitions.rows);
        break;
    case WIRE_EXPERIENCE:
        read_rows(&msg->experience.rows);
        break;
    case WIRE_ENSEMBLE:
        read_all(msg->model.params, msg->model.params_len * sizeof(float));
        read_all(msg->model.normalizer, msg->model.normalizer_len * sizeof(float));
        read_all(msg->model.termination, msg->model.termination_len * sizeof(float));
        break;
    case WIRE_STATES:
        read_all(msg->states.obs, sizeof(float) * msg->states.rows * msg->states.obs_dim);
        break;
    case WIRE_POLICY:
        read_all(msg->policy.params, msg->policy.params_len * sizeof(float));
        break;
    case WIRE_EVAL_REPORT:
        read_all(msg->eval_report.returns, msg->eval_report.episodes * sizeof(double));
        read_all(msg->eval_report.lengths, msg->eval_report.episodes * sizeof(double));
        break;
    case WIRE_STATUS:
        read_all(msg->status.actors, msg->status.actor_count * sizeof(struct wire_actor_status));
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
    passed++;
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

#ifndef SPUR_LIBFUZZER

static uint64_t state;

static uint32_t next(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % below);
}

// One to four mutations: flip a bit, set a byte, cut, repeat a part, insert zeros or large numbers.
static size_t mutate(uint8_t *out, size_t room, const uint8_t *data, size_t len) {
    memcpy(out, data, len);
    for (uint32_t n = 1 + next(4); n > 0 && len > 0; n--) {
        uint32_t at = next((uint32_t)len);
        size_t piece = 1 + next((uint32_t)(len - at));
        switch (next(6)) {
        case 0:
            out[at] ^= (uint8_t)(1u << next(8));
            break;
        case 1:
            out[at] = (uint8_t)next(256);
            break;
        case 2:
            len = at;
            break;
        case 3:
            if (len + piece <= room) {
                memmove(out + at + piece, out + at, len - at);
                len += piece;
            }
            break;
        case 4:
            memmove(out + at, out + at + piece, len - at - piece);
            len -= piece;
            break;
        default:
            memset(out + at, next(2) ? 0xff : 0, piece < 10 ? piece : 10);
            break;
        }
    }
    return len;
}

int main(int argc, char **argv) {
    uint32_t mutations = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 3000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct wire *wire = wire_create();
    static struct wire_msg msg;
    static uint8_t original[1 << 16], changed[1 << 17];
    for (int type = WIRE_HELLO; type <= WIRE_TYPE_LAST; type++) {
        const void *data;
        size_t len;
        wire_sample(&msg, (enum wire_type)type);
        wire_pack(wire, &data, &len, &msg);
        CHECK(len <= sizeof(original));
        memcpy(original, data, len);
        LLVMFuzzerTestOneInput(original, len);
        state = seed * 1000003 + (uint64_t)type;
        for (uint32_t i = 0; i < mutations; i++) {
            LLVMFuzzerTestOneInput(changed, mutate(changed, sizeof(changed), original, len));
        }
    }
    wire_destroy(&wire);
    printf(
        "seed %llu: of %u mutations of each of %d messages %lu passed, all others were refused\n",
        (unsigned long long)seed, mutations, WIRE_STATUS, passed);
    CHECK(passed >= WIRE_STATUS); // the originals at least
    return 0;
}

#endif
