#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that folders include in order, and that each foreign library enters by its own files.

Reads every #include of the tree. A file may include its own folder and those
below it; siblings do not include each other; a foreign header appears in its
one doorway only (tests may look anywhere).
"""
import os
import re
import subprocess
import sys

root = os.environ.get("SPUR_SOURCE_ROOT", ".")

# Folder -> folders that its files may include, besides itself.
COMMON = {"common/base", "common/io", "common/config"}
MODELSERVER = {"modelserver/core", "modelserver/model", "modelserver/storage"}
BELOW = {
    "include/spur": set(),
    "common/base": set(),
    "common/io": {"common/base"},
    "common/config": {"common/base"},
    "common/nn": {"common/base", "common/config"},
    "common/task": {"common/base", "common/config"},
    "proto": COMMON,
    "daemon": COMMON | {"common/nn", "common/task", "proto"},
    "actor/env": COMMON | {"common/task", "actor/env/tasks", "actor/env/description", "include/spur"},
    "actor/env/tasks": COMMON | {"common/task", "actor/env"},
    "actor/env/description": COMMON | {"common/task", "actor/env", "actor/env/tasks"},
    "actor/env/render": COMMON | {"common/task", "actor/env"},
    "actor/env/parity": COMMON | {"common/task", "actor/env"},
    "actor": COMMON | {"common/nn", "common/task", "daemon", "proto", "actor/env"},
    "modelserver/core": COMMON | {"common/nn", "common/task", "proto", "modelserver/model", "modelserver/storage"},
    "modelserver/model": COMMON | {"common/nn", "common/task", "proto", "modelserver/storage"},
    "modelserver/storage": COMMON | {"common/nn", "common/task", "proto", "modelserver/model", "modelserver/core"},
    "modelserver": COMMON | {"common/nn", "common/task", "daemon", "proto"} | MODELSERVER,
    "learner/methods": COMMON | {"common/nn", "learner"},
    "learner": COMMON | {"common/nn", "common/task", "daemon", "proto", "learner/methods"},
    "cli/status": COMMON | {"common/task", "proto", "cli", "cli/run"},
    "cli/run": COMMON | {"common/nn", "common/task", "proto", "cli", "cli/status", "actor", "actor/env", "modelserver", "learner"}
        | MODELSERVER | {"learner/methods"},
    "cli/play": COMMON | {"common/nn", "common/task", "proto", "cli", "cli/run", "actor", "actor/env", "actor/env/render"},
    "cli/bench": COMMON | {"common/nn", "common/task", "proto", "cli", "cli/run", "cli/status", "actor", "actor/env",
                           "learner", "learner/methods", "modelserver"} | MODELSERVER,
    "cli": COMMON | {"common/nn", "common/task", "proto", "actor/env", "cli/bench", "cli/run", "cli/play", "cli/status"},
}

# header pattern -> files that may include it
DOORWAYS = {
    r"zmq\.h": {"common/io/net.c"},
    r"uv\.h": {"common/io/loop.c"},
    r"cblas\.h|openblas.*\.h": {"common/nn/blas.c"},
    r"mujoco/.*": {"actor/env/env_mujoco.c", "actor/env/render/render.c"},
    r"EGL/.*": {"actor/env/render/offscreen.c"},
    r"zlib\.h": {"cli/play/png.c"},
    r".*\.pb-c\.h|protobuf-c/.*": {f"proto/wire{part}.c" for part in ("", "_body", "_scan", "_status")},
    r"lmdb\.h": {"modelserver/storage/store.c"},
    r"yaml\.h": {"common/config/yaml_doc.c"},
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
