"""Benchmark (c), PyTorch: MAPPO on MPE2's simple_spread, rollout and update. See README.md."""

import time

from protocol import Clock, one_thread, options, process_age, serve

one_thread()

import numpy as np
import torch
from mpe2 import simple_spread_v3
from torch import nn

torch.set_num_threads(1)

COPIES, LENGTH, EPOCHS = 10, 25, 10
GAMMA, LAMBDA, CLIP, ENTROPY, DELTA, MAX_NORM = 0.99, 0.95, 0.2, 0.01, 10.0, 10.0


class Network(nn.Module):
    """Tanh layers, then (with memory) a GRU of 64 and layer normalisation, then a linear layer."""

    def __init__(self, *sizes, gain, memory):
        super().__init__()
        base = []
        for a, b in zip(sizes[:-1], sizes[1:-1]):
            base += [linear(a, b, nn.init.calculate_gain("tanh")), nn.Tanh()]
        self.base = nn.Sequential(*base)
        self.head = linear(*sizes[-2:], gain)
        self.gru = nn.GRU(sizes[-2], sizes[-2]) if memory else None
        if memory:
            self.norm = nn.LayerNorm(sizes[-2])
            for name, parameter in self.gru.named_parameters():
                nn.init.zeros_(parameter) if "bias" in name else nn.init.orthogonal_(parameter)

    def forward(self, x, hidden=None):
        """[T, rows, in] and the state before to [T, rows, out] and the state after; the state is zero where it is None."""
        x = self.base(x)
        if self.gru is not None:
            x, hidden = self.gru(x, hidden)
            x = self.norm(x)
        return self.head(x), hidden


def linear(a, b, gain):
    layer = nn.Linear(a, b)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Scale:
    """Debiased running mean and variance of the value targets."""

    def __init__(self, beta=0.99999):
        self.beta, self.mean_sum, self.square_sum, self.weight = beta, 0.0, 0.0, 0.0

    def update(self, x):
        keep, add = self.beta, 1 - self.beta
        self.mean_sum = keep * self.mean_sum + add * float(x.mean())
        self.square_sum = keep * self.square_sum + add * float((x * x).mean())
        self.weight = keep * self.weight + add

    def moments(self):
        weight = max(self.weight, 1e-5)
        mean = self.mean_sum / weight
        return mean, max(self.square_sum / weight - mean * mean, 1e-2) ** 0.5


class Mappo:
    def __init__(self, seed, lean, memory):
        torch.manual_seed(seed)
        self.lean = lean
        self.envs = [simple_spread_v3.parallel_env(max_cycles=LENGTH) for _ in range(COPIES)]
        self.names = self.envs[0].possible_agents
        n, width = len(self.names), 18
        self.actor = Network(width, 64, 64, 5, gain=0.01, memory=memory)
        self.critic = Network(n * width, 64, 64, 1, gain=1.0, memory=memory)
        self.adams = [
            torch.optim.Adam(m.parameters(), lr=7e-4, eps=1e-5, fused=lean) for m in (self.actor, self.critic)
        ]
        self.scale = Scale()
        self.obs = np.stack([self.table(env.reset(seed=seed + i)[0]) for i, env in enumerate(self.envs)])

    def table(self, by_name):
        return np.stack([by_name[a] for a in self.names])

    def values(self, obs):
        """[T, E, n, width] to [T, E, n]: every agent's critic sees all observations."""
        mean, std = self.scale.moments()
        output, _ = self.critic(self.shared(torch.from_numpy(obs)))
        return output.view(*obs.shape[:2], -1).expand(obs.shape[:-1]) * std + mean

    def shared(self, obs):
        """[T, rows, n * width] all observations of a copy side by side: once per agent, or (lean) once for all."""
        joint = obs.flatten(-2).unsqueeze(-2)
        return (joint if self.lean else joint.expand(*obs.shape[:-1], -1)).flatten(1, 2)

    @torch.no_grad()
    def rollout(self):
        n = len(self.names)
        obs = np.empty((LENGTH + 1, COPIES, n, 18), np.float32)
        reward = np.empty((LENGTH, COPIES, n), np.float32)
        actions, logps = [], []
        obs[0] = self.obs
        hidden = None
        for t in range(LENGTH):
            logits, hidden = self.actor(torch.from_numpy(obs[t]).view(1, COPIES * n, -1), hidden)
            logp = logits[0].log_softmax(-1)
            action = torch.multinomial(logp.exp(), 1)
            actions.append(action)
            logps.append(logp.gather(-1, action).squeeze(-1))
            chosen = action.view(COPIES, n).tolist()
            for e, env in enumerate(self.envs):
                seen, gained, *_ = env.step(dict(zip(self.names, chosen[e])))
                obs[t + 1, e] = self.table(seen)
                reward[t, e] = [gained[a] for a in self.names]
        # Every copy is cut by the limit here, never ended: the last observation bootstraps.
        self.obs = np.stack([self.table(env.reset()[0]) for env in self.envs])

        values = self.values(obs).numpy()
        advantage = np.empty_like(reward)
        running = np.zeros_like(reward[0])
        for t in reversed(range(LENGTH)):
            delta = reward[t] + GAMMA * values[t + 1] - values[t]
            running = delta + GAMMA * LAMBDA * running
            advantage[t] = running
        rows = lambda x: torch.from_numpy(x).flatten(1, 2)
        returns = rows(advantage + values[:-1])
        advantage = rows(advantage)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-5)
        return {
            "obs": rows(obs[:-1]),
            "shared": self.shared(torch.from_numpy(obs[:-1])),
            "action": torch.stack(actions),
            "logp": torch.stack(logps),
            "value": rows(values[:-1]),
            "advantage": advantage,
            "returns": returns,
            "mean_reward": float(reward.mean()),
        }

    def descend(self, which, loss):
        adam = self.adams[which]
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_((self.actor, self.critic)[which].parameters(), MAX_NORM)
        adam.step()

    def update(self, batch):
        huber = nn.HuberLoss(reduction="none", delta=DELTA)
        for _ in range(EPOCHS):
            self.scale.update(batch["returns"])
            mean, std = self.scale.moments()
            target, old = (batch["returns"] - mean) / std, (batch["value"] - mean) / std
            # A copy's one value is that of all its agents.
            value = self.critic(batch["shared"])[0].expand(-1, -1, target.shape[1] // batch["shared"].shape[1])
            value = value.flatten(1)
            near = old + (value - old).clamp(-CLIP, CLIP)
            self.descend(1, torch.max(huber(value, target), huber(near, target)).mean())
        for _ in range(EPOCHS):
            logp = self.actor(batch["obs"])[0].log_softmax(-1)
            ratio = (logp.gather(-1, batch["action"]).squeeze(-1) - batch["logp"]).exp()
            a = batch["advantage"]
            gain = torch.min(ratio * a, ratio.clamp(1 - CLIP, 1 + CLIP) * a).mean()
            spread = -(logp.exp() * logp).sum(-1).mean()
            self.descend(0, -gain - ENTROPY * spread)


class Training:
    """One measurement: training from scratch to a fixed number of environment steps."""

    def __init__(self, **options):
        self.options = options

    def prepare(self):
        Mappo(0, **self.options)

    def measure(self, request, args):
        target = request.get("env_steps", args.env_steps)
        steps = rolling = 0
        rewards = []
        with Clock() as clock:
            learner = Mappo(request.get("seed", 0), **self.options)
            while steps < target:
                before = time.perf_counter()
                batch = learner.rollout()
                rolling += time.perf_counter() - before
                learner.update(batch)
                steps += COPIES * LENGTH
                rewards.append(batch["mean_reward"])
        last = rewards[-10:]
        return {
            "steps": steps,
            **clock.times,
            "steps_per_second": steps / clock.seconds,
            "rollout_seconds": rolling,
            "mean_return_first_last": [LENGTH * rewards[0], LENGTH * sum(last) / len(last)],
        }


args = options((("--env-steps",), {"type": int, "default": 5000}))
first = Mappo(0, lean=False, memory=False)
first.update(first.rollout())
about = {"peer": "torch", "version": torch.__version__, "first_update_seconds": process_age()}
cases = {}
for name, memory in (("mappo", False), ("mappo-gru", True)):
    cases[name] = Training(lean=False, memory=memory)
    cases[f"{name}:lean"] = Training(lean=True, memory=memory)
serve(cases, args, about)
