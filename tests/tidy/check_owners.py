#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the model server's core changes a subject's state in the subject's own file only.

Each subject (ingest, training, ...) is a struct with its functions in one file, invisible to other subjects. The dispatcher sees them all, and may read their fields but not assign them.
"""
import os
import re
import sys

root = os.environ.get("SPUR_SOURCE_ROOT", ".")
ASSIGNMENT = re.compile(r"\bms->\w+\.[\w.\[\]]+\s*(?:[-+*/|&^]?=(?!=)|\+\+|--)")

path = os.path.join(root, "modelserver/core/modelserver.c")
with open(path, encoding="utf-8") as source:
    lines = source.readlines()
faults = [f"{path}:{number}: changes a subject's state: {line.strip()}"
          for number, line in enumerate(lines, 1) if ASSIGNMENT.search(line)]
if sum("ms->" in line for line in lines) < 50:
    faults.append(f"{path}: is this the dispatcher?")
print("\n".join(faults) or "the dispatcher assigns no field of a subject")
sys.exit(1 if faults else 0)
