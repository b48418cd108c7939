// SPDX-License-Identifier: MIT
// Readers of single fields of a description: numbers, ranges, names of the model's objects, and
// selections of the simulation's numbers. They return 0 (or the result), or -1 (NULL) with file,
// line, field and the valid choices in the reader's err.
#ifndef SPUR_ACTOR_ENV_DESCRIPTION_FIELDS_H
#define SPUR_ACTOR_ENV_DESCRIPTION_FIELDS_H

#include "actor/env/description/description.h"

struct reader {
    struct description *d;
    const struct yaml *doc;
    const struct env *env; // NULL before the model is compiled
    char *err;
    size_t err_len;
};

#define refuse_line(r, line, ...) yaml_refuse((r)->doc, line, (r)->err, (r)->err_len, __VA_ARGS__)
#define refuse(r, node, ...) refuse_line(r, yaml_line((r)->doc, node), __VA_ARGS__)

// MuJoCo's numbers of joint types.
enum { JOINT_FREE, JOINT_BALL, JOINT_SLIDE, JOINT_HINGE };

// where and key name the field in messages: "reward, reach" and "distance".

// Checks that node is a mapping whose keys are in the list, each at most once.
int fields_check(const struct reader *r, int node, const char *where, const char *const *known);
// Index of the only field of the list in a mapping; an error if there is none or several.
int fields_one_of(const struct reader *r, int node, const char *where, const char *const *fields);

int fields_number_at(const struct reader *r, double *out, int node, const char *where,
                     const char *key);
// An optional field: *out is unchanged if it is absent.
int fields_number(const struct reader *r, double *out, int mapping, const char *where,
                  const char *key);
// The same for an integer between 1 and max.
int fields_whole(const struct reader *r, int *out, int mapping, const char *where, const char *key,
                 double max);
// [low, high] with low < high.
int fields_range_at(const struct reader *r, double *low, double *high, int node, const char *where,
                    const char *key);
// A required text.
const char *fields_text(const struct reader *r, int mapping, const char *where, const char *key);
// Index of the model's object that the text names. kind as in model_find.
int fields_object(const struct reader *r, int node, const char *where, const char *key,
                  const char *kind);

// Selected numbers of the simulation, appended to out.
struct selection {
    struct entry *out;
    int n, max;
    enum source source;
    const char *where;
};
// Reads the value of "qpos: ..." and so on: all, a slice FROM:TO, a name, or a list of names.
int fields_select(const struct reader *r, struct selection *s, int node);
const char *source_key(enum source source); // "qpos"

// Reads the field start of the mapping root (read_start.c).
int description_read_start(struct reader *r, int root);

#endif
