#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that a run notices when its files are removed, replaced or damaged: nothing is acknowledged that is not kept,
nothing damaged is used, and a sentence says what is wrong and what to do."""
import os
import shutil
import signal
import time

from harness import check, end, endpoints, main, read, status, wait_for

LONG = {"run.steps": 1000000, "eval.every_steps": 1000000}


def steps_of(stage, where):
    state = status(stage, where)
    return state["env_steps"] if state else 0


def stored(stage, run_dir, steps=250):
    """Waits for updates and that many steps; returns the model server's endpoint."""
    def ready():
        where = endpoints(run_dir)
        state = status(stage, where["modelserver"]) if where else None
        going = state and state["learner"] and state["learner"]["updates"] > 20 and state["env_steps"] > steps
        return where["modelserver"] if going else None
    return wait_for("updates", ready, 20)


def a_removed_run_ends(stage):
    """Its directory, or its store alone, is removed, moved or replaced."""
    def move(run_dir):
        os.rename(run_dir, run_dir + "-elsewhere")

    def replace(run_dir):
        store = os.path.join(run_dir, "store", "data.mdb")
        shutil.copy(store, store + ".copy")
        os.rename(store + ".copy", store)

    def unlink(run_dir):
        os.unlink(os.path.join(run_dir, "store", "data.mdb"))

    for name, remove in ("tree", shutil.rmtree), ("file", unlink), ("moved", move), ("replaced", replace):
        run_dir = stage.path(name)
        run = stage.run(run_dir, sets=LONG)
        where = stored(stage, run_dir)
        remove(run_dir)
        time.sleep(1)
        before = steps_of(stage, where)
        time.sleep(1)
        after = steps_of(stage, where)
        check(after in (0, before), f"{name}: {after - before} more steps are acknowledged")
        code = end(run, 20)
        check(code == 74, f"{name}: exit code {code}:\n{read(run.output)[-2000:]}")
        check("was removed, moved or replaced" in read(run.output), f"{name}:\n{read(run.output)[-2000:]}")
        stage.no_orphans(3)
        check(name != "tree" or not os.path.exists(run_dir), f"it came back: {run_dir}")


def errors_of_the_disk_reach_the_terminal(stage):
    """The run goes on, and says which file cannot be written."""
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, sets={**LONG, "eval.every_steps": 100})
    stored(stage, run_dir)
    os.mkdir(os.path.join(run_dir, "checkpoint", "learner.next.safetensors"))
    os.unlink(os.path.join(run_dir, "progress.csv"))
    os.symlink("/nowhere/at/all", os.path.join(run_dir, "progress.csv"))
    wait_for("an error of each", lambda: all(f"\n{who}: " in read(run.output) and what in read(run.output) for who, what in
                                             (("learner", "learner.next.safetensors"), ("modelserver", "progress.csv"))), 15)
    check(run.poll() is None, f"the run ended:\n{read(run.output)[-2000:]}")
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == 74, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")


main(a_removed_run_ends, errors_of_the_disk_reach_the_terminal)
