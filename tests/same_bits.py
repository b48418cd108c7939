#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares two builds to the bit: a change that is not meant to alter results must pass.

    tests/same_bits.py BEFORE AFTER [--runs DIR] [--only TASK]

BEFORE and AFTER are folders with spur's programs (build/bin). Each build makes the same two lockstep
runs: 700 steps of InvertedPendulum and 2,000 of Hopper, 1,000 of them exploration. Then every tensor of
the policy, the learner, D_model and the model server must be equal. Clock readings and counters of
refused messages are left out, since they depend on timing. Takes a few minutes a build on two cores;
with --runs the run directories are kept, and a finished run found there is compared, not repeated.
"""
import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile

RUNS = {
    "inverted_pendulum": ["run.steps=700"],
    "hopper": ["run.steps=2000", "run.explore_steps=1000"],
}
SETS = ["pacing.mode=lockstep", "run.stop_when_solved=false", "checkpoint.every_s=86400"]
TIMING = {"clock", "counters"}
PARTS = ["policy.safetensors", "checkpoint/learner.safetensors", "checkpoint/replay_model.safetensors",
         "checkpoint/modelserver.safetensors"]


def tensors(path):
    """{name: bytes} of a safetensors file."""
    with open(path, "rb") as f:
        data = f.read()
    size, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    body = data[8 + size:]
    return {name: body[slice(*entry["data_offsets"])] for name, entry in header.items() if name != "__metadata__"}


def make_run(build, task, run_dir):
    if os.path.exists(os.path.join(run_dir, "finished")):
        return
    command = [os.path.join(build, "spur"), "run", task, "--seed", "1", "--run-dir", run_dir]
    for assignment in RUNS[task] + SETS:
        command += ["--set", assignment]
    env = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    result = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {result.returncode}\n{result.stdout[-1000:]}{result.stderr[-2000:]}")
    open(os.path.join(run_dir, "finished"), "w").close()


def compare(task, before, after):
    """Prints one row a file; returns how many tensors differ or are missing."""
    faults = 0
    for part in PARTS:
        one, two = (tensors(os.path.join(d, part)) for d in (before, after))
        names = sorted((one.keys() | two.keys()) - TIMING)
        bad = [n for n in names if one.get(n) != two.get(n)]
        size = sum(len(one.get(n, b"")) for n in names)
        print(f"{task:20} {part:40} {len(names):4} tensors {size:12,} bytes  "
              + (f"DIFFERENT: {', '.join(bad)}" if bad else "equal"))
        faults += len(bad) + (not names)
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--runs", help="keep the run directories in DIR/before and DIR/after")
    parser.add_argument("--only", choices=sorted(RUNS), help="one task instead of both")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spur-same-bits-") as scratch:
        root = options.runs or scratch
        faults = 0
        for task in [options.only] if options.only else RUNS:
            dirs = [os.path.join(root, name, task) for name in ("before", "after")]
            for build, run_dir in zip((options.before, options.after), dirs):
                os.makedirs(os.path.dirname(run_dir), exist_ok=True)
                make_run(build, task, run_dir)
            faults += compare(task, *dirs)
    sys.exit(1 if faults else 0)


main()
