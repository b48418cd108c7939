# SPDX-License-Identifier: MIT
"""Randomness as a value: every draw is a function of (seed, use, sub, number).

`number` counts episodes or steps of an actor over all its incarnations, so one
that is started again goes on in its streams and never repeats a draw.
"""
import numpy as np

# Numbered like enum rng_use of spur itself. The generators differ (numpy's Philox is
# 4x64, spur's 4x32): same scheme, other numbers.
ENV_RESET, EXPLORE, ACT, EVAL_RESET = 1, 2, 3, 4

_SEED_MAX = 2**31  # Gymnasium wants seeds that an int32 holds


def stream(seed, use, sub, number):
    """A numpy Generator at the beginning of its share of the stream."""
    key = np.array([seed & (2**64 - 1), use << 40 | sub], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, number, 0, 0], dtype=np.uint64)))


def reset_seed(seed, use, sub, number):
    """A seed for env.reset(seed=...)."""
    return int(stream(seed, use, sub, number).integers(_SEED_MAX))
