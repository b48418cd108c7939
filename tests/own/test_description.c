// SPDX-License-Identifier: MIT
// Shows that an environment described in YAML has the described observations,
// rewards, termination and start states, computed here from the simulator's state.
// Every possible error in the file or its model is refused with file, line, field
// and the valid choices.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actor/env/env.h"
#include "actor/env/env_factory.h"
#include "actor/env/mujoco_internal.h"
#include "actor/env/mujoco_names.h"

static char dir[] = "/tmp/spur-test-description-XXXXXX";
static char err[2048];
static struct env_own file;

// A cart on a rail with a hinged arm, and a goal; no gravity, no contacts.
static const char model[] =
    "<mujoco><option timestep=\"0.01\" gravity=\"0 0 0\"/>\n"
    "<worldbody><site name=\"goal\" pos=\"1 0 0\"/><body name=\"cart\">\n"
    "<joint name=\"slider\" type=\"slide\" axis=\"1 0 0\"/><geom size=\"0.1\"/>\n"
    "<body name=\"arm\"><joint name=\"hinge\" type=\"hinge\" axis=\"0 1 0\"/>\n"
    "<geom size=\"0.05\" pos=\"0 0 1\"/><site name=\"tip\" pos=\"0 0 1\"/></body></body>\n"
    "</worldbody><actuator>\n"
    "<motor name=\"push\" joint=\"slider\" ctrllimited=\"true\" ctrlrange=\"-2 6\"/>\n"
    "<motor name=\"turn\" joint=\"hinge\" ctrllimited=\"true\" ctrlrange=\"-1 1\"/>\n"
    "</actuator><sensor><framepos name=\"where\" objtype=\"site\" objname=\"tip\"/></sensor>\n"
    "<keyframe><key name=\"aside\" qpos=\"0.5 0.25\" qvel=\"0.1 -0.1\"/></keyframe></mujoco>\n";

static const char head[] = "model: arm.xml\nframe_skip: 5\nhorizon: 40\n";
static const char observe[] =
    "observe:\n- {qpos: all}\n- {qvel: [hinge], clip: [-0.5, 0.5]}\n"
    "- {cos: hinge}\n- {sin: all}\n- {sensor: where}\n- {qvel: \"0:1\"}\n";
static const char reward[] = "reward:\n"
                             "  alive: {constant: 2}\n"
                             "  near: {distance: [tip, goal], weight: -3}\n"
                             "  forward: {velocity: cart, axis: x, weight: 0.5}\n"
                             "  effort: {action: all, shape: square, weight: -0.1}\n"
                             "  level: {qpos: [hinge, slider], target: 1, shape: abs}\n";
static const char healthy[] = "healthy:\n- {qpos: hinge, min: -1, max: 1.5}\n"
                              "- {qpos: slider, max: 2}\n";
static const char start[] = "start:\n  keyframe: aside\n  qpos_noise: 0.01\n"
                            "  uniform: {hinge: [0.2, 0.3]}\n";

static void write_file(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static const char *described(const char *a, const char *b, const char *c, const char *d,
                             const char *e) {
    static char path[256];
    char text[4096];
    snprintf(text, sizeof(text), "%s%s%s%s%s", a, b, c, d, e);
    write_file("reach.env.yaml", text);
    snprintf(path, sizeof(path), "%s/reach.env.yaml", dir);
    return path;
}

static struct env *make(const char *path) {
    if (env_own_read(&file, &(struct env_spec){.env = path}, err, sizeof(err)) < 0) {
        fail_msg("%s", err);
    }
    struct env *env = env_create(&file.task, err, sizeof(err));
    if (!env) {
        fail_msg("%s", err);
    }
    return env;
}

static void near_to(double a, double b, const char *what) {
    if (!(fabs(a - b) < 1e-12)) {
        fail_msg("%s: %.17g, by hand %.17g", what, a, b);
    }
}

static void check_obs(const struct env *env) {
    double q[2], v[2], obs[9];
    env_get_state(env, q, v);
    env_obs_f64(env, obs);
    near_to(obs[0], q[0], "qpos");
    near_to(obs[1], q[1], "qpos");
    near_to(obs[2], fmin(fmax(v[1], -0.5), 0.5), "clipped qvel");
    near_to(obs[3], cos(q[1]), "cos");
    near_to(obs[4], sin(q[1]), "sin");
    // The sensor belongs to this state, not to the previous one.
    near_to(obs[5], q[0] + sin(q[1]), "sensor x");
    near_to(obs[7], cos(q[1]), "sensor z");
    near_to(obs[8], v[0], "slice of qvel");
}

static void does_as_it_says(void **state) {
    (void)state;
    struct env *env = make(described(head, observe, reward, healthy, start));
    assert_string_equal(file.name, "reach");
    assert_int_equal(file.task.obs_dim, 9);
    assert_int_equal(file.task.act_dim, 2);
    assert_int_equal(file.task.horizon, 40);
    assert_int_equal(file.task.clips, 1);
    assert_int_equal(file.task.clip[0].first, 2);
    assert_int_equal(file.task.clip[0].last, 2);
    assert_true(file.task.clip[0].low == -0.5f && file.task.clip[0].high == 0.5f);
    assert_int_equal(file.task.ranges, 2);
    assert_int_equal(env_frame_skip(env), 5);

    struct rng rng = rng_make(1, RNG_TEST, 0);
    double q[2], v[2], before;
    int terminated = 0, truncated = 0;
    for (int episode = 0; episode < 20; episode++) {
        env_reset(env, &rng);
        env_get_state(env, q, v);
        assert_true(fabs(q[0] - 0.5) <= 0.01 && q[1] >= 0.2 && q[1] < 0.3);
        assert_true(v[0] == 0.1 && v[1] == -0.1);
        check_obs(env);
        struct env_step step = {0};
        float push = (float)rng_range(&rng, -1, 0), turn = (float)rng_range(&rng, -1, 1);
        for (int n = 1; !step.terminated && !step.truncated; n++) {
            const double *parts;
            const char *const *names;
            before = q[0];
            step = env_step(env, (const float[]){push, turn});
            env_get_state(env, q, v);
            check_obs(env);
            double ctrl = 2 + 4 * (double)push, tip_x = q[0] + sin(q[1]);
            double wanted[] = {2, -3 * hypot(tip_x - 1, cos(q[1])), 0.5 * (q[0] - before) / 0.05,
                               -0.1 * (ctrl * ctrl + (double)turn * (double)turn),
                               fabs(q[1] - 1) + fabs(q[0] - 1)};
            assert_int_equal(env_reward_parts(&parts, &names, env), 5);
            double sum = 0;
            for (int i = 0; i < 5; i++) {
                near_to(parts[i], wanted[i], names[i]);
                sum += wanted[i];
            }
            near_to(step.reward, sum, "reward");
            assert_int_equal(step.terminated, !(q[1] > -1 && q[1] < 1.5 && q[0] < 2));
            assert_int_equal(step.truncated, !step.terminated && n == 40);
            assert_false(step.bad);
        }
        terminated += step.terminated;
        truncated += step.truncated;
    }
    assert_true(terminated > 0 && truncated > 0);
    env_destroy(&env);
}

// The expected error of a description with this part replaced.
static void expect(const char *path, const char *part) {
    if (env_own_read(&file, &(struct env_spec){.env = path}, err, sizeof(err)) == 0) {
        fail_msg("accepted, but should be refused: %s", part);
    }
    if (!strstr(err, part)) {
        fail_msg("says \"%s\", not \"%s\"", err, part);
    }
}

static void expect_head(const char *text, const char *part) {
    expect(described(text, observe, reward, healthy, start), part);
}

static void expect_observe(const char *text, const char *part) {
    expect(described(head, text, reward, "", ""), part);
}

static void expect_reward(const char *text, const char *part) {
    expect(described(head, observe, text, "", ""), part);
}

static void expect_healthy(const char *text, const char *part) {
    expect(described(head, observe, reward, text, ""), part);
}

static void expect_start(const char *text, const char *part) {
    expect(described(head, observe, reward, "", text), part);
}

static void wrong_descriptions_are_refused(void **state) {
    (void)state;
    expect_head("model: arm.xml\nhorizon: 0\n",
                "reach.env.yaml:2: environment: horizon is 0; it must be a whole number between 1");
    expect_head("model: arm.xml\n", "horizon is missing");
    expect_head("model: arm.xml\nhorizon: 5\nframe_skip: 1.5\n",
                ":3: environment: frame_skip is 1.5; it must be a whole number");
    expect_head("horizon: 5\n", "environment: model: expected a name, found none");
    expect_head("model: leg.xml\nhorizon: 5\n", ":1: model: there is no file /");
    expect_head("model: arm.xml\nhorizont: 5\n",
                ":2: environment: there is no field \"horizont\"; did you mean horizon? All: name, "
                "model");
    expect_head("model: arm.xml\nzebra: 5\n",
                ":2: environment: there is no field \"zebra\". All: ");
    expect_head("model: arm.xml\nhorizon: 5\nhorizon: 6\n",
                ":3: environment: horizon is given twice; first on line 2");
    expect_head("model: arm.xml\nhorizon: 5\nname: 2/3\n",
                ":3: name: \"2/3\" is not a valid task name: a name has letters");
    expect_head("model: arm.xml\n horizon: [\n", "not valid YAML");

    expect_observe("", "observe: expected a list");
    expect_observe("observe:\n- {qpos: [hing]}\n",
                   "reach.env.yaml:5: observe, item 1: qpos: there is no joint \"hing\" in the "
                   "model; did you mean hinge? There are: slider, hinge");
    expect_observe("observe:\n- {qpos: all}\n- {sensor: wher}\n",
                   ":6: observe, item 2: sensor: there is no sensor \"wher\" in the model; did you "
                   "mean where? There are: where");
    expect_observe("observe:\n- {cos: slider}\n", "joint slider is no hinge");
    expect_observe("observe:\n- {qpos: \"1:3\"}\n",
                   "1:3 is not a slice of the model's 2 numbers, 0 to 1");
    expect_observe("observe:\n- {qpos: all, qvel: all}\n",
                   "expected one of these, found 2: qpos, qvel, cos, sin, sensor");
    expect_observe("observe:\n- {qpos: all, clip: [1, -1]}\n",
                   "clip: the range is the wrong way round: 1 to -1");
    expect_observe("observe:\n- {qpos: all, clip: 3}\n", "clip: expected a range");
    expect_observe("observe:\n- {qpos: []}\n", "expected all, a joint or a list of them");

    expect_reward("", "reward: expected 1 to 16 terms");
    expect_reward("reward:\n  near: {distance: [tip, gaol]}\n",
                  ":12: reward, near: distance: there is no site \"gaol\" in the model; did you "
                  "mean goal? There are: goal, tip");
    expect_reward("reward:\n  near: {distance: tip}\n", "distance: expected two sites");
    expect_reward("reward:\n  go: {velocity: card, axis: x}\n", "no body \"card\"");
    expect_reward("reward:\n  go: {velocity: cart}\n", "axis: expected a name, found none");
    expect_reward("reward:\n  go: {velocity: cart, axis: w}\n", "axis: w is not x, y or z");
    expect_reward("reward:\n  go: {qpos: all, axis: x}\n", "axis goes with velocity");
    expect_reward("reward:\n  go: {action: pusch}\n", "no actuator \"pusch\" in the model; did you "
                                                      "mean push? There are: push, turn");
    expect_reward("reward:\n  go: {constant: one}\n", "constant: expected a number, found \"one\"");
    expect_reward("reward:\n  go: {constant: 1, weight: .inf}\n", "weight: expected a number");
    expect_reward("reward:\n  go: {action: all, shape: cube}\n",
                  "shape: cube is not value, square or abs");
    expect_reward("reward:\n  go: {wait: 1, constant: 1}\n",
                  "there is no field \"wait\"; did you mean weight?");
    expect_reward("reward: 5\n", "reward: expected 1 to 16 terms");

    expect_healthy("healthy:\n- {qpos: hinge, min: 1, max: -1}\n",
                   "healthy, item 1: the range is the wrong way round or too wide: 1 to -1");
    expect_healthy("healthy:\n- {qpos: hinge}\n", "expected min, max or both");
    expect_healthy("healthy:\n- {cos: slider, min: 0}\n", "joint slider is no hinge");
    expect_healthy("healthy:\n- {qvel: hinge, min: -1, max: 1}\n",
                   "observation 2 is clipped to -0.5 to 0.5 and never leaves -1 to 1");
    expect(described(head, "observe:\n- {qpos: hinge}\n", reward,
                     "healthy:\n- {qpos: slider, min: 0}\n", ""),
           "number 0 of qpos is not observed");
    expect_healthy("healthy: 3\n", "healthy: expected a list");

    expect_start("start: {keyframe: asidd}\n",
                 "no key \"asidd\" in the model; did you mean aside?");
    expect_start("start: {qpos_noise: -1}\n", "must not be negative");
    expect_start("start: {qpos_noise: [0.1]}\n",
                 "start: qpos_noise: expected a number, or a list of 2, found a list of 1");
    expect_start("start: {qvel_noise: {hinge: [0.1, 0.1]}}\n",
                 "start: qvel_noise: hinge: expected a number, or a list of 1, found a list of 2");
    expect_start("start: {qvel_noise: {hinge: -0.1}}\n", "hinge: the noise is a half-width");
    expect_start("start: {qvel_noise: {hing: 0.1}}\n",
                 "start: qvel_noise: there is no joint \"hing\" in the model; did you mean hinge?");
    expect_start("start: {qvel_noise: {hinge: 0.1, hinge: 0.2}}\n", "hinge is given twice");
    expect_start("start: {qvel_noise: {hinge: x}}\n", "hinge: expected a number, found \"x\"");
    expect_start("start: {uniform: {hinge: [1, 0]}}\n",
                 "hinge: the range is the wrong way round: 1 to 0");
    expect_start("start: {uniform: {hnge: [0, 1]}}\n", "no joint \"hnge\"");
    expect_start("start: {noise: 1}\n", "there is no field \"noise\"; did you mean");
}

static void expect_model(const char *text, const char *part) {
    write_file("arm.xml", text);
    expect(described(head, "observe: [{qpos: all}]\n", "reward: {alive: {constant: 1}}\n", "", ""),
           part);
    write_file("arm.xml", model);
}

static void wrong_models_are_refused(void **state) {
    (void)state;
    // MuJoCo's error whole: the reason, the element and its line.
    expect_model("<mujoco><worldbody><geom size=\"x\"/></worldbody></mujoco>",
                 "arm.xml: the model does not compile (MuJoCo " SPUR_MUJOCO_VERSION
                 "): XML Error: ");
    expect_model("<mujoco><worldbody>\n<body>\n<geom size=\"1\" typ=\"box\"/></body></worldbody>"
                 "</mujoco>",
                 "unrecognized attribute: 'typ'; Element 'geom', line 3");
    expect_model("<mujoco><worldbody>\n<body name=\"light\"><joint/></body></worldbody></mujoco>",
                 "mass and inertia of moving bodies must be larger than mjMINVAL; ");
    expect_model("<mujoco><worldbody>", "arm.xml: the model does not compile (MuJoCo ");
    expect_model("<mujoco><worldbody><body><joint/><geom size=\"1\"/></body></worldbody></mujoco>",
                 "arm.xml: the model has 0 actuators");
    expect_model("<mujoco><worldbody><body><joint name=\"j\"/><geom size=\"1\"/></body></worldbody>"
                 "<actuator><motor name=\"m\" joint=\"j\"/></actuator></mujoco>",
                 "arm.xml: actuator 0 (\"m\") has no control range");
}

// A free body, a ball joint and a slide, with noise of their own: 7 + 4 + 1 coordinates.
static const char free_model[] =
    "<mujoco><option gravity=\"0 0 0\"/><worldbody>\n"
    "<body pos=\"0 0 1\"><freejoint name=\"root\"/><geom size=\"0.1\"/></body>\n"
    "<body pos=\"3 0 1\"><joint name=\"ball\" type=\"ball\"/><geom size=\"0.1\"/></body>\n"
    "<body pos=\"6 0 1\"><joint name=\"s\" type=\"slide\"/><geom "
    "size=\"0.1\"/></body></worldbody>\n"
    "<actuator><motor joint=\"s\" ctrllimited=\"true\" ctrlrange=\"-1 1\"/></actuator></mujoco>";

// Half-width of what was seen of each number over the resets.
static void spread(double *out, int n, double (*seen)[12], int resets) {
    for (int i = 0; i < n; i++) {
        double low = INFINITY, high = -INFINITY;
        for (int k = 0; k < resets; k++) {
            low = fmin(low, seen[k][i]);
            high = fmax(high, seen[k][i]);
        }
        out[i] = (high - low) / 2;
    }
}

static void noise_of_each_coordinate(void **state) {
    (void)state;
    enum { RESETS = 500 };
    static double q[RESETS][12], v[RESETS][12];
    double width[12];
    write_file("arm.xml", free_model);
    struct env *env =
        make(described(head, "observe: [{qpos: all}]\n", "reward: {alive: {constant: 1}}\n", "",
                       "start:\n  qpos_noise:\n    all: 0.01\n"
                       "    root: [0.5, 0, 0.25, 0.3, 0.3, 0.3, 0.3]\n    ball: 0.2\n"
                       "  qvel_noise: [1, 2, 3, 0, 0, 0, 0.5, 0.5, 0.5, 4]\n"));
    struct rng rng = rng_make(1, RNG_TEST, 0);
    for (int k = 0; k < RESETS; k++) {
        env_reset(env, &rng);
        env_get_state(env, q[k], v[k]);
        for (int at = 3; at <= 7; at += 4) { // the quaternions have norm 1
            double sum = 0;
            for (int i = at; i < at + 4; i++) {
                sum += q[k][i] * q[k][i];
            }
            near_to(sum, 1, "norm of a quaternion");
        }
    }
    spread(width, 12, q, RESETS);
    const double places[] = {0.5, 0, 0.25, -1, 0.3, 0.3, 0.3, -1, 0.2, 0.2, 0.2, 0.01};
    for (int i = 0; i < 12; i++) {
        // The numbers of quaternions (-1: the real part) are widened or narrowed by the norm.
        double slack = i >= 3 && i < 11 ? 0.35 : 0.04;
        if (places[i] >= 0 && !(fabs(width[i] - places[i]) <= slack * places[i])) {
            fail_msg("qpos %d: half-width %g, wanted %g", i, width[i], places[i]);
        }
    }
    spread(width, 10, v, RESETS);
    const double velocities[] = {1, 2, 3, 0, 0, 0, 0.5, 0.5, 0.5, 4};
    for (int i = 0; i < 10; i++) {
        if (!(fabs(width[i] - velocities[i]) <= 0.04 * velocities[i])) {
            fail_msg("qvel %d: half-width %g, wanted %g", i, width[i], velocities[i]);
        }
    }
    env_destroy(&env);
    write_file("arm.xml", model);
}

static void names_of_mujoco_3_are_told(void **state) {
    (void)state;
    static const struct {
        const char *error, *name; // NULL: not of MuJoCo 3
    } wanted[] = {
        {"XML Error: Schema violation: unrecognized element; Element 'frame', line 1", "<frame>"},
        {"XML Error: Schema violation: unrecognized element; Element 'frames', line 1", NULL},
        {"XML Error: Schema violation: unrecognized attribute: 'gravcomp'; Element 'body', line 3",
         "<body gravcomp>"},
        {"XML Error: Schema violation: unrecognized attribute: 'kv'; Element 'position', line 3",
         "<position kv>"},
        {"XML Error: Schema violation: unrecognized attribute: 'kv'; Element 'motor', line 3",
         NULL},
        {"XML Error: Schema violation: unrecognized attribute: 'nsample'; Element 'gyro', line 3",
         "<gyro nsample>"},
        {"XML Error: invalid keyword: 'implicitfast'; Element 'option', line 1", "implicitfast"},
        {"XML Error: invalid keyword: 'implicitly'; Element 'option', line 1", NULL},
        {"Error: mass must be positive; Element 'frame', line 1", NULL},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        char name[160];
        bool newer = mujoco_names_newer(name, sizeof(name), wanted[i].error);
        assert_int_equal(newer, wanted[i].name != NULL);
        if (newer) {
            assert_string_equal(name, wanted[i].name);
        }
    }
}

// A model for MuJoCo 3: compiled by it, explained by MuJoCo 2.
static void a_model_for_mujoco_3(void **state) {
    (void)state;
    static const char newer[] =
        "<mujoco><option integrator=\"implicitfast\"/>\n<worldbody>\n<frame pos=\"0 0 1\">\n"
        "<body gravcomp=\"1\"><joint name=\"j\"/><geom size=\"1\"/></body></frame></worldbody>\n"
        "<actuator><position joint=\"j\" kv=\"1\" ctrllimited=\"true\" ctrlrange=\"-1 1\"/>"
        "</actuator></mujoco>";
    if (SPUR_MUJOCO_VERSION[0] == '2') {
        expect_model(newer, "Element 'frame', line 3. <frame> needs MuJoCo 3: `make build MUJOCO=");
        return;
    }
    write_file("arm.xml", newer);
    struct env *env = make(
        described(head, "observe: [{qpos: all}]\n", "reward: {alive: {constant: 1}}\n", "", ""));
    env_destroy(&env);
    write_file("arm.xml", model);
}

static int make_dir(void **state) {
    (void)state;
    if (!mkdtemp(dir)) {
        return -1;
    }
    write_file("arm.xml", model);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    char path[256];
    static const char *const names[] = {"arm.xml", "reach.env.yaml"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_as_it_says),
        cmocka_unit_test(noise_of_each_coordinate),
        cmocka_unit_test(wrong_descriptions_are_refused),
        cmocka_unit_test(wrong_models_are_refused),
        cmocka_unit_test(names_of_mujoco_3_are_told),
        cmocka_unit_test(a_model_for_mujoco_3),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
