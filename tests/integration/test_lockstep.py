#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that `lockstep` gives the same bits: two runs of one seed, on one thread and on two, leave equal tensors
in every checkpoint of learner and model server and equal learning curves, while another seed does not."""
import os

from harness import SHORT, TERMINATED, check, end, endpoints, main, progress, read, tensors, wait_for

# Tensors of clock time and of refused or resent messages are not part of the algorithm.
CLOCK = ("clock", "counters")
# With learned termination every part that samples, trains and is saved is covered.
SETS = {"pacing.mode": "lockstep", "run.steps": 300, "checkpoint.every_s": 600, "task.termination": "learned"}

DHMBPO = {"sac.batch_size": 64, "sac.hidden_width": 32, "rollout.per_step": None, "rollout.retain_epochs": None,
          "sac.real_ratio": None, "pacing.updates_per_step": 1, "model.train_every_steps": 100,
          "dhmbpo.warm_start_updates": 50, "dhmbpo.starts": 64, "dhmbpo.states": 200, "dhmbpo.retain": 3}


def all_tensors(run_dir):
    """{file: tensors} of all tensor files in the run directory."""
    found = {}
    for folder, _, files in os.walk(run_dir):
        for name in files:
            if name.endswith(".safetensors"):
                path = os.path.join(folder, name)
                found[os.path.relpath(path, run_dir)] = {k: v for k, v in tensors(path).items() if k not in CLOCK}
    return found


def curve(run_dir):
    """{step: return of its policy}. The other columns are the state when the report arrived, which depends on
    the clock."""
    return {row["env_steps"]: (row["return_mean"], row["return_std"], row["updates"]) for row in progress(run_dir)}


def same_seed_same_bits(stage, *args, sets=None):
    dirs = {}
    for name, seed, threads in (("first", 5, 1), ("second", 5, 2), ("other", 6, 1)):
        dirs[name] = stage.path(name)
        own = {**SETS, "compute.learner_threads": threads, "compute.modelserver_threads": threads, **(sets or {})}
        run = stage.run(dirs[name], *args, seed=seed, sets=own)
        check(end(run, 30) == 0, f"the {name} run fails:\n{read(run.output)[-2000:]}")
    first, second, other = (all_tensors(dirs[name]) for name in ("first", "second", "other"))
    check(first.keys() == second.keys(), f"{sorted(first)} in the first, {sorted(second)} in the second")
    for kind in ("learner", "modelserver"):
        check(any(kind in path for path in first), f"no checkpoint of the {kind} among {sorted(first)}")
    for path in first:
        check(first[path].keys() == second[path].keys(), f"{path}: other tensors")
        for tensor, value in first[path].items():
            check(value == second[path][tensor], f"{path}: {tensor} differs between two runs of one seed")
    # An evaluation is skipped while the evaluator is busy, except the last one.
    one, two = curve(dirs["first"]), curve(dirs["second"])
    check(300 in one and 300 in two, f"no evaluation at the end: {one}, {two}")
    for step in one.keys() & two.keys():
        check(one[step] == two[step], f"step {step}: {one[step]} and {two[step]}")
    differing = [p for p in first if p in other and first[p] != other[p]]
    check(differing, "another seed gives the same bits: nothing was compared")


def same_bits_of_double_horizons(stage):
    # Two trainings, learned ends, growing k, and states that two rollouts of a batch make.
    same_seed_same_bits(stage, "--method", "dhmbpo", sets=DHMBPO)


def same_bits_without_a_model(stage):
    # Each update samples all rows so far, so that one that begins too early has other bits.
    unused = {key: None for key in SHORT if key.startswith(("model.", "rollout."))}
    unused.update({"task.termination": None, "compute.modelserver_threads": None})
    same_seed_same_bits(stage, "--method", "sac", sets=unused)


def a_second_actor_is_refused(stage):
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, sets={**SETS, "run.steps": 100000, "eval.every_steps": 100000})
    where = wait_for("the run's endpoints", lambda: endpoints(run_dir), 10)
    wait_for("the run's own actor", lambda: "joined run" in read(os.path.join(run_dir, "log")), 10)
    code, text = stage.call("spur-actor", "--modelserver", where["modelserver"], "--id", "second", seconds=10)
    check(code == 76, f"a second actor in lockstep exits with {code}:\n{text}")
    check("lockstep" in text, f"and does not say why:\n{text}")
    code, text = stage.call("spur-actor", "--modelserver", where["modelserver"], "--id", "third", "--envs-per-actor", 2, seconds=10)
    check(code == 76 and "2 environments" in text, f"two environments in lockstep: exit code {code}:\n{text}")
    run.terminate()
    check(end(run, 20) == TERMINATED, "the run failed")
    stage.no_orphans()


main(same_seed_same_bits, same_bits_of_double_horizons, same_bits_without_a_model, a_second_actor_is_refused)
