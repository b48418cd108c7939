#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that every header compiles alone. Arguments: the command of the compiler."""
import os
import subprocess
import sys
import tempfile

root = os.environ.get("SPUR_SOURCE_ROOT", ".")
compiler = [a for a in sys.argv[1:]] or ["cc"]
headers = sorted(os.path.relpath(os.path.join(folder, name), root)
                 for top in ("common", "proto", "daemon", "actor", "modelserver", "learner", "cli", "include/spur")
                 for folder, _, names in os.walk(os.path.join(root, top)) for name in names if name.endswith(".h"))
assert len(headers) >= 10, "no headers found"

with tempfile.TemporaryDirectory() as scratch:
    path = os.path.join(scratch, "alone.c")
    failed = 0
    for header in headers:
        with open(path, "w", encoding="utf-8") as source:
            source.write(f'#include "{header}"\nextern int alone;\n')
        result = subprocess.run(compiler + ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-fsyntax-only", "-I", root, path],
                                capture_output=True, text=True)
        if result.returncode:
            failed += 1
            print(f"{header} does not compile alone:\n{result.stderr}")
print(f"{len(headers) - failed} of {len(headers)} headers stand alone")
sys.exit(1 if failed else 0)
