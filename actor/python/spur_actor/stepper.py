# SPDX-License-Identifier: MIT
"""One environment being stepped: episodes, actions and their random streams.

The start state of an episode is drawn from the stream at the episode's number,
the randomness of an action at the step's number, both counted over all
incarnations of the actor: one that is started again goes on where the numbers stand.
"""
from dataclasses import dataclass

import numpy as np

from . import rng, wire


@dataclass
class Row:
    obs: np.ndarray
    act: np.ndarray
    reward: float
    next_obs: np.ndarray
    flags: int
    policy_version: int  # 0: uniform random
    episode_length: int  # so far, this step included
    episode_return: float


# What step() gives in place of a row.
BAD_STEP = "bad step"      # a number is not finite: no row, the episode is over
BAD_POLICY = "bad policy"  # the policy's action is not finite: nothing was done


class Stepper:
    def __init__(self, env, seed, index, steps, episodes, horizon):
        self.env, self.seed, self.index, self.horizon = env, seed, index, horizon
        self.steps, self.episodes = steps, episodes  # of all incarnations
        self._obs = None  # of the episode under way
        self._length, self._return = 0, 0.0

    def _begin_episode(self):
        self._obs = self.env.reset(rng.reset_seed(self.seed, rng.ENV_RESET, self.index, self.episodes))
        self.episodes += 1
        self._length, self._return = 0, 0.0

    def _choose(self, policy):
        if policy is None:
            stream = rng.stream(self.seed, rng.EXPLORE, self.index, self.steps)
            return stream.uniform(-1, 1, self.env.act_dim).astype(np.float32)
        stream = rng.stream(self.seed, rng.ACT, self.index, self.steps)
        return policy.sample(self._obs, stream.standard_normal(self.env.act_dim, dtype=np.float32))

    def step(self, policy):
        """One step, in a new episode if the last one is over: uniformly random if policy
        is None, else sampled from it. A Row, BAD_STEP or BAD_POLICY."""
        if self._obs is None:
            self._begin_episode()
        obs, act = self._obs, self._choose(policy)
        if not np.isfinite(act).all():
            return BAD_POLICY
        next_obs, reward, terminated, truncated = self.env.step(act)
        with np.errstate(over="ignore"):
            reward32 = np.float32(reward)
        if not (np.isfinite(reward32) and np.isfinite(next_obs).all()):
            self._obs = None
            return BAD_STEP
        self.steps += 1
        self._length += 1
        self._return += reward
        truncated = truncated or self._length >= self.horizon
        flags = wire.TERMINATED if terminated else wire.TRUNCATED if truncated else 0
        self._obs = None if flags else next_obs
        return Row(obs, act, reward32, next_obs, flags, policy.version if policy else 0, self._length, self._return)
