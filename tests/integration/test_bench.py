#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that `spur bench` measures every case, names the limit of each, cleans up, and prints the documented JSON.

Runs it for a second in an empty folder. Rates are not checked, because the machine may be busy. A folder without
write permission must affect the cases of the store only.
"""
import json
import os
import subprocess
import sys
import tempfile

spur = os.path.abspath(sys.argv[1])  # a path within the build folder


def bench(folder, *args):
    out = subprocess.run([spur, "bench", "--seconds", "1", *args], cwd=folder, capture_output=True, text=True, timeout=280)
    assert out.returncode == 0, (out.returncode, out.stderr)
    return out.stdout


def check_json(text):
    data = json.loads(text)
    assert data["schema"] == 1 and data["cores"] >= 1 and data["rounds"] == 5, data
    cases = {case["name"]: case for case in data["cases"]}
    for name in ["sgemm_256", "sac_updates", "sac_updates_in_run", "ensemble_steps", "rollout_rows", "env_steps_inverted_pendulum", "env_steps_64_hopper",
                 "transitions_1", "transitions_256"]:
        case = cases[name]
        if name == "sac_updates_in_run" and data["cores"] < 2:
            assert "a core each" in case["note"], case
            continue
        assert case["measured"], case
        assert len(case["rounds"]) == data["rounds"], case
        assert 0 < case["min"] <= case["median"] <= case["max"], case
        if case["limit"]:
            assert case["limit"] in cases and case["share_of_limit"] > 0, case
        else:
            assert "no limit" in case["note"], case
    assert cases["env_steps_hopper"]["limit"] == "env_bare_hopper", cases["env_steps_hopper"]
    assert cases["env_steps_64_hopper"]["limit"] == "env_bare_policy_hopper", cases["env_steps_64_hopper"]
    assert cases["transitions_1"]["limit"].startswith("disk_sync_"), cases["transitions_1"]
    if data["cores"] >= 2:
        assert cases["sac_updates_in_run"]["limit"] == "sac_updates", cases["sac_updates_in_run"]
        for name, other in ("sac_updates_2_threads", "sac_updates"), ("ensemble_steps_2_threads", "ensemble_steps"):
            assert cases[name]["beside"] == other and cases[name]["ratio"] > 0, cases[name]


def no_daemons(folder):
    """Remaining processes of the run and of the store's case: their command lines contain the folder."""
    left = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                line = f.read()
        except OSError:
            continue
        if folder.encode() in line and int(pid) != os.getpid():
            left.append(line)
    assert not left, left


def main():
    if sys.argv[2:] != ["none"]:
        print("skipped: a whole run at Hopper's size takes minutes under sanitizers")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        check_json(bench(folder, "--json"))
        assert os.listdir(folder) == [], os.listdir(folder)
        no_daemons(folder)
        text = bench(folder, "--dir", os.path.join(folder, "missing"))
        assert text.count("not measured: cannot create a directory in") == 5, text
        wrong = subprocess.run([spur, "bench", "--seconds", "never"], capture_output=True, text=True)
        assert wrong.returncode == 64 and "never" in wrong.stderr, wrong
    print("bench is as documented")


def grow():
    if not os.environ.get("SPUR_SLOW_TESTS"):
        print("skipped: SPUR_SLOW_TESTS is not set")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        cases = json.loads(bench(folder, "--grow", "--json"))["cases"]
    rate = {case["name"]: case["median"] for case in cases}
    assert all(case["measured"] for case in cases), cases
    for few, many in (("sac_batch_64", "sac_batch_1024"), ("sac_width_64", "sac_width_1024"), ("ensemble_members_1", "ensemble_members_14"),
                      ("ensemble_width_100", "ensemble_width_400")):
        assert rate[few] > 2 * rate[many], (few, rate[few], many, rate[many])
    print("cost grows as it must")


grow() if sys.argv[2:] == ["grow"] else main()
