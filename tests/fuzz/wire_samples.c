// SPDX-License-Identifier: MIT
// Sample messages: one function per type that sets every field.
#include "tests/fuzz/wire_samples.h"

#include <stdio.h>
#include <string.h>

static float obs[SAMPLE_ROWS * SAMPLE_OBS];
static float act[SAMPLE_ROWS * SAMPLE_ACT];
static float reward[SAMPLE_ROWS];
static float next_obs[SAMPLE_ROWS * SAMPLE_OBS];
static uint8_t flags[SAMPLE_ROWS];
static float params[SAMPLE_PARAMS];
static double returns[2] = {1234.5, -0.25}, lengths[2] = {1000, 17};
static struct wire_actor_status actors[SAMPLE_ACTORS];

static void text(char out[WIRE_STRING_MAX], const char *value) {
    snprintf(out, WIRE_STRING_MAX, "%s", value);
}

static void rows(struct wire_rows *r) {
    for (int i = 0; i < SAMPLE_ROWS * SAMPLE_OBS; i++) {
        obs[i] = (float)i * 0.5f - 3;
        next_obs[i] = (float)i * -1e6f;
    }
    for (int i = 0; i < SAMPLE_ROWS * SAMPLE_ACT; i++) {
        act[i] = (float)i / 5 - 0.5f;
    }
    for (int i = 0; i < SAMPLE_ROWS; i++) {
        reward[i] = (float)(i + 1);
        flags[i] = (uint8_t)(i % 3);
    }
    *r = (struct wire_rows){.rows = SAMPLE_ROWS, .obs_dim = SAMPLE_OBS, .act_dim = SAMPLE_ACT};
    r->obs = obs;
    r->act = act;
    r->reward = reward;
    r->next_obs = next_obs;
    r->flags = flags;
}

static void policy(struct wire_policy *p) {
    for (int i = 0; i < SAMPLE_PARAMS; i++) {
        params[i] = (float)(i * i) - 20;
    }
    p->version = 7;
    p->updates = 700;
    p->obs_dim = 4;
    p->act_dim = 2;
    p->hidden_layers = 2;
    p->hidden[0] = 256;
    p->hidden[1] = 128; // other widths and activation than the short form describes
    p->activation = WIRE_ACTIVATION_SILU;
    p->params_len = SAMPLE_PARAMS;
    p->params = params;
}

static void hello(struct wire_hello *h) {
    h->role = WIRE_ROLE_LEARNER;
    text(h->id, "learner");
    h->incarnation = 1700000000123;
    text(h->host, "host-1");
    h->pid = 4242;
    text(h->version, "0.1.0");
    text(h->task, "hopper");
    h->obs_dim = 11;
    h->act_dim = 3;
    text(h->endpoint, "tcp://127.0.0.1:7001");
    h->updates = 100;
    h->policy_version = 6;
    h->real_rows = 5000;
    h->model_rows = 400000;
    h->states = 17;
    h->environments = 16;
}

static void welcome(struct wire_welcome *w) {
    w->seed = 3;
    text(w->task, "hopper");
    w->obs_dim = 11;
    w->act_dim = 3;
    w->horizon = 1000;
    w->actor_index = 5;
    w->next_seq = 17;
    w->actor_steps = 4000;
    w->actor_episodes = 12;
    w->heartbeat_ms = 500;
    w->lost_after_ms = 3000;
    w->batch_rows_max = 256;
    w->unacked_rows_max = 16384;
    w->noise = WIRE_NOISE_OU;
    w->noise_ou_theta = 0.15;
    w->incarnation = 17;
}

static void progress(struct wire_progress *p) {
    p->experience_seq = 9;
    p->updates = 10;
    p->policy_version = 11;
    p->real_rows = 12;
    p->model_rows = 13;
    p->model_capacity = 14;
    p->updates_per_s = 150.5;
    metrics_set(&p->metrics, "critic_loss", 0.5);
    metrics_set(&p->metrics, "actor_loss", -30.25);
    text(p->waiting, "for a grant");
}

static void model(struct wire_model *m) {
    static float weights[5], normalizer[4], termination[2];
    memcpy(weights, (float[]){0.5f, -0.25f, 1, 2, -3}, sizeof(weights));
    memcpy(normalizer, (float[]){1, 0, -1, 0.125f}, sizeof(normalizer));
    memcpy(termination, (float[]){0, -4}, sizeof(termination));
    *m = (struct wire_model){.seq = 4,
                             .version = 2,
                             .env_rows = 6000,
                             .params_len = 5,
                             .params = weights,
                             .normalizer_len = 4,
                             .normalizer = normalizer,
                             .termination_len = 2,
                             .termination = termination,
                             .elites = 3,
                             .elite = {2, 0, 7}};
}

static void states(struct wire_states *s) {
    static float numbers[6];
    memcpy(numbers, (float[]){0.5f, -0.25f, 1, 2, -3, 1e6f}, sizeof(numbers));
    *s = (struct wire_states){.seq = 5,
                              .number = 12,
                              .model_version = 2,
                              .policy_version = 11,
                              .policy_updates = 240,
                              .rows = 2,
                              .obs_dim = 3,
                              .obs = numbers};
}

static void actor(struct wire_actor_status *a, unsigned i) {
    memset(a, 0, sizeof(*a));
    snprintf(a->id, sizeof(a->id), "actor-%u", i);
    text(a->host, "host-2");
    a->role = i % 2 ? WIRE_ROLE_EVALUATOR : WIRE_ROLE_ACTOR;
    a->state = WIRE_PEER_WAITING;
    a->pid = 100 + i;
    a->index = 300 + i;
    a->steps = 400 + i;
    a->episodes = 500 + i;
    a->steps_per_s = 60.5;
    a->policy_version = 7;
    a->policy_age_s = 0.75;
    a->heard_s = 0.125;
    a->unacked_rows = 3;
    a->steps_bad = 5;
    a->environments = 64;
    a->last_return = 987.5;
    text(a->waiting, "for credit");
}

static void status_parts(struct wire_status *s) {
    s->has_pacing = true;
    text(s->pacing_mode, "ratio");
    s->updates_per_step = 20;
    s->updates_per_step_achieved = 19.5;
    s->updates_allowed = 20000;
    s->steps_allowed = 1025;

    s->has_learner = true;
    s->learner_state = WIRE_PEER_CONNECTED;
    s->updates = 19500;
    s->policy_version = 975;
    s->updates_per_s = 151;
    metrics_set(&s->metrics, "critic_loss", 1.5);
    metrics_set(&s->metrics, "q2_mean", 5.5);
    text(s->learner_waiting, "for rows");

    s->has_model = true;
    s->model_version = 4;
    s->model_trainings = 4;
    s->model_epochs = 30;
    s->model_training_now = true;
    s->model_age_s = 12.5;
    s->model_age_steps = 125;
    s->rollout_length = 1;
    s->rollout_rows = 100000;
    s->rollout_rows_per_s = 5000.5;
    s->rollout_length_mean = 1.25;
    s->members = 7;
    s->elites = 5;
    for (uint32_t i = 0; i < s->members; i++) {
        s->holdout_mse[i] = 0.1 * (i + 1);
    }
    for (uint32_t i = 0; i < s->elites; i++) {
        s->elite[i] = s->members - 1 - i;
    }
    s->has_termination = true;
    s->termination_ended = 43;
    s->termination_log_loss = 0.0625;
    s->termination_missed = 0.125;
    s->termination_wrong = 0.5;

    s->has_ends = true;
    s->ends_terminated = 40;
    s->ends_unexplained = 38;
    s->ends_contradicted = 2;
    snprintf(s->ends_advice, sizeof(s->ends_advice), "%s", "correct the rule");
    snprintf(s->stuck, sizeof(s->stuck), "%s", "nothing has moved for 60 s");
    snprintf(s->warning, sizeof(s->warning), "%s", "lower the learning rate");
    s->has_eval = true;
    s->evaluations = 3;
    s->eval_env_steps = 3000;
    s->eval_return_last = 2500;
    s->eval_return_std = 12.5;
    s->eval_return_best = 3000;
    s->eval_target = 3500;
    s->eval_solved_in_row = 2;
    s->eval_episodes_cut = 1;
}

static void status(struct wire_status *s) {
    text(s->daemon, "modelserver");
    text(s->version, "0.1.0");
    text(s->task, "hopper");
    s->run_id = 0x0123456789abcdef;
    s->seed = 3;
    s->pid = 4243;
    s->uptime_s = 61.5;
    text(s->state, "learning");
    text(s->waiting, "actors wait for the learner: 1240 updates behind \u2026");
    s->env_steps = 1000;
    s->env_steps_budget = 125000;
    s->explore_steps = 5000;
    s->episodes = 20;
    s->env_steps_per_s = 30.5;
    s->env_rows = 1001;
    s->model_rows = 1002;
    s->model_capacity = 1003;
    status_parts(s);
    for (unsigned i = 0; i < SAMPLE_ACTORS; i++) {
        actor(&actors[i], i);
    }
    s->actor_count = SAMPLE_ACTORS;
    s->actors = actors;
    s->counter_count = 2;
    text(s->counters[0].name, "rows_refused_value");
    s->counters[0].value = 0;
    text(s->counters[1].name, "transitions_duplicate");
    s->counters[1].value = 12;
}

static void eval_request(struct wire_eval_request *e) {
    e->id = 4;
    e->env_steps = 4000;
    e->seed = 3;
    text(e->task, "hopper");
    e->episodes = 10;
    e->steps_max = 10000;
    policy(&e->policy);
}

static void eval_report(struct wire_eval_report *e) {
    e->id = 4;
    e->env_steps = 4000;
    e->policy_version = 975;
    e->episodes = 2;
    e->episodes_cut = 1;
    e->returns = returns;
    e->lengths = lengths;
}

static void experience(struct wire_experience *e) {
    e->seq = 22;
    e->kind = WIRE_MODEL;
    e->first_index = 1;
    e->model_version = 4;
    e->policy_version = 975;
    rows(&e->rows);
}

void wire_sample(struct wire_msg *msg, enum wire_type type) {
    memset(msg, 0, sizeof(*msg));
    msg->type = type;
    msg->run_id = 0xfeedfacecafebeef;
    switch (type) {
    case WIRE_HELLO:
        hello(&msg->hello);
        break;
    case WIRE_WELCOME:
        welcome(&msg->welcome);
        break;
    case WIRE_REFUSE:
        msg->refuse.code = WIRE_REFUSED_FENCED;
        msg->refuse.fatal = true;
        text(msg->refuse.text, "a newer actor-0 is here");
        break;
    case WIRE_TRANSITIONS:
        msg->transitions.seq = 17;
        msg->transitions.policy_version = 975;
        rows(&msg->transitions.rows);
        break;
    case WIRE_ACK:
        msg->ack.seq = UINT64_MAX;
        break;
    case WIRE_CREDIT:
        msg->credit.steps_allowed = 1025;
        msg->credit.random_steps = 500;
        msg->credit.min_policy_version = 974;
        msg->credit.newest_policy_version = 975;
        text(msg->credit.reason, "the learner is behind");
        text(msg->credit.learner, "tcp://trainer:7001");
        break;
    case WIRE_EPISODE:
        msg->episode.length = 1000;
        msg->episode.episode_return = 3210.0625;
        msg->episode.terminated = true;
        msg->episode.policy_version = 975;
        break;
    case WIRE_HEARTBEAT:
        msg->heartbeat.steps = 1;
        msg->heartbeat.policy_version = 2;
        msg->heartbeat.unacked_rows = 3;
        msg->heartbeat.steps_bad = 4;
        text(msg->heartbeat.waiting, "for credit");
        break;
    case WIRE_SHUTDOWN:
        msg->shutdown.done = true;
        text(msg->shutdown.text, "solved");
        break;
    case WIRE_EVAL_REQUEST:
        eval_request(&msg->eval_request);
        break;
    case WIRE_EVAL_REPORT:
        eval_report(&msg->eval_report);
        break;
    case WIRE_EXPERIENCE:
        experience(&msg->experience);
        break;
    case WIRE_ENSEMBLE:
        model(&msg->model);
        break;
    case WIRE_STATES:
        states(&msg->states);
        break;
    case WIRE_GRANT:
        msg->grant.updates_allowed = 20000;
        msg->grant.model_capacity = 400000;
        msg->grant.env_steps = 1000;
        msg->grant.checkpoint_id = 2;
        msg->grant.experience_seq = 77;
        msg->grant.policy_version = (3ull << 32) + 12;
        text(msg->grant.reason, "actors are behind");
        break;
    case WIRE_PROGRESS:
        progress(&msg->progress);
        break;
    case WIRE_POLICY_GET:
        msg->policy_get.have_version = 974;
        break;
    case WIRE_POLICY:
        policy(&msg->policy);
        break;
    case WIRE_STATUS:
        status(&msg->status);
        break;
    case WIRE_STATUS_REQUEST:
        msg->status_request.standby = true;
        break;
    case WIRE_GOODBYE:
        break;
    }
}
