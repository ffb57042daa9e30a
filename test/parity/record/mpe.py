"""Records step-by-step fixtures from MPE2 for the TypeScript particle worlds.

    python mpe.py fixtures  [--out ../fixtures/mpe] [--only NAME]
    python mpe.py resets    [--out ../fixtures/mpe] [--episodes 4000]

The format is described in README.md beside this file. States are injected, not
seeds: a fixture holds everything a replay needs.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from fixture import ACTION_SEED, encode, versions, write
from mpe_episode import MAKERS, chase, constant, guide, record, script, uniform
from mpe_scenarios import SCENARIOS
from pettingzoo.utils.env_logger import EnvLogger


# ---------------------------------------------------------------- hand-made states


def spread_corners(continuous):
    """(kind, init, policy, steps) for three agents of radius 0.15, so contact below 0.3."""
    still = np.zeros(5) if continuous else 0
    left, right, down, up = (np.eye(5)[i] if continuous else i for i in (1, 2, 3, 4))
    far = [[1.5, 1.5], [-1.5, 1.5], [0.25, -1.5]]
    rest = constant(still, still, still)
    return [
        ("overlap", {"agents": [[0, 0], [0.1, 0.05], [3, 3]], "landmarks": far}, rest, 12),
        ("nearly-same-place", {"agents": [[0.2, 0.2], [0.200001, 0.2], [-3, 0]], "landmarks": far}, rest, 12),
        ("just-touching", {"agents": [[0, 0], [0.299999, 0], [0, 0.300001]], "landmarks": far}, rest, 12),
        ("soft-margin", {"agents": [[0, 0], [0.302, 0], [-0.31, 0]], "landmarks": far}, rest, 12),
        ("three-in-a-row", {"agents": [[-0.25, 0.01], [0, 0], [0.25, -0.01]], "landmarks": far}, constant(right, still, left), 15),
        ("triangle", {"agents": [[0, 0], [0.2, 0], [0.1, 0.17]], "landmarks": [[0, 0], [0.2, 0], [0.1, 0.17]]}, rest, 12),
        ("head-on", {"agents": [[-0.6, 0.02], [0.6, -0.02], [0, 0.9]], "p_vel": [[2, 0], [-2, 0], [0, -2]], "landmarks": far}, constant(right, left, down), 15),
        ("far-away", {"agents": [[-40, 7], [40, -7], [0, 1e3]], "p_vel": [[0.5, -0.25], [0, 0], [1, 1]], "landmarks": far}, script([(up, down, left)], (left, right, up)), 8),
    ]


def cover(offsets, velocities=None):
    """Three landmarks well apart, agents at the given offsets from them."""
    landmarks = [[-0.8, 0.3], [0.1, -0.7], [0.75, 0.6]]
    agents = [[l[0] + o[0], l[1] + o[1]] for l, o in zip(landmarks, offsets)]
    return {"agents": agents, "landmarks": landmarks, **({"p_vel": velocities} if velocities else {})}


# ---------------------------------------------------------------- variants


def basic(env, rng, randoms=6, chases=4, constants=((1,) * 3, (4,) * 3, (0, 2, 3)), every_obs=5):
    eye = np.eye(5)
    continuous = env.unwrapped.continuous_actions
    episodes = []
    for seed in range(randoms):
        every = 1 if seed == 0 else every_obs
        episodes.append(record(env, "random", uniform(env, rng), seed, every_obs=every))
    for i, row in enumerate(constants):
        policy = constant(*[eye[a] if continuous else a for a in row])
        episodes.append(record(env, "constant", policy, randoms + i, steps=12))
    for i in range(chases):
        target = "landmark" if i % 4 == 3 else "agent"
        seed = randoms + len(constants) + i
        episodes.append(record(env, f"chase-{target}", chase(target), seed, every_obs=every_obs))
    return episodes


def corners(env):
    return [
        record(env, kind, policy, init=init, steps=steps)
        for kind, init, policy, steps in spread_corners(env.unwrapped.continuous_actions)
    ]


def spread_main(env, rng):
    episodes = basic(env, rng) + corners(env)
    if env.unwrapped.continuous_actions:
        # Both directions of an axis at once, an entry that has no effect, and values to be clipped.
        odd = ([0.9, 0.25, 0.75, 0.5, 0.5], [1, 1.5, -0.5, 0, 0.125], [0, 0, 2, 2, -3])
        episodes.append(record(env, "odd-values", constant(*odd), 18, steps=8))
    return episodes


def spread_few(env, rng):
    n = len(env.possible_agents)
    return basic(env, rng, randoms=3, chases=3, constants=((2,) * n,))


def spread_one(env, rng):
    return basic(env, rng, randoms=2, chases=0, constants=((2,), (3,))) + [
        record(env, "chase-landmark", chase("landmark"), 5)
    ]


def spread_success(env, rng):
    return [
        record(env, "random", uniform(env, rng), 0),
        record(env, "chase-landmark", chase("landmark"), 1),
        record(env, "covered-at-once", constant(0, 0, 0), init=cover([[0.01, 0], [0, 0.05], [-0.03, 0.02]])),
        record(env, "covered-later", chase("landmark"), init=cover([[-0.45, 0.03], [0.4, 0], [0.02, -0.35]], [[0.5, 0], [-0.5, 0], [0, 0.5]])),
        record(env, "just-inside", constant(0, 0, 0), init=cover([[0.099999, 0], [0, 0.099999], [0, 0]])),
        record(env, "just-outside", constant(0, 0, 0), init=cover([[0.100001, 0], [0, 0], [0, 0]])),
        # Enters the last radius with the step that also reaches the limit: truncated, not terminated.
        record(env, "covered-at-limit", constant(0, 0, 0), init=cover([[0, 0], [0, 0], [0.35, 0]], [[0, 0], [0, 0], [-1, 0]])),
    ]


def spread_curriculum(env, rng):
    overlap = {"agents": [[0, 0], [0.2, 0.1], [0.1, -0.15]]}
    episodes = []
    for stage in (0, 1):
        episodes.append(record(env, "random", uniform(env, rng), stage, stage=stage))
        episodes.append(record(env, "chase-agent", chase("agent"), 2 + stage, stage=stage))
        episodes.append(record(env, "overlap", constant(0, 0, 0), init={**overlap, "landmarks": [[1, 1], [-1, 1], [0, -1]]}, steps=6, stage=stage))
    return episodes


def spread_neighbors(env, rng):
    return [
        record(env, "random", uniform(env, rng), 0, every_obs=1),
        record(env, "random", uniform(env, rng), 1, every_obs=2),
        record(env, "chase-agent", chase("agent"), 2, every_obs=2),
        record(env, "chase-landmark", chase("landmark"), 3, every_obs=2),
    ]


def talk(env, rng):
    continuous = env.unwrapped.continuous_actions
    eye3, eye5 = np.eye(3), np.eye(5)
    say = lambda w, m: (eye3[w], eye5[m]) if continuous else (w, m)
    episodes = [record(env, "random", uniform(env, rng), seed, every_obs=1 if seed < 2 else 5) for seed in range(7)]
    for i, row in enumerate(((0, 1), (1, 4), (2, 2))):
        episodes.append(record(env, "constant", constant(*say(*row)), 7 + i, steps=12))
    for i, what in enumerate(("truth", "lie", "random", "truth", "lie", "random")):
        episodes.append(record(env, f"guide-{what}", guide(what, rng), 10 + i))
    landmarks = [[0.5, 0.5], [-0.5, 0.5], [0, -0.5]]
    for goal in range(3):
        # Bodies overlap, yet nothing collides here; the speaker keeps its place whatever it says.
        init = {"goal": goal, "agents": [[0.02, 0], [0, 0]], "landmarks": landmarks, "p_vel": [[0, 0], [0.3, -1.2]], "c": [[0, 0, 0], [0, 0, 0]]}
        episodes.append(record(env, "on-the-speaker", constant(*say(goal, 1 + goal)), init=init, steps=8))
    init = {"goal": 1, "agents": [[0.3, 0.3], [-0.5, 0.5]], "landmarks": landmarks, "c": [[0, 0, 1], [0, 0, 0]]}
    episodes.append(record(env, "on-the-goal", constant(*say(2, 0)), init=init, steps=4))
    if continuous:
        odd = ([0.25, 1.5, -0.5], [0.9, 0.25, 0.75, 1.5, -0.5])
        episodes.append(record(env, "odd-values", constant(*odd), 16, steps=6))
    return episodes


SPREAD, TALK = "simple_spread_v3", "simple_speaker_listener_v4"
VARIANTS = {
    "spread-n3": (SPREAD, {}, spread_main),
    "spread-n3-continuous": (SPREAD, {"local_ratio": 0.5, "continuous_actions": True}, spread_main),
    "spread-n5-ratio02": (SPREAD, {"N": 5, "local_ratio": 0.2}, spread_few),
    "spread-n1": (SPREAD, {"N": 1}, spread_one),
    "spread-n3-cycles10-benchmark": (SPREAD, {"max_cycles": 10, "local_ratio": 1.0, "benchmark_data": True}, spread_few),
    "spread-n3-success": (SPREAD, {"max_cycles": 15, "terminate_on_success": True}, spread_success),
    "spread-n3-success-at-limit": (SPREAD, {"max_cycles": 4, "terminate_on_success": True}, spread_success),
    "spread-n3-curriculum": (SPREAD, {"max_cycles": 15, "curriculum": True}, spread_curriculum),
    "spread-n4-neighbors": (SPREAD, {"N": 4, "max_cycles": 15, "num_agent_neighbors": 1, "num_landmark_neighbors": 2}, spread_neighbors),
    "spread-n2-neighbors-padded": (SPREAD, {"N": 2, "max_cycles": 15, "num_agent_neighbors": 3, "num_landmark_neighbors": 4}, spread_neighbors),
    "speaker-listener": (TALK, {}, talk),
    "speaker-listener-continuous": (TALK, {"continuous_actions": True}, talk),
    **SCENARIOS,
}


def fixtures(out, only):
    for name, (env_id, kwargs, plan) in VARIANTS.items():
        if only and name != only:
            continue
        env = MAKERS[env_id](**kwargs)
        env.reset(seed=0)
        episodes = plan(env, np.random.default_rng(ACTION_SEED))
        header = {"env": env_id, "profile": "mpe2", **versions("mpe2"), "kwargs": kwargs, "agents": env.possible_agents}
        write(out / f"{name}.json", header, episodes)


def resets(out, episodes):
    """Mean undiscounted return of a uniform random policy, with its standard error."""
    results = []
    for env_id in MAKERS:
        env = MAKERS[env_id]()
        rng = np.random.default_rng(ACTION_SEED)
        returns = np.zeros((episodes, len(env.possible_agents)))
        for e in range(episodes):
            env.reset(seed=e)
            while env.agents:
                _, rewards, *_ = env.step({a: int(rng.integers(env.action_space(a).n)) for a in env.agents})
                returns[e] += [rewards[a] for a in env.possible_agents]
        per_episode = returns.mean(axis=1)
        sem = lambda x: x.std(axis=0, ddof=1) / np.sqrt(episodes)
        results.append({
            "env": env_id,
            "kwargs": {},
            "episodes": episodes,
            "agents": env.possible_agents,
            "mean": returns.mean(axis=0),
            "standardError": sem(returns),
            "meanOverAgents": per_episode.mean(),
            "standardErrorOverAgents": sem(per_episode),
        })
        print(env_id, per_episode.mean(), sem(per_episode))
    body = ",\n".join(encode(r) for r in results)
    header = "".join(f"{json.dumps(k)}:{encode(v)},\n" for k, v in versions("mpe2").items())
    (out / "reset-stats.json").write_text("{\n" + header + '"policy":"uniform",\n"results":[\n' + body + "\n]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["fixtures", "resets"])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "../fixtures/mpe")
    parser.add_argument("--only")
    parser.add_argument("--episodes", type=int, default=4000)
    args = parser.parse_args()
    EnvLogger.suppress_output()  # out-of-bounds actions are deliberate
    args.out.mkdir(parents=True, exist_ok=True)
    if args.what == "fixtures":
        fixtures(args.out, args.only)
    else:
        resets(args.out, args.episodes)


if __name__ == "__main__":
    main()
