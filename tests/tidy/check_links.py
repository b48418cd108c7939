#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that a program does not link some libraries.

    check_links.py PROGRAM LIBRARY ...

Asks the loader for all shared libraries of PROGRAM, indirect ones included, and
fails if one of them is named libLIBRARY*.
"""
import re
import subprocess
import sys

program, unwanted = sys.argv[1], sys.argv[2:]
found = subprocess.run(["ldd", program], capture_output=True, text=True)
if found.returncode != 0:
    sys.exit(f"ldd {program}: {found.stdout}{found.stderr}")
libraries = re.findall(r"^\s+(?:\S*/)?lib(\S+?)\.so", found.stdout, re.M)
if "c" not in libraries:
    sys.exit(f"{program}: no C library among {libraries}: has ldd another format here?")
faults = [f"lib{name}" for name in libraries if any(re.match(word + r"\b", name) for word in unwanted)]
if faults:
    sys.exit(f"{program} links {', '.join(faults)}")
print(f"{len(libraries)} libraries, none of {', '.join(unwanted)}")
