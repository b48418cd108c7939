// SPDX-License-Identifier: MIT
// Decides from the learning curve whether a run is finished, and says how it ended.
#include "cli/run/summary.h"

#include <stdio.h>

#include "cli/text.h"
#include "common/base/file.h"

int summary_read(struct summary *s, const char *run_dir, const struct config *c, char *err,
                 size_t err_len) {
    *s = (struct summary){0};
    char path[4096];
    if (file_join(path, sizeof(path), run_dir, "progress.csv") < 0) {
        snprintf(err, err_len, "%s: the path is too long", run_dir);
        return -1;
    }
    if (learning_curve_read(&s->curve, path, c, err, err_len) != 0) {
        return -1;
    }
    s->has_target = config_has_target(c);
    s->spent = s->curve.evaluations > 0 && s->curve.env_steps >= config_steps_max(c);
    return 0;
}

bool summary_finished(const struct summary *s, const struct config *c) {
    return s->spent || (s->curve.solved && c->run.stop_when_solved);
}

void summary_sentence(const struct summary *summary, double wall_s, char *out, size_t out_len) {
    const struct learning_curve_history *s = &summary->curve;
    char step[TEXT_LEN], best[TEXT_LEN], wall[TEXT_LEN];
    if (s->evaluations == 0) {
        text_duration(wall, wall_s);
        snprintf(out, out_len, "no evaluations%s%s", wall_s > 0 ? "; " : "",
                 wall_s > 0 ? wall : "");
        return;
    }
    text_count(step, s->solved ? s->solved_env_steps : s->env_steps);
    text_count(best, s->best_env_steps);
    text_duration(wall, wall_s > s->wall_seconds ? wall_s : s->wall_seconds);
    const char *spent = summary->has_target ? "budget spent, not solved at" : "budget spent at";
    const char *how = s->solved        ? "solved at"
                      : summary->spent ? spent
                                       : "not finished; evaluated up to";
    snprintf(out, out_len, "%s step %s; best return %.1f at step %s, last %.1f; %s", how, step,
             s->return_best, best, s->return_mean, wall);
}
