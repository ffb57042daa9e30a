"""Benchmark (b), Jumanji: many copies of Level-Based Foraging in one jitted scan. See README.md."""

import time
from importlib.metadata import version

from protocol import Clock, one_thread, options, serve

one_thread()

import jax
import jax.numpy as jnp
from jumanji.environments import LevelBasedForaging
from jumanji.environments.routing.lbf.generator import RandomGenerator
from jumanji.wrappers import VmapAutoResetWrapper


class Stepping:
    def __init__(self, field, players, food, force_coop, length=200, copies=256):
        self.generator = dict(
            grid_size=field, num_agents=players, num_food=food, fov=field, force_coop=force_coop
        )
        self.players, self.length, self.copies = players, length, copies

    def prepare(self):
        n, copies = self.players, self.copies
        env = VmapAutoResetWrapper(LevelBasedForaging(RandomGenerator(**self.generator), time_limit=50))

        def one(carry, key):
            # Observations travel in the carry, so that the compiler cannot leave them out.
            states, _, total = carry
            actions = jax.random.randint(key, (copies, n), 0, 6)
            states, timestep = env.step(states, actions)
            return (states, timestep.observation, total + timestep.reward), None

        def run(carry, key):
            carry, _ = jax.lax.scan(one, carry, jax.random.split(key, self.length))
            return carry

        states, timestep = jax.jit(env.reset)(jax.random.split(jax.random.key(0), copies))
        self.carry = states, timestep.observation, jnp.zeros((copies, n))
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


cases = {
    "lbf-8x8-2p-3f": Stepping(8, 2, 3, force_coop=False),
    "lbf-10x10-5p-10f-coop": Stepping(10, 5, 10, force_coop=True),
}

serve(cases, options(), {"peer": "jumanji", "version": version("jumanji")})
