#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that `spur run` predicts the memory of its processes: a run with a full D_model, whose D_env comes almost
entirely from exploration, is compared with the prediction by proportional shares (Pss)."""
import re
import statistics
import sys

from harness import check, end, endpoints, main, read, status, wait_for

TOLERANCE = 0.1
CAPACITY = 400 * 15 * 50
# Rollouts without termination, so that D_model fills quickly.
SETS = {"run.steps": 30200, "run.explore_steps": 30000, "task.termination": "never", "pacing.updates_per_step": 0.1,
        "pacing.slack_steps": 50, "rollout.per_step": 400, "rollout.schedule": "[0, 1, 15, 15]", "rollout.epoch_steps": 50,
        "model.members": 7, "model.elites": 5, "model.hidden_width": 200, "model.hidden_layers": 4,
        "model.weight_decay": "[0, 0, 0, 0, 0]", "model.batch_size": 256, "model.epochs_max": 1, "sac.hidden_width": 256,
        "sac.batch_size": 256, "eval.every_steps": 10000, "checkpoint.every_s": 1000}


def bytes_in(text):
    value, unit = re.fullmatch(r"([\d.]+) (\w+)", text).groups()
    return float(value) * {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]


def pss(stage):
    """Bytes of all processes of the test."""
    total = 0
    for pid in stage.processes():
        try:
            total += int(re.search(r"^Pss:\s+(\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.M)[1]) * 1024
        except OSError:
            continue  # it has ended
    return total


def a_full_run_is_as_large_as_predicted(stage):
    run_dir = stage.path("run-dir")
    # A debugging allocator writes to memory before its use, which makes it resident.
    stage.env["MALLOC_PERTURB_"] = "0"
    run = stage.run(run_dir, sets=SETS, task="hopper")
    wait_for("the run's endpoints", lambda: endpoints(run_dir), 10)
    predicted = bytes_in(re.search(r"^memory, predicted at most: .*; (.*) of ", read(run.output), re.M)[1])
    full = []  # samples with a full D_model
    while run.poll() is None:
        held = pss(stage)  # first, because `spur status` is a process of the test too
        where = endpoints(run_dir)
        state = status(stage, where["learner"]) if where else None
        if state and state["model_rows"] == CAPACITY:
            full.append(held)
    check(end(run, 1) == 0, read(run.output)[-2000:])
    check(full, "D_model did not become full")
    # On a busy machine messages queue up at the learner for a moment, so the largest sample is not used.
    held = statistics.median(full)
    print(f"predicted {predicted / 2**20:.1f} MiB, held {held / 2**20:.1f} MiB (at most {max(full) / 2**20:.1f})")
    check(abs(held - predicted) < TOLERANCE * predicted, f"{held / 2**20:.1f} MiB, predicted {predicted / 2**20:.1f} MiB")


if sys.argv[1:] != ["none"]:
    print(f"skipped: sanitizers ({sys.argv[1:]}) take memory of their own")
    sys.exit(77)
sys.argv = sys.argv[:1]
main(a_full_run_is_as_large_as_predicted)
