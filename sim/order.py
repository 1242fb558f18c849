"""An order in which whole pieces can be executed one after the other; where there is none, finer pieces.

Every dependence goes forward in time, element by element. So pieces that depend on each other in a ring are cut at a few
moments of their common time: what lies before a moment cannot depend on what lies after it. Rings get shorter until none
is left.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from sim.pieces import Facts, Indices, Pieces

PARTS = 8
"""Parts that the common time of a ring is cut into at once."""

Pairs = NDArray[np.int64]


def executable_order(pieces: Pieces, facts: Facts, pairs_of: Callable[[Pieces], Pairs]) -> tuple[Pieces, list[int]] | None:
    """(pieces, order of execution), the given pieces cut where needed; None where even single elements form a ring.

    `pairs_of` gives the dependences between pieces, (before, after).
    """
    while True:
        pairs = pairs_of(pieces)
        order, left = _sort(pieces, facts, pairs)
        if not left:
            return pieces, order
        finer = _cut_rings(pieces, facts, pairs, left)
        if finer is None:
            return None
        pieces = finer


def _sort(pieces: Pieces, facts: Facts, pairs: Pairs) -> tuple[list[int], set[int]]:
    """Topological order, earliest cycle first; and the pieces in or behind rings."""
    count = len(pieces)
    by_before = pairs[np.argsort(pairs[:, 0], kind="stable")]
    after: list[int] = by_before[:, 1].tolist()
    start: list[int] = np.searchsorted(by_before[:, 0], np.arange(count + 1)).tolist()
    waits: list[int] = np.bincount(pairs[:, 1], minlength=count).tolist()
    begin = (facts.cycle + facts.skew)[pieces.operation] + pieces.first * facts.every[pieces.operation]
    cycles: list[int] = begin.tolist()
    ready = [(cycles[p], p) for p in range(count) if not waits[p]]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        _, piece = heapq.heappop(ready)
        order.append(piece)
        for following in after[start[piece] : start[piece + 1]]:
            waits[following] -= 1
            if not waits[following]:
                heapq.heappush(ready, (cycles[following], following))
    return order, set(range(count)).difference(order)


def _cut_rings(pieces: Pieces, facts: Facts, pairs: Pairs, left: set[int]) -> Pieces | None:
    """The pieces with every ring cut in time; None if no piece of any ring can be cut."""
    inside = np.isin(pairs, np.array(sorted(left), np.int64)).all(axis=1)
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_edges_from(map(tuple, pairs[inside].tolist()))
    where: list[int] = []
    elements: list[int] = []
    for ring in nx.strongly_connected_components(graph):
        if len(ring) > 1 or graph.has_edge(*ring, *ring):
            for piece, element in _ring_cuts(pieces, facts, np.array(sorted(ring), np.int64)):
                where.append(piece)
                elements.append(element)
    if not where:
        return None
    order = np.lexsort((elements, where))
    return pieces.cut(np.array(where, np.int64)[order], np.array(elements, np.int64)[order])


def _ring_cuts(pieces: Pieces, facts: Facts, ring: Indices) -> list[tuple[int, int]]:
    """(piece, element to cut before) for the pieces of one ring."""
    operation = pieces.operation[ring]
    group, every = facts.group[operation], facts.every[operation]
    parts = pieces.count[ring] // group
    # A group of elements happens when its last one does.
    first = facts.cycle[operation] + facts.skew[operation] + (pieces.first[ring] + group - 1) * every
    stride = every * group
    low, high = int(first.min()), int((first + (parts - 1) * stride).max())
    moments = np.unique(np.linspace(low, high + 1, PARTS + 1).astype(np.int64))[1:-1]
    part = -(-(moments[None, :] - first[:, None]) // stride[:, None])
    row, column = np.nonzero((part > 0) & (part < parts[:, None]))
    if not len(row):
        # No moment falls between two elements of a piece: part the longest into single ones.
        row = np.flatnonzero(parts == parts.max())
        row = row[parts[row] > 1]
        cuts = [(int(r), i) for r in row for i in range(1, int(parts[r]))]
    else:
        cuts = [(int(r), int(part[r, c])) for r, c in zip(row, column, strict=True)]
    return [(int(ring[r]), int(pieces.first[ring[r]] + p * group[r])) for r, p in sorted(set(cuts))]
