"""Suite `recurrent`, JAX: back-propagation through time of a GRU, `lax.scan`, jitted. See README.md."""

from protocol import Repeated, one_thread, options, serve
from shared_numbers import UNIT, SharedNumbers

one_thread()

import jax
import jax.numpy as jnp


def gru(steps, rows, width, inside):
    """inside: the input's product is taken step by step, within the loop, not for all steps before it."""

    def project(params, x):
        return x @ params[0] + params[2]

    def build():
        numbers = SharedNumbers()
        params = [jnp.asarray(p) for p in numbers.gru(width, width)]
        x, y = (jnp.asarray(numbers.draw(steps, rows, width, scale=UNIT)) for _ in range(2))
        first = jnp.zeros((rows, width))

        def loss_of(params, x, y):
            def step(hidden, given):
                gates = project(params, given) if inside else given
                own = hidden @ params[1] + params[3]
                r, z = jnp.split(jax.nn.sigmoid(gates[:, : 2 * width] + own[:, : 2 * width]), 2, -1)
                n = jnp.tanh(gates[:, 2 * width :] + r * own[:, 2 * width :])
                hidden = n + z * (hidden - n)
                return hidden, hidden

            _, outputs = jax.lax.scan(step, first, x if inside else project(params, x))
            return jnp.mean((outputs - y) ** 2)

        fn = jax.jit(jax.value_and_grad(loss_of))

        def call():
            loss, _ = jax.block_until_ready(fn(params, x, y))
            return float(loss)

        def check():
            loss, grads = fn(params, x, y)
            flat = jnp.concatenate([g.ravel() for g in grads])
            return [loss, flat.sum(), jnp.linalg.norm(flat)]

        return call, lambda: None, check

    return Repeated(build, warmup=3)


cases = {}
for steps, rows, width in ((25, 96, 64), (128, 32, 64), (340, 32, 32)):
    name = f"gru-t{steps}-b{rows}-h{width}"
    cases[name] = gru(steps, rows, width, inside=False)
    cases[f"{name}:inside"] = gru(steps, rows, width, inside=True)

serve(cases, options(), {"peer": "jax", "version": jax.__version__})
