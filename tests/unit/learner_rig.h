// SPDX-License-Identifier: MIT
// Fixture for the learner's core: the core with a real trainer, which executes commands at once,
// and a fake server whose messages are function calls.
#ifndef SPUR_TESTS_UNIT_LEARNER_RIG_H
#define SPUR_TESTS_UNIT_LEARNER_RIG_H

#include <errno.h>

#include "learner/learner.h"
#include "proto/epoch.h"
#include "tests/unit/learner_fixture.h"
#include "tests/unit/sent.h"

#define RUN_ID 42
#define EPOCH 5

struct rig {
    char dir[PATH_MAX];
    struct config config;
    struct learner_identity who;
    struct trainer *trainer;
    struct learner *core;
    uint64_t now_ms, version; // version: the last one passed to the core
    int reopened, submitted;
    bool deaf, full; // the socket to the server, the queue of commands
    struct sent_list sent;
};

static inline int send_message(void *arg, enum port_socket socket, const struct net_peer *to,
                               const struct wire_msg *msg) {
    struct rig *r = arg;
    if (socket == PORT_MODELSERVER && r->deaf) {
        return -EAGAIN;
    }
    assert_true(socket == PORT_MODELSERVER || (socket == PORT_OWN && to->len == 5));
    sent_add(&r->sent, socket, to, msg);
    return 0;
}

static inline void reopen(void *arg, enum port_socket socket, const char *endpoint) {
    assert_string_equal(endpoint, "ipc://server");
    assert_int_equal(socket, PORT_MODELSERVER);
    ((struct rig *)arg)->reopened++;
}

static inline bool take(void *arg, struct trainer_command *command) {
    struct rig *r = arg;
    if (r->full) {
        return false;
    }
    r->submitted++;
    trainer_handle(r->trainer, command);
    return true;
}

// The work of the worker thread, and main's handling of its report.
static inline void work(struct rig *r) {
    bool published = false;
    uint64_t updates = 0;
    while (trainer_can_update(r->trainer)) {
        if (trainer_update(r->trainer)) {
            published = true;
            updates = r->trainer->updates;
        }
    }
    struct trainer_report report = r->trainer->report;
    metrics_sum_clear(&r->trainer->report.sum);
    published = published || r->version == 0; // the initial policy
    r->version = report.policy_version;
    learner_on_report(r->core, r->now_ms, &report,
                      published ? trainer_policy(r->trainer).params : NULL, r->version, updates);
}

static inline void tick(struct rig *r, uint64_t ms) {
    r->now_ms += ms;
    learner_on_tick(r->core, r->now_ms);
}

static inline void start_with(struct rig *r, struct config config) {
    const struct port port = {.arg = r, .send = send_message, .reopen = reopen};
    const struct learner_jobs jobs = {.arg = r, .submit = take};
    char err[1024];
    r->config = config;
    r->now_ms = 1000;
    r->trainer = trainer_create(&r->config, fixture_task(), r->dir, err, sizeof(err));
    assert_non_null(r->trainer);
    r->who = (struct learner_identity){.config = &r->config,
                                       .task = fixture_task(),
                                       .id = "learner",
                                       .host = "here",
                                       .modelserver = "ipc://server",
                                       .endpoint = "ipc://own",
                                       .pid = 6};
    r->core = learner_create(&r->who, &port, &jobs, trainer_policy(r->trainer).shape, r->now_ms);
    work(r);
}

static inline void start(struct rig *r) {
    start_with(r, fixture_config());
}

static inline struct rig *rig_create_with(struct config config) {
    struct rig *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    fixture_folder(r->dir);
    start_with(r, config);
    return r;
}

static inline struct rig *rig_create(void) {
    return rig_create_with(fixture_config());
}

static inline void rig_stop(struct rig *r) {
    learner_destroy(&r->core);
    trainer_destroy(&r->trainer);
}

static inline void rig_destroy(struct rig *r) {
    rig_stop(r);
    sent_deinit(&r->sent);
    fixture_remove(r->dir);
    free(r);
}

// Messages that no expect has taken.
static inline int unseen(const struct rig *r) {
    return r->sent.count - r->sent.seen;
}

// The next message sent must be of that type and to the server or a peer.
static inline const struct wire_msg *expect(struct rig *r, bool server, enum wire_type type) {
    if (unseen(r) == 0) {
        fail_msg("nothing was sent; expected type %d", (int)type);
    }
    const struct sent *s = r->sent.all[r->sent.seen++];
    if (s->msg.type != type || (s->socket == PORT_MODELSERVER) != server) {
        fail_msg("type %d was sent, expected %d", (int)s->msg.type, (int)type);
    }
    return &s->msg;
}

static inline void hear(struct rig *r, struct wire_msg *msg) {
    if (msg->run_id == 0) {
        msg->run_id = RUN_ID;
    }
    learner_on_server(r->core, r->now_ms, msg);
}

static inline struct wire_msg welcome(const struct rig *r) {
    struct wire_msg msg = {.type = WIRE_WELCOME};
    msg.welcome.seed = r->config.run.seed;
    snprintf(msg.welcome.task, sizeof(msg.welcome.task), "%s", r->who.task->name);
    msg.welcome.obs_dim = OBS;
    msg.welcome.act_dim = ACT;
    msg.welcome.heartbeat_ms = 500;
    msg.welcome.lost_after_ms = 3000;
    msg.welcome.incarnation = EPOCH;
    return msg;
}

// Hello, Welcome and the messages after it.
static inline void join(struct rig *r) {
    tick(r, 20);
    expect(r, true, WIRE_HELLO);
    struct wire_msg msg = welcome(r);
    hear(r, &msg);
    expect(r, true, WIRE_POLICY);
    expect(r, true, WIRE_PROGRESS);
}

static inline void experience(struct rig *r, uint64_t seq, bool model, uint64_t first, uint32_t n) {
    static struct fixture_rows rows;
    fixture_fill(&rows, first, n, 0);
    if (n > 1) {
        rows.flags[0] = WIRE_TERMINATED;
        rows.flags[1] = WIRE_TRUNCATED;
    }
    struct wire_msg msg = {.type = WIRE_EXPERIENCE};
    msg.experience = (struct wire_experience){
        .seq = seq,
        .kind = model ? WIRE_MODEL : WIRE_REAL,
        .first_index = model ? 0 : first,
        .rows = {n, OBS, ACT, rows.obs, rows.act, rows.reward, rows.next_obs, rows.flags},
    };
    hear(r, &msg);
}

static inline void grant(struct rig *r, uint64_t updates, uint64_t capacity) {
    struct wire_msg msg = {.type = WIRE_GRANT};
    msg.grant = (struct wire_grant){.updates_allowed = updates, .model_capacity = capacity};
    snprintf(msg.grant.reason, sizeof(msg.grant.reason), "one more real step");
    hear(r, &msg);
}

static inline struct wire_status status(struct rig *r) {
    const struct net_peer peer = {.len = 5, .id = "peer"};
    const struct wire_msg msg = {.type = WIRE_STATUS_REQUEST};
    learner_on_peer(r->core, r->now_ms, &peer, &msg);
    return expect(r, false, WIRE_STATUS)->status;
}

static inline uint64_t counter(struct rig *r, const char *name) {
    struct wire_status s = status(r);
    for (uint32_t i = 0; i < s.counter_count; i++) {
        if (strcmp(s.counters[i].name, name) == 0) {
            return s.counters[i].value;
        }
    }
    fail_msg("no counter %s", name);
    return 0;
}

#endif
