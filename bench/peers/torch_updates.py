"""Benchmark (a), PyTorch: update steps and inference of small networks. See README.md."""

from protocol import Repeated, options, serve
from shared_numbers import SharedNumbers
from torch_parts import mlp, normal

import torch
from torch import nn
from torch.nn import functional as F


def rewind(modules, optimisers):
    """Returns a function that puts parameters and Adam's state back to the start, in place."""
    first = [[p.detach().clone() for p in m.parameters()] for m in modules]

    @torch.no_grad()
    def reset():
        for m, saved in zip(modules, first):
            for p, s in zip(m.parameters(), saved):
                p.copy_(s)
        for optimiser in optimisers:
            for state in optimiser.state.values():
                for tensor in state.values():
                    tensor.zero_()

    return reset


def regression(sizes, batch, flavour):
    def build():
        numbers = SharedNumbers()
        net = mlp(numbers, *sizes)
        x, y = normal(numbers, batch, sizes[0]), normal(numbers, batch, sizes[-1])
        optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=flavour == "fused")
        loss_of = lambda x, y: F.mse_loss(net(x), y)
        apply = optimiser.step
        if flavour == "compile":
            loss_of, apply = torch.compile(loss_of), torch.compile(optimiser.step)

        def call():
            optimiser.zero_grad()
            loss = loss_of(x, y)
            loss.backward()
            apply()
            return loss.item()

        return call, rewind([net], [optimiser])

    return Repeated(build)


def ppo(flavour, rows=750, epochs=10, clip=0.2, entropy=0.01, max_norm=10.0, delta=10.0):
    def build():
        numbers = SharedNumbers()
        actor, critic = mlp(numbers, 18, 64, 64, 5), mlp(numbers, 54, 64, 64, 1)
        adam = lambda m: torch.optim.Adam(m.parameters(), lr=7e-4, eps=1e-5, fused=flavour == "fused")
        actor_adam, critic_adam = adam(actor), adam(critic)
        obs, state = normal(numbers, rows, 18), normal(numbers, rows, 54)
        action = torch.from_numpy(numbers.integers(rows, 5)).unsqueeze(-1)
        advantage, target = normal(numbers, rows), normal(numbers, rows)
        with torch.no_grad():
            old = actor(obs).log_softmax(-1).gather(-1, action).squeeze(-1)

        def actor_loss():
            logp = actor(obs).log_softmax(-1)
            ratio = (logp.gather(-1, action).squeeze(-1) - old).exp()
            gain = torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()
            spread = -(logp.exp() * logp).sum(-1).mean()
            return -gain - entropy * spread

        def critic_loss():
            return F.huber_loss(critic(state).squeeze(-1), target, delta=delta)

        steps = [(actor, actor_adam, actor_loss), (critic, critic_adam, critic_loss)]
        applies = [a.step for _, a, _ in steps]
        if flavour == "compile":
            steps = [(m, a, torch.compile(f)) for m, a, f in steps]
            applies = [torch.compile(a.step) for _, a, _ in steps]

        def call():
            total = 0.0
            for _ in range(epochs):
                for (net, optimiser, loss_of), apply in zip(steps, applies):
                    optimiser.zero_grad()
                    loss = loss_of()
                    loss.backward()
                    nn.utils.clip_grad_norm_(net.parameters(), max_norm)
                    apply()
                    total += loss.item()
            return total

        return call, rewind([actor, critic], [actor_adam, critic_adam])

    return Repeated(build, warmup=3)


def inference(rows, flavour):
    def build():
        numbers = SharedNumbers()
        net, x = mlp(numbers, 30, 64, 64, 5), normal(numbers, rows, 30)
        forward = torch.compile(net) if flavour == "compile" else net

        @torch.inference_mode()
        def call():
            return forward(x)

        return call, lambda: None, lambda: [call().sum()]

    return Repeated(build)


cases = {}
for flavour in ("", "fused", "compile"):
    end = f":{flavour}" if flavour else ""
    for batch in (16, 128, 1024, 4096):
        cases[f"mlp64-b{batch}{end}"] = regression((30, 64, 64, 5), batch, flavour)
    cases[f"mlp256-b512{end}"] = regression((150, 256, 256, 5), 512, flavour)
    cases[f"ppo-750x10{end}"] = ppo(flavour)
    if flavour != "fused":
        for rows in (1, 30, 768):
            cases[f"infer-{rows}{end}"] = inference(rows, flavour)

serve(cases, options(), {"peer": "torch", "version": torch.__version__})
