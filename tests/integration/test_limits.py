#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that a run under the limits of a shell or batch system works, or ends in time with a sentence and a
documented exit code: address space, open files, processes, closed streams, a read-only /tmp, names that have only
an IPv6 address, and compute.kernels=openblas, whose library aborts or loops without memory. Cases that need root
are skipped visibly."""
import os
import re
import resource
import shlex
import subprocess
import sys

from harness import BIN, SHORT, check, end, free_ports, main, read

DOCUMENTED = {0, 1, 64, 69, 71, 74, 75, 76, 78}
SECONDS = 90
MIB = 1 << 20


def short_run(stage, run_dir, *args):
    command = ["run", "inverted_pendulum", "--method", "mbpo", "--run-dir", run_dir, *args]
    for key, value in SHORT.items():
        command += ["--set", f"{key}={value}"]
    return command


def verdict(what, process, works):
    """Checks the end of a run: solved or spent, or a sentence. works: it must have worked."""
    code = end(process, SECONDS)
    text = read(process.output)
    check(code in DOCUMENTED, f"{what}: exit code {code}:\n{text[-2000:]}")
    check(code == 0 or "error" in text or "spur: " in text or "could not" in text,
          f"{what}: exit code {code} without a sentence:\n{text[-2000:]}")
    check(code == 0 or not works, f"{what}: exit code {code}:\n{text[-2000:]}")
    return code, text


def limited(what, value):
    return lambda: resource.setrlimit(what, (value, value))


def address_space(stage):
    for mib in (50, 100, 150, 1024):
        run_dir = stage.path(f"v{mib}")
        # At 150 MiB Hopper's own configuration, which does not fit.
        command = ["run", "hopper", "--run-dir", run_dir] if mib == 150 else short_run(stage, run_dir)
        process = stage.start("spur", *command, preexec_fn=limited(resource.RLIMIT_AS, mib * MIB))
        code, text = verdict(f"{mib} MiB", process, mib == 1024)
        check(code in (0, 1, 71), f"{mib} MiB: exit code {code}:\n{text[-2000:]}")
        stage.no_orphans(3)


def address_space_with_openblas(stage):
    # OpenBLAS loops for ever without its buffers: at 190 and 230 MiB, if they are not reserved first.
    for mib in (60, 190, 230, 1024):
        process = stage.start("spur", *short_run(stage, stage.path(f"b{mib}"), "--set", "compute.kernels=openblas"),
                              preexec_fn=limited(resource.RLIMIT_AS, mib * MIB))
        verdict(f"openblas in {mib} MiB", process, False)
        stage.no_orphans(3)


def open_files(stage):
    for files in (6, 12, 20, 26, 64):
        process = stage.start("spur", *short_run(stage, stage.path(f"n{files}")),
                              preexec_fn=limited(resource.RLIMIT_NOFILE, files))
        code, text = verdict(f"{files} files", process, files == 64)
        check(code == 0 or "open" in text, f"{files} files: the reason is not named:\n{text}")
        stage.no_orphans(3)


def processes(stage):
    """As a user without processes of its own. The limit does not hold for root."""
    if os.geteuid() != 0:
        print("skipped: processes: needs root, to become a user without processes", file=sys.stderr)
        return
    nobody = 65534
    os.chmod(stage.folder, 0o755)

    def become(limit):
        def change():
            resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
            os.setgroups([])
            os.setgid(nobody)
            os.setuid(nobody)
        return change
    for limit in (1, 3, 6, 10, 100):
        folder = stage.path(f"p{limit}")
        os.mkdir(folder)
        os.chmod(folder, 0o777)
        stage.env["XDG_RUNTIME_DIR"] = folder
        try:
            process = stage.start("spur", *short_run(stage, os.path.join(folder, "run")), preexec_fn=become(limit))
        except PermissionError:
            print("skipped: processes: the programs are not readable for others", file=sys.stderr)
            return
        verdict(f"{limit} processes", process, limit == 100)
        stage.no_orphans(3)


def closed_streams(stage):
    def close():
        for fd in range(3):
            os.close(fd)
    process = stage.start("spur", *short_run(stage, stage.path("closed")), preexec_fn=close)
    code = end(process, SECONDS)
    check(code == 0, f"closed streams: exit code {code}")
    check("step budget spent" in read(stage.path("closed", "log")), "closed streams: the run did not end by itself")


def in_namespace(stage, *flags, script, seconds=SECONDS):
    """Runs a shell script as root in namespaces of its own; None where that is not possible."""
    if subprocess.run(["unshare", *flags, "true"], check=False, capture_output=True).returncode != 0:
        print(f"skipped: unshare {' '.join(flags)} is not permitted", file=sys.stderr)
        return None
    done = subprocess.run(["unshare", *flags, "sh", "-c", script], cwd=stage.folder, env=stage.env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False)
    return done


def read_only_tmp(stage):
    """Then $TMPDIR is used, and without it the run directory."""
    os.mkdir(stage.path("tmp"))
    run = " ".join(map(shlex.quote, map(str, [os.path.join(BIN, "spur"), *short_run(stage, "RUN")])))
    stage.env.pop("XDG_RUNTIME_DIR")
    for name, tmpdir in (("one", f"TMPDIR={stage.path('tmp')}"), ("two", "TMPDIR=")):
        # The stage may be below /tmp: only its folder stays writable.
        done = in_namespace(stage, "-m", script=f"mount --bind {stage.folder} /mnt && mount --bind /tmp /tmp && "
                            f"mount -o remount,ro,bind /tmp && mount --bind /mnt {stage.folder} && "
                            f"cd {stage.folder} && {tmpdir} {run.replace('RUN', name)}")
        if done:
            check(done.returncode == 0, f"read-only /tmp, {tmpdir}: exit code {done.returncode}:\n{done.stdout}")


def ipv6_only(stage):
    spur = os.path.join(BIN, "spur")
    sets = " ".join(f"--set {key}={str(value).replace(' ', '')}" for key, value in
                    {**SHORT, "run.steps": 100000}.items())
    with open(stage.path("hosts"), "w", encoding="utf-8") as f:
        f.write("127.0.0.1 localhost\nfd00:77::1 trainer.test\n")
    done = in_namespace(stage, "-n", "-m", script=f"""
        ip link set lo up && ip -6 addr add fd00:77::1/128 dev lo nodad && mount --bind hosts /etc/hosts || exit 99
        {spur} keys make --dir keys
        {spur} run inverted_pendulum --method mbpo {sets} --run-dir six --listen tcp://trainer.test:7905 --keys keys >out 2>&1 & run=$!
        for i in $(seq 40); do
            {spur} status --keys keys tcp://trainer.test:7905 >status 2>&1 && grep -q actor-0 status && break
            sleep 0.25
        done
        head -n 1 status; tail -n 3 out
        kill -INT $run; wait $run""")
    if not done:
        return
    if done.returncode == 99:
        print("skipped: ipv6_only: no IPv6 address can be set", file=sys.stderr)
        return
    check("modelserver" in done.stdout, f"status by name: {done.stdout}")
    check("actor-0" in read(stage.path("status")), f"no actor connected:\n{read(stage.path('status'))}")


def containers(stage):
    """Two containers with the host's name, each with its own process 1: both actors work."""
    spur, actor = os.path.join(BIN, "spur"), os.path.join(BIN, "spur-actor")
    sets = " ".join(f"--set {key}={str(value).replace(' ', '')}" for key, value in
                    {**SHORT, "run.steps": 1000000}.items())
    port = free_ports()
    done = in_namespace(stage, "-m", script=f"""
        {spur} run inverted_pendulum --method mbpo {sets} --actors 0 --run-dir run --listen tcp://127.0.0.1:{port} >out 2>&1 & run=$!
        while ! test -e run/endpoints; do sleep 0.1; done
        for i in 1 2; do
            unshare -p -f --mount-proc sh -c 'exec {actor} --modelserver tcp://127.0.0.1:{port} \
                --learner tcp://127.0.0.1:{port + 1} --keys run/token' >actor$i 2>&1 &
        done
        for i in $(seq 80); do
            {spur} status run >status 2>&1
            test "$(grep -c ' actor  *\\(connected\\|waiting\\)  *[1-9]' status)" = 2 && break
            sleep 0.25
        done
        kill -INT $run; wait $run""")
    if done:
        text = read(stage.path("status"))
        check(len(re.findall(r"-1-[0-9a-f]{8}  *\S+  *actor  *(?:connected|waiting)  *[1-9]", text)) == 2,
              f"two actors work:\n{text}\n{read(stage.path('actor1'))}\n{read(stage.path('actor2'))}")


def full_disk(stage):
    """The reason is printed while the run stands still; no checkpoint is claimed that was not made."""
    spur = os.path.join(BIN, "spur")
    sets = " ".join(f"--set {key}={str(value).replace(' ', '')}" for key, value in
                    {**SHORT, "run.steps": 1000000, "eval.every_steps": 1000000}.items())
    done = in_namespace(stage, "-m", script=f"""
        mkdir small && mount -t tmpfs -o size=8m tmpfs small || exit 99
        {spur} run inverted_pendulum --method mbpo {sets} --run-dir small/run >out 2>&1 & run=$!
        for i in $(seq 80); do
            {spur} status small/run 2>&1 | grep -q 'updates, [1-9]' && break
            sleep 0.25
        done
        dd if=/dev/zero of=small/filler bs=4k 2>/dev/null
        for i in $(seq 60); do
            grep -q 'No space' out && break
            sleep 0.25
        done
        cp out while
        kill -INT $run; wait $run; echo "code $?"
        rm small/filler
        {spur} run --run-dir small/run >resumed 2>&1 & run=$!
        for i in $(seq 80); do
            {spur} status small/run 2>&1 | grep -q 'updates, [1-9]' && break
            sleep 0.25
        done
        kill -INT $run; wait $run; echo "resumed $?" """)
    if not done:
        return
    text = read(stage.path("out"))
    check("No space left on device" in read(stage.path("while")), f"no line while it stands still:\n{text}")
    check("code 74" in done.stdout, f"{done.stdout}\n{text}")
    check("could not be saved" in text, text)
    check("resumed 130" in done.stdout, f"{done.stdout}\n{read(stage.path('resumed'))}")


def full_output(stage):
    """Output that is lost is an error, for every command that prints."""
    for command in (["spur", "--help"], ["spur", "--version"], ["spur", "tasks"], ["spur", "tasks", "--mjcf", "hopper"],
                    ["spur", "config", "hopper"], ["spur", "config", "--doc"], ["spur", "run", "--help"],
                    ["spur-actor", "--help"], ["spur-learner", "--version"], ["spur-modelserver", "--help"],
                    ["spur-parity", "--help"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([os.path.join(BIN, command[0]), *command[1:]], stdout=full, stderr=subprocess.PIPE,
                                  text=True, env=stage.env, timeout=20, check=False)
        check(done.returncode == 74, f"{command}: exit code {done.returncode}")
        check("No space left on device" in done.stderr or "could not be written" in done.stderr, f"{command}: {done.stderr}")


main(containers, full_output, full_disk, address_space, address_space_with_openblas, open_files, processes, closed_streams, read_only_tmp, ipv6_only)
