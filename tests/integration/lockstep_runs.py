# SPDX-License-Identifier: MIT
"""Short lockstep runs, and what must be equal in two of them: every tensor of policy, learner, D_model and model
server, the stored rows and the learning curve."""
import os
import time

import harness
from harness import check, end, progress, read, tensors

CLOCK = ("clock", "counters")  # of time, and of refused or resent messages
SETS = {"pacing.mode": "lockstep", "run.steps": 320, "run.explore_steps": 120, "checkpoint.every_s": 1,
        "eval.every_steps": 80, "model.train_every_steps": 80, "task.termination": "learned",
        "network.lost_after_ms": 1000, "network.heartbeat_ms": 200}
# A policy is published after every second update, and not where a step ends.
DHMBPO = {"rollout.per_step": None, "rollout.retain_epochs": None, "sac.real_ratio": None,
          "dhmbpo.warm_start_updates": 51, "dhmbpo.starts": 64, "dhmbpo.states": 200, "dhmbpo.retain": 3}
SAC = {key: None for key in harness.SHORT if key.startswith(("model.", "rollout."))}
METHODS = {
    "mbpo": (("--method", "mbpo"), {"explore.noise": "pink"}),
    "sac": (("--method", "sac"), {**SAC, "pacing.updates_per_step": 12, "task.termination": None,
                                  "model.train_every_steps": None, "compute.modelserver_threads": None}),
    "dhmbpo": (("--method", "dhmbpo"), DHMBPO),
}


def result(stage, run_dir):
    """What must be equal: {name: value}."""
    found = {}
    for folder, _, files in os.walk(run_dir):
        for name in files:
            if name.endswith(".safetensors") and "previous" not in name and "best" not in name:
                path = os.path.join(folder, name)
                for tensor, (kind, shape, data) in sorted(tensors(path).items()):
                    if tensor in CLOCK:
                        continue
                    # D_model is a ring: its oldest rows, then "obs.2" and so on, wherever it is split.
                    one = f"{os.path.relpath(path, run_dir)}: {tensor.removesuffix('.2')}"
                    found[one] = found.get(one, kind.encode()) + data
    found["rows"] = stage.call("spur", "data", "list", run_dir)
    found["learning curve"] = [(row["env_steps"], row["return_mean"], row["return_std"], row["updates"])
                               for row in progress(run_dir)]
    return found


def difference(one, two):
    """The names of what differs."""
    return [name for name in sorted(one.keys() | two.keys()) if one.get(name) != two.get(name)]


def start(stage, run_dir, method, more, env=()):
    args, sets = METHODS[method]
    return stage.run(run_dir, *args, *env, seed=5, sets={**SETS, **sets, **more})


def finish(stage, run, run_dir):
    check(end(run, 60) == 0, f"the run fails:\n{read(run.output)[-2000:]}")
    stage.no_orphans()


def reference(stage, method, more, env=()):
    """The result of a run without an interruption, and its time in seconds."""
    run_dir = stage.path(f"{method}-whole")
    began = time.monotonic()
    finish(stage, start(stage, run_dir, method, more, env), run_dir)
    seconds = time.monotonic() - began
    found = result(stage, run_dir)
    check(any(name.startswith("checkpoint/learner") for name in found), f"no learner among {sorted(found)}")
    check(len(found["learning curve"]) >= 4, f"the curve is {found['learning curve']}")
    return found, seconds
