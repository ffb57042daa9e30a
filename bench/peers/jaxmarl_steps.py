"""Benchmark (b), JaxMARL: many copies of an MPE scenario in one jitted scan. See README.md."""

import time
from importlib.metadata import version

from protocol import Clock, one_thread, options, serve

one_thread()

import jax
import jax.numpy as jnp
import jaxmarl


class Stepping:
    def __init__(self, scenario, length, copies=256, **settings):
        self.scenario, self.length, self.copies, self.settings = scenario, length, copies, settings

    def prepare(self):
        copies = self.copies
        env = jaxmarl.make(f"MPE_{self.scenario}", **self.settings)
        choices = [env.action_space(name).n for name in env.agents]

        def one(carry, key):
            # Observations travel in the carry, so that the compiler cannot leave them out.
            states, _, total = carry
            act_key, step_key = jax.random.split(key)
            if len(set(choices)) == 1:
                moves = jax.random.randint(act_key, (len(choices), copies), 0, choices[0])
            else:
                keys = jax.random.split(act_key, len(choices))
                moves = [jax.random.randint(k, (copies,), 0, n) for k, n in zip(keys, choices)]
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


cases = {
    "spread-n3": Stepping("simple_spread_v3", 500),
    "spread-n30": Stepping("simple_spread_v3", 25, num_agents=30, num_landmarks=30),
    "simple": Stepping("simple_v3", 500),
    "tag": Stepping("simple_tag_v3", 500),
    "adversary": Stepping("simple_adversary_v3", 500),
    "push": Stepping("simple_push_v3", 500),
    "speaker-listener": Stepping("simple_speaker_listener_v4", 500),
    "reference": Stepping("simple_reference_v3", 500),
    "crypto": Stepping("simple_crypto_v3", 500),
    "world-comm": Stepping("simple_world_comm_v3", 100, action_type="Discrete"),
}

serve(cases, options(), {"peer": "jaxmarl", "version": version("jaxmarl")})
