#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that includes go downwards only, without circles, and that each foreign library enters by its own files.

Reads every #include of the tree, tests and examples excepted.

- Layers: a file includes its own layer and the layers that BELOW lists for it. A layer is a
  folder, or one module of a folder where the folder is not of one height. BELOW is ordered from
  bottom to top and lists lower layers only, so that no file includes upwards, and only layers
  that are included, so that it says what depends on what.
- Modules (X.c and X.h): no circle of includes, also inside a folder. Strongly connected
  components are printed.
- Foreign headers: each appears in its one doorway only.
"""
import os
import re
import subprocess
import sys

root = os.environ.get("SPUR_SOURCE_ROOT", ".")

# Layer -> the layers that its files may include besides their own, from bottom to top.
BELOW = {
    "include/spur": "",
    "common/base": "",
    "common/io": "common/base",
    "common/config": "common/base",
    "common/task": "common/base common/config",
    "common/nn": "common/base common/config",
    "proto": "common/base common/io",
    "daemon": "common/base common/io common/config common/task common/nn proto",

    "actor/env/tasks": "common/base",
    "actor/env": "common/base common/task include/spur actor/env/tasks",
    "actor/env/description": "common/base common/config actor/env/tasks actor/env",
    "actor/env/process": "common/base actor/env",
    "actor/env/env_factory": "actor/env/tasks actor/env actor/env/description "  # knows all kinds
                             "actor/env/process",
    "actor/env/render": "common/base actor/env",
    "actor/env/parity": "common/base common/task actor/env actor/env/env_factory",
    "actor": "common/base common/io common/config common/task common/nn proto daemon actor/env "
             "actor/env/process actor/env/env_factory",  # spur-actor runs plug-ins

    # What methods learn from.
    "learner/replay": "common/base",
    "learner/states": "common/base",
    "learner/dynamics": "common/base common/config common/task common/nn proto",
    "learner/methods": "common/base common/config common/task common/nn proto learner/replay "
                       "learner/states learner/dynamics",
    "learner": "common/base common/io common/config common/task common/nn proto daemon "
               "learner/replay learner/methods",

    "modelserver/model": "common/base common/config common/task common/nn proto",
    "modelserver/storage": "common/base common/config common/task common/nn proto modelserver/model",
    "modelserver/core": "common/base common/io common/config common/task common/nn proto "
                        "modelserver/model modelserver/storage",
    "modelserver": "common/base common/config common/nn daemon modelserver/model "
                   "modelserver/storage modelserver/core",

    "cli/text": "",
    "cli/cli": "common/config common/task actor/env",  # the table of commands
    "cli/keys": "common/base common/io cli/text cli/cli",
    "cli/run": "common/base common/io common/config common/task common/nn proto actor/env "
               "actor/env/env_factory actor learner/replay learner/methods learner modelserver/model "
               "modelserver/storage modelserver/core cli/text cli/cli",
    "cli/status": "common/base common/io proto cli/text cli/cli cli/run",
    "cli/play": "common/base common/task common/nn proto actor/env actor/env/env_factory "
                "actor/env/render actor cli/cli cli/run",
    "cli/check": "common/base common/config common/task actor/env actor/env/env_factory "
                 "actor/env/render actor cli/cli cli/play",
    "cli/bench": "common/base common/io common/config common/task common/nn proto actor/env "
                 "actor/env/env_factory actor learner/replay learner/methods learner "
                 "modelserver/model modelserver/core cli/text cli/cli cli/run cli/status",
    "cli": "common/base common/config actor/env actor/env/env_factory cli/cli cli/run",
}

# A header beside a module's own -> the module that it is part of.
PART_OF = {
    "actor/env/env_kind": "actor/env/env",  # the inside of struct env, for its kinds
    "common/config/keys": "common/config/config",  # the table of keys
    "common/config/methods": "common/config/config",  # the table of methods
    "common/nn/gemm_table": "common/nn/gemm",
    "common/nn/mlp_layer": "common/nn/mlp",
    "learner/core": "learner/learner",  # the inside of struct learner
    "proto/wire_parts": "proto/wire",
}

# header pattern -> files that may include it
DOORWAYS = {
    r"zmq\.h": {"common/io/net.c", "common/io/net_zap.c"},
    r"uv\.h": {"common/io/loop.c"},
    r"cblas\.h|openblas.*\.h": {"common/nn/blas.c"},
    r"mujoco/mujoco\.h": {"actor/env/mujoco_library.h"},
    r"mujoco/(?!mujoco\.h).*": {"actor/env/env_mujoco.c"},
    r"dlfcn\.h": {"common/base/library.c", "actor/env/env_plugin.c"},
    r"EGL/.*": {"actor/env/render/offscreen.c"},
    r"zlib\.h": {"cli/play/png.c", "common/base/checksum.c"},
    r".*\.pb-c\.h|protobuf-c/.*": {f"proto/wire{part}.c" for part in ("", "_body", "_metrics", "_scan", "_status")},
    r"lmdb\.h": {f"modelserver/storage/store{part}.c" for part in ("", "_edit", "_room", "_source", "_vet")}
                | {"tests/unit/test_store_readers.c"},
    r"yaml\.h": {"common/config/yaml_doc.c"},
}




def layer_of(path):
    """The longest entry of BELOW that is the file's module or a folder above it."""
    for layer in sorted(BELOW, key=len, reverse=True):
        if path.startswith(layer + "/") or os.path.splitext(path)[0] == layer:
            return layer
    return None


def module_of(path):
    module = os.path.splitext(path)[0]
    return PART_OF.get(module, module)


def source_files():
    files = subprocess.run(["git", "-C", root, "ls-files", "*.c", "*.h"], capture_output=True, text=True)
    # An unpacked archive has no git.
    return files.stdout.split() or [os.path.relpath(os.path.join(d, f), root) for d, _, fs in os.walk(root)
                                    for f in fs if f.endswith((".c", ".h"))]


def includes_of(name):
    """(line number, header) of each include."""
    with open(os.path.join(root, name), encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            match = re.match(r'\s*#\s*include\s+[<"]([^>"]+)[>"]', line)
            if match:
                yield number, match.group(1)


def circles(graph):
    """Strongly connected components of more than one node (Tarjan's algorithm)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = set(stack[stack.index(node):])
            del stack[stack.index(node):]
            if len(component) > 1:
                found.append(component)

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def table_faults():
    """BELOW itself: each layer lists layers that stand before it."""
    order = list(BELOW)
    return [f"BELOW: {layer} lists {other}, which must stand before it" for layer in order
            for other in BELOW[layer].split() if other not in order[:order.index(layer)]]


def main():
    faults, graph, used, count = table_faults(), {}, set(), 0
    for name in source_files():
        layer = layer_of(name)
        if layer is None:
            continue
        allowed = {layer, *BELOW[layer].split()}
        edges = graph.setdefault(module_of(name), set())
        for number, target in includes_of(name):
            count += 1
            for pattern, doors in DOORWAYS.items():
                if re.fullmatch(pattern, target) and name not in doors:
                    faults.append(f"{name}:{number}: {target} enters by {', '.join(sorted(doors))} only")
            other = layer_of(target)
            if other:
                edges.add(module_of(target))
                used.add((layer, other))
                if other not in allowed:
                    faults.append(f"{name}:{number}: {layer} must not include {target}")
        edges.discard(module_of(name))
    faults += [f"PART_OF: {header}.h is gone: remove it" for header in PART_OF
               if not os.path.exists(os.path.join(root, header + ".h"))]
    faults += [f"BELOW: {layer} lists {other}, which it does not include any more: remove it"
               for layer in BELOW for other in BELOW[layer].split() if (layer, other) not in used]
    faults += [f"circle of includes: {', '.join(sorted(c))}" for c in circles(graph)]
    if count < 20:
        faults.append(f"only {count} includes found in {root}: is this the source tree?")
    print("\n".join(faults) or f"{count} includes in order, {len(graph)} modules without a circle")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
