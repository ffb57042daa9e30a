"""Records step-by-step fixtures from PIC's navigation tasks for mean_field_spread.

    python pic.py CHECKOUT [--out ../fixtures/pic]

CHECKOUT is a clone of https://github.com/IouJenLiu/PIC at 59a61b3; of it only the worlds and scenarios are imported.
They need an old numba, whose decorators are replaced by ones that do nothing, and bridson, which only draws start
states. The format is described in README.md beside this file.
"""

import argparse
import importlib
import sys
import types
from pathlib import Path

import numpy as np
from fixture import ACTION_SEED, write
from mpe_episode import short

COMMIT = "59a61b33b46689bc053926cc6092b12ab56b6b1d"
GAIN = 5.0
MOVES = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]], dtype=np.float64)


class Anything:
    """Stands for numba's types and decorators."""

    def __call__(self, *args, **kwargs):
        if len(args) == 1 and callable(args[0]) and not isinstance(args[0], Anything):
            if isinstance(args[0], type):
                args[0].class_type = self
            return args[0]
        return self

    def __getitem__(self, key):
        return self

    def __getattr__(self, name):
        return self


def package(checkout):
    root = checkout / "multiagent-particle-envs/multiagent"
    for name, folder in (("multiagent", root), ("multiagent.scenarios", root / "scenarios")):
        module = types.ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module
    numba = types.ModuleType("numba")
    for name in ("jit", "njit", "jitclass", "deferred_type", "int32", "int64", "float32", "float64", "boolean", "prange"):
        setattr(numba, name, Anything())
    sys.modules["numba"] = numba
    bridson = types.ModuleType("bridson")
    bridson.poisson_disc_samples = lambda width, height, r, **_: [tuple(p) for p in np.random.default_rng(0).uniform(0, width, (400, 2))]
    sys.modules["bridson"] = bridson


def record(n, kind, policy, seed, init=None, steps=25, every_obs=8):
    scenario = importlib.import_module(f"multiagent.scenarios.simple_spread_n{n}").Scenario()
    world = scenario.make_world()
    scenario.seed(seed)
    scenario.reset_world(world)
    for key, entities in (("agents", world.agents), ("landmarks", world.landmarks)):
        for entity, p in zip(entities, (init or {}).get(key, [])):
            entity.state.p_pos = np.array(p, dtype=np.float64)
    agents = world.agents
    # The files for 6, 15 and 30 agents sort observations by something else than distance.
    nearest_first = n in (3, 100, 200)
    observe = lambda: [short(np.asarray(scenario.observation(a, world))) for a in agents] if nearest_first else None
    positions = lambda entities: [e.state.p_pos.copy() for e in entities]
    velocities = lambda: [a.state.p_vel.copy() for a in agents]
    episode = {"kind": kind, "seed": seed, "init": {"p_pos": positions(world.entities), "p_vel": velocities(), "obs": observe()}}
    out = {name: [] for name in ("actions", "p_pos", "p_vel", "reward", "obs")}
    for t in range(steps):
        actions = policy(world)
        for agent, a in zip(agents, actions, strict=True):
            agent.action.u = GAIN * MOVES[a]
            agent.action.c = np.zeros(world.dim_c)
        world.step()
        for i, a in enumerate(agents):
            for b in agents[i + 1 :]:
                d = np.sqrt(np.sum(np.square(a.state.p_pos - b.state.p_pos)))
                assert abs(d - a.size - b.size) > 1e-9 and d > 1e-6
        out["actions"].append(actions)
        out["p_pos"].append(positions(agents))
        out["p_vel"].append(velocities())
        # The worlds are collaborative: everybody receives the sum.
        out["reward"].append(float(sum(scenario.reward(a, world) for a in agents)))
        out["obs"].append(observe() if t % every_obs == 7 or t + 1 == steps else None)
    return {**episode, **out}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "../fixtures/pic")
    args = parser.parse_args()
    package(args.checkout)
    args.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(ACTION_SEED)
    uniform = lambda world: [int(a) for a in rng.integers(5, size=len(world.agents))]

    def gather(world):
        """Everybody to the centre, so that many bodies push each other."""
        actions = []
        for agent in world.agents:
            x, y = agent.state.p_pos
            actions.append((1 if x > 0 else 2) if abs(x) > abs(y) else (3 if y > 0 else 4))
        return actions

    crowd = {"agents": [[0.4 * np.cos(2.4 * i) * np.sqrt(i / 15), 0.4 * np.sin(2.4 * i) * np.sqrt(i / 15)] for i in range(15)]}
    plans = {
        3: [("random", uniform, 0, None, 24), ("gather", gather, 1, {"agents": [[0.4, 0], [-0.4, 0.1], [0, 0.5]]}, 10)],
        6: [("random", uniform, 2, None, 12), ("gather", gather, 3, None, 8)],
        15: [("random", uniform, 4, None, 8), ("crowd", uniform, 5, crowd, 6)],
        100: [("gather", gather, 6, None, 4)],
    }
    for n, episodes in plans.items():
        header = {"env": f"simple_spread_n{n}", "package": "github.com/IouJenLiu/PIC", "version": COMMIT, "numpy": np.__version__, "agents": n}
        write(args.out / f"n{n}.json", header, [record(n, kind, policy, seed, init, steps) for kind, policy, seed, init, steps in episodes])


if __name__ == "__main__":
    main()
