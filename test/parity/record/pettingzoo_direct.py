"""Plays a PettingZoo parallel environment without the bridge: JSON on stdin and stdout, for test/parity/pettingzoo.mjs.

in: {module, parameters, episodes: [{seed, actions: [{agent: action}, ...]}]}
out: per episode and step {obs, rewards, terminations, truncations} by agent; step 0 is the reset, with obs alone.
Observations are rounded to float32 and discrete ones written as one-hot vectors, as the bridge does.
"""

import importlib
import json
import os
import sys

import numpy as np

out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def numbers(env, observations):
    def flat(agent, observation):
        space = env.observation_space(agent)
        if type(space).__name__ == "Discrete":
            return np.eye(space.n)[observation - space.start].tolist()
        return np.asarray(observation).astype(np.float32).ravel().tolist()

    return {agent: flat(agent, o) for agent, o in observations.items()}


def main():
    job = json.load(sys.stdin)
    env = importlib.import_module(job["module"]).parallel_env(**job["parameters"])
    episodes = []
    for episode in job["episodes"]:
        observations, _ = env.reset(seed=episode["seed"])
        steps = [{"obs": numbers(env, observations)}]
        for actions in episode["actions"]:
            chosen = {
                agent: action if isinstance(action, int) else np.array(action, np.float32)
                for agent, action in actions.items()
                if agent in env.agents
            }
            observations, rewards, terminations, truncations, _ = env.step(chosen)
            steps.append(
                {
                    "obs": numbers(env, observations),
                    "rewards": {a: float(r) for a, r in rewards.items()},
                    "terminations": {a: bool(t) for a, t in terminations.items()},
                    "truncations": {a: bool(t) for a, t in truncations.items()},
                }
            )
            if not env.agents:
                break
        episodes.append(steps)
    json.dump(episodes, out)
    out.flush()


main()
