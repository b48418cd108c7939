#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that an environment in Python takes part in a run over the wire as docs/protocol.md says:
in lockstep every step is stored once, through a silence of the model server; an actor that is killed
comes back under its name; rows that are wrong are refused by field and reason while others go on; an
environment may take its time, fail or not fit; the example of docs/environments/plugins.md works; and
examples/pendulum.py is learnt to 950 like the built-in task, with small networks.

With "trains_as_the_paper" as its argument: the same with the paper's values. That takes minutes, so it
is skipped unless SPUR_SLOW_TESTS is set."""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.environ["SPUR_SOURCE_ROOT"], "tests", "python"))
import interpreter  # noqa: E402

interpreter.use()

import zmq  # noqa: E402

from harness import SOURCE, check, counter, end, endpoints, main, progress, read, status, wait_for  # noqa: E402
from spur_actor import wire  # noqa: E402
from spur_actor.wire import pb  # noqa: E402

EXAMPLES = os.path.join(interpreter.PACKAGE, "examples")
PENDULUM = os.path.join(EXAMPLES, "pendulum.yaml")
ENDLESS = {"run.steps": 1000000, "run.explore_steps": 1000000, "eval.every_steps": 1000000}

# Networks and rollouts of about a tenth of the paper's work, which are enough for a pendulum.
SMALL = {
    "sac.hidden_width": 64, "sac.batch_size": 128, "sac.learning_rate": 1e-3,
    "model.members": 3, "model.elites": 2, "model.hidden_width": 64, "model.hidden_layers": 2,
    "model.weight_decay": "[2.5e-5, 5e-5, 1e-4]", "model.epochs_max": 30, "rollout.per_step": 50,
    "compute.learner_threads": 1, "compute.modelserver_threads": 1,
    "eval.solved_evaluations": 1,
}

# Variations on the example: what they do is in their names.
VARIATIONS = """
import os, time
import numpy as np
import pendulum

class Counted(pendulum.Pendulum):
    def step(self, action):
        with open(os.environ["COUNT_FILE"], "ab") as f:
            f.write(b".")
        return super().step(action)

class Slow(pendulum.Pendulum):
    def step(self, action):
        time.sleep(6)
        return super().step(action)

class Failing(pendulum.Pendulum):
    steps = 0
    def step(self, action):
        self.steps += 1
        if self.steps == 20:
            raise RuntimeError("the motor is on fire")
        return super().step(action)

class Wide(pendulum.Pendulum):
    observation_space = pendulum.Box(-1, 1, (5,), np.float64)
"""


def begin(stage, sets=None, task=PENDULUM):
    """A run whose environment is brought, and where it listens."""
    with open(stage.path("variations.py"), "w", encoding="utf-8") as f:
        f.write(VARIATIONS)
    stage.env["PYTHONPATH"] = os.pathsep.join((interpreter.PACKAGE, EXAMPLES))
    stage.env["PYTHONDONTWRITEBYTECODE"] = "1"
    stage.env["COUNT_FILE"] = stage.path("count")
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, task=task, sets=sets)
    return run, run_dir, wait_for("the run's endpoints", lambda: endpoints(run_dir), 20)


def actor(stage, where, name, *args, env="pendulum:make_env"):
    return stage.start(sys.executable, "-m", "spur_actor", "--env", env, "--modelserver", where["modelserver"],
                       "--learner", where["learner"], "--id", name, *args)


def line_of(stage, where, name):
    state = status(stage, where["modelserver"])
    return next((a for a in state["actors"] if a["id"] == name), {}) if state else {}


def finish(stage, run, *others):
    check(end(run, 90) == 0, f"spur run exits with {run.returncode}:\n{read(run.output)[-2000:]}")
    for process in others:
        check(end(process, 10) == 0, f"an actor exits with {process.returncode}:\n{read(process.output)[-2000:]}")
    stage.no_orphans(10)


def stop(stage, run, *others):
    run.send_signal(signal.SIGTERM)
    finish(stage, run, *others)


# ---- the protocol ----

def every_step_is_stored_once(stage):
    """Lockstep: a step at a time, each with the policy of the one before. The model server falls
    silent in the midst of it for longer than the actor's patience."""
    budget = 1500  # enough that the run is not over before the silence
    run, run_dir, where = begin(stage, {"pacing.mode": "lockstep", "run.steps": budget, "network.lost_after_ms": 1500,
                                        "network.heartbeat_ms": 200})
    check("python3 -m spur_actor --env MODULE:FUNCTION --modelserver " + where["modelserver"] in read(run.output),
          f"no word on how to join:\n{read(run.output)}")
    # First, since the steps go by in a second or two and the run ends with the last.
    judge = actor(stage, where, "judge", "--evaluate")
    wait_for("the judge", lambda: line_of(stage, where, "judge"), 60)
    player = actor(stage, where, "py", env="variations:Counted")
    wait_for("steps", lambda: line_of(stage, where, "py").get("steps", 0) > 50, 60)
    server = stage.find("spur-modelserver")
    os.kill(server, signal.SIGSTOP)
    time.sleep(3)
    os.kill(server, signal.SIGCONT)
    finish(stage, run, player, judge)
    check("back at" in read(player.output), f"the silence went unnoticed:\n{read(player.output)}")
    rows = progress(run_dir)
    check(rows and rows[-1]["env_steps"] == budget, f"evaluations: {rows}")
    steps = os.path.getsize(stage.path("count"))
    check(steps == budget, f"{steps} steps were made for the {budget} rows of the run")


def killed_and_back(stage):
    run, _, where = begin(stage, {**ENDLESS, "network.unacked_rows_max": 64, "network.batch_rows_max": 8})
    first, other = actor(stage, where, "py"), actor(stage, where, "other")
    wait_for("steps", lambda: line_of(stage, where, "py").get("steps", 0) > 20, 60)
    before = line_of(stage, where, "py")
    first.kill()
    end(first, 5)
    second = actor(stage, where, "py")
    after = wait_for("it goes on in its numbers", lambda: (lambda a: a.get("steps", 0) > before["steps"] and
                                                          a["incarnation"] > before["incarnation"] and a)(line_of(stage, where, "py")), 60)
    check(after["index"] == before["index"], f"another number: {before} {after}")
    # The older of two starts is turned away.
    third = actor(stage, where, "py")
    check(end(second, 20) == 76 and "newer start of the same id" in read(second.output), f"{second.returncode}: {read(second.output)}")
    before = line_of(stage, where, "py")["steps"]
    wait_for("the newest goes on", lambda: line_of(stage, where, "py")["steps"] > before, 30)
    stop(stage, run, third, other)


class Peer:
    """Speaks to the model server by hand, with the package's messages."""

    def __init__(self, endpoint, **hello):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, 20000)
        self.socket.connect(endpoint)
        self.run_id = 0
        self.send(pb.Hello(**{**dict(role=pb.ROLE_ACTOR, id="wrong", incarnation=time.time_ns()), **hello}))

    def send(self, message):
        self.socket.send(wire.pack(self.run_id, message))

    def next(self, *kinds):
        while True:
            run_id, message = wire.unpack(self.socket.recv())
            if isinstance(message, kinds):
                self.run_id = run_id
                return message

    def close(self):
        self.socket.close()


def rows(act=(0, 0), obs=((0,) * 4,) * 2, next_obs=((0,) * 4,) * 2, reward=(1, 1), act_dim=1, flags=b"\0\0"):
    return pb.Rows(rows=2, obs_dim=len(obs[0]), act_dim=act_dim, obs=wire.column(obs), act=wire.column(act),
                   reward=wire.column(reward), next_obs=wire.column(next_obs), flags=flags)


def wrong_rows_are_refused_and_others_go_on(stage):
    nan, inf = float("nan"), float("inf")
    run, _, where = begin(stage, ENDLESS)
    good = actor(stage, where, "good")
    server = where["modelserver"]

    peer = Peer(server, obs_dim=5, act_dim=2)
    refusal = peer.next(pb.Refuse, pb.Welcome)
    check(refusal.code == pb.REFUSAL_TASK and refusal.fatal and
          "5 observations and 2 actions; this run's task is my_pendulum with 4 and 1" in refusal.text, f"{refusal}")
    peer.close()

    peer = Peer(server)
    check(peer.next(pb.Welcome).next_seq == 1, "a new actor begins at 1")
    wrong = (("rows.obs, row 1, column 2: nan", dict(obs=((0,) * 4, (0, 0, nan, 0)))),
             ("rows.next_obs, row 0, column 3: inf", dict(next_obs=((0, 0, 0, inf), (0,) * 4))),
             ("rows.reward, row 1, column 0: nan", dict(reward=(0, nan))),
             ("rows.act, row 0, column 0: 1.5 is outside", dict(act=(1.5, 0))),
             ("rows.act, row 1, column 0: -inf", dict(act=(0, -inf))))
    for seq, (words, columns) in enumerate(wrong, 1):
        peer.send(pb.Transitions(seq=seq, rows=rows(**columns)))
        refusal = peer.next(pb.Refuse)
        check(refusal.code == pb.REFUSAL_VALUE and not refusal.fatal and words in refusal.text, f"{words}: {refusal}")
        while peer.next(pb.Ack).seq < seq:  # it counts as handled
            pass
    for words, columns in (("rows.act: 12 bytes", dict(act=(0, 0, 0))), ("rows.flags[1]: 3", dict(flags=b"\0\3"))):
        peer.send(pb.Transitions(seq=len(wrong) + 1, rows=rows(**columns)))
        refusal = peer.next(pb.Refuse)
        check(refusal.code == pb.REFUSAL_FORMAT and words in refusal.text, f"{words}: {refusal}")
    peer.send(pb.Transitions(seq=len(wrong) + 1, rows=rows(act=(0, 0, 0, 0), act_dim=2)))
    refusal = peer.next(pb.Refuse)
    check(refusal.code == pb.REFUSAL_TASK and refusal.fatal and "rows of (4, 2) numbers, this run's are (4, 1)" in refusal.text, f"{refusal}")
    peer.close()

    state = status(stage, server)
    check(counter(state, "rows_refused_value") == 2 * len(wrong), f"counted: {state['counters']}")
    check(line_of(stage, where, "wrong")["steps"] == 0, "a wrong row was stored")
    before = line_of(stage, where, "good").get("steps", 0)
    wait_for("the other actor goes on", lambda: line_of(stage, where, "good").get("steps", 0) > before + 20, 30)
    stop(stage, run, good)


# ---- environments ----

def slow_failing_and_misfit(stage):
    run, _, where = begin(stage, {**ENDLESS, "network.lost_after_ms": 3000, "network.heartbeat_ms": 200})
    slow = actor(stage, where, "slow", env="variations:Slow")
    wait_for("the slow one", lambda: line_of(stage, where, "slow"), 30)
    wide = actor(stage, where, "wide", env="variations:Wide")
    check(end(wide, 20) == 76 and "5 observations and 1 actions" in read(wide.output), f"{wide.returncode}: {read(wide.output)}")
    failing = actor(stage, where, "failing", env="variations:Failing")
    check(end(failing, 30) == 1 and "the motor is on fire" in read(failing.output), f"{failing.returncode}: {read(failing.output)}")
    check(line_of(stage, where, "failing")["state"] == "left" and line_of(stage, where, "failing")["steps"] == 19,
          f"{line_of(stage, where, 'failing')}")
    wait_for("a slow step", lambda: line_of(stage, where, "slow").get("steps", 0) >= 1, 30)
    check(line_of(stage, where, "slow")["state"] != "lost" and "lost" not in read(slow.output), "silent during a step")
    began = time.monotonic()
    slow.terminate()  # in the midst of a step
    check(end(slow, 20) == 0 and time.monotonic() - began < 5.5, f"{slow.returncode}: {read(slow.output)}")
    check(line_of(stage, where, "slow")["state"] == "left", "no Goodbye")
    stop(stage, run)


def wrong_command_lines(stage):
    stage.env["PYTHONPATH"] = os.pathsep.join((interpreter.PACKAGE, EXAMPLES))
    server = ["--modelserver", "ipc:///tmp/x", "--learner", "ipc:///tmp/y"]
    for args, words in (([], "--env"), (["--env", "pendulum:make_env"], "--modelserver"),
                        (["--env", "pendulum:make_env", "--modelserver", "ipc:///tmp/x"], "--learner is missing"),
                        (["--env", "pendulum:make_env", "--modelserver", "nonsense", "--evaluate"], "tcp://HOST:PORT"),
                        (["--env", "pendulum:make_env", "--id", "", *server], "--id: 1 to 127"),
                        (["--env", "nowhere:make_env", *server], "no module nowhere"),
                        (["--env", "pendulum:Bax", *server], "no function Bax")):
        code, text = stage.call(sys.executable, "-m", "spur_actor", *args)
        check(code == 64 and words in text, f"{args}: {code}, expected \"{words}\":\n{text}")


# ---- the document ----

def the_example_of_the_document_works(stage):
    section = read(os.path.join(SOURCE, "docs", "environments", "plugins.md")).split("\n## In another language, over the wire\n")[1].split("\n## ")[0]
    files = dict(re.findall(r"`(\w+\.(?:py|yaml))`[^\n]*:\n\n```\w+\n(.*?)```", section, re.S))
    check(set(files) == {"swing.py", "swing.yaml"}, f"the example's files: {sorted(files)}")
    for name, text in files.items():
        with open(stage.path(name), "w", encoding="utf-8") as f:
            f.write(text)
    run, run_dir, where = begin(stage, task=stage.path("swing.yaml"))
    player = actor(stage, where, "py", env="swing:make_env")
    judge = actor(stage, where, "judge", "--evaluate", env="swing:make_env")
    finish(stage, run, player, judge)
    check(progress(run_dir)[-1]["env_steps"] == 400, "the run did not end at its last step")


# ---- learning ----

def train(stage, sets, in_a_row, seconds):
    """To 950, so many evaluations of ten episodes in a row, within the budget of 5000 steps."""
    stage.env["PYTHONPATH"] = os.pathsep.join((interpreter.PACKAGE, EXAMPLES))
    run_dir = stage.path("run-dir")
    options = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    run = stage.start("spur", "run", PENDULUM, "--run-dir", run_dir, *options)
    where = wait_for("the run's endpoints", lambda: endpoints(run_dir), 20)
    player, judge = actor(stage, where, "py"), actor(stage, where, "judge", "--evaluate")
    check(end(run, seconds) == 0, f"exit code {run.returncode}")
    for process in (player, judge):
        check(end(process, 10) == 0, f"an actor exits with {process.returncode}")
    rows = progress(run_dir)
    print("\n".join(f"{row['env_steps']:5.0f} steps, {row['wall_seconds']:6.1f} s: return {row['return_mean']:.1f}" for row in rows))
    last = [row["return_mean"] for row in rows[-in_a_row:]]
    check(len(last) == in_a_row and min(last) >= 950, f"not solved: {last}")


def trains(stage):
    train(stage, SMALL, 1, 240)


def trains_as_the_paper(stage):
    train(stage, {}, 3, 1100)


if sys.argv[1:] == ["trains_as_the_paper"]:
    if not os.environ.get("SPUR_SLOW_TESTS"):
        print("skipped: set SPUR_SLOW_TESTS=1 to train the Python pendulum with the paper's values; it takes minutes")
        sys.exit(interpreter.SKIPPED)
    main(trains_as_the_paper)
else:
    main(every_step_is_stored_once, killed_and_back, wrong_rows_are_refused_and_others_go_on, slow_failing_and_misfit,
         wrong_command_lines, the_example_of_the_document_works, trains)
