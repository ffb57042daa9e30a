"""What recorders share: compact JSON that reads back exactly."""

import json
import platform
from importlib.metadata import version

import numpy as np

ACTION_SEED = 12345


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


def versions(package):
    return {
        "package": package,
        "version": version(package),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
