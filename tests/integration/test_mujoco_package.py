#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that `make build MUJOCO=DIR` builds spur with the MuJoCo of the Python package `mujoco`: the programs say its
version, train and evaluate a built-in task, and compile a model that needs MuJoCo 3.

Needs an interpreter with the package: $SPUR_TEST_PYTHON, or python3 of $VIRTUAL_ENV or of PATH. Without one the test is
skipped, and says so. Argument: the sanitizers of this build."""
import os
import shutil
import subprocess
import sys
import tempfile

import harness
from harness import SOURCE, check, end, main, progress, python_with, read

PYTHON = python_with("mujoco")
NEWER = """<mujoco><worldbody><frame pos="0 0 1"><body gravcomp="1"><joint name="j" type="slide"/><geom size="0.1"/>
</body></frame></worldbody><actuator><motor joint="j" ctrllimited="true" ctrlrange="-1 1"/></actuator></mujoco>"""
DESCRIPTION = "model: newer.xml\nhorizon: 20\nobserve: [{qpos: all}, {qvel: all}]\nreward: {alive: {constant: 1}}\n"


def package():
    """(folder, version) of the package."""
    code = "import mujoco; print(mujoco.__path__[0]); print(mujoco.__version__)"
    return subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def builds_and_runs(stage):
    folder, version = package()
    build = os.path.join(tempfile.mkdtemp(prefix="spur-test-build-"), "build")
    try:
        command = ["make", "-C", SOURCE, "--no-print-directory", "build", f"MUJOCO={folder}", f"BUILD={build}"]
        setup = {"SETUP": "-Dtests=false"}
        made = subprocess.run(command, env={**os.environ, **setup}, capture_output=True, text=True, check=False)
        check(made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:])
        harness.BIN = os.path.join(build, "bin")
        for program in ("spur", "spur-actor", "spur-parity"):
            code, text = stage.call(program, "--version")
            check(code == 0 and text.endswith(f", for MuJoCo {version}\n"), text)

        run_dir = stage.path("run-dir")
        run = stage.run(run_dir)
        check(end(run, 60) == 0, read(run.output))
        check(progress(run_dir)[-1]["env_steps"] == 400, progress(run_dir))
        check(f"for MuJoCo {version}" in read(os.path.join(run_dir, "log")), "the log does not name the version")
        check(f"for MuJoCo {version}" in read(os.path.join(run_dir, "config.yaml")), "config.yaml does not")

        for name, text in (("newer.xml", NEWER), ("newer.env.yaml", DESCRIPTION)):
            with open(stage.path(name), "w", encoding="utf-8") as f:
                f.write(text)
        code, text = stage.call("spur", "config", "--env", stage.path("newer.env.yaml"))
        check(code == 0 and "obs_dim: 2" in text, text)
    finally:
        shutil.rmtree(os.path.dirname(build))


if sys.argv.pop(1) != "none":
    print("skipped: a build with sanitizers tests its own MuJoCo")
elif PYTHON is None:
    print("skipped: no interpreter with the package mujoco; set SPUR_TEST_PYTHON to one, or activate its environment")
    sys.exit(77)
else:
    main(builds_and_runs)
