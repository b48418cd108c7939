#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that an environment in another process is trained on, killed, resumed, evaluated, rendered and joined like a
built-in one; that lockstep reproduces it; and that failures of its process are reported and bounded."""
import json
import os
import re
import shutil
import signal

from harness import (INTERRUPTED, SHORT, SOURCE, check, counter, end, endpoints, lines_of, main, read, status, tensors,
                     wait_for)

LONG = {"run.steps": 1000000, "eval.every_steps": 1000000}
PYTHON_ENVS = os.path.join(SOURCE, "tests", "own", "process_envs.py")
CHILD = os.path.join(SOURCE, "tests", "own", "env_child.py")


def start(stage, run_dir, env, *args, sets=None, cwd=None):
    """`spur run --env ENV` in a folder that has process_envs.py."""
    folder = cwd or stage.path("envs")
    if not os.path.isdir(stage.path("envs")):
        os.mkdir(stage.path("envs"))
        shutil.copy(PYTHON_ENVS, stage.path("envs"))
    words = [w for key, value in {**SHORT, **(sets or {})}.items() for w in ("--set", f"{key}={value}")]
    return stage.start("spur", "run", "--env", env, "--run-dir", run_dir, *args, *words, cwd=folder)


def server_of(run_dir):
    return wait_for("the run's endpoints", lambda: endpoints(run_dir), 30)["modelserver"]


def steps(stage, run_dir):
    where = endpoints(run_dir)
    return ((status(stage, where["modelserver"]) or {}) if where else {}).get("env_steps", 0)


def actor_line(stage, server, actor="actor-0"):
    return next((a for a in (status(stage, server) or {"actors": []})["actors"] if a["id"] == actor), {})


def log_of(run_dir):
    return "\n".join(lines_of(os.path.join(run_dir, "log")))


def json_of(text):
    """The object in an output, beside the lines of the environment."""
    return json.loads(text[text.index("{"):text.rindex("}") + 1])


def task_of(run_dir):
    """{key: value} of section task of the run's configuration."""
    section = read(os.path.join(run_dir, "config.yaml")).split("\ntask:\n")[1].split("\n\n")[0]
    pairs = [line.split("#")[0].split(":", 1) for line in section.splitlines()]
    return {key.strip(): value.strip().strip('"') for key, value in pairs}


def trains_and_resumes(stage):
    run_dir = stage.path("run-dir")
    run = start(stage, run_dir, "python:process_envs:Balance", sets={**LONG, "eval.every_steps": 100})
    wait_for("steps", lambda: steps(stage, run_dir) > 250, 60)
    found = task_of(run_dir)
    check((found["env"], found["obs_dim"], found["act_dim"], found["horizon"]) ==
          ("python:process_envs:Balance", "2", "1", "40"), found)
    check(found["env_dir"] == os.path.realpath(stage.path("envs")) and found["env_python"].endswith("/python3"), found)
    wait_for("a checkpoint", lambda: os.path.exists(os.path.join(run_dir, "policy.safetensors")), 30)

    # Killed, with all that it started, environments included; and resumed from another folder.
    os.kill(run.pid, signal.SIGKILL)
    end(run, 5)
    stage.no_orphans(10)
    os.mkdir(stage.path("elsewhere"))
    again = stage.start("spur", "run", "--run-dir", run_dir, cwd=stage.path("elsewhere"))
    before = wait_for("steps of the past", lambda: steps(stage, run_dir), 30)
    check(before > 200, f"resumed at step {before}")
    wait_for("more steps", lambda: steps(stage, run_dir) > before + 20, 60)

    # Another actor, as on another host.
    where = endpoints(run_dir)
    join = ["--modelserver", where["modelserver"], "--learner", where["learner"]]
    hand = stage.start("spur-actor", *join, "--env", "python:process_envs:Balance", "--id", "by-hand", cwd=stage.path("envs"))
    wait_for("its steps", lambda: actor_line(stage, where["modelserver"], "by-hand").get("steps", 0) > 5, 30)
    hand.terminate()
    check(end(hand, 10) == 0, read(hand.output))
    again.send_signal(signal.SIGINT)
    check(end(again, 30) == INTERRUPTED, f"exit code {again.returncode}:\n{read(again.output)[-2000:]}")
    stage.no_orphans()

    code, text = stage.call("spur", "eval", run_dir, "--episodes", 3, "--json", seconds=30)
    check(code == 0 and json_of(text)["task"] == "process_envs" and len(json_of(text)["returns"]) == 3, text)
    code, text = stage.call("spur", "render", run_dir, "--png", stage.path("png"), seconds=30)
    check(code == 1 and "Balance has no render()" in text, f"{code}: {text}")
    code, text = stage.call("spur", "eval", run_dir, "--env", "python:process_envs:Balance", seconds=30)
    check(code == 78 and "there is no module process_envs in" in text, f"{code}: {text}")  # not in this folder
    os.rename(stage.path("envs", "process_envs.py"), stage.path("envs", "other.py"))
    code, text = stage.call("spur", "eval", run_dir, seconds=30)
    check(code == 78 and "there is no module process_envs in" in text, f"{code}: {text}")


def a_command(stage):
    run_dir = stage.path("run-dir")
    run = start(stage, run_dir, f"python3 -S -E '{CHILD}' pictures", sets={"task.horizon": 5})
    check(end(run, 60) == 0, read(run.output))
    check("python3 -S -E" in task_of(run_dir)["env"] and task_of(run_dir)["horizon"] == "5", task_of(run_dir))
    check("child[" in log_of(run_dir) and "]: closed" in log_of(run_dir), log_of(run_dir))
    code, text = stage.call("spur", "eval", run_dir, "--json", seconds=30)
    check(code == 0 and json_of(text)["lengths"] == [5.0, 5.0], text)
    # Its own pictures, 4 by 3, cut to even sides: a start and five steps.
    code, text = stage.call("spur", "render", run_dir, "--png", stage.path("png"), seconds=30)
    check(code == 0 and "6 frames of 4x2, 25 per second" in text, f"{code}: {text}")
    check(len(os.listdir(stage.path("png"))) == 6, os.listdir(stage.path("png")))
    code, text = stage.call("spur", "render", run_dir, "--png", stage.path("png"), "--size", "64x64", seconds=30)
    check(code == 1 and "--size and --camera apply to tasks in MuJoCo" in text, f"{code}: {text}")
    stage.no_orphans()


def the_example(stage):
    run = start(stage, stage.path("run-dir"), "python:swing:Swing", sets={"run.steps": 250},
                cwd=os.path.join(SOURCE, "examples", "gymnasium"))
    check(end(run, 60) == 0, read(run.output))
    check(task_of(stage.path("run-dir"))["horizon"] == "200", task_of(stage.path("run-dir")))


def lockstep_repeats(stage):
    # The environment's own randomness comes from the seed of its resets alone.
    found = []
    for name in ("first", "second"):
        run = start(stage, stage.path(name), "python:process_envs:Balance", sets={"pacing.mode": "lockstep", "run.steps": 250})
        check(end(run, 60) == 0, read(run.output))
        found.append(tensors(os.path.join(stage.path(name), "policy.safetensors")))
    check(found[0] == found[1] and found[0], "two runs of one seed differ")


def a_process_that_dies(stage):
    run_dir = stage.path("run-dir")
    run = start(stage, run_dir, "python:process_envs:Prints", sets={**LONG, "run.explore_steps": 1000000})
    server = server_of(run_dir)
    wait_for("steps", lambda: steps(stage, run_dir) > 20, 60)
    check(re.search(r"actor-0 info  process_envs\[\d+\]: step 3 of the user", log_of(run_dir)), log_of(run_dir)[-2000:])
    actor = stage.find("spur-actor", "--id actor-0")
    children = [pid for pid in stage.processes() if parent_of(pid) == actor]
    check(len(children) == 1, f"{children} of {stage.processes()}")
    os.kill(children[0], signal.SIGKILL)
    before = steps(stage, run_dir)
    wait_for("more steps", lambda: steps(stage, run_dir) > before + 50, 60)
    wait_for("the bad step", lambda: actor_line(stage, server)["steps_bad"] == 1, 20)
    check("was killed by signal 9 (Killed) before it answered" in log_of(run_dir), log_of(run_dir)[-2000:])
    check(stage.find("spur-actor", "--id actor-0") == actor, "the actor itself was started again")
    run.send_signal(signal.SIGINT)
    check(end(run, 30) == INTERRUPTED, read(run.output))
    stage.no_orphans()


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return int(f.read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def failures_are_bounded(stage):
    for env, words, timeout in (("python:process_envs:Raises", ("RuntimeError: the arm is stuck",), 60),
                                (f"python3 -S -E '{CHILD}' hang", ("no answer to STEP in time", "is not started again"), 2)):
        run_dir = stage.path(f"run-{timeout}")
        run = start(stage, run_dir, env, sets={**LONG, "task.env_timeout_s": timeout})
        check(end(run, 90) == 78, f"exit code {run.returncode}:\n{read(run.output)}")
        text = log_of(run_dir)
        check(all(w in text for w in words) and "is broken" in text, text[-3000:])
        check("is broken" in read(run.output), read(run.output))
    check("Traceback (most recent call last):" in log_of(stage.path("run-60")), "no traceback")
    stage.no_orphans()


def some_errors_are_no_end(stage):
    run_dir = stage.path("run-dir")
    run = start(stage, run_dir, "python:process_envs:RaisesRarely", sets={"run.steps": 400})
    check(end(run, 90) == 0, f"exit code {run.returncode}:\n{read(run.output)}")
    text = log_of(run_dir)
    check("the physics state is invalid; the episode is dropped" in text and "SystemExit: 0; the episode is dropped" in text
          and "(number 20 of this actor)" in text and "started again" not in text, text[-3000:])
    stage.no_orphans()


def slow_is_not_lost(stage):
    run_dir = stage.path("run-dir")
    run = start(stage, run_dir, "python:process_envs:Slow",
                sets={**LONG, "network.heartbeat_ms": 50, "network.lost_after_ms": 800, "task.horizon": 5})
    server = server_of(run_dir)
    wait_for("two slow episodes", lambda: steps(stage, run_dir) >= 10, 60)
    state = status(stage, server)
    check(counter(state, "peers_lost") == 0 and counter(state, "transitions_duplicate") == 0, state["counters"])
    check("no answer for" not in log_of(run_dir), log_of(run_dir)[-2000:])
    # In the middle of a reset of more than a second.
    run.send_signal(signal.SIGINT)
    check(end(run, 30) == INTERRUPTED, read(run.output))
    check("is started again" not in log_of(run_dir), log_of(run_dir)[-2000:])
    stage.no_orphans()


def refused_at_the_start(stage):
    start(stage, stage.path("x"), "python:process_envs:nothing").wait()
    for env, words in (("python:no_such_module:make", "there is no module no_such_module in"),
                       ("python:process_envs:nothing", "process_envs has no nothing; it has"),
                       ("python:process_envs:not_callable", "is not callable"),
                       ("python:process_envs:fails", "OSError: no robot at 10.0.0.7"),
                       ("python:process_envs:HalfOpen", "the bounds of action 0 are 0 to inf"),
                       ("python:process_envs:Discrete", "Discrete and other spaces are not supported"),
                       ("python:process_envs:Pixels", "pixels, from which spur does not learn"),
                       ("python:process_envs:NoLimit", "has no time limit"),
                       ("no_such_command", "it was started as a command")):
        run = start(stage, stage.path("x"), env)
        check(end(run, 30) == 78 and words in read(run.output), f"{env}: {run.returncode}: {read(run.output)}")
    check("process_envs.py\", line " in "".join(read(log) for log in stage.logs), "no traceback of the user's file")
    check(not os.path.exists(stage.path("x")), "a refused run leaves a folder")


main(trains_and_resumes, a_command, the_example, lockstep_repeats, a_process_that_dies, failures_are_bounded,
     some_errors_are_no_end, slow_is_not_lost, refused_at_the_start)
