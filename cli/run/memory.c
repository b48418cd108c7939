// SPDX-License-Identifier: MIT
// Sums the predictions of all modules for the processes of a run.
#include "cli/run/memory.h"

#include "actor/env/env_factory.h"
#include "actor/evaluation.h"
#include "cli/text.h"
#include "common/base/check.h"
#include "common/config/thread_plan.h"
#include "learner/methods/method.h"
#include "learner/replay.h"
#include "learner/trainer.h"
#include "modelserver/core/modelserver.h"
#include "modelserver/model/fit.h"
#include "modelserver/model/rollout.h"
#include "modelserver/storage/store_size.h"

#define KIB(n) ((uint64_t)(n) << 10)

// Proportional set sizes without the parts that are predicted below: programs, libraries, queued
// messages, pages of the store. Measured on Hopper with D_env and D_model full.
#define MODELSERVER_BYTES KIB(11000)
#define LEARNER_BYTES KIB(10500)
#define ACTOR_BYTES KIB(4500)
#define ENV_BYTES KIB(3900)      // per environment of unknown size: of Hopper, mostly for contacts
#define ENV_EXTRA_BYTES KIB(700) // per environment of known size
#define PROCESS_BYTES KIB(90000) // per environment in a process: Python, Gymnasium, MuJoCo
#define PLUGIN_BYTES KIB(1500)   // per plug-in in a process, without the simulator's own memory
#define SPUR_BYTES KIB(2700)

static void add(struct memory *m, const char *process, const char *what, uint64_t bytes) {
    CHECK(m->count < MEMORY_PARTS_MAX);
    m->parts[m->count++] = (struct memory_part){process, what, bytes};
    m->total += bytes;
}

static void add_modelserver(struct memory *m, const struct config *c, const struct task *task,
                            int cores) {
    static const char name[] = "modelserver";
    uint32_t obs_dim = (uint32_t)task->obs_dim, act_dim = (uint32_t)task->act_dim;
    struct ensemble e = ms_ensemble(c, task);
    struct policy p = ms_policy(c, task);
    add(m, name, "program", MODELSERVER_BYTES);
    add(m, name, "D_env", store_memory_bytes(config_env_rows_max(c), obs_dim, act_dim));
    if (config_has_model(c)) {
        add(m, name, "training",
            fit_memory_bytes(c, &e, config_env_rows_max(c),
                             thread_plan_divide(c, cores).modelserver));
        add(m, name, "rollouts", rollout_memory_bytes(&e, &p, task->termination));
    }
    add(m, name, "buffers", ms_memory_bytes(c, task));
}

static void add_learner(struct memory *m, const struct config *c, const struct task *task) {
    static const char name[] = "learner";
    add(m, name, "program", LEARNER_BYTES);
    add(m, name, "D_env", replay_bytes(task->obs_dim, task->act_dim, config_env_rows_max(c)));
    if (config_has_model(c)) {
        add(m, name, "D_model",
            replay_bytes(task->obs_dim, task->act_dim, trainer_model_rows_max(c)));
    }
    add(m, name, "networks", method_find(c->method)->memory(c, task));
}

static void add_actors(struct memory *m, const struct config *c, const struct task *task,
                       struct env_memory env) {
    static const char name[] = "actors and evaluator";
    uint64_t actors = (uint64_t)c->run.actors;
    add(m, name, "programs", SPUR_BYTES + (actors + 1) * ACTOR_BYTES);
    uint64_t envs = actors * (uint64_t)c->run.envs_per_actor + (uint64_t)evaluation_lanes(task);
    bool process = env_in_process(task);
    uint64_t each = process && env_source_of(task->env) == ENV_SOURCE_FILE ? PLUGIN_BYTES
                    : process                                              ? PROCESS_BYTES
                    : env.each > 0 ? env.each + ENV_EXTRA_BYTES
                                   : ENV_BYTES;
    add(m, name, "environments", envs * each);
    if (env.shared > 0) {
        add(m, name, "MuJoCo models", (actors + 1) * env.shared);
    }
}

void memory_predict(struct memory *out, const struct config *c, const struct task *task,
                    struct env_memory env, int cores) {
    *out = (struct memory){0};
    add_modelserver(out, c, task, cores);
    add_learner(out, c, task);
    add_actors(out, c, task, env);
}

void memory_print_short(const struct memory *m, FILE *out) {
    char text[TEXT_LEN];
    for (int i = 0; i < m->count;) {
        uint64_t sum = 0;
        const char *process = m->parts[i].process;
        const char *comma = i > 0 ? ", " : "";
        while (i < m->count && m->parts[i].process == process) {
            sum += m->parts[i++].bytes;
        }
        fprintf(out, "%s%s %s", comma, process, text_bytes(text, sum));
    }
}

void memory_print(const struct memory *m, FILE *out, const char *prefix) {
    char text[TEXT_LEN];
    const char *process = "";
    for (int i = 0; i < m->count; i++) {
        const struct memory_part *p = &m->parts[i];
        fprintf(out, "%s%-20s  %-24s %10s\n", prefix, p->process == process ? "" : p->process,
                p->what, text_bytes(text, p->bytes));
        process = p->process;
    }
    fprintf(out, "%s%-20s  %-24s %10s\n", prefix, "all", "", text_bytes(text, m->total));
}
