// SPDX-License-Identifier: MIT
// Reads fields of a YAML mapping, with errors that name file, line, field and valid choices.
#include "actor/env/description/fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- fields of a mapping ----

int fields_check(const struct reader *r, int node, const char *where, const char *const *known) {
    if (yaml_kind(r->doc, node) != YAML_KIND_MAPPING) {
        char all[256];
        list_choices(all, sizeof(all), known);
        return refuse(r, node, "%s: expected fields, of these: %s", where, all);
    }
    for (int i = 0; i < yaml_count(r->doc, node); i++) {
        const char *key = yaml_key(r->doc, node, i);
        size_t line = yaml_key_line(r->doc, node, i), twin = yaml_twin_line(r->doc, node, i);
        const char *nearest = nearest_choice(key ? key : "", known);
        if (!key || strcmp(key, nearest) != 0) {
            char all[256], similar[96];
            list_choices(all, sizeof(all), known);
            return refuse_line(
                r, line, "%s: there is no field \"%.60s\"%s All: %s", where, key ? key : "",
                suggest_choice(similar, sizeof(similar), key ? key : "", known), all);
        }
        if (twin) {
            return refuse_line(r, line, "%s: %s is given twice; first on line %zu", where, key,
                               twin);
        }
    }
    return 0;
}

int fields_number_at(const struct reader *r, double *out, int node, const char *where,
                     const char *key) {
    const char *text = yaml_quoted(r->doc, node) ? NULL : yaml_text(r->doc, node);
    if (!text || !yaml_number(out, text)) {
        return refuse(r, node, "%s: %s: expected a number, found %s%.60s%s", where, key,
                      text ? "\"" : "", text ? text : "none", text ? "\"" : "");
    }
    return 0;
}

int fields_number(const struct reader *r, double *out, int mapping, const char *where,
                  const char *key) {
    int node = yaml_find(r->doc, mapping, key);
    return node == 0 ? 0 : fields_number_at(r, out, node, where, key);
}

int fields_whole(const struct reader *r, int *out, int mapping, const char *where, const char *key,
                 double max) {
    double x = *out;
    int node = yaml_find(r->doc, mapping, key);
    if (node == 0) {
        return 0;
    }
    if (fields_number_at(r, &x, node, where, key) < 0) {
        return -1;
    }
    if (x != floor(x) || x < 1 || x > max) {
        return refuse(r, node, "%s: %s is %g; it must be a whole number between 1 and %.0f", where,
                      key, x, max);
    }
    *out = (int)x;
    return 0;
}

int fields_range_at(const struct reader *r, double *low, double *high, int node, const char *where,
                    const char *key) {
    if (yaml_kind(r->doc, node) != YAML_KIND_LIST || yaml_count(r->doc, node) != 2) {
        return refuse(r, node, "%s: %s: expected a range, as in [-1, 1]", where, key);
    }
    if (fields_number_at(r, low, yaml_item(r->doc, node, 0), where, key) < 0 ||
        fields_number_at(r, high, yaml_item(r->doc, node, 1), where, key) < 0) {
        return -1;
    }
    if (!(*low < *high)) {
        return refuse(r, node, "%s: %s: the range is the wrong way round: %g to %g", where, key,
                      *low, *high);
    }
    return 0;
}

const char *fields_text(const struct reader *r, int mapping, const char *where, const char *key) {
    int node = yaml_find(r->doc, mapping, key);
    const char *text = yaml_text(r->doc, node);
    if (!text) {
        refuse(r, node ? node : mapping, "%s: %s: expected a name, found %s", where, key,
               node ? "something else" : "none");
    }
    return text;
}

int fields_object(const struct reader *r, int node, const char *where, const char *key,
                  const char *kind) {
    char why[640];
    const char *name = yaml_text(r->doc, node);
    if (!name) {
        return refuse(r, node, "%s: %s: expected the name of a %s", where, key, kind);
    }
    int index = model_find(r->env, kind, name, why, sizeof(why));
    if (index < 0) {
        return refuse(r, node, "%s: %s: %s", where, key, why);
    }
    return index;
}

// ---- numbers of the simulation ----

static const struct {
    const char *key, *kind;
} sources[] = {
    [SOURCE_QPOS] = {"qpos", "joint"},      [SOURCE_QVEL] = {"qvel", "joint"},
    [SOURCE_COS] = {"cos", "joint"},        [SOURCE_SIN] = {"sin", "joint"},
    [SOURCE_SENSOR] = {"sensor", "sensor"}, [SOURCE_ACTION] = {"action", "actuator"},
};

const char *source_key(enum source source) {
    return sources[source].key;
}

static int select_run(const struct reader *r, struct selection *s, int node, int first, int count) {
    if (s->n + count > s->max) {
        return refuse(r, node, "%s: %d numbers are too many; the maximum is %d", s->where,
                      s->n + count, s->max);
    }
    for (int i = 0; i < count; i++) {
        s->out[s->n++] = (struct entry){s->source, first + i, -INFINITY, INFINITY};
    }
    return 0;
}

static int select_named(const struct reader *r, struct selection *s, int node) {
    static const int places[] = {7, 4, 1, 1}, velocities[] = {6, 3, 1, 1};
    const char *key = sources[s->source].key;
    int object = fields_object(r, node, s->where, key, sources[s->source].kind);
    if (object < 0) {
        return -1;
    }
    int joint = s->source <= SOURCE_SIN ? (int)model_value(r->env, "jnt_type", object) : 0;
    switch (s->source) {
    case SOURCE_QPOS:
        return select_run(r, s, node, (int)model_value(r->env, "jnt_qposadr", object),
                          places[joint]);
    case SOURCE_QVEL:
        return select_run(r, s, node, (int)model_value(r->env, "jnt_dofadr", object),
                          velocities[joint]);
    case SOURCE_COS:
    case SOURCE_SIN:
        if (joint != JOINT_HINGE) {
            return refuse(r, node, "%s: %s is of an angle, but joint %.60s is no hinge", s->where,
                          key, yaml_text(r->doc, node));
        }
        return select_run(r, s, node, (int)model_value(r->env, "jnt_qposadr", object), 1);
    case SOURCE_SENSOR:
        return select_run(r, s, node, (int)model_value(r->env, "sensor_adr", object),
                          (int)model_value(r->env, "sensor_dim", object));
    case SOURCE_ACTION:
        return select_run(r, s, node, object, 1);
    }
    return -1;
}

static int select_all(const struct reader *r, struct selection *s, int node) {
    static const char *const sizes[] = {[SOURCE_QPOS] = "nq",
                                        [SOURCE_QVEL] = "nv",
                                        [SOURCE_SENSOR] = "nsensordata",
                                        [SOURCE_ACTION] = "nu"};
    if (s->source != SOURCE_COS && s->source != SOURCE_SIN) {
        return select_run(r, s, node, 0, (int)model_value(r->env, sizes[s->source], 0));
    }
    for (int j = 0; j < model_count(r->env, "joint"); j++) {
        if ((int)model_value(r->env, "jnt_type", j) == JOINT_HINGE &&
            select_run(r, s, node, (int)model_value(r->env, "jnt_qposadr", j), 1) < 0) {
            return -1;
        }
    }
    return 0;
}

// Parses "FROM:TO", without TO; both are optional. False: text has another form.
static bool read_slice(int *from, int *to, const char *text, int size) {
    const char *colon = strchr(text, ':');
    if (!colon || text[strspn(text, "0123456789:")] != '\0' || strchr(colon + 1, ':') ||
        strlen(text) > 16) {
        return false;
    }
    *from = colon == text ? 0 : atoi(text);
    *to = colon[1] == '\0' ? size : atoi(colon + 1);
    return true;
}

int fields_select(const struct reader *r, struct selection *s, int node) {
    const char *key = sources[s->source].key, *text = yaml_text(r->doc, node);
    bool sliced = s->source == SOURCE_QPOS || s->source == SOURCE_QVEL;
    int from, to, before = s->n;
    if (text && strcmp(text, "all") == 0) {
        if (select_all(r, s, node) < 0) {
            return -1;
        }
    } else if (text && sliced && strchr(text, ':')) {
        int size = (int)model_value(r->env, s->source == SOURCE_QPOS ? "nq" : "nv", 0);
        if (!read_slice(&from, &to, text, size) || from >= to || to > size) {
            return refuse(r, node,
                          "%s: %s: %.40s is not a slice of the model's %d numbers, 0 to %d: "
                          "expected FROM:TO, without TO",
                          s->where, key, text, size, size - 1);
        }
        return select_run(r, s, node, from, to - from);
    } else if (text) {
        return select_named(r, s, node);
    } else if (yaml_kind(r->doc, node) == YAML_KIND_LIST) {
        for (int i = 0; i < yaml_count(r->doc, node); i++) {
            if (select_named(r, s, yaml_item(r->doc, node, i)) < 0) {
                return -1;
            }
        }
    }
    if (s->n == before) {
        return refuse(r, node, "%s: %s: expected all, a %s or a list of them%s; found none",
                      s->where, key, sources[s->source].kind, sliced ? ", or FROM:TO" : "");
    }
    return 0;
}

int fields_one_of(const struct reader *r, int node, const char *where, const char *const *fields) {
    int found = -1, count = 0;
    for (int i = 0; fields[i]; i++) {
        if (yaml_find(r->doc, node, fields[i])) {
            found = i;
            count++;
        }
    }
    if (count != 1) {
        char all[256];
        list_choices(all, sizeof(all), fields);
        return refuse(r, node, "%s: expected one of these, found %d: %s", where, count, all);
    }
    return found;
}
