#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Faults of real processes, from one seed: while a run trains, processes are killed or frozen, one or all of them, `spur
run` is stopped and resumed, the disk is full, a limit on file sizes is hit, and the cable to another machine is cut.
Afterwards the store, read without spur, holds every row that an actor counts as acknowledged, each once, in order, and
nothing that was not made; files are whole, and the run is resumed and ends.

    test_chaos.py [--seeds N] [--seed S]   N seeds from S on; --seconds of faults in each
    test_chaos.py --report DIR             the tables of the seeds whose results are in DIR (--results DIR)

Odd seeds have the second machine: keys, and actors behind a cable. Rows are counted by those that make them
(tests/own/witness_env.py), acknowledgements by an actor in Python (tests/conformance/witness.py), by what spur's own
actors answer, and by their files of rows.
"""
import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import time
import zlib

import lmdb_file
import namespaces
from harness import (BIN, SOURCE, Failure, Stage, check, end, endpoints, lines_of, progress, read, status, wait_for)

sys.path.insert(0, os.path.join(SOURCE, "tests", "own"))
from witness_env import Source, Witness, row_of  # noqa: E402

ENV = "python:witness_env:Witness"
DISK_MIB = 64
RECOVERY_S = 60        # within which a killed process makes progress again
SLOW_S = 5             # after which it is said what everybody waits for
EXIT_AGAIN = 75        # of `spur run`: processes of the run before have not left yet
STEPS_MAX, LAST_STEPS = 1000000, 200
SETS = {"run.steps": STEPS_MAX, "run.explore_steps": 100, "run.actors": 2, "eval.every_steps": 100, "eval.episodes": 1,
        "model.train_every_steps": 200, "model.rows_max": 1000, "model.epochs_max": 2, "pacing.updates_per_step": 1,
        "rollout.schedule": "[0, 1, 1, 1]", "network.lost_after_ms": 1000, "network.heartbeat_ms": 200}
# What `spur run` may end with, and what must have happened to it.
KILLED, DISK = "killed by", ("cannot be written", "No space left", "File too large", "could not be saved", "was not made")
LEAVES = {"witness": (0, -9), "spool": (0, -9, -15), "guest": (0, -9, -15), "standby": (0, -9, -15, 74, 76)}


# ---- the processes ----

def parent_of(pid):
    try:
        return int(read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


class World:
    """A run, the actors that joined it from outside, and what happened to them."""

    def __init__(self, stage, seed):
        self.stage, self.draw = stage, random.Random(seed)
        self.machine = namespaces.Machine() if namespaces.is_inside() and seed % 2 else None
        self.disk = None
        self.run_dir = stage.path("disk", "run")
        os.mkdir(stage.path("disk"))
        if namespaces.is_inside():
            namespaces.mount_small(stage.path("disk"), DISK_MIB)
            self.disk = namespaces.Filler(stage.path("disk"))
        os.mkdir(stage.path("sources"))
        os.mkdir(stage.path("envs"))
        shutil.copy(os.path.join(SOURCE, "tests", "own", "witness_env.py"), stage.path("envs"))
        stage.env["SPUR_WITNESS"] = stage.path("sources")
        self.run_args = self.listen() if self.machine else []
        self.guests = {}    # name: process
        self.frozen = {}    # pid: when it goes on
        self.acked = {}     # id: the most rows that this actor of spur's said were acknowledged
        self.ends = []      # exit codes of `spur run`
        self.disk_faults = 0
        self.final = False  # guests that end are not started again
        self.run = stage.run(self.run_dir, "--env", ENV, *self.run_args, sets=SETS, cwd=stage.path("envs"))
        wait_for("the first step", lambda: self.steps() > 0, 40)
        self.tend()

    def listen(self):
        for words in (("make",), ("add", "spool"), ("add", "far"), ("add", "desk", "--role", "operator")):
            code, text = self.stage.call("spur", "keys", *words, "--dir", self.stage.path("keys"))
            check(code == 0, text)
        self.stage.keys = self.stage.path("keys")
        return ["--listen", f"tcp://{namespaces.HERE}:7000", "--keys", self.stage.path("keys")]

    # -- what runs --

    def where(self):
        try:
            return endpoints(self.run_dir)
        except (OSError, ValueError):
            return None

    def state(self):
        where = self.where()
        return status(self.stage, where["modelserver"]) if where else None

    def steps(self):
        return (self.state() or {}).get("env_steps", 0)

    def line(self, name):
        state = self.state()
        return next((a for a in state["actors"] if a["id"] == name), None) if state else None

    def pids(self, kind):
        """Running processes of a kind."""
        words = {"modelserver": "spur-modelserver", "learner": "spur-learner", "evaluator": "--evaluate", "actor": "--id actor-",
                 "spool": "--spool ", "guest": "--id far", "witness": "witness.py", "spur": "/spur run"}
        if kind == "environment":
            actors = self.pids("actor") + self.pids("spool")
            return [pid for pid in self.stage.processes() if parent_of(pid) in actors]
        if kind in ("standby", "learner"):
            return [pid for pid, line in self.stage.processes().items() if "spur-learner" in line and
                    self.stands_by(line) == (kind == "standby")]
        return [pid for pid, line in self.stage.processes().items() if words[kind] in line and " status " not in line]

    def stands_by(self, line):
        bind = line.split("--bind ", 1)[1].split()[0]
        return (status(self.stage, bind) or {}).get("state") == "standby"

    def guest_commands(self):
        """{name: function that starts the process}"""
        where = self.where()
        if not where:
            return {}
        server, start = where["modelserver"], self.stage.start
        options = {"cwd": self.stage.path("envs")}
        if self.machine:
            options["prefix"] = self.machine.prefix
        actor = ["--modelserver", server, "--learner", where["learner"], "--env", ENV]
        keys = {name: ["--keys", self.stage.path("keys", f"{name}.key")] if self.machine else [] for name in ("spool", "far")}
        own = f"ipc://{self.stage.sockets}/"
        found = {
            "spool": lambda: start("spur-actor", *actor, *keys["spool"], "--id", "spool", "--spool", self.stage.path("rows"),
                                   "--spool-mib", 4, **options),
            "standby": lambda: start("spur-learner", "--standby", "--config", os.path.join(self.run_dir, "checkpoint", "config.yaml"),
                                     "--run-dir", self.run_dir, "--modelserver", server, "--bind", own + "standby",
                                     *(["--keys", self.stage.path("keys")] if self.machine else [])),
        }
        if self.machine:
            found["guest"] = lambda: start("spur-actor", *actor, *keys["far"], "--id", "far", **options)
        else:
            found["witness"] = lambda: self.start_python("witness")
        return found

    def start_python(self, name):
        output = self.stage.path(f"output-{len(self.stage.logs)}")
        self.stage.logs.append(output)
        command = [sys.executable, os.path.join(SOURCE, "tests", "conformance", "witness.py"), self.run_dir, name]
        with open(output, "wb") as out:
            process = subprocess.Popen(command, env=self.stage.env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        process.output = output
        return process

    def tend(self):
        """Starts again what has ended, as a service manager does, and says when it ended as it must not."""
        if self.run.poll() is not None:
            self.resume()
        where = self.where()
        for name, start in self.guest_commands().items():
            old = self.guests.get(name)
            if old and old.poll() is None:
                if name != "witness" and old.where != where:
                    old.terminate()  # the run has other sockets now, and is not found by this process
                    old.where = where
                continue
            if old:
                check(old.returncode in LEAVES[name], f"{name} exits with {old.returncode}:\n{read(old.output)[-2000:]}")
            if not self.final:
                self.guests[name] = start()
                self.guests[name].where = where
        for pid, until in list(self.frozen.items()):
            if time.monotonic() >= until:
                self.thaw(pid)

    def thaw(self, pid):
        del self.frozen[pid]
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def resume(self):
        code, text = self.run.returncode, read(self.run.output)
        if code != EXIT_AGAIN:
            self.ends.append(code)
        check(code in (-9, 130, EXIT_AGAIN) or (code in (1, 74) and (KILLED in text or any(word in text for word in DISK))),
              f"spur run exits with {code}:\n{text[-3000:]}")
        check(code != 74 or self.disk_faults or "was not made" in text, f"74 without a full disk:\n{text[-3000:]}")
        self.run = self.stage.start("spur", "run", "--run-dir", self.run_dir, *self.run_args, cwd=self.stage.path("envs"))
        time.sleep(0.3)

    def sample_acknowledged(self):
        """What one of spur's actors says of itself."""
        name = self.draw.choice(("actor-0", "actor-1"))
        for line in self.stage.processes().values():
            if f"--id {name} " in line and "--bind ipc" in line and "spur-actor" in line:
                state = status(self.stage, line.split("--bind ", 1)[1].split()[0])
                for actor in (state or {}).get("actors", ()):
                    if actor["id"] == name and state["state"] == "acting":
                        self.acked[name] = max(self.acked.get(name, 0), actor["steps"] - actor["unacked_rows"])

    def sources(self):
        """{number: (made, acknowledged or None, pid, actor)}"""
        folder = self.stage.path("sources")
        return {int(name.split("-")[1]): Source.read(os.path.join(folder, name)) for name in os.listdir(folder)}


# ---- progress ----

def id_in(line):
    """What follows --id in a command line."""
    return line.split("--id ", 1)[1].split()[0] if "--id " in line else ""


def progress_of(world, kind, pid):
    """A function that is true once a process of the kind that took the place of pid has made progress."""
    seen = {}

    def first(key, value):
        return seen.setdefault(key, value)

    def steps():
        state = world.state()
        return bool(state) and state["env_steps"] > first(state["pid"], state["env_steps"])

    def updates():
        learner = (world.state() or {}).get("learner")
        return bool(learner) and learner["updates"] > first(learner["policy_epoch"], learner["updates"]) and learner["state"] != "lost"

    def evaluations():
        state = world.state()
        new = state and any(a["id"] == "evaluator" and a["pid"] != pid and a["state"] != "lost" for a in state["actors"])
        return bool(new) and state["evaluation"]["count"] > first("count", state["evaluation"]["count"])

    def rows_of(name):
        line = world.line(name)
        return bool(line) and line["pid"] != pid and line["steps"] > first(line["pid"], line["steps"])

    def rows_of_sources(name):
        """An actor whose environment started anew, or which counts by itself."""
        mine = {n: (made, acked) for n, (made, acked, _, actor) in world.sources().items() if actor == name}
        old = first("old", set(mine))
        return any(n not in old and (made if acked is None else acked) > 0 for n, (made, acked) in mine.items())

    def stands_by():
        return any(p != pid for p in world.pids("standby"))

    def anything():
        return steps() and updates()

    lines = world.stage.processes()
    name, above = id_in(lines.get(pid, "")), id_in(lines.get(parent_of(pid), ""))
    return {"modelserver": steps, "learner": updates, "evaluator": evaluations, "actor": lambda: rows_of(name),
            "spool": lambda: rows_of("spool"), "guest": lambda: rows_of("far"), "standby": stands_by,
            "witness": lambda: rows_of_sources("witness"),
            "environment": lambda: rows_of_sources(above)}.get(kind, anything)


def who_waits(state):
    """What everybody waits for, by the status."""
    if not state:
        return "no model server answers"
    peers = [("model server", state), ("learner", state["learner"] or {})] + [(a["id"], a) for a in state["actors"]]
    said = (f"{name} {peer.get('state')} {peer.get('waiting') or peer.get('stuck') or ''}".strip() for name, peer in peers)
    return f"at {state['env_steps']} steps: " + "; ".join(said)


def await_progress(world, what, made):
    """Seconds until the function is true; each further SLOW_S that it takes the reason is printed."""
    began = told = time.monotonic()
    while True:
        world.tend()
        now = time.monotonic()
        if made():
            return now - began
        if now - told > SLOW_S:
            told = now
            print(f"{what}: no progress for {now - began:.0f} s; {who_waits(world.state())}", flush=True)
        check(time.monotonic() - began < RECOVERY_S, f"no progress {RECOVERY_S} s after: {what}: {json.dumps(world.state())[:3000]}")
        time.sleep(0.05)


# ---- faults ----

def kill(world, kind):
    pids = world.pids(kind)
    if not pids:
        return None
    pid = world.draw.choice(sorted(pids))
    made = progress_of(world, kind, pid)
    if kind in ("environment", "witness"):
        made()  # remembers the starts before
    send(pid, signal.SIGKILL)
    return made


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def kill_all(world):
    made = progress_of(world, "all", 0)
    for pid in world.stage.processes():
        send(pid, signal.SIGKILL)
    return made


def freeze(world, kind):
    pids = world.pids(kind)
    if not pids:
        return None
    pid, seconds = world.draw.choice(sorted(pids)), world.draw.uniform(0.2, 4)
    send(pid, signal.SIGSTOP)
    world.frozen[pid] = time.monotonic() + seconds
    spend(world, seconds)
    return progress_of(world, "all", 0)


def spend(world, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        world.tend()
        time.sleep(0.05)
    world.tend()


def restart(world):
    world.run.send_signal(world.draw.choice((signal.SIGINT, signal.SIGTERM)))
    code = end(world.run, 60)
    world.ends.append(code)
    check(code in (1, 74, EXIT_AGAIN, 130, 143), f"spur run exits with {code}:\n{read(world.run.output)[-3000:]}")
    world.run = world.stage.start("spur", "run", "--run-dir", world.run_dir, *world.run_args, cwd=world.stage.path("envs"))
    return progress_of(world, "all", 0)


def full_disk(world):
    world.disk_faults += 1
    world.disk.fill()
    spend(world, world.draw.uniform(0.5, 3))
    world.disk.free()
    return progress_of(world, "all", 0)


def file_limit(world):
    """Files of model server or learner may not grow."""
    pids = world.pids(world.draw.choice(("modelserver", "learner")))
    if not pids:
        return None
    world.disk_faults += 1
    try:
        _, hard = resource.prlimit(pids[0], resource.RLIMIT_FSIZE)
        resource.prlimit(pids[0], resource.RLIMIT_FSIZE, (4096, hard))
        spend(world, world.draw.uniform(0.5, 2))
        resource.prlimit(pids[0], resource.RLIMIT_FSIZE, (hard, hard))
    except ProcessLookupError:
        pass
    return progress_of(world, "all", 0)


def cut(world):
    """The cable is cut; the robot's actor goes on."""
    world.machine.cut()
    spend(world, world.draw.uniform(0.3, 4))
    world.machine.join()
    return progress_of(world, "spool", 0)


KILLS = ("modelserver", "learner", "evaluator", "actor", "environment", "spool", "standby", "witness", "guest", "spur")
FAULTS = {**{f"kill {kind}": (6, lambda world, kind=kind: kill(world, kind)) for kind in KILLS}, "kill all": (6, kill_all),
          **{f"freeze {kind}": (1, lambda world, kind=kind: freeze(world, kind)) for kind in KILLS},
          "restart": (2, restart), "full disk": (2, full_disk), "file limit": (2, file_limit), "cut": (6, cut)}


def one_fault(world, results, only):
    kept = {"cut": world.machine, "full disk": world.disk, "kill guest": world.machine, "freeze guest": world.machine,
            "kill witness": not world.machine, "freeze witness": not world.machine}
    names = [name for name in FAULTS if name.startswith(only) and kept.get(name, True)]
    name = world.draw.choices(names, [FAULTS[n][0] for n in names])[0]
    alone = world.draw.random() < 0.7
    print(f"  {time.monotonic() % 1000:7.2f} {name}{'' if alone else ' and more'}", flush=True)
    made = FAULTS[name][1](world)
    if not made:
        return
    took = await_progress(world, name, made) if alone else None
    results.append((name, took))
    spend(world, world.draw.uniform(0.1, 0.8))
    world.sample_acknowledged()


# ---- afterwards ----

def finish(world):
    """Guests hand over their rows, the run is stopped, resumed with a budget and ends by itself."""
    for pid in list(world.frozen):
        world.thaw(pid)
    if world.machine:
        world.machine.join()
    await_progress(world, "all faults are over", progress_of(world, "all", 0))
    world.final = True
    world.tend()
    for name, process in world.guests.items():
        if name != "standby" and process.poll() is None:
            process.terminate()
    for name, process in world.guests.items():
        if name != "standby":
            check(end(process, 60) == 0, f"{name} exits with {process.returncode}:\n{read(process.output)[-2000:]}")
            check("unacknowledged" not in read(process.output), f"{name} leaves rows behind:\n{read(process.output)[-2000:]}")
    await_progress(world, "the end of the guests", progress_of(world, "all", 0))
    budget = world.steps() + LAST_STEPS
    world.run.send_signal(signal.SIGINT)
    # 74: a row of the learning curve was lost on the full disk.
    codes = (130, 74) if world.disk_faults else (130,)
    check(end(world.run, 60) in codes, f"Ctrl-C: {world.run.returncode}:\n{read(world.run.output)[-3000:]}")
    world.guests["standby"].terminate()
    end(world.guests["standby"], 20)
    run = world.stage.start("spur", "run", "--run-dir", world.run_dir, *world.run_args, "--set", f"run.steps={budget}",
                            cwd=world.stage.path("envs"))
    check(end(run, 120) == 0, f"the resumed run exits with {run.returncode}:\n{read(run.output)[-3000:]}")
    world.stage.no_orphans(10)
    return budget


def check_rows(world):
    """The claim. Returns the number of rows."""
    rows = lmdb_file.rows(os.path.join(world.run_dir, "store", "data.mdb"), Witness.obs_dim, Witness.act_dim)
    sources, counted, of_actor = world.sources(), {}, {}
    for number, (actor, obs, next_obs) in enumerate(rows):
        source, row = row_of(obs)
        check(source in sources, f"row {number} is of nobody: {obs}")
        check(row == counted.get(source, 0), f"row {number} is row {row} of source {source} ({sources[source][3]}) after "
              f"{counted.get(source, 0)} rows of it")
        check(row_of(next_obs) == (source, row + 1), f"row {number} leads from {obs} to {next_obs}")
        check(of_actor.setdefault(sources[source][3], actor) == actor, f"row {number} is of another actor")
        counted[source] = row + 1
    for source, (made, acked, _, actor) in sources.items():
        stored = counted.get(source, 0)
        check(stored <= made, f"source {source} of {actor}: {stored} rows stored, {made} made")
        if acked is not None:
            check(stored >= acked, f"source {source} of {actor}: {stored} rows stored, {acked} acknowledged")
        if actor == "spool":  # all that the environment returned before it or its actor was killed
            check(stored >= made - 1, f"source {source} of {actor}: {stored} rows stored, {made} made")
    for actor, acked in world.acked.items():
        stored = sum(n for source, n in counted.items() if sources[source][3] == actor)
        check(stored >= acked, f"{actor}: {stored} rows stored, it had counted {acked} as acknowledged")
    for actor in ("witness",) if not world.machine else ():
        last = max(n for n, (_, _, _, name) in sources.items() if name == actor)
        made, acked, _, _ = sources[last]
        check(made == acked == counted.get(last, 0), f"{actor}: {made} made, {acked} acknowledged, {counted.get(last)} stored")
    check_spool(world)
    return len(rows)


def check_spool(world):
    with open(world.stage.path("rows"), "rb") as f:
        head = f.read(512)
    acked, last, _, _, _, dropped = struct.unpack_from("<6Q", head, 8 + 4 * 4 + 2 * 8 + 256)
    check(acked == last and dropped == 0, f"the file of rows holds {last - acked} messages, {dropped} rows were dropped")


def check_files(world, rows, budget):
    for folder, _, names in os.walk(world.run_dir):
        for name in names:
            path = os.path.join(folder, name)
            check(".tmp." not in name, f"{path} is left over")
            if name.endswith(".safetensors"):
                with open(path, "rb") as f:
                    data = f.read()
                length = int.from_bytes(data[:8], "little")
                recorded = json.loads(data[8:8 + length])["__metadata__"]["checksum"]
                check(recorded == f"crc32 {zlib.crc32(data.replace(recorded.encode(), b'crc32 00000000')):08x}", f"{path} is damaged")
    code, text = world.stage.call("spur", "data", "list", world.run_dir)
    check(code == 0, text)
    curve = [row["env_steps"] for row in progress(world.run_dir)]
    check(curve == sorted(set(curve)) and curve[-1] >= budget, f"the learning curve is {curve}")
    check(rows >= budget, f"{rows} rows of {budget}")
    for log in [os.path.join(world.run_dir, "log"), *world.stage.logs]:
        for line in lines_of(log):
            check("bug in spur" not in line and not re.search(r"killed by signal (4|6|7|8|11)\b", line), f"{log}: {line}")


# ---- seeds ----

def one_seed(seed, seconds, only, results_path):
    stage, results = Stage(), []
    began = time.monotonic()
    try:
        world = World(stage, seed)
        while time.monotonic() - began < seconds:
            one_fault(world, results, only)
        budget = finish(world)
        rows = check_rows(world)
        check_files(world, rows, budget)
    except BaseException as failure:
        stage.tell()
        print(f"FAILED seed {seed}: {type(failure).__name__}: {failure}\nto replay: SPUR_BUILD_ROOT={os.environ['SPUR_BUILD_ROOT']} "
              f"SPUR_SOURCE_ROOT={SOURCE} {sys.argv[0]} --seeds 1 --seed {seed} --seconds {seconds:g}" + (f" --only '{only}'" if only else ""))
        raise
    finally:
        stage.clear()
        if namespaces.is_inside():
            subprocess.run(["umount", "-l", stage.path("disk")], check=False, capture_output=True)
    print(f"ok seed {seed}: {len(results)} faults, {rows} rows, spur run ended {len(world.ends)} times ({time.monotonic() - began:.0f} s)", flush=True)
    if results_path:
        with open(os.path.join(results_path, f"seed-{seed}.json"), "w", encoding="utf-8") as f:
            json.dump({"seed": seed, "rows": rows, "faults": results}, f)


def report(folder):
    found = {}
    rows = seeds = 0
    for name in sorted(os.listdir(folder)):
        if name.startswith("seed-"):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                one = json.load(f)
            seeds, rows = seeds + 1, rows + one["rows"]
            for kind, took in one["faults"]:
                found.setdefault(kind, []).append(took)
    print(f"{seeds} seeds, {rows} rows, {sum(map(len, found.values()))} faults, of which "
          f"{sum(len(v) for k, v in found.items() if k.startswith('kill'))} kills\n| fault | number | median | worst |\n|---|---|---|---|")
    for kind, all_of_it in found.items():
        took = sorted(t for t in all_of_it if t is not None)
        print(f"| {kind} | {len(all_of_it)} | " + (f"{statistics.median(took):.1f} s | {took[-1]:.1f} s |" if took else "| |"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", default="", help="faults whose name begins so: 'kill', 'freeze', 'cut', ...")
    parser.add_argument("--results", help="folder for the results of each seed")
    parser.add_argument("--report", metavar="DIR")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.report:
        report(given.report)
        return 0
    if given.one is not None:
        one_seed(given.one, given.seconds, given.only, given.results)
        return 0
    apart = namespaces.available()
    if not apart:
        print("skipped: cut links and full disks: no namespaces (root is needed)")
    for seed in range(given.seed, given.seed + given.seeds):
        command = [sys.executable, os.path.abspath(__file__), "--one", str(seed), "--seconds", str(given.seconds), "--only", given.only]
        command += ["--results", given.results] if given.results else []
        if subprocess.run(namespaces.inside(command) if apart else command, check=False).returncode != 0:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
