# SPDX-License-Identifier: MIT
"""Finds a Python that has the libraries of actor/python.

Debian's packages belong to Debian's python3; another one may come first on PATH. A
test calls use() first of all: it goes on under an interpreter that can import them,
or says what is missing and counts as skipped.
"""
import os
import subprocess
import sys

SKIPPED = 77  # what meson takes for "skipped"
NEEDS = "import zmq, google.protobuf, numpy"
PACKAGE = os.path.join(os.environ["SPUR_SOURCE_ROOT"], "actor", "python")


def has_libraries(python):
    return subprocess.run([python, "-c", NEEDS], stderr=subprocess.DEVNULL, check=False).returncode == 0


def use():
    try:
        import google.protobuf  # noqa: F401
        import numpy  # noqa: F401
        import zmq  # noqa: F401
        sys.path.insert(0, PACKAGE)
        sys.dont_write_bytecode = True
        return
    except ModuleNotFoundError:
        pass
    for python in ("/usr/bin/python3", "/usr/local/bin/python3"):
        if os.access(python, os.X_OK) and not os.path.samefile(python, sys.executable) and has_libraries(python):
            os.execv(python, [python] + sys.argv)
    print("skipped: no python3 here has zmq, protobuf and numpy "
          "(apt-get install python3-zmq python3-protobuf python3-numpy)")
    sys.exit(SKIPPED)
