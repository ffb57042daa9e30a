"""Suite `recurrent`, PyTorch: back-propagation through time of a GRU. See README.md."""

from protocol import Repeated, options, serve
from shared_numbers import SharedNumbers
from torch_parts import normal

import torch
from torch import nn
from torch.nn import functional as F


def fill(module, numbers, width):
    """Ours [in, 3H] are PyTorch's transposed, in the same order: gates r, z, n in both."""
    for parameter, value in zip(module.parameters(), numbers.gru(width, width)):
        parameter.data = torch.tensor(value.T.copy())
    return module


def gru(steps, rows, width, cell):
    def build():
        numbers = SharedNumbers()
        net = fill(nn.GRUCell(width, width) if cell else nn.GRU(width, width), numbers, width)
        x, y = normal(numbers, steps, rows, width), normal(numbers, steps, rows, width)
        first = torch.zeros(rows, width)

        def outputs():
            if not cell:
                return net(x, first.unsqueeze(0))[0]
            hidden, all_steps = first, []
            for x_t in x.unbind():
                hidden = net(x_t, hidden)
                all_steps.append(hidden)
            return torch.stack(all_steps)

        def call():
            net.zero_grad()
            loss = F.mse_loss(outputs(), y)
            loss.backward()
            return loss.item()

        def check():
            loss = call()
            gradient = torch.cat([p.grad.flatten() for p in net.parameters()]).double()
            return [loss, gradient.sum(), gradient.norm()]

        return call, lambda: None, check

    return Repeated(build, warmup=3)


cases = {}
for steps, rows, width in ((25, 96, 64), (128, 32, 64), (340, 32, 32)):
    name = f"gru-t{steps}-b{rows}-h{width}"
    cases[name] = gru(steps, rows, width, cell=False)
    cases[f"{name}:cell"] = gru(steps, rows, width, cell=True)

serve(cases, options(), {"peer": "torch", "version": torch.__version__})
