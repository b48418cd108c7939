// SPDX-License-Identifier: MIT
// Shows that every message survives packing and unpacking, field by field, up to the largest ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void assert_same_rows(struct wire_rows *a, const struct wire_rows *b) {
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(((uintptr_t)a->obs | (uintptr_t)a->act | (uintptr_t)a->reward |
                      (uintptr_t)a->next_obs | (uintptr_t)a->flags) %
                         16,
                     0);
    assert_memory_equal(a->obs, b->obs, sizeof(float) * b->rows * b->obs_dim);
    assert_memory_equal(a->act, b->act, sizeof(float) * b->rows * b->act_dim);
    assert_memory_equal(a->reward, b->reward, sizeof(float) * b->rows);
    assert_memory_equal(a->next_obs, b->next_obs, sizeof(float) * b->rows * b->obs_dim);
    assert_memory_equal(a->flags, b->flags, b->rows);
    *a = *b; // the rest is compared as memory
}

static void assert_same_policy(struct wire_policy *a, const struct wire_policy *b) {
    assert_int_equal(a->params_len, b->params_len);
    assert_memory_equal(a->params, b->params, sizeof(float) * b->params_len);
    a->params = b->params;
}

static void assert_same_model(struct wire_model *a, const struct wire_model *b) {
    assert_memory_equal(a->params, b->params, sizeof(float) * b->params_len);
    assert_memory_equal(a->normalizer, b->normalizer, sizeof(float) * b->normalizer_len);
    assert_memory_equal(a->termination, b->termination, sizeof(float) * b->termination_len);
    a->params = b->params;
    a->normalizer = b->normalizer;
    a->termination = b->termination;
}

// Compares pointed-to data, then everything else as memory.
static void assert_same(struct wire_msg *a, const struct wire_msg *b) {
    assert_int_equal(a->type, b->type);
    switch (b->type) {
    case WIRE_TRANSITIONS:
        assert_same_rows(&a->transitions.rows, &b->transitions.rows);
        break;
    case WIRE_EXPERIENCE:
        assert_same_rows(&a->experience.rows, &b->experience.rows);
        break;
    case WIRE_ENSEMBLE:
        assert_same_model(&a->model, &b->model);
        break;
    case WIRE_STATES:
        assert_memory_equal(a->states.obs, b->states.obs,
                            sizeof(float) * b->states.rows * b->states.obs_dim);
        a->states.obs = b->states.obs;
        break;
    case WIRE_POLICY:
        assert_same_policy(&a->policy, &b->policy);
        break;
    case WIRE_EVAL_REQUEST:
        assert_same_policy(&a->eval_request.policy, &b->eval_request.policy);
        break;
    case WIRE_EVAL_REPORT:
        assert_memory_equal(a->eval_report.returns, b->eval_report.returns, 2 * sizeof(double));
        assert_memory_equal(a->eval_report.lengths, b->eval_report.lengths, 2 * sizeof(double));
        a->eval_report.returns = b->eval_report.returns;
        a->eval_report.lengths = b->eval_report.lengths;
        break;
    case WIRE_STATUS:
        assert_int_equal(a->status.actor_count, b->status.actor_count);
        assert_memory_equal(a->status.actors, b->status.actors,
                            b->status.actor_count * sizeof(*b->status.actors));
        a->status.actors = b->status.actors;
        break;
    default:
        break;
    }
    assert_memory_equal(a, b, sizeof(*a));
}

static void pack(const void **data, size_t *len, enum wire_type type) {
    wire_sample(&sent, type);
    wire_pack(wire, data, len, &sent);
}

static void every_message_arrives_as_sent(void **state) {
    (void)state;
    for (int type = WIRE_HELLO; type <= WIRE_TYPE_LAST; type++) {
        const void *data;
        size_t len;
        pack(&data, &len, (enum wire_type)type);
        // From an odd address: messages have no alignment.
        char *odd = malloc(len + 1);
        memcpy(odd + 1, data, len);
        int rc = wire_unpack(wire, &got, odd + 1, len, err, sizeof(err));
        free(odd);
        if (rc != 0) {
            fail_msg("%s is refused: %s", wire_type_name((enum wire_type)type), err);
        }
        assert_same(&got, &sent);
        assert_string_not_equal(wire_type_name((enum wire_type)type), "unknown");
    }
    assert_string_equal(wire_type_name(0), "unknown");
    assert_string_equal(wire_type_name(WIRE_TYPE_LAST + 1), "unknown");
}

// Equal relu layers travel in the short form, which older programs read; other shapes do not.
static void the_shape_of_a_policy_arrives(void **state) {
    (void)state;
    const struct {
        int layers, width[3];
        enum wire_activation activation;
    } shapes[] = {{1, {64}, WIRE_ACTIVATION_RELU},
                  {3, {32, 32, 32}, WIRE_ACTIVATION_RELU},
                  {3, {32, 32, 16}, WIRE_ACTIVATION_RELU},
                  {2, {32, 32}, WIRE_ACTIVATION_SILU}};
    for (int i = 0; i < 4; i++) {
        const void *data;
        size_t len;
        wire_sample(&sent, WIRE_POLICY);
        wire_policy_hidden(&sent.policy, shapes[i].layers, shapes[i].width, shapes[i].activation);
        wire_pack(wire, &data, &len, &sent);
        assert_int_equal(wire_unpack(wire, &got, data, len, err, sizeof(err)), 0);
        assert_int_equal(got.policy.hidden_layers, shapes[i].layers);
        assert_int_equal(got.policy.activation, shapes[i].activation);
        for (int l = 0; l < shapes[i].layers; l++) {
            assert_int_equal(got.policy.hidden[l], shapes[i].width[l]);
        }
    }
}

// Kept rows are unchanged by later messages, and uncopied where possible. They occupy no more
// memory than necessary, even after a much larger message.
static void kept_rows_outlast_their_message(void **state) {
    (void)state;
    const void *data;
    size_t len;
    memset(&sent, 0, sizeof(sent));
    sent.type = WIRE_POLICY;
    enum { PARAMS = 1000000, KEPT = 100, BYTES_MAX = 16384 };
    float *params = calloc(PARAMS, sizeof(*params));
    sent.policy = (struct wire_policy){.version = 1,
                                       .obs_dim = 1,
                                       .act_dim = 1,
                                       .hidden_layers = 1,
                                       .hidden = {1},
                                       .activation = WIRE_ACTIVATION_RELU,
                                       .params_len = PARAMS,
                                       .params = params};
    wire_pack(wire, &data, &len, &sent);
    assert_int_equal(wire_unpack(wire, &got, data, len, err, sizeof(err)), 0);
    free(params);

    struct wire_kept *kept[KEPT];
    pack(&data, &len, WIRE_EXPERIENCE);
    const struct wire_rows rows = sent.experience.rows;
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < KEPT; i++) {
        assert_int_equal(wire_unpack(wire, &got, data, len, err, sizeof(err)), 0);
        kept[i] = wire_keep(&got.experience.rows);
        assert_ptr_equal(kept[i]->rows.obs, got.experience.rows.obs);
        assert_null(kept[i]->rows.wire);
    }
    struct mallinfo2 after = mallinfo2();
    assert_true(after.uordblks + after.hblkhd < before.uordblks + before.hblkhd + KEPT * BYTES_MAX);

    assert_int_equal(wire_unpack(wire, &got, data, len, err, sizeof(err)), 0);
    struct wire_kept *copy = wire_keep(&rows); // in the test's own memory
    assert_ptr_not_equal(copy->rows.obs, rows.obs);
    assert_same_rows(&copy->rows, &rows);
    wire_drop(&copy);
    for (int i = 0; i < KEPT; i++) {
        assert_same_rows(&kept[i]->rows, &rows);
        wire_drop(&kept[i]);
        assert_null(kept[i]);
    }
}

static void absent_parts_stay_absent(void **state) {
    (void)state;
    const void *data;
    size_t len;
    memset(&sent, 0, sizeof(sent));
    sent.type = WIRE_STATUS;
    wire_pack(wire, &data, &len, &sent);
    assert_int_equal(wire_unpack(wire, &got, data, len, err, sizeof(err)), 0);
    assert_false(got.status.has_pacing || got.status.has_learner || got.status.has_model ||
                 got.status.has_eval);
    assert_int_equal(got.status.actor_count + got.status.counter_count, 0);

    memset(&sent, 0, sizeof(sent));
    sent.type = WIRE_POLICY; // "you have the newest"
    sent.policy.version = 7;
    wire_pack(wire, &data, &len, &sent);
    assert_int_equal(wire_unpack(wire, &got, data, len, err, sizeof(err)), 0);
    assert_int_equal(got.policy.version, 7);
    assert_null(got.policy.params);
}

static void the_largest_status_fits(void **state) {
    (void)state;
    const void *data;
    size_t len;
    wire_sample(&sent, WIRE_STATUS);
    struct wire_actor_status *actors = calloc(WIRE_ACTORS_MAX, sizeof(*actors));
    for (int i = 0; i < WIRE_ACTORS_MAX; i++) {
        actors[i] = sent.status.actors[i % SAMPLE_ACTORS];
        memset(actors[i].id, 'i', WIRE_STRING_MAX - 1);
        memset(actors[i].host, 'h', WIRE_STRING_MAX - 1);
        memset(actors[i].waiting, 'w', WIRE_STRING_MAX - 1);
    }
    sent.status.actors = actors;
    sent.status.actor_count = WIRE_ACTORS_MAX;
    for (int i = 0; i < WIRE_COUNTERS_MAX; i++) {
        memset(sent.status.counters[i].name, 'c', WIRE_STRING_MAX - 1);
    }
    sent.status.counter_count = WIRE_COUNTERS_MAX;
    for (int again = 0; again < 2; again++) { // the second time with memory already allocated
        wire_pack(wire, &data, &len, &sent);
        int rc = wire_unpack(wire, &got, data, len, err, sizeof(err));
        if (rc != 0) {
            fail_msg("%d actors in %zu bytes: %s", WIRE_ACTORS_MAX, len, err);
        }
        assert_same(&got, &sent);
    }
    free(actors);
}

static void the_largest_rows_fit(void **state) {
    (void)state;
    wire_sample(&sent, WIRE_EXPERIENCE);
    struct wire_rows *r = &sent.experience.rows;
    r->rows = WIRE_ROWS_MAX;
    r->obs_dim = 376;
    r->act_dim = 17;
    float *floats = calloc((size_t)r->rows * r->obs_dim, sizeof(float));
    uint8_t *flags = calloc(r->rows, 1);
    r->obs = r->act = r->reward = r->next_obs = floats;
    r->flags = flags;
    const void *data;
    size_t len;
    wire_pack(wire, &data, &len, &sent);
    assert_int_equal(wire_unpack(wire, &got, data, len, err, sizeof(err)), 0);
    assert_same(&got, &sent);
    free(floats);
    free(flags);
}

// Text for people goes to terminals and JSON: no escapes, no broken UTF-8.
static void unprintable_text_arrives_as_question_marks(void **state) {
    (void)state;
    const void *data;
    size_t len;
    memset(&sent, 0, sizeof(sent));
    sent.type = WIRE_SHUTDOWN;
    snprintf(sent.shutdown.text, WIRE_STRING_MAX,
             "a\x1b[31m\xff\xc3\xa9\xe2\x82\xac\xc0\x80\xed\xa0\x80"
             "\xf0\x9f\x99\x82\n\xe2");
    wire_pack(wire, &data, &len, &sent);
    assert_int_equal(wire_unpack(wire, &got, data, len, err, sizeof(err)), 0);
    assert_string_equal(got.shutdown.text, "a?[31m?\xc3\xa9\xe2\x82\xac?????\xf0\x9f\x99\x82??");
}

static void a_diverging_learner_can_report_it(void **state) {
    (void)state;
    const void *data;
    size_t len;
    wire_sample(&sent, WIRE_PROGRESS);
    metrics_set(&sent.progress.metrics, "critic_loss", (double)NAN);
    wire_pack(wire, &data, &len, &sent);
    assert_int_equal(wire_unpack(wire, &got, data, len, err, sizeof(err)), 0);
    assert_true(isnan(*metrics_find(&got.progress.metrics, "critic_loss")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_arrives_as_sent),
        cmocka_unit_test(the_shape_of_a_policy_arrives),
        cmocka_unit_test(kept_rows_outlast_their_message),
        cmocka_unit_test(absent_parts_stay_absent),
        cmocka_unit_test(the_largest_status_fits),
        cmocka_unit_test(the_largest_rows_fit),
        cmocka_unit_test(unprintable_text_arrives_as_question_marks),
        cmocka_unit_test(a_diverging_learner_can_report_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
