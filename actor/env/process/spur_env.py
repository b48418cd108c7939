# SPDX-License-Identifier: MIT
"""Runs a Python environment in a child process of spur: --env python:MODULE:FUNCTION.

Spur passes this text to the interpreter. It imports MODULE from the current directory or Python's
search path, calls FUNCTION (or a class), and answers the frames of actor/env/process/frame.h on
descriptors 3 and 4 until CLOSE. "python:gym:ID" means gymnasium.make(ID). It does not need
Gymnasium, and numpy only if the environment uses it.
"""
import importlib
import inspect
import math
import os
import struct
import sys
import traceback

try:
    import numpy as np
except ImportError:
    np = None

VERSION = 1
MAKE, RESET, STEP, RENDER, CLOSE = 1, 2, 3, 4, 5
MADE, OBSERVATION, PICTURE, ERROR = 16, 17, 18, 19
PICTURES, TERMINATED, TRUNCATED = 1, 1, 2
OBS_MAX, ACT_MAX, TEXT_MAX, NAME_MAX = 512, 64, 16000, 63
FILE = "spur_env.py"


class Misfit(Exception):
    """An unsuitable environment or call: reported as one sentence with a remedy, without traceback."""


# ---- frames ----

def receive():
    """The next request. It is smaller than PIPE_BUF and the only one, so nearly always one read has all of it."""
    data = os.read(3, 4096)
    while 0 < len(data) < 8 or len(data) >= 8 and len(data) < 8 + struct.unpack_from("<I", data, 4)[0]:
        more = os.read(3, 4096)
        data = data + more if more else b""
    if not data:
        return CLOSE, b""  # the actor has ended
    return struct.unpack_from("<I", data)[0], data[8:]


def send(kind, payload):
    data = struct.pack("<II", kind, len(payload)) + payload
    sent = os.write(4, data)
    while sent < len(data):
        sent += os.write(4, data[sent:])


# ---- spaces ----

def values(x):
    """The numbers of an array, of nested lists, or a single number, in order."""
    if hasattr(x, "tolist"):
        x = x.tolist()
    if isinstance(x, (list, tuple)):
        return [v for item in x for v in values(item)]
    return [float(x)]


def size_of(shape):
    return math.prod(int(n) for n in shape)


def is_box(space):
    return all(hasattr(space, field) for field in ("low", "high", "shape"))


def is_dict(space):
    return hasattr(space, "spaces") and hasattr(space.spaces, "items")


def keys_of(space):
    keys = list(space.spaces)
    return sorted(keys) if all(isinstance(key, str) for key in keys) else keys


def leaves(space, path):
    """The boxes of an observation space as (name, shape), in the order of their numbers."""
    if is_dict(space):
        return [leaf for key in keys_of(space) for leaf in leaves(space.spaces[key], f"{path}[{key!r}]")]
    if isinstance(getattr(space, "spaces", None), (list, tuple)):
        return [leaf for i, item in enumerate(space.spaces) for leaf in leaves(item, f"{path}[{i}]")]
    if not is_box(space):
        raise Misfit(f"{path} is {space}: spur learns from boxes of numbers, or from dictionaries and tuples of them; "
                     "wrap the environment, in gymnasium.wrappers.FlattenObservation for example")
    shape = tuple(space.shape)
    if "uint8" in str(getattr(space, "dtype", "")) and (len(shape) >= 3 or size_of(shape) > OBS_MAX):
        raise Misfit(f"{path} has shape {shape} and type uint8: these are pixels, from which spur does not learn; "
                     "observe the state instead")
    return [(path, shape)]


def flatten(obs, space):
    """The numbers of an observation in the order of leaves()."""
    if is_dict(space):
        return [v for key in keys_of(space) for v in flatten(obs[key], space.spaces[key])]
    if hasattr(space, "spaces"):
        return [v for item, inner in zip(obs, space.spaces) for v in flatten(item, inner)]
    return values(obs)


def bounds_of(space):
    """The bounds (low, high) of the action space as lists."""
    if not is_box(space):
        raise Misfit(f"action_space is {space}: spur learns continuous actions, a Box of finite bounds; "
                     "Discrete and other spaces are not supported")
    if any(word in str(getattr(space, "dtype", "")) for word in ("int", "bool")):
        raise Misfit(f"action_space is {space}: its type must be a floating-point one")
    n, low, high = size_of(space.shape), values(space.low), values(space.high)
    if not (len(low) == len(high) == n and 1 <= n <= ACT_MAX):
        raise Misfit(f"action_space is {space}: it must have 1 to {ACT_MAX} numbers, and as many bounds")
    for i in range(n):
        if not (math.isfinite(low[i]) and math.isfinite(high[i]) and low[i] < high[i]):
            raise Misfit(f"action_space: the bounds of action {i} are {low[i]:g} to {high[i]:g}; the policy's -1 and 1 "
                         "are scaled to them, so they must be finite and the lower one lower: give the Box such bounds")
    return low, high


# ---- the environment ----

def sanitized(name):
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in name)
    return (kept if kept[:1].isalpha() else "env-" + kept)[:NAME_MAX]


def gymnasium_make(spec, env_id, pictures):
    try:
        import gymnasium
    except ModuleNotFoundError:
        raise Misfit(f"python:{spec} needs the package gymnasium, which {sys.executable} does not have: activate the "
                     "virtual environment that has it, or set task.env_python to its interpreter") from None
    return gymnasium.make(env_id, render_mode="rgb_array" if pictures else None)


def find_function(spec):
    module_name, colon, path = spec.partition(":")
    if not (module_name and colon and path):
        raise Misfit(f"python:{spec}: expected python:MODULE:FUNCTION, such as python:my_module:make_env")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        if missing.name and (module_name == missing.name or module_name.startswith(missing.name + ".")):
            raise Misfit(f"there is no module {module_name} in {os.getcwd()} or where {sys.executable} looks: start spur "
                         "in the folder of the module, set PYTHONPATH, or set task.env_python to the interpreter that "
                         "has it") from None
        raise
    made = module
    for name in path.split("."):
        if not hasattr(made, name):
            there = [n for n, v in vars(made).items() if callable(v) and not n.startswith("_")] if hasattr(made, "__dict__") else []
            raise Misfit(f"{module_name} has no {name}; it has {', '.join(there[:20]) or 'nothing to call'}")
        made = getattr(made, name)
    if not callable(made):
        raise Misfit(f"{module_name}:{path} is of type {type(made).__name__}, which is not callable: name a function or "
                     "a class that makes the environment")
    return made


def construct(spec, pictures):
    module_name, _, rest = spec.partition(":")
    if module_name in ("gym", "gymnasium") and rest:
        return gymnasium_make(spec, rest, pictures)
    function, options = find_function(spec), {}
    if pictures:
        try:
            parameters = inspect.signature(function).parameters
            if "render_mode" in parameters or any(p.kind == p.VAR_KEYWORD for p in parameters.values()):
                options["render_mode"] = "rgb_array"
        except (TypeError, ValueError):
            pass  # no signature: call without options
    return function(**options)


def horizon_of(env):
    """max_episode_steps of the environment's spec or its TimeLimit; 0: none."""
    limit = getattr(getattr(env, "spec", None), "max_episode_steps", None)
    inner = env
    while limit is None and inner is not None:
        limit = vars(inner).get("_max_episode_steps") if hasattr(inner, "__dict__") else None
        inner = vars(inner).get("env") if hasattr(inner, "__dict__") else None
    return int(limit) if limit else 0


class Runner:
    def __init__(self, spec, pictures):
        env = construct(spec, pictures)
        kind = type(env).__name__
        for method in ("reset", "step"):
            if not callable(getattr(env, method, None)):
                raise Misfit(f"python:{spec} made a {kind}, which has no {method}(): an environment has Gymnasium's reset "
                             "and step")
        if hasattr(env, "single_action_space"):
            raise Misfit(f"python:{spec} made a {kind} of {getattr(env, 'num_envs', 'several')} environments: make one; "
                         "run.actors and run.envs_per_actor set how many spur steps")
        for name in ("observation_space", "action_space"):
            if getattr(env, name, None) is None:
                raise Misfit(f"{kind} has no {name}: it must be a Box")
        self.env, self.obs_space = env, env.observation_space
        parts = leaves(self.obs_space, "observation_space")
        self.obs_dim = sum(size_of(shape) for _, shape in parts)
        if not 1 <= self.obs_dim <= OBS_MAX:
            raise Misfit(f"observation_space has {self.obs_dim} numbers; spur takes 1 to {OBS_MAX}, and no pixels")
        self.low, self.high = bounds_of(env.action_space)
        self.act_shape = tuple(int(n) for n in env.action_space.shape)
        self.act_type = getattr(env.action_space, "dtype", None)
        # Fast path for a single Box.
        self.obs_shape = tuple(self.obs_space.shape) if np and is_box(self.obs_space) else None
        self.obs_format, self.act_format = f"<IId{self.obs_dim}d", f"<{len(self.low)}d"

        module = spec.split(":")[0].split(".")[-1]
        env_id = getattr(getattr(env, "spec", None), "id", None)
        self.name = sanitized("gym-" + env_id if env_id else module)
        self.horizon = horizon_of(env)
        fps = (getattr(env, "metadata", None) or {}).get("render_fps")
        self.fps = float(fps) if fps else 0.0
        self.note = ""
        if len(parts) > 1 or is_dict(self.obs_space):
            names = [f"{path[len('observation_space'):]} ({size_of(shape)})" for path, shape in parts]
            self.note = f"observations are flattened, {self.obs_dim} numbers in this order: {', '.join(names)}"

    def made(self):
        name, n = self.name.encode(), len(self.low)
        return (struct.pack(f"<IIIId{2 * n}dI", VERSION, self.obs_dim, n, self.horizon, self.fps, *self.low, *self.high,
                            len(name)) + name + self.note.encode()[:TEXT_MAX])

    def observation(self, obs, reward, flags, method):
        if self.obs_shape is not None:
            flat = np.asarray(obs, dtype=np.float64)
            if flat.shape != self.obs_shape:
                raise Misfit(f"{method} returned an observation of shape {flat.shape}; observation_space says {self.obs_shape}")
            return struct.pack("<IId", flags, 0, reward) + flat.tobytes()
        flat = flatten(obs, self.obs_space)
        if len(flat) != self.obs_dim:
            raise Misfit(f"{method} returned an observation of {len(flat)} numbers; observation_space says {self.obs_dim}")
        return struct.pack(self.obs_format, flags, 0, reward, *flat)

    def reset(self, seed):
        answer = self.env.reset(seed=seed)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise Misfit("reset(seed=...) must return (obs, info), as Gymnasium's does")
        return self.observation(answer[0], 0.0, 0, "reset")

    def action(self, payload):
        if np is not None:
            return np.frombuffer(payload, "<f8").astype(self.act_type or np.float32).reshape(self.act_shape)
        flat = list(struct.unpack(self.act_format, payload))
        for n in reversed(self.act_shape[1:]):
            flat = [flat[i:i + n] for i in range(0, len(flat), n)]
        return flat if self.act_shape else flat[0]

    def step(self, payload):
        answer = self.env.step(self.action(payload))
        if not (isinstance(answer, tuple) and len(answer) == 5):
            raise Misfit("step(action) must return (obs, reward, terminated, truncated, info), as Gymnasium's does")
        obs, reward, terminated, truncated, _ = answer
        flags = (TERMINATED if terminated else 0) | (TRUNCATED if truncated else 0)
        return self.observation(obs, float(reward), flags, "step")

    def render(self):
        if not callable(getattr(self.env, "render", None)):
            raise Misfit(f"{type(self.env).__name__} has no render()")
        picture = self.env.render()
        shape = tuple(getattr(picture, "shape", ()))
        if len(shape) != 3 or shape[2] != 3 or str(getattr(picture, "dtype", "")) != "uint8":
            raise Misfit(f"render() returned {type(picture).__name__} of shape {shape}, not an array (height, width, 3) of uint8: "
                         "its render_mode must be rgb_array; a function with a parameter render_mode is called with that")
        return struct.pack("<II", shape[1], shape[0]) + picture.tobytes()

    def close(self):
        if callable(getattr(self.env, "close", None)):
            self.env.close()


# ---- main ----

def describe(error):
    """The text of ERROR: a sentence, or the traceback without the frames of this file."""
    if isinstance(error, Misfit):
        return str(error)
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename == FILE and tb.tb_next is not None:
        tb = tb.tb_next
    text = "".join(traceback.format_exception(type(error), error, tb))
    return text if len(text) <= TEXT_MAX else text[:TEXT_MAX // 2] + "\n...\n" + text[-TEXT_MAX // 2:]


def answer(runner, kind, payload, spec):
    """Executes a request. Returns the runner and the reply."""
    if kind == MAKE:
        version, flags = struct.unpack("<II", payload[:8])
        if version != VERSION:
            raise Misfit(f"spur speaks version {version} of the protocol, its Python runner {VERSION}")
        runner = Runner(spec, bool(flags & PICTURES))
        return runner, MADE, runner.made()
    if kind == RESET:
        return runner, OBSERVATION, runner.reset(struct.unpack("<Q", payload)[0])
    if kind == STEP:
        return runner, OBSERVATION, runner.step(payload)
    if kind == RENDER:
        return runner, PICTURE, runner.render()
    raise Misfit(f"request {kind} is not known")


def main(spec):
    sys.argv = ["spur-env"]
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    runner = None
    while True:
        kind, payload = receive()
        if kind == CLOSE:
            break
        try:
            runner, kind, payload = answer(runner, kind, payload, spec)
        except (Exception, SystemExit) as error:  # reported to spur, which decides how to continue
            kind, payload = ERROR, describe(error).encode(errors="backslashreplace")
        send(kind, payload)
    if runner is not None:
        runner.close()


main(sys.argv[1])
