# SPDX-License-Identifier: MIT
"""The tanh-squashed Gaussian policy of SAC (Haarnoja et al. 2018, appendix C), to act with.

    h = relu(W h + b)             for each hidden layer, from h = obs
    (mu, log_std) = W h + b       2 act_dim numbers, mu first
    a = tanh(mu + exp(clip(log_std, -20, 2)) noise)

The parameters are one block: for each layer W (out, in), row after row, then b (out).
"""
import numpy as np

from . import wire

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0


class Misfit(Exception):
    """A policy that cannot act here: the sentence says why."""


class Policy:
    def __init__(self, message, obs_dim, act_dim):
        """From a Policy that wire.unpack has passed. Misfit: another shape than the environment's."""
        if (message.obs_dim, message.act_dim) != (obs_dim, act_dim):
            raise Misfit(f"policy version {message.version} has {message.obs_dim} observations and {message.act_dim} "
                         f"actions, the environment {obs_dim} and {act_dim}; is the learner of the same run?")
        dims = [obs_dim] + [message.hidden_width] * message.hidden_layers + [2 * act_dim]
        expected = sum((n_in + 1) * n_out for n_in, n_out in zip(dims, dims[1:]))
        if message.params_len != expected:
            raise Misfit(f"policy version {message.version} has {message.params_len} parameters, expected {expected}")
        self.version = message.version
        self.act_dim = act_dim
        self.layers = []
        params, at = wire.floats(message.params), 0
        for n_in, n_out in zip(dims, dims[1:]):
            weight = params[at:at + n_in * n_out].reshape(n_out, n_in)
            at += n_in * n_out
            self.layers.append((weight, params[at:at + n_out]))
            at += n_out

    def _forward(self, obs):
        h = obs
        for weight, bias in self.layers[:-1]:
            h = np.maximum(weight @ h + bias, 0)
        weight, bias = self.layers[-1]
        out = weight @ h + bias
        return out[:self.act_dim], out[self.act_dim:]

    def mean(self, obs):
        """The deterministic action of evaluations, (act_dim), for obs (obs_dim)."""
        return np.tanh(self._forward(obs)[0])

    def sample(self, obs, noise):
        """A sampled action; noise (act_dim) ~ N(0, 1)."""
        mu, log_std = self._forward(obs)
        return np.tanh(mu + np.exp(np.clip(log_std, LOG_STD_MIN, LOG_STD_MAX)) * noise)
