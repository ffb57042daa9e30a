"""Steps copies of one PettingZoo parallel environment for Phalanx; started by src/bridge/pettingzoo.ts.

Frames on stdin and stdout, little-endian: payload length (uint32), kind (uint32, one ASCII letter), payload.

    in   I  JSON {module, parameters, copies, state}     -> S  JSON {groups, stateSize, versions}
    in   R  uint32 copy, uint32 seed                     -> V  the block of that copy
    in   A  per group int32 or float32 [E, n, D]         -> V  the block of all copies
    out  E  JSON {stage, copy, message} instead of any of these

A block of E copies: rewards float64 [E, n] of every group; observations float32 [E, n, O] of every group; global state
float32 [E, S]; terminated and truncated uint8 [E]; alive uint8 [E, n] of every group; masks uint8 [E, n, A] of the
groups that have them. The process ends when stdin closes. Python 3.9 or later; needs only what PettingZoo needs.
"""

import importlib
import json
import math
import os
import queue
import signal
import struct
import sys
import threading
import time
import traceback

HEADER = struct.Struct("<II")


class Refused(Exception):
    """What this bridge cannot carry; the message is complete."""


class Pipes:
    """The frames. Whatever environments print goes to stderr, and nothing of theirs reads our stdin."""

    def __init__(self):
        self._in = os.fdopen(os.dup(0), "rb")
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        self._frames = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        """In a thread of its own, so that the end of stdin ends the process even in the middle of a step."""
        while True:
            header = self._in.read(HEADER.size)
            if len(header) < HEADER.size:
                break
            length, kind = HEADER.unpack(header)
            payload = self._in.read(length)
            if len(payload) < length:
                break
            self._frames.put((chr(kind), payload))
        self._frames.put(None)
        time.sleep(0.5)
        os._exit(0)

    def receive(self):
        return self._frames.get()

    def send(self, kind, payload):
        self._out.write(HEADER.pack(len(payload), ord(kind)))
        self._out.write(payload)
        self._out.flush()


# SPACES


def kind_of(space):
    """The class of a space that gymnasium and gym name alike; subclasses count."""
    names = [c.__name__ for c in type(space).__mro__]
    known = ("Discrete", "MultiDiscrete", "MultiBinary", "Box", "Dict", "Tuple")
    return next((name for name in names if name in known), names[0])


def bound(x):
    """A bound for JSON, which has no infinity."""
    x = float(x)
    return x if math.isfinite(x) else None


def masked_observation(space):
    """Whether the observation is the customary record of an observation and its action mask."""
    return kind_of(space) == "Dict" and set(space.spaces) == {"observation", "action_mask"}


def features_of(space, agent):
    """The parts of a flattened observation."""
    kind = kind_of(space)
    if kind == "Box":
        size = int(math.prod(space.shape))
        low, high = bound(space.low.min()), bound(space.high.max())
        if low is not None and low == high:
            low = high = None
        return [{"name": "observation", "size": size, "kind": "continuous", "low": low, "high": high}]
    sizes = {
        "Discrete": lambda: [int(space.n)],
        "MultiDiscrete": lambda: [int(n) for n in space.nvec.ravel()],
    }
    if kind == "MultiBinary":
        size = int(math.prod(space.shape))
        return [{"name": "observation", "size": size, "kind": "continuous", "low": 0, "high": 1}]
    if kind not in sizes:
        raise Refused(
            f'observations of "{agent}": got {space}, expected Box, Discrete, MultiDiscrete or MultiBinary'
            ' (or a Dict of "observation" and "action_mask"); flatten it, with supersuit.flatten_v0 for example'
        )
    parts = sizes[kind]()
    names = ["observation"] if len(parts) == 1 else [f"observation_{i}" for i in range(len(parts))]
    return [
        {"name": name, "size": n, "kind": "one-hot", "low": 0, "high": 1} for name, n in zip(names, parts)
    ]


def flattener(space, np):
    """A function that writes an observation of this space into a float32 row."""
    kind = kind_of(space)
    if kind in ("Box", "MultiBinary"):

        def write(value, row):
            row[:] = np.asarray(value).reshape(-1)

        return write
    sizes = np.atleast_1d(space.n if kind == "Discrete" else space.nvec.ravel())
    start = np.atleast_1d(np.asarray(getattr(space, "start", 0))).reshape(-1)
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def write_one_hot(value, row):
        row[:] = 0
        row[offsets + np.asarray(value).reshape(-1) - start] = 1

    return write_one_hot


def action_of(space, agent):
    """The action space as Phalanx declares it."""
    kind = kind_of(space)
    if kind == "Discrete":
        return {"kind": "discrete", "n": int(space.n)}
    if kind == "MultiDiscrete":
        return {"kind": "multi-discrete", "sizes": [int(n) for n in space.nvec.ravel()]}
    if kind == "Box" and space.dtype.kind == "f":
        return {
            "kind": "box",
            "low": [bound(x) for x in space.low.ravel()],
            "high": [bound(x) for x in space.high.ravel()],
        }
    raise Refused(
        f'actions of "{agent}": got {space}, expected Discrete, MultiDiscrete or a Box of floating-point numbers'
    )


def action_decoder(space, np):
    """A function from a row of numbers to an action of this space."""
    kind = kind_of(space)
    if kind == "Discrete":
        start = int(getattr(space, "start", 0))
        return lambda row: int(row[0]) + start
    if kind == "MultiDiscrete":
        start = np.asarray(getattr(space, "start", 0))
        return lambda row: (row.reshape(space.shape) + start).astype(space.dtype)
    # As float32 on both sides; the bounds are clipped to again because float64 spaces may have others between.
    return lambda row: np.clip(row.reshape(space.shape).astype(space.dtype), space.low, space.high)


# ENVIRONMENTS


def make(module, parameters):
    """One environment: `module` or `module:function`."""
    path, _, name = module.partition(":")
    try:
        loaded = importlib.import_module(path)
    except Exception as error:
        raise Stage("import", error) from error
    factory = getattr(loaded, name or "parallel_env", None)
    if factory is None:
        raise Refused(
            f'"{path}" has no function "{name}"'
            if name
            else f'"{path}" has no parallel_env; only parallel environments can be run, turn-based ones not'
        )
    try:
        env = factory(**parameters)
    except Exception as error:
        raise Stage("create", error) from error
    missing = [
        a for a in ("possible_agents", "reset", "step", "observation_space", "action_space") if not hasattr(env, a)
    ]
    if missing or hasattr(env, "agent_selection"):
        what = "a turn-based environment" if hasattr(env, "agent_selection") else f"an object without {missing[0]}"
        raise Refused(f'"{module}" makes {what}, expected a PettingZoo parallel environment')
    return env


class Stage(Exception):
    """An exception of the environment, and where it was raised."""

    def __init__(self, stage, error, copy=0):
        super().__init__(str(error))
        self.stage = stage
        self.copy = copy
        self.error = error


def stem(name):
    """ "agent" of "agent_0"; the name itself where no number follows."""
    head, _, tail = name.rpartition("_")
    return head if head and tail.isdigit() else name


class Group:
    """Agents with equal spaces, and how their numbers are read and written."""

    def __init__(self, env, agents, has_mask, np):
        agent = agents[0]
        space = env.observation_space(agent)
        self.agents = agents
        self.wrapped = masked_observation(space)
        if self.wrapped:
            space = space.spaces["observation"]
        self.has_mask = has_mask
        self.features = features_of(space, agent)
        self.width = sum(f["size"] for f in self.features)
        self.write = flattener(space, np)
        action_space = env.action_space(agent)
        self.action = action_of(action_space, agent)
        self.decode = action_decoder(action_space, np)
        kind = self.action["kind"]
        sizes = self.action["sizes"] if kind == "multi-discrete" else [self.action.get("n", 0)]
        self.mask_sizes = sizes if has_mask else []
        self.mask_width = sum(self.mask_sizes)
        self.dimensions = {"discrete": 1, "multi-discrete": len(sizes)}.get(kind) or len(self.action["low"])
        self.dtype = np.float32 if kind == "box" else np.int32
        # What the dead show: action 0 alone.
        self.only_first = np.zeros(self.mask_width, np.uint8)
        self.only_first[[sum(self.mask_sizes[:i]) for i in range(len(self.mask_sizes))]] = 1

    def mask(self, agent, observation, info, np):
        """The mask of a living agent; everything is allowed where the environment gives none."""
        given = observation.get("action_mask") if self.wrapped else info.get("action_mask")
        if given is None:
            return np.ones(self.mask_width, np.uint8)
        mask = (np.asarray(given).reshape(-1) != 0).astype(np.uint8)
        if mask.size != self.mask_width:
            raise Refused(f'action_mask of "{agent}": got {mask.size} entries, expected {self.mask_width}')
        start = 0
        for size in self.mask_sizes:
            if not mask[start : start + size].any():
                raise Refused(f'action_mask of "{agent}": allows nothing, expected at least one action')
            start += size
        return mask


def groups_of(env, observations, infos, np):
    """Agents by equal spaces, in the order in which they first occur."""
    members = {}
    for agent in env.possible_agents:
        space = env.observation_space(agent)
        has_mask = masked_observation(space) or "action_mask" in infos.get(agent, {})
        if has_mask and kind_of(env.action_space(agent)) == "Box":
            raise Refused(f'action_mask of "{agent}": its actions are a Box, expected none')
        key = (repr(space), repr(env.action_space(agent)), has_mask)
        members.setdefault(key, []).append(agent)
    return [Group(env, agents, has_mask, np) for (_, _, has_mask), agents in members.items()]


def names_of(groups):
    """The agents' common stem where it is one group's alone, else the first agent's name."""
    stems = [stem(group.agents[0]) for group in groups]
    return [s if stems.count(s) == 1 else group.agents[0] for s, group in zip(stems, groups)]


def versions_of(module):
    """Versions that results depend on."""
    from importlib import metadata

    top = module.partition(":")[0].partition(".")[0]
    providers = getattr(metadata, "packages_distributions", dict)().get(top, [top])
    found = {"python": ".".join(str(n) for n in sys.version_info[:3])}
    for name in sorted({*providers, "numpy", "pettingzoo", "gymnasium"}):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


class Copies:
    """E environments and the block that shows them."""

    def __init__(self, module, parameters, copies, state):
        first = make(module, parameters)
        try:
            import numpy as np
        except ImportError as error:
            raise Stage("import", error) from error
        self.np = np
        self.module = module
        self.envs = [first] + [make(module, parameters) for _ in range(copies - 1)]
        observations, infos = self._reset(0, 0)
        self.groups = groups_of(first, observations, infos, np)
        self.state_size = self._probe_state(first) if state else 0
        self.blocks = {n: self._block(n) for n in {1, copies}}

    def _reset(self, e, seed):
        try:
            result = self.envs[e].reset(seed=seed)
        except Exception as error:
            raise Stage("reset", error, e) from error
        if not isinstance(result, tuple) or len(result) != 2:
            raise Refused(f'reset() of "{self.module}" gives {type(result).__name__}, expected (observations, infos)')
        return result

    def _probe_state(self, env):
        try:
            return int(self.np.asarray(env.state()).size)
        except Exception:
            # Not implemented, or hidden by an attribute of that name: there is none.
            return 0

    def spec(self):
        return {
            "groups": [
                {
                    "name": name,
                    "agents": group.agents,
                    "features": group.features,
                    "action": group.action,
                    "hasActionMask": group.has_mask,
                }
                for name, group in zip(names_of(self.groups), self.groups)
            ],
            "stateSize": self.state_size,
            "versions": versions_of(self.module),
        }

    def _block(self, copies):
        """One buffer and the arrays in it, in the order of the frame."""
        np = self.np
        counts = [len(group.agents) for group in self.groups]
        rows = list(zip(self.groups, counts))
        layout = [(np.float64, (copies, n)) for n in counts]
        layout += [(np.float32, (copies, n, group.width)) for group, n in rows]
        layout += [(np.float32, (copies, self.state_size)), (np.uint8, (copies,)), (np.uint8, (copies,))]
        layout += [(np.uint8, (copies, n)) for n in counts]
        layout += [(np.uint8, (copies, n, group.mask_width)) for group, n in rows]
        buffer = bytearray(sum(np.dtype(t).itemsize * math.prod(shape) for t, shape in layout))
        arrays, offset = [], 0
        for dtype, shape in layout:
            array = np.frombuffer(buffer, dtype, math.prod(shape), offset).reshape(shape)
            offset += array.nbytes
            arrays.append(array)
        g = len(counts)
        return {
            "buffer": buffer,
            "reward": arrays[:g],
            "obs": arrays[g : 2 * g],
            "state": arrays[2 * g],
            "terminated": arrays[2 * g + 1],
            "truncated": arrays[2 * g + 2],
            "alive": arrays[2 * g + 3 : 3 * g + 3],
            "mask": arrays[3 * g + 3 :],
        }

    def reset(self, e, seed):
        observations, infos = self._reset(e, seed)
        block = self.blocks[1]
        self._show(block, 0, e, observations, infos, {}, False)
        block["terminated"][0] = block["truncated"][0] = 0
        return block["buffer"]

    def step(self, payload):
        np = self.np
        block = self.blocks[len(self.envs)]
        actions, offset = [], 0
        for group in self.groups:
            count = len(self.envs) * len(group.agents) * group.dimensions
            flat = np.frombuffer(payload, group.dtype, count, offset)
            actions.append(flat.reshape(len(self.envs), len(group.agents), group.dimensions))
            offset += flat.nbytes
        for e, env in enumerate(self.envs):
            living = set(env.agents)
            chosen = {
                agent: group.decode(rows[e, i])
                for group, rows in zip(self.groups, actions)
                for i, agent in enumerate(group.agents)
                if agent in living
            }
            try:
                observations, rewards, terminations, truncations, infos = env.step(chosen)
            except Exception as error:
                raise Stage("step", error, e) from error
            ended = [a for a in living if terminations.get(a, False) or truncations.get(a, False)]
            over = len(ended) == len(living) or not env.agents
            # A limit cut the copy if it cut anybody who was still playing; else the task ended.
            cut = over and any(truncations.get(a, False) and not terminations.get(a, False) for a in ended)
            block["terminated"][e] = over and not cut
            block["truncated"][e] = cut
            self._show(block, e, e, observations, infos, rewards, over)
        return block["buffer"]

    def _show(self, block, row, e, observations, infos, rewards, over):
        """Write copy e into a block: the living, and at the end everybody who saw the last step."""
        np = self.np
        env = self.envs[e]
        living = set(env.agents)
        for g, group in enumerate(self.groups):
            for i, agent in enumerate(group.agents):
                block["reward"][g][row, i] = rewards.get(agent, 0)
                alive = agent in living
                block["alive"][g][row, i] = alive
                seen = observations.get(agent) if alive or over else None
                target = block["obs"][g][row, i]
                if seen is None:
                    target[:] = 0
                else:
                    group.write(seen["observation"] if group.wrapped else seen, target)
                if group.has_mask:
                    block["mask"][g][row, i] = (
                        group.mask(agent, seen, infos.get(agent, {}), np)
                        if alive and seen is not None and not over
                        else group.only_first
                    )
        if self.state_size > 0:
            try:
                block["state"][row] = np.asarray(env.state()).reshape(-1)
            except Exception as error:
                raise Stage("state", error, e) from error

    def close(self):
        for env in self.envs:
            try:
                env.close()
            except Exception:
                pass


def last_line(error):
    """What a traceback ends with, and where in the environment it was raised."""
    text = traceback.format_exception_only(type(error), error)[-1].strip()
    # Python's own import machinery is no place to look at.
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    ours = (os.path.abspath(__file__), importlib.__file__)
    if not frames or os.path.abspath(frames[-1].filename) in ours:
        return text
    return f"{text} ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})"


def answer(copies, kind, payload):
    """The copies as they are then, and the answer to one frame."""
    if kind == "I":
        copies = Copies(**json.loads(payload))
        return copies, "S", json.dumps(copies.spec()).encode()
    if kind == "R":
        return copies, "V", copies.reset(*struct.unpack("<II", payload))
    return copies, "V", copies.step(payload)


def main():
    # Ctrl-C in a terminal reaches us too; when to end is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipes = Pipes()
    sys.path.insert(0, os.getcwd())
    copies = None
    while True:
        frame = pipes.receive()
        if frame is None:
            break
        try:
            copies, kind, payload = answer(copies, *frame)
        except Refused as refused:
            kind, payload = "E", json.dumps({"stage": "refused", "copy": 0, "message": str(refused)}).encode()
        except Stage as stage:
            message = {"stage": stage.stage, "copy": stage.copy, "message": last_line(stage.error)}
            kind, payload = "E", json.dumps(message).encode()
        except Exception as error:
            kind, payload = "E", json.dumps({"stage": "bridge", "copy": 0, "message": last_line(error)}).encode()
        pipes.send(kind, payload)
    if copies is not None:
        copies.close()
    os._exit(0)


if __name__ == "__main__":
    main()
