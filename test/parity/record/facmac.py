"""Records step-by-step fixtures from FACMAC's continuous predator-prey for the TypeScript particle worlds.

    python facmac.py CHECKOUT [--out ../fixtures/facmac]

CHECKOUT is a clone of https://github.com/oxwhirl/facmac at d7e62b8; of it only the worlds and scenarios are
imported, which need NumPy alone. The format is described in README.md beside this file.
"""

import argparse
import importlib
import io
import sys
import types
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from fixture import ACTION_SEED, write
from mpe_episode import short

COMMIT = "d7e62b8c51a5a77330de85f83c10553d0bd18fe5"
SENSITIVITY = 3.0  # of the predators; what environment.py multiplies actions with


class Draws:
    """The prey's random numbers, instead of NumPy's: a generator that a test can write down, too."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self, low, high, n):
        out = np.empty(n)
        for k in range(n):
            self.state = (self.state * 1664525 + 1013904223) % 2**32
            out[k] = self.state / 2**32
        return low + (high - low) * out


def package(checkout):
    """The package of the particle worlds, without what its __init__ files import (StarCraft, gym)."""
    for name, folder in (("envs", "src/envs"), ("envs.particle", "src/envs/particle"), ("envs.particle.scenarios", "src/envs/particle/scenarios")):
        module = types.ModuleType(name)
        module.__path__ = [str(checkout / folder)]
        sys.modules[name] = module
    # 6a and 9a name the same worlds by the package that FACMAC copied them from.
    sys.modules["multiagent"] = sys.modules["envs.particle"]
    for name in ("core", "scenario"):
        sys.modules[f"multiagent.{name}"] = importlib.import_module(f"envs.particle.{name}")


def record(variant, args, kind, policy, seed, init=None, steps=25, every_obs=8):
    module = importlib.import_module(f"envs.particle.scenarios.continuous_pred_prey_{variant}")
    scenario = module.Scenario()
    np.random.seed(seed)
    with redirect_stdout(io.StringIO()):
        world = scenario.make_world(args)
    scenario.reset_world(world)
    for key, entities in (("agents", world.agents), ("landmarks", world.landmarks)):
        for entity, p in zip(entities, (init or {}).get(key, [])):
            entity.state.p_pos = np.array(p, dtype=np.float64)
    for agent, v in zip(world.agents, (init or {}).get("p_vel", [])):
        agent.state.p_vel = np.array(v, dtype=np.float64)
    predators = world.policy_agents
    positions = lambda entities: [e.state.p_pos.copy() for e in entities]
    velocities = lambda: [a.state.p_vel.copy() for a in world.agents]
    observe = lambda: [short(scenario.observation(a, world)) for a in predators]
    draw_seed = 1000 + seed
    episode = {"kind": kind, "seed": seed, "drawSeed": draw_seed, "init": {"p_pos": positions(world.entities), "p_vel": velocities(), "obs": observe()}}
    out = {name: [] for name in ("actions", "p_pos", "p_vel", "reward", "obs")}
    draws, numpy_uniform = Draws(draw_seed), np.random.uniform
    for t in range(steps):
        actions = policy(world, predators)
        for agent, action in zip(predators, actions, strict=True):
            # As environment.py does with the float32 actions of its runner.
            agent.action.u = action.copy()
            agent.action.u *= SENSITIVITY
            agent.action.c = np.zeros(world.dim_c)
        for agent in world.scripted_agents:
            agent.action.c = np.zeros(world.dim_c)
        np.random.uniform = draws.uniform
        world.step()
        np.random.uniform = numpy_uniform
        rewards = {float(scenario.reward(a, world)) for a in predators}
        assert len(rewards) == 1
        for i, a in enumerate(world.agents):
            for b in world.agents[i + 1 :]:
                d = np.sqrt(np.sum(np.square(a.state.p_pos - b.state.p_pos)))
                assert abs(d - a.size - b.size) > 1e-9 and d > 1e-6
        out["actions"].append([short(a) for a in actions])
        out["p_pos"].append(positions(world.agents))
        out["p_vel"].append(velocities())
        out["reward"].append(rewards.pop())
        out["obs"].append(observe() if t == 0 or t % every_obs == 7 or t + 1 == steps else None)
    return {**episode, **out}


def uniform(rng):
    return lambda world, predators: [rng.uniform(-1, 1, 2).astype(np.float32) for _ in predators]


def chase(world, predators):
    """Everybody straight towards the nearest prey."""
    actions = []
    for agent in predators:
        deltas = [a.state.p_pos - agent.state.p_pos for a in world.scripted_agents]
        delta = min(deltas, key=lambda d: float(d @ d))
        actions.append((delta / max(1e-9, np.abs(delta).max())).astype(np.float32))
    return actions


def constant(action):
    return lambda world, predators: [np.array(action, np.float32) for _ in predators]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "../fixtures/facmac")
    args = parser.parse_args()
    package(args.checkout)
    args.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(ACTION_SEED)
    settings = lambda score, radius: types.SimpleNamespace(score_function=score, agent_view_radius=radius)
    near = {"agents": [[0.3, 0.1], [-0.3, 0.1], [0, -0.35], [0, 0]], "landmarks": [[0.9, 0.9], [-0.9, 0.9]]}
    ring = [[0.16 * np.cos(x), 0.16 * np.sin(x)] for x in (0.3, 2.4, 4.5)]
    plans = {
        "3a-min": ("3a", settings("min", 1.5), [
            ("random", uniform(rng), 0, None, 25),
            ("chase", chase, 1, None, 25),
            ("chase", chase, 2, None, 25),
            ("surrounded", chase, 3, near, 10),
            ("nowhere-to-go", constant([0, 0]), 4, {**near, "agents": [*ring, [0, 0]]}, 4),
            ("at-speed", constant([1, 0.5]), 5, {**near, "p_vel": [[0.9, 0.4], [-1, 0], [0.5, 0.8], [0.3, -0.1]]}, 6),
        ]),
        "3a-sum": ("3a", settings("sum", 0.8), [
            ("random", uniform(rng), 6, None, 25),
            ("chase", chase, 7, None, 25),
            ("surrounded", chase, 8, near, 10),
            ("nowhere-to-go", constant([0, 0]), 9, {**near, "agents": [*ring, [0, 0]]}, 4),
        ]),
        "6a-sum": ("6a", settings("sum", 1.5), [("chase", chase, 10, None, 15)]),
        "9a-min": ("9a", settings("min", 1.5), [("chase", chase, 11, None, 12)]),
    }
    for name, (variant, options, episodes) in plans.items():
        header = {
            "env": f"continuous_pred_prey_{variant}",
            "package": "github.com/oxwhirl/facmac",
            "version": COMMIT,
            "numpy": np.__version__,
            "kwargs": vars(options),
            "agents": int(variant[0]) + int(variant[0]) // 3,
        }
        write(args.out / f"{name}.json", header, [record(variant, options, kind, policy, seed, init, steps) for kind, policy, seed, init, steps in episodes])


if __name__ == "__main__":
    main()
