# SPDX-License-Identifier: MIT
"""Tasks of the DeepMind Control Suite for spur: python:dmc:DOMAIN_TASK, from this folder.

    spur run cheetah.yaml                          # python:dmc:cheetah_run
    spur check --env python:dmc:cartpole_swingup

An observation is all of a task's arrays in one; a step repeats its action, as is usual for the
suite: twice, so that an episode of 1,000 control steps has 500. The rewards of both are added.
"""
from types import SimpleNamespace

import numpy as np
from dm_control import suite

ACTION_REPEAT = 2


def box(low, high):
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    return SimpleNamespace(low=low, high=high, shape=low.shape, dtype="float32")


class Task:
    def __init__(self, domain, name):
        self.domain, self.name = domain, name
        self.load(None)
        size = sum(int(np.prod(part.shape)) for part in self.env.observation_spec().values())
        self.observation_space = box(np.full(size, -np.inf), np.full(size, np.inf))
        action = self.env.action_spec()
        self.action_space = box(action.minimum, action.maximum)
        steps = round(self.env._step_limit) // ACTION_REPEAT
        self.spec = SimpleNamespace(id=f"{domain}-{name}", max_episode_steps=steps)

    def load(self, seed):
        self.env = suite.load(self.domain, self.name, task_kwargs={"random": seed})

    def reset(self, seed=None):
        if seed is not None:
            self.env.task.random.seed(seed % 2**32)
        return self.flat(self.env.reset()), {}

    def step(self, action):
        reward = 0.0
        for _ in range(ACTION_REPEAT):
            now = self.env.step(action)
            reward += now.reward or 0.0
            if now.last():
                break
        # The suite ends an episode by its length, at a discount of 1, or for good, at 0.
        ended = now.last() and now.discount == 0
        return self.flat(now), reward, ended, now.last() and not ended, {}

    def flat(self, now):
        return np.concatenate([np.ravel(part) for part in now.observation.values()])


def __getattr__(name):
    """cheetah_run and the like: the longest domain that begins the name."""
    for domain, task in sorted(suite.ALL_TASKS, key=lambda pair: -len(pair[0])):
        if name == f"{domain}_{task}":
            return lambda: Task(domain, task)
    raise AttributeError(f"the suite has no task {name}")
