// SPDX-License-Identifier: MIT
// Conversion of all messages except Status between our structs and protobuf-c's.
//
// Each message has one list of its plain fields, which both directions share, so that no field
// is packed and not unpacked. Packing borrows columns; unpacking leaves them where protobuf-c
// stored them. So bytes are copied once in each direction. Machine and wire are little-endian and
// the arena's pieces are aligned, so columns need no conversion.
#include <stdbool.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "proto/wire_parts.h"
#include "spur.pb-c.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "columns need no conversion");
_Static_assert(sizeof(float) == 4 && sizeof(double) == 8, "numbers are IEEE");
_Static_assert((int)SPUR__ROLE__ROLE_LEARNER == WIRE_ROLE_LEARNER, "enums are spur.proto's");
_Static_assert((int)SPUR__ACTIVATION__ACTIVATION_SILU == WIRE_ACTIVATION_SILU, "likewise");
_Static_assert((int)SPUR__NOISE__NOISE_OU == WIRE_NOISE_OU, "likewise");
_Static_assert((int)SPUR__REFUSAL__REFUSAL_KEY == WIRE_REFUSED_KEY, "likewise");
_Static_assert((int)SPUR__EXPERIENCE_KIND__EXPERIENCE_MODEL == WIRE_MODEL, "likewise");

// A body's field number is its type + BODY_FIRST.
enum { BODY_FIRST = SPUR__ENVELOPE__BODY_HELLO - WIRE_HELLO };
_Static_assert((int)SPUR__ENVELOPE__BODY_STATES - BODY_FIRST == WIRE_TYPE_LAST,
               "types are in order");

// clang-format off
#define HELLO_FIELDS(NUM, ENUM, TEXT) \
    ENUM(role) \
    TEXT(id) \
    NUM(incarnation) \
    TEXT(host) \
    NUM(pid) \
    TEXT(version) \
    TEXT(task) \
    NUM(obs_dim) \
    NUM(act_dim) \
    TEXT(endpoint) \
    NUM(updates) \
    NUM(policy_version) \
    NUM(real_rows) \
    NUM(model_rows) \
    NUM(environments) \
    NUM(states) \
    NUM(checkpoint)
#define WELCOME_FIELDS(NUM, ENUM, TEXT) \
    NUM(seed) \
    TEXT(task) \
    NUM(obs_dim) \
    NUM(act_dim) \
    NUM(horizon) \
    NUM(actor_index) \
    NUM(next_seq) \
    NUM(actor_steps) \
    NUM(actor_episodes) \
    NUM(heartbeat_ms) \
    NUM(lost_after_ms) \
    NUM(batch_rows_max) \
    NUM(unacked_rows_max) \
    ENUM(noise) \
    NUM(noise_ou_theta) \
    NUM(incarnation)
#define REFUSE_FIELDS(NUM, ENUM, TEXT) \
    ENUM(code) \
    NUM(fatal) \
    TEXT(text)
#define ACK_FIELDS(NUM, ENUM, TEXT) \
    NUM(seq)
#define CREDIT_FIELDS(NUM, ENUM, TEXT) \
    NUM(steps_allowed) \
    NUM(random_steps) \
    NUM(min_policy_version) \
    NUM(newest_policy_version) \
    TEXT(reason) \
    TEXT(learner)
#define EPISODE_FIELDS(NUM, ENUM, TEXT) \
    NUM(length) \
    NUM(episode_return) \
    NUM(terminated) \
    NUM(policy_version)
#define HEARTBEAT_FIELDS(NUM, ENUM, TEXT) \
    NUM(steps) \
    NUM(policy_version) \
    NUM(unacked_rows) \
    NUM(steps_bad) \
    TEXT(waiting)
#define SHUTDOWN_FIELDS(NUM, ENUM, TEXT) \
    NUM(done) \
    TEXT(text)
#define GRANT_FIELDS(NUM, ENUM, TEXT) \
    NUM(updates_allowed) \
    NUM(model_capacity) \
    NUM(env_steps) \
    NUM(checkpoint_id) \
    TEXT(reason) \
    NUM(experience_seq) \
    NUM(policy_version)
#define PROGRESS_FIELDS(NUM, ENUM, TEXT) \
    NUM(experience_seq) \
    NUM(updates) \
    NUM(policy_version) \
    NUM(real_rows) \
    NUM(model_rows) \
    NUM(model_capacity) \
    NUM(updates_per_s) \
    TEXT(waiting) \
    NUM(checkpoint_id) \
    NUM(checkpoint)
#define POLICY_GET_FIELDS(NUM, ENUM, TEXT) \
    NUM(have_version)
#define STATUS_REQUEST_FIELDS(NUM, ENUM, TEXT) \
    NUM(standby)

// These messages contain more than plain fields; functions below convert the rest.
#define TRANSITIONS_FIELDS(NUM, ENUM, TEXT) \
    NUM(seq) \
    NUM(policy_version)
#define EXPERIENCE_FIELDS(NUM, ENUM, TEXT) \
    NUM(seq) \
    ENUM(kind) \
    NUM(first_index) \
    NUM(model_version) \
    NUM(policy_version)
#define MODEL_FIELDS(NUM, ENUM, TEXT) \
    NUM(seq) \
    NUM(version) \
    NUM(env_rows)
#define STATES_FIELDS(NUM, ENUM, TEXT) \
    NUM(seq) \
    NUM(number) \
    NUM(model_version) \
    NUM(policy_version) \
    NUM(policy_updates) \
    NUM(rows) \
    NUM(obs_dim)
#define ROWS_FIELDS(NUM, ENUM, TEXT) \
    NUM(rows) \
    NUM(obs_dim) \
    NUM(act_dim)
#define POLICY_FIELDS(NUM, ENUM, TEXT) \
    NUM(version) \
    NUM(updates) \
    NUM(obs_dim) \
    NUM(act_dim) \
    NUM(hidden_layers) \
    NUM(params_len)
#define EVAL_REQUEST_FIELDS(NUM, ENUM, TEXT) \
    NUM(id) \
    NUM(env_steps) \
    NUM(seed) \
    TEXT(task) \
    NUM(episodes) \
    NUM(steps_max)
#define EVAL_REPORT_FIELDS(NUM, ENUM, TEXT) \
    NUM(id) \
    NUM(env_steps) \
    NUM(policy_version) \
    NUM(episodes) \
    NUM(episodes_cut)
// clang-format on

// Defines pack_NAME and unpack_NAME from a list.
#define PACKER(name, Pb, FIELDS)                                                                   \
    static Spur__##Pb *pack_##name(struct arena *a, const struct wire_##name *m) {                 \
        Spur__##Pb *p = arena_alloc(a, sizeof(*p));                                                \
        CHECK(p);                                                                                  \
        spur__##name##__init(p);                                                                   \
        FIELDS(WIRE_PACK_NUM, WIRE_PACK_ENUM, WIRE_PACK_TEXT)                                      \
        return p;                                                                                  \
    }
#define UNPACKER(name, Pb, FIELDS)                                                                 \
    static void unpack_##name(struct wire_##name *m, const Spur__##Pb *p) {                        \
        FIELDS(WIRE_UNPACK_NUM, WIRE_UNPACK_ENUM, WIRE_UNPACK_TEXT)                                \
    }
#define BOTH(name, Pb, FIELDS) PACKER(name, Pb, FIELDS) UNPACKER(name, Pb, FIELDS)

BOTH(hello, Hello, HELLO_FIELDS)
BOTH(welcome, Welcome, WELCOME_FIELDS)
BOTH(refuse, Refuse, REFUSE_FIELDS)
BOTH(ack, Ack, ACK_FIELDS)
BOTH(credit, Credit, CREDIT_FIELDS)
BOTH(episode, Episode, EPISODE_FIELDS)
BOTH(heartbeat, Heartbeat, HEARTBEAT_FIELDS)
BOTH(shutdown, Shutdown, SHUTDOWN_FIELDS)
BOTH(grant, Grant, GRANT_FIELDS)
BOTH(progress, Progress, PROGRESS_FIELDS)
BOTH(policy_get, PolicyGet, POLICY_GET_FIELDS)
BOTH(status_request, StatusRequest, STATUS_REQUEST_FIELDS)
BOTH(transitions, Transitions, TRANSITIONS_FIELDS)
BOTH(experience, Experience, EXPERIENCE_FIELDS)
BOTH(model, Model, MODEL_FIELDS)
BOTH(states, States, STATES_FIELDS)
BOTH(rows, Rows, ROWS_FIELDS)
BOTH(policy, Policy, POLICY_FIELDS)
BOTH(eval_request, EvalRequest, EVAL_REQUEST_FIELDS)
BOTH(eval_report, EvalReport, EVAL_REPORT_FIELDS)

// ---- columns ----

// Borrows data. protobuf-c's struct is not const, but packing only reads.
static ProtobufCBinaryData borrow(const void *data, size_t len) {
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

// The first error while reading columns.
struct column_error {
    int rc;
    char *err;
    size_t err_len;
};

// Returns a column of rows x dim numbers of `size` bytes, or NULL if its length differs.
static const void *read_column(struct column_error *e, const ProtobufCBinaryData *bytes,
                               uint64_t rows, uint32_t dim, size_t size, const char *name) {
    // Checked before the multiplication: rows is not validated yet.
    bool fits = rows <= WIRE_PARAMS_MAX && dim <= WIRE_DIM_MAX;
    if (fits && bytes->len == rows * dim * size) {
        return bytes->len ? bytes->data : NULL;
    }
    if (e->rc == 0) {
        e->rc = error_set(
            e->err, e->err_len, -WIRE_REFUSED_FORMAT,
            "%s: %zu bytes, but the message announces %llu x %u numbers of %zu bytes%s", name,
            bytes->len, (unsigned long long)rows, dim, size, fits ? "" : ", which is too many");
    }
    return NULL;
}

static Spur__Rows *pack_whole_rows(struct arena *a, const struct wire_rows *m) {
    Spur__Rows *p = pack_rows(a, m);
    size_t rows = m->rows;
    p->obs = borrow(m->obs, rows * m->obs_dim * sizeof(float));
    p->act = borrow(m->act, rows * m->act_dim * sizeof(float));
    p->reward = borrow(m->reward, rows * sizeof(float));
    p->next_obs = borrow(m->next_obs, rows * m->obs_dim * sizeof(float));
    p->flags = borrow(m->flags, rows);
    return p;
}

static int unpack_whole_rows(struct wire_rows *m, const Spur__Rows *p, char *err, size_t err_len) {
    if (!p) {
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT, "rows: missing");
    }
    unpack_rows(m, p);
    struct column_error e = {.err = err, .err_len = err_len};
    m->obs = read_column(&e, &p->obs, p->rows, p->obs_dim, sizeof(float), "rows.obs");
    m->act = read_column(&e, &p->act, p->rows, p->act_dim, sizeof(float), "rows.act");
    m->reward = read_column(&e, &p->reward, p->rows, 1, sizeof(float), "rows.reward");
    m->next_obs =
        read_column(&e, &p->next_obs, p->rows, p->obs_dim, sizeof(float), "rows.next_obs");
    m->flags = read_column(&e, &p->flags, p->rows, 1, 1, "rows.flags");
    return e.rc;
}

static Spur__Model *pack_whole_model(struct arena *a, const struct wire_model *m) {
    Spur__Model *p = pack_model(a, m);
    p->params = borrow(m->params, m->params_len * sizeof(float));
    p->normalizer = borrow(m->normalizer, m->normalizer_len * sizeof(float));
    p->termination = borrow(m->termination, m->termination_len * sizeof(float));
    p->n_elite = m->elites;
    p->elite = (uint32_t *)(uintptr_t)m->elite;
    return p;
}

// The numbers of a column without an announced length.
static const float *read_floats(struct column_error *e, const ProtobufCBinaryData *bytes,
                                uint64_t *len, const char *name) {
    *len = bytes->len / sizeof(float);
    return read_column(e, bytes, *len, 1, sizeof(float), name);
}

static int unpack_whole_model(struct wire_model *m, const Spur__Model *p, char *err,
                              size_t err_len) {
    unpack_model(m, p);
    if (p->n_elite > WIRE_MEMBERS_MAX) {
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT, "model.elite: %zu members; %d at most",
                         p->n_elite, WIRE_MEMBERS_MAX);
    }
    m->elites = (uint32_t)p->n_elite;
    for (size_t i = 0; i < p->n_elite; i++) {
        m->elite[i] = p->elite[i];
    }
    struct column_error e = {.err = err, .err_len = err_len};
    m->params = read_floats(&e, &p->params, &m->params_len, "model.params");
    m->normalizer = read_floats(&e, &p->normalizer, &m->normalizer_len, "model.normalizer");
    m->termination = read_floats(&e, &p->termination, &m->termination_len, "model.termination");
    return e.rc;
}

static Spur__States *pack_whole_states(struct arena *a, const struct wire_states *m) {
    Spur__States *p = pack_states(a, m);
    p->obs = borrow(m->obs, (size_t)m->rows * m->obs_dim * sizeof(float));
    return p;
}

static int unpack_whole_states(struct wire_states *m, const Spur__States *p, char *err,
                               size_t err_len) {
    unpack_states(m, p);
    struct column_error e = {.err = err, .err_len = err_len};
    m->obs = read_column(&e, &p->obs, p->rows, p->obs_dim, sizeof(float), "states.obs");
    return e.rc;
}

static Spur__Policy *pack_whole_policy(struct arena *a, const struct wire_policy *m) {
    Spur__Policy *p = pack_policy(a, m);
    p->params = borrow(m->params, m->params_len * sizeof(float));
    // The short form, which is older, where it suffices.
    bool equal = m->activation == WIRE_ACTIVATION_RELU;
    for (uint32_t l = 1; l < m->hidden_layers; l++) {
        equal = equal && m->hidden[l] == m->hidden[0];
    }
    if (equal) {
        p->hidden_width = m->hidden[0];
    } else {
        p->n_hidden = m->hidden_layers;
        p->hidden = (uint32_t *)(uintptr_t)m->hidden;
        p->activation = (int)m->activation;
    }
    return p;
}

// Widths and activation from either form. 0, or an error.
static int unpack_hidden(struct wire_policy *m, const Spur__Policy *p, char *err, size_t err_len) {
    bool equal = p->hidden_width > 0;
    if (p->n_hidden != (equal ? 0 : p->hidden_layers)) {
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT,
                         "policy.hidden: %zu widths for %u layers, and hidden_width %u",
                         p->n_hidden, p->hidden_layers, p->hidden_width);
    }
    for (uint32_t l = 0; l < p->hidden_layers; l++) {
        m->hidden[l] = equal ? p->hidden_width : p->hidden[l];
    }
    m->activation = equal ? WIRE_ACTIVATION_RELU : (enum wire_activation)p->activation;
    return 0;
}

static int unpack_whole_policy(struct wire_policy *m, const Spur__Policy *p, char *err,
                               size_t err_len) {
    if (!p) {
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT, "policy: missing");
    }
    unpack_policy(m, p);
    if (p->hidden_layers > WIRE_LAYERS_MAX) { // also without weights: readers go through hidden
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT,
                         "policy.hidden_layers: %u is more than %d", p->hidden_layers,
                         WIRE_LAYERS_MAX);
    }
    int rc = p->params_len > 0 ? unpack_hidden(m, p, err, err_len) : 0;
    if (rc != 0) {
        return rc;
    }
    struct column_error e = {.err = err, .err_len = err_len};
    m->params = read_column(&e, &p->params, p->params_len, 1, sizeof(float), "policy.params");
    return e.rc;
}

static Spur__EvalReport *pack_whole_eval_report(struct arena *a, const struct wire_eval_report *m) {
    Spur__EvalReport *p = pack_eval_report(a, m);
    p->n_returns = p->n_lengths = m->episodes;
    p->returns = (double *)(uintptr_t)m->returns;
    p->lengths = (double *)(uintptr_t)m->lengths;
    return p;
}

static int unpack_whole_eval_report(struct wire_eval_report *m, const Spur__EvalReport *p,
                                    char *err, size_t err_len) {
    unpack_eval_report(m, p);
    if (p->n_returns != p->episodes || p->n_lengths != p->episodes) {
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT,
                         "eval_report: %zu returns and %zu lengths for %u episodes", p->n_returns,
                         p->n_lengths, p->episodes);
    }
    m->returns = p->returns;
    m->lengths = p->lengths;
    return 0;
}

// ---- bodies ----

void wire_pack_body(struct arena *a, struct Spur__Envelope *p, const struct wire_msg *msg) {
    p->body_case = (int)msg->type + BODY_FIRST;
    switch (msg->type) {
    case WIRE_HELLO:
        p->hello = pack_hello(a, &msg->hello);
        break;
    case WIRE_WELCOME:
        p->welcome = pack_welcome(a, &msg->welcome);
        if (msg->welcome.episode.rows > 0) {
            p->welcome->episode = pack_whole_rows(a, &msg->welcome.episode);
        }
        break;
    case WIRE_REFUSE:
        p->refuse = pack_refuse(a, &msg->refuse);
        break;
    case WIRE_TRANSITIONS:
        p->transitions = pack_transitions(a, &msg->transitions);
        p->transitions->rows = pack_whole_rows(a, &msg->transitions.rows);
        break;
    case WIRE_ACK:
        p->ack = pack_ack(a, &msg->ack);
        break;
    case WIRE_CREDIT:
        p->credit = pack_credit(a, &msg->credit);
        break;
    case WIRE_EPISODE:
        p->episode = pack_episode(a, &msg->episode);
        break;
    case WIRE_HEARTBEAT:
        p->heartbeat = pack_heartbeat(a, &msg->heartbeat);
        break;
    case WIRE_GOODBYE:
        p->goodbye = arena_alloc(a, sizeof(*p->goodbye));
        CHECK(p->goodbye);
        spur__goodbye__init(p->goodbye);
        break;
    case WIRE_SHUTDOWN:
        p->shutdown = pack_shutdown(a, &msg->shutdown);
        break;
    case WIRE_EVAL_REQUEST:
        p->eval_request = pack_eval_request(a, &msg->eval_request);
        p->eval_request->policy = pack_whole_policy(a, &msg->eval_request.policy);
        break;
    case WIRE_EVAL_REPORT:
        p->eval_report = pack_whole_eval_report(a, &msg->eval_report);
        break;
    case WIRE_EXPERIENCE:
        p->experience = pack_experience(a, &msg->experience);
        p->experience->rows = pack_whole_rows(a, &msg->experience.rows);
        break;
    case WIRE_ENSEMBLE:
        p->model = pack_whole_model(a, &msg->model);
        break;
    case WIRE_STATES:
        p->states = pack_whole_states(a, &msg->states);
        break;
    case WIRE_GRANT:
        p->grant = pack_grant(a, &msg->grant);
        break;
    case WIRE_PROGRESS:
        p->progress = pack_progress(a, &msg->progress);
        p->progress->n_metrics = msg->progress.metrics.count;
        p->progress->metrics = wire_pack_metrics(a, &msg->progress.metrics);
        break;
    case WIRE_POLICY_GET:
        p->policy_get = pack_policy_get(a, &msg->policy_get);
        break;
    case WIRE_POLICY:
        p->policy = pack_whole_policy(a, &msg->policy);
        break;
    case WIRE_STATUS_REQUEST:
        p->status_request = pack_status_request(a, &msg->status_request);
        break;
    case WIRE_STATUS:
        p->status = wire_pack_status(a, &msg->status);
        break;
    }
}

int wire_unpack_body(struct arena *a, struct wire_msg *msg, const struct Spur__Envelope *p,
                     char *err, size_t err_len) {
    msg->type = (int)p->body_case - BODY_FIRST;
    switch (p->body_case) {
    case SPUR__ENVELOPE__BODY_HELLO:
        unpack_hello(&msg->hello, p->hello);
        return 0;
    case SPUR__ENVELOPE__BODY_WELCOME:
        unpack_welcome(&msg->welcome, p->welcome);
        return p->welcome->episode
                   ? unpack_whole_rows(&msg->welcome.episode, p->welcome->episode, err, err_len)
                   : 0;
    case SPUR__ENVELOPE__BODY_REFUSE:
        unpack_refuse(&msg->refuse, p->refuse);
        return 0;
    case SPUR__ENVELOPE__BODY_TRANSITIONS:
        unpack_transitions(&msg->transitions, p->transitions);
        return unpack_whole_rows(&msg->transitions.rows, p->transitions->rows, err, err_len);
    case SPUR__ENVELOPE__BODY_ACK:
        unpack_ack(&msg->ack, p->ack);
        return 0;
    case SPUR__ENVELOPE__BODY_CREDIT:
        unpack_credit(&msg->credit, p->credit);
        return 0;
    case SPUR__ENVELOPE__BODY_EPISODE:
        unpack_episode(&msg->episode, p->episode);
        return 0;
    case SPUR__ENVELOPE__BODY_HEARTBEAT:
        unpack_heartbeat(&msg->heartbeat, p->heartbeat);
        return 0;
    case SPUR__ENVELOPE__BODY_SHUTDOWN:
        unpack_shutdown(&msg->shutdown, p->shutdown);
        return 0;
    case SPUR__ENVELOPE__BODY_EVAL_REQUEST:
        unpack_eval_request(&msg->eval_request, p->eval_request);
        return unpack_whole_policy(&msg->eval_request.policy, p->eval_request->policy, err,
                                   err_len);
    case SPUR__ENVELOPE__BODY_EVAL_REPORT:
        return unpack_whole_eval_report(&msg->eval_report, p->eval_report, err, err_len);
    case SPUR__ENVELOPE__BODY_EXPERIENCE:
        unpack_experience(&msg->experience, p->experience);
        return unpack_whole_rows(&msg->experience.rows, p->experience->rows, err, err_len);
    case SPUR__ENVELOPE__BODY_MODEL:
        return unpack_whole_model(&msg->model, p->model, err, err_len);
    case SPUR__ENVELOPE__BODY_STATES:
        return unpack_whole_states(&msg->states, p->states, err, err_len);
    case SPUR__ENVELOPE__BODY_GRANT:
        unpack_grant(&msg->grant, p->grant);
        return 0;
    case SPUR__ENVELOPE__BODY_PROGRESS:
        unpack_progress(&msg->progress, p->progress);
        return wire_unpack_metrics(&msg->progress.metrics, p->progress->n_metrics,
                                   p->progress->metrics, "progress.metrics", err, err_len);
    case SPUR__ENVELOPE__BODY_POLICY_GET:
        unpack_policy_get(&msg->policy_get, p->policy_get);
        return 0;
    case SPUR__ENVELOPE__BODY_POLICY:
        return unpack_whole_policy(&msg->policy, p->policy, err, err_len);
    case SPUR__ENVELOPE__BODY_STATUS:
        return wire_unpack_status(a, &msg->status, p->status, err, err_len);
    case SPUR__ENVELOPE__BODY_STATUS_REQUEST:
        unpack_status_request(&msg->status_request, p->status_request);
        return 0;
    case SPUR__ENVELOPE__BODY_GOODBYE:
        return 0;
    default:
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT, "an envelope without a message");
    }
}
