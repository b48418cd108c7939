#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes golden.safetensors: inputs and PyTorch's answers for test_golden.c and test_sac_golden.c.

    python3 make_golden.py golden.safetensors        (needs PyTorch, any version from 1.13 on)

Inputs are float32, the answers are computed from them in float64, with
PyTorch's own layers, distributions, autograd and optimisers wherever it has
them, so that a difference seen in the test is the error of spur's float code.
The file is committed; run this again only to change what is tested.
"""
import json
import math
import struct
import sys

import torch
import torch.nn.functional as F

torch.manual_seed(20240607)
O, A, H, B = 5, 2, 16, 12  # observation, action, hidden width, batch
tensors = {}


def put(name, t):
    """Stores t in its own precision and returns it in float64."""
    t = t.detach().clone()
    tensors[name] = t
    return t.double()


def network(name, dims, scale=0.5):
    """A flat block as in mlp.h (weight (out, in), bias (out), layer by layer), stored and returned with a gradient."""
    parts = [torch.randn(n, dtype=torch.float32) * scale / fan_in**0.5
             for fan_in, out in zip(dims, dims[1:]) for n in (fan_in * out, out)]
    return put(name, torch.cat(parts)).requires_grad_()


def run(flat, dims, x, activation, norm=False):
    """norm: layer norm of the inputs of the layers after the first; a list: with these epsilons."""
    at = 0
    for i, (fan_in, out) in enumerate(zip(dims, dims[1:])):
        if norm and i > 0:
            x = F.layer_norm(x, (fan_in,), eps=1e-5 if norm is True else norm[i - 1])
        weight = flat[at:at + fan_in * out].view(out, fan_in)
        bias = flat[at + fan_in * out:at + (fan_in + 1) * out]
        at += (fan_in + 1) * out
        x = F.linear(x, weight, bias)
        if i < len(dims) - 2:
            x = activation(x)
    assert at == flat.numel()
    return x


def policy(prefix="policy", dims=(O, H, H, 2 * A), activation=F.relu):
    params = network(f"{prefix}.params", dims, 2.0)
    obs = put(f"{prefix}.obs", torch.randn(B, O))
    noise = put(f"{prefix}.noise", torch.randn(B, A))
    d_act = put(f"{prefix}.d_act", torch.randn(B, A))
    d_log_prob = put(f"{prefix}.d_log_prob", torch.randn(B))
    mu, log_std = run(params, dims, obs, activation).chunk(2, -1)
    std = log_std.clamp(-20, 2).exp()
    normal = torch.distributions.Normal(mu, std)
    # PyTorch's own squashed distribution, at the reparameterised sample.
    squash = torch.distributions.transforms.TanhTransform(cache_size=1)
    squashed = torch.distributions.TransformedDistribution(normal, [squash])
    act = squash(mu + std * noise)
    log_prob = squashed.log_prob(act).sum(-1)
    put(f"{prefix}.act", act)
    put(f"{prefix}.log_prob", log_prob)
    put(f"{prefix}.mean", torch.tanh(mu))
    ((act * d_act).sum() + (log_prob * d_log_prob).sum()).backward()
    put(f"{prefix}.gradient", params.grad)


def critic():
    dims = [O + A, H, H, 1]
    params = torch.cat([network("unused", dims, 2.0), network("unused", dims, 2.0)]).detach()
    del tensors["unused"]
    params = put("critic.params", params.float()).requires_grad_()
    obs = put("critic.obs", torch.randn(B, O))
    act = put("critic.act", torch.rand(B, A) * 2 - 1).requires_grad_()
    y = put("critic.y", torch.randn(B))
    q1, q2 = (run(half, dims, torch.cat([obs, act], -1), F.relu).squeeze(-1) for half in params.chunk(2))
    put("critic.q", torch.stack([q1, q2]))
    loss = 0.5 * F.mse_loss(q1, y) + 0.5 * F.mse_loss(q2, y)
    put("critic.loss", loss.view(1))
    put("critic.gradient", torch.autograd.grad(loss, params, retain_graph=True)[0])
    q_min = torch.min(q1, q2)
    put("critic.q_min", q_min)
    put("critic.d_act", torch.autograd.grad(q_min.sum(), act)[0])


def ensemble():
    members, T = 3, 1 + O
    dims = [O + A, H, H, 2 * T]
    networks = torch.cat([network("unused", dims, 1.5) for _ in range(members)])
    del tensors["unused"]
    size = networks.numel() // members
    # Bounds close enough to the raw log-variances that both matter.
    bounds = torch.cat([0.5 + 0.3 * torch.randn(T), -1.0 + 0.3 * torch.randn(T)])
    params = put("ensemble.params", torch.cat([networks, bounds]).float()).requires_grad_()
    highest, lowest = params[-2 * T:-T], params[-T:]
    x = put("ensemble.x", torch.randn(members, B, O + A))
    y = put("ensemble.y", torch.randn(members, B, T))
    weight = torch.full((T,), T / (T - 1.0))
    weight[2] = 0.0  # a constant target
    weight = put("ensemble.weight", weight)
    total, losses, mses, means, logvars = 0, [], [], [], []
    for k in range(members):
        mean, raw = run(params[k * size:(k + 1) * size], dims, x[k], F.silu).chunk(2, -1)
        logvar = highest - F.softplus(highest - raw)
        logvar = lowest + F.softplus(logvar - lowest)
        loss = (weight * ((mean - y[k])**2 * torch.exp(-logvar) + logvar)).mean()
        losses.append(loss)
        mses.append((weight * (mean - y[k])**2).mean())
        means.append(mean)
        logvars.append(logvar)
        total = total + loss
    put("ensemble.losses", torch.stack(losses))
    put("ensemble.mses", torch.stack(mses))
    put("ensemble.mean", torch.stack(means))
    put("ensemble.logvar", torch.stack(logvars))
    moving = weight > 0
    terms = 0.01 * highest[moving].sum() - 0.01 * lowest[moving].sum()
    put("ensemble.bounds_loss", terms.view(1))
    put("ensemble.gradient", torch.autograd.grad(total + terms, params)[0])


def free_ensemble():
    """The ensemble of DHMBPO: layer norm with large epsilons, one log_sigma a member and target, weighted rows."""
    members, T = 3, 1 + O
    dims = [O + A, H, H, T]
    networks = torch.cat([network("unused", dims, 1.5) for _ in range(members)])
    del tensors["unused"]
    size = networks.numel() // members
    log_sigma = 0.5 * torch.randn(members, T) - 0.5
    params = put("free.params", torch.cat([networks, log_sigma.flatten()]).float()).requires_grad_()
    x = put("free.x", torch.randn(members, B, O + A))
    y = put("free.y", torch.randn(members, B, T))
    weight = put("free.weight", torch.tensor([1.2, 1.2, 0.0, 1.2, 1.2, 1.2]))
    rows = put("free.row_weight", -torch.log(1 - torch.rand(members, B)))
    losses, means = [], []
    for k in range(members):
        mean = run(params[k * size:(k + 1) * size], dims, x[k], F.silu, [1.0, 0.1])
        sigma = params[members * size + k * T:members * size + (k + 1) * T]
        terms = (mean - y[k])**2 * torch.exp(-2 * sigma) + 2 * sigma.clamp(min=math.log(1e-3))
        losses.append((rows[k][:, None] * weight * terms).mean())
        means.append(mean)
    put("free.mean", torch.stack(means))
    put("free.losses", torch.stack(losses))
    put("free.gradient", torch.autograd.grad(sum(losses), params)[0])


def decoupled():
    """AdamW, three steps with three gradients."""
    p = put("adamw.start", torch.randn(100)).requires_grad_()
    adam = torch.optim.AdamW([p], lr=1e-3, weight_decay=30.0)
    for t in (1, 2, 3):
        p.grad = put(f"adamw.gradient{t}", torch.randn(100))
        adam.step()
    put("adamw.end", p)


def optimiser():
    n = 100
    for decay in (0.0, 1e-2):
        name = "adam.decayed" if decay else "adam.plain"
        p = put(name + ".start", torch.randn(n)).requires_grad_()
        adam = torch.optim.Adam([p], lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay)
        for t in (1, 2, 3):
            p.grad = put(f"{name}.g{t}", torch.randn(n) * 10.0**-t)
            adam.step()
            put(f"{name}.p{t}", p)
        put(name + ".m3", adam.state[p]["exp_avg"])
        put(name + ".v3", adam.state[p]["exp_avg_sq"])
    target = put("polyak.target", torch.randn(n))
    source = put("polyak.source", torch.randn(n))
    put("polyak.result", target.lerp(source, 0.005))


def normaliser():
    x = torch.randn(40, 7) * torch.tensor([1.0, 10.0, 0.1, 5.0, 1.0, 1e-3, 1.0])
    x = x + torch.tensor([0.0, 100.0, -3.0, 0.0, 0.0, 1.0, 0.0])
    x[:, 4] = 2.5  # a constant column
    x = put("normalizer.x", x)
    mean, std = x.mean(0), x.std(0, unbiased=False)
    std[std < 1e-12] = 0.0
    put("normalizer.mean", mean)
    put("normalizer.std", std)
    put("normalizer.y", torch.where(std > 0, (x - mean) / std, torch.zeros_like(x)))


def philox(seed, stream, block):
    """Philox4x32-10 after its paper (Salmon et al. 2011): the four words of one block of a stream."""
    mask = 0xFFFFFFFF
    c = [block & mask, block >> 32, stream & mask, stream >> 32]
    k = [seed & mask, seed >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & mask, (p >> 32) ^ c[3] ^ k[1], p & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


def stream_normals(seed, use, sub, n):
    """The first n normals of a stream (rng.h): Box-Muller on two words each."""
    numbers = []
    for block in range((n + 3) // 4):
        words = philox(seed, use << 40 | sub, block)
        for a, b in (words[:2], words[2:]):
            radius, angle = math.sqrt(-2 * math.log((a + 1) * 2.0**-32)), 2 * math.pi * b * 2.0**-32
            numbers += [radius * math.cos(angle), radius * math.sin(angle)]
    return torch.tensor(numbers[:n], dtype=torch.float64)


def sac(prefix="sac", rates=(3e-3, 3e-3, 3e-3), norm_max=None, count=2, activation=F.relu, norm=False):
    """Two updates of soft actor-critic, continued after three that are not shown. rates: of actor, critics and
    temperature. norm_max: of their gradients. count: of critics. norm: layer norm of the critics."""
    H, B, first, seed = 8, 8, 4, 17
    target_stream, actor_stream = 17, 18  # of enum rng_use
    discount, tau, target_entropy = 0.9, 0.05, -1.5
    actor_dims, critic_dims = [O, H, H, 2 * A], [O + A, H, H, 1]

    def block(name, dims, copies, rate):
        """Parameters and moments as after some steps of their optimisers."""
        flat = torch.cat([network("unused", dims, 1.0) for _ in range(copies)]).detach()
        del tensors["unused"]
        params = put(name, flat.float()).requires_grad_()
        m = put(name + ".adam_m", 0.01 * torch.randn(flat.numel()))
        v = put(name + ".adam_v", 1e-4 * torch.rand(flat.numel()) + 1e-5)
        return params, adam_of(params, m, v, rate)

    def adam_of(params, m, v, rate):
        adam = torch.optim.Adam([params], lr=rate)
        adam.state[params] = {"step": torch.tensor(first - 1.0), "exp_avg": m, "exp_avg_sq": v}
        return adam

    actor, actor_adam = block(f"{prefix}.policy", actor_dims, 1, rates[0])
    critics, critic_adam = block(f"{prefix}.critic", critic_dims, count, rates[1])
    # Targets are close to the critics, but not equal.
    target = put(f"{prefix}.critic.target", (critics + 0.1 * torch.randn(critics.numel())).float())
    start = put(f"{prefix}.log_alpha", torch.tensor([math.log(0.2), 0.02, 3e-4]))
    log_alpha = start[:1].clone().requires_grad_()
    alpha_adam = adam_of(log_alpha, start[1:2].clone(), start[2:].clone(), rates[2])

    def act(obs, use, update):
        mu, log_std = run(actor, actor_dims, obs, activation).chunk(2, -1)
        normal = torch.distributions.Normal(mu, log_std.clamp(-20, 2).exp())
        squash = torch.distributions.transforms.TanhTransform(cache_size=1)
        squashed = torch.distributions.TransformedDistribution(normal, [squash])
        action = squash(mu + normal.stddev * stream_normals(seed, use, update, B * A).view(B, A))
        return action, squashed.log_prob(action).sum(-1)

    def values(flat, obs, action):
        x = torch.cat([obs, action], -1)
        return [run(part, critic_dims, x, activation, norm).squeeze(-1) for part in flat.chunk(count)]

    def least(q):
        return torch.stack(q).min(0).values

    for update in (first, first + 1):
        name = f"{prefix}.batch{update}"
        obs, next_obs = put(name + ".obs", torch.randn(B, O)), put(name + ".next_obs", torch.randn(B, O))
        action = put(name + ".act", torch.rand(B, A) * 2 - 1)
        reward = put(name + ".reward", torch.randn(B))
        terminated = put(name + ".terminated", (torch.arange(B) % 3 == update % 3).float())
        alpha = log_alpha.exp().item()

        with torch.no_grad():
            next_action, next_log_prob = act(next_obs, target_stream, update)
            value = least(values(target, next_obs, next_action)) - alpha * next_log_prob
            y = reward + discount * (1 - terminated) * value
        q = values(critics, obs, action)
        critic_loss = sum(0.5 * F.mse_loss(one, y) for one in q)
        critic_adam.zero_grad()
        critic_loss.backward()
        if norm_max:
            torch.nn.utils.clip_grad_norm_([critics], norm_max)
        critic_adam.step()

        new_action, log_prob = act(obs, actor_stream, update)
        actor_loss = (alpha * log_prob - least(values(critics, obs, new_action))).mean()
        actor_adam.zero_grad()
        actor_loss.backward()
        if norm_max:
            torch.nn.utils.clip_grad_norm_([actor], norm_max)
        actor_adam.step()

        alpha_loss = -(log_alpha * (log_prob.detach() + target_entropy)).mean()
        alpha_adam.zero_grad()
        alpha_loss.backward()
        alpha_adam.step()

        target = target.lerp(critics.detach(), tau)
        for metric, number in {"critic_loss": critic_loss, "actor_loss": actor_loss,
                               "temperature": torch.tensor(alpha, dtype=torch.float64),
                               "entropy": -log_prob.mean(), "q_mean": torch.stack(q).mean()}.items():
            put(f"{prefix}.metrics{update}.{metric}", number.view(1))

    for name, params, adam in (("policy", actor, actor_adam), ("critic", critics, critic_adam)):
        put(f"{prefix}.after.{name}", params)
        put(f"{prefix}.after.{name}.adam_m", adam.state[params]["exp_avg"])
        put(f"{prefix}.after.{name}.adam_v", adam.state[params]["exp_avg_sq"])
    put(f"{prefix}.after.critic.target", target)
    state = alpha_adam.state[log_alpha]
    put(f"{prefix}.after.log_alpha", torch.cat([log_alpha.detach(), state["exp_avg"], state["exp_avg_sq"]]))


def dhmbpo():
    """One update of double-horizon MBPO: policy gradient through H steps of an ensemble, targets, critics with
    layer norm, bounds of values. Rows end by a rule, and predictions are clipped."""
    H, steps, tile, tiles, members, count = 12, 3, 32, 2, 3, 4
    B, T = tile * tiles, 1 + O
    discount, alpha, target_entropy, norm_max = 0.9, 0.17, -1.5, 0.02
    offset, scale, end_value = 0.3, 1.7, -0.9
    low, high, clip = -0.9, 0.8, 1.1  # of observation 1; of observations 2 and 3
    pair, elites = (3, 1), ((0, 2), (2, 1), (1, 0))  # members of the two tiles at each step
    policy_dims, model_dims, critic_dims = [O, H, H, 2 * A], [O + A, H, H, 2 * T], [O + A, H, H, 1]

    def blocks(name, dims, copies, gain):
        flat = torch.cat([network("unused", dims, gain) for _ in range(copies)]).detach()
        del tensors["unused"]
        return put(name, flat.float())

    actor = blocks("dhmbpo.policy", policy_dims, 1, 1.5).requires_grad_()
    model = blocks("dhmbpo.model", model_dims, members, 1.0)
    highest = put("dhmbpo.max_logvar", 0.5 + 0.1 * torch.randn(T))
    lowest = put("dhmbpo.min_logvar", -3 + 0.1 * torch.randn(T))
    critics = blocks("dhmbpo.critic", critic_dims, count, 1.0).requires_grad_()
    target = put("dhmbpo.critic.target", (critics + 0.1 * torch.randn(critics.numel())).float())
    units = put("dhmbpo.observations", torch.cat([0.1 * torch.randn(O), 0.5 + torch.rand(O)]))
    inputs = put("dhmbpo.inputs", torch.cat([0.1 * torch.randn(O + A), 0.5 + torch.rand(O + A)]))
    targets = put("dhmbpo.targets", torch.cat([0.1 * torch.randn(T), 0.2 + 0.3 * torch.rand(T)]))
    start = put("dhmbpo.obs", 0.5 * torch.randn(B, O))
    noise = put("dhmbpo.noise", torch.randn(steps + 1, B, A))
    xi = torch.randn(steps, B, T)
    xi[:, :, 0] = 0
    xi = put("dhmbpo.target_noise", xi)

    def norm(x, block):
        mean, std = block.chunk(2)
        return (x - mean) / std

    def value(flat, k, x):
        return run(flat.chunk(count)[k], critic_dims, x, F.silu, norm=True).squeeze(-1)

    def act(obs, t):
        mu, log_std = run(actor, policy_dims, norm(obs, units), F.silu).chunk(2, -1)
        normal = torch.distributions.Normal(mu, log_std.clamp(-20, 2).exp())
        squash = torch.distributions.transforms.TanhTransform(cache_size=1)
        action = squash(mu + normal.stddev * noise[t])
        return action, torch.distributions.TransformedDistribution(normal, [squash]).log_prob(action).sum(-1)

    obs, alive, weight, total = start, torch.ones(B).double(), 1.0, 0.0
    mean, spread = targets.chunk(2)
    rewards, log_probs, lives, first = [], [], [alive], None
    for t in range(steps):
        action, log_prob = act(obs, t)
        first = action if first is None else first
        x = norm(torch.cat([obs, action], -1), inputs)
        out = torch.cat([run(model.chunk(members)[elites[t][j]], model_dims, x[j * tile:(j + 1) * tile], F.silu)
                         for j in range(tiles)])
        m, raw = out.chunk(2, -1)
        logvar = highest - F.softplus(highest - raw)
        logvar = lowest + F.softplus(logvar - lowest)
        y = mean + spread * (m + torch.exp(logvar / 2) * xi[t])
        rewards.append((y[:, 0] - offset) / scale)
        log_probs.append(log_prob)
        obs = obs + y[:, 1:]
        ended = (obs[:, 1] <= low) | (obs[:, 1] >= high)
        alive = alive * (~ended).double()
        lives.append(alive)
        obs = torch.cat([obs[:, :2], obs[:, 2:4].clamp(-clip, clip), obs[:, 4:]], -1)
    last_action, last_log_prob = act(obs, steps)
    assert 0.3 < alive.mean() < 0.9 and (obs[:, 2:4].abs() == clip).float().mean() > 0.05
    ends = sum(discount**(t + 1) * (lives[t] - lives[t + 1]) * end_value for t in range(steps))

    # Bounds of the first batch, and targets.
    living = torch.cat([r[n > 0] for r, n in zip(rewards, lives)]).detach().sort().values
    rank = [int(q * (len(living) - 1) + 0.5) for q in (0.01, 0.99)]
    entropy = alpha * max(0, -target_entropy)
    lower = (min(living[rank[0]].item(), 0) - entropy) / (1 - discount)
    upper = (max(living[rank[1]].item(), 0) + entropy) / (1 - discount)
    centre, width = (upper + lower) / 2, (upper - lower) / 2
    put("dhmbpo.bounds", torch.tensor([lower, upper], dtype=torch.float64))
    last_x = torch.cat([norm(obs, units), last_action], -1)
    first_x = torch.cat([norm(start, units), first], -1).detach()
    tail = discount**steps * alive

    def sum_of(r):
        return r[0] + ends + sum(discount**t * lives[t] * (r[t] - alpha * log_probs[t]) for t in range(1, steps))

    with torch.no_grad():
        least = torch.min(*(value(target, k, last_x) for k in pair)).clamp(-1, 1) * width + centre
        y = (sum_of(rewards) + tail * (least - alpha * last_log_prob) - centre) / width
    put("dhmbpo.target", y)
    q = torch.stack([value(critics, k, first_x) for k in range(count)])
    loss = sum(0.5 * F.mse_loss(one, y) for one in q)
    put("dhmbpo.critic.gradient", torch.autograd.grad(loss, critics)[0])
    adam = torch.optim.Adam([critics], lr=1e-3)
    critics.grad = tensors["dhmbpo.critic.gradient"].clone()
    adam.step()
    put("dhmbpo.after.critic", critics)
    put("dhmbpo.after.critic.target", target.lerp(critics.detach(), 0.05))
    frozen = critics.detach()
    last = centre + width * torch.stack([value(frozen, k, last_x) for k in range(count)]).mean(0)
    returns = sum_of(rewards) - alpha * log_probs[0] + tail * (last - alpha * last_log_prob)
    actor_loss = -returns.mean()
    gradient = torch.autograd.grad(actor_loss, actor)[0]
    norm_of = gradient.norm()
    assert norm_of > norm_max
    put("dhmbpo.gradient", gradient * norm_max / norm_of)
    for metric, number in {"critic_loss": loss.detach() * width**2, "actor_loss": actor_loss,
                           "entropy": -log_probs[0].mean(), "q_mean": centre + width * q.mean(),
                           "gradient_norm": norm_of, "alive": alive.mean()}.items():
        put(f"dhmbpo.metrics.{metric}", number.view(1))


def write(path):
    """Writes the safetensors format directly; float64 comes first, so that it stays aligned."""
    header = {"__metadata__": {"made_by": "make_golden.py", "torch": torch.__version__}}
    data = b""
    for name, t in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
        raw = t.contiguous().numpy().astype({4: "<f4", 8: "<f8"}[t.element_size()]).tobytes()
        header[name] = {"dtype": {4: "F32", 8: "F64"}[t.element_size()], "shape": list(t.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


policy()
critic()
ensemble()
optimiser()
normaliser()
assert philox(0, 0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]  # of Random123's kat_vectors
sac()
policy("silu_policy", (O, 12, 20, 2 * A), F.silu)
torch.manual_seed(3)
sac("clipped_sac", (1e-3, 4e-3, 2e-3), 0.1)
sac("four_sac", count=4)
torch.manual_seed(5)
dhmbpo()
sac("norm_sac", activation=F.silu, norm=True)
torch.manual_seed(7)
free_ensemble()
decoupled()
write(sys.argv[1])
