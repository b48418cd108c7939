#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that a run notices when its files are removed, replaced or damaged: nothing is acknowledged that is not kept,
nothing damaged is used, and a sentence says what is wrong and what to do."""
import json
import os
import shutil
import signal
import time
import zlib

from harness import SOURCE, check, counter, end, endpoints, main, read, status, wait_for

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

    def remove_all(run_dir):  # a checkpoint may be written meanwhile
        wait_for("no directory", lambda: shutil.rmtree(run_dir, ignore_errors=True) or not os.path.exists(run_dir), 5)

    def cut_off(run_dir):
        os.truncate(os.path.join(run_dir, "store", "data.mdb"), 1 << 14)

    for name, remove in (("tree", remove_all), ("file", unlink), ("moved", move), ("replaced", replace),
                         ("cut off", cut_off)):
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
    wait_for("an evaluation", lambda: os.path.exists(os.path.join(run_dir, "progress.csv")), 20)
    folder = next(name for name in os.listdir(os.path.join(run_dir, "checkpoint")) if name.startswith("learner.next."))
    made = os.path.join(run_dir, "checkpoint", folder, "learner.safetensors")
    while not os.path.isdir(made):
        try:
            os.mkdir(made)
        except FileExistsError:
            pass  # for an instant, a checkpoint
    os.symlink("/nowhere/at/all", stage.path("nowhere"))
    os.replace(stage.path("nowhere"), os.path.join(run_dir, "progress.csv"))  # at once: it is written meanwhile
    wait_for("an error of each", lambda: all(f"\n{who}: " in read(run.output) and what in read(run.output) for who, what in
                                             (("learner", "learner.safetensors"), ("modelserver", "progress.csv"))), 15)
    check(run.poll() is None, f"the run ended:\n{read(run.output)[-2000:]}")
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == 74, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")


def stopped_run(stage, run_dir):
    """A run with two checkpoints of each process."""
    run = stage.run(run_dir, sets=LONG)
    stored(stage, run_dir, 350)
    wait_for("checkpoints", lambda: all(os.path.exists(os.path.join(run_dir, "checkpoint", f"{name}.previous.safetensors"))
                                        for name in ("learner", "modelserver")), 10)
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == 130, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")


def damage(path, at=0.5):
    """Changes a byte."""
    with open(path, "r+b") as f:
        f.seek(int(os.path.getsize(path) * at))
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 16]))


def damage_pages(path):
    """Changes a byte of every page but the two of the head: some pages are free."""
    for page in range(2, os.path.getsize(path) // 4096):
        damage(path, (page * 4096 + 2000) / os.path.getsize(path))


def a_damaged_store_is_not_used(stage):
    """One sentence and 74 at once, and the learner's file is as before; a copy put back goes on."""
    run_dir = stage.path("run-dir")
    stopped_run(stage, run_dir)
    store = os.path.join(run_dir, "store", "data.mdb")
    with open(store, "rb") as f:
        whole = f.read()

    def halved():
        os.truncate(store, len(whole) // 2)

    def flipped():
        damage_pages(store)

    def overwritten():
        with open(store, "r+b") as f:
            f.seek(4096 * 3)
            f.write(bytes(4096 * 4))
    for hurt in halved, flipped, overwritten:
        with open(store, "wb") as f:
            f.write(whole)
        hurt()
        run = stage.start("spur", "run", "--run-dir", run_dir)
        check(end(run, 10) == 74, f"{hurt.__name__}: exit code {run.returncode}:\n{read(run.output)[-2000:]}")
        text = read(run.output)
        check("data.mdb is damaged (" in text and "--without store" in text and "bug in spur" not in text, text)
        stage.no_orphans(3)
    with open(store, "wb") as f:
        f.write(whole)
    run = stage.start("spur", "run", "--run-dir", run_dir)
    stored(stage, run_dir)
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == 130, read(run.output))


def a_store_that_is_damaged_meanwhile_ends_the_run(stage):
    """The model server is restarted, finds the damage, and the learner does not go on with a part of the steps."""
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, sets=LONG)
    stored(stage, run_dir, 1000)
    os.kill(stage.find("spur-modelserver", "--bind"), signal.SIGKILL)
    damage_pages(os.path.join(run_dir, "store", "data.mdb"))
    check(end(run, 20) == 74, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")
    check("data.mdb is damaged (" in read(run.output), read(run.output)[-2000:])
    check(read(os.path.join(run_dir, "log")).count("modelserver started as process") == 2, "it was restarted again and again")
    stage.no_orphans()


def damaged_checkpoints_give_way(stage):
    run_dir = stage.path("run-dir")
    stopped_run(stage, run_dir)
    names = ("learner", "modelserver")
    policy = os.path.join(run_dir, "policy.safetensors")
    for path in [policy] + [os.path.join(run_dir, "checkpoint", f"{name}.safetensors") for name in names]:
        with open(path, "rb") as f:
            data = f.read()
        recorded = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])["__metadata__"]["checksum"]
        computed = zlib.crc32(data.replace(recorded.encode(), b"crc32 00000000"))
        check(recorded == f"crc32 {computed:08x}", f"{path}: {recorded}, not {computed:08x}")
    damage(policy, 0.9)
    code, text = stage.call("spur", "eval", run_dir)
    check(code == 74 and "policy.safetensors: cannot be read: it is damaged" in text and "--policy best" in text, text)
    for name in names:
        damage(os.path.join(run_dir, "checkpoint", f"{name}.safetensors"), 0.9)
    with open(os.path.join(run_dir, "checkpoint", "learner.safetensors.tmp.7"), "wb"):
        pass
    run = stage.start("spur", "run", "--run-dir", run_dir)
    stored(stage, run_dir)
    log = read(os.path.join(run_dir, "log"))
    for name in names:
        check(f"checkpoint/{name}.safetensors: cannot be read: it is damaged" in log, log[-3000:])
        check(os.path.exists(os.path.join(run_dir, "checkpoint", f"{name}.unreadable.safetensors")), f"{name} is not kept")
    for text in "resumed from {}/learner.previous.safetensors: ", "{}/modelserver.previous.safetensors is used instead":
        check(text.format(os.path.join(run_dir, "checkpoint")) in log, f"no '{text}':\n{log[-3000:]}")
    check(not [n for n in os.listdir(os.path.join(run_dir, "checkpoint")) if ".tmp." in n], "temporary files remain")
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == 130, read(run.output))


def edit(path, old, new):
    text = read(path)
    check(text.count(old) == 1, f"{path} has {old} {text.count(old)} times")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))


def edits_of_the_configuration_are_noticed(stage):
    run_dir = stage.path("run-dir")
    config, record = os.path.join(run_dir, "config.yaml"), os.path.join(run_dir, "checkpoint", "config.yaml")
    run = stage.run(run_dir, sets=LONG)
    stored(stage, run_dir)
    # A process that starts anew reads what the run was begun with.
    edit(config, "batch_size: 32", "batch_size: 33")
    learner = stage.find("spur-learner")
    os.kill(learner, signal.SIGKILL)
    wait_for("another learner", lambda: stage.find("spur-learner") not in (0, learner), 10)
    stored(stage, run_dir)
    check("sac.batch_size was" not in read(os.path.join(run_dir, "log")), "the learner has read the edit")
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == 130, read(run.output))

    def resume(code, *texts):
        again = stage.start("spur", "run", "--run-dir", run_dir)
        check(end(again, 60) == code, f"exit code {again.returncode}:\n{read(again.output)[-2000:]}")
        for text in texts:
            check(text in read(again.output), f"no '{text}':\n{read(again.output)[-2000:]}")
    resume(78, "config.yaml was edited: sac.batch_size is 33, and the run was begun with 32", "set it back")
    edit(config, "batch_size: 33", "batch_size: 32")
    steps = len(read(os.path.join(run_dir, "log")))
    edit(config, " steps: 1000000", " steps: 10000")
    edit(record, "batch_size: 32", "batch_size: 33")
    resume(74, "checkpoint/config.yaml is damaged, or was edited", "remove it if config.yaml beside it is right")
    check(len(read(os.path.join(run_dir, "log"))) == steps, "a refused run has started")
    edit(record, "batch_size: 33", "batch_size: 32")
    run = stage.start("spur", "run", "--run-dir", run_dir)
    wait_for("the change", lambda: "changed: run.steps 1000000 to 10000" in read(run.output), 10)
    stored(stage, run_dir)
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == 130, read(run.output))
    check("Changed " in read(config) and " steps: 10000 " in read(record), read(config)[:1000])
    # A run of an earlier build has no record, and gets one.
    os.unlink(record)
    run = stage.start("spur", "run", "--run-dir", run_dir)
    wait_for("a record", lambda: os.path.exists(record), 10)
    run.send_signal(signal.SIGINT)
    end(run, 20)


def wild_steps_are_refused_or_dropped(stage):
    """With bounds they are not stored. Without, they end every run of the directory, until they are dropped."""
    shutil.copy(os.path.join(SOURCE, "tests", "own", "process_envs.py"), stage.folder)
    sets = {**LONG, "run.explore_steps": 50, "model.train_every_steps": 50, "model.targets": "raw"}

    def begin(run_dir, more):
        return stage.run(run_dir, "--env", "python:process_envs:Wild", sets={**sets, **more})

    def state(run_dir):
        where = endpoints(run_dir)
        return status(stage, where["modelserver"]) if where else None

    run_dir = stage.path("bounded")
    run = begin(run_dir, {})
    stored(stage, run_dir, 400)
    now = state(run_dir)
    check(counter(now, "rows_refused_bound") >= 4 and counter(now, "trainings_broken") == 0, now["counters"])
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == 130, read(run.output))
    code, text = stage.call("spur", "data", "list", run_dir)
    check(code == 0 and "\n0 wild steps\n" in text and "\n0 of " in text, text)

    run_dir = stage.path("unbounded")
    run = begin(run_dir, {"data.bound": 0, "data.largest": 1e30, "run.explore_steps": 90})
    wait_for("a run", lambda: state(run_dir), 20)
    code, text = stage.call("spur", "data", "list", run_dir)
    check(code == 75 and "is in use by process" in text, text)
    check(end(run, 60) in (1, 65) and "spur data list" in read(run.output), read(run.output)[-3000:])
    stage.no_orphans()
    # What is stored spoils the next run too, and it says so at its end: 65 if only the model is no longer trained, 1 if the
    # learner's weights broke before.
    sets = {"data.bound": 1e4, "data.largest": 1e10, "run.steps": 3000, "eval.every_steps": 1500, "eval.episodes": 1}
    again = stage.start("spur", "run", "--run-dir", run_dir, *(x for k, v in sets.items() for x in ("--set", f"{k}={v}")))
    code, said = end(again, 60), read(again.output)
    check(code in (1, 65) and "spur data list" in said, f"exit code {code}\n{said[-3000:]}")
    check(code == 1 or "the model was no longer trained at the end" in said, said[-3000:])

    code, text = stage.call("spur", "data", "list", run_dir)
    check(code == 0 and "1e+20" in text and "; spur data drop RUN_DIR --wild" in text, text)
    code, text = stage.call("spur", "data", "drop", run_dir, "--number", "next_obs[0]", "--above", 1e6, "--dry-run")
    check(code == 0 and " steps would be dropped" in text and not text.startswith("0 "), text)
    code, text = stage.call("spur", "data", "drop", run_dir, "--number", "next_obs[0]", "--above", 1e6)
    check(code == 0 and " steps are dropped" in text, text)
    code, text = stage.call("spur", "data", "drop", run_dir, "--number", "obs[0]", "--above", 1e6)
    check(code == 0 and " steps are dropped" in text, text)
    code, text = stage.call("spur", "data", "list", run_dir)
    check(code == 0 and "1e+20" not in text and "\n0 wild steps\n" in text and "\ndropped: " in text, text)
    run = stage.start("spur", "run", "--run-dir", run_dir, "--set", "run.steps=1000000")
    stored(stage, run_dir, wait_for("a status", lambda: state(run_dir), 20)["env_steps"] + 300)
    wait_for("trainings", lambda: (state(run_dir) or {}).get("state") == "learning", 5)
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == 130, read(run.output))
    check("weights that are not finite" not in read(os.path.join(run_dir, "log")).split("run.steps 3000 to 1000000")[-1],
          "trainings still break")
    code, text = stage.call("spur", "data", "restore", run_dir)
    check(code == 0 and " steps are restored" in text and not text.startswith("0 "), text)


main(a_removed_run_ends, errors_of_the_disk_reach_the_terminal, a_damaged_store_is_not_used, a_store_that_is_damaged_meanwhile_ends_the_run,
     damaged_checkpoints_give_way,
     edits_of_the_configuration_are_noticed, wild_steps_are_refused_or_dropped)
