#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that `spur render` draws every task: the whole robot is in the picture and lit, it moves from frame to frame,
every other moving body is in the picture too, step and return are in the corner, camera (also those of the model) and size have their documented effect, and the episode is that of
`spur eval`. Impossible requests give an error.

Policies are random numbers, frames are small PNG files. The robot is recognised by its warm colours, which nothing
else has. Without EGL the test is skipped with a message.

test_render.py SPUR: all of that. test_render.py SPUR mp4: the video; skipped without ffmpeg.
"""
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

SPUR = os.path.abspath(sys.argv[1])
SKIPPED = 77
WIDTH, HEIGHT = 160, 120


# Mesa draws small pictures fastest without its own threads. Its driver leaks a few bytes at
# exit, from modules that are unloaded by then, so they cannot be suppressed by name.
ENV = {**os.environ, "LP_NUM_THREADS": "0", "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def spur(*args, code=0, path=None):
    env = {**ENV, "PATH": path} if path else ENV
    result = subprocess.run([SPUR, *map(str, args)], capture_output=True, text=True, timeout=100, env=env)
    text = result.stdout + result.stderr
    if "built without EGL" in text or "EGL offers no OpenGL" in text:
        print(f"skipped: {text.strip()}")
        sys.exit(SKIPPED)
    assert result.returncode == code, (args, result.returncode, text)
    return text


# ---- a run directory with a policy ----

def write_tensors(path, tensors, meta):
    header, data = {"__metadata__": meta}, b""
    for name, (shape, values) in tensors.items():
        block = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(block)]}
        data += block
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def make_run(folder, task, obs_dim, act_dim, width=8):
    run = os.path.join(folder, task)
    os.mkdir(run)
    with open(os.path.join(run, "config.yaml"), "w", encoding="utf-8") as f:
        f.write(f"run:\n  task: {task}\n")
    rng = random.Random(1)
    dims, tensors = [obs_dim, width, width, 2 * act_dim], {}
    for i, (n_in, n_out) in enumerate(zip(dims, dims[1:])):
        tensors[f"policy.{i}.weight"] = ([n_out, n_in], [rng.gauss(0, n_in ** -0.5) for _ in range(n_in * n_out)])
        tensors[f"policy.{i}.bias"] = ([n_out], [rng.gauss(0, 1) for _ in range(n_out)])
    meta = {"task": task, "obs_dim": str(obs_dim), "act_dim": str(act_dim), "hidden_width": str(width),
            "hidden_layers": "2", "version": "3", "updates": "10"}
    write_tensors(os.path.join(run, "policy.safetensors"), tensors, meta)
    return run


def tasks():
    """{name: (obs_dim, act_dim)} of all tasks."""
    found = {}
    for line in spur("tasks").splitlines():
        words = line.split()
        if len(words) > 4 and words[2].isdigit():
            found[words[0]] = (int(words[2]), int(words[3]))
    assert len(found) >= 2, found
    return found


# ---- pictures ----

class Picture:
    def __init__(self, path):
        with open(path, "rb") as f:
            data = f.read()
        assert data[:8] == b"\x89PNG\r\n\x1a\n", path
        chunks, at = {}, 8
        while at < len(data):
            length, name = struct.unpack(">I4s", data[at:at + 8])
            assert zlib.crc32(data[at + 4:at + 8 + length]) == struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0]
            chunks[name] = data[at + 8:at + 8 + length]
            at += 12 + length
        assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"], list(chunks)
        self.width, self.height = struct.unpack(">II", chunks[b"IHDR"][:8])
        raw, row = zlib.decompress(chunks[b"IDAT"]), 3 * self.width + 1
        assert len(raw) == row * self.height and not any(raw[::row])
        self.rows = [raw[y * row + 1:(y + 1) * row] for y in range(self.height)]

    def pixel(self, x, y):
        return tuple(self.rows[y][3 * x:3 * x + 3])

    def robot(self):
        """{(x, y): colour} of its pixels."""
        found = {}
        for y in range(self.height):
            for x in range(self.width):
                red, green, blue = self.pixel(x, y)
                if red > 30 and 2 * red > 3 * blue:
                    found[x, y] = (red, green, blue)
        return found

    def text(self):
        """The white pixels of the upper left quarter."""
        return {(x, y) for y in range(self.height // 2) for x in range(self.width // 2) if min(self.pixel(x, y)) > 150}


def pictures(run, *args, steps=6, size=(WIDTH, HEIGHT)):
    frames = tempfile.mkdtemp(dir=run)
    said = spur("render", run, "--png", frames, "--size", f"{size[0]}x{size[1]}", "--steps", steps, "--fps", 1000, *args)
    names = sorted(os.listdir(frames))
    assert names == [f"{i:06}.png" for i in range(len(names))], names
    found = [Picture(os.path.join(frames, name)) for name in names]
    assert all((p.width, p.height) == size for p in found)
    return found, said


# ---- contents ----

def every_task(folder):
    for task, (obs_dim, act_dim) in tasks().items():
        run = make_run(folder, task, obs_dim, act_dim)
        frames, said = pictures(run)
        steps = int(re.search(r"episode 1: return \S+, length (\d+)", said).group(1))
        assert len(frames) == steps + 1 >= 3, (task, said)
        robots = [frame.robot() for frame in frames]
        for robot in robots:
            assert len(robot) > 0.002 * WIDTH * HEIGHT, (task, len(robot))
            brightness = sum(max(colour) for colour in robot.values()) / len(robot)
            assert brightness > 90, (task, brightness)
            edge = [(x, y) for x, y in robot if x in (0, WIDTH - 1) or y in (0, HEIGHT - 1)]
            assert not edge, (task, "cut off at", edge[:5])
        moved = set(robots[0]) ^ set(robots[-1])
        shaded = [p for p in set(robots[0]) & set(robots[-1]) if robots[0][p] != robots[-1][p]]
        assert moved or shaded, (task, "nothing moves")
        assert all(a.text() != b.text() for a, b in zip(frames, frames[1:])), (task, "the text stays the same")
        print(f"{task}: {len(frames)} frames, {len(robots[0])} pixels of robot, {len(moved)} of them change")


def camera_and_size(folder):
    run = os.path.join(folder, "hopper")
    count = {}
    for view in ("auto", "side", "front", "top", "90,-12,2", "90,-12,0.5"):
        frames, _ = pictures(run, "--camera", view, steps=1)
        count[view] = len(frames[0].robot())
    assert count["90,-12,0.5"] < 0.5 * count["side"] and count["90,-12,2"] > 1.2 * count["side"], count
    assert len({count["side"], count["front"], count["top"]}) == 3, count
    frames, _ = pictures(run, steps=1, size=(64, 128))
    robot = frames[0].robot()
    assert robot and not [x for x, _ in robot if x in (0, 63)], "a narrow picture shows the whole robot, too"


# A car, and a ball that rolls away from it.
TWO_BODIES = """<mujoco><option timestep="0.01"/><worldbody><geom type="plane" size="50 50 .1"/>
<camera name="corner" pos="-6 -6 5" xyaxes="1 -1 0 1 1 2"/>
<body pos="0 0 .3"><freejoint/><geom type="box" size=".5 .3 .2"/><site name="c"/>
<camera name="driver" pos="-2 0 1.2" xyaxes="0 -1 0 0.4 0 1"/></body>
<body pos="3 2 .4"><freejoint/><geom size=".4"/></body></worldbody>
<actuator><motor site="c" gear="1 0 0 0 0 0" ctrllimited="true" ctrlrange="-3 3"/></actuator>
<keyframe><key name="rolls" qpos="0 0 .3 1 0 0 0 3 2 .4 1 0 0 0" qvel="0 0 0 0 0 0 4 0 0 0 10 0"/></keyframe></mujoco>"""


def every_moving_body(folder):
    for name, text in (("two.xml", TWO_BODIES), ("two.env.yaml", "model: two.xml\nframe_skip: 5\nhorizon: 60\n"
                       "observe: [{qpos: all}]\nreward: {alive: {constant: 1}}\nstart: {keyframe: rolls}\n")):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    def frames(*args):
        out = tempfile.mkdtemp(dir=folder)
        spur("render", os.path.join(folder, "two.env.yaml"), "--policy", "random", "--png", out, "--size",
             f"{WIDTH}x{HEIGHT}", "--fps", 5, "--steps", 60, *args)
        return [Picture(os.path.join(out, name)) for name in sorted(os.listdir(out))]

    def ball(picture):
        found = []
        for y in range(HEIGHT):
            for x in range(WIDTH):
                red, green, blue = picture.pixel(x, y)
                if 2 * green > 3 * red and 5 * green > 6 * blue:
                    found.append((x, y))
        return found

    for view in ("auto", "front", "top"):
        for number, picture in enumerate(frames("--camera", view)):
            for what, seen in (("car", list(picture.robot())), ("ball", ball(picture))):
                assert len(seen) >= 4, (view, number, what, len(seen))
                assert not [(x, y) for x, y in seen if x in (0, WIDTH - 1) or y in (0, HEIGHT - 1)], (view, number, what)
    # The model's cameras: one that stands, and one that rides on the car, which sees it at one place.
    corner, driver = frames("--camera", "corner"), frames("--camera", "driver")
    assert corner[0].rows != driver[0].rows
    assert ball(corner[0]) and len(ball(corner[-1])) < len(ball(corner[0])), "it rolls away from the corner"
    places = [min(x for x, _ in picture.robot()) for picture in driver[1:]]
    assert max(places) - min(places) <= 2, places
    said = spur("render", os.path.join(folder, "two.env.yaml"), "--policy", "random", "--png", folder, "--camera", "corne", code=64)
    assert "or a camera of the model (corner, driver), found \"corne\"" in said, said


def same_episodes_as_eval(folder):
    run = os.path.join(folder, "inverted_pendulum")
    for seed in (1, 5):
        evaluated = json.loads(spur("eval", run, "--episodes", 2, "--seed", seed, "--json"))
        _, said = pictures(run, "--episodes", 2, "--seed", seed, steps=1000)
        shown = [(float(r), int(n)) for r, n in re.findall(r"return (\S+), length (\d+)$", said, re.M)]
        assert shown == list(zip(evaluated["returns"], evaluated["lengths"])), (shown, evaluated)
        # A reward of one per step: the sum of discount^t has a closed form.
        g = evaluated["discount"]
        assert all(abs(d - (1 - g**n) / (1 - g)) < 1e-6 for d, n in zip(evaluated["discounted"], evaluated["lengths"])), evaluated
        assert evaluated["length_min"] <= evaluated["length_mean"] <= evaluated["length_max"] == max(evaluated["lengths"])
    # Real time: Hopper takes 125 steps a second, so at most 50 frames a second is every third step.
    frames, said = pictures(os.path.join(folder, "hopper"), "--fps", 50, steps=6)
    assert len(frames) == 3 and "41.67 per second" in said, (len(frames), said)


def a_start_state(folder):
    path = os.path.join(folder, "start.png")
    spur("check", "inverted_pendulum", "--episodes", 1, "--png", path)
    assert Picture(path).robot(), "no robot in the picture of a start state"


def refusals(folder):
    run = os.path.join(folder, "hopper")
    usage = {"--size": ("640", "641x480", "640x480x3", "32x32", "8192x64"), "--camera": ("behind", "1", "1,2,0", "nan,0"),
             "--fps": ("0", "x"), "--episodes": ("0",), "--steps": ("0",)}
    for option, values in usage.items():
        for value in values:
            assert f'found "{value}"' in spur("render", run, option, value, code=64)
    assert "expected one run directory, found 0" in spur("render", code=64)
    assert "is it a run directory?" in spur("render", folder, code=78)
    assert "policy_best.safetensors does not exist" in spur("render", run, "--policy", "best", code=74)
    # The policy of one task under the name of another is detected by its shape.
    shape = os.path.join(folder, "shape.safetensors")
    with open(os.path.join(run, "policy.safetensors"), "rb") as f, open(shape, "wb") as out:
        out.write(f.read().replace(b'"task": "hopper"', b'"task":"hopper" ').replace(b'"11"', b'"12"'))
    assert "12 observations and 3 actions, but hopper has 11 and 3" in spur("render", "--policy", shape, code=74)
    # An impossible folder for frames, and an impossible path for a video.
    assert "the folder cannot be created" in spur("render", run, "--png", os.path.join(shape, "frames"), code=1)
    assert "cannot be written" in spur("render", run, "--out", os.path.join(shape, "a.mp4"), code=1)
    # Without ffmpeg.
    film = os.path.join(folder, "none.mp4")
    said = spur("render", run, "--out", film, code=1, path="/nowhere")
    assert "needs the program ffmpeg" in said and "--png" in said, said
    assert not [name for name in os.listdir(folder) if name.startswith("none.mp4")]


def film(folder):
    if not shutil.which("ffmpeg"):
        print("skipped: MP4 is not tested, there is no ffmpeg")
        sys.exit(SKIPPED)
    run = make_run(folder, "hopper", 11, 3)
    said = spur("render", run, "--steps", 8, "--size", f"{WIDTH}x{HEIGHT}")
    path = os.path.join(run, "render.mp4")
    with open(path, "rb") as f:
        data = f.read()
    # MP4 boxes: the file type, then the index before the frames (+faststart).
    assert data[4:8] == b"ftyp" and 0 < data.find(b"moov") < data.find(b"mdat"), data[:64]
    assert "41.67 per second" in said and not os.path.exists(path + ".part"), said
    if shutil.which("ffprobe"):
        probe = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-of", "json", "-show_entries",
                                "stream=width,height,codec_name,nb_read_frames", path], capture_output=True, text=True, check=True)
        stream = json.loads(probe.stdout)["streams"][0]
        frames = int(re.search(r"(\d+) frames of", said).group(1))
        assert (stream["width"], stream["height"], stream["codec_name"]) == (WIDTH, HEIGHT, "h264"), stream
        assert int(stream["nb_read_frames"]) == frames >= 3, (stream, said)
    # A failing ffmpeg leaves no file.
    bad = os.path.join(folder, "bin")
    os.mkdir(bad)
    with open(os.path.join(bad, "ffmpeg"), "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\nexit 3\n")
    os.chmod(os.path.join(bad, "ffmpeg"), 0o755)
    os.unlink(path)
    said = spur("render", run, "--steps", 8, code=1, path=f"{bad}:{os.environ['PATH']}")
    assert "ffmpeg" in said and not [name for name in os.listdir(run) if "mp4" in name], (said, os.listdir(run))
    print("the video is valid")


def main():
    with tempfile.TemporaryDirectory() as folder:
        everything = [every_task, camera_and_size, every_moving_body, same_episodes_as_eval, a_start_state, refusals]
        for test in [film] if sys.argv[2:] == ["mp4"] else everything:
            test(folder)
            print(f"ok {test.__name__}", flush=True)


main()
