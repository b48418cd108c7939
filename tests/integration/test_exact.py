#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that a lockstep run that is interrupted ends with the same bits as one that is not: processes are killed with
SIGKILL at random instants, one or all of them, or the run is stopped by Ctrl-C, and it goes on.

    test_exact.py                                    a few kills
    test_exact.py --kills N [--seed S] [--own NAME]  N kills of each victim, for each method (docs/reliability.md)
"""
import argparse
import os
import random
import shutil
import signal
import sys
import time

from harness import INTERRUPTED, SOURCE, check, end, lines_of, main, read, wait_for
from lockstep_runs import METHODS, difference, finish, reference, result, start

DAEMONS = {
    "modelserver": ("spur-modelserver", "--config"),
    "learner": ("spur-learner", "--config"),
    "actor": ("spur-actor", "--learner"),
    "evaluator": ("spur-actor", "--evaluate"),
}
VICTIMS = (*DAEMONS, "all", "spur", "ctrl-c")


def interrupt(stage, run, victim):
    """Kills or stops; True: the run has to be resumed."""
    if victim in DAEMONS:
        pid = stage.find(*DAEMONS[victim])
        if pid:
            os.kill(pid, signal.SIGKILL)
        return False
    if victim == "ctrl-c":
        run.send_signal(signal.SIGINT)
        check(end(run, 30) in (0, INTERRUPTED), f"Ctrl-C: {read(run.output)[-1000:]}")
    elif victim == "spur":
        run.kill()
    else:
        for pid in stage.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    run.wait(10)
    stage.no_orphans(10)
    return True


def one_kill(stage, method, victim, after, expected, more=None, env=()):
    """The names of what differs after one interruption so many seconds after the start."""
    run_dir = stage.path(f"{method}-{victim}-{after:.3f}")
    run = start(stage, run_dir, method, more or {}, env)
    wait_for("the run directory", lambda: os.path.exists(os.path.join(run_dir, "config.yaml")), 10)
    began = time.monotonic()
    while time.monotonic() - began < after and run.poll() is None:
        time.sleep(0.002)
    if run.poll() is None and interrupt(stage, run, victim):
        run = stage.start("spur", "run", "--run-dir", run_dir)
    finish(stage, run, run_dir)
    return difference(expected, result(stage, run_dir))


def kills(stage, method, victims, count, draw, more=None, env=()):
    expected, seconds = reference(stage, method, more or {}, env)
    failed = 0
    for victim in victims:
        same = 0
        for _ in range(count):
            after = draw.uniform(0, seconds)
            bad = one_kill(stage, method, victim, after, expected, more, env)
            same += not bad
            if bad:
                print(f"  {method}, {victim} after {after:.3f} s: {bad[:6]}", flush=True)
        print(f"{method:8} {victim:12} {same} of {count} equal", flush=True)
        failed += count - same
    check(failed == 0, f"{failed} interrupted runs have other bits")


def kills_of_mbpo(stage):
    kills(stage, "mbpo", ("all", "learner", "actor"), 1, random.Random(1))


def kills_of_dhmbpo(stage):
    kills(stage, "dhmbpo", ("modelserver", "ctrl-c"), 1, random.Random(2))


def own_environment(stage, name):
    """Arguments for an environment of a process of its own."""
    shutil.copy(os.path.join(SOURCE, "tests", "own", "process_envs.py"), stage.folder)
    return "--env", f"python:process_envs:{name}"


def kills_of_an_own_environment(stage):
    kills(stage, "sac", ("actor", "spur"), 1, random.Random(3), env=own_environment(stage, "Balance"))


def an_environment_that_differs_is_reported(stage):
    run_dir = stage.path("run-dir")
    log = os.path.join(run_dir, "log")
    run = start(stage, run_dir, "sac", {"run.steps": 100000}, own_environment(stage, "Unsteady"))
    wait_for("the actor", lambda: any("joined run" in line for line in lines_of(log)), 20)
    # At the end of an episode there is nothing to make again.
    for _ in range(10):
        time.sleep(0.3)
        pid = wait_for("an actor", lambda: stage.find(*DAEMONS["actor"]), 20)
        os.kill(pid, signal.SIGKILL)
        wait_for("another actor", lambda: stage.find(*DAEMONS["actor"]) not in (0, pid), 40)
        time.sleep(1)
        if "makes other steps" in read(log):
            break
    check("makes other steps" in read(log), "an environment that is not a function of its start goes on unnoticed")
    run.send_signal(signal.SIGINT)
    check(end(run, 30) == INTERRUPTED, read(run.output)[-1000:])


def all_kills(options):
    def chosen(stage):
        env = own_environment(stage, options.own) if options.own else ()
        for method in options.methods.split(","):
            kills(stage, method, options.victims.split(","), options.kills, random.Random(options.seed), env=env)
    sys.argv[1:] = []
    main(chosen)


parser = argparse.ArgumentParser()
parser.add_argument("--kills", type=int)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--methods", default=",".join(METHODS))
parser.add_argument("--victims", default=",".join(VICTIMS))
parser.add_argument("--own", help="an environment of tests/own/process_envs.py, in a process of its own")
given, _ = parser.parse_known_args()
if given.kills:
    all_kills(given)
else:
    main(kills_of_mbpo, kills_of_dhmbpo, kills_of_an_own_environment, an_environment_that_differs_is_reported)
