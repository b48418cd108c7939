# SPDX-License-Identifier: MIT
"""An actor and an evaluator that follow docs/protocol.md, in plain Python.

Independent of spur's own code: the bytes of ZeroMQ, of protobuf and of the policy are read and written
here and in tests/integration/harness.py by hand. So the page is shown to be enough to write a client.

An environment has obs_dim, act_dim, reset(seed) -> obs and step(act) -> (obs, reward, terminated), where
act is in [-1, 1]. One thread: the environment must be quick.
"""
import collections
import math
import os
import random
import select
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import Dealer, Failure, block, double, envelope, fields, floats, number  # noqa: E402

# Fields of Envelope by message name.
(HELLO, WELCOME, REFUSE, TRANSITIONS, ACK, CREDIT, EPISODE, HEARTBEAT, GOODBYE, SHUTDOWN, EVAL_REQUEST, EVAL_REPORT,
 EXPERIENCE, GRANT, PROGRESS, POLICY_GET, POLICY) = range(11, 28)
ROLE_ACTOR, ROLE_EVALUATOR, ROLE_LEARNER = 1, 2, 3
SCHEMA, RUN, TASK, FENCED, UNKNOWN, VALUE, FULL, MODE, FORMAT = range(1, 10)  # codes of Refuse
TERMINATED, TRUNCATED = 1, 2  # flags of a row

FLUSH_S, LEAVE_S = 0.02, 2.0
POLICY_GAP_S, POLICY_RETRY_S = 0.02, 0.1

Refusal = collections.namedtuple("Refusal", "code fatal text")
Row = collections.namedtuple("Row", "obs act reward next_obs flags")


def envelopes(data):
    """(run id, field, body) of an Envelope."""
    found = fields(data)
    run_id = int.from_bytes(found.pop(2, b""), "little")
    found.pop(1)
    (kind, body), = found.items()
    return run_id, kind, fields(body)


def rows_body(rows, obs_dim, act_dim):
    """Rows as a message: the columns are float32, row after row."""
    column = [floats(*(x for row in rows for x in row[i])) for i in (0, 1, 3)]
    return (number(1, len(rows)) + number(2, obs_dim) + number(3, act_dim) + block(4, column[0]) + block(5, column[1]) +
            block(6, floats(*(row.reward for row in rows))) + block(7, column[2]) + block(8, bytes(row.flags for row in rows)))


def varints(data):
    """The numbers of a packed list."""
    found, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value = shift = 0
    return found


class Policy:
    """The network of the section "Policies"."""

    def __init__(self, message, obs_dim, act_dim):
        self.version, self.act_dim = message[1], act_dim
        hidden = [message[5]] * message[6] if message.get(5) else varints(message[9])
        self.silu = not message.get(5) and message[10] == 2
        if len(hidden) != message[6] or (not message.get(5) and message[10] not in (1, 2)):
            raise Failure(f"a policy of {message[6]} layers of widths {hidden}, activation {message.get(10)}")
        dims = [message[3]] + hidden + [2 * message[4]]
        length = sum((n_in + 1) * n_out for n_in, n_out in zip(dims, dims[1:]))
        if (message[3], message[4]) != (obs_dim, act_dim) or message[7] != length or len(message[8]) != 4 * length:
            raise Failure(f"a policy of {dims} with {message[7]} numbers for {obs_dim} observations and {act_dim} actions")
        params, at, self.layers = struct.unpack(f"<{length}f", message[8]), 0, []
        for n_in, n_out in zip(dims, dims[1:]):
            weight = [params[at + i * n_in:at + (i + 1) * n_in] for i in range(n_out)]
            at += n_in * n_out
            self.layers.append((weight, params[at:at + n_out]))
            at += n_out

    def forward(self, obs):
        """(mu, log_std)"""
        h = obs
        for i, (weight, bias) in enumerate(self.layers):
            h = [sum(w * x for w, x in zip(row, h)) + b for row, b in zip(weight, bias)]
            if i < len(self.layers) - 1:
                h = [x / (1 + math.exp(-x)) if self.silu else max(x, 0.0) for x in h]
        return h[:self.act_dim], h[self.act_dim:]

    def mean(self, obs):
        return [math.tanh(mu) for mu in self.forward(obs)[0]]

    def sample(self, obs, noise):
        return [math.tanh(mu + math.exp(min(max(s, -20.0), 2.0)) * n) for mu, s, n in zip(*self.forward(obs), noise)]


class Peer:
    """A client's side of the connection to the model server: Hello, Welcome, Heartbeat, and a new connection
    after silence. A fatal Refuse raises PermissionError with its text; refusals are kept in `refusals`. The server
    gives it an incarnation, unless it has one of its own, as clients had before."""

    def __init__(self, endpoint, role, name, incarnation=0, **hello):
        self.endpoint, self.name = endpoint, name
        self.incarnation = incarnation
        self.fields = number(1, role) + block(2, name) + b"".join(number({"obs_dim": 8, "act_dim": 9, "real_rows": 13}[key], n) for key, n in hello.items())
        self.run_id, self.dealer, self.joined = 0, None, False
        self.heartbeat_s, self.lost_s = 0.5, 3.0
        self.tries, self.heard, self.sent = 0, 0.0, 0.0
        self.refusals, self.shutdown, self.connections = [], False, 0

    # ---- the connection ----

    def cut(self):
        if self.dealer:
            self.dealer.close()
        self.dealer, self.joined = None, False

    def hello(self):
        return self.fields + number(3, self.incarnation)

    def connect(self):
        self.cut()
        self.heard = time.monotonic()
        try:
            self.dealer = Dealer(self.endpoint)
        except (OSError, Failure):
            return
        self.connections += 1
        self.send(HELLO, self.hello())  # run_id: 0 before the first Welcome

    def send(self, kind, body=b"", run_id=None):
        """False: the connection is gone."""
        try:
            self.dealer.send(envelope(kind, body, self.run_id if run_id is None else run_id))
        except OSError:
            self.cut()
            return False
        self.sent = time.monotonic()
        return True

    def poll(self, timeout):
        """Handles what has arrived and what is due."""
        now = time.monotonic()
        if self.dealer is None or now - self.heard > self.lost_s * 2 ** min(self.tries, 2):
            self.tries += 1 if self.dealer else 0
            self.connect()
        elif self.joined and now - self.sent >= self.heartbeat_s:
            self.send(HEARTBEAT, self.heartbeat())
        while self.dealer and select.select([self.dealer.socket], [], [], timeout)[0]:
            timeout = 0
            try:
                run_id, kind, body = envelopes(self.dealer.frame())
            except (OSError, Failure):
                self.cut()
                return
            self.take(run_id, kind, body)
        if self.dealer is None:
            time.sleep(0.05)

    def take(self, run_id, kind, body):
        if kind == REFUSE:
            self.refused(Refusal(body[1], bool(body.get(2)), body.get(3, b"").decode()))
        elif kind == SHUTDOWN:
            self.shutdown = True
        elif kind == WELCOME:
            if self.run_id not in (0, run_id):
                raise PermissionError("another run than before")
            self.run_id, self.joined, self.tries = run_id, True, 0
            self.incarnation = body[16]
            self.heartbeat_s, self.lost_s = body[10] / 1e3, body[11] / 1e3
            self.on_welcome(body)
        elif self.joined and run_id == self.run_id:
            self.on_message(kind, body)
        else:
            return  # of another run, or sent before our Hello arrived
        self.heard = time.monotonic()

    def refused(self, refusal):
        self.refusals.append(refusal)
        if refusal.fatal:
            self.cut()
            raise PermissionError(refusal.text)
        if refusal.code in (UNKNOWN, RUN) and self.joined:
            self.joined = False
            self.send(HELLO, self.hello())

    def heartbeat(self):
        return b""

    def on_welcome(self, body):
        pass

    def on_message(self, kind, body):
        pass

    def run(self, until, seconds):
        """Works until that is true, or the run ends."""
        end = time.monotonic() + seconds
        while not (self.shutdown or until()):
            if time.monotonic() > end:
                raise Failure(f"{self.name}: not within {seconds} s")
            self.work()

    def work(self):
        self.poll(0.01)

    def leave(self):
        if self.dealer:
            self.send(GOODBYE)
        self.cut()


class Actor(Peer):
    """Steps as far as its credit goes and keeps rows until they are acknowledged."""

    def __init__(self, env, server, learner, name, incarnation=0):
        super().__init__(server, ROLE_ACTOR, name, incarnation, obs_dim=env.obs_dim, act_dim=env.act_dim)
        self.env, self.learner, self.learner_dealer = env, learner, None
        self.told = b""  # where the learner is, as the server says
        self.welcome, self.credit, self.policy = {}, {}, None
        self.made, self.obs, self.length = [], None, 0  # rows of this incarnation; the episode
        self.rows_max = math.inf                        # makes no more rows than these
        self.open, self.opened = [], 0.0                # rows of the message that is not complete
        self.kept = collections.OrderedDict()           # seq: (rows, body), not acknowledged
        self.seq, self.cursor, self.acked = 0, 1, 0     # last made; next to send; last acknowledged
        self.acked_at, self.rewound_at, self.policy_due = 0.0, 0.0, 0.0
        self.resent = 0

    # ---- messages ----

    def on_welcome(self, body):
        self.welcome = body
        if body[7] - 1 < self.acked:
            raise Failure(f"message {body[7]} is expected, {self.acked} are acknowledged")
        self.acknowledge(body[7] - 1)
        self.rewind()

    def on_message(self, kind, body):
        if kind == CREDIT:
            self.credit = body
            self.on_learner(body.get(6, b""))
        elif kind == ACK:
            now, repeated = time.monotonic(), body[1] if 1 in body else 0
            if repeated == self.acked and self.cursor > self.acked + 1 and now - self.rewound_at > self.heartbeat_s:
                self.rewind()
            self.acknowledge(repeated)

    def acknowledge(self, seq):
        if seq > self.seq:
            raise Failure(f"message {seq} is acknowledged, {self.seq} were made")
        for old in [s for s in self.kept if s <= seq]:
            del self.kept[old]
        self.acked, self.cursor = max(self.acked, seq), max(self.cursor, seq + 1)
        self.acked_at = time.monotonic()

    def rewind(self):
        self.resent += max(self.cursor - self.acked - 1, 0)
        self.cursor, self.rewound_at = self.acked + 1, time.monotonic()

    def heartbeat(self):
        steps = self.welcome[8] if 8 in self.welcome else 0
        return (number(1, steps + len(self.made)) + number(2, self.policy.version if self.policy else 0) +
                number(3, self.unacked()) + block(4, "" if self.may_step() else "credit, policy or acknowledgement"))

    def unacked(self):
        return sum(rows for rows, _ in self.kept.values()) + len(self.open)

    # ---- steps ----

    def next_is_random(self):
        return len(self.made) < self.credit.get(2, 0)

    def has_credit(self):
        return (self.joined and len(self.made) < min(self.credit.get(1, 0), self.rows_max) and
                self.unacked() < self.welcome[13])

    def may_step(self):
        return self.has_credit() and (self.next_is_random() or
                                      (self.policy and self.policy.version >= max(self.credit.get(3, 0), 1)))

    def step(self):
        if self.obs is None:
            self.obs, self.length = self.env.reset(self.welcome[1] if 1 in self.welcome else 0), 0
        policy = None if self.next_is_random() else self.policy
        draw = random.uniform if policy is None else random.gauss
        numbers = [draw(*((-1, 1) if policy is None else (0, 1))) for _ in range(self.env.act_dim)]
        act = numbers if policy is None else policy.sample(self.obs, numbers)
        next_obs, reward, terminated = self.env.step(act)
        self.length += 1
        flags = TERMINATED if terminated else TRUNCATED if self.length >= self.welcome[5] else 0
        version = policy.version if policy else 0
        if self.open and self.open_version != version:
            self.seal()
        if not self.open:
            self.open_version, self.opened = version, time.monotonic()
        row = Row(self.obs, act, reward, next_obs, flags)
        self.made.append(row)
        self.open.append(row)
        self.obs = None if flags else next_obs
        if flags and self.joined:
            self.send(EPISODE, number(1, self.length) + double(2, float(self.length)) + number(3, terminated))

    def seal(self):
        if self.open:
            self.seq += 1
            body = number(1, self.seq) + number(2, self.open_version) + block(3, rows_body(self.open, self.env.obs_dim, self.env.act_dim))
            self.kept[self.seq] = len(self.open), body
            self.open = []

    def flush(self):
        now = time.monotonic()
        if self.open and (len(self.open) == self.welcome[12] or not self.may_step() or now - self.opened > FLUSH_S):
            self.seal()
        if self.cursor > self.acked + 1 and now - max(self.acked_at, self.rewound_at) > self.lost_s:
            self.rewind()
        while self.joined and self.cursor <= self.seq and self.send(TRANSITIONS, self.kept[self.cursor][1]):
            self.cursor += 1

    def work(self):
        self.poll(0 if self.may_step() else 0.005)
        if self.may_step():
            self.step()
        if self.joined:
            self.flush()
            self.get_policy()

    def leave(self):
        end = time.monotonic() + LEAVE_S
        self.seal()
        while self.kept and time.monotonic() < end:
            self.poll(0.01)
            self.flush()
        super().leave()

    # ---- policies ----

    def on_learner(self, told):
        if told and told != self.told:
            if self.told or not self.learner:
                self.learner, self.learner_dealer = told.decode(), None
            self.told = told

    def get_policy(self):
        have, now = self.policy.version if self.policy else 0, time.monotonic()
        required = self.credit.get(3, 0) > have and not self.next_is_random()
        if not required and (self.credit.get(4, 0) <= have or now < self.policy_due):
            return
        self.policy_due = now + POLICY_GAP_S
        try:
            self.learner_dealer = self.learner_dealer or Dealer(self.learner)
            _, kind, body = envelopes(self.learner_dealer.ask(envelope(POLICY_GET, number(1, have), self.run_id)))
        except (OSError, Failure):
            self.learner_dealer = None
            return
        if kind == POLICY and body.get(7, 0) > 0 and body[1] > have:
            self.policy = Policy(body, self.env.obs_dim, self.env.act_dim)
        else:
            self.policy_due = now + POLICY_RETRY_S


class Evaluator(Peer):
    """Plays the policy of each EvalRequest, deterministically, and reports the returns."""

    def __init__(self, env, server, name):
        super().__init__(server, ROLE_EVALUATOR, name, obs_dim=env.obs_dim, act_dim=env.act_dim)
        self.env, self.report, self.reported = env, b"", 0

    def on_welcome(self, body):
        self.horizon = body[5]

    def on_message(self, kind, body):
        if kind == EVAL_REQUEST and body[1] != self.reported:
            policy = Policy(fields(body[6]), self.env.obs_dim, self.env.act_dim)
            played = [self.play(policy, i) for i in range(body[5])]
            self.reported = body[1]
            self.report = (number(1, body[1]) + number(2, body[2]) + number(3, policy.version) + number(4, len(played)) +
                           block(5, struct.pack(f"<{len(played)}d", *(r for r, _ in played))) +
                           block(6, struct.pack(f"<{len(played)}d", *(n for _, n in played))))
        if kind == EVAL_REQUEST:
            self.send(EVAL_REPORT, self.report)

    def play(self, policy, episode):
        obs, total, length, terminated = self.env.reset(episode), 0.0, 0, False
        while not terminated and length < self.horizon:
            obs, reward, terminated = self.env.step(policy.mean(obs))
            total, length = total + reward, length + 1
        return total, length
