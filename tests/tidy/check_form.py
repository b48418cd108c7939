#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the tree keeps its form: licence lines, opening comments, widths, blanks, file lengths, plain words;
and that links and paths in the documentation exist."""
import os
import re
import subprocess
import sys

root = os.environ.get("SPUR_SOURCE_ROOT", ".")
WIDTH = 100
LINES_MAX = 700  # a longer file is two modules in one
# Phrases that CONTRIBUTING.md replaces by technical terms.
RIDDLES = re.compile(r"\b(way back|taken up again|gives? on(?! average)|in hand(?!-)|told (to )?the user|stands? again|whoever|"
                     r"that of old|are owed|is owed)\b")
RIDDLES_QUOTED = ("CONTRIBUTING.md", "tests/tidy/check_form.py")


def wide_prose(lines):
    """Numbers of the lines of a Markdown page that are too wide; tables, code and URLs may be."""
    fenced = False
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            fenced = not fenced
        if not fenced and len(line) > WIDTH and not line.startswith(("|", "    ")) and "://" not in line:
            yield number


def anchors(path):
    """The anchors of the headings of a Markdown page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", open(path, encoding="utf-8").read(), re.M)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def bad_references(name, text, names):
    """Links, anchors and paths in a Markdown page that do not exist. Logs and changes may name what is gone."""
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
        path = os.path.join(root, os.path.dirname(name), target) if target else os.path.join(root, name)
        if "://" in target:
            continue
        if not os.path.exists(path):
            yield f"the link to {target} leads nowhere"
        elif anchor and anchor not in anchors(path):
            yield f"{target} has no heading #{anchor}"
    if "/log/" in name or name == "CHANGELOG.md":
        return
    tops = "|".join(sorted({n.split("/")[0] for n in names if "/" in n and not n.startswith(".")}))
    for path in re.findall(rf"`((?:{tops})/[\w./-]+)`", text):
        if not os.path.exists(os.path.join(root, path)) and "NAME" not in path:
            yield f"{path} does not exist"


def tracked():
    out = subprocess.run(["git", "-C", root, "ls-files"], capture_output=True, text=True).stdout.split("\n")
    names = [n for n in out if n]
    if not names:
        names = [os.path.relpath(os.path.join(d, f), root) for d, dirs, fs in os.walk(root) for f in fs
                 if not os.path.relpath(d, root).startswith(("build", ".git", "runs"))]
    return [n for n in names if os.path.isfile(os.path.join(root, n))]


def main():
    faults, seen, names = [], 0, tracked()
    for name in names:
        is_c = name.endswith((".c", ".h"))
        is_text = is_c or name.endswith((".py", ".sh", ".build", ".md", ".yaml", ".proto", ".xml")) or name == "Makefile"
        if not is_text:
            continue
        seen += 1
        text = open(os.path.join(root, name), encoding="utf-8").read()
        lines = text.split("\n")
        if not text.endswith("\n") or text.endswith("\n\n"):
            faults.append(f"{name}: ends with exactly one newline, please")
        if is_c and not lines[0].startswith("// SPDX-License-Identifier: MIT"):
            faults.append(f"{name}:1: the SPDX line comes first")
        if is_c and not lines[1].startswith("//"):
            faults.append(f"{name}:2: an opening comment says what the file is for")
        if is_c and len(lines) > LINES_MAX:
            faults.append(f"{name}: {len(lines)} lines; two modules in one?")
        for number, line in enumerate(lines, 1):
            if re.match(r"\s*(<{7}|>{7}) ", line):
                faults.append(f"{name}:{number}: an unresolved conflict")
            if line != line.rstrip():
                faults.append(f"{name}:{number}: trailing blanks")
            if "\t" in line and name != "Makefile":
                faults.append(f"{name}:{number}: a tab")
            if is_c and len(line) > WIDTH:
                faults.append(f"{name}:{number}: {len(line)} columns")
            if RIDDLES.search(line) and name not in RIDDLES_QUOTED:
                faults.append(f"{name}:{number}: \"{RIDDLES.search(line).group()}\" (CONTRIBUTING.md, Language)")
            if is_c and re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                faults.append(f"{name}:{number}: unfinished work is not left in the tree")
            if is_c and re.search(r"\b(strcpy|strcat|sprintf|gets|rand|srand)\s*\(", line):
                faults.append(f"{name}:{number}: a call that has no bounds or hides state")
        if name.endswith(".md"):
            faults += [f"{name}:{number}: wrap at {WIDTH} columns" for number in wide_prose(lines)]
            faults += [f"{name}: {fault}" for fault in bad_references(name, text, names)]
    if seen < 20:
        faults.append(f"only {seen} files seen in {root}: is this the source tree?")
    print("\n".join(faults) or f"{seen} files in form")
    return 1 if faults else 0


sys.exit(main())
