// SPDX-License-Identifier: MIT
// Tests every row of the table of methods: its name, its declared metrics, a state that its blocks
// cover, and equal bits from equal blocks. MBPO mixes its batch from both buffers; SAC samples real
// rows only.
#include "tests/unit/learner_fixture.h"

#include <math.h>

#include "common/base/check.h"
#include "common/config/methods.h"
#include "learner/methods/value_bounds.h"

#define ROWS 64
#define MODEL_BASE 1000

static const enum method_id all[] = {
#define X(name, needs, sections, defaults) METHOD_##name,
    METHODS(X)
#undef X
};
enum { COUNT = sizeof(all) / sizeof(all[0]) };

static struct config config_of(enum method_id id) {
    struct config c = fixture_config();
    config_use_method(&c, id);
    return c;
}

// Real rows have rewards from 0, model rows from MODEL_BASE.
static void fill(struct replay *r, float base, int rows) {
    char err[256];
    assert_int_equal(replay_init(r, OBS, ACT, ROWS, ROWS, err, sizeof(err)), 0);
    static struct fixture_rows made;
    static const uint8_t never[ROWS];
    fixture_fill(&made, 0, (uint32_t)rows, base);
    replay_add(r, &(struct replay_rows){.n = (uint64_t)rows,
                                        .obs = made.obs,
                                        .act = made.act,
                                        .reward = made.reward,
                                        .next_obs = made.next_obs,
                                        .terminated = never});
}

struct buffers {
    struct replay d_env, d_model;
    struct states states;
    struct dynamics dynamics;
    struct method_source source;
};

// A random ensemble, and the observations of D_env as states.
static void set_up_states(struct buffers *b, const struct config *c) {
    struct replay_rows rows = replay_part(&b->d_env, 0);
    states_init(&b->states, OBS, 2, ROWS);
    states_add(&b->states, rows.obs, ROWS, 0);
    dynamics_init(&b->dynamics, c, fixture_task());
    struct dynamics *d = &b->dynamics;
    ensemble_init(d->params, &d->ensemble, 3);
    ensemble_normalizer_identity(d->normalizer, &d->ensemble);
    d->version = 1;
    d->elites = d->ensemble.members;
    for (int i = 0; i < d->elites; i++) {
        d->elite[i] = i;
    }
    b->source.states = &b->states;
    b->source.dynamics = &b->dynamics;
}

static void set_up(struct buffers *b, const struct config *c) {
    unsigned needs = method_info(c->method)->needs;
    *b = (struct buffers){0};
    fill(&b->d_env, 0, ROWS);
    fill(&b->d_model, MODEL_BASE, needs & METHOD_MODEL_ROWS ? ROWS : 0);
    b->source = (struct method_source){.d_env = &b->d_env, .d_model = &b->d_model};
    if (needs & METHOD_STATES) {
        set_up_states(b, c);
    }
}

static void tear_down(struct buffers *b) {
    states_deinit(&b->states);
    dynamics_deinit(&b->dynamics);
    replay_deinit(&b->d_env);
    replay_deinit(&b->d_model);
}

static void every_method_keeps_its_promises(void **state) {
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        const struct method *method = method_find(all[i]);
        assert_string_equal(method->name, method_info(all[i])->name);
        struct config c = config_of(all[i]);
        c.sac.bound_values = true; // all of the state is in use
        assert_true(method->memory(&c, fixture_task()) > 0);
        struct buffers b;
        set_up(&b, &c);
        void *one = method->create(&c, fixture_task()), *two = method->create(&c, fixture_task());

        // Figures: the declared names in their order, finite.
        struct metrics metrics = {0};
        method->update(one, 1, &b.source, &metrics);
        assert_true(metrics_finite(&metrics));
        uint32_t n = 0;
        for (; method->metrics[n]; n++) {
            assert_true(n < metrics.count);
            assert_string_equal(metrics.list[n].name, method->metrics[n]);
        }
        assert_int_equal(metrics.count, n);

        // The blocks are the whole state: copied, the next update gives the same bits.
        struct method_block from[METHOD_BLOCKS_MAX], to[METHOD_BLOCKS_MAX];
        int count = method->blocks(one, from);
        assert_int_equal(method->blocks(two, to), count);
        for (int k = 0; k < count; k++) {
            assert_int_equal(from[k].n, to[k].n);
            memcpy(to[k].data, from[k].data, from[k].n * sizeof(float));
        }
        method->update(one, 2, &b.source, &metrics);
        method->update(two, 2, &b.source, &metrics);
        for (int k = 0; k < count; k++) {
            assert_memory_equal(from[k].data, to[k].data, from[k].n * sizeof(float));
        }

        // One number that is not finite, in any block, is noticed.
        assert_true(method_finite(method, one));
        for (int k = 0; k < count; k++) {
            float *last = &from[k].data[from[k].n - 1], kept = *last;
            *last = k % 2 ? NAN : INFINITY;
            assert_false(method_finite(method, one));
            *last = kept;
        }
        assert_true(method_finite(method, one));
        assert_true(method->policy(one).shape->obs_dim == OBS);
        method->destroy(one);
        method->destroy(two);
        tear_down(&b);
    }
}

static int model_rows_in_batch(enum method_id id, const struct method_source *source) {
    struct config c = config_of(id);
    c.sac.scale_rewards = false; // rewards of the batch identify its rows
    const struct method *method = method_find(id);
    struct sac_method *m = method->create(&c, fixture_task());
    struct metrics metrics = {0};
    method->update(m, 1, source, &metrics);
    int rows = 0;
    for (int i = 0; i < m->batch.rows; i++) {
        rows += m->batch.reward[i] >= MODEL_BASE;
    }
    method->destroy(m);
    return rows;
}

static void batches_have_the_rows_of_their_method(void **state) {
    (void)state;
    struct buffers b;
    struct config c = config_of(METHOD_mbpo);
    set_up(&b, &c);
    assert_int_equal(model_rows_in_batch(METHOD_mbpo, &b.source), 38); // 40 - int(0.05 * 40)
    assert_int_equal(model_rows_in_batch(METHOD_sac, &b.source), 0);
    tear_down(&b);
    c = config_of(METHOD_sac);
    set_up(&b, &c);
    assert_int_equal(model_rows_in_batch(METHOD_mbpo, &b.source), 0); // before the first rollouts
    assert_int_equal(model_rows_in_batch(METHOD_sac, &b.source), 0);
    tear_down(&b);
}

static void automatic_target_entropy_follows_the_task(void **state) {
    (void)state;
    struct config c = config_of(METHOD_sac);
    assert_true(sac_method_config(&c, fixture_task()).target_entropy == -1);
    assert_true(sac_method_config(&c, task_find("hopper")).target_entropy == -3);
    c.sac.target_entropy = -0.5;
    assert_true(sac_method_config(&c, task_find("hopper")).target_entropy == -0.5);
}

// New statistics of a larger D_env change what the networks see and nothing that the policy does:
// after the third update, with hardly a learning rate, it acts as after the second.
static void units_change_and_the_policy_does_not(void **state) {
    (void)state;
    struct config c = config_of(METHOD_sac);
    c.sac.learning_rate = 1e-8;
    const struct method *method = method_find(METHOD_sac);
    void *self = method->create(&c, fixture_task());
    struct buffers b = {0};
    fill(&b.d_env, 0, ROWS / 2);
    b.source = (struct method_source){.d_env = &b.d_env, .d_model = &b.d_model};
    struct metrics metrics = {0};
    method->update(self, 1, &b.source, &metrics);
    method->update(self, 2, &b.source, &metrics);
    static struct fixture_rows far;
    static const uint8_t never[ROWS];
    fixture_fill(&far, 0, ROWS / 2, 0);
    for (int i = 0; i < ROWS / 2 * OBS; i++) {
        far.obs[i] = 6 + 2 * far.obs[i];
    }
    float before[ROWS], after[ROWS];
    for (int pass = 0; pass < 2; pass++) {
        struct method_policy policy = method->policy(self);
        float *scratch = xfloats(policy_scratch(policy.shape, ROWS / 2));
        policy_mean(pass == 0 ? before : after, scratch, policy.shape, policy.params, far.obs,
                    ROWS / 2);
        free(scratch);
        if (pass == 0) {
            replay_add(&b.d_env, &(struct replay_rows){ROWS / 2, far.obs, far.act, far.reward,
                                                       far.next_obs, never});
            metrics = (struct metrics){0};
            method->update(self, 3, &b.source, &metrics);
        }
    }
    for (int i = 0; i < ROWS / 2 * ACT; i++) {
        assert_true(fabsf(after[i] - before[i]) < 1e-3f);
    }
    method->destroy(self);
    replay_deinit(&b.d_env);
}

// The value, in the environment's units, of a number in the method's.
static double value_of(const struct sac_method *m, float number) {
    double discount = m->sac.config.discount;
    return scaling_value_offset(&m->scaling, discount) +
           scaling_reward_scale(&m->scaling) * (double)number;
}

// Rewards of D_env become ten times as large; the bounds follow at their own rate, not with the
// units.
static void bounds_keep_their_meaning(void **state) {
    (void)state;
    struct config c = config_of(METHOD_sac);
    c.sac.bound_values = true;
    c.sac.initial_temperature = 1e-6;
    const struct method *method = method_find(METHOD_sac);
    struct sac_method *m = method->create(&c, fixture_task());
    struct buffers b = {0};
    fill(&b.d_env, 0, ROWS / 2);
    b.source = (struct method_source){.d_env = &b.d_env, .d_model = &b.d_model};
    struct metrics metrics = {0};
    method->update(m, 1, &b.source, &metrics);
    double upper = value_of(m, m->bounds[VALUE_UPPER]);
    double largest = (ROWS / 2 - 1) / (1 - c.sac.discount); // of rewards 0, 1, ...
    assert_true(upper > 0.9 * largest && upper < 1.01 * largest);
    assert_true(fabs(value_of(m, m->bounds[VALUE_LOWER])) < 0.01 * largest);
    static struct fixture_rows large;
    static const uint8_t never[ROWS];
    fixture_fill(&large, 0, ROWS / 2, 10 * ROWS);
    replay_add(&b.d_env, &(struct replay_rows){ROWS / 2, large.obs, large.act, large.reward,
                                               large.next_obs, never});
    metrics = (struct metrics){0};
    method->update(m, 2, &b.source, &metrics);
    assert_true(scaling_reward_scale(&m->scaling) > 5 * ROWS / 2);
    double moved = value_of(m, m->bounds[VALUE_UPPER]) - upper;
    assert_true(moved > 0 && moved < 0.02 * upper);

    // A checkpoint has them.
    struct method_block blocks[METHOD_BLOCKS_MAX];
    int count = method->blocks(m, blocks), found = 0;
    for (int k = 0; k < count; k++) {
        found += blocks[k].n == VALUE_BOUNDS && blocks[k].data[VALUE_BOUNDED] == 1 &&
                 blocks[k].data[VALUE_UPPER] == m->bounds[VALUE_UPPER];
    }
    assert_int_equal(found, 1);
    method->destroy(m);
    replay_deinit(&b.d_env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_keeps_its_promises),
        cmocka_unit_test(batches_have_the_rows_of_their_method),
        cmocka_unit_test(units_change_and_the_policy_does_not),
        cmocka_unit_test(bounds_keep_their_meaning),
        cmocka_unit_test(automatic_target_entropy_follows_the_task),
    };
    return cmocka_run_group_tests_name("methods", tests, NULL, NULL);
}
