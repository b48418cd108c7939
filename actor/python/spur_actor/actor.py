# SPDX-License-Identifier: MIT
"""The actor: steps one environment with the newest policy and streams what it sees.

A core: no socket, no clock, no thread. What must hold is in docs/protocol.md,
"Actor and model server":

- It steps only while the model server's credit, the policy's version and the
  room for unacknowledged rows allow it, and says which is missing.
- Messages are kept until they are acknowledged and sent again after a new
  Welcome, an Ack that shows a gap, or a silent while.
- A non-finite number never leaves the process: the step is dropped and counted.

Stepping is in two halves, since the environment may take its time: job() gives
what to do, which needs no other part of the core, and done() takes the result.
Neither sends; whatever there is to send goes with the next tick.
"""
import logging
from collections import deque
from functools import partial

from . import session as sessions
from . import stepper as steppers
from . import wire
from .client import EXIT_OK, EXIT_PROTOCOL, EXIT_TEMPFAIL, LEARNER, MODELSERVER, Client
from .policy import Misfit, Policy
from .spool import Spool
from .wire import pb

FLUSH_MS = 20          # a message waits so long for more rows
LEAVE_MS = 2000        # for the last acknowledgements when leaving
POLICY_GAP_MS = 20     # between questions for a policy that is newer but not required
POLICY_RETRY_MS = 100  # after an answer without a policy
EPISODES_KEPT = 64     # for people to see, not for training: older ones give way

JOINING, ACTING, LEAVING, FINISHED = "joining", "acting", "leaving", "finished"


class Actor:
    def __init__(self, env, who, io, now_ms):
        self.env, self.who = env, who
        self.server = Client(MODELSERVER, pb.ROLE_ACTOR, who, io, now_ms)
        self.learner = Client(LEARNER, pb.ROLE_ACTOR, who, io, now_ms)
        self.phase = JOINING
        self.exit_code, self.why = EXIT_OK, ""
        self.stepper = self.spool = self.policy = None
        self.credit = pb.Credit()
        self.steps = 0  # rows made by this incarnation
        self.steps_bad = 0
        self._episodes = deque(maxlen=EPISODES_KEPT)  # to be told
        self._leave_by_ms = 0
        self._policy_asked_ms = None
        self._policy_unchanged = False  # the last answer held nothing to take
        self._policy_broken = 0         # this version gave a non-finite action
        self._acked_ms = self._rewound_ms = 0

    # ---- what may be done, and what is waited for ----

    @property
    def finished(self):
        return self.phase == FINISHED

    @property
    def policy_version(self):
        return self.policy.version if self.policy else 0

    def _next_is_random(self):
        return self.steps < self.credit.random_steps

    def _policy_suffices(self):
        version = self.policy_version
        return version >= self.credit.min_policy_version and (
            self._next_is_random() or version not in (0, self._policy_broken))

    def may_step(self):
        """Whatever the connection's state: an actor that is cut off goes on while its credit and memory last."""
        return (self.phase == ACTING and self.steps < self.credit.steps_allowed and self._policy_suffices()
                and not self.spool.full)

    def waiting(self, now_ms):
        """What for; "" while working."""
        if not self.server.up:
            return self.server.session.waiting(now_ms)
        if self.phase == LEAVING:
            return f"leaving: {self.spool.rows} rows are not acknowledged yet"
        if self.phase != ACTING or self.may_step():
            return ""
        if self.spool.full:
            return (f"the model server to acknowledge {self.spool.rows} rows: no more may be kept "
                    "(network.unacked_rows_max)")
        if self.steps >= self.credit.steps_allowed:
            return f"credit: {self.credit.reason or 'the model server gave none yet'}"
        if self.policy and self.policy_version == self._policy_broken:
            return f"a policy newer than {self.policy_version}, which gives non-finite actions"
        link = self.learner.session.waiting(now_ms)
        return (f"policy {max(self.credit.min_policy_version, 1)}, has {self.policy_version}{'; ' if link else ''}{link}")

    def _finish(self, exit_code, why):
        self.phase = FINISHED
        self.exit_code = exit_code
        self.why = why

    # ---- sending ----

    def _send_rows(self, now_ms):
        """Everything sealed that the socket takes."""
        while self.server.up:
            message = self.spool.next()
            if message is None:
                return
            if self.spool.in_flight == 0:
                self._acked_ms = now_ms
            if not self.server.send(now_ms, message):
                return  # the next tick tries again
            self.spool.sent()

    def _send_episodes(self, now_ms):
        while self._episodes and self.server.up and self.server.send(now_ms, self._episodes[0]):
            self._episodes.popleft()

    def _resend_rows(self, now_ms):
        self.spool.rewind()
        self._rewound_ms = self._acked_ms = now_ms
        self._send_rows(now_ms)

    def _ask_policy(self, now_ms):
        """What is needed and exists is asked for at once, what would only be nicer now and
        then, and what was not there a moment ago a moment later."""
        version = self.policy_version
        newer = self.credit.newest_policy_version > version or self.credit.min_policy_version > version
        needed = self.steps < self.credit.steps_allowed and not self._policy_suffices()
        if self.phase != ACTING or not (newer or needed):
            return
        gap_ms = POLICY_RETRY_MS if self._policy_unchanged else 0 if needed and newer else POLICY_GAP_MS
        if self._policy_asked_ms is not None and now_ms - self._policy_asked_ms < gap_ms:
            return
        if self.learner.up:
            self._policy_asked_ms = now_ms
            self.learner.have_version = version
            self.learner.session.ask(now_ms)
            self.learner.on_tick(now_ms)

    def _check_leaving(self, now_ms):
        """Leaving is over when nothing is unacknowledged, or no patience is left."""
        if self.phase != LEAVING:
            return
        if self.spool.rows > 0 and now_ms < self._leave_by_ms:
            return
        if self.spool.rows > 0:
            logging.warning("leaving with %d rows that the model server did not acknowledge", self.spool.rows)
        self._say_goodbye(now_ms)

    def _say_goodbye(self, now_ms):
        if self.server.up:
            self.server.send(now_ms, pb.Goodbye())  # if it is lost, silence tells the server as much
        self._finish(self.exit_code, self.why)

    def leave(self, now_ms, why, exit_code=EXIT_OK):
        """Sends what there is, waits for acknowledgements for at most LEAVE_MS, says Goodbye."""
        if self.phase in (LEAVING, FINISHED):
            return
        self.why, self.exit_code = why, exit_code
        if self.phase == JOINING:
            self._say_goodbye(now_ms)
            return
        self.phase = LEAVING
        self._leave_by_ms = now_ms + LEAVE_MS
        self.spool.seal()
        self._send_rows(now_ms)
        self._check_leaving(now_ms)

    # ---- messages in ----

    def _prepare(self, welcome):
        """What must be known to act. False: it cannot, and the actor is finished."""
        if (welcome.obs_dim, welcome.act_dim) != (self.env.obs_dim, self.env.act_dim):
            self._finish(EXIT_PROTOCOL,
                         f"the run's {welcome.task} has {welcome.obs_dim} observations and {welcome.act_dim} actions, "
                         f"this environment {self.env.obs_dim} and {self.env.act_dim}: correct task.obs_dim and "
                         "task.act_dim of the configuration, or bring the environment that it describes")
            return False
        self.stepper = steppers.Stepper(self.env, welcome.seed, welcome.actor_index, welcome.actor_steps,
                                        welcome.actor_episodes, max(welcome.horizon, 1))
        # A message stays far below the limit whatever the configuration says.
        row_bytes = 4 * (2 * welcome.obs_dim + welcome.act_dim + 1) + 1
        batch_max = min(max(welcome.batch_rows_max, 1), wire.ROWS_MAX, wire.MESSAGE_MAX // 2 // row_bytes)
        self.spool = Spool(max(welcome.unacked_rows_max, 1), batch_max, welcome.obs_dim, welcome.act_dim)
        return True

    def _on_welcome(self, now_ms, welcome):
        if self.phase == JOINING:
            if not self._prepare(welcome):
                return
            self.learner.session.run_id = self.server.session.run_id
            self.phase = ACTING
            logging.info("joined run %016x at %s: task %s, seed %d, actor number %d, %d steps so far",
                         self.server.session.run_id, self.who.modelserver, welcome.task, welcome.seed,
                         welcome.actor_index, welcome.actor_steps)
        else:
            logging.info("back at %s", self.who.modelserver)
        self.learner.session.lost_after_ms = self.server.session.lost_after_ms
        # The server's word on what is stored decides. It may know more than we do, never
        # less: what it acknowledged was stored.
        if welcome.next_seq < self.spool.acked + 1 or not self.spool.ack(welcome.next_seq - 1):
            self._finish(EXIT_TEMPFAIL,
                         f"the model server expects message {welcome.next_seq}, but {self.spool.acked} are acknowledged: "
                         "its store was replaced or this actor's id is used twice; start the actor again")
            return
        self._resend_rows(now_ms)
        self._check_leaving(now_ms)

    def _on_ack(self, now_ms, seq):
        acked = self.spool.acked
        if not self.spool.ack(seq):
            logging.warning("the model server acknowledges message %d, which was never sent", seq)
            return
        if self.spool.acked > acked:
            self._acked_ms = now_ms
        elif (seq == acked and self.spool.in_flight > 0
              and now_ms - self._rewound_ms >= self.server.session.heartbeat_ms):
            self._resend_rows(now_ms)  # a gap: the server has this far and no farther
        self._check_leaving(now_ms)

    def _on_credit(self, now_ms, credit):
        if (credit.newest_policy_version, credit.min_policy_version) != (
                self.credit.newest_policy_version, self.credit.min_policy_version):
            self._policy_unchanged = False
        self.credit = credit
        self._ask_policy(now_ms)

    def _on_policy(self, now_ms, message):
        self._policy_unchanged = True
        if message.params_len > 0 and message.version > self.policy_version:
            try:
                self.policy = Policy(message, self.env.obs_dim, self.env.act_dim)
                self._policy_unchanged = False
            except Misfit as misfit:
                logging.error("refused from %s: %s", self.who.learner, misfit)
        self._ask_policy(now_ms)

    def _on_server_message(self, now_ms, message):
        if isinstance(message, pb.Shutdown):
            logging.info("the model server ends the run: %s", wire.text(message.text))
            self.leave(now_ms, wire.text(message.text))
        elif isinstance(message, pb.Refuse) and message.code == pb.REFUSAL_FORMAT:
            # The same bytes would be refused for ever.
            self._finish(EXIT_PROTOCOL, f"the model server cannot read this program's messages: {self.server.session.text}; "
                         "use the spur_actor of the same version of spur")
        elif isinstance(message, pb.Refuse):
            logging.error("the model server refused a message: %s", self.server.session.text)
        elif isinstance(message, pb.Ack):
            self._on_ack(now_ms, message.seq)
        elif isinstance(message, pb.Credit):
            self._on_credit(now_ms, message)

    def on_message(self, peer, now_ms, run_id, message):
        if self.finished:
            return
        client = self.learner if peer == LEARNER else self.server
        verdict = client.session.on_message(now_ms, run_id, message)
        if verdict == sessions.STOP:
            self._finish(EXIT_PROTOCOL, client.session.text)
        elif verdict == sessions.WELCOMED:
            self._on_welcome(now_ms, message)
        elif verdict == sessions.FOR_OWNER and peer == MODELSERVER:
            self._on_server_message(now_ms, message)
        elif verdict == sessions.FOR_OWNER and isinstance(message, pb.Policy):
            self._on_policy(now_ms, message)

    def on_tick(self, now_ms):
        if self.finished:
            return
        heartbeat_due = self.server.on_tick(now_ms)
        if self.phase == JOINING:
            return
        self._ask_policy(now_ms)
        self.learner.on_tick(now_ms)
        self._flush(now_ms)
        if self.server.up:
            silent_ms = now_ms - self._acked_ms
            if self.spool.in_flight > 0 and silent_ms >= self.server.session.lost_after_ms:
                logging.warning("no acknowledgement from %s for %d ms: sending %d messages again",
                                self.who.modelserver, silent_ms, self.spool.in_flight)
                self._resend_rows(now_ms)
            if heartbeat_due:
                self.server.send(now_ms, pb.Heartbeat(
                    steps=self.stepper.steps, policy_version=self.policy_version, unacked_rows=self.spool.rows,
                    steps_bad=self.steps_bad, waiting=wire.text(self.waiting(now_ms))))
        self._check_leaving(now_ms)

    def _flush(self, now_ms):
        if not self.may_step() or self.spool.open_ms(now_ms) >= FLUSH_MS:
            self.spool.seal()
        self._send_rows(now_ms)
        self._send_episodes(now_ms)

    # ---- stepping ----

    def job(self):
        """A step, to be called without the core's lock. Only while may_step()."""
        return partial(self.stepper.step, None if self._next_is_random() else self.policy)

    def done(self, now_ms, result):
        """Takes what the job gave. True: there is something to send at once."""
        if self.finished:
            return False
        if result is steppers.BAD_STEP:
            self.steps_bad += 1
            self.spool.truncate_last()
            logging.warning("a step gave a number that is not finite (number %d of this actor): dropped, "
                            "a new episode begins", self.steps_bad)
        elif result is steppers.BAD_POLICY:
            self._policy_broken = self.policy_version
            logging.error("policy %d gives a non-finite action: waiting for a newer one", self.policy_version)
        elif self.phase == ACTING:
            self.steps += 1
            self.spool.push(result, now_ms)
            if result.flags:
                self._episodes.append(pb.Episode(
                    length=result.episode_length, episode_return=result.episode_return,
                    terminated=result.flags == wire.TERMINATED, policy_version=result.policy_version))
        return bool(not self.may_step() or self._episodes or self.spool.next()
                    or self.spool.open_ms(now_ms) >= FLUSH_MS)
