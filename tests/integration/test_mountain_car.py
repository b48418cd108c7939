#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that examples/gymnasium/mountain_car.yaml learns Gymnasium's MountainCarContinuous-v0 in three of three seeds,
and that its pink noise is the reason: with white noise the goal is not found.

Needs an interpreter with gymnasium, as test_gymnasium.py; takes two minutes, so only with SPUR_SLOW_TESTS."""
import os
import sys

from harness import SOURCE, check, end, main, progress, python_with, read

EXAMPLE = os.path.join(SOURCE, "examples", "gymnasium", "mountain_car.yaml")


def train(stage, name, seed, *sets):
    """The returns of the evaluations, and what the run printed."""
    run_dir = stage.path(name)
    words = [w for s in (f"task.env_python={PYTHON}", *sets) for w in ("--set", s)]
    run = stage.start("spur", "run", EXAMPLE, "--seed", seed, "--run-dir", run_dir, *words)
    check(end(run, 400) == 0, read(run.output)[-3000:])
    return [row["return_mean"] for row in progress(run_dir) if "return_mean" in row], read(run.output)


def three_of_three_seeds(stage):
    for seed in (1, 2, 3):
        returns, output = train(stage, f"pink-{seed}", seed)
        print(f"seed {seed}: returns {', '.join(f'{x:.1f}' for x in returns)}")
        check("solved at step" in output and min(returns[-3:]) >= 90, output[-2000:])


def not_with_white_noise(stage):
    returns, output = train(stage, "white", 1, "explore.noise=white", "run.steps=10000")
    check(max(returns) < 1 and "solved" not in output, returns)


PYTHON = python_with("gymnasium", "numpy")
if PYTHON is None or not os.environ.get("SPUR_SLOW_TESTS"):
    print("skipped: " + ("no interpreter with gymnasium" if PYTHON is None else "SPUR_SLOW_TESTS is not set"))
    sys.exit(77)
main(three_of_three_seeds, not_with_white_noise)
