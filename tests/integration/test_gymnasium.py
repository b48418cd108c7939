#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that Gymnasium's own environments run in a process as they come: step for step what a bare loop gives, and
trained and evaluated by `spur run --env python:gym:ID`.

Needs an interpreter with gymnasium, and mujoco for HalfCheetah-v5: $SPUR_TEST_PYTHON, or python3 of $VIRTUAL_ENV or of
PATH. Without one the test is skipped, and says so."""
import json
import os
import subprocess
import sys

from harness import SHORT, SOURCE, check, end, main, progress, python_with, read

RUNNER = os.path.join(SOURCE, "actor", "env", "process", "spur_env.py")

# Run by that interpreter: the runner, by its pipes, beside the bare environment.
BESIDE = r"""
import os, struct, subprocess, sys
import gymnasium, numpy as np
runner, env_id = sys.argv[1:]
to_child, from_child = os.pipe(), os.pipe()
def move():
    high = [os.dup(fd) for fd in (to_child[0], from_child[1])]
    os.dup2(high[0], 3)
    os.dup2(high[1], 4)
child = subprocess.Popen([sys.executable, runner, "gym:" + env_id], preexec_fn=move, close_fds=False)
def read(n):
    data = b""
    while len(data) < n:
        data += os.read(from_child[0], n - len(data))
    return data
def call(kind, payload=b""):
    os.write(to_child[1], struct.pack("<II", kind, len(payload)) + payload)
    kind, size = struct.unpack("<II", read(8))
    return kind, read(size)
kind, made = call(1, struct.pack("<II", 1, 0))
assert kind == 16, made
env = gymnasium.make(env_id)
version, obs_dim, act_dim, horizon = struct.unpack_from("<IIII", made)
assert (obs_dim, act_dim) == (env.observation_space.shape[0], env.action_space.shape[0])
assert horizon == env.spec.max_episode_steps
assert np.array_equal(np.frombuffer(made, "<f8", act_dim, 24), env.action_space.low)
draw, steps, ends = np.random.default_rng(0), 0, 0
while ends < 2 and steps < 1200:
    obs = env.reset(seed=steps)[0]
    answer = call(2, struct.pack("<Q", steps))[1]
    assert np.array_equal(np.frombuffer(answer, "<f8", offset=16), obs)
    over = False
    while not over and steps < 1200:
        action = draw.uniform(env.action_space.low, env.action_space.high)
        obs, reward, terminated, truncated, _ = env.step(action.astype(np.float32))
        flags, _, paid, *seen = struct.unpack(f"<IId{obs_dim}d", call(3, action.astype("<f8").tobytes())[1])
        assert seen == list(obs) and paid == reward and flags == terminated + 2 * truncated
        over = terminated or truncated
        steps += 1
    ends += over
assert ends >= 1
os.write(to_child[1], struct.pack("<II", 5, 0))
assert child.wait(10) == 0
print(steps, "steps alike")
"""


def compare_and_train(stage, python, env_id, obs_dim, horizon, low, high):
    beside = subprocess.run([python, "-c", BESIDE, RUNNER, env_id], capture_output=True, text=True, check=False)
    check(beside.returncode == 0 and "steps alike" in beside.stdout, beside.stdout + beside.stderr)

    run_dir = stage.path(env_id)
    sets = {**SHORT, "task.termination": "never", "task.env_python": python, "run.steps": 300}
    words = [w for key, value in sets.items() for w in ("--set", f"{key}={value}")]
    run = stage.start("spur", "run", "--env", f"python:gym:{env_id}", "--run-dir", run_dir, *words)
    check(end(run, 120) == 0, read(run.output)[-3000:])
    config = read(os.path.join(run_dir, "config.yaml"))
    for line in (f"task: gym-{env_id} ", f"obs_dim: {obs_dim} ", f"horizon: {horizon} ", f'env_python: "{python}"'):
        check(line in config, f"{line} is not in\n{config[:3000]}")
    returns = [row["return_mean"] for row in progress(run_dir) if "return_mean" in row]
    check(returns and all(low < x < high for x in returns), returns)
    code, text = stage.call("spur", "eval", run_dir, "--episodes", 2, "--json", seconds=60)
    check(code == 0, text)
    result = json.loads(text[text.index("{"):text.rindex("}") + 1])
    check(result["lengths"] == [horizon, horizon] and all(low < x < high for x in result["returns"]), result)
    stage.no_orphans()


def pendulum(stage):
    compare_and_train(stage, python_with("gymnasium", "numpy"), "Pendulum-v1", 3, 200, -2000, 0)


def half_cheetah(stage):
    python = python_with("gymnasium", "mujoco")
    if python is None:
        print("half_cheetah is skipped: no interpreter has gymnasium and mujoco")
        return
    compare_and_train(stage, python, "HalfCheetah-v5", 17, 1000, -2000, 2000)


if python_with("gymnasium", "numpy") is None:
    print("skipped: no interpreter with gymnasium; set SPUR_TEST_PYTHON to one, or activate its virtual environment")
    sys.exit(77)
main(pendulum, half_cheetah)
