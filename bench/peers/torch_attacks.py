"""Suite `attacks`, PyTorch: FGSM and PGD on observations, by autograd on the policy itself. See README.md.

`--export FILE` writes the policy as the ONNX file that the other side attacks (policy.onnx; needs the package onnx).
"""

import sys

from protocol import Repeated, options, serve
from shared_numbers import SharedNumbers
from torch_parts import mlp, normal

import torch
from torch import nn
from torch.nn import functional as F

ROWS, OBS, EPSILON = 512, 18, 0.1


class Policy(nn.Module):
    """Observations normalised by running statistics and clamped, then 18-64-64-5."""

    def __init__(self, numbers):
        super().__init__()
        self.net = mlp(numbers, OBS, 64, 64, 5)
        self.register_buffer("mean", torch.from_numpy(numbers.draw(OBS, scale=0.5)))
        self.register_buffer("std", torch.from_numpy(1 + numbers.draw(OBS, scale=0.5)))

    def forward(self, obs):
        return self.net(((obs - self.mean) / self.std).clamp(-5, 5))


def attack(steps, share):
    """Steps of `share` of the radius along the gradient's sign, each followed by the projection."""

    def build():
        numbers = SharedNumbers()
        policy = Policy(numbers).requires_grad_(False)
        obs = normal(numbers, ROWS, OBS)

        def call():
            favourite = policy(obs).argmax(-1)
            delta = torch.zeros_like(obs)
            for _ in range(steps):
                delta.requires_grad_()
                loss = F.cross_entropy(policy(obs + delta), favourite, reduction="sum")
                (slope,) = torch.autograd.grad(loss, delta)
                delta = (delta.detach() + share * EPSILON * slope.sign()).clamp(-EPSILON, EPSILON)
            return delta

        def check():
            """The objective where the attack has come to."""
            return [F.cross_entropy(policy(obs + call()), policy(obs).argmax(-1))]

        return call, lambda: None, check

    return Repeated(build, warmup=5)


def export(path):
    import onnx

    policy = Policy(SharedNumbers()).eval()
    names = {"input_names": ["obs"], "output_names": ["logits"], "dynamic_axes": {"obs": {0: "rows"}}}
    torch.onnx.export(policy, torch.zeros(1, OBS), path, dynamo=False, opset_version=17, **names)
    model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("doc_string")
    onnx.save(model, path)


if sys.argv[1:2] == ["--export"]:
    export(sys.argv[2])
else:
    cases = {"fgsm-512": attack(1, 1.0), "pgd10-512": attack(10, 0.25)}
    serve(cases, options(), {"peer": "torch", "version": torch.__version__})
