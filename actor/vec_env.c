// SPDX-License-Identifier: MIT
// Lanes (one environment each), their random streams, and rounds of decided steps.
#include "actor/vec_env.h"

#include <stdlib.h>
#include <string.h>

#include "actor/action_noise.h"
#include "actor/env/env.h"
#include "actor/env/env_factory.h"
#include "actor/episode.h"
#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "common/base/stats.h"

// 32-bit words of a stream that one step (of each process of its noise) and one episode may use.
#define WORDS_PER_STEP 128
#define WORDS_PER_EPISODE 4096
_Static_assert(2 * TASK_ACT_DIM_MAX <= WORDS_PER_STEP, "a step has enough random words");

struct lane {
    struct env *env;
    uint64_t steps, episodes; // next numbers in its random streams
    struct episode episode;
    float *noise_state;    // (processes, act_dim)
    bool noise_begins;     // no noise yet in this episode
    uint64_t noised_steps; // number + 1 of the step that s->noise is for; 0: none
};

struct vec_env {
    const struct task *task;
    uint64_t seed;
    uint32_t index;
    struct action_noise action_noise;
    uint64_t steps, episodes;

    struct lane *lanes; // (envs)
    int envs;
    int turn;         // the lane that steps next
    int decided;      // number of lanes from there on with a computed action
    uint64_t version; // of the policy that computed them
    // Observations before and after this round's steps, swapped at the end of the round:
    // (envs, obs_dim)
    float *obs, *next_obs;
    float *act, *noise; // (envs, act_dim)
};

struct vec_env *vec_env_create(const struct task *task, int envs,
                               const struct vec_env_streams *from, const struct action_noise *noise,
                               const struct env_wait *wait, char *err, size_t err_len) {
    CHECK(envs > 0 && envs <= VEC_ENV_ENVS_MAX);
    struct vec_env *s = xcalloc(1, sizeof(*s));
    s->task = task;
    s->seed = from->seed;
    s->index = from->index;
    s->action_noise = *noise;
    s->steps = from->steps;
    s->episodes = from->episodes;
    s->lanes = xcalloc((size_t)envs, sizeof(*s->lanes));
    for (; s->envs < envs; s->envs++) {
        struct env *env = env_create_waiting(task, wait, err, err_len);
        if (!env) {
            vec_env_destroy(&s);
            return NULL;
        }
        s->lanes[s->envs] = (struct lane){
            .env = env,
            .steps = from->steps,
            .episodes = from->episodes,
            .noise_state = xfloats((size_t)noise->count * (size_t)task->act_dim),
        };
    }
    s->obs = xfloats((size_t)envs * (size_t)task->obs_dim);
    s->next_obs = xfloats((size_t)envs * (size_t)task->obs_dim);
    s->act = xfloats((size_t)envs * (size_t)task->act_dim);
    s->noise = xfloats((size_t)envs * (size_t)task->act_dim);
    return s;
}

void vec_env_destroy(struct vec_env **envs) {
    struct vec_env *s = *envs;
    if (!s) {
        return;
    }
    for (int i = 0; i < s->envs; i++) {
        env_destroy(&s->lanes[i].env);
        free(s->lanes[i].noise_state);
    }
    free(s->lanes);
    free(s->obs);
    free(s->next_obs);
    free(s->act);
    free(s->noise);
    free(s);
    *envs = NULL;
}

// The stream of one use for lane i, at entry `at` of `words` words each.
static struct rng stream(const struct vec_env *s, enum rng_use use, int i, uint64_t at,
                         uint64_t words) {
    struct rng rng = rng_make(s->seed, use, (uint64_t)i << 32 | s->index);
    rng.index = at * words;
    return rng;
}

static float *obs_of(const struct vec_env *s, float *obs, int i) {
    return obs + (size_t)i * (size_t)s->task->obs_dim;
}

static float *act_of(const struct vec_env *s, float *act, int i) {
    return act + (size_t)i * (size_t)s->task->act_dim;
}

// ---- deciding ----

static void begin_episode(struct vec_env *s, int i) {
    struct lane *lane = &s->lanes[i];
    struct rng rng = stream(s, RNG_ENV_RESET, i, lane->episodes, WORDS_PER_EPISODE);
    episode_begin(&lane->episode, lane->env, &rng);
    env_obs(lane->env, obs_of(s, s->obs, i));
    lane->noise_begins = true;
    lane->noised_steps = 0;
    lane->episodes++;
    s->episodes++;
}

// Writes the noise of lane i's next step. A step that is decided again keeps its noise.
static void make_noise(struct vec_env *s, int i) {
    struct lane *lane = &s->lanes[i];
    const struct action_noise *noise = &s->action_noise;
    if (lane->noised_steps == lane->steps + 1) {
        return;
    }
    struct rng rng = stream(s, RNG_ACT, i, lane->steps, WORDS_PER_STEP * (uint64_t)noise->count);
    action_noise_step(act_of(s, s->noise, i), lane->noise_state, noise, &rng, s->task->act_dim,
                      lane->noise_begins);
    lane->noise_begins = false;
    lane->noised_steps = lane->steps + 1;
}

// Writes a random action of lane i, uniform in [-1, 1]: independent, or of correlated noise.
static void explore(struct vec_env *s, int i) {
    float *act = act_of(s, s->act, i);
    if (s->action_noise.kind == WIRE_NOISE_WHITE) {
        struct rng rng = stream(s, RNG_EXPLORE, i, s->lanes[i].steps, WORDS_PER_STEP);
        for (int j = 0; j < s->task->act_dim; j++) {
            act[j] = (float)rng_range(&rng, -1.0, 1.0);
        }
        return;
    }
    make_noise(s, i);
    for (int j = 0; j < s->task->act_dim; j++) {
        act[j] = action_noise_uniform(act_of(s, s->noise, i)[j]);
    }
}

bool vec_env_decide(struct vec_env *s, struct policy_controller *controller, int n) {
    CHECK(n > 0);
    n = n < s->envs - s->turn ? n : s->envs - s->turn;
    s->decided = 0;
    for (int i = s->turn; i < s->turn + n; i++) {
        if (s->lanes[i].episode.state != EPISODE_RUNNING) {
            begin_episode(s, i);
        }
        if (controller) {
            make_noise(s, i);
        } else {
            explore(s, i);
        }
    }
    if (controller) {
        float *act = act_of(s, s->act, s->turn);
        policy_controller_sample(controller, act, obs_of(s, s->obs, s->turn),
                                 act_of(s, s->noise, s->turn), n);
        if (!stats_all_finite(act, (size_t)n * (size_t)s->task->act_dim)) {
            return false;
        }
    }
    s->decided = n;
    s->version = controller ? controller->version : 0;
    return true;
}

int vec_env_decided(const struct vec_env *s) {
    return s->decided;
}

uint64_t vec_env_version(const struct vec_env *s) {
    return s->version;
}

// ---- going on within an episode ----

// Makes row i again. False: it comes out otherwise.
static bool repeat_row(struct vec_env *s, const struct wire_rows *rows, uint32_t i) {
    struct lane *lane = &s->lanes[0];
    size_t O = (size_t)s->task->obs_dim, bytes = O * sizeof(float);
    make_noise(s, 0); // its state depends on all steps of the episode
    if (memcmp(s->obs, rows->obs + i * O, bytes) != 0) {
        return false;
    }
    double reward =
        episode_step(&lane->episode, lane->env, rows->act + i * (size_t)s->task->act_dim);
    env_obs(lane->env, s->obs);
    lane->steps++;
    return lane->episode.state == EPISODE_RUNNING && (float)reward == rows->reward[i] &&
           memcmp(s->obs, rows->next_obs + i * O, bytes) == 0;
}

void vec_env_go_on(struct vec_env *s, const struct wire_rows *rows) {
    struct lane *lane = &s->lanes[0];
    uint64_t steps = lane->steps;
    if (rows->rows == 0 || s->envs != 1 || rows->rows > steps || s->episodes == 0 ||
        rows->obs_dim != (uint32_t)s->task->obs_dim ||
        rows->act_dim != (uint32_t)s->task->act_dim) {
        return;
    }
    lane->steps -= rows->rows;
    lane->episodes--;
    s->episodes--;
    begin_episode(s, 0);
    bool same = true;
    for (uint32_t i = 0; i < rows->rows && same; i++) {
        same = repeat_row(s, rows, i);
    }
    lane->steps = steps;
    if (same) {
        log_info("the episode goes on after %u steps, which were made again", rows->rows);
        return;
    }
    lane->episode.state = EPISODE_BROKEN; // the next one begins anew
    log_warn("%s makes other steps from the same start and actions: a new episode begins, and the "
             "run goes on with other bits than without the interruption",
             s->task->name);
}

// ---- stepping ----

static void next_turn(struct vec_env *s) {
    s->decided--;
    if (++s->turn == s->envs) {
        float *before = s->obs;
        s->obs = s->next_obs; // the next round starts from the results of this one
        s->next_obs = before;
        s->turn = 0;
    }
}

bool vec_env_step(struct vec_env *s, struct vec_env_row *out) {
    CHECK(s->decided > 0);
    int i = s->turn;
    struct lane *lane = &s->lanes[i];
    *out = (struct vec_env_row){
        .env = i,
        .obs = obs_of(s, s->obs, i),
        .act = act_of(s, s->act, i),
        .next_obs = obs_of(s, s->next_obs, i),
        .policy_version = s->version,
    };
    struct episode *episode = &lane->episode;
    out->reward = (float)episode_step(episode, lane->env, out->act);
    env_obs(lane->env, obs_of(s, s->next_obs, i));
    next_turn(s);
    if (!stats_all_finite(out->next_obs, (size_t)s->task->obs_dim)) {
        episode->state = EPISODE_BROKEN;
    }
    if (episode->state == EPISODE_BROKEN) {
        out->broken = episode->env_broken;
        return false;
    }
    s->steps++;
    lane->steps++;
    out->flags = episode->state == EPISODE_TERMINATED  ? WIRE_TERMINATED
                 : episode->state == EPISODE_TRUNCATED ? WIRE_TRUNCATED
                                                       : 0;
    out->episode_length = episode->length;
    out->episode_return = episode->episode_return;
    return true;
}

uint64_t vec_env_steps(const struct vec_env *s) {
    return s->steps;
}

uint64_t vec_env_episodes(const struct vec_env *s) {
    return s->episodes;
}
