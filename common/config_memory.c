// SPDX-License-Identifier: MIT
#include "common/config_memory.h"

#include "common/check.h"

// A process before it holds anything of the run: program, libraries, buffers of
// the matrix library, stacks. Estimates, on the safe side of what small runs showed.
#define PROCESS_BYTES (48ull << 20)
#define ACTOR_BYTES (32ull << 20)
#define ENV_BYTES (4ull << 20) // of one environment: what MuJoCo makes ready for contacts
#define EVALUATOR_ENVS 16
// Rollouts that the model server may have sent ahead of the learner's
// acknowledgement: messages times rows in one (docs/protocol.md).
#define EXPERIENCE_ROWS_MAX (64ull * 16384)

static uint64_t min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

// Parameters of one network, and activations that a row leaves behind in it
// (two a unit: before and after the non-linearity).
struct net_size {
    uint64_t params, activations;
};

static struct net_size net_size(int in, int width, int hidden, int out) {
    uint64_t i = (uint64_t)in, w = (uint64_t)width, h = (uint64_t)hidden, o = (uint64_t)out;
    return (struct net_size){
        .params = (i + 1) * w + (h - 1) * (w + 1) * w + (w + 1) * o,
        .activations = i + 2 * h * w + 2 * o,
    };
}

static void add(struct config_memory *m, const char *process, const char *what, uint64_t bytes) {
    CHECK(m->count < CONFIG_MEMORY_PARTS_MAX);
    m->parts[m->count++] = (struct config_memory_part){process, what, bytes};
    m->total += bytes;
}

static void add_modelserver(struct config_memory *m, const struct config *c, int obs_dim,
                            int act_dim, uint64_t row) {
    static const char name[] = "modelserver";
    uint64_t rows = c->run.steps, members = (uint64_t)c->model.members;
    uint64_t in = (uint64_t)(obs_dim + act_dim), target = (uint64_t)obs_dim + 1;
    struct net_size net =
        net_size((int)in, c->model.hidden_width, c->model.hidden_layers, 2 * (int)target);
    uint64_t rollouts =
        c->model.train_every_steps * c->rollout.per_step * (uint64_t)config_rollout_length_max(c);

    add(m, name, "program", PROCESS_BYTES);
    add(m, name, "D_env, in memory", rows * row);
    add(m, name, "D_env, store's pages", rows * row + rows * row / 8);
    // Standardised inputs and targets, and two orders of the rows a member.
    add(m, name, "training set", rows * (in + target) * 4 + rows * members * 2 * 4);
    if (c->task.termination == TASK_TERMINATION_LEARNED) { // observations, label, logits
        add(m, name, "termination heads' rows", rows * ((uint64_t)obs_dim + 2 + members) * 4);
    }
    // Weights, gradients, two moments, the best ones, the published ones.
    add(m, name, "ensemble and Adam", members * net.params * 6 * 4);
    add(m, name, "activations", members * (uint64_t)c->model.batch_size * net.activations * 2 * 4);
    add(m, name, "rollouts on their way", min_u64(rollouts, EXPERIENCE_ROWS_MAX) * row);
}

static void add_learner(struct config_memory *m, const struct config *c, int obs_dim, int act_dim,
                        uint64_t row) {
    static const char name[] = "learner";
    uint64_t model_rows = (uint64_t)c->rollout.retain_epochs * c->rollout.epoch_steps *
                          c->rollout.per_step * (uint64_t)config_rollout_length_max(c);
    struct net_size policy =
        net_size(obs_dim, c->sac.hidden_width, c->sac.hidden_layers, 2 * act_dim);
    struct net_size critic =
        net_size(obs_dim + act_dim, c->sac.hidden_width, c->sac.hidden_layers, 1);

    add(m, name, "program", PROCESS_BYTES);
    add(m, name, "D_env, in memory", c->run.steps * row);
    add(m, name, "D_model", model_rows * row);
    // Policy: weights, gradients, two moments. Twin critics: targets, too.
    add(m, name, "policy, critics and Adam", (policy.params * 4 + critic.params * 2 * 5) * 4);
    add(m, name, "activations",
        (uint64_t)c->sac.batch_size * (policy.activations + 2 * critic.activations) * 2 * 4);
}

void config_memory(struct config_memory *out, const struct config *c, int obs_dim, int act_dim) {
    *out = (struct config_memory){0};
    uint64_t row = (2 * (uint64_t)obs_dim + (uint64_t)act_dim + 1) * 4 + 1;
    add_modelserver(out, c, obs_dim, act_dim, row);
    add_learner(out, c, obs_dim, act_dim, row);
    static const char name[] = "actors and evaluator";
    uint64_t actors = (uint64_t)c->run.actors;
    add(out, name, "programs", (actors + 1) * ACTOR_BYTES);
    add(out, name, "environments",
        (actors * (uint64_t)c->run.envs_per_actor + EVALUATOR_ENVS) * ENV_BYTES);
    add(out, name, "unacknowledged rows", actors * (uint64_t)c->network.unacked_rows_max * row);
}

const char *config_format_bytes(char out[CONFIG_BYTES_LEN], uint64_t bytes) {
    if (bytes >= 1ull << 30) {
        snprintf(out, CONFIG_BYTES_LEN, "%.1f GiB", (double)bytes / (1ull << 30));
    } else if (bytes >= 1ull << 20) {
        snprintf(out, CONFIG_BYTES_LEN, "%.1f MiB", (double)bytes / (1ull << 20));
    } else {
        snprintf(out, CONFIG_BYTES_LEN, "%.1f KiB", (double)bytes / (1ull << 10));
    }
    return out;
}

void config_memory_print_short(const struct config_memory *m, FILE *out) {
    char text[CONFIG_BYTES_LEN];
    for (int i = 0; i < m->count;) {
        uint64_t sum = 0;
        const char *process = m->parts[i].process;
        const char *comma = i > 0 ? ", " : "";
        while (i < m->count && m->parts[i].process == process) {
            sum += m->parts[i++].bytes;
        }
        fprintf(out, "%s%s %s", comma, process, config_format_bytes(text, sum));
    }
}

void config_memory_print(const struct config_memory *m, FILE *out, const char *prefix) {
    char text[CONFIG_BYTES_LEN];
    const char *process = "";
    for (int i = 0; i < m->count; i++) {
        const struct config_memory_part *p = &m->parts[i];
        fprintf(out, "%s%-20s  %-24s %10s\n", prefix, p->process == process ? "" : p->process,
                p->what, config_format_bytes(text, p->bytes));
        process = p->process;
    }
    fprintf(out, "%s%-20s  %-24s %10s\n", prefix, "all", "", config_format_bytes(text, m->total));
}
