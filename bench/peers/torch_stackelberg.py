"""Gradient through K unrolled, projected ascent steps, PyTorch: `create_graph=True`. See README.md."""

from protocol import Repeated, one_thread, options, serve

one_thread()

import torch

torch.set_num_threads(1)


def stackelberg(rule, dtype, steps=10, rows=8, sizes=(4, 16, 3), step_size=0.1, radius=0.2):
    def build():
        torch.manual_seed(0)
        new = lambda *shape: torch.randn(*shape, dtype=dtype)
        params = []
        for a, b in zip(sizes, sizes[1:]):
            params += [(new(a, b) / a**0.5).requires_grad_(), new(b).mul_(0.1).requires_grad_()]
        obs, start = new(rows, sizes[0]), 0.05 * new(rows, sizes[0])

        def net(x):
            w1, b1, w2, b2 = params
            return torch.addmm(b2, torch.addmm(b1, x, w1).tanh(), w2)

        def call():
            clean = net(obs)
            objective = lambda delta: (net(obs + delta) - clean).square().sum()
            delta = start.clone().requires_grad_()
            for _ in range(steps):
                (g,) = torch.autograd.grad(objective(delta), delta, create_graph=True)
                if rule == "box":
                    delta = (delta + step_size * g).clamp(-radius, radius)
                else:
                    y = delta + step_size * g / (g.square().sum(-1, keepdim=True) + 1e-24).sqrt()
                    length = (y.square().sum(-1, keepdim=True) + 1e-24).sqrt()
                    delta = y * (radius / length.clamp(min=radius))
            value = objective(delta)
            torch.autograd.grad(value, params)
            return value.item()

        return call, lambda: None

    return Repeated(build)


cases = {
    f"stackelberg-{rule}-{name}": stackelberg(rule, dtype)
    for rule in ("box", "ball")
    for name, dtype in (("f64", torch.float64), ("f32", torch.float32))
}

serve(cases, options(), {"peer": "torch", "version": torch.__version__})
