// SPDX-License-Identifier: MIT
// Reads the YAML file of a described environment in two parts: the fields that are needed to
// compile the model, then the fields that refer to names in the compiled model. Every error
// names file, line and field, and lists the valid names.
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/description/fields.h"
#include "actor/env/mujoco_internal.h"
#include "actor/env/env_kind.h"
#include "common/base/check.h"
#include "common/base/file.h"

// ---- observe ----

static int read_observation(struct reader *r, int node, int number, struct selection *s) {
    static const char *const known[] = {"qpos", "qvel", "cos", "sin", "sensor", "clip", NULL};
    static const char *const fields[] = {"qpos", "qvel", "cos", "sin", "sensor", NULL};
    char where[64];
    snprintf(where, sizeof(where), "observe, item %d", number);
    s->where = where;
    if (fields_check(r, node, where, known) < 0) {
        return -1;
    }
    int field = fields_one_of(r, node, where, fields);
    if (field < 0) {
        return -1;
    }
    int first = s->n;
    s->source = (enum source)field;
    if (fields_select(r, s, yaml_find(r->doc, node, fields[field])) < 0) {
        return -1;
    }
    r->d->row.forward = r->d->row.forward || s->source == SOURCE_SENSOR;
    int clip = yaml_find(r->doc, node, "clip");
    double low = -INFINITY, high = INFINITY;
    if (clip && fields_range_at(r, &low, &high, clip, where, "clip") < 0) {
        return -1;
    }
    for (int i = first; i < s->n; i++) {
        s->out[i].low = low;
        s->out[i].high = high;
    }
    return 0;
}

// Adds a clipped observation to the task, for the learned model. Neighbours with the same bounds
// form one span.
static int add_clip(struct reader *r, int node, int index, const struct entry *e) {
    struct task *t = &r->d->task;
    float low = (float)e->low, high = (float)e->high;
    if (isinf(low)) {
        return 0;
    }
    struct task_clip *before = t->clips > 0 ? &t->clip[t->clips - 1] : NULL;
    if (before && before->last == index - 1 && before->low == low && before->high == high) {
        before->last = index;
        return 0;
    }
    if (t->clips == TASK_CLIPS_MAX) {
        return refuse(r, node,
                      "observe: more than %d separate clipped spans: place numbers with the same "
                      "bounds next to each other",
                      TASK_CLIPS_MAX);
    }
    t->clip[t->clips++] = (struct task_clip){index, index, low, high};
    return 0;
}

static int read_observe(struct reader *r, int root) {
    int node = yaml_find(r->doc, root, "observe");
    struct selection s = {.out = r->d->obs, .max = TASK_OBS_DIM_MAX};
    if (yaml_kind(r->doc, node) != YAML_KIND_LIST || yaml_count(r->doc, node) == 0) {
        return refuse(r, node ? node : root,
                      "observe: expected a list of observations, as in [{qpos: all}, {qvel: all}]");
    }
    for (int i = 0; i < yaml_count(r->doc, node); i++) {
        if (read_observation(r, yaml_item(r->doc, node, i), i + 1, &s) < 0) {
            return -1;
        }
    }
    r->d->task.obs_dim = s.n;
    for (int i = 0; i < s.n; i++) {
        if (add_clip(r, node, i, &s.out[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- reward ----

static int read_distance(struct reader *r, struct term *t, int node, const char *where) {
    if (yaml_kind(r->doc, node) != YAML_KIND_LIST || yaml_count(r->doc, node) != 2) {
        return refuse(r, node, "%s: distance: expected two sites, as in [hand, target]", where);
    }
    for (int i = 0; i < 2; i++) {
        t->site[i] = fields_object(r, yaml_item(r->doc, node, i), where, "distance", "site");
        if (t->site[i] < 0) {
            return -1;
        }
    }
    r->d->row.forward = true;
    return 0;
}

static int read_velocity(struct reader *r, struct term *t, int mapping, int node,
                         const char *where) {
    static const char *const axes[] = {"x", "y", "z", NULL};
    int body = fields_object(r, node, where, "velocity", "body");
    const char *axis = body < 0 ? NULL : fields_text(r, mapping, where, "axis");
    if (!axis) {
        return -1;
    }
    const char *nearest = nearest_choice(axis, axes);
    if (strcmp(nearest, axis) != 0) {
        return refuse(r, yaml_find(r->doc, mapping, "axis"), "%s: axis: %.20s is not x, y or z",
                      where, axis);
    }
    if (r->d->marks == ENV_MARKS_MAX) {
        return refuse(r, node, "%s: more than %d velocities of bodies", where, ENV_MARKS_MAX);
    }
    t->coordinate = 3 * body + (nearest[0] - 'x');
    t->mark = r->d->marks++;
    r->d->row.forward = true;
    return 0;
}

static int read_shape(struct reader *r, struct term *t, int mapping, const char *where) {
    static const char *const shapes[] = {"value", "square", "abs", NULL};
    if (!yaml_find(r->doc, mapping, "shape")) {
        return 0;
    }
    const char *shape = fields_text(r, mapping, where, "shape");
    for (int i = 0; shape && shapes[i]; i++) {
        if (strcmp(shape, shapes[i]) == 0) {
            t->shape = (enum shape)i;
            return 0;
        }
    }
    return shape ? refuse(r, yaml_find(r->doc, mapping, "shape"),
                          "%s: shape: %.40s is not value, square or abs", where, shape)
                 : -1;
}

static int read_term(struct reader *r, struct term *t, int node, const char *where) {
    static const char *const known[] = {"weight",   "shape",    "target",   "axis",   "qpos",
                                        "qvel",     "cos",      "sin",      "sensor", "action",
                                        "constant", "distance", "velocity", NULL};
    static const char *const fields[] = {"qpos",   "qvel",     "cos",      "sin",      "sensor",
                                         "action", "constant", "distance", "velocity", NULL};
    enum { FIELD_CONSTANT = 6, FIELD_DISTANCE, FIELD_VELOCITY };
    if (fields_check(r, node, where, known) < 0) {
        return -1;
    }
    t->weight = 1.0;
    int field = fields_one_of(r, node, where, fields);
    if (field < 0 || fields_number(r, &t->weight, node, where, "weight") < 0 ||
        fields_number(r, &t->target, node, where, "target") < 0 ||
        read_shape(r, t, node, where) < 0) {
        return -1;
    }
    int value = yaml_find(r->doc, node, fields[field]);
    if (field != FIELD_VELOCITY && yaml_find(r->doc, node, "axis")) {
        return refuse(r, node, "%s: axis goes with velocity", where);
    }
    switch (field) {
    case FIELD_CONSTANT:
        t->kind = TERM_CONSTANT;
        return fields_number_at(r, &t->constant, value, where, "constant");
    case FIELD_DISTANCE:
        t->kind = TERM_DISTANCE;
        return read_distance(r, t, value, where);
    case FIELD_VELOCITY:
        t->kind = TERM_VELOCITY;
        return read_velocity(r, t, node, value, where);
    default:
        break;
    }
    struct selection s = {.out = r->d->reward_entry,
                          .n = r->d->reward_entries,
                          .max = DESCRIPTION_REWARD_MAX,
                          .source = (enum source)field,
                          .where = where};
    if (fields_select(r, &s, value) < 0) {
        return -1;
    }
    t->kind = TERM_ENTRIES;
    t->first = r->d->reward_entries;
    t->count = s.n - t->first;
    r->d->reward_entries = s.n;
    r->d->row.forward = r->d->row.forward || s.source == SOURCE_SENSOR;
    return 0;
}

static int read_reward(struct reader *r, int root) {
    struct description *d = r->d;
    int node = yaml_find(r->doc, root, "reward");
    int count = yaml_count(r->doc, node);
    if (yaml_kind(r->doc, node) != YAML_KIND_MAPPING || count == 0 || count > ENV_PARTS_MAX) {
        return refuse(r, node ? node : root,
                      "reward: expected 1 to %d terms, each with a name, as in {alive: {constant: "
                      "1}}",
                      ENV_PARTS_MAX);
    }
    for (int i = 0; i < count; i++) {
        const char *name = yaml_key(r->doc, node, i);
        char where[64];
        struct term *t = &d->term[d->terms];
        if (!name || strlen(name) >= sizeof(t->name) || yaml_twin_line(r->doc, node, i)) {
            return refuse_line(r, yaml_key_line(r->doc, node, i),
                               "reward: \"%.60s\": a term has a name of its own, of at most %zu "
                               "letters",
                               name ? name : "", sizeof(t->name) - 1);
        }
        snprintf(t->name, sizeof(t->name), "%s", name);
        snprintf(where, sizeof(where), "reward, %s", t->name);
        if (read_term(r, t, yaml_item(r->doc, node, i), where) < 0) {
            return -1;
        }
        d->row.part_names[d->terms++] = t->name;
    }
    return 0;
}

// ---- healthy ----

// Index of a number among the observations; -1: it is not observed.
static int observation_index(const struct description *d, const struct entry *e) {
    for (int i = 0; i < d->task.obs_dim; i++) {
        if (d->obs[i].source == e->source && d->obs[i].index == e->index) {
            return i;
        }
    }
    return -1;
}

static int add_range(struct reader *r, int node, const char *where, const struct entry *e,
                     double low, double high) {
    struct description *d = r->d;
    int index = observation_index(d, e);
    if (index < 0) {
        return refuse(r, node,
                      "%s: number %d of %s is not observed, so the learned model cannot "
                      "predict it: add it to observe",
                      where, e->index, source_key(e->source));
    }
    if (low < d->obs[index].low && high > d->obs[index].high) {
        return refuse(r, node,
                      "%s: observation %d is clipped to %g to %g and never leaves %g to %g", where,
                      index, d->obs[index].low, d->obs[index].high, low, high);
    }
    if (d->task.ranges == TASK_RANGES_MAX) {
        return refuse(r, node, "%s: more than %d numbers have a range", where, TASK_RANGES_MAX);
    }
    d->task.range[d->task.ranges++] = (struct task_range){index, (float)low, (float)high};
    return 0;
}

static int read_healthy_item(struct reader *r, int node, int number) {
    static const char *const known[] = {"qpos", "qvel", "cos", "sin", "sensor", "min", "max", NULL};
    static const char *const fields[] = {"qpos", "qvel", "cos", "sin", "sensor", NULL};
    char where[64];
    struct entry entries[TASK_OBS_DIM_MAX];
    snprintf(where, sizeof(where), "healthy, item %d", number);
    struct selection s = {.out = entries, .max = TASK_OBS_DIM_MAX, .where = where};
    if (fields_check(r, node, where, known) < 0) {
        return -1;
    }
    int field = fields_one_of(r, node, where, fields);
    double low = -TASK_RANGE_END, high = TASK_RANGE_END;
    if (field < 0 || fields_number(r, &low, node, where, "min") < 0 ||
        fields_number(r, &high, node, where, "max") < 0) {
        return -1;
    }
    if (!yaml_find(r->doc, node, "min") && !yaml_find(r->doc, node, "max")) {
        return refuse(r, node, "%s: expected min, max or both", where);
    }
    if (!(low < high) || low < -TASK_RANGE_END || high > TASK_RANGE_END) {
        return refuse(r, node, "%s: the range is the wrong way round or too wide: %g to %g", where,
                      low, high);
    }
    s.source = (enum source)field;
    if (fields_select(r, &s, yaml_find(r->doc, node, fields[field])) < 0) {
        return -1;
    }
    for (int i = 0; i < s.n; i++) {
        if (add_range(r, node, where, &entries[i], low, high) < 0) {
            return -1;
        }
    }
    return 0;
}

static int read_healthy(struct reader *r, int root) {
    int node = yaml_find(r->doc, root, "healthy");
    enum yaml_kind kind = yaml_kind(r->doc, node);
    if (kind != YAML_KIND_LIST && kind != YAML_KIND_NOTHING) {
        return refuse(r, node, "healthy: expected a list, as in [{qpos: hinge, min: -1, max: 1}]");
    }
    for (int i = 0; i < yaml_count(r->doc, node); i++) {
        if (read_healthy_item(r, yaml_item(r->doc, node, i), i + 1) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- the two parts ----

// Actions are scaled to the control ranges of the actuators, which are therefore required.
static int read_actuators(struct reader *r) {
    int nu = model_count(r->env, "actuator");
    if (nu < 1 || nu > TASK_ACT_DIM_MAX) {
        snprintf(r->err, r->err_len, "%s: the model has %d actuators; it must have 1 to %d",
                 r->d->model, nu, TASK_ACT_DIM_MAX);
        return -1;
    }
    for (int i = 0; i < nu; i++) {
        double low = model_value(r->env, "actuator_ctrlrange", 2 * i);
        double high = model_value(r->env, "actuator_ctrlrange", 2 * i + 1);
        if (model_value(r->env, "actuator_ctrllimited", i) == 0 || !(low < high)) {
            snprintf(r->err, r->err_len,
                     "%s: actuator %d (\"%.60s\") has no control range: set ctrllimited=\"true\" "
                     "and ctrlrange=\"LOW HIGH\"; the policy's -1 and 1 are scaled to it",
                     r->d->model, i, env_model_name(r->env, "actuator", i));
            return -1;
        }
    }
    r->d->task.act_dim = nu;
    return 0;
}

int description_bind(struct description *d, const struct env *env, char *err, size_t err_len) {
    struct reader r = {.d = d, .doc = d->doc, .env = env, .err = err, .err_len = err_len};
    int root = yaml_root(d->doc);
    return read_actuators(&r) < 0 || read_observe(&r, root) < 0 || read_reward(&r, root) < 0 ||
                   read_healthy(&r, root) < 0 || description_read_start(&r, root) < 0
               ? -1
               : 0;
}

// The default name is the file's name up to its first dot.
static int read_name(struct reader *r, int root) {
    const char *slash = strrchr(r->d->path, '/');
    const char *file = slash ? slash + 1 : r->d->path;
    int node = yaml_find(r->doc, root, "name");
    char name[PATH_MAX];
    if (node) {
        const char *given = fields_text(r, root, "environment", "name");
        if (!given) {
            return -1;
        }
        snprintf(name, sizeof(name), "%s", given);
    } else {
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(file, "."), file);
    }
    if (!env_name_ok(name)) {
        return refuse(r, node ? node : root, "name: \"%.80s\" is not a valid task name: %s", name,
                      ENV_NAME_RULE);
    }
    snprintf(r->d->name, sizeof(r->d->name), "%.*s", ENV_NAME_MAX - 1, name);
    return 0;
}

// The path is relative to the folder of the description.
static int read_model(struct reader *r, int root) {
    const char *model = fields_text(r, root, "environment", "model");
    char folder[PATH_MAX];
    if (!model) {
        return -1;
    }
    snprintf(folder, sizeof(folder), "%s", r->d->path);
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = '\0';
    }
    int node = yaml_find(r->doc, root, "model");
    int rc = model[0] == '/'
                 ? file_join(r->d->model, sizeof(r->d->model), "", model + 1)
                 : file_join(r->d->model, sizeof(r->d->model), slash ? folder : ".", model);
    if (rc < 0) {
        return refuse(r, node, "model: the path is too long");
    }
    if (!file_exists(r->d->model)) {
        return refuse(r, node, "model: there is no file %s", r->d->model);
    }
    return 0;
}

int description_open(struct description *d, const char *path, char *err, size_t err_len) {
    static const char *const known[] = {"name",   "model",   "frame_skip", "horizon", "observe",
                                        "reward", "healthy", "start",      NULL};
    snprintf(d->path, sizeof(d->path), "%s", path);
    d->doc = yaml_load(path, err, err_len);
    if (!d->doc) {
        return -1;
    }
    struct reader r = {.d = d, .doc = d->doc, .err = err, .err_len = err_len};
    int root = yaml_root(d->doc), frame_skip = 1, horizon = 0;
    if (fields_check(&r, root, "environment", known) < 0 || read_name(&r, root) < 0 ||
        read_model(&r, root) < 0 ||
        fields_whole(&r, &frame_skip, root, "environment", "frame_skip", 10000) < 0 ||
        fields_whole(&r, &horizon, root, "environment", "horizon", 1e9) < 0) {
        return -1;
    }
    if (horizon == 0) {
        return refuse(&r, root,
                      "environment: horizon is missing: the number of steps after which an "
                      "episode is truncated");
    }
    d->row.frame_skip = frame_skip;
    d->task = (struct task){
        .name = d->name,
        .title = d->name,
        .env = d->path,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = horizon,
    };
    return 0;
}
