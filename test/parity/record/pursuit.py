"""Records step-by-step fixtures from PettingZoo's Pursuit for the TypeScript version.

    python pursuit.py fixtures [--out ../fixtures/pursuit] [--only NAME]
    python pursuit.py resets   [--out ../fixtures/pursuit] [--episodes 120]

The format is described in grid.md beside this file. States are injected, not seeds; what evaders draw is recorded.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from fixture import ACTION_SEED, encode, versions, write
from pettingzoo.sisl import pursuit_v5
from pettingzoo.sisl.pursuit.utils.controllers import PursuitPolicy

LEFT, RIGHT, DOWN, UP, STAY = range(5)
SIDES = [(-1, 0), (1, 0), (0, 1), (0, -1)]


class Logged(PursuitPolicy):
    """Evaders: uniform, or as told; keeps what they drew."""

    def __init__(self):
        self.rng, self.told, self.log = np.random.default_rng(0), [], []

    def set_rng(self, rng):
        self.rng = rng

    def act(self, state):
        a = self.told.pop(0) if self.told else int(self.rng.integers(5))
        self.log.append(a)
        return a


def make(kwargs):
    frozen = kwargs.get("freeze_evaders", False)
    controller = None if frozen else Logged()
    env = pursuit_v5.parallel_env(**kwargs, evader_controller=controller)
    return env, env.unwrapped.env, controller


# ---------------------------------------------------------------- state


def positions(layer):
    return [[int(v) for v in layer.get_position(i)] for i in range(layer.n_agents())]


def digits(array):
    """One character per number: 0-9, a-z."""
    return "".join(np.base_repr(int(x), 36).lower() for x in np.asarray(array).ravel())


def inject(base, init):
    for agent, (x, y) in zip(base.pursuer_layer.allies, init["pursuers"], strict=True):
        agent.set_position(x, y)
    layer = base.evader_layer
    while layer.n_agents() > len(init["evaders"]):
        layer.remove_agent(layer.n_agents() - 1)
    for agent, (x, y) in zip(layer.allies, init["evaders"], strict=True):
        agent.set_position(x, y)
    base.evaders_gone[len(init["evaders"]) :] = True
    base.model_state[1] = base.pursuer_layer.get_state_matrix()
    base.model_state[2] = layer.get_state_matrix()


def record(kwargs, kind, policy, seed=0, init=None, steps=None, told=(), every_obs=20):
    """Plays one episode; `policy(base, t)` gives the list of actions in pursuer order."""
    env, base, controller = make(kwargs)
    obs, _ = env.reset(seed=seed)
    if init:
        inject(base, init)
        obs = {name: np.swapaxes(base.safely_observe(i), 2, 0) for i, name in enumerate(env.possible_agents)}
    show = lambda: [digits(obs[name]) for name in env.possible_agents]
    episode = {"kind": kind, **({} if init else {"seed": seed})}
    episode["init"] = {
        "pursuers": positions(base.pursuer_layer),
        "evaders": positions(base.evader_layer),
        "obs": show(),
        "state": digits(env.state()),
    }
    names = ("actions", "draws", "pursuers", "evaders", "rewards", "terminated", "truncated", "obs", "state")
    columns = {name: [] for name in names}
    limit = steps or base.max_cycles
    told = list(told)
    for t in range(1, limit + 1):
        actions = [int(a) for a in policy(base, t - 1)]
        if controller:
            controller.log = []
            controller.told = list(told.pop(0)) if told else []
        gone = base.evaders_gone.sum()
        obs, rewards, terminated, truncated, _ = env.step(dict(zip(env.possible_agents, actions)))
        over = set(terminated.values()), set(truncated.values())
        assert len(over[0]) == len(over[1]) == 1
        columns["actions"].append(actions)
        columns["draws"].append(controller.log if controller else [])
        columns["pursuers"].append(positions(base.pursuer_layer))
        columns["evaders"].append(positions(base.evader_layer))
        columns["rewards"].append([float(rewards[name]) for name in env.possible_agents])
        columns["terminated"].append(int(over[0].pop()))
        columns["truncated"].append(int(over[1].pop()))
        last = columns["terminated"][-1] or columns["truncated"][-1] or t == limit
        caught = base.evaders_gone.sum() > gone
        shown = t == 1 or last or caught or t % every_obs == 0
        columns["obs"].append(show() if shown else None)
        columns["state"].append(digits(env.state()) if shown else None)
        if columns["terminated"][-1] or columns["truncated"][-1]:
            break
    return {**episode, **columns}


# ---------------------------------------------------------------- action sequences


def uniform(rng):
    return lambda base, t: rng.integers(5, size=base.n_pursuers)


def constant(*actions):
    return lambda base, t: actions


def script(*rows):
    return lambda base, t: rows[min(t, len(rows) - 1)]


def hunt(rng, stray=0.1):
    """Everybody towards a side of the evader nearest to all, each the side nearest to it that is free; some stray."""

    def choose(base, t):
        evaders = positions(base.evader_layer)
        pursuers = positions(base.pursuer_layer)
        target = min(evaders, key=lambda e: sum(abs(e[0] - p[0]) + abs(e[1] - p[1]) for p in pursuers))
        inside = lambda x, y: base.map_matrix.shape[0] > x >= 0 <= y < base.map_matrix.shape[1]
        sides = [(target[0] + dx, target[1] + dy) for dx, dy in SIDES]
        free = [s for s in sides if inside(*s) and base.map_matrix[s] == 0]
        actions = []
        for x, y in pursuers:
            goal = min(free, key=lambda s: abs(s[0] - x) + abs(s[1] - y))
            if len(free) > 1:
                free.remove(goal)
            dx, dy = goal[0] - x, goal[1] - y
            if rng.random() < stray:
                actions.append(rng.integers(5))
            elif dx == 0 and dy == 0:
                actions.append(STAY)
            elif abs(dx) > abs(dy) or (abs(dx) == abs(dy) and rng.random() < 0.5):
                actions.append(RIGHT if dx > 0 else LEFT)
            else:
                actions.append(DOWN if dy > 0 else UP)
        return actions

    return choose


# ---------------------------------------------------------------- hand-made states

STILL = [STAY] * 8
AWAY = [[15, 15], [15, 13], [15, 11], [13, 15]]


def catches(kwargs):
    """16 × 16: every kind of catch, and what is none. The building is columns 5 to 11, rows 4 to 12."""
    table = [[2, 2], [4, 2], [3, 1], [3, 4], [0, 1], [10, 14], [3, 4], [15, 15]]
    cross = [[2, 2], [4, 2], [3, 1], [3, 3]]
    cases = [
        (
            "table",
            table,
            [[3, 2], [0, 0], [8, 3], [14, 15], [3, 3]],
            [[4, 4, 4, 3, 4, 4, 4, 0], [3, 0, 0, 4, 4, 4, 4, 4], STILL],
            [[4, 4, 2, 1], [4, 4, 4, 4]],
        ),
        ("interior", cross + AWAY, [[3, 2], [9, 14]], [STILL] * 2, []),
        ("interior-three", cross[:3] + [[14, 15]] + AWAY, [[3, 2], [9, 14]], [STILL] * 2, []),
        ("edge", [[0, 6], [0, 8], [1, 7], [14, 15]] + AWAY, [[0, 7], [9, 14]], [STILL] * 2, []),
        ("right-edge", [[15, 6], [15, 8], [14, 7], [1, 1]] + AWAY, [[15, 7], [9, 14]], [STILL] * 2, []),
        ("top-edge", [[6, 0], [8, 0], [7, 1], [14, 15]] + AWAY, [[7, 0], [9, 14]], [STILL] * 2, []),
        ("corner", [[0, 1], [1, 0], [3, 3], [4, 4]] + AWAY, [[0, 0], [9, 14]], [STILL] * 2, []),
        ("lower-corner", [[0, 14], [1, 15], [3, 3], [4, 3]] + AWAY, [[0, 15], [9, 14]], [STILL] * 2, []),
        ("beside-the-building", [[4, 7], [4, 9], [3, 8], [14, 15]] + AWAY, [[4, 8], [9, 14]], [STILL] * 2, []),
        ("above-the-building", [[7, 3], [9, 3], [8, 2], [14, 15]] + AWAY, [[8, 3], [9, 14]], [STILL] * 2, []),
        ("stacked", [[2, 2], [4, 2], [3, 1], [3, 3], [3, 3], [2, 2], [9, 1], [15, 15]], [[3, 2], [9, 14]], [STILL] * 2, []),
        ("in-one-cell", cross[:3] + [[3, 2]] + AWAY, [[3, 2], [9, 14]], [STILL] * 2, []),
        ("two-in-one-cell", cross + AWAY, [[3, 2], [3, 2], [9, 14]], [STILL] * 2, []),
        (
            "two-share-a-catcher",
            [[2, 2], [3, 1], [3, 3], [4, 2], [5, 1], [5, 3], [6, 2], [15, 15]],
            [[3, 2], [5, 2], [9, 14]],
            [STILL] * 2,
            [],
        ),
        ("last-one", cross + AWAY, [[3, 2]], [STILL], []),
        ("walls", [[0, 0], [15, 0], [0, 15], [15, 15], [4, 8], [12, 8], [8, 3], [8, 13]], [[0, 0], [4, 4]],
         [[0, 1, 0, 1, 1, 0, 2, 3], [3, 3, 2, 2, 1, 0, 2, 3]], [[0, 1], [3, 2]]),
        ("edge-counts-twice", [[0, 0], [0, 7], [15, 15], [7, 0], [2, 2], [2, 3], [3, 3], [4, 4]],
         [[0, 0], [0, 0], [0, 7], [1, 0], [15, 15], [7, 0]], [STILL, STILL], [[4] * 6, [4] * 6]),
    ]
    return [
        record(kwargs, kind, script(*rows), init={"pursuers": p, "evaders": e}, steps=len(rows), told=told, every_obs=1)
        for kind, p, e, rows, told in cases
    ]


def basic(kwargs, rng, randoms=3, hunts=3, steps=36):
    episodes = [record(kwargs, "random", uniform(rng), seed=s, steps=steps) for s in range(randoms)]
    n = kwargs.get("n_pursuers", 8)
    for a in (LEFT, DOWN):
        episodes.append(record(kwargs, "constant", constant(*[a] * n), seed=10 + a, steps=12))
    return episodes + [record(kwargs, "hunt", hunt(rng), seed=20 + i, steps=steps) for i in range(hunts)]


def to_the_end(kwargs, rng):
    """Small maps: everybody is caught, or the limit comes first."""
    return [record(kwargs, "hunt", hunt(rng, stray=0.05), seed=i) for i in range(6)] + [
        record(kwargs, "random", uniform(rng), seed=7)
    ]


def hand_made(kwargs, rng):
    return catches(kwargs)


def at_the_limit(kwargs, rng):
    """The last evader is caught by the very step that reaches the limit: truncated only."""
    init = {"pursuers": [[0, 1], [1, 0]], "evaders": [[0, 0]]}
    rows = [[STAY, STAY]]
    late = {"pursuers": [[0, 2], [1, 0]], "evaders": [[0, 0]]}
    return [
        record(kwargs, "at-once", script(*rows), init=init),
        record(kwargs, "at-the-limit", script([STAY, STAY], [UP, STAY]), init=late, told=[[4], [4]]),
    ]


SMALL = {"x_size": 7, "y_size": 6, "n_pursuers": 5, "n_evaders": 4, "max_cycles": 60}
VARIANTS = {
    "defaults": ({}, basic),
    "local": ({"shared_reward": False}, basic),
    "hand-made": ({"shared_reward": False}, hand_made),
    "hand-made-shared": ({"tag_reward": 0.0}, hand_made),
    "frozen": ({"freeze_evaders": True, "shared_reward": False, "n_evaders": 12, "urgency_reward": -0.3, "catch_reward": 2.5}, basic),
    "in-the-cell": ({"surround": False, "n_catch": 2, "n_evaders": 12, "shared_reward": False, "tag_reward": 0.25}, basic),
    "in-the-cell-one": ({"surround": False, "n_catch": 1, "max_cycles": 30, **{k: SMALL[k] for k in ("x_size", "y_size", "n_pursuers", "n_evaders")}}, to_the_end),
    "small": (SMALL, to_the_end),
    "small-frozen": ({**SMALL, "freeze_evaders": True, "shared_reward": False}, to_the_end),
    "limit": ({"x_size": 6, "y_size": 6, "n_pursuers": 2, "n_evaders": 1, "max_cycles": 2}, at_the_limit),
    "wide-12x9-range5": ({"x_size": 12, "y_size": 9, "obs_range": 5, "n_pursuers": 4, "n_evaders": 8}, basic),
    "range4": ({"obs_range": 4, "n_pursuers": 3, "n_evaders": 10}, basic),
    "range1": ({"obs_range": 1, "n_pursuers": 3, "n_evaders": 10}, basic),
    "range11-8x8": ({"obs_range": 11, "x_size": 8, "y_size": 8, "n_pursuers": 3, "n_evaders": 5}, basic),
    "window": ({"constraint_window": 0.6, "n_pursuers": 3, "n_evaders": 5, "shared_reward": False}, basic),
}


def fixtures(out, only):
    for name, (kwargs, plan) in VARIANTS.items():
        if only and name != only:
            continue
        episodes = plan(kwargs, np.random.default_rng(ACTION_SEED))
        write(out / f"{name}.json", {**versions("pettingzoo"), "kwargs": kwargs}, episodes)


# ---------------------------------------------------------------- resets and random play

# Shorter episodes and a smaller map than the defaults: the original takes minutes otherwise.
STATISTICS = {
    "defaults": {"max_cycles": 60},
    "window": {"constraint_window": 0.6, "n_pursuers": 4, "n_evaders": 6, "max_cycles": 20},
    "small": {**SMALL, "shared_reward": False},
}


def resets(out, episodes):
    """Where everybody starts, where evaders go, and returns of uniform random play."""
    results = []
    for name, kwargs in STATISTICS.items():
        env, base, controller = make(kwargs)
        rng = np.random.default_rng(ACTION_SEED)
        keys = ("pursuerColumns", "pursuerRows", "evaderColumns", "evaderRows", "lastEvaderColumns", "captures")
        counts = {key: Counter() for key in keys}
        returns = np.zeros(episodes)
        lengths = np.zeros(episodes)
        for e in range(episodes):
            env.reset(seed=e)
            for side, column in enumerate(("Columns", "Rows")):
                counts["pursuer" + column].update(p[side] for p in positions(base.pursuer_layer))
                counts["evader" + column].update(p[side] for p in positions(base.evader_layer))
            while env.agents:
                actions = rng.integers(5, size=base.n_pursuers).tolist()
                _, rewards, *_ = env.step(dict(zip(env.possible_agents, actions)))
                returns[e] += np.mean(list(rewards.values()))
                lengths[e] += 1
            # Of one, since those of an episode are not independent.
            last = positions(base.evader_layer)
            if last:
                counts["lastEvaderColumns"][max(x for x, _ in last)] += 1
            counts["captures"][int(base.evaders_gone.sum())] += 1
        sem = lambda x: x.std(ddof=1) / np.sqrt(episodes)
        results.append({
            "name": name,
            "kwargs": kwargs,
            "episodes": episodes,
            "counts": {key: {str(k): counter[k] for k in sorted(counter)} for key, counter in counts.items()},
            "mean": returns.mean(),
            "standardError": sem(returns),
            "meanLength": lengths.mean(),
            "standardErrorOfLength": sem(lengths),
        })
        print(name, returns.mean(), sem(returns), lengths.mean(), dict(counts["captures"]))
    body = ",\n".join(encode(r) for r in results)
    (out / "reset-stats.json").write_text('{"results":[\n' + body + "\n]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["fixtures", "resets"])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "../fixtures/pursuit")
    parser.add_argument("--only")
    parser.add_argument("--episodes", type=int, default=300)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.what == "fixtures":
        fixtures(args.out, args.only)
    else:
        resets(args.out, args.episodes)


if __name__ == "__main__":
    main()
