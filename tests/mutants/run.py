#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mutation testing: applies small faults to the code, one at a time, and demands that a test catches each.

    tests/mutants/run.py              all faults of faults.py
    tests/mutants/run.py NAME ...     some of them; NAME may be a pattern, as 'rollout*'
    tests/mutants/run.py --check      only whether every fault still applies to the code; builds nothing
    tests/mutants/run.py --list       names, files and tests

The tree is copied to a temporary folder and built there; the tree itself and its builds stay untouched.
For each fault, the changed file is compiled and the named tests are linked and run until one of them
fails. A test that crashes or hangs has caught the fault too. Exit code 1: a fault survived, does not
compile or does not apply.
"""
import argparse
import difflib
import fnmatch
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ.get("SPUR_SOURCE_ROOT") or os.path.dirname(os.path.dirname(HERE))
LIST = "tests/mutants/faults.py"
BASELINE_SECONDS_MAX = 300  # of one test without faults
# With a fault a test hangs after HANG_SECONDS and HANG_FACTOR times its time without.
HANG_SECONDS, HANG_FACTOR = 20, 5

sys.dont_write_bytecode = True  # tests leave the source tree as it is
sys.path.insert(0, HERE)
from faults import FAULTS  # noqa: E402


class Fault:
    def __init__(self, name, path, old, new, tests):
        self.name, self.path, self.old, self.new, self.tests = name, path, old, new, tests.split()

    def complaint(self, root):
        """Why the fault cannot be applied to the tree at root; None: it can."""
        try:
            with open(os.path.join(root, self.path), encoding="utf-8") as f:
                text = f.read()
        except OSError as e:
            return f"{self.path}: {e.strerror}"
        times = text.count(self.old)
        if self.old == self.new or not self.old.strip():
            return "its old and new text must differ, and the old one must not be empty"
        if times > 1:
            return f"{self.path} contains the old text {times} times; make it longer:\n    {self.old.strip()}"
        if times == 0:
            lines = [line.strip() for line in text.split("\n")]
            wanted = self.old.strip().split("\n")[0]
            near = difflib.get_close_matches(wanted, lines, 1, 0.4)
            hint = f"\n  nearest, line {lines.index(near[0]) + 1}:\n    {near[0]}" if near else ""
            return f"{self.path} no longer contains\n    {self.old.strip()}{hint}"
        return None

    def apply(self, root):
        path = os.path.join(root, self.path)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(self.old, self.new))
        return path, text


def known_tests(root):
    """Names of the tests in meson's files: of a build if there is one, else None."""
    try:
        with open(os.path.join(root, "meson-info", "intro-tests.json"), encoding="utf-8") as f:
            return {t["name"] for t in json.load(f)}
    except OSError:
        return None


def check(faults, build):
    complaints, seen = [], set()
    tests = known_tests(build) if build else None
    for fault in faults:
        why = fault.complaint(ROOT)
        if not why and fault.name in seen:
            why = f"the name is given twice in {LIST}"
        unknown = [t for t in fault.tests if tests is not None and t not in tests]
        if not why and (unknown or not fault.tests):
            why = f"no test is named {', '.join(unknown) or 'at all'}: see meson test --list"
        if why:
            complaints.append(f"mutant {fault.name}: {why}")
        seen.add(fault.name)
    print("\n".join(complaints) or f"{len(faults)} mutants apply to the code")
    if complaints:
        print(f"The code has changed under {len(complaints)} mutants. Give each its new file or text in {LIST},\n"
              "so that it still attacks the same formula, and check that a test catches it:\n"
              "    tests/mutants/run.py NAME ...")
    return 1 if complaints else 0


def copy_tree(to):
    """Copies what git tracks or would track. A file whose content is the same keeps its time."""
    git = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True)
    names = [n for n in git.stdout.decode().split("\0") if n]
    if git.returncode != 0 or not names:
        names = [os.path.relpath(os.path.join(d, f), ROOT) for d, _, fs in os.walk(ROOT) for f in fs]
        names = [n for n in names if not n.startswith(("build", ".git/", "runs/"))]
    for name in names:
        source, target = os.path.join(ROOT, name), os.path.join(to, name)
        if not os.path.isfile(source):
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(source, "rb") as f:
            content = f.read()
        if os.path.exists(target):
            with open(target, "rb") as f:
                if f.read() == content:
                    continue
        with open(target, "wb") as f:
            f.write(content)
        shutil.copymode(source, target)


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Build:
    def __init__(self, folder):
        self.tree, self.dir = os.path.join(folder, "tree"), os.path.join(folder, "build")
        self.env = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
        self.env["CMOCKA_TEST_ABORT"] = "1"  # the first failure ends a test program
        copy_tree(self.tree)
        if not os.path.exists(os.path.join(self.dir, "build.ninja")):
            self.must(["meson", "setup", "-Dwerror=false", "-Ddebug=false", self.dir, self.tree])
        self.must(["ninja", "-C", self.dir, "build.ninja"])
        self.seconds = {}  # of each test without faults
        self.tests = {t["name"]: t for t in self.introspect("--tests")}
        self.files = {t["id"]: t["filename"] for t in self.introspect("--targets")}

    def must(self, command):
        done = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(f"{done.stdout}\nfailed without any fault: {' '.join(command)}")
        return done.stdout

    def introspect(self, what):
        return json.loads(self.must(["meson", "introspect", what, self.dir]))

    def make(self, names):
        """Builds the tests. Returns the compiler's complaint, empty if there is none."""
        targets = set()
        for name in names:
            for target in self.tests[name].get("depends", []):
                targets.update(f for f in self.files.get(target, []))
            targets.update(part for part in self.tests[name]["cmd"] if part.startswith(self.dir + os.sep))
        targets = sorted(os.path.relpath(t, self.dir) for t in targets)
        done = subprocess.run(["ninja", "-C", self.dir, *targets], env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        return "" if done.returncode == 0 else done.stdout[-2000:]

    def fails(self, name):
        """Runs a test. Returns how it failed ('' if it passed) and its output."""
        test, began = self.tests[name], time.monotonic()
        limit = HANG_SECONDS + HANG_FACTOR * self.seconds[name] if name in self.seconds else BASELINE_SECONDS_MAX
        with tempfile.TemporaryFile("w+", errors="replace") as out:
            process = subprocess.Popen(test["cmd"], env={**self.env, **test["env"]}, cwd=test["workdir"] or self.dir,
                                       stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
                                       preexec_fn=no_core)
            try:
                code = process.wait(limit)
                failed = code > 0 or code == -signal.SIGABRT  # of an assertion, in the test or in the code
                how = "" if code == 0 else "failure" if failed else f"crash, signal {-code}"
            except subprocess.TimeoutExpired:
                how = f"hang, over {limit:.0f} s"
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            self.seconds.setdefault(name, time.monotonic() - began)
            out.seek(0)
            return how, out.read()


def attack(build, fault):
    """Returns whether the fault was caught, and a sentence."""
    path, text = fault.apply(build.tree)
    try:
        complaint = build.make(fault.tests)
        if complaint:
            return False, f"DOES NOT COMPILE, choose another fault:\n{complaint}"
        for name in fault.tests:
            how, _ = build.fails(name)
            if how:
                return True, f"caught by {name} ({how})"
        return False, f"SURVIVED {', '.join(fault.tests)}"
    finally:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


def run(faults, folder):
    began = time.monotonic()
    build = Build(folder)
    needed = sorted({t for f in faults for t in f.tests})
    unknown = [t for t in needed if t not in build.tests]
    if unknown:
        sys.exit(f"no test is named {', '.join(unknown)}: correct {LIST}")
    complaint = build.make(needed)
    if complaint:
        sys.exit(f"{complaint}\nthe tree does not build as it is, without any fault")
    for name in needed:
        how, output = build.fails(name)
        if how:
            sys.exit(f"{output}\ntest {name} fails without any fault ({how}): mend that first")
    print(f"built and passed without faults: {len(needed)} tests, {time.monotonic() - began:.0f} s",
          flush=True)

    bad, width = [], max(len(f.name) for f in faults)
    for fault in faults:
        start = time.monotonic()
        caught, sentence = attack(build, fault)
        print(f"{fault.name:{width}}  {time.monotonic() - start:5.1f} s  {sentence}", flush=True)
        if not caught:
            bad.append(fault.name)
    print(f"{len(faults)} mutants, {len(faults) - len(bad)} caught, {time.monotonic() - began:.0f} s")
    if bad:
        print("not caught: " + ", ".join(bad) +
              "\nA fault that survives is a missing test: write it, and name it with the fault in " + LIST)
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults, or patterns of their names; default all")
    parser.add_argument("--check", action="store_true", help="only whether the faults apply to the code")
    parser.add_argument("--list", action="store_true", help="print the faults and stop")
    parser.add_argument("--work", metavar="DIR", help="copy and build here, and keep it: the next run is faster")
    options = parser.parse_args()
    faults = [Fault(*f) for f in FAULTS]
    if options.names:
        for name in options.names:
            if not any(fnmatch.fnmatch(f.name, name) for f in faults):
                sys.exit(f"no mutant is named {name}: see --list")
        faults = [f for f in faults if any(fnmatch.fnmatch(f.name, n) for n in options.names)]
    if options.list:
        for f in faults:
            print(f"{f.name:32} {f.path:36} {' '.join(f.tests)}")
        return 0
    code = check(faults, os.environ.get("SPUR_BUILD_ROOT"))
    if code != 0 or options.check:
        return code
    if options.work:
        os.makedirs(options.work, exist_ok=True)
        return run(faults, os.path.abspath(options.work))
    with tempfile.TemporaryDirectory(prefix="spur-mutants-") as folder:
        return run(faults, folder)


if __name__ == "__main__":
    sys.exit(main())
