// SPDX-License-Identifier: MIT
// Descriptions of environments (FILE.yaml), bound to a small model: an accepted one is reset,
// observed and stepped.
#include <string.h>

#include "actor/env/description/env_description.h"
#include "actor/env/env_kind.h"
#include "common/base/check.h"
#include "common/task/task.h"
#include "tests/fuzz/fuzz.h"

static const char model[] =
    "<mujoco><option timestep=\"0.01\"/><worldbody><site name=\"goal\" pos=\"1 0 0\"/>"
    "<body name=\"cart\"><joint name=\"slider\" type=\"slide\" axis=\"1 0 0\"/><geom size=\"0.1\"/>"
    "<body name=\"arm\"><joint name=\"hinge\" type=\"hinge\" axis=\"0 1 0\"/>"
    "<geom size=\"0.05\" pos=\"0 0 1\"/><site name=\"tip\" pos=\"0 0 1\"/></body></body>"
    "<body name=\"ball\" pos=\"0 3 0\"><freejoint name=\"free\"/><geom size=\"0.1\"/></body>"
    "</worldbody><actuator><motor name=\"push\" joint=\"slider\" ctrllimited=\"true\" "
    "ctrlrange=\"-2 6\"/></actuator><sensor><framepos name=\"where\" objtype=\"site\" "
    "objname=\"tip\"/></sensor><keyframe><key name=\"aside\" qpos=\"0.5 0.25 0 3 0 1 0 0 0\"/>"
    "</keyframe></mujoco>\n";

// The numbers of the environment, over a few steps of two episodes.
static void use(struct env *env, const struct task *task) {
    float obs[TASK_OBS_DIM_MAX], action[TASK_ACT_DIM_MAX] = {0.5f};
    struct rng rng = rng_make(1, RNG_TEST, 0);
    for (int episode = 0; episode < 2; episode++) {
        env_reset(env, &rng);
        for (int i = 0; i < 3; i++) {
            env_obs(env, obs);
            fuzz_read(obs, (size_t)task->obs_dim * sizeof(float));
            struct env_step step = env_step(env, action);
            fuzz_read(&step.reward, sizeof(step.reward));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static bool has_model;
    char err[2048] = "";
    if (!has_model) {
        fuzz_write("arm.xml", model, strlen(model));
        has_model = true;
    }
    struct env *env =
        env_description_create(fuzz_write("fuzz.env.yaml", data, len), err, sizeof(err));
    if (!env) {
        CHECK(err[0] != '\0');
        return 0;
    }
    fuzz_accept();
    use(env, env->task);
    env_destroy(&env);
    return 0;
}

size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]) {
    static const char *const samples[] = {
        "model: arm.xml\nframe_skip: 2\nhorizon: 40\nobserve:\n- {qpos: all}\n- {qvel: [hinge], "
        "clip: [-0.5, 0.5]}\n- {cos: hinge}\n- {sensor: where}\n- {qvel: \"0:1\"}\n"
        "reward:\n  alive: {constant: 2}\n  near: {distance: [tip, goal], weight: -3}\n"
        "  forward: {velocity: cart, axis: x, weight: 0.5}\n"
        "  effort: {action: all, shape: square, weight: -0.1}\n"
        "  level: {qpos: [hinge, slider], target: 1, shape: abs}\n"
        "healthy:\n- {qpos: hinge, min: -1, max: 1.5}\n"
        "start:\n  keyframe: aside\n  qpos_noise: 0.01\n  uniform: {hinge: [0.2, 0.3]}\n",
        "model: arm.xml\nframe_skip: 1\nhorizon: 9\nobserve:\n- {qpos: all}\n- {qvel: all}\n"
        "reward:\n  near: {distance: [tip, goal], weight: -1}\n"
        "start:\n  qpos_noise: {free: 0.1, slider: 0.2}\n",
    };
    if (index >= (int)(sizeof(samples) / sizeof(samples[0]))) {
        return 0;
    }
    memcpy(out, samples[index], strlen(samples[index]));
    return strlen(samples[index]);
}
