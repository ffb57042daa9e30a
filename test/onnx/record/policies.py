"""Exports small policies from PyTorch as ONNX, and records what PyTorch computes: test/onnx/pytorch.test.ts.

    python policies.py [--out ../fixtures] [--only NAME]

Recorded with Python 3.11 and requirements.txt. Every policy is exported by the TorchScript exporter ("script") and
by the newer one ("dynamo"), from the same weights. NAME.json holds inputs, outputs and input gradients in float32:

    inputs      by name, {shape, dtype, data}
    outputs     the same; those that are integers have no part in the gradients
    cotangents  of the float outputs
    gradients   of sum(cotangent * output) by each float input
    exports     files of this policy; their fixed sizes where they were exported for one row only
"""

import argparse
import json
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from torch.distributions import Categorical, Normal

O, A, H = 6, 5, 8  # observation, actions, hidden


class NormalisedMlp(nn.Module):
    """Observations normalised by running statistics and clamped, three layers, log-probabilities."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.randn(O))
        self.register_buffer("var", torch.rand(O) + 0.5)
        self.net = nn.Sequential(
            nn.Linear(O, 2 * H), nn.Tanh(), nn.Linear(2 * H, 2 * H), nn.ReLU(), nn.Linear(2 * H, A)
        )

    def forward(self, obs):
        x = torch.clamp((obs - self.mean) / torch.sqrt(self.var + 1e-8), -1.5, 1.5)
        return torch.log_softmax(self.net(x), -1)


class GruPolicy(nn.Module):
    """One step of nn.GRU, the state handed in and out."""

    def __init__(self):
        super().__init__()
        self.encoder, self.gru, self.head = nn.Linear(O, H), nn.GRU(H, H), nn.Linear(H, A)

    def forward(self, obs, state):
        x = torch.relu(self.encoder(obs)).unsqueeze(0)
        y, next_state = self.gru(x, state.unsqueeze(0))
        return self.head(y.squeeze(0)), next_state.squeeze(0)


class GruCellPolicy(nn.Module):
    """The same with nn.GRUCell, which exporters write as plain arithmetic."""

    def __init__(self):
        super().__init__()
        self.encoder, self.gru, self.head = nn.Linear(O, H), nn.GRUCell(H, H), nn.Linear(H, A)

    def forward(self, obs, state):
        next_state = self.gru(torch.relu(self.encoder(obs)), state)
        return self.head(next_state), next_state


class GruSequence(nn.Module):
    """Two layers over time, batch first; the initial state is made inside."""

    def __init__(self):
        super().__init__()
        self.gru, self.head = nn.GRU(O, H, num_layers=2, batch_first=True), nn.Linear(H, A)

    def forward(self, obs):
        y, last = self.gru(obs)
        return self.head(y), last


class LstmSequence(nn.Module):
    """Time first, both states handed in and out."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(O, H), nn.Linear(H, A)

    def forward(self, obs, hidden, cell):
        y, (hidden, cell) = self.lstm(obs, (hidden, cell))
        return self.head(y), hidden, cell


class LstmCellPolicy(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTMCell(O, H), nn.Linear(H, A)

    def forward(self, obs, hidden, cell):
        hidden, cell = self.lstm(obs, (hidden, cell))
        return self.head(hidden), hidden, cell


class Mixed(nn.Module):
    """Layer normalisation, GELU, ELU, an embedding, chunk, and a view that asks for the batch size."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(4, O)
        self.first, self.norm = nn.Linear(O, 2 * H), nn.LayerNorm(2 * H)
        self.second, self.head = nn.Linear(2 * H + O, 2 * H), nn.Linear(4 * H, A)

    def forward(self, obs, agent):
        x = nn.functional.gelu(self.norm(self.first(obs)))
        x = nn.functional.elu(self.second(torch.cat([x, self.embedding(agent)], -1)))
        left, right = x.chunk(2, -1)
        y = torch.stack([left * torch.sigmoid(right), left + right, left, right], 1)
        return self.head(y.view(x.shape[0], -1))


class ActorCritic(nn.Module):
    """What Stable-Baselines3's ActorCriticPolicy does when it is deterministic: action, value, log-probability."""

    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.policy_net = nn.Sequential(nn.Linear(O, H), nn.Tanh(), nn.Linear(H, H), nn.Tanh())
        self.value_net = nn.Sequential(nn.Linear(O, H), nn.Tanh(), nn.Linear(H, H), nn.Tanh())
        self.action_head, self.value_head = nn.Linear(H, A), nn.Linear(H, 1)

    def forward(self, obs):
        features = self.flatten(obs)
        distribution = Categorical(logits=self.action_head(self.policy_net(features)), validate_args=False)
        action = torch.argmax(distribution.probs, dim=1)
        return action, self.value_head(self.value_net(features)), distribution.log_prob(action)


class GaussianActor(nn.Module):
    """CleanRL's actor for continuous actions: a mean, and a standard deviation that does not depend on the state."""

    def __init__(self):
        super().__init__()
        self.actor_mean = nn.Sequential(nn.Linear(O, H), nn.Tanh(), nn.Linear(H, 2))
        self.actor_logstd = nn.Parameter(torch.randn(1, 2))

    def forward(self, obs, action):
        mean = self.actor_mean(obs)
        std = torch.exp(self.actor_logstd.expand_as(mean))
        return mean, std, Normal(mean, std, validate_args=False).log_prob(action).sum(1)


class SquashedActor(nn.Module):
    """CleanRL's SAC actor: a bounded log standard deviation, the action squashed and scaled."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc_mean, self.fc_logstd = nn.Linear(O, H), nn.Linear(H, 2), nn.Linear(H, 2)
        self.register_buffer("scale", torch.tensor([2.0, 0.5]))
        self.register_buffer("bias", torch.tensor([0.0, 0.25]))

    def forward(self, obs):
        x = nn.functional.relu(self.fc1(obs))
        log_std = torch.tanh(self.fc_logstd(x))
        log_std = -5 + 0.5 * (2 + 5) * (log_std + 1)
        return torch.tanh(self.fc_mean(x)) * self.scale + self.bias, log_std.exp()


class EntityAttention(nn.Module):
    """Attention over the entities of an observation [N, entities · features], then their mean."""

    def __init__(self):
        super().__init__()
        self.encode, self.qkv, self.head = nn.Linear(3, H), nn.Linear(H, 3 * H), nn.Linear(H, A)

    def forward(self, obs):
        rows = obs.shape[0]
        x = nn.functional.silu(self.encode(obs.view(rows, -1, 3)))
        q, k, v = self.qkv(x).view(rows, -1, 3, 2, H // 2).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        y = y.transpose(1, 2).reshape(rows, -1, H) + x
        return nn.functional.softmax(self.head(nn.functional.normalize(y.mean(1), dim=-1)), -1)


class MultiheadPolicy(nn.Module):
    """PyTorch's own attention layer, which joins rows and heads to one dimension."""

    def __init__(self):
        super().__init__()
        self.encode, self.head = nn.Linear(3, H), nn.Linear(H, A)
        self.attention = nn.MultiheadAttention(H, 2, batch_first=True)

    def forward(self, obs):
        x = torch.relu(self.encode(obs))
        return self.head(self.attention(x, x, x, need_weights=False)[0].amax(1))


def normal(*shape):
    return torch.randn(*shape)


# name: policy, inputs by name, names of outputs, axis of the rows in each input
POLICIES = {
    "normalised-mlp": (NormalisedMlp, lambda n: {"obs": 2 * normal(n, O)}, ["logProbs"], {}),
    "gru-policy": (GruPolicy, lambda n: {"obs": normal(n, O), "state": normal(n, H)}, ["logits", "next"], {}),
    "gru-cell": (GruCellPolicy, lambda n: {"obs": normal(n, O), "state": normal(n, H)}, ["logits", "next"], {}),
    "gru-sequence": (GruSequence, lambda n: {"obs": normal(n, 7, O)}, ["logits", "last"], {}),
    "lstm-sequence": (
        LstmSequence,
        lambda n: {"obs": normal(4, n, O), "hidden": normal(1, n, H), "cell": normal(1, n, H)},
        ["logits", "nextHidden", "nextCell"],
        {"obs": 1, "hidden": 1, "cell": 1},
    ),
    "lstm-cell": (
        LstmCellPolicy,
        lambda n: {"obs": normal(n, O), "hidden": normal(n, H), "cell": normal(n, H)},
        ["logits", "nextHidden", "nextCell"],
        {},
    ),
    "mixed": (Mixed, lambda n: {"obs": normal(n, O), "agent": torch.arange(n) % 4}, ["logits"], {}),
    "actor-critic": (ActorCritic, lambda n: {"obs": normal(n, O)}, ["action", "value", "logProb"], {}),
    "gaussian": (
        GaussianActor,
        lambda n: {"obs": normal(n, O), "action": normal(n, 2)},
        ["mean", "std", "logProb"],
        {},
    ),
    "squashed": (SquashedActor, lambda n: {"obs": normal(n, O)}, ["action", "std"], {}),
    "attention": (EntityAttention, lambda n: {"obs": normal(n, 12)}, ["probabilities"], {}),
    "multihead": (MultiheadPolicy, lambda n: {"obs": normal(n, 4, 3)}, ["logits"], {}),
}

# policy: (exporter, operator set, "rows" or "one row")
EXPORTS = {
    "normalised-mlp": [("script", 9, "rows"), ("script", 17, "one row"), ("dynamo", 18, "rows"), ("dynamo", 18, "one row")],
    "gru-policy": [("script", 17, "rows"), ("script", 13, "one row"), ("dynamo", 18, "rows"), ("dynamo", 18, "one row")],
    "gru-sequence": [("script", 13, "rows"), ("script", 17, "one row"), ("dynamo", 18, "rows"), ("dynamo", 20, "one row")],
    "lstm-sequence": [("script", 17, "rows"), ("dynamo", 18, "rows"), ("dynamo", 18, "one row")],
    "mixed": [("script", 13, "rows"), ("script", 17, "rows"), ("dynamo", 20, "rows"), ("script", 17, "one row"), ("dynamo", 18, "one row")],
    "attention": [("script", 17, "rows"), ("dynamo", 18, "rows"), ("dynamo", 22, "one row")],
}
DEFAULT_EXPORTS = [("script", 17, "rows"), ("dynamo", 18, "rows")]


def strip(model):
    """Without stack traces, doc strings and other notes of the exporter: they name files, and are larger than the weights."""
    for field in ("doc_string", "metadata_props"):
        model.ClearField(field)
        model.graph.ClearField(field)
    model.graph.ClearField("value_info")
    for part in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        for field in ("doc_string", "metadata_props"):
            part.ClearField(field)
    return model


def export(policy, args, names, outputs, axes, how, path):
    exporter, opset, rows = how
    inputs = tuple(args.values()) if rows == "rows" else tuple(one_row(k, v, axes) for k, v in args.items())
    common = {"input_names": list(names), "output_names": outputs, "opset_version": opset}
    if exporter == "script":
        dynamic = {name: {axes.get(name, 0): "rows"} for name in names}
        torch.onnx.export(policy, inputs, path, dynamo=False, dynamic_axes=dynamic if rows == "rows" else None, **common)
    else:
        batch = torch.export.Dim("rows")
        dynamic = {name: {axes.get(name, 0): batch} for name in names}
        torch.onnx.export(
            policy,
            inputs,
            path,
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=dynamic if rows == "rows" else None,
            **common,
        )
    onnx.save(strip(onnx.load(path)), path)


def one_row(name, value, axes):
    return value.narrow(axes.get(name, 0), 0, 1)


def array(x):
    dtype = {torch.float32: "float32", torch.int64: "int64"}[x.dtype]
    values = x.detach().flatten().numpy()
    # The shortest decimals that read back as the same float32.
    data = [float(np.format_float_positional(v)) for v in values] if dtype == "float32" else values.tolist()
    return {"shape": list(x.shape), "dtype": dtype, "data": data}


def record(name, out):
    make, inputs_of, outputs, axes = POLICIES[name]
    torch.manual_seed(sum(map(ord, name)))
    policy = make().eval()
    inputs = inputs_of(3)
    exports = []
    for how in EXPORTS.get(name, DEFAULT_EXPORTS):
        exporter, opset, rows = how
        file = f"{name}.{exporter}{opset}{'' if rows == 'rows' else '.one'}.onnx"
        export(policy, inputs, inputs.keys(), outputs, axes, how, out / file)
        exports.append({"file": file, "rows": rows})
    floats = {k: v.clone().requires_grad_() for k, v in inputs.items() if v.is_floating_point()}
    results = policy(**{**inputs, **floats})
    results = dict(zip(outputs, results if isinstance(results, tuple) else (results,), strict=True))
    cotangents = {k: normal(*v.shape) for k, v in results.items() if v.is_floating_point()}
    loss = sum((results[k] * c).sum() for k, c in cotangents.items())
    gradients = dict(zip(floats, torch.autograd.grad(loss, list(floats.values())), strict=True))
    recorded = {
        "torch": torch.__version__,
        "rowAxes": {k: axes.get(k, 0) for k in inputs},
        **{
            part: {k: array(v) for k, v in values.items()}
            for part, values in (
                ("inputs", inputs),
                ("outputs", results),
                ("cotangents", cotangents),
                ("gradients", gradients),
            )
        },
        "exports": exports,
    }
    (out / f"{name}.json").write_text(json.dumps(recorded, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "../fixtures")
    parser.add_argument("--only", choices=POLICIES)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    for name in [options.only] if options.only else POLICIES:
        record(name, options.out)


if __name__ == "__main__":
    main()
