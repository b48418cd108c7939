// SPDX-License-Identifier: MIT
// Reads the field `start` of a description: keyframe, noise per coordinate, uniform ranges.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/description/fields.h"
#include "common/base/check.h"

static int read_keyframe(struct reader *r, int node) {
    int key = fields_object(r, node, "start", "keyframe", "key");
    if (key < 0) {
        return -1;
    }
    int nq = (int)model_value(r->env, "nq", 0), nv = (int)model_value(r->env, "nv", 0);
    r->d->key_qpos = xcalloc((size_t)nq + 1, sizeof(double));
    r->d->key_qvel = xcalloc((size_t)nv + 1, sizeof(double));
    for (int i = 0; i < nq; i++) {
        r->d->key_qpos[i] = model_value(r->env, "key_qpos", key * nq + i);
    }
    for (int i = 0; i < nv; i++) {
        r->d->key_qvel[i] = model_value(r->env, "key_qvel", key * nv + i);
    }
    return 0;
}

static int read_uniform(struct reader *r, int mapping, int index) {
    const char *name = yaml_key(r->doc, mapping, index);
    char why[640];
    int joint = model_find(r->env, "joint", name ? name : "", why, sizeof(why));
    size_t line = yaml_key_line(r->doc, mapping, index);
    if (joint < 0) {
        return refuse_line(r, line, "start: uniform: %s", why);
    }
    if ((int)model_value(r->env, "jnt_type", joint) < JOINT_SLIDE) {
        return refuse_line(r, line, "start: uniform: joint %.60s is neither a slide nor a hinge",
                           name);
    }
    if (r->d->uniforms == DESCRIPTION_UNIFORM_MAX) {
        return refuse_line(r, line, "start: uniform: more than %d joints", DESCRIPTION_UNIFORM_MAX);
    }
    struct uniform_start *s = &r->d->uniform_start[r->d->uniforms++];
    s->index = (int)model_value(r->env, "jnt_qposadr", joint);
    return fields_range_at(r, &s->low, &s->high, yaml_item(r->doc, mapping, index),
                           "start: uniform", name);
}

// ---- noise ----

// The half-widths of one kind of coordinate: qpos or qvel.
struct noise {
    const char *key; // "qpos_noise"
    bool velocity;
    int count;     // nq or nv
    double *width; // (count)
};

// Reads a number, or a list of n, to width.
static int read_widths(struct reader *r, double *width, int n, int node, const char *where,
                       const char *what) {
    bool list = yaml_kind(r->doc, node) == YAML_KIND_LIST;
    if (list && yaml_count(r->doc, node) != n) {
        return refuse(r, node, "%s: %s: expected a number, or a list of %d, found a list of %d",
                      where, what, n, yaml_count(r->doc, node));
    }
    for (int i = 0; i < n; i++) {
        int item = list ? yaml_item(r->doc, node, i) : node;
        if (fields_number_at(r, &width[i], item, where, what) < 0) {
            return -1;
        }
        if (width[i] < 0) {
            return refuse(r, item, "%s: %s: the noise is a half-width and must not be negative",
                          where, what);
        }
    }
    return 0;
}

// One pair of a mapping: a joint, or all.
static int read_joint_noise(struct reader *r, struct noise *noise, int mapping, int index) {
    static const int sizes[2][4] = {{7, 4, 1, 1}, {6, 3, 1, 1}};
    const char *name = yaml_key(r->doc, mapping, index);
    int node = yaml_item(r->doc, mapping, index);
    char why[640], where[64];
    snprintf(where, sizeof(where), "start: %s", noise->key);
    if (name && strcmp(name, "all") == 0) {
        return 0; // read before
    }
    int joint = model_find(r->env, "joint", name ? name : "", why, sizeof(why));
    if (joint < 0) {
        return refuse_line(r, yaml_key_line(r->doc, mapping, index), "%s: %s", where, why);
    }
    int type = (int)model_value(r->env, "jnt_type", joint);
    int at = (int)model_value(r->env, noise->velocity ? "jnt_dofadr" : "jnt_qposadr", joint);
    return read_widths(r, noise->width + at, sizes[noise->velocity][type], node, where, name);
}

// A number for all coordinates, a list of numbers, or a mapping of joints.
static int read_noise(struct reader *r, int start, struct noise *noise) {
    int node = yaml_find(r->doc, start, noise->key);
    noise->count = (int)model_value(r->env, noise->velocity ? "nv" : "nq", 0);
    noise->width = xcalloc((size_t)noise->count + 1, sizeof(double));
    if (yaml_kind(r->doc, node) == YAML_KIND_NOTHING) {
        return 0;
    }
    if (yaml_kind(r->doc, node) != YAML_KIND_MAPPING) {
        return read_widths(r, noise->width, noise->count, node, "start", noise->key);
    }
    int all = yaml_find(r->doc, node, "all");
    if (all && read_widths(r, noise->width, noise->count, all, "start", noise->key) < 0) {
        return -1;
    }
    for (int i = 0; i < yaml_count(r->doc, node); i++) {
        size_t twin = yaml_twin_line(r->doc, node, i);
        if (twin) {
            return refuse_line(r, yaml_key_line(r->doc, node, i),
                               "start: %s: %s is given twice; first on line %zu", noise->key,
                               yaml_key(r->doc, node, i), twin);
        }
        if (read_joint_noise(r, noise, node, i) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- the field ----

int description_read_start(struct reader *r, int root) {
    static const char *const known[] = {"keyframe", "qpos_noise", "qvel_noise", "uniform", NULL};
    struct description *d = r->d;
    int node = yaml_find(r->doc, root, "start");
    bool given = yaml_kind(r->doc, node) != YAML_KIND_NOTHING;
    if (given && fields_check(r, node, "start", known) < 0) {
        return -1;
    }
    struct noise noise[] = {{.key = "qpos_noise"}, {.key = "qvel_noise", .velocity = true}};
    int rc = read_noise(r, node, &noise[0]);
    d->qpos_noise = noise[0].width;
    if (rc == 0) {
        rc = read_noise(r, node, &noise[1]);
        d->qvel_noise = noise[1].width;
    }
    int keyframe = yaml_find(r->doc, node, "keyframe");
    int uniform = yaml_find(r->doc, node, "uniform");
    if (rc < 0 || (keyframe && read_keyframe(r, keyframe) < 0)) {
        return -1;
    }
    if (uniform && yaml_kind(r->doc, uniform) != YAML_KIND_MAPPING) {
        return refuse(r, uniform,
                      "start: uniform: expected joints and ranges, as in {hinge: [-1, 1]}");
    }
    for (int i = 0; i < yaml_count(r->doc, uniform); i++) {
        if (read_uniform(r, uniform, i) < 0) {
            return -1;
        }
    }
    return 0;
}
