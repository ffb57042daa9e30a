"""Records what PyTorch computes in float64, for test/compute/nn-recorded.test.ts.

    python nn.py [--out ../fixtures/nn.json]

The same bytes every time. Needs torch only (recorded with 2.15).
"""

import argparse
import json
from pathlib import Path

import torch
from torch.distributions import Independent, Normal
from torch.distributions.transforms import AffineTransform, TanhTransform

torch.set_default_dtype(torch.float64)
generator = torch.Generator().manual_seed(20)


def normal(*shape):
    """Rounded, so that the file stays small; nothing depends on the digits."""
    return torch.randn(*shape, generator=generator).mul(1000).round().div(1000)


def array(x):
    return {"shape": list(x.shape), "data": x.detach().flatten().tolist()}


def rmsprop():
    gradients = normal(6, 5)
    start = normal(5)
    cases = []
    for options in (
        {},
        {"alpha": 0.9, "eps": 1e-5},
        {"momentum": 0.9},
        {"centered": True},
        {"momentum": 0.5, "centered": True, "weight_decay": 0.1, "alpha": 0.95, "eps": 1e-3},
    ):
        p = start.clone()
        optimizer = torch.optim.RMSprop([p], lr=0.01, **options)
        steps = []
        for g in gradients:
            p.grad = g.clone()
            optimizer.step()
            steps.append(p.clone())
        cases.append({"options": options, "steps": array(torch.stack(steps))})
    return {"rate": 0.01, "start": array(start), "gradients": array(gradients), "cases": cases}


def attention():
    cases = []
    for size, heads, key_size, value_size, queries, keys, masked in (
        (6, 2, 6, 6, 3, 3, False),
        (4, 1, 3, 5, 2, 4, False),
        (6, 3, 6, 6, 4, 4, True),
    ):
        layer = torch.nn.MultiheadAttention(size, heads, kdim=key_size, vdim=value_size, batch_first=True)
        for p in layer.parameters():
            p.data = normal(*p.shape)
        inputs = [normal(2, queries, size), normal(2, keys, key_size), normal(2, keys, value_size)]
        for x in inputs:
            x.requires_grad_()
        allowed = torch.tril(torch.ones(queries, keys, dtype=torch.bool)) if masked else None
        output, weights = layer(
            *inputs,
            attn_mask=None if allowed is None else ~allowed,
            need_weights=True,
            average_attn_weights=False,
        )
        cotangent = normal(*output.shape)
        (output * cotangent).sum().backward()
        if key_size == value_size == size:
            matrices = layer.in_proj_weight.chunk(3)
            slopes = layer.in_proj_weight.grad.chunk(3)
        else:
            matrices = [layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight]
            slopes = [w.grad for w in matrices]
        parts = {}
        gradients = {}
        for name, w, g, b, c in zip(
            ("query", "key", "value"),
            matrices,
            slopes,
            layer.in_proj_bias.chunk(3),
            layer.in_proj_bias.grad.chunk(3),
        ):
            parts[f"{name}/weight"], parts[f"{name}/bias"] = array(w.T), array(b)
            gradients[f"{name}/weight"], gradients[f"{name}/bias"] = array(g.T), array(c)
        out = layer.out_proj
        parts["output/weight"], parts["output/bias"] = array(out.weight.T), array(out.bias)
        gradients["output/weight"], gradients["output/bias"] = array(out.weight.grad.T), array(out.bias.grad)
        for name, x in zip(("query", "key", "value"), inputs):
            gradients[name] = array(x.grad)
        cases.append(
            {
                "size": size,
                "heads": heads,
                "keySize": key_size,
                "valueSize": value_size,
                "parameters": parts,
                "inputs": dict(zip(("query", "key", "value"), map(array, inputs))),
                "mask": None if allowed is None else array(allowed.long()),
                "cotangent": array(cotangent),
                "output": array(output),
                "weights": array(weights),
                "gradients": gradients,
            }
        )
    return cases


def squashed_gaussian():
    # |x| < 10: beyond, PyTorch's softplus leaves out a term of 1e-9.
    mean = torch.tensor([[0.3, -1.2, 0.0], [2.5, 0.4, -4.0]], requires_grad=True)
    std = torch.tensor([[0.5, 1.5, 0.1], [0.9, 0.02, 2.0]], requires_grad=True)
    low = torch.tensor([-1.0, -2.0, 0.5])
    high = torch.tensor([1.0, 5.0, 0.75])
    noise = normal(2, 3)
    tanh, affine = TanhTransform(), AffineTransform((low + high) / 2, (high - low) / 2)
    x = mean + std * noise
    y = tanh(x)
    action = affine(y)
    # TransformedDistribution.log_prob, but at the x that is known: inverting the rounded tanh costs half the digits.
    density = Normal(mean, std).log_prob(x)
    log_prob = (density - tanh.log_abs_det_jacobian(x, y) - affine.log_abs_det_jacobian(y, action)).sum(-1)
    weights = normal(2, 3)
    ((action * weights).sum() + log_prob.sum()).backward()
    other = Independent(Normal(torch.zeros(3), torch.ones(3)), 1).expand([2])
    return {
        "mean": array(mean),
        "std": array(std),
        "low": low.tolist(),
        "high": high.tolist(),
        "noise": array(noise),
        "action": array(action),
        "logProb": array(log_prob),
        "weights": array(weights),
        "gradients": {"mean": array(mean.grad), "std": array(std.grad)},
        "klToStandard": array(torch.distributions.kl_divergence(Independent(Normal(mean, std), 1), other)),
    }


def embedding():
    table = normal(5, 3).requires_grad_()
    ids = torch.tensor([[0, 4, 4], [2, 0, 4]])
    rows = torch.nn.functional.embedding(ids, table)
    cotangent = normal(*rows.shape)
    (rows * cotangent).sum().backward()
    return {
        "table": array(table),
        "ids": array(ids),
        "rows": array(rows),
        "cotangent": array(cotangent),
        "gradient": array(table.grad),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=Path(__file__).parent / "../fixtures/nn.json", type=Path)
    out = parser.parse_args().out
    recorded = {
        "torch": torch.__version__.split("+")[0],
        "rmsprop": rmsprop(),
        "attention": attention(),
        "squashedGaussian": squashed_gaussian(),
        "embedding": embedding(),
    }
    out.write_text(json.dumps(recorded, separators=(",", ":")) + "\n")
