"""The numbers that both sides of a comparison draw alike: the same, bit by bit, as bench/numbers.ts."""

import numpy as np

UNIT = np.sqrt(3.0)  # uniform numbers whose standard deviation is 1 lie between -UNIT and UNIT


def _mix(h):
    """The last step of MurmurHash3 (Appleby): 32 bits to 32 bits."""
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


class SharedNumbers:
    """Arrays in the order in which they are drawn: entry k of array n is a hash of k and n."""

    def __init__(self):
        self.drawn = 0

    def draw(self, *shape, scale=1.0):
        """Uniform in plus or minus scale, float32."""
        seed = np.uint32(self.drawn * 0x9E3779B9 & 0xFFFFFFFF)
        self.drawn += 1
        h = _mix(np.arange(np.prod(shape, dtype=int), dtype=np.uint32) + seed)
        return (((h + 0.5) / 2.0**31 - 1) * scale).astype(np.float32).reshape(shape)

    def integers(self, size, n):
        """From 0 to n - 1."""
        u = self.draw(size).astype(np.float64)
        return np.minimum(n - 1, np.floor((u + 1) / 2 * n)).astype(np.int64)

    def layers(self, *sizes):
        """[(weight [in, out], bias [out])] of a network, in plus or minus 1/sqrt(in)."""
        return [
            (self.draw(a, b, scale=1 / np.sqrt(a)), self.draw(b, scale=1 / np.sqrt(a)))
            for a, b in zip(sizes, sizes[1:])
        ]

    def gru(self, inputs, hidden):
        """weight [in, 3H], weight [H, 3H], bias [3H], bias [3H]; gates r, z, n."""
        weights = [self.draw(n, 3 * hidden, scale=1 / np.sqrt(n)) for n in (inputs, hidden)]
        return weights + [self.draw(3 * hidden, scale=1 / np.sqrt(hidden)) for _ in range(2)]
