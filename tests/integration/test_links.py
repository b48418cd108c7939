#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that an actor with its rows in a file outlives a cut cable: it is on another machine, a network namespace, and
goes on while the link is down. All its rows arrive once, in order; if the file is too small the oldest are dropped and
counted. Rows are counted by the environment (tests/own/witness_env.py) and read from the store without spur."""
import os
import shutil
import signal
import struct
import sys
import time

import lmdb_file
import namespaces
from harness import SOURCE, TERMINATED, check, end, endpoints, main, read, status, wait_for

sys.path.insert(0, os.path.join(SOURCE, "tests", "own"))
from witness_env import Source, Witness, row_of  # noqa: E402

SETS = {"pacing.mode": "free", "run.steps": 1000000, "run.explore_steps": 100, "eval.every_steps": 1000000,
        "pacing.updates_per_step": 1, "network.lost_after_ms": 1000, "network.heartbeat_ms": 200}
PERIOD_S, CUT_S = 0.01, 6
FILE_BYTES = 25000  # some 350 rows: half of what is made while the link is down


class Arm:
    """A run, and a robot's actor on the other machine."""

    def __init__(self, stage, *options):
        self.stage, self.machine = stage, namespaces.Machine()
        self.run_dir, self.rows = stage.path("run"), stage.path("rows")
        for name in ("sources", "envs"):
            os.mkdir(stage.path(name))
        shutil.copy(os.path.join(SOURCE, "tests", "own", "witness_env.py"), stage.path("envs"))
        stage.env.update(SPUR_WITNESS=stage.path("sources"), SPUR_WITNESS_PERIOD=str(PERIOD_S))
        stage.keys = stage.path("keys")
        for words in (("make",), ("add", "arm")):
            code, text = stage.call("spur", "keys", *words, "--dir", stage.keys)
            check(code == 0, text)
        words = [w for key, value in SETS.items() for w in ("--set", f"{key}={value}")]
        self.run = stage.start("spur", "run", "--env", "python:witness_env:Witness", "--method", "sac", "--actors", 0, "--run-dir",
                               self.run_dir, "--listen", f"tcp://{namespaces.HERE}:7000", "--keys", stage.keys, *words,
                               cwd=stage.path("envs"))
        where = wait_for("the run", lambda: endpoints(self.run_dir), 20)
        self.server = where["modelserver"]
        wait_for("the model server", self.state, 20)
        self.actor = stage.start("spur-actor", "--modelserver", self.server, "--keys", stage.path("keys", "arm.key"), "--env",
                                 "python:witness_env:Witness", "--id", "arm", "--spool", self.rows, *options,
                                 prefix=self.machine.prefix, cwd=stage.path("envs"))
        wait_for("steps by a policy", lambda: self.stored() > 2 * SETS["run.explore_steps"], 30)

    def state(self):
        return status(self.stage, self.server)

    def stored(self):
        return (self.state() or {}).get("env_steps", 0)

    def made(self):
        """By the environment of the actor, whatever arrives."""
        folder = self.stage.path("sources")
        found = [Source.read(os.path.join(folder, name)) for name in os.listdir(folder)]
        return sum(made for made, _, _, actor in found if actor == "arm")

    def cut(self):
        """Rows made while the link was down."""
        before = self.made()
        self.machine.cut()
        time.sleep(CUT_S / 2)
        stored = self.stored()
        time.sleep(CUT_S / 2)
        check(self.stored() == stored, f"{self.stored() - stored} rows arrive over a cut link")
        made = self.made() - before
        check(made > CUT_S / PERIOD_S / 2, f"{made} rows made in {CUT_S} s without a link")
        self.machine.join()
        return made

    def head(self):
        """Messages in the file of rows, and rows dropped (struct header of actor/spool.c)."""
        with open(self.rows, "rb") as f:
            acked, last, _, _, _, dropped = struct.unpack_from("<6Q", f.read(512), 8 + 4 * 4 + 2 * 8 + 256)
        return last - acked, dropped

    def finish(self):
        """Rows made, dropped, and the numbers of the stored ones in their order."""
        self.actor.terminate()
        check(end(self.actor, 30) == 0, f"exit code {self.actor.returncode}:\n{read(self.actor.output)[-2000:]}")
        self.run.send_signal(signal.SIGTERM)
        check(end(self.run, 30) == TERMINATED, f"spur run exits with {self.run.returncode}:\n{read(self.run.output)[-2000:]}")
        self.machine.close()
        left, dropped = self.head()
        check(left == 0, f"{left} messages are left in the file")
        stored = lmdb_file.rows(os.path.join(self.run_dir, "store", "data.mdb"), Witness.obs_dim, Witness.act_dim)
        return self.made(), dropped, [row_of(obs)[1] for _, obs, _ in stored]


def all_rows_arrive_after_a_cut(stage):
    arm = Arm(stage, "--spool-mib", 4)
    made = arm.cut()
    wait_for("the rows of the cut", lambda: arm.stored() > arm.made() - 50, 20)
    arm.machine.cut()  # for less than it takes to notice
    time.sleep(0.4)
    arm.machine.join()
    wait_for("the rows of the second", lambda: arm.stored() > arm.made() - 50, 20)
    made, dropped, stored = arm.finish()
    check(dropped == 0 and stored == list(range(len(stored))), f"{len(stored)} rows, {dropped} dropped")
    check(made - 1 <= len(stored) <= made, f"{made} rows made, {len(stored)} stored")  # one was under way at SIGTERM
    print(f"{made} rows made, all stored")


def the_oldest_rows_are_dropped_and_counted(stage):
    with open(stage.path("rows"), "wb") as f:
        f.truncate(FILE_BYTES)
    arm = Arm(stage, "--when-full", "drop-oldest")
    arm.cut()
    wait_for("the rows that are left", lambda: arm.stored() + arm.head()[1] + 50 >= arm.made(), 20)
    made, dropped, stored = arm.finish()
    missing = sorted(set(range(made)) - set(stored))
    check(stored == sorted(set(stored)), "rows are stored twice, or not in order")
    check(dropped > 50 and len(missing) > 50, f"{dropped} rows dropped, {len(missing)} missing")
    # Rows on their way when they were dropped may have arrived; the last one may be under way at SIGTERM.
    check(len(missing) <= dropped + 1, f"{len(missing)} of {made} rows are missing, {dropped} are counted as dropped")
    check(stored[-1] >= made - 2, f"the newest rows are missing: {stored[-1]} of {made}")
    print(f"{made} rows made, {dropped} dropped, {len(stored)} stored")


if not namespaces.available():
    print("skipped: no network namespaces (root is needed)")
    sys.exit(77)
if not namespaces.is_inside():
    command = namespaces.inside([sys.executable, *sys.argv])
    os.execvp(command[0], command)
main(all_rows_arrive_after_a_cut, the_oldest_rows_are_dropped_and_counted)
