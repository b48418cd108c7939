#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that `spur run --from` starts a new run from another one's policy, critics, model and stored steps, each of
which can be left out, and refuses what does not fit. The first evaluation is of the policy as it was taken over."""
import os

from harness import SHORT, check, end, main, progress, read, tensors

SETS = {"run.steps": 400, "eval.every_steps": 200}


def learned(stage, task="inverted_pendulum"):
    """The directory of a finished run, and its last row."""
    run_dir = stage.path(f"first-{task}")
    run = stage.run(run_dir, sets=SETS, task=task)
    check(end(run, 60) == 0, f"the first run fails:\n{read(run.output)[-2000:]}")
    return run_dir, progress(run_dir)[-1]


def new_run(stage, name, *args, seconds=60):
    run_dir = stage.path(name)
    code, text = stage.call("spur", "run", *args, "--run-dir", run_dir, seconds=seconds)
    check(code == 0, f"{name}: exit code {code}\n{text[-3000:]}")
    return run_dir, text, progress(run_dir)


def everything_is_taken_over(stage):
    first, last = learned(stage)
    run_dir, text, rows = new_run(stage, "second", "--from", first, "--set", "run.steps=100")
    check(f"from {first} (step 400, last return " in text and "policy, critics, model, 400 steps" in text, text)
    # The same policy and start states give the same return; 400 steps are the first of 500; updates are the new run's.
    row = rows[0]
    check((row["env_steps"], row["return_mean"], row["updates"]) == (400, last["return_mean"], 0), f"{row}, not {last}")
    check(rows[-1]["env_steps"] == 500 and rows[-1]["updates"] == 2 * 100, f"the last row is {rows[-1]}")
    log = read(os.path.join(run_dir, "log"))
    check("400 real steps taken over" in log and "model 1: 400 rows" in log, log[-3000:])
    head = read(os.path.join(run_dir, "config.yaml")).split("\n\n")[0]
    check(f"It starts from {first} (step 400" in head, head)
    # The run is its own: the same command resumes it, without the other one.
    os.rename(first, first + "-moved")
    code, text = stage.call("spur", "run", "--run-dir", run_dir, "--set", "run.steps=150", seconds=60)
    check(code == 0 and progress(run_dir)[-1]["env_steps"] == 550, f"{code}: {text[-2000:]}")
    stage.no_orphans()


def parts_are_left_out(stage):
    first, last = learned(stage)
    # Without the steps the policy acts and explores; the row of step 0 is its return.
    run_dir, text, rows = new_run(stage, "no-store", "--from", first, "--without", "store", "--set", "run.steps=300")
    check("policy, critics, model\n" in text, text)
    check((rows[0]["env_steps"], rows[0]["return_mean"]) == (0, last["return_mean"]), f"{rows[0]}, not {last}")
    check(rows[-1]["env_steps"] == 300 and rows[-1]["updates"] == 2 * 100, f"the last row is {rows[-1]}")
    # The steps alone: a new policy learns from them.
    run_dir, text, rows = new_run(stage, "store", "--from", first, "--without", "policy,critics,model", "--set", "run.steps=100",
                                  "--set", "sac.hidden_width=8", "--set", "model.hidden_width=8", "--set", "run.seed=2")
    check("last return" in text and ": 400 steps\n" in text, text)
    check(rows[0]["return_mean"] != last["return_mean"] and rows[-1]["env_steps"] == 500, f"{rows}")
    policy = tensors(os.path.join(run_dir, "policy.safetensors"))
    check(policy["policy.0.weight"][1] == [8, 4], f"{policy['policy.0.weight'][:2]}")
    stage.no_orphans()


def rewards_of_another_task_are_left_out(stage):
    first, last = learned(stage, "hopper")
    sets = [w for key, value in {**SHORT, **SETS}.items() for w in ("--set", f"{key}={value}")]
    run_dir, text, rows = new_run(stage, "v5", "hopper_v5", "--from", first, *sets)
    check("policy, critics, model; not its steps, whose rewards are of hopper" in text, text)
    check(rows[0]["env_steps"] == 0 and rows[-1]["env_steps"] == 400, f"{rows}")
    code, text = stage.call("spur", "run", "inverted_pendulum", "--method", "mbpo", "--from", first, "--run-dir", stage.path("none"), *sets)
    check(code == 78 and "hopper has 11 observations and 3 actions, but inverted_pendulum has 4 and 1" in text, f"{code}: {text}")
    code, text = stage.call("spur", "run", "--from", first, "--run-dir", stage.path("none"), "--set", "sac.hidden_width=32")
    check(code == 78 and "--set sac.hidden_width=16, or start without its policy and critics" in text, f"{code}: {text}")
    code, text = stage.call("spur", "run", "--from", first, "--run-dir", stage.path("none"), "--set", "from.rows=100000",
                            "--set", "model.members=2", "--set", "model.elites=1")
    check(code == 78 and "--set model.members=3, or start without its model" in text, f"{code}: {text}")
    code, text = stage.call("spur", "run", "--from", first, "--run-dir", stage.path("none"), "--set", "model.layer_norm=true")
    check(code == 78 and "--set model.layer_norm=false, or start without its model" in text, f"{code}: {text}")
    check(not os.path.exists(stage.path("none")), "a refused run leaves a directory")
    code, text = stage.call("spur", "run", "--from", stage.folder, "--run-dir", stage.path("none"))
    check(code == 64 and "contains no run" in text, f"{code}: {text}")
    code, text = stage.call("spur", "run", "--from", first)
    check(code == 64 and "--run-dir" in text, f"{code}: {text}")
    code, text = stage.call("spur", "run", "--from", first, "--without", "store,brain", "--run-dir", stage.path("none"))
    check(code == 64 and "policy, critics, model and store" in text, f"{code}: {text}")
    stage.no_orphans()


main(everything_is_taken_over, parts_are_left_out, rewards_of_another_task_are_left_out)
