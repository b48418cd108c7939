#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that a standby learner takes over within 10 seconds when the run's learner is killed, frozen or cut off, that
the one before is fenced when it goes on, and that `spur run` makes it the next standby."""
import os
import signal
import socket
import threading
import time

from harness import SHORT, check, end, endpoints, main, read, status, tensors, wait_for

# Without an end within the test.
SETS = {**SHORT, "run.steps": 200000, "eval.every_steps": 100000, "model.train_every_steps": 2000}
SECONDS_MAX = 10
ROUNDS = int(os.environ.get("SPUR_STANDBY_ROUNDS", "1"))


class Run:
    """The processes of a run, each started by hand."""

    def __init__(self, stage):
        self.stage, self.dir, self.learners = stage, stage.path("by-hand"), []
        self.config = stage.path("config.yaml")
        code, text = stage.call("spur", "config", "inverted_pendulum", "--method", "mbpo",
                                *(word for key, value in SETS.items() for word in ("--set", f"{key}={value}")))
        check(code == 0, text)
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text)
        self.server = f"ipc://{stage.sockets}/server"
        self.modelserver = self.start("spur-modelserver", "--bind", self.server)
        self.actor = stage.start("spur-actor", "--modelserver", self.server, "--id", "actor-0")

    def start(self, program, *args):
        return self.stage.start(program, "--config", self.config, "--run-dir", self.dir, *args)

    def learner(self, *args, server=None):
        bind = f"ipc://{self.stage.sockets}/learner-{len(self.learners)}"
        process = self.start("spur-learner", "--modelserver", server or self.server, "--bind", bind, *args)
        process.bind = bind
        self.learners.append(process)
        return process

    def state(self):
        return status(self.stage, self.server) or {"learner": {}}

    def epoch(self):
        return (self.state().get("learner") or {}).get("policy_epoch", 0)

    def updates(self):
        return (self.state().get("learner") or {}).get("updates", 0)

    def checkpoint(self):
        """Updates in the newest checkpoint; 0: there is none."""
        path = os.path.join(self.dir, "checkpoint", "learner.safetensors")
        return int.from_bytes(tensors(path)["updates"][2], "little") if os.path.exists(path) else 0

    def learns(self, seconds, epoch):
        """Waits for updates by the learner of the epoch, and policies of it in the actor."""
        before = self.updates()
        wait_for(f"updates of epoch {epoch}", lambda: self.epoch() == epoch and self.updates() > before, seconds)

    def standby(self):
        process = self.learner("--standby")
        wait_for("the standby", lambda: (status(self.stage, process.bind) or {}).get("state") == "standby", 5)
        return process

    def finish_with_a_standby(self):
        """The end is shorter than the time between two requests of the standby."""
        standby = self.standby()
        for process in (self.actor, self.learners[0]):
            process.kill()
        time.sleep(0.7)
        self.modelserver.send_signal(signal.SIGINT)
        check(end(self.modelserver, 10) == 0, f"the model server:\n{read(self.modelserver.output)[-2000:]}")
        check(end(standby, 2) == 0, f"exit code {standby.returncode}:\n{read(standby.output)[-2000:]}")
        check("the run ends" in read(standby.output), f"{read(standby.output)[-2000:]}")

    def finish(self):
        self.modelserver.send_signal(signal.SIGINT)
        check(end(self.modelserver, 30) == 0, f"the model server:\n{read(self.modelserver.output)[-2000:]}")
        for process in (self.actor, self.learners[-1]):
            check(end(process, 10) == 0, f"exit code {process.returncode}:\n{read(process.output)[-2000:]}")


class Link:
    """A socket in front of the model server, that can be cut: bytes then neither arrive nor fail."""

    def __init__(self, run):
        self.to, self.up = run.server[len("ipc://"):], threading.Event()
        self.up.set()
        path = f"{run.stage.sockets}/link"
        self.endpoint = f"ipc://{path}"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            self.up.wait()
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.to)
            for one, other in (near, far), (far, near):
                threading.Thread(target=self.forward, args=(one, other), daemon=True).start()

    def forward(self, one, other):
        try:
            while data := one.recv(1 << 16):
                self.up.wait()
                other.sendall(data)
        except OSError:
            pass  # the other direction has ended
        for end_of in one, other:
            try:
                end_of.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed


def lose(run, epoch, how):
    """Loses the active learner, by a signal or a call: seconds until the standby's updates."""
    active = run.learners[-1]
    run.standby()
    done = run.checkpoint()
    wait_for("a checkpoint", lambda: run.checkpoint() > done, 10)
    began = time.monotonic()
    how() if callable(how) else active.send_signal(how)
    wait_for("another epoch", lambda: run.epoch() == epoch + 1, SECONDS_MAX)
    run.learns(SECONDS_MAX, epoch + 1)
    took = time.monotonic() - began
    check(took < SECONDS_MAX, f"{took:.1f} s")
    return active, took


def report(what, times):
    times.sort()
    print(f"{what}: updates go on after {times[len(times) // 2]:.1f} s (median of {len(times)}), "
          f"{times[-1]:.1f} s (worst)", flush=True)


def takes_over_from_a_killed_learner(stage):
    run = Run(stage)
    run.learner()
    run.learns(20, 1)
    report("killed", [lose(run, epoch, signal.SIGKILL)[1] for epoch in range(1, 1 + ROUNDS)])
    check("resumed from" in read(run.learners[-1].output), "it does not resume")
    actor = f"learner at {run.learners[-1].bind}"
    wait_for("the actor's policies", lambda: actor in read(run.actor.output) or
             run.state()["actors"][0]["policy_epoch"] == 1 + ROUNDS, 10)
    run.finish()


def a_frozen_learner_is_fenced(stage):
    run = Run(stage)
    run.learner()
    run.learns(20, 1)
    times = []
    for epoch in range(1, 1 + ROUNDS):
        frozen, took = lose(run, epoch, signal.SIGSTOP)
        times.append(took)
        written = run.checkpoint()
        wait_for("a checkpoint of the new learner", lambda: run.checkpoint() > written, 10)
        written = run.checkpoint()
        frozen.send_signal(signal.SIGCONT)
        check(end(frozen, 10) == 76, f"exit code {frozen.returncode}:\n{read(frozen.output)[-2000:]}")
        text = read(frozen.output)
        check("a newer start of the same role has joined" in text or "another learner has taken over" in text, text[-2000:])
        check(run.checkpoint() >= written, f"a checkpoint of {run.checkpoint()} updates after one of {written}")
        check(run.epoch() == epoch + 1, f"epoch {run.epoch()}")
    report("frozen", times)
    run.learns(10, 1 + ROUNDS)
    left = [name for name in os.listdir(os.path.join(run.dir, "checkpoint")) if name.startswith("learner.next.")]
    check(len(left) == 1, f"folders of learners: {left}")
    run.finish()


def a_learner_that_was_cut_off_is_fenced(stage):
    """It runs all the time, with updates to make and checkpoints to write."""
    run = Run(stage)
    wait_for("the model server", lambda: status(stage, run.server), 10)
    link = Link(run)
    run.learner(server=link.endpoint)
    run.learns(20, 1)
    cut_off, took = lose(run, 1, link.up.clear)
    report("cut off", [took])
    written = run.checkpoint()
    wait_for("a checkpoint of the new learner", lambda: run.checkpoint() > written, 10)
    link.up.set()
    check(end(cut_off, 20) == 76, f"exit code {cut_off.returncode}:\n{read(cut_off.output)[-2000:]}")
    check(run.epoch() == 2, f"epoch {run.epoch()}")
    run.learns(10, 2)
    run.finish()


def of_two_standbys_one_learns(stage):
    """Both request the status at the same instants: one of them may be fenced, but not both."""
    run = Run(stage)
    run.learner()
    run.learns(20, 1)
    pair = [run.learner("--standby") for _ in range(2)]
    for process in pair:
        wait_for("the standbys", lambda process=process: (status(stage, process.bind) or {}).get("state") == "standby", 5)
    fenced = 0
    run.learners[0].kill()
    wait_for("another epoch", lambda: run.epoch() > 1, SECONDS_MAX)
    time.sleep(2.5)  # for a checkpoint of each
    run.learns(SECONDS_MAX, run.epoch())
    for process in pair:
        if process.poll() is not None:
            check(process.returncode == 76, f"exit code {process.returncode}:\n{read(process.output)[-2000:]}")
            fenced += 1
    check(fenced < 2, "both are fenced")
    print(f"{fenced} of 2 standbys fenced")


def a_standby_leaves_with_the_run(stage):
    run = Run(stage)
    run.learner()
    run.learns(20, 1)
    run.finish_with_a_standby()


def spur_run_makes_a_fenced_learner_the_standby(stage):
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, sets=SETS)
    where = wait_for("the run", lambda: endpoints(run_dir), 10)

    def learner():
        return (status(stage, where["modelserver"]) or {}).get("learner") or {}

    def wait_epoch(epoch):
        wait_for(f"epoch {epoch}", lambda: learner().get("policy_epoch", 0) == epoch, 20)

    wait_epoch(1)
    first = stage.find("spur-learner", "--config")
    other = stage.start("spur-learner", "--config", os.path.join(run_dir, "checkpoint", "config.yaml"), "--run-dir", run_dir,
                        "--modelserver", where["modelserver"], "--bind", f"ipc://{stage.sockets}/other", "--standby")
    wait_for("the standby", lambda: "standing by" in read(other.output), 10)
    os.kill(first, signal.SIGSTOP)
    wait_epoch(2)
    os.kill(first, signal.SIGCONT)
    wait_for("its own standby", lambda: stage.find("spur-learner", where["learner"], "--standby") not in (0, first), 10)
    other.kill()
    wait_epoch(3)
    check(run.poll() is None, f"the run ended:\n{read(run.output)[-2000:]}")
    run.send_signal(signal.SIGINT)
    check(end(run, 40) == 130, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")
    stage.no_orphans()


main(takes_over_from_a_killed_learner, a_standby_leaves_with_the_run, of_two_standbys_one_learns, a_frozen_learner_is_fenced, a_learner_that_was_cut_off_is_fenced,
     spur_run_makes_a_fenced_learner_the_standby)
