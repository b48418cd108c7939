// SPDX-License-Identifier: MIT
// Shows with a large mesh that the environments of a process share one compiled model: it is
// compiled once, further environments need no further copy, and they stay independent. A file that
// has changed is compiled again.
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
#include "actor/env/mujoco_model.h"
#include "common/base/host.h"

#define RINGS 120 // of the sphere: 2 * 2 * RINGS * (RINGS - 1) = 57,120 triangles
#define ENVS 16

static char dir[] = "/tmp/spur-test-shared-XXXXXX";
static char err[2048];
static struct env_own own;

static FILE *open_file(char path[256], const char *name) {
    snprintf(path, 256, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    return f;
}

static void write_sphere(void) {
    char path[256];
    FILE *f = open_file(path, "sphere.obj");
    int around = 2 * RINGS;
    for (int i = 0; i <= RINGS; i++) {
        for (int j = 0; j < around; j++) {
            double theta = M_PI * i / RINGS, phi = M_PI * j / RINGS;
            fprintf(f, "v %.5f %.5f %.5f\n", 0.1 * sin(theta) * cos(phi),
                    0.1 * sin(theta) * sin(phi), 0.1 * cos(theta));
        }
    }
    for (int i = 0; i < RINGS; i++) {
        for (int j = 0; j < around; j++) {
            int a = i * around + j + 1, b = i * around + (j + 1) % around + 1;
            if (i > 0) {
                fprintf(f, "f %d %d %d\n", a, a + around, b);
            }
            if (i < RINGS - 1) {
                fprintf(f, "f %d %d %d\n", b, a + around, b + around);
            }
        }
    }
    fclose(f);
}

static void write_model(double mass) {
    char path[256];
    FILE *f = open_file(path, "ball.xml");
    fprintf(f,
            "<mujoco><option gravity=\"0 0 0\"/>\n"
            "<asset><mesh name=\"sphere\" file=\"sphere.obj\"/></asset>\n"
            "<worldbody><body><joint name=\"x\" type=\"slide\" axis=\"1 0 0\"/>\n"
            "<geom type=\"mesh\" mesh=\"sphere\" mass=\"%g\" contype=\"0\" "
            "conaffinity=\"0\"/></body></worldbody>\n"
            "<actuator><motor joint=\"x\" ctrllimited=\"true\" ctrlrange=\"-1 1\"/></actuator>"
            "</mujoco>\n",
            mass);
    fclose(f);
}

static const char *write_all(void) {
    static char path[256];
    write_sphere();
    write_model(1);
    FILE *f = open_file(path, "ball.env.yaml");
    fputs("model: ball.xml\nhorizon: 10\nobserve: [{qpos: all}, {qvel: all}]\n"
          "reward: {alive: {constant: 1}}\n",
          f);
    fclose(f);
    return path;
}

static void read_own(const char *path) {
    if (env_own_read(&own, &(struct env_spec){.env = path}, err, sizeof(err)) < 0) {
        fail_msg("%s", err);
    }
}

static struct env *create(void) {
    struct env *env = env_create(&own.task, err, sizeof(err));
    if (!env) {
        fail_msg("%s", err);
    }
    return env;
}

static double position(const struct env *env) {
    double q, v;
    env_get_state(env, &q, &v);
    return q;
}

static void one_model_serves_all_environments(void **state) {
    const char *path = *state;
    struct env *envs[ENVS];
    int before = mujoco_models_compiled();
    read_own(path);
    envs[0] = create();
    uint64_t rss = host_rss();
    for (int i = 1; i < ENVS; i++) {
        envs[i] = create();
    }
    uint64_t grown = host_rss() - rss;
    assert_int_equal(mujoco_models_compiled(), before + 1);
    struct env_memory memory = env_memory(envs[0]);
    print_message("model %.1f MiB, environment %.1f MiB, %d further ones %.1f MiB\n",
                  (double)memory.shared / 1048576, (double)memory.each / 1048576, ENVS - 1,
                  (double)grown / 1048576);
    assert_true(memory.shared > 4 << 20);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(grown < memory.shared + (ENVS - 1) * memory.each);
#endif
    assert_true(own.memory.shared == memory.shared && own.memory.each == memory.each);

    // A step of one does not move another.
    for (int i = 0; i < 5; i++) {
        env_step(envs[0], (const float[]){1});
    }
    assert_true(position(envs[0]) > 0);
    assert_true(position(envs[1]) == 0);
    env_destroy(&envs[0]);
    env_step(envs[1], (const float[]){-1});
    env_step(envs[1], (const float[]){-1});
    assert_true(position(envs[1]) < 0);
    for (int i = 1; i < ENVS; i++) {
        env_destroy(&envs[i]);
    }
    // Released by all, it is still there for the next.
    envs[0] = create();
    env_destroy(&envs[0]);
    assert_int_equal(mujoco_models_compiled(), before + 1);
}

static void a_changed_file_is_compiled_again(void **state) {
    read_own(*state);
    struct env *old = create();
    int before = mujoco_models_compiled();
    write_model(10);
    struct env *heavy = create();
    assert_int_equal(mujoco_models_compiled(), before + 1);
    for (int i = 0; i < 5; i++) {
        env_step(old, (const float[]){1});
        env_step(heavy, (const float[]){1});
    }
    assert_true(position(heavy) > 0 && position(heavy) < 0.2 * position(old));
    env_destroy(&old);
    env_destroy(&heavy);
}

static int make_files(void **state) {
    if (!mkdtemp(dir)) {
        return -1;
    }
    *state = (void *)write_all();
    return 0;
}

static int remove_files(void **state) {
    (void)state;
    static const char *const names[] = {"sphere.obj", "ball.xml", "ball.env.yaml"};
    char path[256];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_model_serves_all_environments),
        cmocka_unit_test(a_changed_file_is_compiled_again),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
