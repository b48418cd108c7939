#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Guards against large regressions of speed: the share of the register peak, measured in the same rounds, that updates,
ensemble steps and rollout rows reach.

It never checks an absolute time. Bounds are far below the usual values (docs/performance.md), shares are medians of
rounds in processor time, and a busy machine gets two more tries. A failure means a slowdown by a third.
"""
import json
import os
import subprocess
import sys

TRIES = 3
# Share of the peak of this processor's widest vectors: using narrower ones is a regression too.
BOUNDS = {"sgemm_256": 0.60, "sac_updates": 0.55, "ensemble_steps": 0.45, "rollout_rows": 0.45}
BOUNDS_OPENBLAS = {"sgemm_256": 0.40, "sac_updates": 0.30, "ensemble_steps": 0.25, "rollout_rows": 0.20}


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def one_core():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def measure(spur):
    env = dict(os.environ)
    env.pop("OPENBLAS_CORETYPE", None)
    out = subprocess.run([spur, "bench", "--compute", "--json", "--seconds", "3"], env=env, preexec_fn=one_core, capture_output=True,
                         text=True, timeout=200)
    assert out.returncode == 0, (out.returncode, out.stderr)
    return json.loads(out.stdout)


def main():
    spur, sanitizers, optimization = sys.argv[1:]
    if sanitizers != "none" or optimization not in ("2", "3"):
        skip(f"optimization {optimization} and sanitizers {sanitizers} are not what is shipped")
    best = {}
    for _ in range(TRIES):
        data = measure(spur)
        cases = {case["name"]: case for case in data["cases"]}
        if "fma_peak" not in cases:
            skip("this processor's peak is not measured")
        bounds = BOUNDS_OPENBLAS if data["kernels"].startswith("OpenBLAS") else BOUNDS
        for name in bounds:
            best[name] = max(best.get(name, 0), cases[name]["share_of_limit"])
        slow = {name for name, bound in bounds.items() if best[name] < bound}
        print(f"{data['kernels']}, peak {cases['fma_peak']['median']:.0f} GFLOP/s:",
              ", ".join(f"{name} {cases[name]['share_of_limit']:.0%} (at least {bound:.0%})" for name, bound in bounds.items()))
        if not slow:
            return
    sys.exit(f"slow, in each of {TRIES} tries: {', '.join(sorted(slow))}")


main()
