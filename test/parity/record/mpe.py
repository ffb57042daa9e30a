"""Records step-by-step fixtures from MPE2 for the TypeScript particle worlds.

    python mpe.py fixtures  [--out ../fixtures/mpe] [--only NAME]
    python mpe.py resets    [--out ../fixtures/mpe] [--episodes 4000]

The format is described in README.md beside this file. States are injected, not
seeds: a fixture holds everything a replay needs.
"""

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from mpe2 import simple_speaker_listener_v4, simple_spread_v3
from mpe2.simple_spread.simple_spread import Scenario as SpreadScenario
from pettingzoo.utils.env_logger import EnvLogger

MAKERS = {
    "simple_spread_v3": simple_spread_v3.parallel_env,
    "simple_speaker_listener_v4": simple_speaker_listener_v4.parallel_env,
}
ACTION_SEED = 12345

# In 1.1.1 the base class of scenarios has a property `curriculum_stage` whose setter does nothing,
# so the stage never leaves 0. A plain attribute in the subclass hides it and restores the
# documented behaviour; only the curriculum variant depends on it.
SpreadScenario.curriculum_stage = 0


# ---------------------------------------------------------------- JSON, compact


def number(x):
    """Shortest decimal that reads back as the same float64; whole numbers without a point."""
    x = float(x)
    assert np.isfinite(x), x
    if x.is_integer() and abs(x) < 1e15:
        return "-0" if x == 0 and np.signbit(x) else str(int(x))
    return repr(x)


def encode(value):
    if isinstance(value, np.ndarray):
        return encode(value.tolist())
    if isinstance(value, dict):
        return "{" + ",".join(json.dumps(k) + ":" + encode(v) for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(encode(v) for v in value) + "]"
    if value is None or isinstance(value, (bool, str)):
        return json.dumps(value)
    return number(value)


def write(path, header, episodes):
    """One line per column of an episode, so that a changed recording gives a readable diff."""
    lines = ["{"]
    lines += [f"{json.dumps(k)}:{encode(v)}," for k, v in header.items()]
    lines.append('"episodes":[')
    for i, episode in enumerate(episodes):
        columns = ",\n".join(f"{json.dumps(k)}:{encode(v)}" for k, v in episode.items())
        lines.append("{" + columns + "}" + ("," if i + 1 < len(episodes) else ""))
    lines.append("]}")
    path.write_text("\n".join(lines) + "\n")
    print(f"{path.name}: {len(episodes)} episodes, {path.stat().st_size / 1000:.0f} kB")


# ---------------------------------------------------------------- one episode


def inject(base, init):
    """Overwrites the state that reset drew."""
    world = base.world
    if "goal" in init:
        speaker, listener = world.agents
        speaker.goal_b = world.landmarks[init["goal"]]
        listener.color = speaker.goal_b.color + 0.45
    for key, entities in (("agents", world.agents), ("landmarks", world.landmarks)):
        for entity, p in zip(entities, init.get(key, []), strict=key in init):
            entity.state.p_pos = np.array(p, dtype=np.float64)
    for agent, v in zip(world.agents, init.get("p_vel", [])):
        agent.state.p_vel = np.array(v, dtype=np.float64)
    for agent, c in zip(world.agents, init.get("c", [])):
        agent.state.c = np.array(c, dtype=np.float64)


def positions(entities):
    return [e.state.p_pos.copy() for e in entities]


def record(env, kind, policy, seed=None, init=None, steps=None, every_obs=5, stage=None):
    """Plays one episode; `policy(base, t)` gives the list of actions in agent order."""
    env.reset(seed=seed if seed is not None else 0)
    base = env.unwrapped
    world, scenario = base.world, base.scenario
    if stage is not None:
        base.set_curriculum_stage(stage)
        assert base.curriculum_stage == stage
    if init:
        inject(base, init)

    observe = lambda: [scenario.observation(a, world) for a in world.agents]
    words = any(not a.silent for a in world.agents)
    start = {
        "p_pos": positions(world.entities),
        "p_vel": [a.state.p_vel.copy() for a in world.agents],
        "c": [a.state.c.copy() for a in world.agents],
    }
    if hasattr(world.agents[0], "goal_b"):
        start["goal"] = world.landmarks.index(world.agents[0].goal_b)
    start["obs"] = observe()
    landmarks = positions(world.landmarks)

    columns = ["actions", "p_pos", "p_vel", *(["c"] if words else []), "rewards"]
    columns += ["terminated", "truncated", "obs", *(["info"] if base.benchmark_data else [])]
    out = {name: [] for name in columns}
    limit = steps or base.max_cycles
    t = 0
    while t < limit:
        actions = policy(base, t)
        named = dict(zip(env.possible_agents, actions, strict=True))
        copies = {k: (v.copy() if isinstance(v, np.ndarray) else v) for k, v in named.items()}
        observations, rewards, terminated, truncated, infos = env.step(copies)
        t += 1

        exact = observe()
        for name, o in zip(env.possible_agents, exact):
            assert np.array_equal(observations[name], o.astype(np.float32))
        assert len(set(terminated.values())) == 1 and len(set(truncated.values())) == 1
        assert all(np.array_equal(a, b) for a, b in zip(landmarks, positions(world.landmarks)))
        if not words:
            assert all(not a.state.c.any() for a in world.agents)
        done = any(terminated.values()) or any(truncated.values())

        out["actions"].append(list(named.values()))
        out["p_pos"].append(positions(world.agents))
        out["p_vel"].append([a.state.p_vel.copy() for a in world.agents])
        if words:
            out["c"].append([a.state.c.copy() for a in world.agents])
        out["rewards"].append([rewards[name] for name in env.possible_agents])
        out["terminated"].append(int(any(terminated.values())))
        out["truncated"].append(int(any(truncated.values())))
        out["obs"].append(exact if done or t == 1 or t == limit or t % every_obs == 0 else None)
        if base.benchmark_data:
            out["info"].append([infos[name]["benchmark_data"] for name in env.possible_agents])
        if done:
            break

    episode = {"kind": kind}
    if seed is not None:
        episode["seed"] = seed
    if stage is not None:
        episode["curriculumStage"] = stage
    return {**episode, "init": start, **out}


# ---------------------------------------------------------------- action sequences


def uniform(env, rng):
    """Uniform over the action space; continuous entries are float32, one in ten out of bounds."""

    def choose(base, t):
        actions = []
        for name in env.possible_agents:
            space = env.action_space(name)
            if not base.continuous_actions:
                actions.append(int(rng.integers(space.n)))
                continue
            a = rng.random(space.shape)
            if t % 10 == 9:
                a = 3 * a - 1
            actions.append(a.astype(np.float32))
        return actions

    return choose


def constant(*actions):
    def choose(base, t):
        return [np.array(a, np.float32) if base.continuous_actions else a for a in actions]

    return choose


def script(rows, then=None):
    """The given rows of actions, then the last one (or `then`) for the rest."""

    def choose(base, t):
        row = rows[t] if t < len(rows) else (then or rows[-1])
        return constant(*row)(base, t)

    return choose


def towards(delta, continuous):
    """The movement action that goes along delta: longer axis first, or both in proportion."""
    if not continuous:
        if not delta.any():
            return 0
        if abs(delta[0]) >= abs(delta[1]):
            return 2 if delta[0] > 0 else 1
        return 4 if delta[1] > 0 else 3
    # Multiples of 1/256 are exact in float32 and short in JSON.
    d = np.round(np.clip(delta, -1, 1) * 256) / 256
    return np.array([0, max(-d[0], 0), max(d[0], 0), max(-d[1], 0), max(d[1], 0)], np.float32)


def chase(target):
    """Everyone towards the nearest other agent ("agent") or landmark ("landmark")."""

    def choose(base, t):
        world = base.world
        actions = []
        for agent in world.agents:
            pool = world.landmarks if target == "landmark" else world.agents
            deltas = [e.state.p_pos - agent.state.p_pos for e in pool if e is not agent]
            nearest = min(deltas, key=lambda d: float(d @ d))
            actions.append(towards(nearest, base.continuous_actions))
        return actions

    return choose


def guide(say, rng):
    """Speaker: the goal, a fixed other word, or random. Listener: to the landmark it last heard."""

    def choose(base, t):
        world = base.world
        speaker, listener = world.agents
        goal = world.landmarks.index(speaker.goal_b)
        word = {"truth": goal, "lie": (goal + 1) % 3, "random": int(rng.integers(3))}[say]
        heard = int(np.argmax(speaker.state.c)) if speaker.state.c.any() else 0
        move = towards(world.landmarks[heard].state.p_pos - listener.state.p_pos, base.continuous_actions)
        if not base.continuous_actions:
            return [word, move]
        utterance = np.round(rng.random(3) * 64) / 256
        utterance[word] = 1
        return [utterance.astype(np.float32), move]

    return choose


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
}


def versions():
    return {
        "package": "mpe2",
        "version": version("mpe2"),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def fixtures(out, only):
    for name, (env_id, kwargs, plan) in VARIANTS.items():
        if only and name != only:
            continue
        env = MAKERS[env_id](**kwargs)
        env.reset(seed=0)
        episodes = plan(env, np.random.default_rng(ACTION_SEED))
        header = {"env": env_id, "profile": "mpe2", **versions(), "kwargs": kwargs, "agents": env.possible_agents}
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
    header = "".join(f"{json.dumps(k)}:{encode(v)},\n" for k, v in versions().items())
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
