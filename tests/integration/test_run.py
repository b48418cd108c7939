#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that a whole run works with real processes: a short InvertedPendulum run ends by itself and leaves
progress, policy, checkpoints and configuration. Its policy can be evaluated, and its status is as documented."""
import os
import re

from harness import SHORT, SOURCE, TERMINATED, check, end, endpoints, lines_of, main, progress, read, status, tensors, wait_for

STEPS, EVERY, EXPLORE, G = 2000, 250, 500, 8
# Some seconds long, so that its status can be observed.
SETS = {"run.steps": STEPS, "run.explore_steps": EXPLORE, "eval.every_steps": EVERY, "pacing.updates_per_step": G,
        "model.train_every_steps": 250, "sac.hidden_width": 32}


TYPES = {
    "integer": lambda v: type(v) is int,
    "number": lambda v: type(v) in (int, float),
    "text": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "id": lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{16}", v),
    "object": lambda v: isinstance(v, dict),
    "list": lambda v: isinstance(v, list),
}


def documented():
    """{(part, key): type} of docs/status.md: the rows of its tables; part "" is the top level."""
    keys, part = {}, ""
    for line in lines_of(os.path.join(SOURCE, "docs", "status.md")):
        if line.startswith("## "):
            part = line[3:].strip()
        row = re.match(r"\| (`[^|]+`) \| ([^|]+) \|", line)
        if row:
            names, types = re.findall("`([^`]+)`", row[1]), row[2].strip().split(", ")
            for i, name in enumerate(names):
                keys[part, name] = types[min(i, len(types) - 1)]
    return keys


def check_documented(state, keys):
    """Compares one status with the documentation: names and types."""
    parts = {"": [state], "actors": state["actors"]}
    for part in ("pacing", "learner", "model", "evaluation"):
        parts[part] = [state[part]] if state[part] else []
    for part, objects in parts.items():
        names = {name for where, name in keys if where == part}
        for o in objects:
            check(set(o) == names, f"{part or 'the top level'}: only one of JSON and docs/status.md has {sorted(set(o) ^ names)}")
            for name, value in o.items():
                check(value is None or TYPES[keys[part, name]](value),
                      f"{part}.{name} is {value!r}, but docs/status.md says {keys[part, name]}")


def a_run_ends_by_itself(stage):
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, sets=SETS)
    where = wait_for("the run's endpoints", lambda: endpoints(run_dir), 10)
    seen = []

    def watch():
        state = status(stage, where["modelserver"])
        if state:
            seen.append(state)
        return run.poll() is not None
    wait_for("the run's end", watch, 40)
    text = read(run.output)
    check(run.returncode == 0, f"spur run exits with {run.returncode}:\n{text[-2000:]}")
    stage.no_orphans()
    check(not os.listdir(stage.sockets), "sockets are left behind")
    check(not os.path.exists(os.path.join(run_dir, "endpoints")), "the file endpoints outlives the run")
    check(run_dir in text, "the summary does not name the run directory")

    rows = progress(run_dir)
    steps = [int(row["env_steps"]) for row in rows]
    # A slow evaluator skips some evaluations, never the last; the number depends on the machine.
    check(len(steps) > 1 and steps == sorted(set(steps)) and steps[-1] == STEPS, f"evaluations at {steps}")
    check(all(step % EVERY == 0 for step in steps), f"evaluations at {steps}")
    check(all(row["return_mean"] > 0 for row in rows), "an evaluation without return")
    check(rows[-1]["updates"] == G * (STEPS - EXPLORE), f"{rows[-1]['updates']} updates for {STEPS - EXPLORE} steps of learning")
    check(all("updates_per_step" in row or row["updates"] == 0 for row in rows), "updates per step are missing")
    names = lines_of(os.path.join(run_dir, "progress.csv"))[0]
    check(names.startswith("env_steps,wall_seconds,return_mean,return_std"), f"progress.csv begins with {names}")

    policy = tensors(os.path.join(run_dir, "policy.safetensors"))
    check(policy["policy.0.weight"][:2] == ("F32", [32, 4]), f"the policy's first layer is {policy['policy.0.weight'][:2]}")
    for name in ("config.yaml", "log"):
        check(os.path.getsize(os.path.join(run_dir, name)) > 0, f"{name} is empty")

    check(len(seen) > 2, "no status during the run")
    keys = documented()
    check(len(keys) > 60, f"only {len(keys)} keys found in docs/status.md")
    for state in seen:
        check_documented(state, keys)
    check(any(s["learner"]["updates"] > 0 for s in seen if s["learner"]), "no status with an update")

    code, text = stage.call("spur", "eval", run_dir, "--episodes", 3)
    check(code == 0 and "return" in text, f"spur eval: {code}\n{text}")


def sac_trains_no_model(stage):
    """method: sac, stopped on the way and resumed: real rows alone, and not one figure of a model."""
    run_dir = stage.path("run-dir")
    sets = {k: v for k, v in SHORT.items() if not k.startswith(("model.", "rollout."))}
    sets.update({"run.steps": 2000, "run.explore_steps": 200, "eval.every_steps": 400})
    del sets["compute.modelserver_threads"]

    def start():
        command = ["run", "inverted_pendulum", "--method", "sac", "--run-dir", run_dir]
        for key, value in sets.items():
            command += ["--set", f"{key}={value}"]
        return stage.start("spur", *command)
    run = start()
    where = wait_for("the run's endpoints", lambda: endpoints(run_dir), 10)

    def learning():
        state = status(stage, where["modelserver"])
        return state if state and state["learner"] and state["learner"]["updates"] > 100 else None
    state = wait_for("100 updates", learning, 30)
    check(state["method"] == "sac", f"the status says method {state['method']}")
    check(state["model"] is None and state["model_rows"] is None and state["model_capacity"] is None,
          f"figures of a model: {state['model']}, {state['model_rows']} rows of {state['model_capacity']}")
    check(set(state["learner"]["metrics"]) == {"critic_loss", "actor_loss", "temperature", "entropy", "q_mean", "discount"},
          f"the metrics are {state['learner']['metrics']}")
    keys = documented()
    check_documented(state, keys)
    run.terminate()
    check(end(run, 20) == TERMINATED, f"the first part fails:\n{read(run.output)[-2000:]}")
    files = os.listdir(os.path.join(run_dir, "checkpoint"))
    check("learner.safetensors" in files and "replay_model.safetensors" not in files, f"checkpoint holds {files}")
    check(end(start(), 60) == 0, f"the second part fails:\n{read(run.output)[-2000:]}")
    rows = progress(run_dir)
    check(rows[-1]["env_steps"] == 2000 and rows[-1]["updates"] == 2 * 1800, f"the last row is {rows[-1]}")
    names = lines_of(os.path.join(run_dir, "progress.csv"))[0].split(",")
    check("critic_loss" in names and not any("model" in n or "rollout" in n for n in names), f"columns {names}")
    with open(os.path.join(run_dir, "log"), encoding="utf-8") as log:
        text = log.read()
    check("resumed from" in text, "the learner did not resume from its checkpoint")
    check("holdout" not in text, "a model was trained")

    code, text = stage.call("spur", "run", "inverted_pendulum", "--method", "mbpo", "--run-dir", run_dir)
    check(code == 78 and "method sac, not mbpo" in text, f"another method on the same directory: {code}\n{text}")
    code, text = stage.call("spur", "run", "hopper", "--method", "sac", "--set", "model.members=3")
    check(code == 78 and "model.members: method sac does not use it; used by: mbpo" in text,
          f"a key of another method: {code}\n{text}")
    code, text = stage.call("spur", "run", "hopper", "--method", "dreamer")
    check(code == 78 and 'no method "dreamer": the methods are mbpo, sac' in text, f"an unknown method: {code}\n{text}")
    stage.no_orphans()


def resuming_a_finished_run_ends_at_once(stage):
    run_dir = stage.path("run-dir")
    sets = {"run.steps": 210, "eval.every_steps": 210}
    check(end(stage.run(run_dir, sets=sets), 30) == 0, "the run fails")
    rows = progress(run_dir)
    check(len(rows) == 1, f"{len(rows)} evaluations")
    again = stage.run(run_dir, sets=sets)
    check(end(again, 20) == 0, f"resuming a finished run fails:\n{read(again.output)}")
    check(progress(run_dir) == rows, "a finished run was evaluated again")
    check("run.steps=N" in read(again.output), read(again.output))
    stage.no_orphans()


def a_finished_run_goes_on(stage):
    """More steps, and other evaluations, in the same directory; a key that is fixed is refused."""
    run_dir = stage.path("run-dir")
    check(end(stage.run(run_dir, sets={"run.steps": 400, "eval.every_steps": 200}), 30) == 0, "the run fails")
    more = ("run", "--run-dir", run_dir, "--set", "run.steps=900", "--set", "eval.every_steps=250", "--set", "eval.episodes=1")
    code, text = stage.call("spur", *more, "--set", "sac.batch_size=64")
    check(code == 78 and "sac.batch_size 32, not 64" in text and "may change run.steps" in text, f"{code}: {text}")
    code, text = stage.call("spur", *more, seconds=40)
    check(code == 0 and "changed: run.steps 400 to 900, eval.every_steps 200 to 250, eval.episodes 2 to 1" in text, f"{code}: {text}")
    rows = progress(run_dir)
    steps = [row["env_steps"] for row in rows]
    check(400 in steps and steps[-1] == 900 and set(steps) <= {200, 400, 500, 750, 900}, f"evaluations at {steps}")
    check(rows[-1]["updates"] == 2 * 700, rows[-1])
    check(rows[-1]["return_std"] == 0, "more than one episode")
    code, text = stage.call("spur", "run", "--run-dir", run_dir, "--set", "run.steps=600")
    check(code == 78 and "evaluated at step 900 already" in text, f"{code}: {text}")
    stage.no_orphans()


def a_run_without_actors_ends(stage):
    """The terminal says what is stuck; after run.stuck_stop_s the run stops, and can be resumed."""
    run_dir = stage.path("run-dir")
    sets = {"run.actors": 0, "run.stuck_after_s": 1, "run.stuck_stop_s": 4}
    run = stage.run(run_dir, sets=sets)
    check(end(run, 30) == 1, f"exit code {run.returncode}:\n{read(run.output)}")
    text = read(run.output)
    check("modelserver: nothing has moved for 1 s: no actor has joined" in text, text)
    check("nothing has moved for 4 s: no actor has joined" in text and "to resume: " in text, text)
    code, text = stage.call("spur", "run", "--run-dir", run_dir, "--set", "run.actors=1", "--set", "run.stuck_stop_s=0", seconds=60)
    check(code == 0, f"{code}: {text}")
    stage.no_orphans()


main(a_run_without_actors_ends, a_run_ends_by_itself, sac_trains_no_model, resuming_a_finished_run_ends_at_once, a_finished_run_goes_on)
