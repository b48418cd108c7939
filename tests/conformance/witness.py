#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An actor that keeps account of its own: each acknowledgement is in its file, synced, before the next message is read.
It shares no code with spur, finds a run again by the file `endpoints` of its directory, and ends on SIGTERM once all its
rows are acknowledged.

    witness.py RUN_DIR NAME    SPUR_WITNESS: the folder of the accounts (tests/own/witness_env.py)
"""
import os
import signal
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "own")]
from client import Actor, Failure  # noqa: E402
from witness_env import Witness  # noqa: E402

PATIENCE_S = 60  # for acknowledgements after SIGTERM


class Environment(Witness):
    """With the interface of client.py."""

    def reset(self, seed=None):
        return super().reset(seed)[0]

    def step(self, action):
        return super().step(action)[:3]


class Accountant(Actor):
    def __init__(self, run_dir, name):
        self.run_dir, self.stopping = run_dir, False
        super().__init__(Environment(name), "", "", name)

    def connect(self):
        try:
            with open(os.path.join(self.run_dir, "endpoints"), encoding="utf-8") as f:
                where = dict(line.strip().split(": ", 1) for line in f)
            self.endpoint = where["modelserver"]
            self.learner, self.told, self.learner_dealer = "", b"", None  # as the model server says
        except (OSError, KeyError, ValueError):
            self.cut()
            return  # between two runs
        super().connect()

    def acknowledge(self, seq):
        super().acknowledge(seq)
        self.env.source.acknowledge(len(self.made) - self.unacked())

    def stop(self, *_):
        self.stopping = True

    def work(self):
        if self.stopping:
            self.rows_max = len(self.made)
            self.seal()
        super().work()


def main():
    actor = Accountant(*sys.argv[1:])
    signal.signal(signal.SIGTERM, actor.stop)
    stopped = 0.0
    while not (actor.stopping and not actor.unacked()):
        if actor.shutdown:  # the run pauses; the next one takes what is left
            actor.shutdown = False
            actor.cut()
            actor.heard = 0.0
        actor.work()
        stopped = stopped or (time.monotonic() if actor.stopping else 0.0)
        if stopped and time.monotonic() - stopped > PATIENCE_S:
            raise Failure(f"{actor.unacked()} rows are not acknowledged after {PATIENCE_S} s")
    actor.leave()
    print(f"{len(actor.made)} rows made, all acknowledged; {actor.resent} messages sent again, {actor.connections} connections")


main()
