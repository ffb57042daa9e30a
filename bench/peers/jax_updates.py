"""Benchmark (a), JAX: the same cases as torch_updates.py, jitted. See README.md."""

from functools import partial

from protocol import Repeated, one_thread, options, serve

one_thread()

import jax
import jax.numpy as jnp
import optax


def init(key, *sizes):
    """Uniform in 1/sqrt(fan-in), as the PyTorch layers have it."""
    params = []
    for a, b in zip(sizes, sizes[1:]):
        key, kw, kb = jax.random.split(key, 3)
        bound = a**-0.5
        draw = partial(jax.random.uniform, minval=-bound, maxval=bound)
        params.append((draw(kw, (a, b)), draw(kb, (b,))))
    return params


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
        kp, kx, ky = jax.random.split(jax.random.key(0), 3)
        params = init(kp, *sizes)
        adam = optax.adam(1e-3)
        data = jax.random.normal(kx, (batch, sizes[0])), jax.random.normal(ky, (batch, sizes[-1]))

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
        keys = jax.random.split(jax.random.key(0), 7)
        actor, critic = init(keys[0], 18, 64, 64, 5), init(keys[1], 54, 64, 64, 1)
        rule = optax.chain(optax.clip_by_global_norm(max_norm), optax.adam(7e-4, eps=1e-5))
        obs, share = jax.random.normal(keys[2], (rows, 18)), jax.random.normal(keys[3], (rows, 54))
        action = jax.random.randint(keys[4], (rows,), 0, 5)
        advantage, target = jax.random.normal(keys[5], (rows,)), jax.random.normal(keys[6], (rows,))
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
            actor, actor_moments, _ = descend(actor_loss, actor, actor_moments, obs, action, advantage, old)
            critic, critic_moments, loss = descend(critic_loss, critic, critic_moments, share, target)
            return (actor, actor_moments, critic, critic_moments), loss

        def update(state, data):
            state, losses = jax.lax.scan(lambda s, _: epoch(s, data), state, None, epochs)
            return state, losses[-1]

        start = (actor, rule.init(actor), critic, rule.init(critic))
        data = (obs, share, action, advantage, target, old)
        if one_program:
            return held(update, start, data)
        once, reset = held(epoch, start, data)
        return lambda: [once() for _ in range(epochs)][-1], reset

    return Repeated(build, warmup=3)


def inference(rows):
    def build():
        params = init(jax.random.key(0), 30, 64, 64, 5)
        x = jax.random.normal(jax.random.key(1), (rows, 30))
        fn = jax.jit(forward)
        return lambda: fn(params, x).block_until_ready(), lambda: None

    return Repeated(build)


cases = {f"mlp64-b{batch}": regression((30, 64, 64, 5), batch) for batch in (16, 128, 1024, 4096)}
cases["mlp256-b512"] = regression((150, 256, 256, 5), 512)
cases["ppo-750x10"] = ppo(one_program=True)
cases["ppo-750x10:ten-calls"] = ppo(one_program=False)
for rows in (1, 30, 768):
    cases[f"infer-{rows}"] = inference(rows)

serve(cases, options(), {"peer": "jax", "version": jax.__version__})
