// SPDX-License-Identifier: MIT
// Shows that the actor's core keeps the protocol: credits, acknowledgements and
// resending, versions, bounds, refusals, episodes, random streams; and the
// evaluator its own. The other side is a fake server: a test's hands, and a list
// of what was sent. The environment is a counter with five-step episodes, so
// that every number can be foreseen.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "actor/actor.h"
#include "actor/env.h"
#include "actor/evaluator.h"
#include "common/check.h"
#include "common/log.h"
#include "common/nn/policy.h"

#define RUN 42
#define SEED 7
#define OBS_DIM 3
#define ACT_DIM 1
#define EPISODE_STEPS 5
#define BATCH_MAX 4
#define UNACKED_MAX 12

// ---- a task and an environment that can be foreseen ----

static const struct task counter_task = {.name = "counter",
                                         .title = "Counter-v0",
                                         .obs_dim = OBS_DIM,
                                         .act_dim = ACT_DIM,
                                         .act_low = -1,
                                         .act_high = 1,
                                         .horizon = EPISODE_STEPS};

const struct task *task_find(const char *name) {
    return strcmp(name, counter_task.name) == 0 ? &counter_task : NULL;
}

const char *task_nearest(const char *name) {
    (void)name;
    return counter_task.name;
}

// obs = (start, steps in the episode, last action); reward = steps.
struct env {
    double start, steps, action;
};
static int bad_step_at; // the number of the step that the simulator breaks at; 0: none
static int steps_taken;

struct env *env_create(const struct task *task, char *err, size_t err_len) {
    (void)err;
    (void)err_len;
    assert_ptr_equal(task, &counter_task);
    return calloc(1, sizeof(struct env));
}

void env_destroy(struct env **env) {
    free(*env);
    *env = NULL;
}

void env_reset(struct env *env, struct rng *rng) {
    *env = (struct env){.start = rng_uniform(rng)};
}

void env_obs(const struct env *env, float *obs) {
    obs[0] = (float)env->start;
    obs[1] = (float)env->steps;
    obs[2] = (float)env->action;
}

struct env_step env_step(struct env *env, const float *action) {
    steps_taken++;
    env->steps++;
    env->action = action[0];
    return (struct env_step){.reward = env->steps,
                             .truncated = env->steps >= EPISODE_STEPS,
                             .bad = steps_taken == bad_step_at};
}

// ---- a server made by hand ----

#define SENT_MAX 256

struct sent {
    enum client_peer to;
    struct wire_msg msg;
    float obs[BATCH_MAX * OBS_DIM], act[BATCH_MAX], next_obs[BATCH_MAX * OBS_DIM];
    float reward[BATCH_MAX];
    uint8_t flags[BATCH_MAX];
    double returns[WIRE_EPISODES_MAX];
};

struct world {
    struct sent *sent; // (SENT_MAX), since the last take
    int count;
    bool deaf; // sockets take nothing
    int reopened;
    struct client_io io;
    struct client_identity who;
    struct actor *actor;
    struct evaluator *evaluator;
    uint64_t now_ms;
};

static int world_send(void *arg, enum client_peer to, const struct wire_msg *msg) {
    struct world *w = arg;
    if (w->deaf) {
        return -EAGAIN;
    }
    assert_true(w->count < SENT_MAX);
    struct sent *s = &w->sent[w->count++];
    s->to = to;
    s->msg = *msg;
    if (msg->type == WIRE_TRANSITIONS) {
        const struct wire_rows *rows = &msg->transitions.rows;
        assert_true(rows->rows > 0 && rows->rows <= BATCH_MAX);
        memcpy(s->obs, rows->obs, rows->rows * OBS_DIM * sizeof(float));
        memcpy(s->next_obs, rows->next_obs, rows->rows * OBS_DIM * sizeof(float));
        memcpy(s->act, rows->act, rows->rows * sizeof(float));
        memcpy(s->reward, rows->reward, rows->rows * sizeof(float));
        memcpy(s->flags, rows->flags, rows->rows);
    }
    if (msg->type == WIRE_EVAL_REPORT) {
        memcpy(s->returns, msg->eval_report.returns, msg->eval_report.episodes * sizeof(double));
    }
    return 0;
}

static void world_reopen(void *arg, enum client_peer peer) {
    struct world *w = arg;
    (void)peer;
    w->reopened++;
}

static struct world *world_make(bool evaluate) {
    struct world *w = xcalloc(1, sizeof(*w));
    w->sent = xcalloc(SENT_MAX, sizeof(*w->sent));
    w->now_ms = 1000;
    w->io = (struct client_io){.arg = w, .send = world_send, .reopen = world_reopen};
    w->who = (struct client_identity){.id = "actor-0",
                                      .host = "here",
                                      .version = "test",
                                      .incarnation = 9,
                                      .pid = 1,
                                      .endpoint = "",
                                      .modelserver = "ipc:///server",
                                      .learner = "ipc:///learner"};
    bad_step_at = 0;
    steps_taken = 0;
    if (evaluate) {
        w->evaluator = evaluator_create(&w->who, &w->io, w->now_ms);
    } else {
        w->actor = actor_create(&w->who, &w->io, w->now_ms);
    }
    return w;
}

static void world_free(struct world *w) {
    actor_destroy(&w->actor);
    evaluator_destroy(&w->evaluator);
    free(w->sent);
    free(w);
}

static void hear(struct world *w, enum client_peer from, struct wire_msg *msg) {
    msg->run_id = RUN;
    if (w->actor) {
        actor_on_message(w->actor, from, w->now_ms, msg);
    } else {
        evaluator_on_message(w->evaluator, w->now_ms, msg);
    }
}

// Time passes in ticks of 50 ms.
static void pass(struct world *w, uint64_t ms) {
    for (uint64_t end = w->now_ms + ms; w->now_ms < end;) {
        w->now_ms += 50;
        if (w->actor) {
            actor_on_tick(w->actor, w->now_ms);
        } else {
            evaluator_on_tick(w->evaluator, w->now_ms);
        }
    }
}

static void step(struct world *w) {
    for (int i = 0; i < 100 && actor_may_step(w->actor); i++) {
        actor_step(w->actor, w->now_ms);
    }
}

static int count_sent(const struct world *w, enum wire_type type) {
    int n = 0;
    for (int i = 0; i < w->count; i++) {
        n += w->sent[i].msg.type == type;
    }
    return n;
}

static const struct sent *find_sent(const struct world *w, enum wire_type type, int which) {
    for (int i = 0; i < w->count; i++) {
        if (w->sent[i].msg.type == type && which-- == 0) {
            return &w->sent[i];
        }
    }
    fail_msg("no message of type %d was sent", (int)type);
    return NULL;
}

static uint64_t rows_sent(const struct world *w) {
    uint64_t rows = 0;
    for (int i = 0; i < w->count; i++) {
        if (w->sent[i].msg.type == WIRE_TRANSITIONS) {
            rows += w->sent[i].msg.transitions.rows.rows;
        }
    }
    return rows;
}

static void welcome_with(struct world *w, uint64_t next_seq, uint64_t steps, uint64_t episodes) {
    struct wire_msg msg = {.type = WIRE_WELCOME};
    msg.welcome = (struct wire_welcome){.seed = SEED,
                                        .obs_dim = OBS_DIM,
                                        .act_dim = ACT_DIM,
                                        .horizon = EPISODE_STEPS,
                                        .actor_index = 3,
                                        .next_seq = next_seq,
                                        .actor_steps = steps,
                                        .actor_episodes = episodes,
                                        .heartbeat_ms = 500,
                                        .lost_after_ms = 3000,
                                        .batch_rows_max = BATCH_MAX,
                                        .unacked_rows_max = UNACKED_MAX};
    snprintf(msg.welcome.task, sizeof(msg.welcome.task), "counter");
    hear(w, CLIENT_TO_MODELSERVER, &msg);
}

static void welcome(struct world *w) {
    pass(w, 50);
    assert_int_equal(count_sent(w, WIRE_HELLO), 1);
    welcome_with(w, 1, 0, 0);
    w->count = 0;
}

static void credit(struct world *w, uint64_t allowed, uint64_t random, uint64_t min_version,
                   uint64_t newest) {
    struct wire_msg msg = {.type = WIRE_CREDIT};
    msg.credit = (struct wire_credit){.steps_allowed = allowed,
                                      .random_steps = random,
                                      .min_policy_version = min_version,
                                      .newest_policy_version = newest};
    snprintf(msg.credit.reason, sizeof(msg.credit.reason), "the learner is behind");
    hear(w, CLIENT_TO_MODELSERVER, &msg);
}

static void ack(struct world *w, uint64_t seq) {
    struct wire_msg msg = {.type = WIRE_ACK, .ack = {.seq = seq}};
    hear(w, CLIENT_TO_MODELSERVER, &msg);
}

static struct wire_policy make_policy(float *params, uint64_t version) {
    struct policy shape = policy_make(OBS_DIM, ACT_DIM, 8, 1);
    struct rng rng = rng_make(version, RNG_TEST, 0);
    policy_init(params, &shape, &rng);
    return (struct wire_policy){.version = version,
                                .updates = version,
                                .obs_dim = OBS_DIM,
                                .act_dim = ACT_DIM,
                                .hidden_width = 8,
                                .hidden_layers = 1,
                                .params_len = policy_params(&shape),
                                .params = params};
}

static void give_policy(struct world *w, uint64_t version) {
    float params[256];
    struct wire_msg msg = {.type = WIRE_POLICY, .policy = make_policy(params, version)};
    hear(w, CLIENT_TO_LEARNER, &msg);
}

static uint64_t counter(struct world *w, const char *name) {
    static struct wire_status status;
    struct wire_actor_status line;
    if (w->actor) {
        actor_status(w->actor, w->now_ms, &status, &line);
    } else {
        evaluator_status(w->evaluator, w->now_ms, &status, &line);
    }
    for (uint32_t i = 0; i < status.counter_count; i++) {
        if (strcmp(status.counters[i].name, name) == 0) {
            return status.counters[i].value;
        }
    }
    fail_msg("there is no counter %s", name);
    return 0;
}

static struct wire_actor_status line_of(struct world *w) {
    static struct wire_status status;
    struct wire_actor_status line;
    actor_status(w->actor, w->now_ms, &status, &line);
    return line;
}

static bool finished(struct world *w, int *code) {
    const char *why;
    return w->actor ? actor_finished(w->actor, code, &why)
                    : evaluator_finished(w->evaluator, code, &why);
}

// ---- the actor ----

static void credits_are_respected(void **state) {
    (void)state;
    struct world *w = world_make(false);
    assert_false(actor_may_step(w->actor));
    welcome(w);
    assert_false(actor_may_step(w->actor)); // welcome, but no credit
    credit(w, 6, 100, 0, 0);
    step(w);
    assert_int_equal(steps_taken, 6);
    assert_int_equal(rows_sent(w), 6); // and sent, since no further step is allowed
    assert_int_equal(count_sent(w, WIRE_TRANSITIONS), 2); // 4 + 2: batches are bounded
    assert_non_null(strstr(line_of(w).waiting, "the learner is behind"));

    credit(w, 6, 100, 0, 0); // a total: repeated, it allows nothing more
    assert_false(actor_may_step(w->actor));
    credit(w, 4, 100, 0, 0); // withdrawn
    assert_false(actor_may_step(w->actor));
    credit(w, 7, 100, 0, 0);
    step(w);
    assert_int_equal(steps_taken, 7);
    world_free(w);
}

static void rows_are_what_happened(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 7, 100, 0, 0);
    step(w);
    const struct sent *first = find_sent(w, WIRE_TRANSITIONS, 0);
    const struct sent *second = find_sent(w, WIRE_TRANSITIONS, 1);
    assert_int_equal(first->msg.transitions.seq, 1);
    assert_int_equal(second->msg.transitions.seq, 2);
    assert_int_equal(first->msg.transitions.policy_version, 0);
    for (int i = 0; i < 4; i++) {
        assert_true(first->obs[i * OBS_DIM + 1] == (float)i);
        assert_true(first->next_obs[i * OBS_DIM + 1] == (float)i + 1);
        assert_true(first->next_obs[i * OBS_DIM + 2] == first->act[i]);
        assert_true(fabsf(first->act[i]) <= 1);
        assert_true(first->reward[i] == (float)i + 1);
        assert_int_equal(first->flags[i], 0);
    }
    // The fifth row ends the episode with its true next observation; the sixth starts anew.
    assert_int_equal(second->flags[0], WIRE_TRUNCATED);
    assert_true(second->next_obs[1] == EPISODE_STEPS);
    assert_true(second->obs[OBS_DIM + 1] == 0);
    assert_true(second->obs[OBS_DIM] != first->obs[0]); // another start state

    const struct wire_episode *episode = &find_sent(w, WIRE_EPISODE, 0)->msg.episode;
    assert_int_equal(episode->length, EPISODE_STEPS);
    assert_true(episode->episode_return == 15);
    assert_false(episode->terminated);
    world_free(w);
}

static void a_message_does_not_wait_long(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, ACTOR_STEPS_PER_CALL + 3, 100, 0, 0);
    actor_step(w->actor, w->now_ms); // 8 rows: two full messages
    assert_int_equal(rows_sent(w), 8);
    credit(w, 1000, 1000, 0, 0);
    ack(w, 2);
    w->now_ms += ACTOR_FLUSH_MS + 1;
    actor_step(w->actor, w->now_ms);
    assert_int_equal(rows_sent(w), 16);
    world_free(w);
}

static void acknowledged_rows_are_forgotten(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 100, 100, 0, 0);
    step(w);
    assert_int_equal(steps_taken, UNACKED_MAX); // the bound on what is not acknowledged
    assert_int_equal(line_of(w).unacked_rows, UNACKED_MAX);
    assert_non_null(strstr(line_of(w).waiting, "acknowledge"));
    ack(w, 1);
    assert_int_equal(line_of(w).unacked_rows, UNACKED_MAX - 4);
    step(w);
    assert_int_equal(steps_taken, UNACKED_MAX + 4);
    ack(w, 1); // repeated and older ones change nothing
    ack(w, 0);
    assert_int_equal(line_of(w).unacked_rows, UNACKED_MAX);
    ack(w, 99); // of something never sent
    assert_int_equal(counter(w, "messages_unexpected"), 1);
    assert_int_equal(line_of(w).unacked_rows, UNACKED_MAX);
    world_free(w);
}

// Whether what was sent is exactly messages first..last, in order.
static void assert_sent_seqs(const struct world *w, uint64_t first, uint64_t last) {
    assert_int_equal(count_sent(w, WIRE_TRANSITIONS), last - first + 1);
    for (uint64_t seq = first; seq <= last; seq++) {
        const struct sent *s = find_sent(w, WIRE_TRANSITIONS, (int)(seq - first));
        assert_int_equal(s->msg.transitions.seq, seq);
        assert_true(s->reward[0] == (float)((seq - 1) * BATCH_MAX % EPISODE_STEPS + 1));
    }
}

static void resends_after_silence_gap_and_welcome(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 12, 100, 0, 0);
    step(w);
    assert_sent_seqs(w, 1, 3);

    // The server has 1 alone and says so twice: 2 and 3 never came.
    ack(w, 1);
    w->count = 0;
    w->now_ms += 600;
    ack(w, 1);
    assert_sent_seqs(w, 2, 3);
    ack(w, 1); // once is enough for a burst of such answers
    assert_sent_seqs(w, 2, 3);
    assert_int_equal(counter(w, "messages_resent"), 2);

    // Beats arrive, acknowledgements do not.
    w->count = 0;
    for (int i = 0; i < 7; i++) {
        credit(w, 12, 100, 0, 0);
        pass(w, 500);
    }
    assert_sent_seqs(w, 2, 3);

    // A server that forgot the routing id, and knows of 2 by now.
    w->count = 0;
    struct wire_msg unknown = {.type = WIRE_REFUSE, .refuse = {.code = WIRE_REFUSED_UNKNOWN}};
    hear(w, CLIENT_TO_MODELSERVER, &unknown);
    pass(w, 50);
    assert_int_equal(count_sent(w, WIRE_HELLO), 1);
    assert_int_equal(count_sent(w, WIRE_TRANSITIONS), 0);
    welcome_with(w, 3, 8, 2);
    assert_sent_seqs(w, 3, 3);
    assert_int_equal(line_of(w).unacked_rows, 4);
    assert_int_equal(line_of(w).steps, 12); // not counted twice
    world_free(w);
}

static void a_full_socket_loses_nothing(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 8, 100, 0, 0);
    w->deaf = true;
    step(w);
    assert_int_equal(w->count, 0);
    assert_int_equal(counter(w, "episodes_unsent"), 1);
    w->deaf = false;
    pass(w, 50);
    assert_sent_seqs(w, 1, 2);
    world_free(w);
}

static void a_server_that_lost_rows_is_not_trusted(void **state) {
    (void)state;
    struct world *w = world_make(false);
    int code;
    welcome(w);
    credit(w, 8, 100, 0, 0);
    step(w);
    ack(w, 2);
    struct wire_msg unknown = {.type = WIRE_REFUSE, .refuse = {.code = WIRE_REFUSED_UNKNOWN}};
    hear(w, CLIENT_TO_MODELSERVER, &unknown);
    pass(w, 50);
    welcome_with(w, 2, 4, 1);
    assert_true(finished(w, &code));
    assert_int_equal(code, EXIT_CODE_TEMPFAIL);
    world_free(w);
}

static void waits_for_the_required_policy(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 10, 2, 0, 0);
    step(w);
    assert_int_equal(steps_taken, 2); // exploration is over and there is no policy
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 1);
    assert_int_equal(find_sent(w, WIRE_POLICY_GET, 0)->to, CLIENT_TO_LEARNER);
    give_policy(w, 1);
    credit(w, 3, 2, 1, 1);
    step(w);
    assert_int_equal(steps_taken, 3);

    w->count = 0;
    credit(w, 4, 2, 2, 2);
    assert_false(actor_may_step(w->actor));
    assert_int_equal(find_sent(w, WIRE_POLICY_GET, 0)->msg.policy_get.have_version, 1);
    assert_non_null(strstr(line_of(w).waiting, "policy 2, has 1"));
    give_policy(w, 2);
    step(w);
    assert_int_equal(steps_taken, 4);
    assert_int_equal(find_sent(w, WIRE_TRANSITIONS, 0)->msg.transitions.policy_version, 2);

    // Older ones change nothing.
    give_policy(w, 1);
    assert_int_equal(line_of(w).policy_version, 2);
    world_free(w);
}

static void versions_never_go_back(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 10, 0, 5, 5);
    give_policy(w, 5);
    credit(w, 10, 0, 5, 6);
    give_policy(w, 4);
    assert_int_equal(counter(w, "policies_stale"), 1);
    assert_int_equal(line_of(w).policy_version, 5);
    assert_true(actor_may_step(w->actor)); // newer would be nicer, 5 suffices
    world_free(w);
}

static void a_learner_without_news_is_not_pestered(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 10, 0, 3, 3);
    for (int i = 0; i < 20; i++) { // answers at once, each time with nothing
        struct wire_msg msg = {.type = WIRE_POLICY, .policy = {.version = 2}};
        hear(w, CLIENT_TO_LEARNER, &msg);
    }
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 1);
    pass(w, ACTOR_POLICY_RETRY_MS);
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 2);
    world_free(w);
}

static void policies_that_do_not_fit_are_refused(void **state) {
    (void)state;
    struct world *w = world_make(false);
    float params[512] = {0};
    welcome(w);
    credit(w, 10, 0, 1, 1);

    struct wire_policy good = make_policy(params, 1), p = good;
    struct wire_msg msg = {.type = WIRE_POLICY};
    p.obs_dim = OBS_DIM + 1; // another task's
    msg.policy = p;
    hear(w, CLIENT_TO_LEARNER, &msg);
    pass(w, 100);
    p = good;
    p.params_len--; // short
    msg.policy = p;
    hear(w, CLIENT_TO_LEARNER, &msg);
    pass(w, 100);
    p = good;
    p.params_len++; // long
    msg.policy = p;
    hear(w, CLIENT_TO_LEARNER, &msg);
    pass(w, 100);
    p = good;
    p.hidden_layers = 1000; // more than this build can run
    msg.policy = p;
    hear(w, CLIENT_TO_LEARNER, &msg);
    pass(w, 100);
    assert_int_equal(counter(w, "policies_refused"), 4);
    assert_false(actor_may_step(w->actor));

    msg.policy = good;
    hear(w, CLIENT_TO_LEARNER, &msg);
    assert_true(actor_may_step(w->actor));
    world_free(w);
}

static void a_policy_that_overflows_is_not_acted_on(void **state) {
    (void)state;
    struct world *w = world_make(false);
    float params[256];
    welcome(w);
    credit(w, 10, 0, 1, 1);
    struct wire_msg msg = {.type = WIRE_POLICY, .policy = make_policy(params, 1)};
    for (uint64_t i = 0; i < msg.policy.params_len; i++) {
        params[i] = i >= 32 && i % 2 ? -3e38f : 3e38f; // finite, each of them; the sums are not
    }
    hear(w, CLIENT_TO_LEARNER, &msg);
    step(w);
    assert_int_equal(rows_sent(w), 0);
    assert_int_equal(counter(w, "policies_broken"), 1);
    assert_non_null(strstr(line_of(w).waiting, "non-finite"));
    give_policy(w, 2);
    step(w);
    assert_int_equal(rows_sent(w), 10);
    world_free(w);
}

static void random_and_policy_rows_do_not_mix(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 4, 2, 0, 1);
    give_policy(w, 1);
    step(w);
    assert_int_equal(count_sent(w, WIRE_TRANSITIONS), 2);
    assert_int_equal(find_sent(w, WIRE_TRANSITIONS, 0)->msg.transitions.policy_version, 0);
    assert_int_equal(find_sent(w, WIRE_TRANSITIONS, 0)->msg.transitions.rows.rows, 2);
    assert_int_equal(find_sent(w, WIRE_TRANSITIONS, 1)->msg.transitions.policy_version, 1);
    world_free(w);
}

static void a_bad_step_is_dropped(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    bad_step_at = 3;
    credit(w, 4, 100, 0, 0);
    step(w);
    assert_int_equal(steps_taken, 5); // one of them is no row
    assert_int_equal(rows_sent(w), 4);
    assert_int_equal(counter(w, "steps_bad"), 1);
    const struct sent *s = find_sent(w, WIRE_TRANSITIONS, 0);
    assert_int_equal(s->flags[0], 0);
    assert_int_equal(s->flags[1], WIRE_TRUNCATED); // the episode ends before the bad step
    assert_true(s->obs[2 * OBS_DIM + 1] == 0);     // and the next row begins one
    assert_int_equal(count_sent(w, WIRE_EPISODE), 0);
    world_free(w);
}

// A second incarnation that continues at the numbers of the first draws what
// the first would have drawn.
static void streams_go_on_after_a_restart(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 10, 100, 0, 0);
    step(w);
    assert_int_equal(rows_sent(w), 10);
    float act7 = find_sent(w, WIRE_TRANSITIONS, 1)->act[3];
    float start1 = find_sent(w, WIRE_TRANSITIONS, 1)->obs[OBS_DIM];
    float act0 = find_sent(w, WIRE_TRANSITIONS, 0)->act[0];
    assert_true(act0 != act7);
    world_free(w);

    w = world_make(false);
    pass(w, 50);
    welcome_with(w, 1, 7, 1); // 7 rows and 1 episode are known of this id
    w->count = 0;
    credit(w, 1, 100, 0, 0);
    step(w);
    const struct sent *s = find_sent(w, WIRE_TRANSITIONS, 0);
    assert_int_equal(s->msg.transitions.seq, 1); // numbers of messages start again
    assert_true(s->act[0] == act7);
    assert_true(s->obs[0] == start1);
    assert_int_equal(line_of(w).steps, 8);
    world_free(w);
}

static void leaving_waits_for_acknowledgement(void **state) {
    (void)state;
    struct world *w = world_make(false);
    int code;
    welcome(w);
    credit(w, 3, 100, 0, 0);
    step(w);
    actor_leave(w->actor, w->now_ms, "test");
    assert_false(finished(w, &code));
    assert_false(actor_may_step(w->actor));
    pass(w, 500);
    assert_false(finished(w, &code));
    ack(w, 1);
    assert_true(finished(w, &code));
    assert_int_equal(code, 0);
    assert_int_equal(count_sent(w, WIRE_GOODBYE), 1);
    world_free(w);

    // At most two seconds.
    w = world_make(false);
    welcome(w);
    credit(w, 3, 100, 0, 0);
    step(w);
    struct wire_msg shutdown = {.type = WIRE_SHUTDOWN};
    hear(w, CLIENT_TO_MODELSERVER, &shutdown);
    pass(w, ACTOR_LEAVE_MS - 50);
    assert_false(finished(w, &code));
    pass(w, 50);
    assert_true(finished(w, &code));
    assert_int_equal(code, 0);
    world_free(w);
}

static void refusals_stop_or_wait(void **state) {
    (void)state;
    struct world *w = world_make(false);
    int code;
    const char *why;
    welcome(w);
    struct wire_msg msg = {.type = WIRE_REFUSE, .refuse = {.code = WIRE_REFUSED_VALUE}};
    hear(w, CLIENT_TO_MODELSERVER, &msg);
    assert_int_equal(counter(w, "rows_refused"), 1);
    assert_false(finished(w, &code));
    msg.refuse = (struct wire_refuse){.code = WIRE_REFUSED_FENCED, .fatal = true, .text = "fenced"};
    hear(w, CLIENT_TO_MODELSERVER, &msg);
    assert_true(actor_finished(w->actor, &code, &why));
    assert_int_equal(code, EXIT_CODE_PROTOCOL);
    assert_string_equal(why, "fenced");
    world_free(w);

    // Not fatal: says Hello again, later.
    w = world_make(false);
    pass(w, 50);
    msg.refuse = (struct wire_refuse){.code = WIRE_REFUSED_FULL, .text = "full"};
    hear(w, CLIENT_TO_MODELSERVER, &msg);
    assert_false(finished(w, &code));
    pass(w, 500);
    assert_int_equal(count_sent(w, WIRE_HELLO), 2);
    world_free(w);
}

static void tasks_that_differ_stop_the_actor(void **state) {
    (void)state;
    struct world *w = world_make(false);
    int code;
    const char *why;
    pass(w, 50);
    struct wire_msg msg = {.type = WIRE_WELCOME};
    msg.welcome = (struct wire_welcome){.obs_dim = 11, .act_dim = 3, .next_seq = 1};
    snprintf(msg.welcome.task, sizeof(msg.welcome.task), "counter");
    hear(w, CLIENT_TO_MODELSERVER, &msg);
    assert_true(actor_finished(w->actor, &code, &why));
    assert_int_equal(code, EXIT_CODE_PROTOCOL);
    assert_non_null(strstr(why, "11 observations"));
    world_free(w);
}

// ---- the evaluator ----

static void request(struct world *w, uint64_t id, uint64_t version, uint32_t episodes) {
    float params[256];
    struct wire_msg msg = {.type = WIRE_EVAL_REQUEST};
    msg.eval_request = (struct wire_eval_request){
        .id = id, .env_steps = 100 * id, .seed = SEED, .episodes = episodes};
    msg.eval_request.policy = make_policy(params, version);
    snprintf(msg.eval_request.task, sizeof(msg.eval_request.task), "counter");
    hear(w, CLIENT_TO_MODELSERVER, &msg);
}

static void evaluate(struct world *w) {
    for (int i = 0; i < 1000 && evaluator_may_step(w->evaluator); i++) {
        evaluator_step(w->evaluator, w->now_ms);
    }
    assert_false(evaluator_may_step(w->evaluator));
}

static void requests_are_answered(void **state) {
    (void)state;
    struct world *w = world_make(true);
    welcome(w);
    request(w, 1, 5, 40); // more episodes than lanes
    evaluate(w);
    const struct sent *s = find_sent(w, WIRE_EVAL_REPORT, 0);
    assert_int_equal(s->msg.eval_report.id, 1);
    assert_int_equal(s->msg.eval_report.env_steps, 100);
    assert_int_equal(s->msg.eval_report.policy_version, 5);
    assert_int_equal(s->msg.eval_report.episodes, 40);
    for (int i = 0; i < 40; i++) {
        assert_true(s->returns[i] == 15);
    }
    assert_int_equal(steps_taken, 40 * EPISODE_STEPS);

    request(w, 1, 5, 40); // lost on the way: sent again, not played again
    assert_int_equal(count_sent(w, WIRE_EVAL_REPORT), 2);
    assert_int_equal(steps_taken, 40 * EPISODE_STEPS);
    world_free(w);
}

static void the_newest_waiting_request_wins(void **state) {
    (void)state;
    struct world *w = world_make(true);
    welcome(w);
    request(w, 1, 5, 2);
    request(w, 2, 6, 2);
    request(w, 3, 7, 2);
    evaluate(w);
    assert_int_equal(count_sent(w, WIRE_EVAL_REPORT), 2);
    assert_int_equal(find_sent(w, WIRE_EVAL_REPORT, 0)->msg.eval_report.id, 1);
    assert_int_equal(find_sent(w, WIRE_EVAL_REPORT, 1)->msg.eval_report.id, 3);
    assert_int_equal(counter(w, "requests_replaced"), 1);
    world_free(w);
}

static void a_report_waits_for_the_socket(void **state) {
    (void)state;
    struct world *w = world_make(true);
    welcome(w);
    request(w, 1, 5, 1);
    w->deaf = true;
    evaluate(w);
    w->deaf = false;
    pass(w, 50);
    assert_int_equal(count_sent(w, WIRE_EVAL_REPORT), 1);
    pass(w, 500);
    assert_int_equal(count_sent(w, WIRE_EVAL_REPORT), 1);
    world_free(w);
}

static void impossible_requests_are_refused(void **state) {
    (void)state;
    struct world *w = world_make(true);
    float params[256];
    welcome(w);
    request(w, 1, 5, 0);
    struct wire_msg msg = {.type = WIRE_EVAL_REQUEST};
    msg.eval_request = (struct wire_eval_request){.id = 2, .episodes = 1};
    msg.eval_request.policy = make_policy(params, 1);
    snprintf(msg.eval_request.task, sizeof(msg.eval_request.task), "humanoid");
    hear(w, CLIENT_TO_MODELSERVER, &msg);
    snprintf(msg.eval_request.task, sizeof(msg.eval_request.task), "counter");
    msg.eval_request.policy.act_dim = 2;
    hear(w, CLIENT_TO_MODELSERVER, &msg);
    assert_int_equal(counter(w, "requests_refused"), 3);
    assert_false(evaluator_may_step(w->evaluator));
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credits_are_respected),
        cmocka_unit_test(rows_are_what_happened),
        cmocka_unit_test(a_message_does_not_wait_long),
        cmocka_unit_test(acknowledged_rows_are_forgotten),
        cmocka_unit_test(resends_after_silence_gap_and_welcome),
        cmocka_unit_test(a_full_socket_loses_nothing),
        cmocka_unit_test(a_server_that_lost_rows_is_not_trusted),
        cmocka_unit_test(waits_for_the_required_policy),
        cmocka_unit_test(versions_never_go_back),
        cmocka_unit_test(a_learner_without_news_is_not_pestered),
        cmocka_unit_test(policies_that_do_not_fit_are_refused),
        cmocka_unit_test(a_policy_that_overflows_is_not_acted_on),
        cmocka_unit_test(random_and_policy_rows_do_not_mix),
        cmocka_unit_test(a_bad_step_is_dropped),
        cmocka_unit_test(streams_go_on_after_a_restart),
        cmocka_unit_test(leaving_waits_for_acknowledgement),
        cmocka_unit_test(refusals_stop_or_wait),
        cmocka_unit_test(tasks_that_differ_stop_the_actor),
        cmocka_unit_test(requests_are_answered),
        cmocka_unit_test(the_newest_waiting_request_wins),
        cmocka_unit_test(a_report_waits_for_the_socket),
        cmocka_unit_test(impossible_requests_are_refused),
    };
    log_init("test_actor", LOG_ERROR, -1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
