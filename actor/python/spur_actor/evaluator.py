# SPDX-License-Identifier: MIT
"""The evaluator: plays the deterministic policy that it is sent, and reports returns.

A core like the actor. Its steps are not training data. Start states depend on
the run's seed and the episode's number alone, so every evaluation has the same.
"""
import logging

import numpy as np

from . import rng
from . import session as sessions
from . import wire
from .client import EXIT_OK, EXIT_PROTOCOL, MODELSERVER, Client
from .policy import Misfit, Policy
from .wire import pb


class Evaluation:
    """Episodes of one policy, a step at a time."""

    def __init__(self, env, policy, seed, episodes, horizon):
        self.env, self.policy, self.seed, self.episodes, self.horizon = env, policy, seed, episodes, horizon
        self.returns, self.lengths = [], []
        self.steps = 0
        self._obs = None

    def step(self):
        """One step. False: it was the last."""
        if self._obs is None:
            self._obs = self.env.reset(rng.reset_seed(self.seed, rng.EVAL_RESET, len(self.returns), 0))
            self.returns.append(0.0)
            self.lengths.append(0)
        obs, reward, terminated, truncated = self.env.step(self.policy.mean(self._obs))
        self.steps += 1
        bad = not (np.isfinite(reward) and np.isfinite(obs).all())
        if bad:
            logging.warning("evaluation: a step gave a number that is not finite; the episode ends there")
        else:
            self.returns[-1] += reward
            self.lengths[-1] += 1
        over = bad or terminated or truncated or self.lengths[-1] >= self.horizon
        self._obs = None if over else obs
        return not over or len(self.returns) < self.episodes


class Evaluator:
    def __init__(self, env, who, io, now_ms):
        self.env, self.who = env, who
        self.server = Client(MODELSERVER, pb.ROLE_EVALUATOR, who, io, now_ms)
        self.finished = False
        self.exit_code, self.why = EXIT_OK, ""
        self.horizon = 1
        self.current = self.next = None  # EvalRequests
        self.evaluation = None           # of the current one, while it runs
        self.report, self.report_sent = None, False

    def _finish(self, exit_code, why):
        self.finished = True
        self.exit_code = exit_code
        self.why = why

    def leave(self, now_ms, why, exit_code=EXIT_OK):
        if not self.finished:
            if self.server.up:
                self.server.send(now_ms, pb.Goodbye())
            self._finish(exit_code, why)

    # ---- requests ----

    def _begin(self, request):
        try:
            policy = Policy(request.policy, self.env.obs_dim, self.env.act_dim)
        except Misfit as misfit:
            logging.error("evaluation %d cannot be done: %s", request.id, misfit)
            return
        self.current = request
        self.evaluation = Evaluation(self.env, policy, request.seed, request.episodes, self.horizon)

    def _on_request(self, request):
        if self.report is not None and self.report.id == request.id:
            self.report_sent = False  # asked again
        elif self.evaluation is None:
            self._begin(request)
        elif self.current.id != request.id:
            self.next = request  # in place of the one that waits

    def _send_report(self, now_ms):
        if self.report is not None and not self.report_sent and self.server.up:
            self.report_sent = self.server.send(now_ms, self.report)

    def _on_welcome(self, welcome):
        if (welcome.obs_dim, welcome.act_dim) != (self.env.obs_dim, self.env.act_dim):
            self._finish(EXIT_PROTOCOL,
                         f"the run's {welcome.task} has {welcome.obs_dim} observations and {welcome.act_dim} actions, "
                         f"this environment {self.env.obs_dim} and {self.env.act_dim}")
            return
        self.horizon = max(welcome.horizon, 1)
        logging.info("evaluating for run %016x at %s: task %s", self.server.session.run_id, self.who.modelserver,
                     welcome.task)

    def on_message(self, peer, now_ms, run_id, message):
        if self.finished or peer != MODELSERVER:
            return
        verdict = self.server.session.on_message(now_ms, run_id, message)
        if verdict == sessions.STOP:
            self._finish(EXIT_PROTOCOL, self.server.session.text)
        elif verdict == sessions.WELCOMED:
            self._on_welcome(message)
        elif verdict == sessions.FOR_OWNER and isinstance(message, pb.EvalRequest):
            self._on_request(message)
        elif verdict == sessions.FOR_OWNER and isinstance(message, pb.Shutdown):
            logging.info("the model server ends the run: %s", wire.text(message.text))
            self.leave(now_ms, wire.text(message.text))
        elif verdict == sessions.FOR_OWNER and isinstance(message, pb.Refuse):
            logging.error("the model server refused a message: %s", self.server.session.text)

    def on_tick(self, now_ms):
        if self.finished:
            return
        heartbeat_due = self.server.on_tick(now_ms)
        self._send_report(now_ms)
        if heartbeat_due:
            self.server.send(now_ms, pb.Heartbeat(
                steps=self.evaluation.steps if self.evaluation else 0,
                policy_version=self.current.policy.version if self.current else 0,
                waiting=wire.text(self.waiting(now_ms))))

    def waiting(self, now_ms):
        if not self.server.up:
            return self.server.session.waiting(now_ms)
        return "" if self.evaluation else "the next evaluation"

    # ---- stepping ----

    def may_step(self):
        return self.evaluation is not None and not self.finished

    def job(self):
        return self.evaluation.step

    def done(self, _now_ms, more):
        """Takes what the job gave. True: there is a report to send."""
        if more or self.finished:
            return False
        request, evaluation = self.current, self.evaluation
        self.evaluation = None
        self.report_sent = False
        self.report = pb.EvalReport(id=request.id, env_steps=request.env_steps, policy_version=request.policy.version,
                                    episodes=request.episodes, returns=evaluation.returns, lengths=evaluation.lengths)
        logging.info("evaluation %d at %d steps: mean return %.2f", request.id, request.env_steps,
                     np.mean(evaluation.returns))
        if self.next is not None:
            following, self.next = self.next, None
            self._begin(following)
        return True
