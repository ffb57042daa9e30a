"""Benchmark (b), lbforaging and PettingZoo's Pursuit: environment steps per second with random actions. See README.md."""

from importlib.metadata import version

from protocol import Clock, one_thread, options, serve

one_thread()

import numpy as np
from lbforaging.foraging.environment import ForagingEnv
from pettingzoo.sisl import pursuit_v5


class Foraging:
    default_steps = 1000

    def __init__(self, field, players, food, **rest):
        self.kwargs = {
            "players": players,
            "min_player_level": 1,
            "max_player_level": 2,
            "min_food_level": 1,
            "max_food_level": None,
            "field_size": (field, field),
            "max_num_food": food,
            "sight": field,
            "max_episode_steps": 50,
            "force_coop": False,
            **rest,
        }

    def prepare(self):
        self.env = ForagingEnv(**self.kwargs)
        self.rng = np.random.default_rng(0)
        self.env.reset(seed=0)
        self.run(self.draw(2))

    def draw(self, steps):
        """Actions are drawn beforehand: only the environment is timed."""
        return self.rng.integers(6, size=(steps, self.kwargs["players"])).tolist()

    def run(self, actions):
        env = self.env
        for row in actions:
            if env.step(row)[2]:
                env.reset()

    def measure(self, request, args):
        steps = request.get("steps", self.default_steps)
        actions = self.draw(steps)
        with Clock() as clock:
            self.run(actions)
        return {"steps": steps, **clock.times, "steps_per_second": steps / clock.seconds}


class Pursuit(Foraging):
    default_steps = 60

    def __init__(self):
        pass

    def prepare(self):
        self.env = pursuit_v5.parallel_env()
        self.rng = np.random.default_rng(0)
        self.env.reset(seed=0)
        self.run(self.draw(2))

    def draw(self, steps):
        names = self.env.possible_agents
        return [dict(zip(names, row)) for row in self.rng.integers(5, size=(steps, len(names))).tolist()]

    def run(self, actions):
        env = self.env
        for row in actions:
            if not env.agents:
                env.reset()
            env.step(row)


cases = {
    "lbf-8x8-2p-3f": Foraging(8, 2, 3),
    "lbf-10x10-5p-10f-coop": Foraging(10, 5, 10, force_coop=True),
    "pursuit": Pursuit(),
}

about = {"peer": "lbforaging and pettingzoo"}
serve(cases, options(), {**about, "version": f"{version('lbforaging')} and {version('pettingzoo')}"})
