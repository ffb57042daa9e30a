"""Plays and records single episodes of MPE2's scenarios, and the action sequences they are played with."""

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
from mpe2.simple_spread.simple_spread import Scenario as SpreadScenario
from mpe2.simple_tag.simple_tag import Scenario as TagScenario

MAKERS = {
    module.__name__.removeprefix("mpe2."): module.parallel_env
    for module in (
        simple_spread_v3,
        simple_speaker_listener_v4,
        simple_v3,
        simple_tag_v3,
        simple_adversary_v3,
        simple_push_v3,
        simple_reference_v3,
        simple_crypto_v3,
        simple_world_comm_v3,
    )
}

# In 1.1.1 the base class of scenarios has a property `curriculum_stage` whose setter does nothing,
# so the stage never leaves 0. A plain attribute in the subclass hides it and restores the
# documented behaviour; only the curriculum variants depend on it.
SpreadScenario.curriculum_stage = 0
TagScenario.curriculum_stage = 0


# ---------------------------------------------------------------- one episode


def has(agent, name):
    """Goals and keys raise while they are not set."""
    return getattr(agent, "_" + name, None) is not None


def inject(base, init):
    """Overwrites the state that reset drew."""
    world = base.world
    if "goal" in init:
        set_goal(world, init["goal"])
    if "key" in init:
        world.agents[2].key = world.landmarks[init["key"]].color
    for key, entities in (("agents", world.agents), ("landmarks", world.landmarks)):
        for entity, p in zip(entities, init.get(key, []), strict=key in init):
            entity.state.p_pos = np.array(p, dtype=np.float64)
    for agent, v in zip(world.agents, init.get("p_vel", [])):
        agent.state.p_vel = np.array(v, dtype=np.float64)
    for agent, c in zip(world.agents, init.get("c", [])):
        agent.state.c = np.array(c, dtype=np.float64)


def set_goal(world, goal):
    """goal: index of a landmark; of one per agent in the reference game."""
    if isinstance(goal, list):
        for agent, g in zip(world.agents, goal, strict=True):
            agent.goal_b = world.landmarks[g]
        return
    landmark = world.landmarks[goal]
    if has(world.agents[0], "goal_b"):
        speaker, listener = world.agents
        speaker.goal_b = landmark
        listener.color = landmark.color + 0.45
        return
    for agent in world.agents:
        agent.goal_a = landmark
    if hasattr(landmark, "index"):  # push: the agent sees its own colour
        world.agents[1].color = np.array([0.25, 0.25, 0.25])
        world.agents[1].color[goal + 1] += 0.5


def goals(world):
    """What `set_goal` takes; None where there is no goal."""
    goal = [world.landmarks.index(a.goal_b) for a in world.agents if has(a, "goal_b")]
    if len(goal) == 2:
        return goal
    if goal:
        return goal[0]
    return world.landmarks.index(world.agents[0].goal_a) if has(world.agents[0], "goal_a") else None


def positions(entities):
    return [e.state.p_pos.copy() for e in entities]


def short(observation):
    """The shortest decimals that read back as the same float32."""
    return [float(str(x)) for x in observation.astype(np.float32)]


def check_thresholds(world):
    """Nothing recorded lies so near a threshold of a reward, or a centre on another, that rounding could decide."""
    chase = world.agents[0].accel is not None  # only these have a boundary, and landmarks whose touch counts
    bodies = world.entities if chase else world.agents
    for i, a in enumerate(world.agents):
        for b in bodies[i + 1 :]:
            d = np.sqrt(np.sum(np.square(a.state.p_pos - b.state.p_pos)))
            assert abs(d - a.size - b.size) > 1e-9, (a.name, b.name, d)
            # The direction of a contact must not be rounding alone.
            assert d > 1e-6 or not (a.collide and b.collide), (a.name, b.name, d)
        for edge in (0.9, 1) if chase else ():
            assert (abs(abs(a.state.p_pos) - edge) > 1e-9).all(), (a.name, a.state.p_pos)


def record(env, kind, policy, seed=None, init=None, steps=None, every_obs=5, stage=None, float32=False):
    """Plays one episode; `policy(base, t)` gives the list of actions in agent order.

    float32: observations as the original returns them, not as its scenario computes them; and, like actions, as the
    shortest decimals that say which float32 is meant.
    """
    base = env.unwrapped
    world, scenario = base.world, base.scenario
    if stage is not None:
        # Spread reads the stage at every step, tag at reset.
        env.reset(seed=0)
        base.set_curriculum_stage(stage)
        assert base.curriculum_stage == stage
    env.reset(seed=seed if seed is not None else 0)
    if init:
        inject(base, init)

    observe = lambda: [scenario.observation(a, world) for a in world.agents]
    shown = lambda observations: [short(o) if float32 else o for o in observations]
    words = any(not a.silent for a in world.agents)
    start = {
        "p_pos": positions(world.entities),
        "p_vel": [a.state.p_vel.copy() for a in world.agents],
        "c": [a.state.c.copy() for a in world.agents],
    }
    goal = goals(world)
    if goal is not None:
        start["goal"] = goal
    if has(world.agents[-1], "key"):
        start["key"] = int(np.argmax(world.agents[-1].key))
    start["obs"] = shown(observe())
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

        check_thresholds(world)
        brief = lambda a: short(a) if float32 and isinstance(a, np.ndarray) else a
        out["actions"].append([brief(a) for a in named.values()])
        out["p_pos"].append(positions(world.agents))
        out["p_vel"].append([a.state.p_vel.copy() for a in world.agents])
        if words:
            out["c"].append([a.state.c.copy() for a in world.agents])
        out["rewards"].append([rewards[name] for name in env.possible_agents])
        out["terminated"].append(int(any(terminated.values())))
        out["truncated"].append(int(any(truncated.values())))
        out["obs"].append(shown(exact) if done or t == 1 or t == limit or t % every_obs == 0 else None)
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
