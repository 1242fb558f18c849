"""Random numbers as a function of what they are for: no state, so the order in which they are asked for does not matter.

A draw is `uniform(seed, PURPOSE, key, key, …)`, each key a whole number or an array of them: a hash of the keys, by the
finaliser of SplitMix64 after every key (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

STUCK: Final = 1
"""Cells that hold one value for ever."""
DRIFT: Final = 2
"""How much stress each cell bears before it errs; new with every write."""
WRITE: Final = 3
"""Cells that do not take their value in one write cycle."""
LIMIT: Final = 4
"""Write cycles that a row survives."""
NOISE: Final = 5
"""Cells that one read gets wrong."""
PLANT: Final = 6
"""Faults that somebody plants."""

Keys = NDArray[np.integer] | int

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_UNIT = 2.0**-53


def hashed(seed: int, purpose: int, *keys: Keys) -> NDArray[np.uint64]:
    """64 random bits for every combination of keys (arrays broadcast)."""
    state = np.array([seed & 0xFFFF_FFFF_FFFF_FFFF], np.uint64)
    for key in (purpose, *keys):
        word = np.asarray(key).astype(np.uint64)
        state = _finalised(state + _GOLDEN ^ word)
    return state


def uniform(seed: int, purpose: int, *keys: Keys) -> NDArray[np.float64]:
    """Numbers in the open interval (0, 1)."""
    return ((hashed(seed, purpose, *keys) >> np.uint64(11)).astype(np.float64) + 0.5) * _UNIT


def _finalised(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ z >> np.uint64(30)) * _FIRST
    z = (z ^ z >> np.uint64(27)) * _SECOND
    return z ^ z >> np.uint64(31)


def weak_cells(
    seed: int, purpose: int, keys: tuple[Keys, ...], rate: NDArray[np.float64] | float, cells: int, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which cells err where each of the `cells` cells of row i < `rows` does so with probability `rate[i]` (or `rate`):
    (row, cell) pairs, each once, by row. A key is a number, or an array with an entry a row.

    Every cell has a threshold, uniform in (0, 1) and fixed by the keys, and errs where the rate is above it: a higher rate
    keeps all errors of a lower one. Thresholds are drawn from the lowest upward (order statistics: the lowest of m uniform
    numbers above t is 1 - (1 - t)·U^(1/m)), so a row costs one draw more than it has errors.
    """
    right = np.log1p(-np.asarray(rate, np.float64))
    first = uniform(seed, purpose, *keys, 0)
    row = np.flatnonzero(np.broadcast_to(first, rows) > np.exp(cells * right))
    survived = np.log(np.broadcast_to(first, rows)[row]) / cells
    earlier = np.zeros((len(row), 0), np.int64)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for k in range(cells):
        if not len(row):
            break
        mine = tuple(key if isinstance(key, int) else key[row] for key in keys)
        cell = (hashed(seed, purpose, *mine, 2 * k + 1) % np.uint64(cells - k)).astype(np.int64)
        for column in range(k):  # of the cells that are left
            cell += cell >= earlier[:, column]
        earlier = np.sort(np.concatenate([earlier, cell[:, None]], axis=1), axis=1)
        found.append((row, cell))
        if k + 1 < cells:
            survived = survived + np.log(uniform(seed, purpose, *mine, 2 * k + 2)) / (cells - k - 1)
            more = np.flatnonzero(survived > (right[row] if right.ndim else right))
            row, survived, earlier = row[more], survived[more], earlier[more]
    where = np.concatenate([r for r, _ in found]) if found else np.zeros(0, np.int64)
    which = np.concatenate([c for _, c in found]) if found else np.zeros(0, np.int64)
    order = np.argsort(where, kind="stable")
    return where[order], which[order]
