"""Benchmark (b), JaxMARL: many copies of simple_spread in one jitted scan. See README.md."""

import time
from importlib.metadata import version

from protocol import Clock, one_thread, options, serve

one_thread()

import jax
import jax.numpy as jnp
import jaxmarl


class Stepping:
    def __init__(self, agents, length, copies=256):
        self.agents, self.length, self.copies = agents, length, copies

    def prepare(self):
        n, copies = self.agents, self.copies
        env = jaxmarl.make("MPE_simple_spread_v3", num_agents=n, num_landmarks=n)

        def one(carry, key):
            # Observations travel in the carry, so that the compiler cannot leave them out.
            states, _, total = carry
            act_key, step_key = jax.random.split(key)
            moves = jax.random.randint(act_key, (n, copies), 0, 5)
            obs, states, rewards, _, _ = jax.vmap(env.step)(
                jax.random.split(step_key, copies), states, dict(zip(env.agents, moves))
            )
            return (states, obs, total + sum(rewards.values())), None

        def run(carry, key):
            carry, _ = jax.lax.scan(one, carry, jax.random.split(key, self.length))
            return carry

        obs, states = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), copies))
        self.carry = states, obs, jnp.zeros(copies)
        start = time.perf_counter()
        self.run = jax.jit(run).lower(self.carry, jax.random.key(1)).compile()
        self.compile_seconds = time.perf_counter() - start
        self.calls = 0
        self.advance()

    def advance(self):
        self.calls += 1
        self.carry = jax.block_until_ready(self.run(self.carry, jax.random.key(self.calls)))

    def measure(self, request, args):
        repeats = request.get("repeats", 1)
        with Clock() as clock:
            for _ in range(repeats):
                self.advance()
        steps = repeats * self.length * self.copies
        return {
            "steps": steps,
            **clock.times,
            "steps_per_second": steps / clock.seconds,
            "compile_seconds": self.compile_seconds,
        }


cases = {"spread-n3": Stepping(3, length=500), "spread-n30": Stepping(30, length=25)}

serve(cases, options(), {"peer": "jaxmarl", "version": version("jaxmarl")})
