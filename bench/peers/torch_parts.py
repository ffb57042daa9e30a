"""What the PyTorch scripts that draw shared numbers have in common. Import it before torch: it sets one thread."""

from protocol import one_thread
from shared_numbers import UNIT

one_thread()

import torch
from torch import nn

torch.set_num_threads(1)


def mlp(numbers, *sizes):
    layers = []
    for weight, bias in numbers.layers(*sizes):
        linear = nn.Linear(*weight.shape)
        linear.weight.data, linear.bias.data = torch.tensor(weight.T.copy()), torch.tensor(bias)
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def normal(numbers, *shape):
    """Mean 0, standard deviation 1."""
    return torch.from_numpy(numbers.draw(*shape, scale=UNIT))
