# SPDX-License-Identifier: MIT
"""Helpers for tests with real processes: starting, watching and ending runs, talking
to daemons without spur's own code, and reading the files of a run.

Every process that a test starts, directly or not, has the mark of the test in its
environment. So orphans are found whatever their parent is, and only the test's own
processes are ever ended.
"""
import atexit
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid

BIN = os.path.join(os.environ["SPUR_BUILD_ROOT"], "bin")
SOURCE = os.environ["SPUR_SOURCE_ROOT"]

# A run of a few seconds with every part of the algorithm: exploration, trainings,
# rollouts, updates, evaluations.
SHORT = {
    "run.steps": 400, "run.explore_steps": 200, "run.stop_when_solved": "false",
    "pacing.updates_per_step": 2,
    "model.members": 3, "model.elites": 2, "model.hidden_width": 16, "model.hidden_layers": 2,
    "model.weight_decay": "[0, 0, 0]", "model.batch_size": 64, "model.train_every_steps": 100,
    "model.epochs_max": 4,
    "rollout.per_step": 10, "rollout.schedule": "[0, 1, 1, 2]", "rollout.epoch_steps": 100,
    "sac.hidden_width": 16, "sac.batch_size": 32,
    "eval.every_steps": 100, "eval.episodes": 2,
    "checkpoint.every_s": 1,
    # More threads would only compete for the cores.
    "compute.learner_threads": 1, "compute.modelserver_threads": 1,
}


# Exit codes of `spur run` that was stopped in order by SIGINT and SIGTERM.
INTERRUPTED, TERMINATED = 130, 143


class Failure(Exception):
    """A failed check."""


def check(fact, text):
    if not fact:
        raise Failure(text)


def wait_for(what, fn, seconds):
    """Calls fn until it returns a true value, and returns that value."""
    end = time.monotonic() + seconds
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.05)


# ---- interpreters ----

def python_with(*modules):
    """An interpreter that has all modules, for environments in Python; None if there is none."""
    venv = os.environ.get("VIRTUAL_ENV")
    for python in (os.environ.get("SPUR_TEST_PYTHON"), venv and os.path.join(venv, "bin", "python3"), shutil.which("python3"),
                   "/usr/bin/python3"):
        if python and subprocess.run([python, "-c", "import " + ", ".join(modules)], capture_output=True,
                                     check=False).returncode == 0:
            return python
    return None


# ---- processes ----

class Stage:
    """The folder and the process mark of one test."""

    def __init__(self):
        self.mark = f"SPUR_TEST_MARK={uuid.uuid4().hex}"
        self.folder = tempfile.mkdtemp(prefix="spur-test-")
        self.sockets = os.path.join(self.folder, "run")
        os.mkdir(self.sockets, 0o700)
        self.env = dict(os.environ)
        self.env.pop("OPENBLAS_CORETYPE", None)
        name, value = self.mark.split("=")
        self.env[name] = value
        self.env["XDG_RUNTIME_DIR"] = self.sockets
        self.logs = []
        self.keys = None  # --keys of `spur status`, for endpoints with tcp
        atexit.register(self.clear)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def start(self, program, *args, prefix=(), **options):
        """Starts a program of build/bin, by way of the command `prefix`; its output goes to the file .output of the
        result."""
        options.setdefault("cwd", self.folder)
        output = self.path(f"output-{len(self.logs)}")
        self.logs.append(output)
        with open(output, "wb") as out:
            process = subprocess.Popen([*prefix, os.path.join(BIN, program), *map(str, args)], env=self.env,
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **options)
        process.output = output
        return process

    def call(self, program, *args, seconds=20):
        """Runs a program to its end: (exit code, output)."""
        process = self.start(program, *args)
        return end(process, seconds), read(process.output)

    def run(self, run_dir, *args, sets=None, seed=1, task="inverted_pendulum", **options):
        """Starts `spur run` with the short configuration, of MBPO unless args choose another method."""
        method = [] if "--method" in args or "--from" in args else ["--method", "mbpo"]
        command = ["run", task, "--seed", seed, "--run-dir", run_dir, *method, *args]
        for key, value in {**SHORT, **(sets or {})}.items():
            command += ["--set", f"{key}={value}"] if value is not None else []
        return self.start("spur", *command, **options)

    def processes(self):
        """{pid: command line} of all running processes with the mark."""
        found = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/environ", "rb") as f:
                    if self.mark.encode() not in f.read().split(b"\0"):
                        continue
                with open(f"/proc/{name}/stat", encoding="utf-8") as f:
                    if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                        continue
                with open(f"/proc/{name}/cmdline", "rb") as f:
                    found[int(name)] = f.read().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue  # it has ended, or belongs to another user
        return found

    def find(self, *words):
        """The pid of the process whose command line contains all words; 0 if there is none."""
        for pid, line in self.processes().items():
            if all(word in line for word in words):
                return pid
        return 0

    def no_orphans(self, seconds=3):
        wait_for("all processes are gone", lambda: not self.processes(), seconds)

    def clear(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def tell(self):
        """Prints the logs of the processes, for a failed test."""
        logs = self.logs + [os.path.join(d, "log") for d, _, files in os.walk(self.folder) if "log" in files]
        for log in logs:
            text = read(log)
            if text:
                print(f"---- {os.path.relpath(log, self.folder)}\n{text[-6000:]}")


def end(process, seconds):
    """The exit code of a process that must end within the given seconds."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise Failure(f"{process.args[0]} {process.args[1]} still runs after {seconds} s") from None


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def lines_of(path):
    return read(path).splitlines() if os.path.exists(path) else []


def free_ports():
    """A free port of the loopback interface; the next one is free too."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
                return port
            except (OSError, OverflowError):
                continue


# ---- status ----

def endpoints(run_dir):
    """{"modelserver": ..., "learner": ...} of a run; None before it listens."""
    found = dict(line.split(": ", 1) for line in lines_of(os.path.join(run_dir, "endpoints")))
    return found if "modelserver" in found and "learner" in found else None


def token_of(run_dir):
    """The token of a run that listens at a loopback address."""
    return read(os.path.join(run_dir, "token")).split('"')[1]


def status(stage, endpoint):
    """`spur status ENDPOINT --json`, or None without an answer."""
    keys = ["--keys", stage.keys] if stage.keys else []
    code, text = stage.call("spur", "status", endpoint, *keys, "--json")
    return json.loads(text) if code == 0 else None


def counter(state, name):
    return state["counters"].get(name, 0)


# ---- the wire formats of ZeroMQ and protobuf ----
# Written without the daemons' own libraries, because tests must be able to send wrong
# bytes.

class Dealer:
    """A ZMTP 3.0 connection as a DEALER, without security or with the token of a run (PLAIN)."""

    def __init__(self, endpoint, token=None):
        if endpoint.startswith("ipc://"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(endpoint[len("ipc://"):])
        else:
            host, port = endpoint[len("tcp://"):].rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(5)
        mechanism = b"NULL" if token is None else b"PLAIN"
        self.socket.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + mechanism.ljust(20, b"\0") + bytes(32))
        self.take(64)
        if token is not None:
            self.command(b"HELLO", b"\x04spur" + bytes([len(token)]) + token.encode())
            self.expect(b"WELCOME")
        self.command(b"READY" if token is None else b"INITIATE",
                     b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER")
        self.expect(b"READY")

    def command(self, name, body):
        data = bytes([len(name)]) + name + body
        self.socket.sendall(bytes([4, len(data)]) + data)

    def expect(self, name):
        answer = self.frame()
        if answer[1:1 + len(name)] != name:
            raise Failure(f"the daemon answers {answer}, not {name}")

    def take(self, n):
        data = b""
        while len(data) < n:
            part = self.socket.recv(n - len(data))
            if not part:
                raise Failure("the daemon closed the connection")
            data += part
        return data

    def frame(self):
        flags = self.take(1)[0]
        length = struct.unpack(">Q", self.take(8))[0] if flags & 2 else self.take(1)[0]
        return self.take(length)

    def send(self, data):
        self.socket.sendall((b"\x00" + bytes([len(data)]) if len(data) < 256 else b"\x02" + struct.pack(">Q", len(data))) + data)

    def ask(self, data):
        self.send(data)
        return self.frame()

    def close(self):
        self.socket.close()


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def block(field, data):
    if isinstance(data, str):
        data = data.encode()
    return varint(field << 3 | 2) + varint(len(data)) + data


def fixed64(field, n):
    return varint(field << 3 | 1) + struct.pack("<Q", n)


def double(field, x):
    return varint(field << 3 | 1) + struct.pack("<d", x)


def fields(data):
    """{field: last value} of a message: ints and bytes."""
    found, at = {}, 0

    def take_varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = take_varint()
        kind = key & 7
        if kind == 0:
            value = take_varint()
        else:
            length = {1: 8, 5: 4}.get(kind) or take_varint()
            value = data[at:at + length]
            at += length
        found[key >> 3] = value
    return found


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


SCHEMA = 2
WELCOME, REFUSE, ACK, CREDIT = 12, 13, 15, 16  # fields of Envelope


def envelope(body_field, body=b"", run_id=0, schema=SCHEMA):
    data = number(1, schema)
    if run_id:
        data += fixed64(2, run_id)
    return data + block(body_field, body)


# ---- files of a run ----

def tensors(path):
    """{name: (type, shape, bytes)} of a safetensors file."""
    with open(path, "rb") as f:
        data = f.read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    start = 8 + length
    return {name: (t["dtype"], t["shape"], data[start + t["data_offsets"][0]:start + t["data_offsets"][1]])
            for name, t in header.items() if name != "__metadata__"}


def progress(run_dir):
    """Rows of progress.csv as dictionaries of numbers; a figure that is not known is not there."""
    lines = lines_of(os.path.join(run_dir, "progress.csv"))
    if not lines:
        return []
    names = lines[0].split(",")
    return [{n: float(x) for n, x in zip(names, line.split(",")) if x} for line in lines[1:]]


def main(*tests):
    """Runs the tests, each with its own stage; reports the first failure."""
    only = sys.argv[1:]
    for test in tests:
        if only and test.__name__ not in only:
            continue
        stage = Stage()
        began = time.monotonic()
        try:
            test(stage)
        except Exception as failure:  # noqa: BLE001: any failure is printed with the logs
            stage.tell()
            print(f"FAILED {test.__name__}: {type(failure).__name__}: {failure}")
            raise
        finally:
            stage.clear()
        print(f"ok {test.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
