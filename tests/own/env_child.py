#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A child process that speaks the frame protocol directly, for test_process.c, with one fault on request.

Two observations, the seed and the number of steps; one action from -1 to 3; the reward is the action.
usage: env_child.py FAULT"""
import os
import signal
import struct
import sys
import time

MAKE, RESET, STEP, RENDER, CLOSE = 1, 2, 3, 4, 5
MADE, OBSERVATION, PICTURE, ERROR = 16, 17, 18, 19
fault = sys.argv[1]


def read(n):
    data = b""
    while len(data) < n:
        more = os.read(3, n - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data


def send(kind, payload, size=None):
    frame = struct.pack("<II", kind, len(payload) if size is None else size) + payload
    if fault == "trickle":
        for byte in frame:
            os.write(4, bytes([byte]))
    else:
        os.write(4, frame)


def made(version=1, obs=2, act=1, horizon=50, low=-1.0, high=3.0, name=b"child", length=None):
    return struct.pack("<IIIIdddI", version, obs, act, horizon, 25.0, low, high,
                       len(name) if length is None else length) + name + b"a note"


MAKES = {"version": {"version": 2}, "obs_dim": {"obs": 513}, "act_dim": {"act": 0}, "bounds": {"high": float("inf")},
         "order": {"low": 3.0}, "name": {"name": b"../etc"}, "name_nul": {"name": b"a\0b"}, "name_length": {"length": 999},
         "horizon": {"horizon": 2000000000}, "no_horizon": {"horizon": 0}}


def make():
    if fault == "hang_make":
        time.sleep(1000)
    if fault.startswith("killed_make_"):  # that many times: the file SPUR_TEST_KILLS counts
        with open(os.environ["SPUR_TEST_KILLS"], "ab") as f:
            f.write(b"x")
        if os.path.getsize(f.name) <= int(fault[-1]):
            os.kill(os.getpid(), signal.SIGKILL)
    if fault == "exit_make":
        print("no such device", file=sys.stderr)
        sys.exit(3)
    if fault == "garbage_make":
        os.write(4, b"Hello, I am a program that prints.\n" * 3)
    elif fault == "short_make":
        send(MADE, struct.pack("<I", 1))
    elif fault == "error_make":
        send(ERROR, b"Traceback (most recent call last):\n  File \"x.py\", line 7\nKeyError: 'motor'\n")
    else:
        send(MADE, made(**MAKES.get(fault, {})))


def observation(seed, steps, reward, flags=0):
    send(OBSERVATION, struct.pack("<IIddd", flags, 0, reward, seed, steps))


def step(seed, steps, action):
    if steps == 3:
        if fault == "prints":
            for i in range(2000):
                print("line", i, "\x1b[31mred")
            sys.stdout.flush()
        elif fault == "exit":
            sys.stderr.write("motor on fire")
            sys.stderr.flush()
            os._exit(3)
        elif fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault == "chatter":
            while True:
                print("still computing", flush=True)
                time.sleep(0.001)
        elif fault == "hang":
            time.sleep(1000)
        elif fault == "error":
            return send(ERROR, b"Traceback (most recent call last):\n  File \"x.py\", line 9\nZeroDivisionError: division by zero")
        elif fault == "garbage":
            os.write(4, b"\xff" * 64)
            return None
        elif fault == "short":
            return send(OBSERVATION, struct.pack("<IId", 0, 0, 1.0))
        elif fault == "long":
            return send(OBSERVATION, bytes(16 + 8 * 3))
        elif fault == "giant":
            return send(OBSERVATION, b"", 1 << 31)
        elif fault == "twice":
            frame = struct.pack("<IIIIddd", OBSERVATION, 32, 0, 0, action, seed, steps)
            os.write(4, frame + frame)
            return None
        elif fault == "type":
            return send(MADE, made())
        elif fault == "nan":
            return observation(seed, float("nan"), action)
        elif fault == "huge":
            return observation(seed, 1e300, action)
        elif fault == "reward":
            return observation(seed, steps, float("nan"))
        elif fault == "closes":
            os.close(4)
            time.sleep(1000)
        elif fault == "grandchild":
            if os.fork() == 0:
                os.setsid()
                time.sleep(3)
            os._exit(4)
    end = 2 if fault == "truncates" else 1
    return observation(seed, steps, action, end if steps == 7 else 0)


def main():
    seed = steps = total = 0
    while True:
        kind, size = struct.unpack("<II", read(8))
        payload = read(size)
        if kind == MAKE:
            make()
        elif kind == RESET:
            seed, steps = struct.unpack("<Q", payload)[0], 0
            observation(seed, 0, 0.0)
        elif kind == STEP:
            steps, total = steps + 1, total + 1
            if fault == "exit_rarely" and total == 1010:
                os._exit(5)
            step(seed, steps, struct.unpack("<d", payload)[0])
        elif kind == RENDER and fault == "pictures":
            send(PICTURE, struct.pack("<II", 4, 3) + bytes(range(36)))
        elif kind == RENDER:
            send(PICTURE, struct.pack("<II", 4, 3) + bytes(35))
        elif kind == CLOSE:
            if fault == "no_close":
                time.sleep(1000)
            print("closed")
            return


main()
