#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Spur's updates beside PyTorch's: the same SAC update, ensemble step and dhmbpo update, in turns.

Usage: torch_updates.py [SPUR [ROUNDS]]       (default: build/bin/spur, 5)
       torch_updates.py --gpu [SPUR [ROUNDS]]

Needs PyTorch for the python3 that runs it (Debian: python3-torch) and says so, with exit code 77, where there is none.

Without --gpu both sides run on one thread, bound to one core, and are timed on the processor, so that other programs take
little from either. PyTorch runs eagerly, with its optimisers' fused loops over tensors (foreach) and the widest vectors of the
processor.

With --gpu PyTorch runs on the first CUDA device, in two ways: eagerly, and as a CUDA graph of the whole update, which is
launched at once and has no time of Python in it. Spur has the first two cores. Both are timed by the clock on the wall.
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
LOW, HIGH, CLIP = -0.2, 0.2, 10.0  # of the angle that ends an episode; of velocities
WIDTH, DISCOUNT, TAU, SAC_RATE, TARGET_ENTROPY = 256, 0.99, 0.005, 3e-4, -1.0
MEMBERS, MODEL_WIDTH, MODEL_LAYERS, MODEL_RATE = 7, 200, 4, 1e-3
DECAY = [2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4]
# dhmbpo: tiles of 32 rows, one of 8 members each; states of the last ten distribution rollouts.
TILES, HORIZON, CRITICS, DH_DISCOUNT, DH_TARGET_ENTROPY, STATES = 8, 5, 4, 0.995, -3.0, 51200


def settle():
    """Sets environment and core before libraries are loaded."""
    wanted = dict(os.environ, **SETTINGS)
    wanted.pop("OPENBLAS_CORETYPE", None)
    if GPU:
        wanted["OPENBLAS_NUM_THREADS"] = "2"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        wanted["ATEN_CPU_CAPABILITY"] = "avx512" if " avx512f " in f.read() else "avx2"
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2 if GPU else 1])


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
        self.policy_adam = adam(self.policy.parameters(), SAC_RATE, foreach=True, capturable=GPU)
        self.critic_adam = adam(self.critics.parameters(), SAC_RATE, foreach=True, capturable=GPU)
        self.alpha_adam = adam([self.log_alpha], SAC_RATE, capturable=GPU)
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


def random_block(count, dims, spread=2.0):
    """Weights and biases of `count` networks, as batched products want them."""
    layers = []
    for inputs, outputs in zip(dims, dims[1:]):
        layers.append(torch.randn(count, inputs, outputs) / (spread * math.sqrt(inputs)))
        layers.append(torch.zeros(count, 1, outputs))
    return layers


def forward(layers, h):
    """All networks of a block on their own rows: h is [count, rows, inputs]."""
    for i in range(0, len(layers), 2):
        h = torch.baddbmm(layers[i + 1], h, layers[i])
        h = torch.nn.functional.silu(h) if i + 2 < len(layers) else h
    return h


class DoubleHorizon:
    """One update of dhmbpo as learner/methods/dhmbpo.h describes it, with the defaults of Hopper."""

    def __init__(self):
        parameters = lambda block: [x.requires_grad_() for x in block]
        self.policy = parameters(random_block(1, [OBS, WIDTH, WIDTH, 2 * ACT]))
        self.critics = parameters(random_block(CRITICS, [OBS + ACT, WIDTH, WIDTH, 1]))
        self.targets = [x.detach().clone() for x in self.critics]
        self.model = random_block(TILES, [OBS + ACT] + [MODEL_WIDTH] * MODEL_LAYERS + [2 * (OBS + 1)])
        self.high, self.low = torch.full((OBS + 1,), 0.5), torch.full((OBS + 1,), -10.0)
        self.log_alpha = torch.full((1,), math.log(0.1)).requires_grad_()
        adam = lambda of: torch.optim.Adam(of, SAC_RATE, foreach=True, capturable=GPU)
        self.adam = [adam(self.critics), adam(self.policy), adam([self.log_alpha])]
        self.bounds, self.mean, self.std = torch.tensor([-50.0, 500.0]), torch.zeros(OBS + 1), torch.full((OBS + 1,), 0.1)
        self.states, self.quantiles = torch.randn(STATES, OBS), torch.tensor([0.01, 0.99])

    def act(self, obs):
        mean, log_std = forward(self.policy, obs.unsqueeze(0))[0].chunk(2, dim=1)
        log_std = log_std.clamp(-5, 2)
        noise = torch.randn_like(mean)
        raw = mean + log_std.exp() * noise
        log_prob = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        log_prob = log_prob - 2 * (math.log(2) - raw - torch.nn.functional.softplus(-2 * raw))
        return torch.tanh(raw), log_prob.sum(1)

    def predict(self, obs, act):
        """Reward and next state: each tile by the member that a new permutation gives it."""
        softplus = torch.nn.functional.softplus
        order = torch.argsort(torch.rand(TILES))
        x = torch.cat([obs, act], 1).view(TILES, BATCH // TILES, -1)[order]
        out = forward(self.model, x)[torch.argsort(order)].view(BATCH, -1)
        mean, log_var = out.chunk(2, dim=1)
        log_var = self.high - softplus(self.high - log_var)
        log_var = self.low + softplus(log_var - self.low)
        noise = torch.randn_like(mean)
        reward = self.mean[0] + self.std[0] * mean[:, 0]
        change = mean[:, 1:] + torch.exp(0.5 * log_var[:, 1:]) * noise[:, 1:]
        return reward, obs + self.mean[1:] + self.std[1:] * change

    @staticmethod
    def values(critics, obs, act):
        return forward(critics, torch.cat([obs, act], 1).expand(CRITICS, -1, -1)).squeeze(2)

    def step(self, adam, parameters, loss):
        for x, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
            x.grad = gradient
        adam.step()

    def update(self):
        alpha = self.log_alpha.detach().exp()
        obs = start = self.states[torch.randint(STATES, (BATCH,))]
        alive, rewards, log_probs, lives = torch.ones(BATCH), [], [], []
        for t in range(HORIZON):
            act, log_prob = self.act(obs)
            first = act if t == 0 else first
            reward, obs = self.predict(obs, act)
            lives.append(alive)
            rewards.append(reward)
            log_probs.append(log_prob)
            alive = alive * ((obs[:, 1] > LOW) & (obs[:, 1] < HIGH))
            obs = torch.cat([obs[:, :5], obs[:, 5:].clamp(-CLIP, CLIP)], 1)
        last, last_log_prob = self.act(obs)
        with torch.no_grad():
            spread = torch.quantile(torch.stack(rewards).flatten(), self.quantiles) / (1 - DH_DISCOUNT)
            self.bounds.lerp_(spread, 3e-4)
            centre, width = self.bounds.mean(), (self.bounds[1] - self.bounds[0]) / 2
            pair = self.values(self.targets, obs, last)[torch.argsort(torch.rand(CRITICS))[:2]].amin(0)
            goal = rewards[0] + DH_DISCOUNT**HORIZON * alive * (centre + width * pair.clamp(-1, 1) - alpha * last_log_prob)
            for t in range(1, HORIZON):
                goal = goal + DH_DISCOUNT**t * lives[t] * (rewards[t] - alpha * log_probs[t])
            goal = (goal - centre) / width
        loss = 0.5 * (self.values(self.critics, start, first.detach()) - goal).square().mean(1).sum()
        self.step(self.adam[0], self.critics, loss)
        with torch.no_grad():
            torch._foreach_lerp_(self.targets, self.critics, TAU)
        tail = centre + width * self.values([x.detach() for x in self.critics], obs, last).mean(0) - alpha * last_log_prob
        total = DH_DISCOUNT**HORIZON * alive * tail
        for t in range(HORIZON):
            total = total + DH_DISCOUNT**t * lives[t] * (rewards[t] - alpha * log_probs[t])
        self.step(self.adam[1], self.policy, -total.mean())
        temperature = -(self.log_alpha * (log_probs[0].detach() + DH_TARGET_ENTROPY)).mean()
        self.step(self.adam[2], [self.log_alpha], temperature)


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
        self.adam = torch.optim.Adam(groups, MODEL_RATE, foreach=True, capturable=GPU)
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


def rate_of(update, clock=time.process_time, wait=lambda: None):
    """Updates a second, by default of this process's time on the processor."""
    update()
    wait()
    done, begin = 0, clock()
    while clock() - begin < SECONDS:
        update()
        done += 1
    wait()
    return done / (clock() - begin)


def graph_of(update):
    """A CUDA graph of an update: recorded once, then launched whole."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            update()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        update()
    return graph.replay


def rates_of_torch(updates):
    """Ways of PyTorch, and the rate of each update by each."""
    if not GPU:
        return {"PyTorch": {name: rate_of(update) for name, update in updates.items()}}
    rates = {}
    for way, make in (("PyTorch", lambda update: update), ("its CUDA graph", graph_of)):
        rates[way] = {name: rate_of(make(update), time.perf_counter, torch.cuda.synchronize)
                      for name, update in updates.items()}
    return rates


def rates_of_spur(spur):
    out = subprocess.run([spur, "bench", "--compute", "--json", "--seconds", "2"], capture_output=True, text=True, check=True)
    return {case["name"]: case["median"] for case in json.loads(out.stdout)["cases"]}


def main(spur="build/bin/spur", rounds="5"):
    updates = {"sac_updates": Sac().update, "ensemble_steps": Ensemble().update, "dhmbpo_updates": DoubleHorizon().update}
    peak, pairs = [], {}
    for _ in range(int(rounds)):
        ours = rates_of_spur(spur)
        peak.append(ours["fma_peak"])
        for way, rates in rates_of_torch(updates).items():
            for name, rate in rates.items():
                pairs.setdefault((name, way), []).append((ours[name + ("_2_threads" if GPU else "")], rate))
    where = torch.cuda.get_device_name() + " against two cores" if GPU else "one core"
    print(f"PyTorch {torch.__version__}, {rounds} rounds, {where}; register peak {min(peak):.0f} - {max(peak):.0f} GFLOP/s a core")
    for (name, way), rates in pairs.items():
        ratios = sorted(spur_rate / torch_rate for spur_rate, torch_rate in rates)
        spur_median, torch_median = (statistics.median(side) for side in zip(*rates))
        print(f"{name:15} spur {spur_median:6.1f} /s, {way} {torch_median:6.1f} /s: "
              f"{statistics.median(ratios):.2f} times ({ratios[0]:.2f} - {ratios[-1]:.2f})")


arguments = sys.argv[1:]
GPU = "--gpu" in arguments
settle()
try:
    import torch
except ImportError:
    print("skipped: this python3 has no PyTorch; on Debian: apt-get install python3-torch, then /usr/bin/python3 " + sys.argv[0])
    sys.exit(77)
if GPU and not torch.cuda.is_available():
    print("skipped: this PyTorch finds no CUDA device")
    sys.exit(77)
torch.set_num_threads(1)
torch.manual_seed(1)
torch.set_default_device("cuda" if GPU else "cpu")
main(*[x for x in arguments if x != "--gpu"])
