#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the daemons follow docs/protocol.md, with a client that was written from that page alone
(tests/conformance/client.py). Every row is stored once, in order and equal to the bit, through cut connections,
lost and repeated messages, and restarts. Tests liveness, leaving and fencing. Each wrong message is refused by
code, field and reason while another actor's rows are stored. A whole lockstep run works without spur's own actors
and evaluator, through a silence of the model server. The client's policy gives PyTorch's numbers."""
import math
import os
import signal
import struct
import sys
import time

import harness
from harness import (TERMINATED, SHORT, SOURCE, Failure, block, check, counter, end, endpoints, fields, floats, main, number, progress,
                     read, status, tensors, wait_for)

sys.path.insert(0, os.path.join(SOURCE, "tests", "conformance"))
import client  # noqa: E402
from client import (ACK, FENCED, FORMAT, RUN, SCHEMA, TASK, TRANSITIONS, UNKNOWN, VALUE, Actor, Evaluator, Peer, Policy,  # noqa: E402
                    Row, rows_body)

ENDLESS = {"run.steps": 1000000, "run.explore_steps": 1000000, "eval.every_steps": 1000000}
PROMPT = {"network.lost_after_ms": 1500, "network.heartbeat_ms": 200}


class Count:
    """Observations name their episode and step. The dimensions are InvertedPendulum's unless others are given."""

    def __init__(self, length=7, obs_dim=4, act_dim=1):
        self.obs_dim, self.act_dim, self.length = obs_dim, act_dim, length
        self.episode, self.at = 0, 0

    def observe(self):
        return [float(self.episode), float(self.at), 0.1, -0.1][:self.obs_dim]

    def reset(self, _):
        self.episode, self.at = self.episode + 1, 0
        return self.observe()

    def step(self, act):
        check(len(act) == self.act_dim and all(-1 <= a <= 1 for a in act), f"an action of {act}")
        self.at += 1
        return self.observe(), 1.0 + act[0], self.at == self.length


class Learner(Peer):
    """Receives the stored rows from the model server: each real row once, in order."""

    def __init__(self, endpoint):
        super().__init__(endpoint, client.ROLE_LEARNER, "the-learner", real_rows=0)
        self.rows, self.columns = 0, {4: b"", 5: b"", 6: b"", 7: b"", 8: b""}

    def on_message(self, kind, body):
        if kind == client.EXPERIENCE:
            rows = fields(body[6])
            check(body.get(3, 0) == self.rows, f"row {body.get(3, 0)} after {self.rows} rows")
            self.rows += rows[1]
            for column in self.columns:
                self.columns[column] += rows[column]
            self.send(client.PROGRESS, number(1, body[1]) + number(4, self.rows))


def daemons(stage, sets, learner=False):
    """A model server, and a learner if wanted, started by hand: (processes, endpoints, run directory)."""
    config, run_dir = stage.path("config.yaml"), stage.path("by-hand")
    sets = {"run.task": "inverted_pendulum", **SHORT, **sets}
    with open(config, "w", encoding="utf-8") as f:
        for section in sorted({key.split(".")[0] for key in sets}):
            f.write(f"{section}:\n")
            f.writelines(f"  {key.split('.')[1]}: {value}\n" for key, value in sets.items() if key.startswith(section + "."))
    os.mkdir(run_dir)
    where = {name: f"ipc://{stage.sockets}/{name}" for name in ("modelserver", "learner")}
    processes = [stage.start("spur-modelserver", "--config", config, "--run-dir", run_dir, "--bind", where["modelserver"])]
    if learner:
        processes.append(stage.start("spur-learner", "--config", config, "--run-dir", run_dir, "--bind", where["learner"],
                                     "--modelserver", where["modelserver"]))
    wait_for("the model server", lambda: status(stage, where["modelserver"]), 20)
    return processes, where, run_dir


def stop(process):
    process.send_signal(signal.SIGTERM)
    check(end(process, 30) == 0, f"exit code {process.returncode}:\n{read(process.output)[-2000:]}")


def line_of(stage, endpoint, name):
    state = status(stage, endpoint)
    return next((a for a in state["actors"] if a["id"] == name), {}) if state else {}


def refusal_of(peer, until):
    """The refusal that the peer stops with."""
    try:
        peer.run(until, 10)
    except PermissionError:
        return peer.refusals[-1]
    raise Failure(f"{peer.name} was not refused")


def make(actor, rows, seconds=30):
    """Makes the given number of rows, all acknowledged."""
    actor.rows_max = len(actor.made) + rows
    actor.run(lambda: len(actor.made) == actor.rows_max and not actor.unacked(), seconds)


def columns(rows):
    """Columns as in the message."""
    return {field: value for field, value in fields(rows_body(rows, 4, 1)).items() if field > 3}


# ---- rows ----

def rows_are_stored_once(stage):
    processes, where, _ = daemons(stage, {**ENDLESS, **PROMPT, "network.batch_rows_max": 8, "network.unacked_rows_max": 64})
    server = where["modelserver"]
    actor = Actor(Count(), server, "", "own", incarnation=5)
    make(actor, 100)
    check(line_of(stage, server, "own")["steps"] == 100, f"{line_of(stage, server, 'own')}")

    # The connection is cut with messages in flight: stored rows are not stored again.
    actor.rows_max = 164
    actor.run(lambda: len(actor.made) > 130 and actor.kept, 10)
    actor.cut()
    make(actor, 20)
    check(actor.connections == 2, f"{actor.connections} connections")

    # A message is lost: acknowledgements stop before it, and it is resent.
    send, lost = actor.send, []

    def lose_one(kind, *rest):
        if kind == TRANSITIONS and not lost:
            lost.append(rest)
            return True
        return send(kind, *rest)

    actor.send, actor.resent = lose_one, 0
    make(actor, 40)
    check(lost and actor.resent > 0, f"{actor.resent} messages sent again")
    del actor.send

    # A stored message is acknowledged again; a message after a gap only once the gap is filled.
    twice = number(1, actor.seq) + block(3, rows_body(actor.made[-1:], 4, 1))
    early = number(1, actor.seq + 2) + block(3, rows_body(actor.made[-1:], 4, 1))
    for body in (twice, early):
        answers = []
        actor.on_message = lambda kind, body, answers=answers: answers.append((kind, body.get(1, 0)))
        actor.send(TRANSITIONS, body)
        actor.run(lambda answers=answers: any(kind == ACK for kind, _ in answers), 10)
        check((ACK, actor.seq) in answers, f"answered with {answers}")
        del actor.on_message
    before = len(actor.made)
    make(actor, 50)
    counters = status(stage, server)["counters"]
    check(counters.get("transitions_duplicate", 0) >= 1 and counters.get("transitions_gap", 0) >= 1, f"{counters}")
    check(status(stage, server)["env_steps"] == len(actor.made) == before + 50, f"{before} {len(actor.made)}")

    # A restart with the same id: sequence numbers restart, index and totals continue.
    index, total = actor.welcome.get(6, 0), len(actor.made)
    first, actor = actor, Actor(Count(), server, "", "own", incarnation=6)
    make(actor, 30)
    check((actor.welcome.get(6, 0), actor.welcome[7], actor.welcome[8]) == (index, 1, total), f"{actor.welcome}")
    first.cut()
    refusal = refusal_of(first, lambda: first.joined)
    check(refusal.code == FENCED and "newer start of the same id" in refusal.text, f"{refusal}")

    # All acknowledged rows are stored, in order, equal to the bit.
    learner = Learner(server)
    everything = first.made + actor.made
    learner.run(lambda: learner.rows >= len(everything), 20)
    check(learner.columns == columns(everything), "stored and sent rows differ")
    check(learner.rows == status(stage, server)["env_steps"], f"{learner.rows} rows of {status(stage, server)['env_steps']}")
    learner.leave()
    actor.leave()
    stop(processes[0])


def heard_lost_and_left(stage):
    processes, where, _ = daemons(stage, {**ENDLESS, **PROMPT})
    server = where["modelserver"]
    actor = Actor(Count(), server, "", "own")
    make(actor, 10)
    # Heartbeats alone keep it connected; in silence it is lost; its next message revives it.
    idle = time.monotonic() + 4
    actor.run(lambda: time.monotonic() > idle, 10)
    check(line_of(stage, server, "own")["state"] in ("connected", "waiting"), "lost despite its heartbeats")
    wait_for("lost", lambda: line_of(stage, server, "own")["state"] == "lost", 10)
    make(actor, 10)
    check(line_of(stage, server, "own")["steps"] == 20, "not revived")
    # Messages after a Goodbye are refused as unknown.
    actor.send(client.GOODBYE)
    wait_for("left", lambda: line_of(stage, server, "own")["state"] == "left", 10)
    actor.send(client.HEARTBEAT)
    actor.run(lambda: actor.refusals, 10)
    check(actor.refusals[0].code == UNKNOWN and not actor.refusals[0].fatal, f"{actor.refusals}")
    make(actor, 10)
    check(line_of(stage, server, "own")["steps"] == 30, "not connected after another Hello")
    actor.leave()
    wait_for("left", lambda: line_of(stage, server, "own")["state"] == "left", 10)
    stop(processes[0])


# ---- refusals ----

def wrong(**changes):
    """The body of two rows with a fault."""
    row = dict(obs=[0.0] * 4, act=[0.0], reward=1.0, next_obs=[0.0] * 4, flags=0)
    return rows_body([Row(**row), Row(**{**row, **changes})], 4, 1)


def wrong_messages_are_refused_and_others_go_on(stage):
    nan, inf = float("nan"), float("inf")
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, sets={**ENDLESS, "run.actors": 0})
    where = wait_for("the run's endpoints", lambda: endpoints(run_dir), 10)
    server = where["modelserver"]
    wait_for("the model server", lambda: status(stage, server), 20)
    check(f"actors join with: spur-actor --modelserver {server}" in read(run.output), f"no instructions for joining:\n{read(run.output)}")
    good = Actor(Count(), server, where["learner"], "good")
    make(good, 20)

    def answer(peer, kind, body, run_id=None):
        peer.refusals.clear()
        peer.send(kind, body, run_id)
        peer.run(lambda: peer.refusals, 10)
        return peer.refusals[0]

    # Other dimensions are refused at the Hello.
    stranger = Peer(server, client.ROLE_ACTOR, "five", obs_dim=5, act_dim=2)
    refusal = refusal_of(stranger, lambda: stranger.joined)
    check(refusal.code == TASK and "5 observations and 2 actions; this run's task is inverted_pendulum with 4 and 1" in refusal.text,
          f"{refusal}")

    class Careful(Peer):
        """Joins and records acknowledgements."""
        acked = 0

        def on_message(self, kind, body):
            self.acked = body.get(1, 0) if kind == ACK else self.acked

    peer = Careful(server, client.ROLE_ACTOR, "wrong")
    peer.run(lambda: peer.joined, 10)
    # Invalid numbers: refused with their position, acknowledged, counted.
    values = (("rows.obs, row 1, column 2: nan", dict(obs=[0, 0, nan, 0])),
              ("rows.next_obs, row 1, column 3: inf", dict(next_obs=[0, 0, 0, inf])),
              ("rows.reward, row 1, column 0: nan", dict(reward=nan)),
              ("rows.act, row 1, column 0: 1.5 is outside", dict(act=[1.5])),
              ("rows.act, row 1, column 0: -inf", dict(act=[-inf])))
    for seq, (words, changes) in enumerate(values, 1):
        refusal = answer(peer, TRANSITIONS, number(1, seq) + block(3, wrong(**changes)))
        check(refusal.code == VALUE and not refusal.fatal and words in refusal.text, f"{words}: {refusal}")
        peer.run(lambda seq=seq: peer.acked == seq, 10)
    # Malformed messages: refused, not acknowledged.
    seq = len(values) + 1
    short = number(1, 2) + number(2, 4) + number(3, 1) + block(5, floats(0, 0, 0))
    for words, body in (("rows.act: 12 bytes", short + block(4, bytes(32)) + block(6, bytes(8)) + block(7, bytes(32)) + block(8, bytes(2))),
                        ("rows.flags[1]: 3", wrong(flags=3))):
        refusal = answer(peer, TRANSITIONS, number(1, seq) + block(3, body))
        check(refusal.code == FORMAT and words in refusal.text, f"{words}: {refusal}")
    check(peer.acked == len(values), f"{peer.acked} acknowledged")
    # Another run, another schema, other dimensions.
    check(answer(peer, TRANSITIONS, number(1, seq) + block(3, wrong()), peer.run_id ^ 1).code == RUN, "another run")
    peer.run(lambda: peer.joined, 10)
    wide = rows_body([Row([0.0] * 4, [0.0] * 2, 1.0, [0.0] * 4, 0)], 4, 2)
    peer.send(TRANSITIONS, number(1, seq) + block(3, wide))
    refusal = refusal_of(peer, lambda: False)
    check(refusal.code == TASK and refusal.fatal and "rows of (4, 2) numbers, this run's are (4, 1)" in refusal.text, f"{refusal}")
    peer.connect()
    peer.dealer.send(client.envelope(TRANSITIONS, number(1, seq) + block(3, wrong()), peer.run_id, schema=harness.SCHEMA + 1))
    refusal = refusal_of(peer, lambda: False)
    check(refusal.code == SCHEMA and f"schema {harness.SCHEMA + 1}" in refusal.text, f"{refusal}")

    state = status(stage, server)
    check(counter(state, "rows_refused_value") == 2 * len(values), f"counted: {state['counters']}")
    check(line_of(stage, server, "wrong")["steps"] == 0, "a wrong row was stored")
    make(good, 20)
    check(line_of(stage, server, "good")["steps"] == 40, "the other actor stopped")
    good.leave()
    run.send_signal(signal.SIGTERM)
    check(end(run, 30) == TERMINATED, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")
    stage.no_orphans(10)


# ---- a whole run ----

class Flawed(Count):
    """Every fifth reward is no number."""

    def step(self, act):
        obs, reward, terminated = super().step(act)
        return obs, math.nan if self.at % 5 == 0 else reward, terminated


def refused_rows_do_not_stop_lockstep(stage):
    """An actor that has the name of the learner, and rows that are refused, in lockstep: the run goes on. Where it does
    not, its status says why."""
    sets = {**PROMPT, "pacing.mode": "lockstep", "run.steps": 1000, "run.explore_steps": 40, "run.stuck_after_s": 1,
            "network.batch_rows_max": 1}
    _, where, _ = daemons(stage, sets, learner=True)
    server = where["modelserver"]
    stuck = wait_for("the standstill", lambda: status(stage, server)["stuck"], 10)
    check("no actor has joined" in stuck, stuck)
    actor = Actor(Flawed(), server, where["learner"], "learner")
    make(actor, 120, 60)
    actor.rows_max = 0
    state = status(stage, server)
    refused = sum(math.isnan(row.reward) for row in actor.made)
    check(refused >= 15 and counter(state, "rows_refused_value") == refused, f"{refused}: {state['counters']}")
    check(state["env_steps"] == len(actor.made) - refused and state["learner"]["state"] != "lost", f"{state}")

    idle = time.monotonic() + 2
    while time.monotonic() < idle:
        actor.poll(0.05)
    stuck = status(stage, server)["stuck"]
    check("learner has credit for 1 steps and makes none" in stuck, stuck)
    make(actor, 10)
    check(status(stage, server)["stuck"] == "", "it moves again")
    actor.leave()


def a_learner_at_another_address(stage):
    """It is killed and started elsewhere, twice, with no checkpoint: its versions begin at 1. spur's own actor and this client go on
    with its policies, and never with an older one."""
    sets = {**PROMPT, "run.steps": 1000000, "run.explore_steps": 50, "eval.every_steps": 1000000}
    processes, where, run_dir = daemons(stage, sets, learner=True)
    server, config = where["modelserver"], stage.path("config.yaml")
    stage.start("spur-actor", "--modelserver", server, "--learner", where["learner"], "--id", "spurs")
    actor = Actor(Count(), server, where["learner"], "own")
    seen = [0]

    def epoch():
        version = actor.policy.version if actor.policy else 0
        check(version >= seen[0], f"policy {version:x} after {seen[0]:x}")
        seen[0] = version
        return version >> 32

    for start in (1, 2, 3):
        actor.run(lambda start=start: epoch() == start, 60)
        state = []

        def spurs(start=start, state=state):
            state[:] = [line_of(stage, server, "spurs")]
            actor.work()
            return state[0].get("policy_epoch") == start

        wait_for(f"spur's actor, {state}", spurs, 60)
        if start == 3:
            break
        processes[-1].kill()
        end(processes[-1], 10)
        at = f"ipc://{stage.sockets}/elsewhere-{start}"
        processes.append(stage.start("spur-learner", "--config", config, "--run-dir", run_dir, "--bind", at, "--modelserver", server))
    check(actor.learner == f"ipc://{stage.sockets}/elsewhere-2", f"{actor.learner}")


def a_run_without_spurs_own_actors(stage):
    """A task that only its configuration describes. Lockstep: one step at a time, each with the policy that resulted
    from the previous row. In the middle the model server is silent for longer than lost_after_ms."""
    budget = 500
    own = {"run.task": "my_counter", "task.env": "my_counter", "task.obs_dim": 3, "task.act_dim": 2, "task.horizon": 50}
    sets = {**PROMPT, **own, "pacing.mode": "lockstep", "run.steps": budget}
    processes, where, run_dir = daemons(stage, sets, learner=True)
    actor = Actor(Count(7, 3, 2), where["modelserver"], where["learner"], "own")
    judge = Evaluator(Count(3, 3, 2), where["modelserver"], "judge")

    def both(until, seconds):
        limit = time.monotonic() + seconds
        while not until() and not (actor.shutdown and judge.shutdown):
            check(time.monotonic() < limit, f"not within {seconds} s: {len(actor.made)} rows, {actor.credit}")
            actor.work()
            judge.poll(0)

    both(lambda: len(actor.made) >= 250, 60)
    os.kill(processes[0].pid, signal.SIGSTOP)
    time.sleep(3)
    os.kill(processes[0].pid, signal.SIGCONT)
    both(lambda: False, 120)
    check(actor.connections > 1, "the silence was not detected")
    actor.leave()
    judge.leave()
    for process in processes:
        check(end(process, 30) == 0, f"exit code {process.returncode}:\n{read(process.output)[-2000:]}")
    check(len(actor.made) == budget, f"{len(actor.made)} rows were made of {budget}")
    check(actor.policy and actor.policy.version >= budget - 200, "the policy did not follow the credit")
    rows = progress(run_dir)
    check(rows and rows[-1]["env_steps"] == budget, f"evaluations: {rows}")
    check(all(0 < row["return_mean"] < 6 for row in rows), f"three steps of a reward of 1 + tanh(mu): {rows}")
    stage.no_orphans(10)


# ---- the policy ----

def the_policy_gives_pytorchs_numbers(_):
    """In the short form of a policy's shape, and in the one with widths and activation."""
    shapes = {"policy": {5: 16, 6: 2}, "silu_policy": {6: 2, 9: bytes((12, 20)), 10: 2}}
    golden = {name: (shape, list(struct.iter_unpack({"F32": "<f", "F64": "<d"}[kind], data)))
              for name, (kind, shape, data) in tensors(os.path.join(SOURCE, "tests", "golden", "golden.safetensors")).items()
              if name.split(".")[0] in shapes}
    golden = {name: (shape, [x for x, in values]) for name, (shape, values) in golden.items()}

    def rows(name):
        (n, width), values = golden[name]
        return [values[i * width:(i + 1) * width] for i in range(n)]

    for name, shape in shapes.items():
        params = golden[f"{name}.params"][1]
        policy = Policy({1: 1, 3: 5, 4: 2, 7: len(params), 8: floats(*params), **shape}, 5, 2)
        for obs, noise, mean, act in zip(*(rows(f"{name}.{part}") for part in ("obs", "noise", "mean", "act"))):
            for got, wanted in ((policy.mean(obs), mean), (policy.sample(obs, noise), act)):
                check(all(abs(g - w) < 1e-6 for g, w in zip(got, wanted)), f"{name}: {got}, PyTorch's {wanted}")


main(the_policy_gives_pytorchs_numbers, rows_are_stored_once, heard_lost_and_left, wrong_messages_are_refused_and_others_go_on,
     refused_rows_do_not_stop_lockstep, a_learner_at_another_address, a_run_without_spurs_own_actors)
