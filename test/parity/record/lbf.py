"""Records step-by-step fixtures from Level-Based Foraging for the TypeScript version.

    python lbf.py fixtures [--batpal CHECKOUT] [--out ../fixtures/lbf] [--only NAME]
    python lbf.py resets   [--batpal CHECKOUT] [--out ../fixtures/lbf] [--episodes 2000]

The format is described in grid.md beside this file. States are injected, not seeds. BATPAL's variant is not on PyPI:
its fixtures are recorded where --batpal names a checkout of kiarashkaz/BATPAL.
"""

import argparse
import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path

import gymnasium
import numpy as np
from fixture import ACTION_SEED, encode, versions, write
from lbforaging.foraging import environment as v3

NONE, NORTH, SOUTH, WEST, EAST, LOAD = range(6)
DEFAULTS = {
    "min_player_level": 1,
    "max_player_level": 2,
    "min_food_level": 1,
    "max_food_level": None,
    "max_episode_steps": 50,
    "force_coop": False,
}


# ---------------------------------------------------------------- the two originals behind one face


class Unbounded(v3.ForagingEnv):
    """With an observation space that takes everything.

    2.0.0 declares its maps with a shape that gymnasium refuses, and swaps rows and columns in the bounds of its lists,
    against which it then checks its observations. What it observes is right.
    """

    def _get_observation_space(self):
        side = 2 * self.sight + 1
        width = 3 * self.max_num_food + (3 if self._observe_agent_levels else 2) * len(self.players)
        shape = (3, side, side) if self._grid_observation else (width,)
        return gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)


class V3:
    def __init__(self, kwargs):
        rows, cols = kwargs["field_size"]
        maker = Unbounded if kwargs.get("grid_observation") or rows != cols else v3.ForagingEnv
        self.env = maker(**{**DEFAULTS, **kwargs})

    def reset(self, seed):
        return [np.array(o) for o in self.env.reset(seed=seed)[0]]

    def step(self, actions):
        obs, rewards, done, truncated, _ = self.env.step(actions)
        assert not truncated
        return [np.array(o) for o in obs], [float(r) for r in rewards], done

    def observe(self):
        return [np.array(o) for o in self.env._make_gym_obs()]


class Batpal:
    def __init__(self, kwargs):
        sys.modules.setdefault("gym", gymnasium)
        sys.modules.setdefault("gym.utils", gymnasium.utils)
        spec = importlib.util.spec_from_file_location("batpal_lbf", Batpal.path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.env = module.ForagingEnv({"obs_agent_adversary": False, **kwargs})

    def reset(self, seed):
        if seed is not None:
            self.env.seed(seed)
        return list(self.env.reset()[0])

    def step(self, actions):
        obs, _, rewards, done, _, _ = self.env.step(actions)
        return list(obs), [float(r) for (r,) in rewards], all(done)

    def observe(self):
        return list(self.env._make_gym_obs()[0])


# ---------------------------------------------------------------- state


def foods(env):
    return [[int(r), int(c), int(env.field[r, c])] for r, c in zip(*np.nonzero(env.field))]


def players(env):
    return [[int(p.position[0]), int(p.position[1]), int(p.level)] for p in env.players]


def masks(env):
    """Bit a is set where action a has an effect."""
    return [sum(1 << action.value for action in env._valid_actions[p]) for p in env.players]


def inject(env, init):
    env.field[:] = 0
    for r, c, level in init["food"]:
        env.field[r, c] = level
    for player, (r, c, level) in zip(env.players, init["players"], strict=True):
        player.setup((r, c), level, env.field_size)
        player.reward = 0
    env._food_spawned = init.get("spawned", env.field.sum())
    env.current_step = 0
    env._gen_valid_moves()


def record(original, kind, policy, seed=None, init=None, steps=None, every_obs=5):
    """Plays one episode; `policy(env, t)` gives the list of actions in player order."""
    obs = original.reset(seed if seed is not None else 0)
    env = original.env
    if init:
        inject(env, init)
        obs = original.observe()
    episode = {"kind": kind, **({} if seed is None else {"seed": seed})}
    episode["init"] = {
        "players": players(env),
        "food": foods(env),
        "spawned": int(env._food_spawned),
        "masks": masks(env),
        "obs": obs,
    }
    names = ("actions", "positions", "food", "masks", "rewards", "done", "obs")
    columns = {name: [] for name in names}
    limit = steps or env._max_episode_steps
    before = None
    for t in range(1, limit + 1):
        actions = [int(a) for a in policy(env, t - 1)]
        obs, rewards, done = original.step(actions)
        columns["actions"].append(actions)
        columns["positions"].append([p[:2] for p in players(env)])
        left = foods(env)
        # Foods never move: null while they are what they were.
        columns["food"].append(None if left == before else left)
        before = left
        columns["masks"].append(masks(env))
        columns["rewards"].append(rewards)
        columns["done"].append(int(done))
        last = done or t == limit
        columns["obs"].append(obs if t == 1 or last or t % every_obs == 0 else None)
        if done:
            break
    return {**episode, **columns}


# ---------------------------------------------------------------- action sequences


def uniform(rng, allowed=False):
    def choose(env, t):
        if not allowed:
            return rng.integers(6, size=len(env.players))
        return [rng.choice([a.value for a in env._valid_actions[p]]) for p in env.players]

    return choose


def constant(*actions):
    return lambda env, t: actions


def script(*rows):
    return lambda env, t: rows[t]


def gather(rng, together, stray=0.15):
    """Towards a food (all the same one, or each the nearest) and load it; now and then something random."""

    def choose(env, t):
        food = foods(env)
        actions = []
        for player in env.players:
            if not food or rng.random() < stray:
                actions.append(rng.integers(6))
                continue
            r, c = player.position
            target = food[0] if together else min(food, key=lambda f: abs(f[0] - r) + abs(f[1] - c))
            dr, dc = target[0] - r, target[1] - c
            if abs(dr) + abs(dc) == 1:
                actions.append(LOAD)
            elif abs(dr) > abs(dc) or (abs(dr) == abs(dc) and rng.random() < 0.5):
                actions.append(SOUTH if dr > 0 else NORTH)
            else:
                actions.append(EAST if dc > 0 else WEST)
        return actions

    return choose


# ---------------------------------------------------------------- variants


def basic(original, rng, every_obs=5, randoms=4, gathers=4):
    n = len(original.env.players)
    play = lambda *args, **kwargs: record(original, *args, **{"every_obs": every_obs, **kwargs})
    episodes = [play("random", uniform(rng), seed, every_obs=1 if seed == 0 else every_obs) for seed in range(randoms)]
    episodes.append(play("allowed", uniform(rng, allowed=True), randoms))
    episodes.append(play("constant", constant(*[(i + 1) % 6 for i in range(n)]), randoms + 1, steps=12))
    for i in range(gathers):
        kind = ("together", "apart")[i % 2]
        episodes.append(play(kind, gather(rng, together=i % 2 == 0), 10 + i))
    return episodes


def few(original, rng):
    return basic(original, rng, randoms=2, gathers=3)


def corners(original, rng):
    """The hand-made states of 6 × 6 cells: shared loads, contested cells, chains, swaps, shared cells."""
    three = lambda *positions: [[*p, 1] for p in positions]
    far = [[1, 1, 4]]
    table = {
        "players": [[2, 1, 1], [1, 2, 2], [5, 0, 1]],
        "food": [[2, 2, 3], [4, 4, 2]],
    }
    rows = [[5, 0, 4], [5, 5, 4], [4, 2, 4], [2, 3, 4], [2, 4, 4], [4, 2, 5], [4, 5, 1], [0, 5, 5]]
    cases = [
        ("table", table, rows),
        ("in-vain", {**table, "players": [[2, 1, 1], [1, 2, 1], [5, 0, 1]]}, [[5, 5, 0], [5, 0, 5]]),
        ("chain", {"players": three((3, 2), (3, 3), (3, 4)), "food": far}, [[4, 4, 4], [3, 3, 3], [3, 3, 0]]),
        ("onto-a-stayer", {"players": three((3, 3), (3, 4), (3, 5)), "food": far}, [[4, 4, 0], [3, 1, 3], [0, 0, 0]]),
        ("swap", {"players": three((3, 3), (3, 4), (5, 5)), "food": far}, [[4, 3, 0], [3, 4, 0], [4, 3, 1]]),
        ("ring", {"players": three((3, 3), (3, 4), (4, 4)), "food": far}, [[4, 2, 3], [2, 3, 1], [1, 4, 3], [2, 1, 4]]),
        ("three-to-one", {"players": three((3, 2), (3, 4), (4, 3)), "food": far}, [[4, 3, 1], [4, 3, 0], [4, 0, 1]]),
        ("shared-cell", {"players": three((3, 3), (3, 3), (3, 3)), "food": far}, [[1, 1, 0], [1, 2, 3], [2, 1, 4]]),
        ("loader-stays", {"players": three((1, 2), (1, 3), (0, 2)), "food": far}, [[5, 3, 2], [5, 0, 2], [5, 5, 5]]),
        ("two-foods", {"players": [[2, 1, 2], [1, 3, 2], [4, 3, 2]], "food": [[1, 1, 2], [4, 4, 2]]}, [[5, 5, 5], [0, 0, 0]]),
        ("all-round", {"players": [[2, 3, 1], [4, 3, 2], [3, 2, 1]], "food": [[3, 3, 4]]}, [[5, 5, 5]]),
        ("walls", {"players": three((0, 0), (5, 5), (0, 5)), "food": far}, [[1, 2, 4], [3, 4, 1], [5, 5, 5]]),
    ]
    return [record(original, kind, script(*rows), init=init, steps=len(rows), every_obs=1) for kind, init, rows in cases]


def small(field, players, food, **rest):
    return {"field_size": field, "players": players, "max_num_food": food, "sight": max(field), **rest}


LEVELS = {
    "min_player_level": [1, 2, 3],
    "max_player_level": [2, 4, 3],
    "min_food_level": [1, 3],
    "max_food_level": [2, 5],
}
VARIANTS = {
    "8x8-2p-3f": (V3, small((8, 8), 2, 3), basic),
    "2s-8x8-3p-3f-coop": (V3, small((8, 8), 3, 3, sight=2, force_coop=True), basic),
    "10x10-5p-10f-coop": (V3, small((10, 10), 5, 10, force_coop=True), basic),
    "6x6-3p-2f-pen-raw": (V3, small((6, 6), 3, 2, penalty=0.1, normalize_reward=False), basic),
    "6x6-3p-2f-corners": (V3, small((6, 6), 3, 2, penalty=0.1), corners),
    "2s-6x6-3p-2f-corners": (V3, small((6, 6), 3, 2, sight=2), corners),
    "grid-2s-6x6-3p-2f": (V3, small((6, 6), 3, 2, sight=2, grid_observation=True), few),
    "grid-5x5-2p-1f-no-levels": (V3, small((5, 5), 2, 1, grid_observation=True, observe_agent_levels=False), few),
    "levels-7x7-3p-2f": (V3, small((7, 7), 3, 2, observe_agent_levels=False, sight=3, **LEVELS), basic),
    "crowd-5x5-9p-2f": (V3, small((5, 5), 9, 2, sight=1), basic),
    "wide-5x9-3p-3f": (V3, small((5, 9), 3, 3, sight=3, max_episode_steps=20), few),
    "tall-9x5-3p-3f": (V3, small((9, 5), 3, 3, max_episode_steps=20), few),
    "batpal-10x10-5p-10f-c": (Batpal, {"force_coop": True, "sight": 5, "field_size": 10, "players": 5, "max_food": 10}, basic),
    "batpal-6x6-3p-2f": (Batpal, {"sight": 2, "field_size": 6, "players": 3, "max_food": 2, "max_episode_steps": 25}, basic),
    "batpal-6x6-3p-2f-corners": (Batpal, {"field_size": 6, "players": 3, "max_food": 2}, corners),
}


def header(kind, kwargs):
    if kind is V3:
        return {**versions("lbforaging"), "kwargs": kwargs}
    return {**versions("lbforaging"), "package": "kiarashkaz/BATPAL", "version": Batpal.commit, "kwargs": kwargs}


def fixtures(out, only):
    for name, (kind, kwargs, plan) in VARIANTS.items():
        if (only and name != only) or (kind is Batpal and Batpal.path is None):
            continue
        episodes = plan(kind(kwargs), np.random.default_rng(ACTION_SEED))
        write(out / f"{name}.json", header(kind, kwargs), episodes)


# ---------------------------------------------------------------- resets


STATISTICS = ["8x8-2p-3f", "10x10-5p-10f-coop", "levels-7x7-3p-2f", "batpal-10x10-5p-10f-c", "batpal-6x6-3p-2f"]


def resets(out, episodes):
    """Counts over resets without a seed in between, and returns of uniform random play."""
    results = []
    for name in STATISTICS:
        kind, kwargs, _ = VARIANTS[name]
        if kind is Batpal and Batpal.path is None:
            continue
        original = kind(kwargs)
        env = original.env
        rng = np.random.default_rng(ACTION_SEED)
        counts = {key: Counter() for key in ("foods", "firstFoodLevel", "playerLevels", "foodCells", "playerCells")}
        returns = np.zeros(episodes)
        original.reset(0)
        for e in range(episodes):
            original.reset(None)
            food, who = foods(env), players(env)
            counts["foods"][len(food)] += 1
            # Of one food, since those of an episode are not independent.
            counts["firstFoodLevel"][food[0][2]] += 1
            counts["playerLevels"].update(level for _, _, level in who)
            counts["foodCells"].update(r * env.cols + c for r, c, _ in food)
            counts["playerCells"].update(r * env.cols + c for r, c, _ in who)
            done = False
            while not done:
                _, rewards, done = original.step(rng.integers(6, size=len(env.players)))
                # BATPAL gives everybody the sum.
                returns[e] += rewards[0] if kind is Batpal else sum(rewards)
        results.append({
            "name": name,
            "episodes": episodes,
            "counts": {key: {str(k): counter[k] for k in sorted(counter)} for key, counter in counts.items()},
            "mean": returns.mean(),
            "standardError": returns.std(ddof=1) / np.sqrt(episodes),
        })
        print(name, results[-1]["mean"], results[-1]["standardError"], dict(counts["foods"]))
    body = ",\n".join(encode(r) for r in results)
    (out / "reset-stats.json").write_text('{"results":[\n' + body + "\n]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["fixtures", "resets"])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "../fixtures/lbf")
    parser.add_argument("--only")
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--batpal", type=Path)
    args = parser.parse_args()
    Batpal.path = Batpal.commit = None
    if args.batpal:
        Batpal.path = args.batpal / "BATPAL/env/lbforaging/environment.py"
        head = ["git", "-C", str(args.batpal), "rev-parse", "HEAD"]
        Batpal.commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.what == "fixtures":
        fixtures(args.out, args.only)
    else:
        resets(args.out, args.episodes)


if __name__ == "__main__":
    main()
