#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the steps a second of a Gymnasium environment in a bare Python loop with those of the same environment in
another process (build/tests/process_speed), in interleaved rounds: by the clock, which needs an idle machine, and
by the processor time of both processes together.

    python3 tests/own/process_speed.py build/tests/process_speed Pendulum-v1 HalfCheetah-v5

Run it with an interpreter that has gymnasium; the process uses the same one."""
import os
import resource
import statistics
import subprocess
import sys
import time

import gymnasium
import numpy as np

ROUNDS, SECONDS = 5, 3.0


def bare(env_id):
    env = gymnasium.make(env_id)
    low, high = env.action_space.low, env.action_space.high
    actions = np.random.default_rng(1).uniform(low, high, (1000, *low.shape)).astype(np.float32)
    steps, over, start, cpu = 0, True, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < SECONDS:
        if over:
            env.reset(seed=steps)
        _, _, terminated, truncated, _ = env.step(actions[steps % 1000])
        over = terminated or truncated
        steps += 1
    return steps / (time.perf_counter() - start), steps / (time.process_time() - cpu)


def run(program, env_id, seconds):
    """Steps, seconds of the clock, and seconds of the processors, starts included."""
    environment = dict(os.environ, VIRTUAL_ENV=os.path.dirname(os.path.dirname(sys.executable)))
    out = subprocess.run([program, f"python:gym:{env_id}", str(seconds)], env=environment, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=True, text=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    steps, clock = out.stdout.split()
    return int(steps), float(clock), used.ru_utime + used.ru_stime


def process(program, env_id):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    few = run(program, env_id, 0.1)
    many = run(program, env_id, SECONDS)
    start = few[2] - before.ru_utime - before.ru_stime  # nearly all of it is the start
    return many[0] / many[1], (many[0] - few[0]) / (many[2] - few[2] - start)


for name in sys.argv[2:]:
    rounds = [(bare(name), process(sys.argv[1], name)) for _ in range(ROUNDS)]
    for i, unit in enumerate(("by the clock", "by processor time")):
        loop, ours = (statistics.median(r[side][i] for r in rounds) for side in (0, 1))
        shares = sorted(100 * r[1][i] / r[0][i] for r in rounds)
        print(f"{name}, {unit}: bare loop {loop:,.0f}, in a process {ours:,.0f} steps/s; "
              f"{statistics.median(shares):.0f}% ({shares[0]:.0f} - {shares[-1]:.0f})", flush=True)
