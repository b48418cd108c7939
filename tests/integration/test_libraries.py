#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that programs run without MuJoCo, EGL and OpenBLAS, and all but the model server without LMDB: invalid
files with the names of the libraries hide the real ones. The commands of an operator work, a run whose
environment does not use MuJoCo trains to its end, and an error names the missing library. Argument: MuJoCo's version as a number of its header."""
import os
import shutil
import sys

from harness import SOURCE, check, end, main, progress, read

BUILD_TESTS = os.path.join(os.environ["SPUR_BUILD_ROOT"], "tests")
NUMBER = int(sys.argv.pop(1))
MUJOCO = (".".join(str(NUMBER)) if NUMBER < 1000 else
          f"{NUMBER // 1000000}.{NUMBER // 1000 % 1000}.{NUMBER % 1000}")
HIDDEN = [f"libmujoco.so.{MUJOCO}", "libmujoco.so", "libEGL.so.1", "libopenblas.so.0", "libopenblas.so"]


def hide(stage, *names):
    folder = stage.path("hidden")
    os.makedirs(folder, exist_ok=True)
    for name in names:
        with open(os.path.join(folder, name), "w", encoding="utf-8"):
            pass
    stage.env["LD_LIBRARY_PATH"] = folder


def operators_commands(stage):
    hide(stage, *HIDDEN, "liblmdb.so.0", "liblmdb.so")
    code, text = stage.call("spur-modelserver", "--help")
    check(code == 127 and "liblmdb" in text, f"a hidden library is found: {code}: {text}")
    for command in (["spur", "--help"], ["spur", "--version"], ["spur", "tasks"], ["spur", "tasks", "--mjcf", "hopper"],
                    ["spur", "config", "hopper"], ["spur", "status", "--help"], ["spur", "bench", "--help"],
                    ["spur-actor", "--help"], ["spur-learner", "--help"]):
        code, text = stage.call(*command)
        check(code == 0 and text, f"{command}: {code}: {text}")
    code, text = stage.call("spur", "status", f"ipc://{stage.sockets}/nobody")
    check(code == 69 and "nobody" in text and ".so" not in text, f"{code}: {text}")


def runs_without_them(stage):
    """Environments in a plug-in and in another process train and are evaluated."""
    hide(stage, *HIDDEN)
    shutil.copy(os.path.join(SOURCE, "tests", "own", "process_envs.py"), stage.folder)
    for name, env in ("counter", os.path.join(BUILD_TESTS, "faulty_none.so")), ("process_envs", "python:process_envs:Balance"):
        run_dir = stage.path(f"run-{name}")
        run = stage.run(run_dir, "--env", env)
        check(end(run, 60) == 0, f"exit code {run.returncode}:\n{read(run.output)}")
        check(progress(run_dir)[-1]["env_steps"] == 400, read(run.output))
        code, text = stage.call("spur", "eval", run_dir, "--episodes", 1)
        check(code == 0 and name in text, f"{code}: {text}")


def what_is_missing(stage):
    hide(stage, *HIDDEN)
    sentence = f"this environment needs MuJoCo {MUJOCO}, which cannot be loaded"
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir)
    check(end(run, 20) == 69 and sentence in read(run.output), f"{run.returncode}: {read(run.output)}")
    check(not os.path.exists(run_dir), "a refused run leaves a folder")
    code, text = stage.call("spur-parity", os.path.join(SOURCE, "tests", "parity", "hopper.json"))
    check(code != 0 and sentence in text, f"{code}: {text}")
    run = stage.run(run_dir, "--env", os.path.join(BUILD_TESTS, "faulty_none.so"), sets={"compute.kernels": "openblas"})
    check(end(run, 20) == 78 and "compute.kernels: OpenBLAS cannot be loaded" in read(run.output), read(run.output))


main(operators_commands, runs_without_them, what_is_missing)
