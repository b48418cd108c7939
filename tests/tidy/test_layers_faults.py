#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that check_layers.py finds each kind of fault, in a small tree with one of each."""
import os
import subprocess
import sys
import tempfile

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check_layers.py")
FILES = {
    "common/base/up.h": '#include "common/io/net.h"\n',
    "common/base/one.h": '#include "common/base/two.h"\n',
    "common/base/two.c": '#include "common/base/three.h"\n',
    "common/base/three.h": '#include <stddef.h>\n#include "common/base/one.h"\n',
    "actor/env/env_kind.h": '#include "actor/env/env.h"\n',  # part of env: no circle
    "actor/env/env.c": '#include "actor/env/env_kind.h"\n',
    "actor/env/env_mujoco.c": '#include "actor/env/env_factory.h"\n',  # up, inside a folder
    "proto/session.c": "#include <zmq.h>\n",
}
WANTED = [
    "common/base/up.h:1: common/base must not include common/io/net.h",
    "circle of includes: common/base/one, common/base/three, common/base/two",
    "actor/env/env_mujoco.c:1: actor/env must not include actor/env/env_factory.h",
    "proto/session.c:1: zmq.h enters by common/io/net.c, common/io/net_zap.c only",
    "BELOW: common/io lists common/base, which it does not include any more: remove it",
    "includes found in",
]

with tempfile.TemporaryDirectory() as folder:
    for name, text in FILES.items():
        os.makedirs(os.path.join(folder, os.path.dirname(name)), exist_ok=True)
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    ran = subprocess.run([sys.executable, CHECK], env={**os.environ, "SPUR_SOURCE_ROOT": folder},
                         capture_output=True, text=True)
missing = [text for text in WANTED if text not in ran.stdout]
if ran.returncode == 0 or missing or "actor/env/env_kind" in ran.stdout:
    sys.exit(f"exit code {ran.returncode}, without {missing}:\n{ran.stdout}{ran.stderr}")
print(f"{len(WANTED)} faults found")
