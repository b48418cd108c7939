// SPDX-License-Identifier: MIT
// Processes of actors and of the evaluator: the cores, and an environment that numbers its rows.
// An observation is (0, 0, process, rows made by it so far), so that each row can be recognised.
#include <stdlib.h>

#include "actor/env/env_factory.h"
#include "common/base/check.h"
#include "tests/sim/sim.h"

#define EPISODE_STEPS 7

struct env {
    struct sim_process *process;
    uint32_t steps, number;
};

static struct sim_process *entered;

void actors_enter(struct sim_process *p) {
    entered = p;
}

bool env_in_process(const struct task *task) {
    (void)task;
    return true;
}

struct env *env_create_waiting(const struct task *task, const struct env_wait *wait, char *err,
                               size_t err_len) {
    (void)task, (void)wait, (void)err, (void)err_len;
    struct env *env = xcalloc(1, sizeof(*env));
    env->process = entered;
    return env;
}

void env_destroy(struct env **env) {
    free(*env);
    *env = NULL;
}

void env_reset(struct env *env, struct rng *rng) {
    (void)rng_u32(rng);
    env->steps = 0;
}

void env_obs(const struct env *env, float *obs) {
    obs[0] = obs[1] = 0;
    obs[2] = (float)env->process->number;
    obs[3] = (float)env->number;
}

struct env_step env_step(struct env *env, const float *action) {
    (void)action;
    env->steps++;
    env->number = ++env->process->made;
    return (struct env_step){.reward = 1, .truncated = env->steps >= EPISODE_STEPS};
}

void actors_start(struct sim_process *p) {
    struct sim *s = p->sim;
    bool evaluates = p->kind == SIM_EVALUATOR;
    bool told = evaluates || s->faults.moves; // the model server says where the learner is
    p->who = (struct client_identity){.id = p->id,
                                      .host = "sim",
                                      .version = "sim",
                                      .pid = p->number,
                                      .envs = s->slot[p->slot].envs,
                                      .endpoint = "",
                                      .modelserver = "sim://modelserver",
                                      .learner = told ? NULL : "sim://learner"};
    if (evaluates) {
        p->evaluator = evaluator_create(&p->who, &p->port, sim_now_ms(p));
        return;
    }
    p->actor = actor_create(&p->who, &p->port, sim_now_ms(p));
    if (!told) {
        network_reopen(p, PORT_LEARNER, "sim://learner");
    }
}

void actors_step(struct sim_process *p) {
    p->step_pending = false;
    if (p->actor && actor_may_step(p->actor)) {
        actor_step(p->actor, sim_now_ms(p));
    } else if (p->evaluator && evaluator_may_step(p->evaluator)) {
        evaluator_step(p->evaluator, sim_now_ms(p));
    }
}
