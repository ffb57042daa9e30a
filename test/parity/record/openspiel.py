"""Records whole games from OpenSpiel for the TypeScript poker games and matrix games.

    python openspiel.py [--out ../fixtures/openspiel]

Everything is enumerated: no seeds, the same bytes every time. The format is described in README.md.
"""

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

import pyspiel

GAMES = {
    "kuhn-2p": ("games/kuhn_poker_v0", {}, "kuhn_poker"),
    "kuhn-3p": ("games/kuhn_poker_v0", {"players": 3}, "kuhn_poker(players=3)"),
    "leduc": ("games/leduc_poker_v0", {}, "leduc_poker"),
    "leduc-isomorphic": (
        "games/leduc_poker_v0",
        {"suitIsomorphism": True},
        "leduc_poker(suit_isomorphism=True)",
    ),
}
# Every this many nodes, what all players see.
VIEW_STRIDE = {"kuhn-2p": 1, "kuhn-3p": 7, "leduc": 61, "leduc-isomorphic": 23}
POLICIES = 100
MATRICES = {
    "mp": "matrix_mp",
    "rps": "matrix_rps",
    "brps": "matrix_brps",
    "rpsw": "matrix_rpsw",
    "shapley": "matrix_shapleys_game",
    "pd": "matrix_pd",
    "sh": "matrix_sh",
    "coord": "matrix_coordination",
    "cd": "matrix_cd",
    "bos": "matrix_bos",
}


def number(x):
    return int(x) if float(x).is_integer() else float(x)


def digits(values):
    """A tensor as text: the numbers, separated by blanks only where one has two digits."""
    texts = [str(number(x)) for x in values]
    return "".join(texts) if all(len(t) == 1 for t in texts) else " ".join(texts)


def weights(index, actions, seed):
    """Policy number `seed`: any formula that another language computes in the same way."""
    raw = [1 + (7 * index + 13 * a + 29 * seed + 3 * index * seed) % 101 for a in actions]
    return [w / sum(raw) for w in raw]


class Recorder:
    def __init__(self, name):
        self.env, self.kwargs, self.game_name = GAMES[name]
        self.game = pyspiel.load_game(self.game_name)
        self.stride = VIEW_STRIDE[name]
        self.sets = {}
        self.nodes = {}
        self.chances = []
        self.histories = {}
        self.views = {}
        self.count = 0

    def visit(self, state, chance):
        moves = "".join(str(a) for a in state.history())
        players = range(self.game.num_players())
        if not state.is_chance_node():
            if self.count % self.stride == 0:
                self.views[moves] = [
                    [digits(state.information_state_tensor(p)), digits(state.observation_tensor(p))]
                    for p in players
                ]
            self.count += 1
        if state.is_terminal():
            if chance not in self.chances:
                self.chances.append(chance)
            self.histories[moves] = [self.chances.index(chance)] + [number(r) for r in state.returns()]
            return
        if state.is_chance_node():
            for outcome, p in state.chance_outcomes():
                self.visit(state.child(outcome), chance * p)
            return
        key = state.information_state_string()
        player = state.current_player()
        entry = {
            "player": player,
            "actions": state.legal_actions(),
            "tensor": digits(state.information_state_tensor()),
            "observation": digits(state.observation_tensor()),
        }
        assert self.sets.setdefault(key, entry) == entry, key
        self.nodes.setdefault(key, []).append(moves)
        for action in state.legal_actions():
            self.visit(state.child(action), chance)

    def policies(self):
        out = []
        for seed in range(POLICIES):
            table = {
                key: list(zip(s["actions"], weights(k, s["actions"], seed)))
                for k, (key, s) in enumerate(sorted(self.sets.items()))
            }
            policy = pyspiel.TabularPolicy(table)
            root = self.game.new_initial_state()
            values = pyspiel.expected_returns(root, policy, -1, True)
            out.append({"values": list(values), "nashConv": pyspiel.nash_conv(self.game, policy)})
        return out

    def record(self):
        self.visit(self.game.new_initial_state(), 1.0)
        return {
            "env": self.env,
            "kwargs": self.kwargs,
            "game": self.game_name,
            **versions(),
            "informationSets": {
                key: {**s, "nodes": " ".join(self.nodes[key])} for key, s in sorted(self.sets.items())
            },
            "chances": self.chances,
            "histories": self.histories,
            "views": self.views,
            "policies": self.policies(),
        }


def versions():
    return {"package": "open_spiel", "version": version("open_spiel"), "python": platform.python_version()}


def matrices():
    out = {"env": "games/matrix_v0", **versions(), "tables": {}}
    for name, game_name in MATRICES.items():
        game = pyspiel.load_matrix_game(game_name)
        rows, columns = game.num_rows(), game.num_cols()
        out["tables"][name] = [
            [[number(u(r, c)) for c in range(columns)] for r in range(rows)]
            for u in (game.row_utility, game.col_utility)
        ]
    return out


def write(path, fixture):
    """One line per entry of a long table, so that a changed recording gives a readable diff."""
    lines = []
    for key, value in fixture.items():
        if key in ("informationSets", "tables", "views"):
            entries = [f"{json.dumps(k)}:{compact(v)}" for k, v in value.items()]
            lines.append(f"{json.dumps(key)}:{{\n" + ",\n".join(entries) + "\n}")
        elif key == "policies":
            lines.append(f"{json.dumps(key)}:[\n" + ",\n".join(map(compact, value)) + "\n]")
        else:
            lines.append(f"{json.dumps(key)}:{compact(value)}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).resolve().parent
    parser.add_argument("--out", type=Path, default=here.parent / "fixtures" / "openspiel")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in GAMES:
        write(args.out / f"{name}.json", Recorder(name).record())
    write(args.out / "matrices.json", matrices())


if __name__ == "__main__":
    main()
