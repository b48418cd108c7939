// SPDX-License-Identifier: MIT
// The table of built-in tasks, their termination rules, and lookup by name.
#include "common/task/task.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/spelling.h"

// ---- termination of predicted states ----
//
// The rules apply to predictions of a model, so each comparison is written such that a NaN
// ends the episode. They use float observations, whereas the environments apply them to the
// double state; the results differ only within a rounding error of a limit.

// Ends when the pole leans by more than 0.2 rad.
static bool inverted_pendulum_terminated(const struct task *task, const float *o) {
    (void)task;
    bool finite = isfinite(o[0]) && isfinite(o[1]) && isfinite(o[2]) && isfinite(o[3]);
    return !(finite && fabsf(o[1]) <= 0.2f);
}

// Ends when the tip of the upper pole is at most 1 high. The angles are computed from their
// sines (o[1], o[2]) and cosines (o[3], o[4]), which in a prediction may not belong to one
// angle. In the environment the position of the tip is slightly older than the state, so the
// results can differ in the step in which it falls below 1.
static bool inverted_double_pendulum_terminated(const struct task *task, const float *o) {
    (void)task;
    float lower = atan2f(o[1], o[3]), upper = atan2f(o[2], o[4]); // relative to the lower
    float height = 0.6f * (o[3] + cosf(lower + upper));
    return !(height > 1.0f);
}

// Ends when the torso is too low or too high (o[0], height), or an observation is not finite.
static bool ant_terminated(const struct task *task, const float *o) {
    bool healthy = o[0] >= 0.2f && o[0] <= 1.0f;
    for (int i = 0; i < task->obs_dim; i++) {
        healthy = healthy && isfinite(o[i]);
    }
    return !healthy;
}

// Ends when the torso is too low (o[0], height) or leans (o[1], angle), or when an observation
// other than the height leaves (-100, 100). MBPO's code tests o < 100, not |o| < 100, so that
// predictions can diverge to large negative values; here both sides are bounded, as in the
// environment. Gymnasium's real observations are far below: their velocities are clipped to 10.
static bool hopper_terminated(const struct task *task, const float *o) {
    bool healthy = isfinite(o[0]) && o[0] > 0.7f && fabsf(o[1]) < 0.2f;
    for (int i = 1; i < task->obs_dim; i++) {
        healthy = healthy && fabsf(o[i]) < 100.0f;
    }
    return !healthy;
}

// Ends when the torso is too low or too high (o[0], height) ...
static bool humanoid_terminated(const struct task *task, const float *o) {
    (void)task;
    return !(o[0] > 1.0f && o[0] < 2.0f);
}

// ... and in MBPO's version the limits themselves are healthy.
static bool humanoid_truncated_obs_terminated(const struct task *task, const float *o) {
    (void)task;
    return !(o[0] >= 1.0f && o[0] <= 2.0f);
}

// Ends when the torso is too low or too high (o[0], height) or leans (o[1], angle).
static bool walker2d_terminated(const struct task *task, const float *o) {
    (void)task;
    return !(o[0] > 0.8f && o[0] < 2.0f && fabsf(o[1]) < 1.0f);
}

void task_terminated(const struct task *task, uint8_t *done, const float *next_obs, int B) {
    bool by_rule = task->termination == TASK_TERMINATION_RULE && task->terminated != NULL;
    for (int b = 0; b < B; b++) {
        const float *row = next_obs + (size_t)b * (size_t)task->obs_dim;
        done[b] = by_rule && task->terminated(task, row);
    }
}

void task_clip(const struct task *task, float *obs, int B) {
    for (int i = 0; i < task->clips; i++) {
        const struct task_clip *c = &task->clip[i];
        for (int b = 0; b < B; b++) {
            float *row = obs + (size_t)b * (size_t)task->obs_dim;
            for (int j = c->first; j <= c->last; j++) {
                float x = row[j] < c->low ? c->low : row[j] > c->high ? c->high : row[j];
                row[j] = isfinite(row[j]) ? x : row[j];
            }
        }
    }
}

// ---- the tasks ----

static const struct task tasks[] = {
    {
        .name = "ant",
        .title = "Ant-v4",
        .obs_dim = 27,
        .act_dim = 8,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
        .terminated = ant_terminated,
    },
    {
        .name = "ant_truncated_obs",
        .title = "AntTruncatedObs-v2",
        .obs_dim = 27,
        .act_dim = 8,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
        .terminated = ant_terminated,
    },
    {
        .name = "ant_v5",
        .title = "Ant-v5",
        .obs_dim = 105,
        .act_dim = 8,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
        .terminated = ant_terminated,
        .clips = 1,
        .clip = {{27, 104, -1.0f, 1.0f}},
    },
    {
        .name = "half_cheetah",
        .title = "HalfCheetah-v4",
        .title_v5 = "HalfCheetah-v5",
        .obs_dim = 17,
        .act_dim = 6,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
    },
    {
        .name = "hopper",
        .title = "Hopper-v4",
        .obs_dim = 11,
        .act_dim = 3,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
        .terminated = hopper_terminated,
        .clips = 1,
        .clip = {{5, 10, -10.0f, 10.0f}},
    },
    {
        .name = "hopper_unclipped",
        .title = "HopperUnclipped-v4",
        .obs_dim = 11,
        .act_dim = 3,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
        .terminated = hopper_terminated,
    },
    {
        .name = "hopper_v5",
        .title = "Hopper-v5",
        .obs_dim = 11,
        .act_dim = 3,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
        .terminated = hopper_terminated,
        .clips = 1,
        .clip = {{5, 10, -10.0f, 10.0f}},
    },
    {
        .name = "humanoid",
        .title = "Humanoid-v4",
        .obs_dim = 376,
        .act_dim = 17,
        .act_low = -0.4f,
        .act_high = 0.4f,
        .horizon = 1000,
        .terminated = humanoid_terminated,
    },
    {
        .name = "humanoid_truncated_obs",
        .title = "HumanoidTruncatedObs-v2",
        .obs_dim = 45,
        .act_dim = 17,
        .act_low = -0.4f,
        .act_high = 0.4f,
        .horizon = 1000,
        .terminated = humanoid_truncated_obs_terminated,
    },
    {
        .name = "humanoid_v5",
        .title = "Humanoid-v5",
        .obs_dim = 348,
        .act_dim = 17,
        .act_low = -0.4f,
        .act_high = 0.4f,
        .horizon = 1000,
        .terminated = humanoid_terminated,
    },
    {
        .name = "inverted_double_pendulum",
        .title = "InvertedDoublePendulum-v4",
        .obs_dim = 11,
        .act_dim = 1,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
        .terminated = inverted_double_pendulum_terminated,
        .clips = 1,
        .clip = {{5, 10, -10.0f, 10.0f}},
    },
    {
        .name = "inverted_double_pendulum_v5",
        .title = "InvertedDoublePendulum-v5",
        .obs_dim = 9,
        .act_dim = 1,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
        .terminated = inverted_double_pendulum_terminated,
        .clips = 1,
        .clip = {{5, 8, -10.0f, 10.0f}},
    },
    {
        .name = "inverted_pendulum",
        .title = "InvertedPendulum-v4",
        .obs_dim = 4,
        .act_dim = 1,
        .act_low = -3.0f,
        .act_high = 3.0f,
        .horizon = 1000,
        .terminated = inverted_pendulum_terminated,
    },
    {
        .name = "inverted_pendulum_v5",
        .title = "InvertedPendulum-v5",
        .obs_dim = 4,
        .act_dim = 1,
        .act_low = -3.0f,
        .act_high = 3.0f,
        .horizon = 1000,
        .terminated = inverted_pendulum_terminated,
    },
    {
        .name = "pusher",
        .title = "Pusher-v4",
        .obs_dim = 23,
        .act_dim = 7,
        .act_low = -2.0f,
        .act_high = 2.0f,
        .horizon = 100,
    },
    {
        .name = "pusher_v5",
        .title = "Pusher-v5",
        .obs_dim = 23,
        .act_dim = 7,
        .act_low = -2.0f,
        .act_high = 2.0f,
        .horizon = 100,
    },
    {
        .name = "reacher",
        .title = "Reacher-v4",
        .obs_dim = 11,
        .act_dim = 2,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 50,
    },
    {
        .name = "reacher_v5",
        .title = "Reacher-v5",
        .obs_dim = 10,
        .act_dim = 2,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 50,
    },
    {
        .name = "swimmer",
        .title = "Swimmer-v4",
        .title_v5 = "Swimmer-v5",
        .obs_dim = 8,
        .act_dim = 2,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
    },
    {
        .name = "walker2d",
        .title = "Walker2d-v4",
        .obs_dim = 17,
        .act_dim = 6,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
        .terminated = walker2d_terminated,
        .clips = 1,
        .clip = {{8, 16, -10.0f, 10.0f}},
    },
    {
        .name = "walker2d_unclipped",
        .title = "Walker2dUnclipped-v4",
        .obs_dim = 17,
        .act_dim = 6,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
        .terminated = walker2d_terminated,
    },
    {
        .name = "walker2d_v5",
        .title = "Walker2d-v5",
        .obs_dim = 17,
        .act_dim = 6,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = 1000,
        .terminated = walker2d_terminated,
        .clips = 1,
        .clip = {{8, 16, -10.0f, 10.0f}},
    },
};

#define TASK_COUNT ((int)(sizeof tasks / sizeof tasks[0]))

int task_count(void) {
    return TASK_COUNT;
}

const struct task *task_at(int index) {
    CHECK(index >= 0 && index < TASK_COUNT);
    return &tasks[index];
}

// ---- names ----

#define PLAIN_MAX 64 // longer than the name of any task

// Normalises a name: "Inverted_Pendulum-v4" -> "invertedpendulum", "Walker2d-v5" ->
// "walker2dv5". False if it is too long.
static bool plain_name(char plain[PLAIN_MAX], const char *name) {
    size_t n = 0;
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '_' || *c == '-') {
            continue;
        }
        if (n == PLAIN_MAX - 1) {
            plain[n] = '\0';
            return false;
        }
        plain[n++] = (char)tolower((unsigned char)*c);
    }
    plain[n] = '\0';
    if (n > 2 && strcmp(plain + n - 2, "v4") == 0) {
        plain[n - 2] = '\0';
    }
    return true;
}

const struct task *task_find(const char *name) {
    CHECK(name != NULL);
    char wanted[PLAIN_MAX], have[PLAIN_MAX];
    if (!plain_name(wanted, name)) {
        return NULL;
    }
    for (int i = 0; i < TASK_COUNT; i++) {
        const char *const names[] = {tasks[i].name, tasks[i].title, tasks[i].title_v5};
        for (int k = 0; k < 3 && names[k] != NULL; k++) {
            CHECK(plain_name(have, names[k]));
            if (strcmp(wanted, have) == 0) {
                return &tasks[i];
            }
        }
    }
    return NULL;
}

// The index of the nearest task. *similar: its name is probably meant.
static int nearest(const char *name, bool *similar) {
    CHECK(name != NULL);
    char wanted[PLAIN_MAX], have[PLAIN_MAX];
    plain_name(wanted, name);
    int best = 0, best_distance = 2 * PLAIN_MAX;
    *similar = false;
    for (int i = 0; i < TASK_COUNT; i++) {
        CHECK(plain_name(have, tasks[i].name));
        int distance = spelling_distance(wanted, have);
        if (strstr(have, wanted) != NULL) {
            distance -= PLAIN_MAX; // a part of a name is nearer than any similar name
        }
        if (distance < best_distance) {
            best = i;
            best_distance = distance;
            *similar = distance < 0 || spelling_is_near(wanted, have);
        }
    }
    return best;
}

const char *task_nearest(const char *name) {
    bool similar;
    return tasks[nearest(name, &similar)].name;
}

const char *task_similar(const char *name) {
    bool similar;
    int best = nearest(name, &similar);
    return similar ? tasks[best].name : NULL;
}
