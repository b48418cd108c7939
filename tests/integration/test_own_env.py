#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that user environments train like built-in ones, with real processes: the two of examples/, one described
in YAML and one a plug-in. Such a run is resumed from another folder, evaluated, and joined by hand. Faults
of an environment are reported and harmless."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

from harness import INTERRUPTED, BIN, SHORT, SOURCE, check, end, endpoints, lines_of, main, progress, read, status, wait_for

BUILD_TESTS = os.path.join(os.environ["SPUR_BUILD_ROOT"], "tests")
LONG = {"run.steps": 1000000, "eval.every_steps": 1000000}


def example(stage, name):
    """Copies a folder of examples/; compiles its plug-ins as their comment states."""
    folder = stage.path(name)
    if not os.path.isdir(folder):
        shutil.copytree(os.path.join(SOURCE, "examples", name), folder)
    for source in (f for f in os.listdir(folder) if f.endswith(".c")):
        command = ["cc", "-O2", "-shared", "-fPIC", "-I", os.path.join(SOURCE, "include"), source,
                   "-o", source[:-2] + ".so", "-lm"]
        subprocess.run(command, cwd=folder, check=True)
    return folder


def short(sets=None):
    return [word for key, value in {**SHORT, **(sets or {})}.items() for word in ("--set", f"{key}={value}")]


def config_of(run_dir):
    """{key: value} of section task of a run's configuration, and its task's name."""
    found, section = {}, ""
    for line in lines_of(os.path.join(run_dir, "config.yaml")):
        if line[:1].isalpha():
            section = line.split(":")[0]
        elif line.startswith("  ") and (section == "task" or line.startswith("  task:")):
            key, value = line.split("#")[0].split(":", 1)
            found[key.strip()] = value.strip().strip('"')
    return found


def a_description(stage):
    folder = example(stage, "cartpole")
    run_dir = stage.path("run-dir")
    # Stopped, and resumed from another folder: the task's file is found.
    run = stage.run(run_dir, task=os.path.join("cartpole", "cartpole.yaml"), sets={"run.steps": 200000})
    where = wait_for("the run's endpoints", lambda: endpoints(run_dir), 20)
    wait_for("steps", lambda: (status(stage, where["modelserver"]) or {}).get("env_steps", 0) > 250, 40)
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == INTERRUPTED, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")
    found = config_of(run_dir)
    check(found["env"] == os.path.realpath(os.path.join(folder, "cartpole.env.yaml")), found)
    check((found["task"], found["obs_dim"], found["act_dim"], found["horizon"]) == ("cartpole", "4", "1", "300"), found)
    check(found["healthy"] == "[1, -0.3, 0.3, 0, -1, 1]", found)
    check(found["clipped"] == "[2, 3, -20, 20]", found)
    os.mkdir(stage.path("elsewhere"))
    again = stage.start("spur", "run", "--run-dir", run_dir, cwd=stage.path("elsewhere"))
    before = wait_for("steps of the past", lambda: (status(stage, (endpoints(run_dir) or where)["modelserver"]) or {})
                      .get("env_steps", 0), 20)
    wait_for("more", lambda: status(stage, endpoints(run_dir)["modelserver"])["env_steps"] > before + 20, 30)
    again.send_signal(signal.SIGINT)
    check(end(again, 20) == INTERRUPTED, f"exit code {again.returncode}:\n{read(again.output)[-2000:]}")
    check(before > 250, f"resumed at step {before}")

    code, text = stage.call("spur", "eval", run_dir, "--episodes", 3, "--json")
    check(code == 0, text)
    result = json.loads(text)
    check(result["task"] == "cartpole" and len(result["returns"]) == 3, result)

    # Without its file, or with another one, the error names what is missing.
    os.rename(os.path.join(folder, "cartpole.env.yaml"), os.path.join(folder, "moved.env.yaml"))
    code, text = stage.call("spur", "eval", run_dir)
    check(code == 78 and "the environment's file is not there" in text, f"{code}: {text}")
    moved = read(os.path.join(folder, "moved.env.yaml"))
    with open(os.path.join(folder, "cartpole.env.yaml"), "w", encoding="utf-8") as f:
        f.write(moved.replace("- qvel: all\n    clip: [-20, 20]", ""))
    code, text = stage.call("spur", "run", "--run-dir", run_dir)
    check(code == 78 and "the environment has changed since" in text, f"{code}: {text}")
    stage.no_orphans()


def a_plugin(stage):
    folder = example(stage, "pendulum")
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, task=os.path.join(folder, "pendulum.yaml"), sets=LONG)
    where = wait_for("the run's endpoints", lambda: endpoints(run_dir), 20)
    server = where["modelserver"]
    wait_for("steps", lambda: (status(stage, server) or {}).get("env_steps", 0) > 10, 30)

    check(status(stage, server)["ends"]["terminated"] == 0, status(stage, server)["ends"])
    # No rule: termination is learned. A task's settings, but not its target return.
    check(config_of(run_dir)["termination"] == "learned", config_of(run_dir))
    code, text = stage.call("spur", "config", "hopper", "--env", os.path.join(folder, "pendulum.so"))
    check(code == 0 and "  target: none" in text and "  steps: 125000" in text, f"{code}: {text}")

    # An actor by hand: without the environment, with another one, with the right one.
    join = ["--modelserver", server, "--learner", where["learner"]]
    code, text = stage.call("spur-actor", *join)
    check(code == 76 and "which is not built in: start this process with --env ENV" in text, f"{code}: {text}")
    code, text = stage.call("spur-actor", *join, "--env", os.path.join(BUILD_TESTS, "faulty_none.so"))
    check(code == 76 and "this run's task is pendulum with 3 and 1" in text, f"{code}: {text}")
    code, text = stage.call("spur-actor", *join, "--env", os.path.join(BUILD_TESTS, "faulty_version.so"))
    check(code == 78 and "version 99" in text, f"{code}: {text}")
    hand = stage.start("spur-actor", *join, "--env", os.path.join("pendulum", "pendulum.so"), "--id", "by-hand")

    def by_hand():
        return next((a["steps"] for a in status(stage, server)["actors"] if a["id"] == "by-hand"), 0)
    wait_for("its steps", lambda: by_hand() > 10, 20)
    hand.terminate()
    check(end(hand, 5) == 0, read(hand.output))
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == INTERRUPTED, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")
    code, text = stage.call("spur", "eval", run_dir, "--episodes", 2, "--json")
    check(code == 0 and json.loads(text)["lengths"] == [200.0, 200.0], f"{code}: {text}")
    code, text = stage.call("spur", "eval", "--policy", os.path.join(run_dir, "policy.safetensors"))
    check(code != 0 and "or its environment with --env ENV" in text, f"{code}: {text}")
    code, text = stage.call("spur", "eval", "--policy", os.path.join(run_dir, "policy.safetensors"), "--env",
                            os.path.join(folder, "pendulum.so"), "--episodes", 1)
    check(code == 0 and "pendulum" in text, f"{code}: {text}")
    code, text = stage.call("spur", "render", run_dir, "--out", stage.path("film.mp4"))
    check(code != 0 and "no picture" in text, f"{code}: {text}")
    stage.no_orphans()


def a_slow_plugin(stage):
    # Each process creates its environment in itself for 4 s after it has joined: it is not lost, and the run has all
    # evaluations.
    run_dir = stage.path("run-dir")
    slow = ["--env", os.path.join(BUILD_TESTS, "faulty_slow.so")]
    limits = {"network.lost_after_ms": 1000, "network.heartbeat_ms": 200, "task.isolate": "false"}
    run = stage.run(run_dir, *slow, sets=limits)
    code = end(run, 60)
    log = read(os.path.join(run_dir, "log"))
    check(code == 0 and len(progress(run_dir)) >= 2, f"{code}: {read(run.output)}\n{progress(run_dir)}")
    check("evaluator joined" in log and "is lost" not in log, log)

    # A signal ends an actor that creates its environment, and a whole run.
    run_dir = stage.path("stopped")
    run = stage.run(run_dir, *slow, sets={**LONG, **limits})
    where = wait_for("the run's endpoints", lambda: endpoints(run_dir), 20)
    join = ["--modelserver", where["modelserver"], "--learner", where["learner"]]
    hand = stage.start("spur-actor", *join, *slow, "--no-isolate", "--id", "by-hand")
    wait_for("it joins", lambda: "by-hand joined" in read(os.path.join(run_dir, "log")), 10)
    time.sleep(0.5)  # it receives the Welcome
    hand.terminate()
    check(end(hand, 3) == 0, f"exit code {hand.returncode}: {read(hand.output)}")
    check("stopped while the environment was being created" in read(hand.output), read(hand.output))
    wait_for("its Goodbye", lambda: "by-hand left" in read(os.path.join(run_dir, "log")), 1)
    run.send_signal(signal.SIGINT)
    check(end(run, 6) == INTERRUPTED, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")
    stage.no_orphans()


def a_broken_plugin(stage):
    # It fails from the third step of every episode on; earlier steps are good.
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, "--env", os.path.join(BUILD_TESTS, "faulty_nan_in_step.so"), sets=LONG)
    code = end(run, 30)
    text = read(run.output) + read(os.path.join(run_dir, "log"))
    check(code == 78, f"exit code {code}:\n{text}")
    check("the environment counter is broken" in text and "left observation 0 non-finite" in read(run.output), text)
    stage.no_orphans()
    for fault, words in (("nan_reward", "returned a reward that is non-finite"), ("overrun", "wrote beyond its 2 observations before")):
        run = stage.run(stage.path(fault), "--env", os.path.join(BUILD_TESTS, f"faulty_{fault}.so"), sets=LONG)
        check(end(run, 30) == 78 and words in read(run.output), f"{fault}: {run.returncode}: {read(run.output)}")
        check(not progress(stage.path(fault)), "it was learned from")
    stage.no_orphans()


def a_plugin_that_prints(stage):
    # Its banner is in the log, not in the output that other programs read.
    plugin = os.path.join(BUILD_TESTS, "faulty_meddles.so")

    def output(*args):
        return subprocess.run([os.path.join(BIN, "spur"), *args], cwd=stage.folder, check=True, capture_output=True, text=True,
                              timeout=30)
    config = output("config", "--env", plugin)
    check("a banner" in config.stderr and "a banner" not in config.stdout, config.stderr)
    with open(stage.path("c.yaml"), "w", encoding="utf-8") as f:
        f.write(config.stdout)
    run = stage.run(stage.path("run-dir"), task=stage.path("c.yaml"))
    check(end(run, 60) == 0, read(run.output))
    check(re.search(r"actor-0 info  counter.*a banner|actor-0 info  faulty_meddles.*a banner",
                    read(os.path.join(stage.path("run-dir"), "log"))), "the banner is not in the log")
    check(len(json.loads(output("eval", stage.path("run-dir"), "--json").stdout)["returns"]) == 2, "not the run's 2 episodes")
    stage.no_orphans()


def an_episode_without_end(stage):
    # It ends after 50 steps, but evaluations cut it at 20 and say so.
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, "--env", os.path.join(BUILD_TESTS, "faulty_none.so"),
                    sets={"task.horizon": 1000000000, "eval.steps_max": 20})
    check(end(run, 60) == 0, read(run.output))
    log = read(os.path.join(run_dir, "log"))
    check("2 of 2 episodes were cut at eval.steps_max, 20 steps" in log, log)
    for args, length in (([run_dir], 20), ([run_dir, "--steps", 30, "--stochastic"], 30), ([run_dir, "--policy", "zero", "--steps", 60], 50),
                         ([os.path.join(BUILD_TESTS, "faulty_none.so"), "--policy", "random"], 10)):
        code, text = stage.call("spur", "eval", *args, "--json")
        found = json.loads(text)
        check(code == 0 and found["length_max"] == length and found["cut"] == (found["episodes"] if length in (20, 30) else 0), text)
    check(found["actions"] == "random" and found["policy_version"] is None, found)


def a_plugin_that_crashes(stage):
    # From the third step of every episode on, with the reason in the log, and the run ends as with other faults.
    run = stage.run(stage.path("run-dir"), "--env", os.path.join(BUILD_TESTS, "faulty_crashes.so"), sets=LONG)
    check(end(run, 30) == 78, f"exit code {run.returncode}: {read(run.output)}")
    text = read(os.path.join(stage.path("run-dir"), "log"))
    check("killed by signal 11 (Segmentation fault) before it answered STEP" in text and "failure 5" in text, text)
    check("is broken" in read(run.output), read(run.output))
    stage.no_orphans()


def wrong_files(stage):
    folder = example(stage, "cartpole")
    good = read(os.path.join(folder, "cartpole.env.yaml"))
    for old, new, words in (
            ("horizon: 300", "horizon: 0", "wrong.env.yaml:4: environment: horizon is 0"),
            ("[tip, goal]", "[tip, gaol]", "wrong.env.yaml:13: reward, reach: distance: there is no site \"gaol\""),
            ("min: -0.3, max: 0.3", "min: 0.3, max: -0.3", "the range is the wrong way round"),
            ("cartpole.xml", "nothing.xml", "there is no file")):
        check(old in good, old)
        with open(os.path.join(folder, "wrong.env.yaml"), "w", encoding="utf-8") as f:
            f.write(good.replace(old, new))
        code, text = stage.call("spur", "run", "--env", os.path.join(folder, "wrong.env.yaml"), "--run-dir", stage.path("x"))
        check(code == 78 and words in text, f"{code}, expected \"{words}\":\n{text}")
    for args, words in ((["--env", "nowhere.so"], "the environment's file is not there"),
                        (["--env", "wire"], "--env wire: the value wire was removed"),
                        (["hopper", "--set", "task.env=wire"], "docs/protocol.md describes actors of your own"),
                        (["--env", os.path.join(folder, "cartpole.xml")], "it is neither a FILE.yaml or FILE.so nor python:MODULE:FUNCTION"),
                        (["--env", os.path.join(folder, "cartpole.env.yaml"), "--set", "task.obs_dim=7"],
                         "task.obs_dim 7, task.act_dim 0, task.healthy or task.clipped differs from"),
                        ([os.path.join(folder, "cartpole.env.yaml")], "pass it with --env")):
        code, text = stage.call("spur", "run", *args, "--run-dir", stage.path("x"))
        check(code == 78 and words in text, f"{args}: {code}, expected \"{words}\":\n{text}")
    check(not os.path.exists(stage.path("x")), "a refused run leaves a folder")


main(a_description, a_plugin, a_slow_plugin, a_broken_plugin, a_plugin_that_prints, an_episode_without_end,
     a_plugin_that_crashes, wrong_files)
