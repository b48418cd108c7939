// SPDX-License-Identifier: MIT
// A described environment, read: plain arrays that its row's functions run over.
//
// For description_read.c, which fills it in, description_names.c, which looks into the compiled
// model for that, and env_description.c, which steps by it.
#ifndef SPUR_ACTOR_ENV_DESCRIPTION_DESCRIPTION_H
#define SPUR_ACTOR_ENV_DESCRIPTION_DESCRIPTION_H

#include <limits.h>

#include "actor/env/env.h"
#include "actor/env/tasks/task_row.h"
#include "common/config/yaml_doc.h"

#define DESCRIPTION_PAID_MAX 1024 // numbers that all terms of a reward look at
#define DESCRIPTION_SPREAD_MAX 64 // joints with a start of their own

// One number of the simulation.
enum source {
    SOURCE_QPOS,
    SOURCE_QVEL,
    SOURCE_COS, // of qpos
    SOURCE_SIN,
    SOURCE_SENSOR,
    SOURCE_ACTION,
};
struct entry {
    enum source source;
    int index;
    double low, high; // clipped to these; infinite: not
};

enum term_kind {
    TERM_CONSTANT,
    TERM_ENTRIES,  // sum over entries of shape(entry - target)
    TERM_DISTANCE, // shape(|site a - site b| - target)
    TERM_VELOCITY, // shape(of a body's origin along an axis, over the step, - target)
};
enum shape { SHAPE_VALUE, SHAPE_SQUARE, SHAPE_ABS };
struct term {
    char name[32];
    enum term_kind kind;
    enum shape shape;
    double weight, constant, target;
    int first, count; // TERM_ENTRIES: of description.paid
    int site[2];
    int coordinate; // TERM_VELOCITY: of env_view.xpos
    int mark;       // and where it is kept
};

struct spread {
    int index; // of qpos
    double low, high;
};

struct description {
    char path[PATH_MAX], model[PATH_MAX];
    char name[ENV_NAME_MAX];
    struct yaml *doc; // while it is read
    struct task task;
    struct env_task row;

    struct entry obs[TASK_OBS_DIM_MAX]; // task.obs_dim of them
    struct term term[ENV_PARTS_MAX];
    int terms, marks;
    struct entry paid[DESCRIPTION_PAID_MAX];
    int paid_count;

    // The start: a pose (NULL: the model's at rest), noise on all of it, joints spread out.
    double *key_qpos, *key_qvel; // (nq), (nv); ours
    struct spread spread[DESCRIPTION_SPREAD_MAX];
    int spreads;
};

// What needs no model: doc, name, model, frame_skip, horizon. 0, or -1 with a sentence in err.
int description_open(struct description *d, const char *path, char *err, size_t err_len);
// The rest, by the names in the compiled model.
int description_bind(struct description *d, const struct env *env, char *err, size_t err_len);

// ---- looking into the model ----

// kind: "joint", "sensor", "site", "body", "actuator", "key".
int model_count(const struct env *env, const char *kind);
// -1, with "there is no site "x" in the model; ..." and the choices in why.
int model_find(const struct env *env, const char *kind, const char *name, char *why,
               size_t why_len);
// Number `index` of a field of MuJoCo's model.
double model_value(const struct env *env, const char *field, int index);
// "a", "b", "c" of a list that ends with NULL.
void list_choices(char *out, size_t out_len, const char *const *choices);
const char *nearest_choice(const char *given, const char *const *choices);

#endif
