// SPDX-License-Identifier: MIT
// Fields of a description, one at a time: numbers, ranges, names of the model's objects, and
// selections of the simulation's numbers. All return 0 (or what was found), or -1 (NULL) with
// file, line, field and the choices in the reader's err.
#ifndef SPUR_ACTOR_ENV_DESCRIPTION_FIELDS_H
#define SPUR_ACTOR_ENV_DESCRIPTION_FIELDS_H

#include "actor/env/description/description.h"

struct reader {
    struct description *d;
    const struct yaml *doc;
    const struct env *env; // NULL while there is no model
    char *err;
    size_t err_len;
};

#define refuse_line(r, line, ...) yaml_refuse((r)->doc, line, (r)->err, (r)->err_len, __VA_ARGS__)
#define refuse(r, node, ...) refuse_line(r, yaml_line((r)->doc, node), __VA_ARGS__)

// As MuJoCo numbers its kinds of joints.
enum { JOINT_FREE, JOINT_BALL, JOINT_SLIDE, JOINT_HINGE };

// where and key name the field in messages: "reward, reach" and "distance".

// That node is a mapping with keys of the list alone, each once.
int fields_check(const struct reader *r, int node, const char *where, const char *const *known);
// Which of the list a mapping has, when it has exactly one of them.
int fields_one_of(const struct reader *r, int node, const char *where, const char *const *fields);

int fields_number_at(const struct reader *r, double *out, int node, const char *where,
                     const char *key);
// A field that may be left out: *out then stays as it is.
int fields_number(const struct reader *r, double *out, int mapping, const char *where,
                  const char *key);
// The same, whole and between 1 and max.
int fields_whole(const struct reader *r, int *out, int mapping, const char *where, const char *key,
                 double max);
// [low, high] with low < high.
int fields_range_at(const struct reader *r, double *low, double *high, int node, const char *where,
                    const char *key);
// A text that must be there.
const char *fields_text(const struct reader *r, int mapping, const char *where, const char *key);
// The index of an object of the model (kinds as in model_find) that a text names.
int fields_object(const struct reader *r, int node, const char *where, const char *key,
                  const char *kind);

// Numbers of the simulation, appended to out.
struct selection {
    struct entry *out;
    int n, max;
    enum source source;
    const char *where;
};
// What "qpos: ..." and the like say: all, a slice FROM:TO, a name, a list of names.
int fields_select(const struct reader *r, struct selection *s, int node);
const char *source_key(enum source source); // "qpos"

#endif
