# SPDX-License-Identifier: MIT
"""What is asked of an environment, and what is said when it does not fit.

Gymnasium itself is not needed: whatever has these is an environment.

    observation_space.shape      of a box; observations are flattened
    action_space.low, .high      finite bounds; the policy acts in [-1, 1] and is scaled to them
    reset(seed=int) -> (obs, info)
    step(action) -> (obs, reward, terminated, truncated, info)
    close()                      optional
"""
import importlib
import os
import sys

import numpy as np


class Misfit(Exception):
    """What does not fit, and what to do about it."""


def load(name):
    """The environment that "module:function" makes."""
    module_name, colon, function_name = name.partition(":")
    if not (module_name and colon and function_name):
        raise Misfit(f"--env {name}: expected MODULE:FUNCTION, such as my_module:make_env")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        if missing.name != module_name.split(".")[0] and missing.name != module_name:
            raise Misfit(f"--env {name}: importing {module_name} needs the module {missing.name}, which is not there") from None
        raise Misfit(f"--env {name}: there is no module {module_name} in {os.getcwd()} or on PYTHONPATH") from None
    make = getattr(module, function_name, None)
    if not callable(make):
        functions = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise Misfit(f"--env {name}: {module_name} has no function {function_name}; it has {', '.join(functions) or 'none'}")
    return Environment(make())


class Environment:
    """A Gymnasium environment as the wire wants it: flat float32, actions in [-1, 1]."""

    def __init__(self, env):
        for method in ("reset", "step"):
            if not callable(getattr(env, method, None)):
                raise Misfit(f"{type(env).__name__} has no {method}(): an environment has Gymnasium's reset and step")
        self.env = env
        shape = getattr(getattr(env, "observation_space", None), "shape", None)
        if shape is None:
            raise Misfit(f"{type(env).__name__}.observation_space has no shape: it must be a box of numbers; "
                         "for a dictionary, wrap it in gymnasium.wrappers.FlattenObservation")
        self.obs_shape = tuple(int(n) for n in shape)
        self.obs_dim = int(np.prod(self.obs_shape))
        self._take_bounds(getattr(env, "action_space", None))
        if self.obs_dim < 1 or self.act_dim < 1:
            raise Misfit(f"{type(env).__name__} has {self.obs_dim} observations and {self.act_dim} actions: both must be at least 1")

    def _take_bounds(self, space):
        name = type(self.env).__name__
        low, high = getattr(space, "low", None), getattr(space, "high", None)
        if low is None or high is None:
            raise Misfit(f"{name}.action_space has no low and high: actions must be a box of numbers, spur learns no others")
        low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        if low.shape != high.shape:
            raise Misfit(f"{name}.action_space: low has the shape {low.shape}, high {high.shape}")
        self.act_shape, self.act_dim = low.shape, int(low.size)
        self.low, self.high = low.ravel(), high.ravel()
        self.middle, self.half = (self.low + self.high) / 2, (self.high - self.low) / 2
        for i in range(self.act_dim):
            if not (np.isfinite(self.low[i]) and np.isfinite(self.high[i])):
                raise Misfit(f"{name}.action_space, action {i}: bounds {self.low[i]:g} to {self.high[i]:g} are not finite; "
                             "wrap the environment in gymnasium.wrappers.RescaleAction or give it bounds")
            if self.low[i] >= self.high[i]:
                raise Misfit(f"{name}.action_space, action {i}: the bounds {self.low[i]:g} to {self.high[i]:g} are the wrong way round")
        self.act_dtype = getattr(space, "dtype", None) or np.float32

    def _observation(self, obs, where):
        try:
            with np.errstate(over="ignore"):  # infinite then, and judged by who uses it
                flat = np.asarray(obs, dtype=np.float32)
        except (TypeError, ValueError):
            raise Misfit(f"{where} gave an observation of type {type(obs).__name__}, which is no array of numbers") from None
        if flat.shape != self.obs_shape:
            raise Misfit(f"{where} gave an observation of shape {flat.shape}, observation_space says {self.obs_shape}")
        return flat.ravel().copy()  # environments may write into what they gave out

    def reset(self, seed):
        """obs (obs_dim) float32, finite."""
        answer = self.env.reset(seed=seed)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise Misfit("reset(seed=...) must give (obs, info), as Gymnasium's does; "
                         "an environment of the older Gym is wrapped by shimmy")
        obs = self._observation(answer[0], "reset")
        if not np.isfinite(obs).all():
            raise Misfit(f"reset(seed={seed}) gave an observation that is not finite: {obs}")
        return obs

    def step(self, act):
        """act (act_dim) in [-1, 1] -> (obs, reward, terminated, truncated); numbers may be non-finite."""
        scaled = np.clip(self.middle + self.half * act, self.low, self.high)  # clipped: rounding
        answer = self.env.step(scaled.reshape(self.act_shape).astype(self.act_dtype))
        if not (isinstance(answer, tuple) and len(answer) == 5):
            raise Misfit("step(action) must give (obs, reward, terminated, truncated, info), as Gymnasium's does")
        obs, reward, terminated, truncated, _ = answer
        try:
            reward = float(reward)
        except (TypeError, ValueError):
            raise Misfit(f"step gave a reward of type {type(reward).__name__}: it must be one number") from None
        return self._observation(obs, "step"), reward, bool(terminated), bool(truncated)

    def close(self):
        close = getattr(self.env, "close", None)
        if callable(close):
            close()
