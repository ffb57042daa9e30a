"""Benchmark (c), JaxMARL: IPPO on simple_spread at JaxMARL's own settings, one program. See README.md."""

import math
import time
from importlib.metadata import version
from typing import NamedTuple

from protocol import Clock, one_thread, options, process_age, serve

one_thread()

import jax
import jax.numpy as jnp
import jaxmarl
import optax
from flax import linen as nn
from jaxmarl.wrappers.baselines import MPELogWrapper

COPIES, LENGTH, EPOCHS, MINIBATCHES = 16, 128, 4, 4
TOTAL_STEPS, RATE = 10_000_000, 2.5e-4
GAMMA, LAMBDA, CLIP, ENTROPY, VALUE_WEIGHT, MAX_NORM = 0.99, 0.95, 0.2, 0.01, 0.5, 0.5


class Tower(nn.Module):
    """Two tanh layers of 64; orthogonal weights, the last with its own gain."""

    outputs: int
    gain: float

    @nn.compact
    def __call__(self, x):
        for width, gain in ((64, math.sqrt(2)), (64, math.sqrt(2)), (self.outputs, self.gain)):
            h = nn.Dense(width, kernel_init=nn.initializers.orthogonal(gain))(x)
            x = jnp.tanh(h)
        return h


class Networks(nn.Module):
    """Log-probabilities of the five actions, and the value, from one agent's observation."""

    @nn.compact
    def __call__(self, obs):
        logp = jax.nn.log_softmax(Tower(5, 0.01, name="actor")(obs))
        return logp, Tower(1, 1.0, name="critic")(obs)[..., 0]


class Step(NamedTuple):
    obs: jax.Array
    action: jax.Array
    logp: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array


env = MPELogWrapper(jaxmarl.make("MPE_simple_spread_v3"))
names = env.agents
rows = len(names) * COPIES
nets = Networks()


def rate(count):
    """Falls linearly to zero over the ten million steps, once per update."""
    updates = TOTAL_STEPS // (COPIES * LENGTH)
    return RATE * (1 - (count // (EPOCHS * MINIBATCHES)) / updates)


rule = optax.chain(optax.clip_by_global_norm(MAX_NORM), optax.adam(rate, eps=1e-5))


def stack(by_name):
    return jnp.stack([by_name[a] for a in names])


def pick(logp, action):
    return jnp.take_along_axis(logp, action[..., None], -1)[..., 0]


def start(key):
    net_key, env_key = jax.random.split(key)
    obs, states = jax.vmap(env.reset)(jax.random.split(env_key, COPIES))
    params = nets.init(net_key, jnp.zeros((1, 18)))
    return params, rule.init(params), states, stack(obs), jnp.float32(0)


def act(params, carry, key):
    states, obs, finished = carry
    act_key, env_key = jax.random.split(key)
    logp, value = nets.apply(params, obs)
    action = jax.random.categorical(act_key, logp)
    after, states, reward, done, info = jax.vmap(env.step)(
        jax.random.split(env_key, COPIES), states, dict(zip(names, action))
    )
    ended = stack({a: done[a] for a in names})
    step = Step(obs, action, pick(logp, action), value, stack(reward), ended)
    return (states, stack(after), info["returned_episode_returns"].mean()), step


def advantages(steps, last_value):
    def back(carry, step):
        running, following = carry
        live = 1 - step.done
        delta = step.reward + GAMMA * following * live - step.value
        running = delta + GAMMA * LAMBDA * live * running
        return (running, step.value), running

    zero = jnp.zeros_like(last_value)
    return jax.lax.scan(back, (zero, last_value), steps, reverse=True, unroll=8)[1]


def loss_of(params, batch):
    step, advantage, target = batch
    logp, value = nets.apply(params, step.obs)
    ratio = jnp.exp(pick(logp, step.action) - step.logp)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
    near = step.value + jnp.clip(value - step.value, -CLIP, CLIP)
    miss = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
    spread = -(jnp.exp(logp) * logp).sum(-1).mean()
    return -gain + VALUE_WEIGHT * miss - ENTROPY * spread


def descend(carry, batch):
    params, moments = carry
    loss, grads = jax.value_and_grad(loss_of)(params, batch)
    change, moments = rule.update(grads, moments)
    return (optax.apply_updates(params, change), moments), loss


def update(state, key):
    params, moments, *world = state
    act_key, shuffle_key = jax.random.split(key)
    world, steps = jax.lax.scan(
        lambda c, k: act(params, c, k), tuple(world), jax.random.split(act_key, LENGTH)
    )
    _, last_value = nets.apply(params, world[1])
    advantage = advantages(steps, last_value)
    batch = (steps, advantage, advantage + steps.value)
    flat = jax.tree.map(lambda x: x.reshape(LENGTH * rows, *x.shape[3:]), batch)

    def epoch(carry, key):
        order = jax.random.permutation(key, LENGTH * rows)
        parts = jax.tree.map(lambda x: x[order].reshape(MINIBATCHES, -1, *x.shape[1:]), flat)
        return jax.lax.scan(descend, carry, parts)

    (params, moments), _ = jax.lax.scan(epoch, (params, moments), jax.random.split(shuffle_key, EPOCHS))
    return params, moments, *world


@jax.jit
def train(state, key, updates):
    """All updates are one program; their number is an input, so it compiles once."""
    return jax.lax.fori_loop(0, updates, lambda i, s: update(s, jax.random.fold_in(key, i)), state)


class Training:
    def prepare(self):
        pass

    def measure(self, request, args):
        updates = -(-request.get("env_steps", args.env_steps) // (COPIES * LENGTH))
        key = jax.random.key(request.get("seed", 0))
        with Clock() as clock:
            state = jax.block_until_ready(program(reset(key), key, updates))
        steps = updates * COPIES * LENGTH
        # The wrapper counts the team's reward, three times the agents' mean.
        mean_return = float(state[4]) / len(names)
        return {
            "steps": steps,
            **clock.times,
            "steps_per_second": steps / clock.seconds,
            "mean_return_last": mean_return,
        }


args = options((("--env-steps",), {"type": int, "default": 20_480}))
begin = time.perf_counter()
key = jax.random.key(0)
reset = jax.jit(start).lower(key).compile()
state = reset(key)
program = train.lower(state, key, 1).compile()
compile_seconds = time.perf_counter() - begin
jax.block_until_ready(program(state, key, 1))
about = {
    "peer": "jaxmarl",
    "version": version("jaxmarl"),
    "jax": jax.__version__,
    "compile_seconds": compile_seconds,
    "first_update_seconds": process_age(),
}
serve({"ippo": Training()}, args, about)
