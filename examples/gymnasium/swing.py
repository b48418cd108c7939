# SPDX-License-Identifier: MIT
"""An environment of one's own in plain Python, without Gymnasium: a pendulum that hangs from a motor.

    cd examples/gymnasium
    spur run --env python:swing:Swing
"""
import math
import random
from types import SimpleNamespace

def box(low, high):
    """What spur reads of a space; gymnasium.spaces.Box has it too."""
    return SimpleNamespace(low=low, high=high, shape=(len(low),), dtype="float32")


class Swing:
    observation_space = box([-1, -1, -8], [1, 1, 8])  # cos and sin of the angle, speed
    action_space = box([-2], [2])                     # torque of the motor
    spec = SimpleNamespace(id=None, max_episode_steps=200)

    def reset(self, seed=None):
        draw = random.Random(seed)
        self.angle, self.speed = draw.uniform(-math.pi, math.pi), draw.uniform(-1, 1)
        return self.observe(), {}

    def step(self, action):
        torque, upright = float(action[0]), math.remainder(self.angle, 2 * math.pi)
        reward = -(upright**2 + 0.1 * self.speed**2 + 0.001 * torque**2)
        self.speed += 0.05 * (15 * math.sin(self.angle) + 3 * torque)
        self.speed = min(max(self.speed, -8), 8)
        self.angle += 0.05 * self.speed
        return self.observe(), reward, False, False, {}  # terminated, truncated, info

    def observe(self):
        return [math.cos(self.angle), math.sin(self.angle), self.speed]
