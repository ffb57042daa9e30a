"""What is recorded of the scenarios other than spread and speaker-listener: variants, hand-made states, policies."""

import numpy as np
from mpe_episode import chase, constant, record, towards, uniform


def play(env, kind, policy, seed=None, **options):
    """As `record`, with float32 observations, every eighth of them after the first."""
    return record(env, kind, policy, seed, **{"every_obs": 8, "float32": True, **options})


def randoms(env, rng, seeds, **options):
    return [play(env, "random", uniform(env, rng), seed, **options) for seed in seeds]


def act(agent, world, move, word, continuous):
    """One agent's action: a movement (number, or five entries), and a word where it speaks."""
    if continuous:
        move = np.eye(5, dtype=np.float32)[move] if isinstance(move, int) else move
        spoken = [] if agent.silent else list(np.eye(world.dim_c)[word])
        return np.array([*(move if agent.movable else []), *spoken], np.float32)
    if agent.silent:
        return move
    return word if not agent.movable else move + 5 * word


def scripted(*rows):
    """rows[t] = [(move, word) or move for each agent]; the last row is repeated."""

    def choose(base, t):
        row = rows[min(t, len(rows) - 1)]
        pairs = [x if isinstance(x, tuple) else (x, 0) for x in row]
        world = base.world
        return [act(a, world, *pair, base.continuous_actions) for a, pair in zip(world.agents, pairs, strict=True)]

    return choose


def still(env):
    return scripted([0] * len(env.possible_agents))


def nearest(agent, pool):
    deltas = [e.state.p_pos - agent.state.p_pos for e in pool]
    return min(deltas, key=lambda d: float(d @ d))


def hunt(rng, flee=True):
    """Adversaries towards the nearest good agent; good agents away from the nearest adversary, or towards a landmark."""

    def choose(base, t):
        world = base.world
        good = [a for a in world.agents if not a.adversary]
        bad = [a for a in world.agents if a.adversary]
        places = getattr(world, "food", None) or world.landmarks
        actions = []
        for agent in world.agents:
            if agent.adversary:
                delta = nearest(agent, good)
            else:
                delta = -nearest(agent, bad) if flee else nearest(agent, places)
            move = towards(delta, base.continuous_actions)
            actions.append(act(agent, world, move, int(rng.integers(world.dim_c)), base.continuous_actions))
        return actions

    return choose


# ---------------------------------------------------------------- simple


def simple(env, rng):
    return [
        *randoms(env, rng, range(4)),
        *(play(env, "constant", scripted([a]), 4 + a, steps=8) for a in range(5)),
        play(env, "chase-landmark", chase("landmark"), 9),
        play(env, "on-the-landmark", still(env), init={"agents": [[0.3, 0.4]], "landmarks": [[0.3, 0.4]], "p_vel": [[0.5, -2]]}, steps=6),
    ]


# ---------------------------------------------------------------- tag

FAR = [[7, 7], [-7, 7]]


def tag(env, rng):
    corner = lambda kind, agents, policy, steps=6, landmarks=FAR, **more: play(
        env, kind, policy, init={"agents": agents, "landmarks": landmarks, **more}, steps=steps, every_obs=3
    )
    return [
        *randoms(env, rng, (0, 1)),
        play(env, "constant", scripted([2, 2, 4, 1]), 2, steps=10),
        *(play(env, "hunt", hunt(rng), seed) for seed in (3, 4)),
        play(env, "hunt-to-obstacles", hunt(rng, flee=False), 5),
        corner("golden", [[-0.5, 0], [0.1, 0.05], [0.95, -0.95], [0.2, 0.1]], scripted([2, 2, 4, 1], [2, 4, 1, 2], [2, 2, 1, 2]), 3, [[-0.6, 0.2], [0.4, -0.5]]),
        corner("caught-by-all", [[0.1, 0], [-0.05, 0.08], [-0.05, -0.08], [0, 0]], scripted([1, 4, 3, 2])),
        corner("into-an-obstacle", [[-0.5, 0.02], [0.5, 0.3], [0, 0.6], [0.1, -0.5]], scripted([2, 1, 3, 4]), 8, [[0, 0], [0.6, -0.6]], p_vel=[[1, 0], [-0.9, 0], [0, -1], [0, 1.3]]),
        corner("between-obstacles", [[0, 0.25], [2, 2], [-2, 2], [0, 0]], scripted([3, 0, 0, 4]), 6, [[-0.21, 0], [0.22, 0.01]]),
        corner("speed-limits", [[-3, 0], [0, -3], [3, 3], [0, 0]], scripted([2, 4, 1, 4]), 8, p_vel=[[0.9, 0.4], [0, 0.99], [2, 2], [0.9, 0.9]]),
        corner("outside", [[5, 5], [5, -5], [-5, 5], [0.95, -1.4]], scripted([0, 0, 0, 0], [0, 0, 0, 2]), 8, p_vel=[[0, 0], [0, 0], [0, 0], [0.3, 0.8]]),
        corner("far-outside", [[5, 5], [5, -5], [-5, 5], [1.5, -4]], scripted([0, 0, 0, 2]), 3),
    ]


def tag_few(env, rng):
    return [*randoms(env, rng, (0, 1)), play(env, "hunt", hunt(rng), 2), play(env, "hunt-to-obstacles", hunt(rng, flee=False), 3)]


def tag_success(env, rng):
    init = lambda prey, v=(0, 0): {"agents": [[0, 0], [0.5, 0], [3, 3], prey, [0.5, 0.1]], "landmarks": FAR, "p_vel": [[0, 0], [0, 0], [0, 0], v, [0, 0]]}
    return [
        *randoms(env, rng, (0,)),
        play(env, "hunt", hunt(rng), 1),
        play(env, "all-caught-at-once", still(env), init=init([0.1, 0])),
        play(env, "one-caught", still(env), init=init([0.3, 0.8]), steps=4),
        play(env, "all-caught-later", still(env), init=init([-0.3, 0], (1.2, 0))),
        # Caught with the step that also reaches the limit: truncated, not terminated.
        play(env, "all-caught-at-limit", still(env), init=init([-0.45, 0], (1.2, 0))),
    ]


def tag_curriculum(env, rng):
    fast = {"agents": [[3, 0], [-3, 0], [0, 3], [0, 0]], "landmarks": FAR, "p_vel": [[0, 0], [0, 0], [0, 0], [0.7, 0.8]]}
    return [
        episode
        for stage in (0, 1, 2)
        for episode in (
            play(env, "hunt", hunt(rng), stage, stage=stage, steps=12),
            play(env, "speed-limit", scripted([0, 0, 0, 2]), init=fast, stage=stage, steps=6),
        )
    ]


# ---------------------------------------------------------------- adversary


def adversary(env, rng):
    n = len(env.possible_agents) - 1
    landmarks = [[-0.5, -0.5], [0.25, 0.75], [0.5, -0.9]][:n]
    agents = [[0.3, -0.2], [-0.4, 0.6], [0.8, 0.1], [0.1, 0.1]][: n + 1]
    return [
        *randoms(env, rng, range(3)),
        play(env, "constant", scripted([2] * (n + 1)), 3, steps=8),
        play(env, "chase-landmark", chase("landmark"), 4),
        play(env, "chase-agent", chase("agent"), 5),
        *(
            play(env, "placed", scripted([4, 2, 1, 3][: n + 1], [2, 0, 3, 1][: n + 1]), init={"goal": goal, "agents": agents, "landmarks": landmarks}, steps=4)
            for goal in range(n)
        ),
        # Bodies overlap, and nothing pushes.
        play(env, "on-the-goal", still(env), init={"goal": n - 1, "agents": [[x + 0.01 * i, y] for i in range(n + 1) for x, y in [landmarks[n - 1]]], "landmarks": landmarks}, steps=3),
    ]


# ---------------------------------------------------------------- push


def push(env, rng):
    landmarks = [[0.3, 0.3], [-0.6, 0.2]]
    corner = lambda kind, agents, policy, goal, steps=6, **more: play(
        env, kind, policy, init={"goal": goal, "agents": agents, "landmarks": landmarks, **more}, steps=steps, every_obs=3
    )
    return [
        *randoms(env, rng, range(3)),
        *(play(env, "chase-agent", chase("agent"), seed) for seed in (3, 4, 5)),
        play(env, "chase-landmark", chase("landmark"), 6),
        corner("golden", [[0.1, 0.1], [0.18, 0.12]], scripted([2, 2], [4, 0]), 0, 2),
        corner("overlap", [[0.01, 0], [0, 0.01]], scripted([0, 0]), 1),
        corner("head-on", [[-0.3, 0.004], [0.3, 0]], scripted([2, 1]), 1, 8, p_vel=[[1.5, 0], [-1.5, 0]]),
        corner("pushed-off-the-goal", [[0.42, 0.31], [0.3, 0.3]], scripted([1, 0]), 0, 8, p_vel=[[-0.9, 0], [0, 0]]),
        corner("soft-margin", [[0, 0], [0.102, 0]], scripted([0, 0]), 0, 4),
    ]


# ---------------------------------------------------------------- reference


def tell(say, rng):
    """Agents say the index of the landmark they know (or anything) and go to the landmark they last heard."""

    def choose(base, t):
        world = base.world
        actions = []
        for i, agent in enumerate(world.agents):
            said = world.agents[1 - i].state.c
            heard = int(np.argmax(said)) % 3 if said.any() else i
            move = towards(world.landmarks[heard].state.p_pos - agent.state.p_pos, base.continuous_actions)
            word = world.landmarks.index(agent.goal_b) if say == "truth" else int(rng.integers(10))
            actions.append(act(agent, world, move, word, base.continuous_actions))
        return actions

    return choose


def reference(env, rng):
    landmarks = [[0.5, 0.5], [-0.5, -0.5], [0.1, -0.8]]
    placed = {"goal": [2, 0], "agents": [[0.9, 0.9], [-0.3, 0.4]], "landmarks": landmarks}
    words = [(w % 5, w) for w in range(10)]
    return [
        *randoms(env, rng, range(3)),
        play(env, "tell-truth", tell("truth", rng), 3),
        play(env, "tell-anything", tell("anything", rng), 4),
        play(env, "golden", scripted([(1, 3), (4, 9)], [(3, 0), (2, 2)]), init=placed, steps=2),
        play(env, "every-word", scripted(*zip(words, words[::-1])), init={**placed, "goal": [1, 1]}, steps=10, every_obs=1),
        play(env, "on-the-goals", still(env), init={**placed, "agents": [landmarks[0], landmarks[2]]}, steps=2),
    ]


# ---------------------------------------------------------------- crypto


def decipher(rng):
    """Alice sends goal + key, Bob subtracts the key, Eve guesses."""

    def choose(base, t):
        world = base.world
        alice = world.agents[2]
        key = int(np.argmax(alice.key))
        sent = int(np.argmax(alice.state.c)) if alice.state.c.any() else 0
        words = [int(rng.integers(2)), (sent - key) % 2, (world.landmarks.index(alice.goal_a) + key) % 2]
        return [act(a, world, 0, w, base.continuous_actions) for a, w in zip(world.agents, words)]

    return choose


def crypto(env, rng):
    episodes = randoms(env, rng, range(3), every_obs=4)
    episodes += [play(env, "decipher", decipher(rng), seed) for seed in (3, 4)]
    for goal in (0, 1):
        for key in (0, 1):
            rows = [[(0, 0), (0, 1), (0, 3)], [(0, 1), (0, 2), (0, 0)], [(0, 3), (0, 0), (0, 2)]]
            episodes.append(play(env, "placed", scripted(*rows), init={"goal": goal, "key": key}, steps=3, every_obs=1))
    if env.unwrapped.continuous_actions:
        silence = constant([0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0])
        episodes.append(play(env, "silence", silence, 5, steps=3))
        episodes.append(play(env, "only-eve-speaks", constant([0.25, 0.5, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]), 6, steps=3))
        episodes.append(play(env, "only-bob-speaks", constant([0, 0, 0, 0], [-1, 2, 0.125, 0], [1, 1, 1, 1]), 7, steps=3))
    return episodes


# ---------------------------------------------------------------- world_comm


def world_comm(env, rng):
    golden = [[-0.6, 0.2], [0.22, 0.12], [0.7, 0.7], [0.35, 0.35], [-0.75, -0.7]]
    corner = lambda kind, agents, landmarks, policy, steps=4, **more: play(
        env, kind, policy, init={"agents": agents, "landmarks": landmarks, **more}, steps=steps, every_obs=2
    )
    apart = [[3, 3], [3, -3], [-3, 3], [-3, -3], [4, 0], [0, 4]]
    woods = [[6, 6], [5, 5], [-5, -5], [0, 0], [0.5, 0]]
    return [
        *randoms(env, rng, (0,)),
        play(env, "hunt", hunt(rng), 1),
        play(env, "hunt-to-food", hunt(rng, flee=False), 2),
        corner("golden", [[-0.5, 0], [0.1, 0.05], [0.95, -0.95], [0.4, 0.5], [0.2, 0.1], [-0.7, -0.6]], golden, scripted([(2, 2), 1, 0, 3, 2, 4]), 1),
        # In one forest, in the other, in both, in none: who sees whom.
        corner("forests", [[-0.2, 0], [0, 0.2], [0.25, 0], [0.7, 0], [0.26, 0.1], [-0.6, 0.6]], woods, scripted([(1, 1), 2, 3, 4, 0, 2])),
        corner("leader-outside", [[2, 2], [-0.1, 0.1], [0.8, 0.8], [-2, 0], [0.1, -0.1], [0.98, -1.05]], woods, scripted([(0, 3), 0, 0, 0, 1, 2])),
        corner("edges-of-forests", [[2, 2], [-0.3749, 0], [0.5, 0.3751], [-2, 0], [0, 0.3449], [0, -0.3451]], woods, still(env), 2),
        corner("nobody-hidden", apart, woods, still(env), 2),
        corner("eating", [*apart[:4], [0.01, 0], [0.05, 0.06]], [[6, 6], [0, 0], [0.04, 0.04], [5, 5], [-5, -5]], scripted([(0, 0), 1, 2, 3, 2, 0]), 3),
        corner("caught-outside", [[1.1, 1.1], [0.95, 1.2], [-1.2, -1.3], [2, 2], [1.05, 1.15], [-1.25, -1.35]], golden, scripted([(4, 1), 2, 3, 1, 4, 3]), 3),
        corner("into-the-obstacle", [[-0.9, 0.2], [-0.6, -0.1], *apart[:2], [-0.3, 0.22], [-0.6, 0.5]], golden, scripted([(2, 0), 4, 0, 0, 1, 3]), 5, p_vel=[[1, 0], [0, 1], [0, 0], [0, 0], [-1.3, 0], [0, -1]]),
    ]


def world_comm_few(env, rng):
    return [*randoms(env, rng, (0,), steps=16), play(env, "hunt", hunt(rng), 1, steps=16), play(env, "hunt-to-food", hunt(rng, flee=False), 2)]


def few(env, rng):
    return [*randoms(env, rng, (0, 1), every_obs=2), play(env, "chase-agent", chase("agent"), 2, every_obs=2)]


CONTINUOUS = {"continuous_actions": True}
SCENARIOS = {
    "simple": ("simple_v3", {}, simple),
    "simple-continuous": ("simple_v3", {**CONTINUOUS, "max_cycles": 9}, simple),
    "tag": ("simple_tag_v3", {}, tag),
    "tag-continuous": ("simple_tag_v3", {**CONTINUOUS, "max_cycles": 15}, tag_few),
    "tag-good3-adversaries2-obstacles1": ("simple_tag_v3", {"num_good": 3, "num_adversaries": 2, "num_obstacles": 1, "max_cycles": 12}, tag_few),
    "tag-success": ("simple_tag_v3", {"num_good": 2, "max_cycles": 4, "terminate_on_success": True}, tag_success),
    "tag-curriculum": ("simple_tag_v3", {"curriculum": True}, tag_curriculum),
    "tag-neighbors": ("simple_tag_v3", {"num_good": 2, "max_cycles": 10, "num_agent_neighbors": 2, "num_landmark_neighbors": 1}, few),
    "tag-neighbors-padded": ("simple_tag_v3", {"max_cycles": 6, "num_agent_neighbors": 5, "num_landmark_neighbors": 3}, few),
    "tag-agent-neighbors": ("simple_tag_v3", {"max_cycles": 6, "num_agent_neighbors": 1}, few),
    "tag-landmark-neighbors": ("simple_tag_v3", {"max_cycles": 6, "num_landmark_neighbors": 1}, few),
    "adversary": ("simple_adversary_v3", {}, adversary),
    "adversary-n3-continuous": ("simple_adversary_v3", {**CONTINUOUS, "N": 3, "max_cycles": 15}, adversary),
    "adversary-neighbors": ("simple_adversary_v3", {"N": 3, "max_cycles": 8, "num_agent_neighbors": 2, "num_landmark_neighbors": 1}, few),
    "adversary-neighbors-padded": ("simple_adversary_v3", {"N": 1, "max_cycles": 8, "num_agent_neighbors": 3, "num_landmark_neighbors": 2}, few),
    "push": ("simple_push_v3", {}, push),
    "push-continuous": ("simple_push_v3", {**CONTINUOUS, "max_cycles": 15}, push),
    "reference": ("simple_reference_v3", {}, reference),
    "reference-continuous": ("simple_reference_v3", {**CONTINUOUS, "local_ratio": 0.2, "max_cycles": 12}, reference),
    "crypto": ("simple_crypto_v3", {}, crypto),
    "crypto-continuous": ("simple_crypto_v3", {**CONTINUOUS, "max_cycles": 12}, crypto),
    "world-comm": ("simple_world_comm_v3", {}, world_comm),
    "world-comm-continuous": ("simple_world_comm_v3", {**CONTINUOUS, "max_cycles": 12}, world_comm_few),
    "world-comm-small": ("simple_world_comm_v3", {"num_good": 1, "num_adversaries": 1, "num_obstacles": 0, "num_food": 1, "num_forests": 0, "max_cycles": 20}, world_comm_few),
    "world-comm-good3": ("simple_world_comm_v3", {"num_good": 3, "num_adversaries": 2, "num_obstacles": 2, "num_food": 1, "num_forests": 3, "max_cycles": 12}, world_comm_few),
}
