# SPDX-License-Identifier: MIT
"""Environments for test_process.c and test_process_env.py, in plain Python: python:process_envs:NAME.

They have Gymnasium's interface and need the standard library only."""
import math
import random
import time


class Box:
    def __init__(self, low, high, dtype="float32"):
        self.low, self.high, self.shape, self.dtype = low, high, (len(low),), dtype


class Dict:
    def __init__(self, spaces):
        self.spaces = spaces


class Spec:
    def __init__(self, steps):
        self.max_episode_steps, self.id = steps, None


INF = math.inf


class Counter:
    """Observes the seed and the steps; the reward is the action, from -1 to 3."""
    observation_space = Box([-INF, -INF], [INF, INF])
    action_space = Box([-1.0], [3.0])
    spec = Spec(50)

    def observe(self):
        return [self.seed, self.steps]

    def reset(self, seed=None):
        self.seed, self.steps = seed, 0
        return self.observe(), {}

    def step(self, action):
        self.steps += 1
        return self.observe(), action[0], self.steps == 7, False, {}


class Nested(Counter):
    observation_space = Dict({"b": Box([0.0], [1.0]), "a": Dict({"y": Box([0.0] * 2, [1.0] * 2), "x": Box([0.0], [1.0])})})

    def observe(self):
        return {"b": [4.0], "a": {"x": [1.0], "y": [2.0, self.steps]}}


class Balance:
    """A cart that is pushed back to the middle: learnt within some hundred steps."""
    observation_space = Box([-INF, -INF], [INF, INF])
    action_space = Box([-2.0], [2.0])
    spec = Spec(40)

    def reset(self, seed=None):
        draw = random.Random(seed)
        self.x, self.v = draw.uniform(-1, 1), draw.uniform(-0.5, 0.5)
        return [self.x, self.v], {}

    def step(self, action):
        self.v += 0.1 * action[0]
        self.x += 0.1 * self.v
        return [self.x, self.v], -(self.x ** 2 + 0.1 * self.v ** 2), abs(self.x) > 3, False, {}


class Unsteady(Balance):
    """It draws numbers that no reset has seeded."""

    def step(self, action):
        self.v += random.SystemRandom().uniform(-0.01, 0.01)
        return super().step(action)


class Wild(Balance):
    """Every 97th observation of the process is far away."""
    count = 0

    def step(self, action):
        observation, *rest = super().step(action)
        Wild.count += 1
        return [1e20, observation[1]] if Wild.count % 97 == 0 else observation, *rest


class Slow(Balance):
    """Its module takes long to import, and its resets long too."""
    spec = Spec(200)

    def __init__(self):
        time.sleep(1)

    def reset(self, seed=None):
        time.sleep(1.2)
        return super().reset(seed)


class Raises(Counter):
    def step(self, action):
        if self.steps == 3:
            raise RuntimeError("the arm is stuck")
        return super().step(action)


class RaisesRarely(Counter):
    # Once in 20 steps, over all episodes.
    def step(self, action):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls % 20 == 0:
            raise SystemExit(0) if self.calls % 40 == 0 else RuntimeError("the physics state is invalid")
        return super().step(action)


class Prints(Counter):
    def step(self, action):
        print("step", self.steps, "of the user")
        return super().step(action)


class OldReset(Counter):
    def reset(self, seed=None):
        return [0.0, 0.0]


class WrongShape(Counter):
    def observe(self):
        return [1.0]


class HalfOpen(Counter):
    action_space = Box([0.0], [INF])


class Discrete(Counter):
    action_space = "Discrete(2)"


class Pixels(Counter):
    observation_space = Box([0] * 3, [255] * 3, "uint8")

    def __init__(self):
        self.observation_space.shape = (64, 64, 3)


class NoLimit(Counter):
    spec = None


class NoStep:
    def reset(self, seed=None):
        return [0.0], {}


class Picture:
    shape, dtype = (4, 6, 3), "uint8"

    def tobytes(self):
        return bytes(range(72))


class Draws(Counter):
    metadata = {"render_fps": 20}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def render(self):
        return Picture() if self.render_mode == "rgb_array" else None


def fails():
    raise OSError("no robot at 10.0.0.7")


not_callable = 3


class Paced(Balance):
    """A robot with a control period of 5 ms: step() waits for its end. The environment prints how late the worst of the
    calls came, in ms, every 200 steps."""
    spec = Spec(200)
    period = 0.005

    def __init__(self):
        self.due, self.worst, self.calls = time.monotonic(), 0, 0

    def step(self, action):
        self.worst = max(self.worst, time.monotonic() - self.due)
        self.calls += 1
        if self.calls % 200 == 0:
            print(f"late {1000 * self.worst:.1f} ms", flush=True)
        self.due = max(self.due + self.period, time.monotonic())
        time.sleep(max(0, self.due - time.monotonic()))
        return super().step(action)


class Calm(Balance):
    """A period of 0.1 s, for runs that last an hour and leave the machine to others."""
    period = 0.1

    def step(self, action):
        time.sleep(self.period)
        return super().step(action)
