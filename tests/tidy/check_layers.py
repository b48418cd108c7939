#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the folders keep their order and the foreign libraries their doorways.

Reads every #include of the tree. A file may include its own folder and those
below it; siblings do not include each other; a foreign header appears in its
one doorway only (tests may look anywhere).
"""
import os
import re
import subprocess
import sys

root = os.environ.get("SPUR_SOURCE_ROOT", ".")

BELOW = {
    "common": set(),
    "common/nn": {"common"},
    "common/task": {"common"},
    "proto": {"common"},
    "actor": {"common", "common/nn", "common/task", "proto", "include/spur"},
    "include/spur": set(),
    "modelserver": {"common", "common/nn", "common/task", "proto"},
    "learner": {"common", "common/nn", "common/task", "proto"},
    "cli": {"common", "common/nn", "common/task", "proto", "actor", "modelserver", "learner"},
}

# header pattern -> files that may include it
DOORWAYS = {
    r"zmq\.h": {"common/net.c"},
    r"uv\.h": {"common/loop.c"},
    r"cblas\.h|openblas.*\.h": {"common/nn/blas.c"},
    r"mujoco/.*": {"actor/env_mujoco.c", "actor/env_render.c"},
    r"EGL/.*": {"actor/offscreen.c"},
    r"zlib\.h": {"cli/png.c"},
    r".*\.pb-c\.h|protobuf-c/.*": {f"proto/wire{part}.c" for part in ("", "_body", "_scan", "_status")},
    r"lmdb\.h": {"modelserver/store.c"},
    r"yaml\.h": {"common/yaml_doc.c"},
}


def folder_of(path):
    for folder in sorted(BELOW, key=len, reverse=True):
        if path.startswith(folder + "/"):
            return folder
    return None


def main():
    files = subprocess.run(["git", "-C", root, "ls-files", "*.c", "*.h"], capture_output=True, text=True)
    names = files.stdout.split()
    if not names:  # an unpacked archive has no git
        names = [os.path.relpath(os.path.join(d, f), root)
                 for d, _, fs in os.walk(root) for f in fs if f.endswith((".c", ".h"))]
    faults, includes = [], 0
    for name in names:
        folder = folder_of(name)
        if folder is None:
            continue
        with open(os.path.join(root, name), encoding="utf-8") as source:
            for number, line in enumerate(source, 1):
                match = re.match(r'\s*#\s*include\s+[<"]([^>"]+)[>"]', line)
                if not match:
                    continue
                includes += 1
                target = match.group(1)
                for pattern, doors in DOORWAYS.items():
                    if re.fullmatch(pattern, target) and name not in doors:
                        faults.append(f"{name}:{number}: {target} enters by {', '.join(sorted(doors))} only")
                other = folder_of(target)
                if other and other != folder and other not in BELOW[folder]:
                    faults.append(f"{name}:{number}: {folder} must not include {target}")
    if includes < 20:
        faults.append(f"only {includes} includes found in {root}: is this the source tree?")
    print("\n".join(faults) or f"{includes} includes in order")
    return 1 if faults else 0


sys.exit(main())
