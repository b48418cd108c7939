// SPDX-License-Identifier: MIT
// Shows that every kind of faulty message is refused with the right reason: bytes truncated
// anywhere, another schema, shapes that do not match lengths, overflowing counts, wrong enums,
// flags and strings, and NaN; and that small messages cannot cause large allocations.
//
// Faulty messages are made from valid ones by changing a number before packing, by changing packed
// bytes, or by writing protobuf directly with put_* below.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/wire.h"
#include "tests/fuzz/wire_samples.h"

static struct wire *wire;
static struct wire_msg sent, got;
static char err[256];

static int set_up(void **state) {
    (void)state;
    wire = wire_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    wire_destroy(&wire);
    assert_null(wire);
    return 0;
}

// ---- writing protobuf ----

struct bytes {
    size_t len;
    uint8_t data[8192];
};

static void put(struct bytes *b, const void *data, size_t len) {
    assert_true(b->len + len <= sizeof(b->data));
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void put_varint(struct bytes *b, uint64_t value) {
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        put(b, &byte, 1);
        value >>= 7;
    } while (value);
}

static void put_number(struct bytes *b, uint32_t field, uint64_t value) {
    put_varint(b, field << 3);
    put_varint(b, value);
}

static void put_bytes(struct bytes *b, uint32_t field, const void *data, size_t len) {
    put_varint(b, field << 3 | 2);
    put_varint(b, len);
    put(b, data, len);
}

static struct bytes envelope(uint32_t body_field, const struct bytes *body) {
    struct bytes b = {0};
    put_number(&b, 1, WIRE_SCHEMA);
    put_bytes(&b, body_field, body->data, body->len);
    return b;
}

static void assert_refused(int code, const char *says, const void *data, size_t len) {
    memset(err, 0, sizeof(err));
    int rc = wire_unpack(wire, &got, data, len, err, sizeof(err));
    if (rc != -code || !strstr(err, says)) {
        fail_msg("refused with %d \"%s\", not with %d \"...%s...\"", rc, err, -code, says);
    }
    if (code != WIRE_REFUSED_VALUE) {
        assert_int_equal(got.type, 0); // no partial result
    }
}

// Enough of a body to reach one check: its fields as numbers.
static void assert_body_refused(const char *says, uint32_t body_field, const struct bytes *body) {
    struct bytes b = envelope(body_field, body);
    assert_refused(WIRE_REFUSED_FORMAT, says, b.data, b.len);
}

enum {
    HELLO = 11,
    WELCOME = 12,
    TRANSITIONS = 14,
    EVAL_REPORT = 22,
    EXPERIENCE = 23,
    PROGRESS = 25,
    POLICY = 27,
    STATUS = 29,
    MODEL = 30,
    STATES = 31,
};

static void pack(const void **data, size_t *len, enum wire_type type) {
    wire_sample(&sent, type);
    wire_pack(wire, data, len, &sent);
}

// ---- refusals ----

static void cut_anywhere_is_refused(void **state) {
    (void)state;
    for (int type = WIRE_HELLO; type <= WIRE_TYPE_LAST; type++) {
        const void *data;
        size_t len;
        pack(&data, &len, (enum wire_type)type);
        for (size_t cut = 0; cut < len; cut++) {
            char *exact = malloc(cut ? cut : 1); // so that ASan detects overruns
            memcpy(exact, data, cut);
            int rc = wire_unpack(wire, &got, exact, cut, err, sizeof(err));
            free(exact);
            if (rc != -WIRE_REFUSED_FORMAT) {
                fail_msg("%s cut to %zu of %zu bytes gives %d",
                         wire_type_name((enum wire_type)type), cut, len, rc);
            }
        }
    }
}

static void another_schema_is_refused_with_both_versions(void **state) {
    (void)state;
    struct bytes b = {0};
    put_number(&b, 1, WIRE_SCHEMA + 1);
    put(&b, "\xff\xff\xff garbage to us", 18); // a later version may look like anything
    assert_refused(WIRE_REFUSED_SCHEMA, "schema 3, this side speaks 2", b.data, b.len);
    b.len = 0;
    put_number(&b, 1, WIRE_SCHEMA - 1);
    assert_refused(WIRE_REFUSED_SCHEMA, "schema 1, this side speaks 2", b.data, b.len);
    b.len = 0;
    put_number(&b, 1, UINT64_MAX);
    assert_refused(WIRE_REFUSED_SCHEMA, "schema", b.data, b.len);
    assert_refused(WIRE_REFUSED_FORMAT, "no schema", "", 0);
    assert_refused(WIRE_REFUSED_FORMAT, "no schema", "GET / HTTP/1.1\r\n", 16);
    b.len = 0;
    put_number(&b, 1, WIRE_SCHEMA);
    assert_refused(WIRE_REFUSED_FORMAT, "without a message", b.data, b.len);
    put_bytes(&b, 99, "x", 1); // a message that this version does not know
    assert_refused(WIRE_REFUSED_FORMAT, "without a message", b.data, b.len);
}

static void repeated_fields_are_refused(void **state) {
    (void)state;
    struct bytes b = {0};
    put_number(&b, 1, WIRE_SCHEMA);
    put_bytes(&b, 19, "", 0);
    put_bytes(&b, 28, "", 0);
    assert_refused(WIRE_REFUSED_FORMAT, "a second message", b.data, b.len);
    struct bytes hello = {0};
    put_number(&hello, 1, WIRE_ROLE_ACTOR);
    put_bytes(&hello, 2, "a", 1);
    put_bytes(&hello, 2, "b", 1);
    assert_body_refused("hello.id: given twice", HELLO, &hello);
}

// Names of figures become columns and keys: they are checked, and none comes twice.
static void unknown_noise_is_refused(void **state) {
    (void)state;
    // A Welcome whose noise, or whose rate of return, is the given one.
    const struct {
        uint64_t noise;
        double theta;
        const char *says;
    } bad[] = {{4, 0.15, "welcome.noise"},
               {3, 0, "welcome.noise_ou_theta"},
               {3, 1.5, "welcome.noise_ou_theta"},
               {3, (double)NAN, "welcome.noise_ou_theta"}};
    for (int i = 0; i < 4; i++) {
        struct bytes welcome = {0};
        put_bytes(&welcome, 2, "hopper", 6);
        put_number(&welcome, 3, 11);
        put_number(&welcome, 4, 3);
        put_number(&welcome, 14, bad[i].noise);
        put_varint(&welcome, 15 << 3 | 1);
        put(&welcome, &bad[i].theta, sizeof(double));
        assert_body_refused(bad[i].says, WELCOME, &welcome);
    }
}

static void bad_figures_are_refused(void **state) {
    (void)state;
    struct bytes loss = {0}, upper = {0}, progress = {0};
    put_bytes(&loss, 1, "loss", 4);
    put_bytes(&upper, 1, "a,b", 3);
    put_bytes(&progress, 14, upper.data, upper.len);
    assert_body_refused("progress.metrics: the name of figure 0", PROGRESS, &progress);
    progress.len = 0;
    put_bytes(&progress, 14, loss.data, loss.len);
    put_bytes(&progress, 14, loss.data, loss.len);
    assert_body_refused("loss appears twice", PROGRESS, &progress);
    progress.len = 0;
    for (int i = 0; i <= METRICS_MAX; i++) {
        struct bytes one = {0};
        char name[16];
        put_bytes(&one, 1, name, (size_t)snprintf(name, sizeof(name), "figure_%d", i));
        put_bytes(&progress, 14, one.data, one.len);
    }
    assert_body_refused("25 figures; 24 at most", PROGRESS, &progress);
}

static void bad_strings_are_refused(void **state) {
    (void)state;
    char text[300];
    memset(text, 'x', sizeof(text));
    struct bytes hello = {0};
    put_number(&hello, 1, WIRE_ROLE_ACTOR);
    size_t head = hello.len;
    put_bytes(&hello, 2, text, 256);
    assert_body_refused("hello.id: a string of 256 bytes", HELLO, &hello);
    hello.len = head;
    put_bytes(&hello, 2, "actor\0evil", 10);
    assert_body_refused("hello.id: a NUL", HELLO, &hello);
    hello.len = head;
    assert_body_refused("hello.id: must not be empty", HELLO, &hello);
    put_bytes(&hello, 2, text, 255);
    struct bytes b = envelope(HELLO, &hello);
    assert_int_equal(wire_unpack(wire, &got, b.data, b.len, err, sizeof(err)), 0);
    assert_int_equal(strlen(got.hello.id), 255);
}

static void bad_enums_are_refused(void **state) {
    (void)state;
    const uint64_t values[] = {0, 4, UINT32_MAX, UINT64_MAX, (UINT64_C(1) << 32) + 4};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct bytes hello = {0};
        put_number(&hello, 1, values[i]);
        put_bytes(&hello, 2, "a", 1);
        assert_body_refused("hello.role", HELLO, &hello);
    }
    struct bytes refuse = {0};
    put_number(&refuse, 1, WIRE_REFUSED_KEY + 1);
    assert_body_refused("refuse.code", 13, &refuse);
    struct bytes experience = {0};
    put_number(&experience, 1, 1);
    put_number(&experience, 2, 3);
    struct bytes rows = {0};
    put_number(&rows, 1, 1);
    put_number(&rows, 2, 1);
    put_number(&rows, 3, 1);
    for (uint32_t field = 4; field <= 7; field++) {
        put_bytes(&rows, field, "\0\0\0\0", 4);
    }
    put_bytes(&rows, 8, "\0", 1);
    put_bytes(&experience, 6, rows.data, rows.len);
    assert_body_refused("experience.kind", EXPERIENCE, &experience);
    struct bytes learner = {0}, status = {0};
    put_number(&learner, 1, 5);
    put_bytes(&status, 19, learner.data, learner.len);
    assert_body_refused("status.learner_state", STATUS, &status);
}

// Transitions with the given shape but columns of the given lengths.
static void assert_shape_refused(const char *says, uint64_t rows, uint64_t obs_dim,
                                 uint64_t act_dim, const size_t column_bytes[5]) {
    static const uint8_t zeros[1024];
    struct bytes r = {0}, transitions = {0};
    put_number(&r, 1, rows);
    put_number(&r, 2, obs_dim);
    put_number(&r, 3, act_dim);
    for (uint32_t i = 0; i < 5; i++) {
        put_bytes(&r, 4 + i, zeros, column_bytes[i]);
    }
    put_number(&transitions, 1, 9);
    put_bytes(&transitions, 3, r.data, r.len);
    assert_body_refused(says, TRANSITIONS, &transitions);
}

static void shapes_must_match_lengths(void **state) {
    (void)state;
    const size_t right[5] = {24, 8, 8, 24, 2}; // 2 rows, 3 observations, 1 action
    const char *names[5] = {
        "rows.obs:", "rows.act:", "rows.reward:", "rows.next_obs:", "rows.flags:"};
    for (int column = 0; column < 5; column++) {
        for (int change = -1; change <= 1; change += 2) {
            size_t wrong[5];
            memcpy(wrong, right, sizeof(wrong));
            wrong[column] += (size_t)change;
            assert_shape_refused(names[column], 2, 3, 1, wrong);
        }
    }
    assert_shape_refused("rows.obs:", 3, 3, 1, right);
    assert_shape_refused("rows.obs:", 2, 4, 1, right);
    assert_shape_refused("rows.act:", 2, 3, 2, right);
    const size_t none[5] = {0, 0, 0, 0, 0};
    assert_shape_refused("rows.rows: 0", 0, 3, 1, none);
    assert_shape_refused("rows.obs_dim: 0", 2, 0, 1, (const size_t[]){0, 8, 8, 0, 2});
    assert_shape_refused("rows.act_dim: 0", 2, 3, 0, (const size_t[]){24, 0, 8, 24, 2});
    // Products that are 0 or 24 in 32 bits.
    assert_shape_refused("too many", UINT64_C(1) << 31, 2, 1, none);
    assert_shape_refused("too many", 0x80000002u, 3, 1, right);
    assert_shape_refused("too many", 2, 0x80000003u, 1, right);
    assert_shape_refused("too many", UINT32_MAX, UINT32_MAX, UINT32_MAX, right);

    struct bytes transitions = {0};
    put_number(&transitions, 1, 9);
    assert_body_refused("rows: missing", TRANSITIONS, &transitions);
}

// The ensemble and states: lengths, numbers of members and rows, and sequence numbers.
static void ensembles_and_states_must_match(void **state) {
    (void)state;
    static const uint8_t zeros[64];
    const struct {
        uint32_t params, elites, elite;
        const char *says;
    } models[] = {{7, 1, 0, "model.params:"},
                  {0, 1, 0, "model.params: 0"},
                  {8, 0, 0, "model.elites: 0"},
                  {8, 33, 0, "model.elite: 33 members"},
                  {8, 1, 32, "model.elite: 32"}};
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        struct bytes model = {0};
        put_number(&model, 1, 1);
        put_number(&model, 2, 1);
        put_bytes(&model, 4, zeros, models[i].params);
        put_bytes(&model, 5, zeros, 8);
        for (uint32_t k = 0; k < models[i].elites; k++) {
            put_number(&model, 7, models[i].elite);
        }
        assert_body_refused(models[i].says, MODEL, &model);
    }
    const struct {
        uint64_t seq, rows, obs_dim;
        size_t bytes;
        const char *says;
    } states[] = {{1, 2, 3, 23, "states.obs:"},      {1, 3, 3, 24, "states.obs:"},
                  {0, 2, 3, 24, "states.seq: 0"},    {1, 0, 3, 0, "states.rows: 0"},
                  {1, 2, 0, 0, "states.obs_dim: 0"}, {1, 0x80000002u, 3, 24, "too many"}};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        struct bytes body = {0};
        put_number(&body, 1, states[i].seq);
        put_number(&body, 6, states[i].rows);
        put_number(&body, 7, states[i].obs_dim);
        put_bytes(&body, 8, zeros, states[i].bytes);
        assert_body_refused(states[i].says, STATES, &body);
    }
}

static void too_many_rows_are_refused(void **state) {
    (void)state;
    size_t rows = WIRE_ROWS_MAX + 1;
    uint8_t *data = calloc(1, rows * 17 + 64);
    struct bytes head = {0}, body = {0};
    put_number(&body, 1, 9);
    size_t rows_len = 3 * 2 + 2 + 4 * (1 + 3 + rows * 4) + (1 + 3 + rows);
    put_varint(&body, 3 << 3 | 2);
    put_varint(&body, rows_len);
    put_number(&head, 1, WIRE_SCHEMA);
    put_varint(&head, TRANSITIONS << 3 | 2);
    put_varint(&head, body.len + rows_len);
    put(&head, body.data, body.len);
    put_number(&head, 1, rows);
    put_number(&head, 2, 1);
    put_number(&head, 3, 1);
    memcpy(data, head.data, head.len);
    size_t len = head.len;
    for (uint32_t field = 4; field <= 8; field++) {
        struct bytes tag = {0};
        size_t column = field == 8 ? rows : rows * 4;
        put_varint(&tag, field << 3 | 2);
        put_varint(&tag, column);
        memcpy(data + len, tag.data, tag.len);
        len += tag.len + column;
    }
    assert_refused(WIRE_REFUSED_FORMAT, "rows.rows: 16385 is outside 1 to 16384", data, len);
    free(data);

    struct bytes policy = {0};
    put_number(&policy, 1, 1);
    put_number(&policy, 7, UINT64_C(1) << 62); // times 4 is 0
    assert_body_refused("policy.params", POLICY, &policy);
}

// With weights, a policy has a version and a shape.
static void policies_are_described(void **state) {
    (void)state;
    const uint32_t fields[] = {1, 3, 4, 5, 6};
    const char *const says[] = {"policy.version: 0", "policy.obs_dim: 0", "policy.act_dim: 0",
                                "policy.hidden: 0 widths for 1 layers", "policy.hidden_layers: 0"};
    for (int missing = 0; missing < 5; missing++) {
        struct bytes policy = {0};
        for (int i = 0; i < 5; i++) {
            put_number(&policy, fields[i], i != missing);
        }
        put_number(&policy, 7, 1);
        put_bytes(&policy, 8, "\0\0\0\0", 4);
        assert_body_refused(says[missing], POLICY, &policy);
    }
    struct bytes none = {0}; // without weights
    put_number(&none, 6, 12);
    assert_body_refused("policy.hidden_layers: 12", POLICY, &none);
    // Widths and activation: too few, too many, none, unknown; beside hidden_width.
    const struct {
        int layers, widths, width, hidden_width, activation;
        const char *says;
    } bad[] = {{2, 1, 8, 0, 2, "policy.hidden: 1 widths for 2 layers"},
               {2, 3, 8, 0, 2, "policy.hidden: 3 widths for 2 layers"},
               {2, 2, 8, 8, 2, "policy.hidden: 2 widths for 2 layers"},
               {2, 2, 0, 0, 2, "policy.hidden: 0"},
               {2, 2, 100, 0, 3, "policy.activation: 3"},
               {2, 2, 100, 0, 0, "policy.activation: 0"},
               {12, 12, 8, 0, 2, "policy.hidden_layers: 12"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct bytes policy = {0};
        uint8_t widths[12];
        memset(widths, bad[i].width, sizeof(widths)); // varints of one byte
        for (uint32_t field = 1; field <= 4; field++) {
            put_number(&policy, field, 1);
        }
        put_number(&policy, 5, (uint64_t)bad[i].hidden_width);
        put_number(&policy, 6, (uint64_t)bad[i].layers);
        put_number(&policy, 7, 1);
        put_bytes(&policy, 8, "\0\0\0\0", 4);
        put_bytes(&policy, 9, widths, (size_t)bad[i].widths);
        put_number(&policy, 10, (uint64_t)bad[i].activation);
        assert_body_refused(bad[i].says, POLICY, &policy);
    }
}

static void flags_are_one_or_none(void **state) {
    (void)state;
    const void *data;
    size_t len;
    for (int flag = 3; flag < 256; flag += 126) {
        pack(&data, &len, WIRE_TRANSITIONS);
        uint8_t *bytes = malloc(len);
        memcpy(bytes, data, len);
        bytes[len - 1] = (uint8_t)flag; // flags are the last column
        assert_refused(WIRE_REFUSED_FORMAT, "rows.flags[2]", bytes, len);
        free(bytes);
    }
}

// The caller still gets the type of the message, to answer and count it.
static void assert_value_refused(const char *says, const struct wire_msg *msg) {
    const void *data;
    size_t len;
    wire_pack(wire, &data, &len, msg);
    assert_refused(WIRE_REFUSED_VALUE, says, data, len);
    assert_int_equal(got.type, msg->type);
    assert_int_equal(got.run_id, msg->run_id);
}

static void bad_numbers_are_refused(void **state) {
    (void)state;
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t b = 0; b < sizeof(bad) / sizeof(bad[0]); b++) {
        for (int column = 0; column < 4; column++) {
            wire_sample(&sent, WIRE_TRANSITIONS);
            const struct wire_rows *r = &sent.transitions.rows;
            const float *columns[] = {r->obs, r->act, r->reward, r->next_obs};
            const char *names[] = {"rows.obs, row 2, column 0", "rows.act, row 0, column 1",
                                   "rows.reward, row 1", "rows.next_obs, row 1, column 3"};
            const int places[] = {8, 1, 1, 7};
            ((float *)(uintptr_t)columns[column])[places[column]] = bad[b];
            assert_value_refused(names[column], &sent);
            assert_int_equal(got.transitions.seq, sent.transitions.seq);
            assert_int_equal(got.transitions.rows.rows, SAMPLE_ROWS);

            wire_sample(&sent, WIRE_EXPERIENCE);
            ((float *)(uintptr_t)columns[column])[places[column]] = bad[b];
            assert_value_refused(names[column], &sent);
            assert_int_equal(got.experience.seq, sent.experience.seq);
        }
        wire_sample(&sent, WIRE_POLICY);
        ((float *)(uintptr_t)sent.policy.params)[SAMPLE_PARAMS - 1] = bad[b];
        assert_value_refused("policy.params, row 9", &sent);
        wire_sample(&sent, WIRE_ENSEMBLE);
        ((float *)(uintptr_t)sent.model.params)[4] = bad[b];
        assert_value_refused("model.params, row 4", &sent);
        wire_sample(&sent, WIRE_ENSEMBLE);
        ((float *)(uintptr_t)sent.model.termination)[1] =
            NAN; // while -infinity, a head that never ends a rollout, is accepted
        assert_value_refused("model.termination, row 1", &sent);
        wire_sample(&sent, WIRE_STATES);
        ((float *)(uintptr_t)sent.states.obs)[5] = bad[b];
        assert_value_refused("states.obs, row 1, column 2", &sent);
        wire_sample(&sent, WIRE_EPISODE);
        sent.episode.episode_return = (double)bad[b];
        assert_value_refused("episode.episode_return", &sent);
    }
}

// Every position of a column is checked, also across the blocks of the check.
static void bad_numbers_are_found_anywhere(void **state) {
    (void)state;
    enum { ROWS = 203 };
    static float column[ROWS];
    static uint8_t flags[ROWS];
    const struct wire_rows rows = {ROWS, 1, 1, column, column, column, column, flags};
    memset(&sent, 0, sizeof(sent));
    sent.type = WIRE_TRANSITIONS;
    sent.transitions.seq = 1;
    sent.transitions.rows = rows;
    for (int i = 0; i < ROWS; i++) {
        char says[64];
        snprintf(says, sizeof(says), "rows.obs, row %d, column 0", i);
        column[i] = INFINITY;
        assert_value_refused(says, &sent);
        column[i] = NAN;
        assert_value_refused(says, &sent);
        column[i] = 0;
    }
}

static void actions_stay_in_bounds(void **state) {
    (void)state;
    const void *data;
    size_t len;
    const float fine[] = {1, -1, 1.0000005f, -1.0000009f};
    const float wrong[] = {1.00001f, -1.00001f, 2, -1e30f};
    for (int i = 0; i < 4; i++) {
        wire_sample(&sent, WIRE_TRANSITIONS);
        float *act = (float *)(uintptr_t)sent.transitions.rows.act;
        act[5] = fine[i];
        wire_pack(wire, &data, &len, &sent);
        assert_int_equal(wire_unpack(wire, &got, data, len, err, sizeof(err)), 0);
        act[5] = wrong[i];
        assert_value_refused("rows.act, row 2, column 1", &sent);
    }
}

static void status_has_limits(void **state) {
    (void)state;
    struct bytes model = {0}, status = {0};
    double zeros[WIRE_MEMBERS_MAX + 1] = {0};
    put_bytes(&model, 11, zeros, sizeof(zeros));
    put_bytes(&status, 20, model.data, model.len);
    assert_body_refused("33 members", STATUS, &status);

    model.len = status.len = 0;
    put_bytes(&model, 11, zeros, 3 * sizeof(double));
    put_bytes(&model, 12, "\3", 1); // elite 3 of members 0, 1, 2
    put_bytes(&status, 20, model.data, model.len);
    assert_body_refused("status.elite: 3", STATUS, &status);

    status.len = 0;
    for (int i = 0; i <= WIRE_COUNTERS_MAX; i++) {
        put_bytes(&status, 23, "\x0a\1c", 3);
    }
    assert_body_refused("65 counters", STATUS, &status);

    struct bytes report = {0};
    put_number(&report, 4, 2);
    put_bytes(&report, 5, zeros, 16);
    put_bytes(&report, 6, zeros, 8);
    assert_body_refused("2 returns and 1 lengths for 2 episodes", EVAL_REPORT, &report);
    report.len = 0;
    put_bytes(&report, 5, zeros, 16);
    put_bytes(&report, 6, zeros, 16);
    assert_body_refused("2 returns and 2 lengths for 0 episodes", EVAL_REPORT, &report);
}

// A message of `len` bytes: a Status that repeats one small part.
static uint8_t *bomb(size_t *len, const char *piece, size_t piece_len, size_t size) {
    struct bytes head = {0};
    size_t pieces = size / piece_len;
    put_number(&head, 1, WIRE_SCHEMA);
    put_varint(&head, STATUS << 3 | 2);
    put_varint(&head, pieces * piece_len);
    uint8_t *data = malloc(head.len + pieces * piece_len);
    memcpy(data, head.data, head.len);
    for (size_t i = 0; i < pieces; i++) {
        memcpy(data + head.len + i * piece_len, piece, piece_len);
    }
    *len = head.len + pieces * piece_len;
    return data;
}

static long peak_kib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

// Each of these would make protobuf-c allocate many times its size.
static void small_parts_cause_no_large_allocations(void **state) {
    (void)state;
    const struct {
        const char *piece;
        size_t len;
        const char *says;
    } bombs[] = {
        {"\xb2\x01\x00", 3, "more than"},       // actors, each 2 bytes and 200 on the heap
        {"\xba\x01\x00", 3, "more than"},       // counters
        {"\xf8\x07\x01", 3, "too much memory"}, // unknown numbers, which protobuf-c keeps
    };
    enum { SIZE = 12 << 20 };
    for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
        size_t len;
        uint8_t *data = bomb(&len, bombs[i].piece, bombs[i].len, SIZE);
        long before = peak_kib();
        assert_refused(WIRE_REFUSED_FORMAT, bombs[i].says, data, len);
        long grown = peak_kib() - before;
        if (grown > 80 << 10) {
            fail_msg("a message of %zu bytes took %ld KiB", len, grown);
        }
        free(data);
    }
}

static void oversized_messages_are_refused(void **state) {
    (void)state;
    size_t len = (64u << 20) + 1;
    uint8_t *data = calloc(1, len);
    assert_refused(WIRE_REFUSED_FORMAT, "at most 67108864", data, len);
    free(data);
}

// Packing a faulty message is a bug, and stops the program there.
static void packing_checks_the_form(void **state) {
    (void)state;
    for (int fault = 0; fault < 5; fault++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (!freopen("/dev/null", "w", stderr)) {
                _exit(1);
            }
            const void *data;
            size_t len;
            wire_sample(&sent, fault < 3 ? WIRE_TRANSITIONS : WIRE_HELLO);
            if (fault == 0) {
                sent.transitions.rows.rows = WIRE_ROWS_MAX + 1;
            } else if (fault == 1) {
                sent.transitions.rows.obs = NULL;
            } else if (fault == 2) {
                sent.transitions.seq = 0;
            } else if (fault == 3) {
                sent.hello.role = 0;
            } else {
                memset(sent.hello.task, 'x', WIRE_STRING_MAX);
            }
            wire_pack(wire, &data, &len, &sent);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        // First, while the process is still small.
        cmocka_unit_test(small_parts_cause_no_large_allocations),
        cmocka_unit_test(cut_anywhere_is_refused),
        cmocka_unit_test(another_schema_is_refused_with_both_versions),
        cmocka_unit_test(repeated_fields_are_refused),
        cmocka_unit_test(unknown_noise_is_refused),
        cmocka_unit_test(bad_figures_are_refused),
        cmocka_unit_test(bad_strings_are_refused),
        cmocka_unit_test(bad_enums_are_refused),
        cmocka_unit_test(shapes_must_match_lengths),
        cmocka_unit_test(ensembles_and_states_must_match),
        cmocka_unit_test(too_many_rows_are_refused),
        cmocka_unit_test(policies_are_described),
        cmocka_unit_test(flags_are_one_or_none),
        cmocka_unit_test(bad_numbers_are_refused),
        cmocka_unit_test(bad_numbers_are_found_anywhere),
        cmocka_unit_test(actions_stay_in_bounds),
        cmocka_unit_test(status_has_limits),
        cmocka_unit_test(oversized_messages_are_refused),
        cmocka_unit_test(packing_checks_the_form),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
