# SPDX-License-Identifier: MIT
"""A second machine on this one: a network namespace with a cable to the namespace of the test, which can be cut. The test
itself runs in namespaces of its own (`enter`), so nothing of it is left behind, whatever ends it."""
import ctypes
import os
import shutil
import subprocess

HERE, THERE = "10.77.0.1", "10.77.0.2"
INSIDE = "SPUR_TEST_NAMESPACES"
CLONE_NEWNET, PR_SET_PDEATHSIG = 0x40000000, 1
LIBC = ctypes.CDLL(None, use_errno=True)


def available():
    """Whether the test may make namespaces of networks and mounts."""
    return all(map(shutil.which, ("unshare", "ip", "mount"))) and subprocess.run(
        ["unshare", "-n", "-m", "ip", "link", "set", "lo", "up"], check=False, capture_output=True).returncode == 0


def inside(command):
    """The command line that runs a command in namespaces of its own."""
    return ["unshare", "-n", "-m", "env", f"{INSIDE}=1", *command]


def is_inside():
    return os.environ.get(INSIDE) == "1"


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Machine:
    """The second machine. Processes of it are started by way of `prefix`."""

    def __init__(self):
        def apart():
            LIBC.prctl(PR_SET_PDEATHSIG, 9)
            if LIBC.unshare(CLONE_NEWNET) != 0:
                os._exit(1)

        ip("link", "set", "lo", "up")
        self.holder = subprocess.Popen(["sleep", "7200"], preexec_fn=apart)  # noqa: PLW1509: no threads yet
        self.prefix = ["nsenter", "-t", str(self.holder.pid), "-n"]
        ip("link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(self.holder.pid))
        ip("addr", "add", f"{HERE}/24", "dev", "near")
        for words in (("ip", "link", "set", "lo", "up"), ("ip", "addr", "add", f"{THERE}/24", "dev", "far"),
                      ("ip", "link", "set", "far", "up")):
            subprocess.run(self.prefix + list(words), check=True)
        self.join()

    def cut(self):
        ip("link", "set", "near", "down")

    def join(self):
        ip("link", "set", "near", "up")

    def close(self):
        self.holder.kill()
        self.holder.wait()


def mount_small(path, mib):
    """A file system of that size."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "small", path], check=True)


class Filler:
    """Takes all space of a file system but for a few pages, and gives it back."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "filler")

    def fill(self):
        with open(self.path, "wb", buffering=0) as f:
            try:
                while f.write(bytes(1 << 16)):
                    pass
            except OSError:
                pass  # full
            try:
                while f.write(bytes(1 << 10)):
                    pass
            except OSError:
                return

    def free(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
