#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that actors may join and leave a run: a killed actor is shown as lost within five seconds, one that
is started by hand joins and leaves, and the run continues. An actor without a model server waits and logs
its address and a hint."""
import os
import signal
import time

from harness import TERMINATED, check, end, endpoints, free_ports, main, read, status, wait_for

# Long enough to be observed.
LONG = {"run.steps": 1000000, "run.explore_steps": 300, "eval.every_steps": 1000000, "pacing.updates_per_step": 1}


def start(stage, *args, sets=None):
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, *args, sets={**LONG, **(sets or {})})
    where = wait_for("the run's endpoints", lambda: endpoints(run_dir), 10)
    stage.keys = where.get("keys")
    return run, where


def actor_line(stage, where, name):
    state = status(stage, where["modelserver"])
    return next((a for a in state["actors"] if a["id"] == name), None) if state else None


def steps(stage, where):
    state = status(stage, where["modelserver"])
    return state["env_steps"] if state else 0


def stop(stage, run):
    run.send_signal(signal.SIGTERM)
    check(end(run, 20) == TERMINATED, f"spur run exits with {run.returncode}:\n{read(run.output)[-2000:]}")
    stage.no_orphans()


def actors_join_are_lost_and_leave(stage):
    run, where = start(stage, "--actors", 2, "--envs-per-actor", 3)
    wait_for("steps of two actors", lambda: steps(stage, where) > 300, 20)

    # One of the run's own actors is killed: its successor has the same name and continues its counts.
    pid = stage.find("spur-actor", "--id actor-1")
    check(pid, f"no actor-1 in {stage.processes()}")
    before = actor_line(stage, where, "actor-1")["steps"]
    os.kill(pid, signal.SIGKILL)
    wait_for("another actor-1", lambda: stage.find("spur-actor", "--id actor-1") not in (0, pid), 5)
    wait_for("its steps", lambda: actor_line(stage, where, "actor-1")["steps"] > before, 10)

    # An actor that is started by hand joins. The model server says where the learner is.
    hand = stage.start("spur-actor", "--modelserver", where["modelserver"], "--id", "by-hand", "--envs-per-actor", "16",
                       "--bind", f"ipc://{stage.sockets}/by-hand")
    line = wait_for("the actor by hand", lambda: (actor_line(stage, where, "by-hand") or {}).get("steps", 0) > 5
                    and actor_line(stage, where, "by-hand"), 10)
    check(line["state"] in ("connected", "waiting"), f"it is {line['state']}")
    own = status(stage, f"ipc://{stage.sockets}/by-hand")
    wait_for("a policy", lambda: actor_line(stage, where, "by-hand")["policy_version"] > 0, 10)
    check(own and own["daemon"] == "by-hand" and own["actors"][0]["steps"] > 0, f"its own status: {own}")

    # Killed: it sends no Goodbye.
    hand.kill()
    end(hand, 5)
    wait_for("lost", lambda: actor_line(stage, where, "by-hand")["state"] == "lost", 5)
    before = steps(stage, where)
    wait_for("steps without it", lambda: steps(stage, where) > before, 10)

    # It may return under its name, and leave in order.
    hand = stage.start("spur-actor", "--modelserver", where["modelserver"], "--learner", where["learner"], "--id", "by-hand")
    wait_for("back again", lambda: actor_line(stage, where, "by-hand")["state"] != "lost", 10)
    time.sleep(0.5)
    hand.terminate()
    check(end(hand, 5) == 0, f"SIGTERM: {hand.returncode}\n{read(hand.output)}")
    wait_for("left", lambda: actor_line(stage, where, "by-hand")["state"] == "left", 5)
    before = steps(stage, where)
    wait_for("steps after it", lambda: steps(stage, where) > before, 10)
    stop(stage, run)


def the_older_of_two_is_fenced(stage):
    # As on another host: over TCP.
    port = free_ports()
    run, where = start(stage, "--listen", f"tcp://127.0.0.1:{port}")
    check(where["modelserver"] == f"tcp://127.0.0.1:{port}", f"it listens at {where}")
    options = ["--modelserver", where["modelserver"], "--learner", where["learner"], "--keys", where["keys"], "--id", "twin"]
    first = stage.start("spur-actor", *options)
    wait_for("the first", lambda: actor_line(stage, where, "twin"), 10)
    second = stage.start("spur-actor", *options)
    check(end(first, 10) == 76, f"the older one exits with {first.returncode}:\n{read(first.output)}")
    check(second.poll() is None, "the newer one ended")
    wait_for("steps of the newer one", lambda: actor_line(stage, where, "twin")["steps"] > 0, 10)
    second.terminate()
    check(end(second, 5) == 0, f"the newer one exits with {second.returncode}")
    stop(stage, run)


def no_modelserver(stage):
    endpoint = f"ipc://{stage.sockets}/nobody"
    actor = stage.start("spur-actor", "--modelserver", endpoint)
    text = f"waiting for {endpoint}: no answer for "
    wait_for("it says what it waits for", lambda: read(actor.output).count(text) >= 2, 8)
    check("check that spur-modelserver runs there" in read(actor.output), read(actor.output))
    actor.terminate()
    check(end(actor, 3) == 0, f"SIGTERM: {actor.returncode}")


def wrong_command_lines(stage):
    for args, words in ((["--modelserver", "nonsense"], "tcp://HOST:PORT"),
                        ([], "--modelserver is missing"),
                        (["--modelserver", "ipc:///tmp/x", "--task", "hoper"], "nearest: hopper; all: "),
                        (["--modelserver", "ipc:///tmp/x", "--bind", "ipc:///no/such/folder/x"], "/no/such/folder"),
                        (["--modelserver", "ipc:///tmp/x", "--envs-per-actor", "257"], "from 1 to 256"),
                        (["--modelserver", "ipc:///tmp/x", "--surprise"], "surprise")):
        code, text = stage.call("spur-actor", *args, seconds=5)
        check(code != 0 and words in text, f"{args}: {code}, expected \"{words}\":\n{text}")


main(actors_join_are_lost_and_leave, the_older_of_two_is_fenced, no_modelserver, wrong_command_lines)
