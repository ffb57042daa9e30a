"""Benchmark (b), MPE2: environment steps per second with random actions. See README.md."""

from importlib.metadata import version

from protocol import Clock, one_thread, options, serve

one_thread()

import numpy as np
from mpe2 import (
    simple_adversary_v3,
    simple_crypto_v3,
    simple_push_v3,
    simple_reference_v3,
    simple_speaker_listener_v4,
    simple_spread_v3,
    simple_tag_v3,
    simple_v3,
    simple_world_comm_v3,
)


class Stepping:
    def __init__(self, make, steps):
        self.make, self.default_steps = make, steps

    def prepare(self):
        self.env = self.make()
        self.rng = np.random.default_rng(0)
        self.env.reset(seed=0)
        self.run(self.draw(2))

    def draw(self, steps):
        """Actions are drawn beforehand: only the environment is timed."""
        names = self.env.possible_agents
        columns = [self.rng.integers(self.env.action_space(a).n, size=steps).tolist() for a in names]
        return [dict(zip(names, row)) for row in zip(*columns)]

    def run(self, actions):
        env = self.env
        for row in actions:
            if not env.agents:
                env.reset()
            env.step(row)

    def measure(self, request, args):
        steps = request.get("steps", self.default_steps)
        actions = self.draw(steps)
        with Clock() as clock:
            self.run(actions)
        return {"steps": steps, **clock.times, "steps_per_second": steps / clock.seconds}


cases = {
    "spread-n3": Stepping(simple_spread_v3.parallel_env, 1000),
    "spread-n30": Stepping(lambda: simple_spread_v3.parallel_env(N=30), 30),
    "spread-n100": Stepping(lambda: simple_spread_v3.parallel_env(N=100), 6),
    "simple": Stepping(simple_v3.parallel_env, 2000),
    "tag": Stepping(simple_tag_v3.parallel_env, 500),
    "adversary": Stepping(simple_adversary_v3.parallel_env, 1000),
    "push": Stepping(simple_push_v3.parallel_env, 1000),
    "speaker-listener": Stepping(simple_speaker_listener_v4.parallel_env, 1000),
    "reference": Stepping(simple_reference_v3.parallel_env, 1000),
    "crypto": Stepping(simple_crypto_v3.parallel_env, 1000),
    "world-comm": Stepping(simple_world_comm_v3.parallel_env, 150),
}

serve(cases, options(), {"peer": "mpe2", "version": version("mpe2")})
