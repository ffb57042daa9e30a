"""Suite `stackelberg`, PyTorch: gradient through unrolled, projected ascent steps, `create_graph=True`. See README.md."""

from protocol import Repeated, options, serve
from shared_numbers import SharedNumbers
from torch_parts import normal

import torch

ROWS, SIZES, STEP, BOX, BALL = 8, (4, 16, 3), 0.1, 0.1, 0.2


def length(x):
    return (x.square().sum(-1, keepdim=True) + 1e-24).sqrt()


def move(rule, delta, slope):
    if rule == "box":
        return (delta + STEP * slope).clamp(-BOX, BOX)
    y = delta + STEP * slope / length(slope)
    return y * (BALL / length(y).clamp(min=BALL))


def stackelberg(rule, steps):
    def build():
        numbers = SharedNumbers()
        layers = [torch.tensor(array).double() for layer in numbers.layers(*SIZES) for array in layer]
        w1, b1, w2, b2 = params = [p.requires_grad_() for p in layers]
        obs = normal(numbers, ROWS, SIZES[0]).double()
        start = torch.from_numpy(numbers.draw(ROWS, SIZES[0], scale=0.1)).double()

        def net(x):
            return torch.addmm(b2, torch.addmm(b1, x, w1).tanh(), w2)

        def gradient():
            clean = net(obs)
            objective = lambda delta: (net(obs + delta) - clean).square().sum()
            delta = start.clone().requires_grad_()
            for _ in range(steps):
                (slope,) = torch.autograd.grad(objective(delta), delta, create_graph=True)
                delta = move(rule, delta, slope)
            value = objective(delta)
            return value, torch.autograd.grad(value, params)

        def check():
            value, grads = gradient()
            flat = torch.cat([g.flatten() for g in grads])
            return [value.detach(), flat.sum(), flat.norm()]

        return lambda: gradient()[0].item(), lambda: None, check

    return Repeated(build, warmup=5)


cases = {
    f"stackelberg-{rule}-k{steps}": stackelberg(rule, steps)
    for rule, steps in (("box", 10), ("box", 20), ("ball", 10))
}
serve(cases, options(), {"peer": "torch", "version": torch.__version__})
