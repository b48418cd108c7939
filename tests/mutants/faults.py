# SPDX-License-Identifier: MIT
"""The faults that run.py applies: (name, file, old text, new text, tests that must catch it).

The old text occurs once in its file, character by character. Prefer one line of code without comments.
The tests are names of meson's tests that run in about a second; the first that fails ends the attack.
"""

FAULTS = []


def faults(path, *entries):
    FAULTS.extend((name, path, old, new, tests) for name, old, new, tests in entries)


# ---- soft actor-critic ----

faults(
    "learner/methods/sac.c",
    ("bellman-entropy-sign", "s->target[i] - round->alpha * log_prob[i]", "s->target[i] + round->alpha * log_prob[i]",
     "sac_golden"),
    ("bellman-terminated-ignored", "discount * (1.0f - batch->terminated[i]) * value", "discount * value", "sac_golden"),
    ("bellman-from-critic", "&s->critic, s->critic_target, k,", "&s->critic, s->critic_params, k,", "sac_golden"),
    ("bellman-wrong-state", "item == IN_NEXT_STATE ? batch->next_obs : batch->obs", "batch->obs", "sac_golden"),
    ("sac-one-noise-stream", "item == IN_NEXT_STATE ? RNG_SAC_TARGET : RNG_SAC_ACTOR", "RNG_SAC_ACTOR", "sac_golden"),
    ("policy-gradient-sign", "s->d_act[i] *= -share;", "s->d_act[i] *= share;", "sac_golden"),
    ("policy-entropy-dropped", "s->d_log_prob[i] = round->alpha * share;", "s->d_log_prob[i] = 0.0f;", "sac_golden"),
    ("temperature-sign", "(float)(entropy - s->config.target_entropy)", "(float)(s->config.target_entropy - entropy)",
     "sac_golden"),
    ("target-entropy-sign", "(float)(entropy - s->config.target_entropy)",
     "(float)(entropy + s->config.target_entropy)", "sac_golden"),
    ("update-number-off-by-one", ".t = s->updates + 1}", ".t = s->updates + 2}", "sac_golden"),
    ("targets-not-started", "memcpy(s->critic_target, s->critic_params, s->critic_n * sizeof(float));", "", "sac"),
)

# ---- networks ----

faults(
    "common/nn/critic.c",
    ("bellman-max-of-critics", "q_min[i] = q1 <= q2 || isnan(q1) ? q1 : q2;",
     "q_min[i] = q1 >= q2 || isnan(q1) ? q1 : q2;", "golden"),
    ("critic-gradient-of-max", "(k == 0) == (q[i] <= q[B + i])", "(k == 0) == (q[i] >= q[B + i])", "golden"),
    ("critic-loss-factor", "dq[i] = error / (float)B;", "dq[i] = 2.0f * error / (float)B;", "golden"),
    ("critics-start-equal", "mlp_init_glorot(params + critic_offset(c, 1), &c->net, rng);",
     "memcpy(params + critic_offset(c, 1), params, mlp_params(&c->net) * sizeof(float));", "critic_grad sac"),
)
faults(
    "common/nn/policy.c",
    ("tanh-correction-halved", "sum += gauss - 2.0f * (log_2", "sum += gauss - (log_2", "golden"),
    ("log-std-not-clipped-above", "return raw > POLICY_LOG_STD_MAX ? POLICY_LOG_STD_MAX : raw;", "return raw;",
     "policy_grad golden"),
    ("log-std-not-clipped-below", "raw = raw < POLICY_LOG_STD_MIN ? POLICY_LOG_STD_MIN : raw;", "",
     "policy_grad golden"),
    ("gradient-through-clip", "free ? du * s.std[k] * noise[k] - d_log_prob[i] : 0.0f",
     "free || true ? du * s.std[k] * noise[k] - d_log_prob[i] : 0.0f", "policy_grad golden"),
    ("log-prob-gradient-sign", "(1.0f - a * a) + d_log_prob[i] * 2.0f * a", "(1.0f - a * a) - d_log_prob[i] * 2.0f * a",
     "golden"),
)
faults(
    "common/nn/adam.c",
    ("adam-first-moment-uncorrected", "a->learning_rate / (1.0 - pow(a->beta1, (double)t))", "a->learning_rate", "golden"),
    ("adam-second-moment-uncorrected", "(float)(1.0 / sqrt(1.0 - pow(a->beta2, (double)t)))", "1.0f", "golden"),
)
faults(
    "common/nn/adam_kernels.c",
    ("polyak-direction", "FMA(tau, stepped, (1.0f - tau) * target[i])", "FMA(1.0f - tau, stepped, tau * target[i])",
     "golden"),
    ("adam-epsilon-in-root", "FMA(__builtin_sqrtf(square), a->rsqrt_correction2, a->epsilon)",
     "FMA(__builtin_sqrtf(square + a->epsilon), a->rsqrt_correction2, 0.0f)", "golden"),
)
faults(
    "common/nn/rng_bulk_kernels.c",
    ("philox-nine-rounds", "round < 10; round++", "round < 9; round++", "elementwise"),
)
faults(
    "common/nn/mlp.c",
    ("bias-decays", "step_range(s, s->weights, s->biases, 0);", "step_range(s, s->weights, s->biases, s->decay);",
     "mlp_grad fit"),
    ("decay-of-first-layer", "a->decay ? a->decay[l] : 0", "a->decay ? a->decay[0] : 0", "mlp_grad fit"),
    ("glorot-limit", "sqrt(6.0 / (m->dims[l] + m->dims[l + 1]))", "sqrt(3.0 / (m->dims[l] + m->dims[l + 1]))",
     "mlp_grad"),
    ("truncation-at-three-sd", "while (fabs(z) > 2.0) {", "while (fabs(z) > 3.0) {", "mlp_grad"),
)
faults(
    "common/nn/ensemble.c",
    ("nll-error-gradient-sign", "scale * (1.0f - error * weighted)", "scale * (1.0f + error * weighted)", "golden"),
    ("nll-logvar-dropped", "(double)(error * weighted + s->logvar[k])", "(double)(error * weighted)", "golden"),
    ("logvar-bound-sign", "d_bounds[e->target_dim + j] -= BOUNDS_WEIGHT;",
     "d_bounds[e->target_dim + j] += BOUNDS_WEIGHT;", "golden"),
    ("logvar-lower-bound-dropped", "s->logvar[i * T + j] = min[j] + s->b[i * T + j];",
     "s->logvar[i * T + j] = min[j] + s->a[i * T + j];", "golden"),
    ("members-start-equal", "rng_make(seed, RNG_MODEL_INIT, (uint64_t)k)", "rng_make(seed, RNG_MODEL_INIT, (uint64_t)(k * 0))",
     "ensemble_grad"),
)
faults(
    "common/nn/ensemble_steps.c",
    ("bounds-of-last-member-only", "sum[j] += s->d_bounds[(size_t)i * n + j];", "sum[j] = s->d_bounds[(size_t)i * n + j];",
     "fit"),
    ("bounds-loss-dropped", "ensemble_bounds_loss(sum, &s->e, t->params);", "", "fit"),
    ("ensemble-adam-restarts", ".t = t->t + step + 1,", ".t = step + 1,", "fit"),
)
faults(
    "common/nn/normalizer.c",
    ("std-of-a-sample", "sqrt(square[j] / (double)n)", "sqrt(square[j] / (double)(n > 1 ? n - 1 : 1))", "golden"),
    ("constant-column-divides", "std < STD_MIN ? 1.0f : (float)std", "(float)std", "golden normalizer"),
)
faults(
    "common/nn/termination.c",
    ("termination-loss-sign", "(slope[i] - y[i]) / (float)B", "(slope[i] + y[i]) / (float)B", "termination_grad"),
    ("calibration-prior-dropped", "{.value = (u * u + v * v) / 2, .g = {u, v}, .h = {1, 0, 1}}",
     "{.value = 0, .g = {0, 0}, .h = {1e-9, 0, 1e-9}}", "termination_grad"),
)
faults(
    "common/nn/safetensors.c",
    ("tensor-beyond-the-file", "if (c->end > data_len) {", "if (c->end > data_len + 8) {", "safetensors"),
    ("gap-between-tensors", "if (claims[i].begin != covered) {", "if (claims[i].begin < covered) {", "safetensors"),
    ("shape-against-offsets", "|| bytes != c->end - c->begin) {", "|| bytes > c->end - c->begin) {", "safetensors"),
)
faults(
    "common/base/rng.c",
    ("normal-pair-repeated", "out[i++] = (float)pair[1];", "out[i++] = (float)pair[0];", "rng"),
    ("permutation-short", "uint32_t j = rng_below(r, i + 1);", "uint32_t j = rng_below(r, i > 0 ? i : 1);", "rng"),
)
faults(
    "common/base/stats.c",
    ("infinity-is-finite", "if (!isfinite(x[i])) {", "if (isnan(x[i])) {", "stats sac"),
)

# ---- model server: the model ----

faults(
    "modelserver/model/fit.c",
    ("target-not-a-difference", "y[1 + j] = next[j] - obs[j];", "y[1 + j] = next[j];", "fit"),
    ("no-bootstrap", "member->rows[r] = f->holdout + rng_below(&draw, f->train);", "member->rows[r] = f->holdout + r;",
     "fit"),
    ("bootstrap-from-holdout", "member->rows[r] = f->holdout + rng_below(&draw, f->train);",
     "member->rows[r] = rng_below(&draw, f->train);", "fit"),
    ("one-bootstrap-for-all", "RNG_MODEL_BOOTSTRAP, number * 64 + (uint64_t)i)", "RNG_MODEL_BOOTSTRAP, number * 64)", "fit"),
    ("same-split-every-training", "rng_make(f->seed, RNG_MODEL_SPLIT, number)", "rng_make(f->seed, RNG_MODEL_SPLIT, 0)",
     "fit"),
    ("holdout-not-capped", "f->holdout = held < (double)f->holdout_max ? (uint32_t)held : (uint32_t)f->holdout_max;",
     "f->holdout = (uint32_t)held;", "fit"),
    ("normaliser-sees-holdout", "normalizer_fit(f->normalizer, f->x + (size_t)f->holdout * (o + a), f->train, in);",
     "normalizer_fit(f->normalizer, f->x, rows, in);", "fit"),
    ("improvement-absolute", "(member->best - member->score) / member->best > f->improvement",
     "member->best - member->score > f->improvement", "fit"),
    ("worst-are-elite", "f->member[order[at - 1]].best > f->member[i].best", "f->member[order[at - 1]].best < f->member[i].best",
     "fit"),
    ("patience-off-by-one", "return idle <= f->patience", "return idle < f->patience", "fit"),
)
faults(
    "modelserver/model/rollout.c",
    ("rollout-member-kept", "draw_words(r, RNG_ROLLOUT_MEMBER, job, m, step, 1);",
     "draw_words(r, RNG_ROLLOUT_MEMBER, job, m, 0, 1);", "rollout"),
    ("rollout-last-elite-never", "RNG_ROLLOUT_MEMBER, job, i, (uint32_t)model->elites)",
     "RNG_ROLLOUT_MEMBER, job, i, (uint32_t)model->elites - 1)", "rollout"),
    ("rollout-newest-start-never", "RNG_ROLLOUT_START, job, i, (uint32_t)job->env_rows)",
     "RNG_ROLLOUT_START, job, i, (uint32_t)job->env_rows - 1)", "rollout"),
    ("rollout-variance-as-std", "r->logvar[k] *= 0.5f;", "r->logvar[k] *= 1.0f;", "rollout"),
    ("rollout-reward-without-noise", "mean[0] + std[0] * noise[0]", "mean[0]", "rollout"),
    ("rollout-state-not-added", "from[j] + (mean[1 + j]", "(mean[1 + j]", "rollout"),
    ("rollout-noise-index", "std[1 + j] * noise[1 + j]", "std[1 + j] * noise[j]", "rollout"),
    ("rollout-act-noise-stream", "draw_noise(r, RNG_ROLLOUT_ACT, job, m, step, blocks);",
     "draw_noise(r, RNG_ROLLOUT_NEXT, job, m, step, blocks);", "rollout"),
    ("rollout-act-noise-repeats", "draw_noise(r, RNG_ROLLOUT_ACT, job, m, step, blocks);",
     "draw_noise(r, RNG_ROLLOUT_ACT, job, m, 0, blocks);", "rollout"),
    ("rollout-not-clipped", "    task_clip(r->task, next, (int)n);", "", "rollout"),
    ("rollout-termination-not-flagged", "r->done[i] ? WIRE_TERMINATED : 0", "r->done[i] ? WIRE_TRUNCATED : 0", "rollout"),
    ("rollout-goes-on-after-the-end", "        if (!r->done[i]) {", "        if (true) {", "rollout"),
    ("head-upside-down", "!(rng_uniform(&rng) >= (double)r->end[i])", "(rng_uniform(&rng) >= (double)r->end[i])", "rollout"),
)
faults(
    "modelserver/model/termination_fit.c",
    ("time-limit-trains-the-head", "(d->flags[from] & WIRE_TERMINATED) != 0", "d->flags[from] != 0", "termination"),
)

# ---- model server: pacing, store, core ----

faults(
    "modelserver/core/pacing.c",
    ("updates-due-in-exploration", "floor(p->updates_per_step * (double)(steps - p->explore))",
     "floor(p->updates_per_step * (double)steps)", "pacing"),
    ("training-point-grid", "steps - (steps - p->explore) % p->train_every", "steps - steps % p->train_every", "pacing"),
    ("updates-before-rollouts", "least(v->steps, v->rollout_steps + slack)", "v->steps", "pacing"),
    ("lockstep-one-update-early", "} else if (v->updates < due) {", "} else if (v->updates + 1 < due) {", "pacing"),
    ("ratio-slack-doubled", "(uint64_t)floor(by_updates) + p->slack", "(uint64_t)floor(by_updates) + 2 * p->slack", "pacing"),
    ("steps-beyond-budget", "return least(limit, p->steps_max);", "return limit;", "pacing"),
    ("next-training-passed", "v->training_point + p->train_every < limit", "v->training_point + 2 * p->train_every < limit",
     "pacing"),
)
faults(
    "modelserver/storage/store.c",
    ("store-duplicate-accepted", "(b->seq != 0 && b->seq != next)", "b->seq > next", "store"),
    ("store-gap-accepted", "(b->seq != 0 && b->seq != next)", "(b->seq != 0 && b->seq < next)", "store"),
    ("store-old-incarnation-accepted", "b->incarnation < a->incarnation || ", "", "store"),
    ("store-counts-before-commit", "settle_actors(s, rc == 0);", "settle_actors(s, true);", "store"),
    ("store-full-off-by-one", "*place + b->rows > s->rows_max", "*place + b->rows > s->rows_max + 1", "store"),
    ("store-episode-after-time-limit", "(flags & (WIRE_TERMINATED | WIRE_TRUNCATED)) == 0", "(flags & WIRE_TERMINATED) == 0",
     "store"),
    ("store-other-seed", "if (seed != meta->seed) {", "if (seed > meta->seed) {", "store"),
    ("store-columns-swapped", "memcpy(to + o * sizeof(float), b->act + i * a, a * sizeof(float));",
     "memcpy(to + o * sizeof(float), b->obs + i * o, a * sizeof(float));", "store"),
)
faults(
    "modelserver/storage/checkpoint.c",
    ("checkpoint-of-another-run", "if (!id || strcmp(id, print_u64(run_id, run->run_id)) != 0) {", "if (!id) {",
     "ms_checkpoint"),
    ("checkpoint-elite-out-of-range", "if (elite[i] >= (uint64_t)m->members) {", "if (elite[i] > (uint64_t)m->members) {",
     "ms_checkpoint"),
)
faults(
    "modelserver/core/ingest.c",
    ("ack-before-commit", "p->seq_accepted = t->seq;", "p->seq_accepted = p->seq_stored = t->seq;", "modelserver"),
    ("rows-lost-by-store-stay-counted", "p->rows_accepted = p->rows_stored;\n        p->registering", "p->registering", "modelserver"),
    ("rows-of-another-shape", " || rows->act_dim != act_dim", "", "modelserver"),
    ("batch-rows-not-limited", "if (rows->rows > (uint32_t)rows_max) {", "if (rows->rows == 0) {",
     "modelserver"),
    ("credit-promised-twice", "promised += unused(in->actor_up[i]);", "", "modelserver"),
    ("rows-beyond-credit", "return p->rows_accepted + rows > p->credit_max &&", "return p->rows_accepted > p->credit_max + rows &&",
     "modelserver"),
    ("exploration-by-policy", "p->random_credit = p->credit;", "", "modelserver"),
    ("lockstep-old-policy-accepted", ": lockstep ? newest", ": lockstep ? 1", "modelserver modelserver_learner"),
)
faults(
    "modelserver/core/join.c",
    ("older-start-accepted", "if (p && h->incarnation < p->incarnation) {", "if (p && h->incarnation + 1 < p->incarnation) {",
     "modelserver"),
)
faults(
    "modelserver/core/learner_feed.c",
    ("stale-policy-accepted", "if (p->version < have && !f->may_rewind) {", "if (p->version + 1 < have && !f->may_rewind) {",
     "modelserver_learner"),
)
faults(
    "modelserver/core/modelserver.c",
    ("rows-overtake-grant", "!(p->pending & (PENDING_WELCOME | PENDING_GRANT))", "!(p->pending & PENDING_WELCOME)",
     "modelserver_learner"),
)
faults(
    "modelserver/core/experience_queue.c",
    ("window-off-by-one", "f->sent - f->acked >= EXPERIENCE_QUEUE_WINDOW", "f->sent - f->acked > EXPERIENCE_QUEUE_WINDOW",
     "modelserver_learner"),
    ("rollouts-before-real-rows", "if (f->real_next < real_rows) {", "if (f->real_next < real_rows && f->blocks == 0) {",
     "modelserver_learner"),
)

# ---- learner ----

faults(
    "learner/replay.c",
    ("ring-wrap", "copy_in(r, 0, rows, skip + n_first, n - n_first);", "copy_in(r, 0, rows, skip, n - n_first);", "replay"),
    ("sample-newest-never", "rng_below(rng, (uint32_t)r->len)", "rng_below(rng, (uint32_t)(r->len > 1 ? r->len - 1 : 1))",
     "replay"),
    ("sample-ignores-first", "(r->first + rng_below(rng", "(rng_below(rng", "replay"),
    ("resize-keeps-oldest", "drop_oldest(r, r->len - capacity);", "r->len = capacity;", "replay"),
    ("add-keeps-oldest", "copy_in(r, place, rows, skip, n_first);", "copy_in(r, place, rows, 0, n_first);", "replay"),
    ("pages-of-rows-given-back", "size_t from = round_up((size_t)begin * r->column[c].row_size, page);",
     "size_t from = (size_t)begin * r->column[c].row_size / page * page;", "replay"),
)
faults(
    "learner/trainer.c",
    ("time-limit-ends-value", "(kept->flags[skip + i] & WIRE_TERMINATED) != 0", "kept->flags[skip + i] != 0",
     "trainer learner"),
    ("update-beyond-grant", "t->updates < t->report.updates_allowed", "t->updates <= t->report.updates_allowed", "trainer"),
    ("publish-off-by-one", "t->updates % t->publish_every == 0", "t->updates % t->publish_every == 1 % t->publish_every",
     "trainer"),
    ("update-number-repeated", "t->method->update(t->agent, t->updates + 1,", "t->method->update(t->agent, t->updates / 2 + 1,",
     "trainer"),
)
faults(
    "learner/methods/mbpo.c",
    ("real-ratio-rounded-up", "(int)(m->config.sac.real_ratio * B)", "(int)(m->config.sac.real_ratio * B) + 1", "trainer"),
    ("replays-share-a-stream", "RNG_REPLAY_MODEL, t)", "RNG_REPLAY_REAL, t)", "trainer"),
)
faults(
    "learner/methods/sac_method.c",
    ("discount-schedule-from-zero", "return c->run.explore_steps + (uint64_t)learning;", "return (uint64_t)learning;",
     "trainer"),
    ("discount-step-off-by-one", "(double)(t - 1) / c->pacing.updates_per_step", "(double)t / c->pacing.updates_per_step",
     "trainer"),
)
faults(
    "learner/experience.c",
    ("real-rows-twice", "skip = known < e->rows.rows ? (uint32_t)known : e->rows.rows;", "skip = 0;", "learner"),
    ("missing-experience-accepted", "if (e->first_index > l->real_rows) {", "if (e->first_index > l->real_rows + 1000) {",
     "learner"),
    ("another-seed-joined", "if (w->seed != l->who.config->run.seed) {", "if (w->seed < l->who.config->run.seed) {", "learner"),
    ("grant-not-clamped", "if (capacity < rows_min || capacity > rows_max) {", "if (capacity < rows_min) {", "learner"),
)
faults(
    "learner/policy_store.c",
    ("same-policy-sent-again", "bool newer = p->version > have_version;", "bool newer = p->version >= have_version;", "learner"),
)

faults(
    "common/config/methods.h",
    ("sac-rolls-out", 'X(sac, METHOD_REAL_ROWS, "sac",', 'X(sac, METHOD_REAL_ROWS | METHOD_MODEL_ROWS, "sac",',
     "methods modelserver_learner"),
)
faults(
    "proto/metrics.c",
    ("metrics-sum-not-mean", "mean.list[i].value / (double)sum->n", "mean.list[i].value", "metrics"),
    ("metrics-merge-counts-one", "sum->n += more->n;", "sum->n++;", "metrics learner"),
)

# ---- wire and session ----

faults(
    "proto/hello.c",
    ("learner-of-another-run", "h->real_rows > run->real_rows", "h->real_rows > run->real_rows + 1000", "hello"),
    ("hello-of-another-task", "(h->task[0] && strcmp(h->task, run->task) != 0) ||", "", "hello"),
)

faults(
    "proto/wire_check.c",
    ("rows-empty", 'RULE(form(v, "rows.rows", r->rows, 1, WIRE_ROWS_MAX));', 'RULE(form(v, "rows.rows", r->rows, 0, WIRE_ROWS_MAX));',
     "wire_refusals"),
    ("flags-unknown", "if (r->flags[i] > WIRE_TRUNCATED) {", "if (r->flags[i] > WIRE_TRUNCATED + 1) {", "wire_refusals"),
    ("reward-not-finite", 'RULE(column(v, "rows.reward", r->reward, r->rows, 1, FLT_MAX));', "", "wire_refusals"),
    ("next-obs-not-finite", 'return column(v, "rows.next_obs", r->next_obs, r->rows, r->obs_dim, FLT_MAX);', "return 0;",
     "wire_refusals"),
    ("nan-passes-bounds", "        if (!(fabsf(x[i]) <= limit)) {", "        if (fabsf(x[i]) > limit) {", "wire_refusals"),
    ("nan-passes-bounds-in-bulk", "outside |= !(fabsf(x[i + j]) <= limit);", "outside |= fabsf(x[i + j]) > limit;",
     "wire_refusals wire"),
    ("action-out-of-bounds", "#define ACTION_MAX 1.000001f", "#define ACTION_MAX 1.1f", "wire_refusals"),
    ("policy-without-version", "uint64_t least = p->params_len > 0;", "uint64_t least = 0;", "wire_refusals"),
)
faults(
    "proto/wire.c",
    ("older-schema-read", "if (schema != WIRE_SCHEMA) {", "if (schema > WIRE_SCHEMA) {", "wire_refusals"),
)
faults(
    "proto/wire_body.c",
    ("column-too-long", "bytes->len == rows * dim * size", "bytes->len >= rows * dim * size", "wire_refusals"),
    ("episode-lengths-missing", " || p->n_lengths != p->episodes", "", "wire_refusals"),
)
faults(
    "proto/wire_scan.c",
    ("nul-in-string", "if (memchr(f->data, '\\0', f->len)) {", "if (f->len > WIRE_STRING_MAX) {", "wire_refusals"),
)
faults(
    "proto/session.c",
    ("session-other-run-joined", "if (s->run_id != 0 && s->run_id != msg->run_id) {", "if (s->run_id > msg->run_id) {", "session"),
    ("session-other-run-heard", "s->run_id == 0 || msg->run_id != s->run_id ||", "s->run_id == 0 ||", "session"),
    ("session-lost-late", "if (now_ms - s->heard_ms >= s->lost_after_ms) {\n        s->lost++;",
     "if (now_ms - s->heard_ms > s->lost_after_ms) {\n        s->lost++;", "session"),
    ("session-heartbeat-after-hearing", "now_ms - s->sent_ms >= s->heartbeat_ms", "now_ms - s->heard_ms >= s->heartbeat_ms",
     "session"),
    ("session-pause-not-doubled", "doubled(PAUSE_FIRST_MS, s->tries, PAUSE_DOUBLINGS_MAX)", "PAUSE_FIRST_MS", "session"),
)

# ---- actor ----

faults(
    "actor/spool.c",
    ("spool-sends-acknowledged", "if (s->cursor < s->acked) {", "if (s->acked == 0) {", "spool actor"),
    ("spool-message-wraps", "if (s->open.rows == s->batch_rows_max || s->end == 0) {", "if (s->open.rows == s->batch_rows_max) {",
     "spool actor"),
    ("spool-mixes-policies", "s->open.rows > 0 && s->open.policy_version != row->policy_version", "s->open.rows > s->capacity",
     "spool actor"),
    ("spool-ack-frees-wrong-rows", "s->used -= s->batches[s->acked % s->capacity].rows;",
     "s->used -= s->batches[(s->acked + 1) % s->capacity].rows;", "spool actor"),
    ("spool-truncates-terminated", "*flags = *flags ? *flags : WIRE_TRUNCATED;", "*flags = WIRE_TRUNCATED;",
     "spool actor"),
)
faults(
    "actor/actor.c",
    ("actor-step-beyond-credit", "a->steps < a->credit.steps_allowed && policy_suffices(a)",
     "a->steps <= a->credit.steps_allowed && policy_suffices(a)", "actor"),
    ("actor-random-off-by-one", "return a->steps < a->credit.random_steps;", "return a->steps <= a->credit.random_steps;",
     "actor"),
    ("actor-old-policy-acts", "return a->controller.version >= a->credit.min_policy_version &&",
     "return a->controller.version + 1 >= a->credit.min_policy_version &&", "actor"),
)
faults(
    "actor/policy_controller.c",
    ("actor-older-policy-loaded", "if (from->version < p->version) {", "if (from->version + 1 < p->version) {", "actor"),
)

# ---- configuration and host ----

faults(
    "common/config/rules.c",
    ("more-elites-than-members", "if (c->model.elites > c->model.members) {", "if (c->model.elites > c->model.members + 1) {",
     "config"),
    ("lost-before-heartbeat", "c->network.lost_after_ms < 2 * c->network.heartbeat_ms",
     "c->network.lost_after_ms < c->network.heartbeat_ms", "config"),
    ("rollout-length-rounded-up", "(int)floor(s[2] + (epoch - s[0])", "(int)ceil(s[2] + (epoch - s[0])", "config"),
    ("schedule-counts-exploration", "env_steps > c->run.explore_steps ? env_steps - c->run.explore_steps : 0", "env_steps",
     "config"),
    ("schedule-not-in-epochs", "(double)(learning / c->rollout.epoch_steps)",
     "(double)learning / (double)c->rollout.epoch_steps", "config"),
    ("discount-of-last-epoch", "c->sac.discount_rise.n == 0 || epoch >= s[1]", "c->sac.discount_rise.n == 0 || epoch > s[1] + 1",
     "config"),
    ("retained-rows-per-epoch", "(uint64_t)c->rollout.retain_epochs * c->rollout.epoch_steps", "(uint64_t)c->rollout.retain_epochs",
     "config"),
)
faults(
    "common/base/host.c",
    ("cgroup-largest-limit", "double here = limit(dir, version);\n        if (here > 0 && (smallest == 0 || here < smallest)) {",
     "double here = limit(dir, version);\n        if (here > 0 && (smallest == 0 || here > smallest)) {", "host"),
    ("cgroup-no-limit-is-one", "bytes[0] > 0 && bytes[0] < 4e18", "bytes[0] > 0", "host"),
    ("cgroup-controller-prefix", "&& (p[len] == ',' || p[len] == '\\0')", "", "host"),
    ("cores-rounded-up", "cores = (int)quota;", "cores = (int)quota + 1;", "host"),
)
