"""Benchmark (a), JAX: the same cases as torch_updates.py, jitted. See README.md."""

from protocol import Repeated, one_thread, options, serve
from shared_numbers import UNIT, SharedNumbers

one_thread()

import jax
import jax.numpy as jnp
import optax


def init(numbers, *sizes):
    return [(jnp.asarray(w), jnp.asarray(b)) for w, b in numbers.layers(*sizes)]


def normal(numbers, *shape):
    """Mean 0, standard deviation 1."""
    return jnp.asarray(numbers.draw(*shape, scale=UNIT))


def forward(params, x):
    for w, b in params[:-1]:
        x = jnp.tanh(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def held(step, start, data):
    """A call that keeps its state, hands the old one to XLA for reuse, and waits for the result."""
    fn = jax.jit(step, donate_argnums=0)
    state = jax.tree.map(jnp.copy, start)

    def call():
        nonlocal state
        state, loss = fn(state, data)
        jax.block_until_ready(state)
        return float(loss)

    def reset():
        nonlocal state
        state = jax.tree.map(jnp.copy, start)

    return call, reset


def regression(sizes, batch):
    def build():
        numbers = SharedNumbers()
        params = init(numbers, *sizes)
        adam = optax.adam(1e-3)
        data = normal(numbers, batch, sizes[0]), normal(numbers, batch, sizes[-1])

        def step(state, data):
            params, moments = state
            x, y = data
            loss, grads = jax.value_and_grad(lambda p: jnp.mean((forward(p, x) - y) ** 2))(params)
            updates, moments = adam.update(grads, moments)
            return (optax.apply_updates(params, updates), moments), loss

        return held(step, (params, adam.init(params)), data)

    return Repeated(build)


def ppo(one_program, rows=750, epochs=10, clip=0.2, entropy=0.01, max_norm=10.0, delta=10.0):
    def build():
        numbers = SharedNumbers()
        actor, critic = init(numbers, 18, 64, 64, 5), init(numbers, 54, 64, 64, 1)
        rule = optax.chain(optax.clip_by_global_norm(max_norm), optax.adam(7e-4, eps=1e-5))
        obs, share = normal(numbers, rows, 18), normal(numbers, rows, 54)
        action = jnp.asarray(numbers.integers(rows, 5))
        advantage, target = normal(numbers, rows), normal(numbers, rows)
        pick = lambda logp, a: jnp.take_along_axis(logp, a[:, None], 1)[:, 0]
        old = pick(jax.nn.log_softmax(forward(actor, obs)), action)

        def actor_loss(params, obs, action, advantage, old):
            logp = jax.nn.log_softmax(forward(params, obs))
            ratio = jnp.exp(pick(logp, action) - old)
            gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - clip, 1 + clip) * advantage)
            return -gain.mean() - entropy * -(jnp.exp(logp) * logp).sum(-1).mean()

        def critic_loss(params, share, target):
            return optax.huber_loss(forward(params, share)[:, 0], target, delta=delta).mean()

        def descend(loss_of, params, moments, *data):
            loss, grads = jax.value_and_grad(loss_of)(params, *data)
            updates, moments = rule.update(grads, moments)
            return optax.apply_updates(params, updates), moments, loss

        def epoch(state, data):
            actor, actor_moments, critic, critic_moments = state
            obs, share, action, advantage, target, old = data
            actor, actor_moments, first = descend(actor_loss, actor, actor_moments, obs, action, advantage, old)
            critic, critic_moments, second = descend(critic_loss, critic, critic_moments, share, target)
            return (actor, actor_moments, critic, critic_moments), first + second

        def update(state, data):
            state, losses = jax.lax.scan(lambda s, _: epoch(s, data), state, None, epochs)
            return state, losses.sum()

        start = (actor, rule.init(actor), critic, rule.init(critic))
        data = (obs, share, action, advantage, target, old)
        if one_program:
            return held(update, start, data)
        once, reset = held(epoch, start, data)
        return lambda: sum(once() for _ in range(epochs)), reset

    return Repeated(build, warmup=3)


def inference(rows):
    def build():
        numbers = SharedNumbers()
        params, x = init(numbers, 30, 64, 64, 5), normal(numbers, rows, 30)
        fn = jax.jit(forward)
        call = lambda: fn(params, x).block_until_ready()
        return call, lambda: None, lambda: [call().sum()]

    return Repeated(build)


cases = {f"mlp64-b{batch}": regression((30, 64, 64, 5), batch) for batch in (16, 128, 1024, 4096)}
cases["mlp256-b512"] = regression((150, 256, 256, 5), 512)
cases["ppo-750x10"] = ppo(one_program=True)
cases["ppo-750x10:ten-runs"] = ppo(one_program=False)
for rows in (1, 30, 768):
    cases[f"infer-{rows}"] = inference(rows)

serve(cases, options(), {"peer": "jax", "version": jax.__version__})
