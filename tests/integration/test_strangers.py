#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that connections cannot exhaust a daemon, whatever they send before or instead of a Hello: messages that
are announced and not finished, messages of parts without end, requests whose answers are not read, thousands of
connections, and floods of bad messages, of which the log keeps a few. Meanwhile the status is answered, and
afterwards checkpoints are written."""
import os
import resource
import socket
import struct
import threading
import time

from harness import (WELCOME, Dealer, Failure, block, check, counter, endpoints, envelope, fields, main, number, status,
                     wait_for)

HELLO, POLICY_GET, STATUS_REQUEST = 11, 26, 28
MIB = 1 << 20
ENDLESS = {"run.steps": 1000000, "run.explore_steps": 300, "eval.every_steps": 1000000, "run.actors": 1}


def memory(pid):
    """Resident bytes of a process."""
    with open(f"/proc/{pid}/statm", encoding="utf-8") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


def grown(pid, attack, seconds=6):
    """Most bytes that the process grew by in and after the attack."""
    before, most, done = memory(pid), 0, threading.Event()

    def watch():
        nonlocal most
        while not done.is_set():
            most = max(most, memory(pid) - before)
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        held = attack()
        time.sleep(1)
    finally:
        done.set()
        watcher.join()
    for one in held or []:
        one.close()
    return most


def push(connection, data, seconds=2):
    """Sends as much as the daemon takes within the time."""
    connection.settimeout(seconds)
    try:
        connection.sendall(data)
    except OSError:
        pass


def half_messages(endpoint, count, size=60 * MIB, part=8 * MIB):
    held = []
    for _ in range(count):
        try:
            held.append(Dealer(endpoint))
        except (OSError, Failure):
            continue
        push(held[-1].socket, b"\x02" + struct.pack(">Q", size) + bytes(part))
    return held


def half_commands(endpoint, count, size=60 * MIB, part=8 * MIB):
    """The same before the handshake is over."""
    held = []
    for _ in range(count):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(2)
        try:
            s.connect(endpoint[len("ipc://"):])
        except OSError:
            continue
        held.append(s)
        push(s, b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32) + b"\x06" + struct.pack(">Q", size) + bytes(part))
    return held


def endless_parts(endpoint, total):
    dealer = Dealer(endpoint)
    part = (b"\x03" + struct.pack(">Q", 60000) + bytes(60000)) * 16
    for _ in range(total // len(part)):
        push(dealer.socket, part)
    return [dealer]


def no_readers(endpoint, request, count, requests=300):
    held = []
    for _ in range(count):
        try:
            held.append(Dealer(endpoint))
            for _ in range(requests):
                held[-1].send(request)
        except (OSError, Failure):
            continue
    return held


class Run:
    """A run whose policies are of a usual size."""

    def __init__(self, stage, **options):
        self.run_dir, self.stage = stage.path("run"), stage
        stage.run(self.run_dir, sets={**ENDLESS, "sac.hidden_width": 256}, **options)
        where = wait_for("the run listens", lambda: endpoints(self.run_dir), 20)
        self.server, self.learner = where["modelserver"], where["learner"]
        wait_for("updates", lambda: (state := self.state()) and (state["learner"] or {}).get("updates", 0) > 100, 60)
        self.pids = {self.server: stage.find("spur-modelserver"), self.learner: stage.find("spur-learner")}
        self.run_id = int(self.state()["run_id"], 16)

    def state(self):
        return status(self.stage, self.server)

    def checkpoint_is_written(self):
        path = os.path.join(self.run_dir, "checkpoint", "modelserver.safetensors")
        before = os.stat(path).st_mtime_ns
        wait_for("a checkpoint", lambda: os.stat(path).st_mtime_ns > before, 20)


def memory_is_bounded(stage):
    if os.environ.get("SPUR_SANITIZE", "none") != "none":
        print("skipped: memory_is_bounded: a sanitizer keeps the memory that is freed")
        return
    run = Run(stage)
    policy_get = envelope(POLICY_GET, run_id=run.run_id)
    attacks = (
        ("half messages", run.server, 32, lambda: half_messages(run.server, 40)),
        ("half messages", run.learner, 32, lambda: half_messages(run.learner, 40)),
        ("half commands", run.server, 32, lambda: half_commands(run.server, 40)),
        ("half commands", run.learner, 32, lambda: half_commands(run.learner, 40)),
        ("status not read", run.server, 32, lambda: no_readers(run.server, envelope(STATUS_REQUEST), 20)),
        ("policies not read", run.learner, 64, lambda: no_readers(run.learner, policy_get, 20)),
    )
    for what, endpoint, most, attack in attacks:
        mib = grown(run.pids[endpoint], attack) / MIB
        print(f"{what}, {os.path.basename(endpoint)}: {mib:.1f} MiB", flush=True)
        check(mib < most, f"{what}: {endpoint} grew by {mib:.0f} MiB, not less than {most}")
    check(run.state(), "no status after the attacks")
    run.checkpoint_is_written()


def logs_are_bounded(stage):
    run = Run(stage)
    log = os.path.join(run.run_dir, "log")
    for endpoint in (run.server, run.learner):
        before, dealer = os.path.getsize(log), Dealer(endpoint)
        for _ in range(5000):
            dealer.ask(b"nonsense")
        dealer.close()
        grew = os.path.getsize(log) - before
        print(f"5,000 bad messages, {os.path.basename(endpoint)}: {grew} bytes of log")
        check(0 < grew < 20000, f"the log grew by {grew} bytes")
    check(counter(run.state(), "refused_format") >= 5000, "not counted")


def connections_are_limited(stage):
    """With a limit of descriptors that cannot be raised, those of the daemon's own are kept. Connections that send
    nothing make room for others."""
    run = Run(stage, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000)))
    for endpoint in (run.server, run.learner):
        held = []
        for _ in range(3000):
            try:
                held.append(socket.socket(socket.AF_UNIX))
                held[-1].settimeout(1)
                held[-1].connect(endpoint[len("ipc://"):])
            except OSError:
                continue
        time.sleep(0.5)
        count = len(os.listdir(f"/proc/{run.pids[endpoint]}/fd"))
        print(f"3,000 connections, {os.path.basename(endpoint)}: {count} descriptors")
        check(count < 1900, f"{count} descriptors of 2,000")
        wait_for("the status is answered", run.state, 20)
        run.checkpoint_is_written()
        for one in held:
            one.close()


def descriptors_are_raised(stage):
    """1,000 actors need more than the 1,024 descriptors that a shell gives."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 4096:
        print("skipped: the system allows too few descriptors")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    run = Run(stage, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard)))
    peers = []
    for i in range(1100):
        peers.append(wait_for("a connection", lambda: connect(run.server), 20))
        hello = number(1, 1) + block(2, f"one-of-many-{i}")
        check(fields_of(peers[-1].ask(envelope(HELLO, hello))) == WELCOME, f"actor {i} is not welcomed")
    count = len(os.listdir(f"/proc/{run.pids[run.server]}/fd"))
    check(count > 1024, f"{count} descriptors")
    run.checkpoint_is_written()


def connect(endpoint):
    try:
        return Dealer(endpoint)
    except (OSError, Failure):
        return None


def fields_of(answer):
    """The field of Envelope that an answer has."""
    return max(fields(answer))


if __name__ == "__main__":
    main(memory_is_bounded, logs_are_bounded, connections_are_limited, descriptors_are_raised)
