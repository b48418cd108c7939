#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Converts files to a C table, which embeds them in a program.

    embed.py OUT.c SYMBOL FILE...

OUT.c defines `const struct embed_file SYMBOL[]` and `const int SYMBOL_count`
(see common/base/embed.h), one row per file in the given order: its name without
folders, its bytes (followed by a NUL), their number. From meson:

    models_c = custom_target('models_c',
      input: files('models/hopper.xml', 'models/walker.xml'),
      output: 'models.c',
      command: [python, embed, '@OUTPUT@', 'env_models', '@INPUT@'])
    lib = static_library('lib', files('lib.c'), models_c, include_directories: root)

and in C:

    #include "common/base/embed.h"
    EMBED_TABLE(env_models);
    for (int i = 0; i < env_models_count; i++) { use(env_models[i].name); }

meson runs it again when a file changes. Two files with the same name are refused.
"""

import os
import re
import sys

BYTES_A_LINE = 20


def array(name, data):
    rows = []
    for i in range(0, len(data), BYTES_A_LINE):
        rows.append("    " + " ".join(f"{b}," for b in data[i:i + BYTES_A_LINE]))
    rows.append("    0,")
    return f"static const unsigned char {name}[] = {{\n" + "\n".join(rows) + "\n};\n"


def main(argv):
    if len(argv) < 4:
        sys.exit("usage: embed.py OUT.c SYMBOL FILE...")
    out, symbol, paths = argv[1], argv[2], argv[3:]
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", symbol):
        sys.exit(f"embed.py: {symbol}: not a C identifier")
    names = [os.path.basename(path) for path in paths]
    if len(set(names)) != len(names):
        sys.exit("embed.py: two files have the same name")

    parts = ["// Made by common/base/embed.py; do not edit.\n#include \"common/base/embed.h\"\n",
             f"EMBED_TABLE({symbol});\n"]
    rows = []
    for i, (path, name) in enumerate(zip(paths, names)):
        with open(path, "rb") as f:
            data = f.read()
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        parts.append(array(f"file_{i}", data))
        rows.append(f'    {{"{quoted}", file_{i}, {len(data)}}},')
    parts.append(f"const struct embed_file {symbol}[] = {{\n" + "\n".join(rows) + "\n};")
    parts.append(f"const int {symbol}_count = {len(paths)};\n")
    with open(out, "w", encoding="utf-8") as f:
        f.write("\n".join(parts))


if __name__ == "__main__":
    main(sys.argv)
