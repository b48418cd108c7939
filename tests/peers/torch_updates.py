#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Spur's updates beside PyTorch's: the same SAC update and the same ensemble step, in turns on one core.

Usage: torch_updates.py [SPUR [ROUNDS]]       (default: build/bin/spur, 5)

Needs PyTorch for the python3 that runs it (Debian: python3-torch) and says so, with exit code 77, where there is none. Both
sides run on one thread, bound to one core, and are timed on the processor, so that other programs take little from either.
PyTorch runs eagerly, with its optimisers' fused loops over tensors (foreach) and the widest vectors of the processor.
"""
import copy
import json
import math
import os
import statistics
import subprocess
import sys
import time

# Libraries read these when they are loaded, so this program restarts itself with them.
SETTINGS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
SECONDS = 1.0  # of one measurement

# Hopper, and the defaults of `spur config hopper`.
OBS, ACT, BATCH, ROWS = 11, 3, 256, 20000
WIDTH, DISCOUNT, TAU, SAC_RATE, TARGET_ENTROPY = 256, 0.99, 0.005, 3e-4, -1.0
MEMBERS, MODEL_WIDTH, MODEL_LAYERS, MODEL_RATE = 7, 200, 4, 1e-3
DECAY = [2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4]


def settle():
    """Sets environment and core before libraries are loaded."""
    wanted = dict(os.environ, **SETTINGS)
    wanted.pop("OPENBLAS_CORETYPE", None)
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        wanted["ATEN_CPU_CAPABILITY"] = "avx512" if " avx512f " in f.read() else "avx2"
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def network(inputs, outputs):
    nn = torch.nn
    return nn.Sequential(nn.Linear(inputs, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, outputs))


class Sac:
    """One update as learner/methods/sac.h describes it."""

    def __init__(self):
        self.policy = network(OBS, 2 * ACT)
        self.critics = torch.nn.ModuleList([network(OBS + ACT, 1) for _ in range(2)])
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        self.log_alpha = torch.zeros(1, requires_grad=True)
        adam = torch.optim.Adam
        self.policy_adam = adam(self.policy.parameters(), SAC_RATE, foreach=True)
        self.critic_adam = adam(self.critics.parameters(), SAC_RATE, foreach=True)
        self.alpha_adam = adam([self.log_alpha], SAC_RATE)
        self.online, self.averaged = list(self.critics.parameters()), list(self.targets.parameters())
        self.rows = [torch.randn(ROWS, OBS), torch.rand(ROWS, ACT) * 2 - 1, torch.randn(ROWS, 1), torch.randn(ROWS, OBS),
                     torch.zeros(ROWS, 1)]

    def act(self, obs):
        mean, log_std = self.policy(obs).chunk(2, dim=1)
        log_std = log_std.clamp(-20, 2)
        noise = torch.randn_like(mean)
        raw = mean + log_std.exp() * noise
        log_prob = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        log_prob = log_prob - 2 * (math.log(2) - raw - torch.nn.functional.softplus(-2 * raw))
        return torch.tanh(raw), log_prob.sum(1, keepdim=True)

    @staticmethod
    def step(adam, loss):
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()

    def update(self):
        mse = torch.nn.functional.mse_loss
        drawn = torch.randint(ROWS, (BATCH,))
        obs, act, reward, next_obs, terminated = (column[drawn] for column in self.rows)
        alpha = self.log_alpha.detach().exp()
        with torch.no_grad():
            next_act, next_log_prob = self.act(next_obs)
            pair = torch.cat([next_obs, next_act], 1)
            value = torch.minimum(self.targets[0](pair), self.targets[1](pair)) - alpha * next_log_prob
            goal = reward + DISCOUNT * (1 - terminated) * value
        pair = torch.cat([obs, act], 1)
        self.step(self.critic_adam, 0.5 * (mse(self.critics[0](pair), goal) + mse(self.critics[1](pair), goal)))

        self.critics.requires_grad_(False)
        chosen, log_prob = self.act(obs)
        pair = torch.cat([obs, chosen], 1)
        self.step(self.policy_adam, (alpha * log_prob - torch.minimum(self.critics[0](pair), self.critics[1](pair))).mean())
        self.critics.requires_grad_(True)

        self.step(self.alpha_adam, -(self.log_alpha * (log_prob.detach() + TARGET_ENTROPY)).mean())
        with torch.no_grad():
            torch._foreach_mul_(self.averaged, 1 - TAU)
            torch._foreach_add_(self.averaged, self.online, alpha=TAU)


class Ensemble:
    """One step of all members on a batch each (modelserver/model/fit.h), as batched products."""

    def __init__(self):
        dims = [OBS + ACT] + [MODEL_WIDTH] * MODEL_LAYERS + [2 * (OBS + 1)]
        self.layers = []
        for inputs, outputs in zip(dims, dims[1:]):
            weight = torch.randn(MEMBERS, inputs, outputs) / (2 * math.sqrt(inputs))
            self.layers.append((weight.requires_grad_(), torch.zeros(MEMBERS, 1, outputs, requires_grad=True)))
        self.high = torch.full((1, OBS + 1), 0.5, requires_grad=True)
        self.low = torch.full((1, OBS + 1), -10.0, requires_grad=True)
        groups = [{"params": [weight], "weight_decay": decay} for (weight, _), decay in zip(self.layers, DECAY)]
        groups.append({"params": [bias for _, bias in self.layers] + [self.high, self.low]})
        self.adam = torch.optim.Adam(groups, MODEL_RATE, foreach=True)
        self.x, self.y = torch.randn(ROWS, OBS + ACT), torch.randn(ROWS, OBS + 1)

    def update(self):
        functional = torch.nn.functional
        drawn = torch.randint(ROWS, (MEMBERS, BATCH))
        h, goal = self.x[drawn], self.y[drawn]
        for i, (weight, bias) in enumerate(self.layers):
            h = torch.baddbmm(bias, h, weight)
            h = functional.silu(h) if i < MODEL_LAYERS else h
        mean, log_var = h.chunk(2, dim=2)
        log_var = self.high - functional.softplus(self.high - log_var)
        log_var = self.low + functional.softplus(log_var - self.low)
        loss = ((mean - goal).square() * torch.exp(-log_var) + log_var).mean((1, 2)).sum()
        loss = loss + 0.01 * (self.high.sum() - self.low.sum())
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()


def rate_of(update):
    """Updates a second of this process's time on the processor."""
    update()
    done, begin = 0, time.process_time()
    while time.process_time() - begin < SECONDS:
        update()
        done += 1
    return done / (time.process_time() - begin)


def rates_of_spur(spur):
    out = subprocess.run([spur, "bench", "--compute", "--json", "--seconds", "2"], capture_output=True, text=True, check=True)
    return {case["name"]: case["median"] for case in json.loads(out.stdout)["cases"]}


def main():
    spur = sys.argv[1] if len(sys.argv) > 1 else "build/bin/spur"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    sac, ensemble = Sac(), Ensemble()
    measured = {"sac_updates": [], "ensemble_steps": []}
    peak = []
    for _ in range(rounds):
        ours = rates_of_spur(spur)
        peak.append(ours["fma_peak"])
        measured["sac_updates"].append((ours["sac_updates"], rate_of(sac.update)))
        measured["ensemble_steps"].append((ours["ensemble_steps"], rate_of(ensemble.update)))
    print(f"PyTorch {torch.__version__}, {rounds} rounds, one core; register peak {min(peak):.0f} - {max(peak):.0f} GFLOP/s")
    for name, pairs in measured.items():
        ratios = sorted(spur_rate / torch_rate for spur_rate, torch_rate in pairs)
        spur_median, torch_median = (statistics.median(side) for side in zip(*pairs))
        print(f"{name:15} spur {spur_median:6.1f} /s, PyTorch {torch_median:6.1f} /s: "
              f"{statistics.median(ratios):.2f} times ({ratios[0]:.2f} - {ratios[-1]:.2f})")


settle()
try:
    import torch
except ImportError:
    print("skipped: this python3 has no PyTorch; on Debian: apt-get install python3-torch, then /usr/bin/python3 " + sys.argv[0])
    sys.exit(77)
torch.set_num_threads(1)
torch.manual_seed(1)
main()
