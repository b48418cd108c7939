#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A run of an hour whose processes must not grow: paced actors train a small policy, a standby learner waits, actors
join and leave in order or by SIGKILL, clients ask for the status or connect and say nothing. Each 10 s the memory and
the descriptors of every process that lasts are written to a table, and at the end their slopes are compared with zero.

    soak.py [--minutes 60] [--seed 1] [--table FILE]    the run, and its report
    soak.py --report FILE                               the report of a table alone

Memory is what belongs to a process alone (Anonymous in smaps_rollup); pages of files, such as the store's map, are the
kernel's cache. malloc writes to all memory that it hands out (MALLOC_PERTURB_), so that the replays and rings of a run,
which are allocated once, are resident from the start, and what grows is what is allocated anew. The learner's replay is a
map of its own, so the rows in it are subtracted.
"""
import argparse
import collections
import csv
import math
import os
import random
import re
import shutil
import signal
import sys
import time

from harness import SOURCE, Dealer, Stage, check, end, endpoints, progress, read, status, wait_for

ENV = "python:process_envs:Calm"
PERIOD_S = 10
LEFT = (0, -signal.SIGKILL, -signal.SIGTERM)  # the last one: before it handles signals
WARM_UP = 0.25          # of the run, which is not compared
GROWTH_MAX_KIB_H = 512  # that a slope may have at most, beside twice its error
ROW_BYTES = 4 * (2 + 1 + 1 + 2) + 1  # of the environment Calm: observations, action, reward, flags
SETS = {"run.steps": 200000, "run.explore_steps": 200, "run.actors": 2, "eval.every_steps": 1000, "eval.episodes": 1,
        "model.train_every_steps": 1000, "model.epochs_max": 1, "model.rows_max": 2000, "pacing.updates_per_step": 1, "sac.real_ratio": 0.5,
        "rollout.schedule": "[0, 1, 1, 1]", "checkpoint.every_s": 10}
COLUMNS = ("seconds", "process", "pid", "anonymous_kib", "pss_kib", "descriptors", "threads", "rows", "updates",
           "evaluations", "log_bytes", "visitors", "clients")


# ---- the run ----

class Soak:
    def __init__(self, stage, seed, minutes):
        self.new_until = time.monotonic() + WARM_UP * 60 * minutes
        self.stage, self.draw, self.run_dir = stage, random.Random(seed), stage.path("run-dir")
        self.visitors, self.joined, self.clients = {}, 0, 0
        shutil.copy(os.path.join(SOURCE, "tests", "own", "process_envs.py"), stage.folder)
        stage.env["MALLOC_PERTURB_"] = "165"
        self.run = stage.run(self.run_dir, "--env", ENV, sets=SETS)
        self.where = wait_for("the run", lambda: endpoints(self.run_dir), 30)
        wait_for("the model server", self.state, 30)
        self.standby = stage.start(
            "spur-learner", "--standby", "--config", os.path.join(self.run_dir, "checkpoint", "config.yaml"), "--run-dir",
            self.run_dir, "--modelserver", self.where["modelserver"], "--bind", f"ipc://{stage.sockets}/standby")

    def state(self):
        self.clients += 1
        return status(self.stage, self.where["modelserver"])

    def visit(self):
        """An actor joins, one of some names that return or, until the memory is compared, a new one; others leave. The
        server remembers 4096 names, and the status has a line of each."""
        new = self.draw.random() < 0.5 and time.monotonic() < self.new_until
        name = f"new-{self.joined}" if new else f"guest-{self.draw.randrange(12)}"
        if name not in self.visitors:
            self.visitors[name] = self.stage.start("spur-actor", "--modelserver", self.where["modelserver"], "--env",
                                                    ENV, "--id", name)
            self.joined += 1
        while len(self.visitors) > 2:
            name = self.draw.choice(sorted(self.visitors))
            gone = self.visitors.pop(name)
            gone.send_signal(self.draw.choice((signal.SIGTERM, signal.SIGKILL)))
            check(end(gone, 20) in LEFT, f"{name}: {gone.returncode}\n{read(gone.output)}")

    def silent_client(self):
        """Connects; half of them greet as ZeroMQ does."""
        self.clients += 1
        dealer = Dealer(self.where["modelserver"])
        dealer.close()

    def lasting(self):
        """{name: pid} of the processes that are there from the beginning to the end."""
        names = (("spur", "spur run"), ("modelserver", "spur-modelserver"), ("learner", "spur-learner"), ("standby", "--standby"),
                 ("evaluator", "--evaluate"), ("actor-0", "--id actor-0"), ("actor-1", "--id actor-1"))
        found = {}
        for pid, line in self.stage.processes().items():
            for name, words in names:
                if words in line and not (name == "learner" and "--standby" in line):
                    found[name] = pid
        return found


def sample(name, pid):
    rollup = read(f"/proc/{pid}/smaps_rollup")
    kib = {word: int(re.search(rf"^{word}:\s+(\d+) kB", rollup, re.M)[1]) for word in ("Anonymous", "Pss")}
    threads = int(re.search(r"^Threads:\s+(\d+)", read(f"/proc/{pid}/status"), re.M)[1])
    return {"process": name, "pid": pid, "anonymous_kib": kib["Anonymous"], "pss_kib": kib["Pss"],
            "descriptors": len(os.listdir(f"/proc/{pid}/fd")), "threads": threads}


def soak(stage, seed, minutes, table):
    it, began = Soak(stage, seed, minutes), time.monotonic()
    with open(table, "w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, COLUMNS)
        writer.writeheader()
        due = began
        while time.monotonic() - began < 60 * minutes:
            due += PERIOD_S / 4
            time.sleep(max(0, due - time.monotonic()))
            it.draw.choice((it.visit, it.silent_client, it.state))()
            check(it.run.poll() is None, f"the run ended: {read(it.run.output)[-3000:]}")
            if int((due - began) / PERIOD_S) == int((due - PERIOD_S / 4 - began) / PERIOD_S):
                continue
            now = it.state()
            check(now, "the model server does not answer")
            common = {"seconds": round(time.monotonic() - began, 1), "rows": now["env_steps"],
                      "updates": now["learner"]["updates"], "evaluations": len(progress(it.run_dir)),
                      "log_bytes": os.path.getsize(os.path.join(it.run_dir, "log")), "visitors": it.joined, "clients": it.clients}
            for name, pid in sorted(it.lasting().items()):
                writer.writerow({**sample(name, pid), **common})
            f.flush()
    for process in it.visitors.values():
        process.terminate()
        end(process, 20)
    it.run.send_signal(signal.SIGINT)
    check(end(it.run, 40) == 130, f"exit code {it.run.returncode}: {read(it.run.output)[-3000:]}")
    check(end(it.standby, 20) == 0, f"the standby: {it.standby.returncode}: {read(it.standby.output)[-3000:]}")
    stage.no_orphans(10)


# ---- the report ----

def slope(seconds, values):
    """Least squares over the means of a minute each, which are less alike than samples: (a second, its standard error)."""
    means = collections.defaultdict(list)
    for t, value in zip(seconds, values):
        means[int(t // 60)].append((t, value))
    points = [tuple(sum(column) / len(column) for column in zip(*minute)) for minute in means.values()]
    n = len(points)
    if n < 4:
        return math.nan, math.nan
    t0, v0 = (sum(column) / n for column in zip(*points))
    spread = sum((t - t0) ** 2 for t, _ in points)
    a = sum((t - t0) * (v - v0) for t, v in points) / spread
    rest = sum((v - v0 - a * (t - t0)) ** 2 for t, v in points)
    return a, math.sqrt(rest / (n - 2) / spread)


def report(table):
    with open(table, encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    last = rows[-1]
    seconds = float(last["seconds"])
    print(f"{seconds / 60:.0f} minutes: {last['rows']} rows, {last['updates']} updates, {last['evaluations']} evaluations, "
          f"{last['visitors']} actors came, {last['clients']} clients; log {int(last['log_bytes']) / 1024:.0f} KiB")
    print("process       memory MiB    slope KiB/h        descriptors  threads")
    bad = []
    for name in dict.fromkeys(row["process"] for row in rows):
        mine = [row for row in rows if row["process"] == name and float(row["seconds"]) >= WARM_UP * seconds]
        at = [float(row["seconds"]) for row in mine]
        stored = ROW_BYTES / 1024 if name == "learner" else 0
        a, error = (3600 * x for x in slope(at, [int(row["anonymous_kib"]) - stored * int(row["rows"]) for row in mine]))
        fds = [int(row["descriptors"]) for row in mine]
        fd_slope = slope(at, fds)
        print(f"{name:12} {int(mine[-1]['anonymous_kib']) / 1024:8.1f}   {a:8.0f} +- {error:6.0f}     {min(fds):5} to {max(fds):<5}"
              f" {mine[-1]['threads']:>5}")
        if a - 2 * error > GROWTH_MAX_KIB_H:
            bad.append(f"{name} grows by {a:.0f} +- {error:.0f} KiB an hour")
        if 3600 * (fd_slope[0] - 2 * fd_slope[1]) > 2:
            bad.append(f"descriptors of {name} grow by {3600 * fd_slope[0]:.1f} an hour")
        if len({row["pid"] for row in mine}) != 1:
            bad.append(f"{name} was restarted")
    check(not bad, "; ".join(bad))


def run(options):
    stage = Stage()
    table = options.table or stage.path("soak.csv")
    try:
        soak(stage, options.seed, options.minutes, table)
    except Exception:
        stage.tell()
        raise
    else:
        report(table)
    finally:
        stage.clear()


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--minutes", type=float, default=60)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--table", help="CSV file of the samples")
parser.add_argument("--report", metavar="FILE")
parser.add_argument("--slow-test", action="store_true", help="skipped unless SPUR_SLOW_TESTS is set")
given = parser.parse_args()
if given.slow_test and not os.environ.get("SPUR_SLOW_TESTS"):
    print("skipped: SPUR_SLOW_TESTS is not set")
    sys.exit(77)
if given.report:
    report(given.report)
else:
    run(given)
sys.exit(0)
