# SPDX-License-Identifier: MIT
"""An environment whose observations name their row, and that counts its rows in a file: a test can say of each row of a
store which process made it, and whether rows are missing, repeated or out of order.

The files are in the folder SPUR_WITNESS, `source-N` for the N-th start of an environment: rows made, rows acknowledged
(of clients that know), the process of the actor, its id. Numbers are in shared memory, so SIGKILL loses none."""
import mmap
import os
import struct
import time

UNKNOWN = 2 ** 64 - 1  # acknowledgements, of an environment: its actor knows them


def name_of(source, row):
    """The observation before that row, which is the one after the row before; exact in float32."""
    return [source / 4096, (row >> 12) / 4096, (row & 4095) / 4096, 0.25]


def row_of(obs):
    """(source, row) of an observation."""
    return round(obs[0] * 4096), round(obs[1] * 4096) << 12 | round(obs[2] * 4096)


class Source:
    """The file of one start."""
    FORMAT, SIZE = "<QQq256s", 4096

    def __init__(self, folder, actor, pid):
        self.number = len(os.listdir(folder))
        while True:
            path = os.path.join(folder, f"source-{self.number}")
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
                break
            except FileExistsError:
                self.number += 1
        os.ftruncate(fd, self.SIZE)
        self.map = mmap.mmap(fd, self.SIZE)
        os.close(fd)
        struct.pack_into(self.FORMAT, self.map, 0, 0, UNKNOWN, pid, actor.encode())
        self.made = 0

    def make(self):
        """Counts a row that is about to be handed out; returns its number."""
        self.made += 1
        struct.pack_into("<Q", self.map, 0, self.made)
        return self.made - 1

    def acknowledge(self, rows):
        struct.pack_into("<Q", self.map, 8, rows)
        self.map.flush()

    @classmethod
    def read(cls, path):
        """(rows made, rows acknowledged or None, pid, id of the actor)"""
        with open(path, "rb") as f:
            made, acked, pid, actor = struct.unpack_from(cls.FORMAT, f.read().ljust(cls.SIZE, b"\0"))
        return made, None if acked == UNKNOWN else acked, pid, actor.rstrip(b"\0").decode()


class Box:
    def __init__(self, n):
        self.low, self.high, self.shape, self.dtype = [-1.0] * n, [1.0] * n, (n,), "float32"


class Spec:
    max_episode_steps, id = 40, None


def actor_above():
    """(pid, words of its command line): of the nearest process above that has --id."""
    pid = os.getppid()
    while pid > 1:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            words = f.read().decode().split("\0")
        if "--id" in words:
            return pid, words
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            pid = int(f.read().rsplit(")", 1)[1].split()[1])
    return 0, ["--id", "nobody"]


class Witness:
    observation_space, action_space, spec = Box(4), Box(1), Spec
    obs_dim, act_dim = 4, 1  # as tests/conformance/client.py names them

    def __init__(self, actor=None):
        pid, words = actor_above() if actor is None else (os.getpid(), [])
        self.evaluates = "--evaluate" in words
        self.source = Source(os.environ["SPUR_WITNESS"], actor or words[words.index("--id") + 1], pid)
        self.period = float(os.environ.get("SPUR_WITNESS_PERIOD", "0.02"))

    def reset(self, seed=None):
        return name_of(self.source.number, self.source.made), {}

    def step(self, action):
        if not self.evaluates:
            time.sleep(self.period)
        row = self.source.make()
        return name_of(self.source.number, row + 1), 1 - abs(action[0]), False, False, {}
