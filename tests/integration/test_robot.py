#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows pacing.mode free and the spool on disk: an actor with a control period goes on while the model server stands still,
its rows survive its own SIGKILL, a new start sends them, and each arrives once, in order. When the file is full the oldest
are dropped and counted, or the actor waits, as it was asked."""
import os
import re
import shutil
import signal
import struct
import time

from harness import SOURCE, TERMINATED, check, counter, end, endpoints, lines_of, main, read, status, wait_for

SETS = {"pacing.mode": "free", "run.steps": 1000000, "run.explore_steps": 100, "eval.every_steps": 1000000,
        "pacing.updates_per_step": 1}
PAUSE_S = 4   # the model server stands still
LATE_MS = 1000  # of a step: far below the pause and lost_after_ms


def start(stage):
    os.mkdir(stage.path("envs"))
    shutil.copy(os.path.join(SOURCE, "tests", "own", "process_envs.py"), stage.path("envs"))
    run_dir = stage.path("run-dir")
    words = [w for key, value in SETS.items() for w in ("--set", f"{key}={value}")]
    run = stage.start("spur", "run", "--env", "python:process_envs:Paced", "--method", "sac", "--actors", 0, "--run-dir",
                      run_dir, *words, cwd=stage.path("envs"))
    where = wait_for("the run's endpoints", lambda: endpoints(run_dir), 20)
    return run, run_dir, where


def robot(stage, where, *args):
    """The robot's actor, and where it answers."""
    own = f"ipc://{stage.sockets}/robot"
    process = stage.start("spur-actor", "--modelserver", where["modelserver"], "--env", "python:process_envs:Paced", "--id",
                          "robot", "--bind", own, "--spool", stage.path("rows"), *args, cwd=stage.path("envs"))
    return process, own


def line_of(stage, endpoint):
    state = status(stage, endpoint)
    return next((a for a in state["actors"] if a["id"] == "robot"), {}) if state else {}


def stored(stage, where):
    return line_of(stage, where["modelserver"]).get("steps", 0)


def server_pid(stage):
    return stage.find("spur-modelserver")


def rows_made(stage):
    """Made and dropped by all processes of the start, from the head of its file (struct header of actor/spool.c)."""
    with open(stage.path("rows"), "rb") as f:
        head = f.read(512)
    check(head[:8] == b"SPUROWS1", "no spool")
    acked, last, confirmed, shift, pushed, dropped = struct.unpack_from("<6Q", head, 8 + 4 * 4 + 2 * 8 + 256)
    check(acked == last == confirmed + shift, f"it holds {last - acked} messages")
    return pushed, dropped


def latest(process):
    """How late a step came at worst, in ms."""
    return max((float(x) for x in re.findall(r"late ([0-9.]+) ms", read(process.output))), default=0)


def rows_survive_a_cut_and_a_kill(stage):
    run, run_dir, where = start(stage)
    actor, own = robot(stage, where, "--spool-mib", 1)
    wait_for("steps", lambda: stored(stage, where) > 150, 20)
    os.kill(server_pid(stage), signal.SIGSTOP)
    try:
        before = line_of(stage, own)["steps"]
        time.sleep(PAUSE_S)
        cut = line_of(stage, own)
        check(cut["steps"] - before > 100 * PAUSE_S, f"{cut['steps'] - before} steps in {PAUSE_S} s without the server")
        check(cut["unacked_rows"] > 100 * PAUSE_S, f"it keeps {cut['unacked_rows']} rows")
        actor.kill()
        end(actor, 5)
    finally:
        os.kill(server_pid(stage), signal.SIGCONT)
    check(latest(actor) < LATE_MS, f"a step was {latest(actor)} ms late")

    # The next start sends what the first one left, and goes on.
    actor, own = robot(stage, where)
    wait_for("the rows of the first start", lambda: stored(stage, where) > cut["steps"] + 100, 20)
    found = re.search(r"rows: ([0-9]+) rows of an earlier start are not acknowledged yet", read(actor.output))
    check(found and int(found.group(1)) >= cut["unacked_rows"], read(actor.output))
    actor.terminate()
    check(end(actor, 10) == 0, f"the actor exits with {actor.returncode}:\n{read(actor.output)}")
    check("unacknowledged" not in read(actor.output), "it left rows behind")
    made = status(stage, where["modelserver"])
    check(counter(made, "rows_refused_value") == 0 and made["env_steps"] == stored(stage, where), f"{made['env_steps']} rows")
    # Each once: the file counts what both starts made, and the server what it stored.
    check((stored(stage, where), 0) == rows_made(stage), f"{stored(stage, where)} rows stored of {rows_made(stage)}")
    run.send_signal(signal.SIGTERM)
    check(end(run, 20) == TERMINATED, f"spur run exits with {run.returncode}:\n{read(run.output)[-2000:]}")
    stage.no_orphans()
    check(not [l for l in lines_of(os.path.join(run_dir, "log")) if " error " in l.split("  ")[0]], "errors in the log")


def a_full_file(stage):
    run, _, where = start(stage)
    actor, _ = robot(stage, where)
    wait_for("steps", lambda: stored(stage, where) > 20, 20)
    other = stage.start("spur-actor", "--modelserver", where["modelserver"], "--id", "other", "--spool", stage.path("rows"))
    check(end(other, 5) == 74 and "another actor uses it" in read(other.output), read(other.output))
    code, text = stage.call("spur-actor", "--modelserver", where["modelserver"], "--spool", stage.path("rows"))
    check(code == 64 and "--spool needs --id" in text, text)
    actor.terminate()
    end(actor, 10)
    first = stored(stage, where)
    os.unlink(stage.path("rows"))
    with open(stage.path("rows"), "wb") as f:
        f.truncate(30000)  # room for some 400 rows: two seconds
    actor, own = robot(stage, where, "--when-full", "drop-oldest")
    wait_for("its steps", lambda: line_of(stage, own).get("steps", 0) > 50, 20)
    os.kill(server_pid(stage), signal.SIGSTOP)
    try:
        time.sleep(PAUSE_S + 1)
        dropped = counter(status(stage, own), "rows_dropped")
        check(dropped > 100, f"{dropped} rows dropped")
    finally:
        os.kill(server_pid(stage), signal.SIGCONT)
    made = line_of(stage, own)["steps"]
    wait_for("the rest", lambda: stored(stage, where) + counter(status(stage, own), "rows_dropped") >= made, 20)
    wait_for("nothing is kept any more", lambda: line_of(stage, own)["unacked_rows"] < 50, 20)
    dropped = counter(status(stage, own), "rows_dropped")
    actor.terminate()
    end(actor, 10)
    check("of the oldest rows dropped so far" in read(actor.output), read(actor.output))
    made, dropped = rows_made(stage)
    check(dropped > 100 and made - dropped <= stored(stage, where) - first <= made, f"{made} made, {dropped} dropped")
    run.send_signal(signal.SIGTERM)
    end(run, 20)


main(rows_survive_a_cut_and_a_kill, a_full_file)
