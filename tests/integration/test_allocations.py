#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows what happens when memory runs out: failing_malloc.so makes one allocation of a process fail.

* Commands end with exit code 71 and a sentence, at every allocation of their own code.
* A lockstep run in which an allocation of one of its processes failed ends with the same bits as another, at once or
  after it is resumed: nothing is lost, and nothing goes on with a part of its data.

    test_allocations.py FAILING_MALLOC                         a few allocations of each process
    test_allocations.py FAILING_MALLOC --samples N [--seed S]  N of each, and N of the libraries' (docs/reliability.md)
"""
import argparse
import os
import random
import signal
import sys

from harness import check, end, main, read
from lockstep_runs import difference, reference, result, start

RESOURCES = 71
COMMANDS = {
    "config": ("config", "hopper"),
    "check": ("check", "inverted_pendulum", "--episodes", "1"),
}
PROGRAMS = ("spur", "spur-modelserver", "spur-learner", "spur-actor")
# What a process without memory may end with: libraries abort.
ABORTED = -signal.SIGABRT
CODES = {"program": (0, RESOURCES), "all": (0, RESOURCES, ABORTED)}


def arm(stage, program, owner, at):
    """From now on the allocation `at` fails in the first process of that program; 0: in none."""
    stage.env.update(LD_PRELOAD=PRELOADED, FAIL_PROGRAM=program, FAIL_OWNER=owner, FAIL_AT=str(at),
                     FAIL_MARK=stage.path("failed"), FAIL_COUNT=stage.path("count"))
    for name in ("failed", "count"):
        if os.path.exists(stage.path(name)):
            os.remove(stage.path(name))


def disarm(stage):
    for name in [name for name in stage.env if name.startswith("FAIL_")] + ["LD_PRELOAD"]:
        del stage.env[name]


def count(stage):
    return int(read(stage.path("count")))


def verdict(what, code, text, owner):
    check("a bug in spur" not in text, f"{what}: taken for a bug:\n{text[-2000:]}")
    check(code in CODES[owner], f"{what}: exit code {code}:\n{text[-2000:]}")
    check(code != RESOURCES or "memory" in text, f"{what}: exit code {code} without the reason:\n{text[-2000:]}")


# ---- commands ----

def command(stage, name, owner, samples, draw):
    arm(stage, "spur", owner, 0)
    code, whole = stage.call("spur", *COMMANDS[name])
    check(code == 0, whole)
    total = count(stage)
    chosen = range(1, total + 1) if total <= samples else sorted(draw.sample(range(1, total + 1), samples))
    ends = {}
    for at in chosen:
        arm(stage, "spur", owner, at)
        code, text = stage.call("spur", *COMMANDS[name])
        verdict(f"spur {name}, allocation {at} of {total}", code, text, owner)
        check(code != 0 or owner == "all" or not os.path.exists(stage.path("failed")) or text == whole,
              f"spur {name}, allocation {at}: works, with another output:\n{text[-2000:]}")
        ends[code] = ends.get(code, 0) + 1
    disarm(stage)
    print(f"spur {name}: {sum(ends.values())} of {total} allocations ({owner}): exit codes {ends}", flush=True)


def commands(stage):
    for name in COMMANDS:
        command(stage, name, "program", 1000, random.Random(given.seed))
        if given.samples:
            command(stage, name, "all", given.samples, random.Random(given.seed))


# ---- runs ----

def totals(stage, program, owner):
    """Allocations of the first process of the program in a run."""
    arm(stage, program, owner, 0)
    run_dir = stage.path(f"count-{program}-{owner}")
    run = start(stage, run_dir, "mbpo", {})
    check(end(run, 60) == 0, read(run.output)[-2000:])
    disarm(stage)
    return count(stage)


def one_failure(stage, program, owner, at, expected):
    """One run with a failure: whether it happened, whether the run had to be resumed, its exit code."""
    what = f"{program}, allocation {at} ({owner})"
    run_dir = stage.path(f"{program}-{owner}-{at}")
    arm(stage, program, owner, at)
    run = start(stage, run_dir, "mbpo", {})
    code = end(run, 90)
    log = os.path.join(run_dir, "log")
    verdict(what, code, read(run.output) + (read(log) if os.path.exists(log) else ""), owner)
    failed = os.path.exists(stage.path("failed"))
    disarm(stage)
    stage.no_orphans(10)
    resumed = code != 0
    if resumed:
        began = os.path.exists(os.path.join(run_dir, "config.yaml"))
        run = stage.start("spur", "run", "--run-dir", run_dir) if began else start(stage, run_dir, "mbpo", {})
        check(end(run, 90) == 0, f"{what}: the run does not go on:\n{read(run.output)[-2000:]}")
    bad = difference(expected, result(stage, run_dir))
    check(not bad, f"{what}: other bits: {bad[:6]}")
    return failed, resumed, code


def runs(stage):
    expected, _ = reference(stage, "mbpo", {})
    draw = random.Random(given.seed)
    for owner in ("program", "all") if given.samples else ("program",):
        for program in PROGRAMS:
            total = totals(stage, program, owner)
            chosen = sorted(draw.sample(range(1, total + 1), min(total, given.samples or 2)))
            ends = [one_failure(stage, program, owner, at, expected) for at in chosen]
            print(f"{program}: {len(ends)} of {total} allocations ({owner}): {sum(f for f, _, _ in ends)} failed, "
                  f"{sum(r for _, r, _ in ends)} runs resumed, exit codes {sorted(c for _, _, c in ends)}, all with the same bits", flush=True)


parser = argparse.ArgumentParser()
parser.add_argument("preloaded")
parser.add_argument("--samples", type=int)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("tests", nargs="*")
given = parser.parse_args()
PRELOADED = os.path.abspath(given.preloaded)
sys.argv[1:] = given.tests
main(commands, runs)
