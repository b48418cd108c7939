# SPDX-License-Identifier: MIT
"""An environment of one's own in plain Python: a cart that balances a pole.

The physics of Gymnasium's InvertedPendulum-v4, without MuJoCo: two equations of motion,
the soft stop at the rail's ends, and the classical Runge-Kutta method (RK4). Nothing
here knows spur or Gymnasium; it has the few things that an environment needs.

    q = (x, angle)    x: of the cart along its rail, m; angle: of the pole, rad, 0 is upright
"""
import math

import numpy as np

CART_KG, POLE_KG = 10.47197551196598, 5.018591641363306
POLE_INERTIA = 0.1887497668730885         # about its centre, kg m^2
POLE_X, POLE_Z = 0.0005, 0.3              # its centre at angle 0; the pole leans a little, m
GRAVITY, DAMPING, GEAR = 9.81, 1.0, 100.0
RAIL = 1.0                                # the stop is at +-RAIL, m
TIMESTEP, FRAME_SKIP = 0.02, 2
ANGLE_MAX = 0.2

# MuJoCo's soft stop: a spring and damper of this time constant (no shorter than two
# timesteps), whose strength grows over the first millimetre.
STOP_TIME = 2 * TIMESTEP
STOP_WEAK, STOP_STRONG, STOP_WIDTH = 0.9, 0.95, 0.001

TOTAL_KG = CART_KG + POLE_KG
POLE_ABOUT_HINGE = POLE_INERTIA + POLE_KG * (POLE_X**2 + POLE_Z**2)
# What a unit force on the cart at rest accelerates it by: the stop is scaled by that.
CART_GIVE = POLE_ABOUT_HINGE / (TOTAL_KG * POLE_ABOUT_HINGE - (POLE_KG * POLE_Z)**2)


def _stop(x, v, accel, give):
    """The force of the rail's end on the cart. accel: without it; give: of a unit force."""
    side = 1.0 if x < 0 else -1.0  # where it pushes to
    depth = RAIL - abs(x)          # negative beyond the end
    if depth >= 0:
        return 0.0
    s = min(-depth / STOP_WIDTH, 1.0)
    s = 2 * s * s if s < 0.5 else 1 - 2 * (1 - s)**2
    strength = STOP_WEAK + s * (STOP_STRONG - STOP_WEAK)
    wanted = (-2 / (STOP_STRONG * STOP_TIME) * side * v
              - strength / (STOP_STRONG * STOP_TIME)**2 * depth)
    softness = (1 - strength) / strength * CART_GIVE
    return side * max(0.0, (wanted - side * accel) / (give + softness))


def _acceleration(x, angle, v, spin, force):
    c, s = math.cos(angle), math.sin(angle)
    lever_z, lever_x = POLE_KG * (POLE_Z * c - POLE_X * s), POLE_KG * (POLE_Z * s + POLE_X * c)
    push = force - DAMPING * v + lever_x * spin * spin
    twist = lever_x * GRAVITY - DAMPING * spin
    det = TOTAL_KG * POLE_ABOUT_HINGE - lever_z * lever_z
    push += _stop(x, v, (POLE_ABOUT_HINGE * push - lever_z * twist) / det, POLE_ABOUT_HINGE / det)
    return (POLE_ABOUT_HINGE * push - lever_z * twist) / det, (TOTAL_KG * twist - lever_z * push) / det


def advance(x, angle, v, spin, force):
    """One timestep of RK4."""
    h = TIMESTEP
    a1, b1 = _acceleration(x, angle, v, spin, force)
    v2, w2 = v + h / 2 * a1, spin + h / 2 * b1
    a2, b2 = _acceleration(x + h / 2 * v, angle + h / 2 * spin, v2, w2, force)
    v3, w3 = v + h / 2 * a2, spin + h / 2 * b2
    a3, b3 = _acceleration(x + h / 2 * v2, angle + h / 2 * w2, v3, w3, force)
    v4, w4 = v + h * a3, spin + h * b3
    a4, b4 = _acceleration(x + h * v3, angle + h * w3, v4, w4, force)
    return (x + h / 6 * (v + 2 * v2 + 2 * v3 + v4), angle + h / 6 * (spin + 2 * w2 + 2 * w3 + w4),
            v + h / 6 * (a1 + 2 * a2 + 2 * a3 + a4), spin + h / 6 * (b1 + 2 * b2 + 2 * b3 + b4))


class Box:
    """What spur asks of a space; gymnasium.spaces.Box does as well."""

    def __init__(self, low, high, shape, dtype):
        self.low, self.high = np.full(shape, low, dtype), np.full(shape, high, dtype)
        self.shape, self.dtype = shape, dtype


class Pendulum:
    observation_space = Box(-np.inf, np.inf, (4,), np.float64)
    action_space = Box(-3.0, 3.0, (1,), np.float32)

    def __init__(self):
        self.state = (0.0, 0.0, 0.0, 0.0)

    def reset(self, seed=None):
        noise = np.random.default_rng(seed).uniform(-0.01, 0.01, 4)
        self.state = tuple(map(float, noise))
        return np.array(self.state), {}

    def step(self, action):
        force = GEAR * min(max(float(action[0]), -3.0), 3.0)
        for _ in range(FRAME_SKIP):
            self.state = advance(*self.state, force)
        terminated = not abs(self.state[1]) <= ANGLE_MAX
        return np.array(self.state), 1.0, terminated, False, {}


def make_env():
    return Pendulum()
