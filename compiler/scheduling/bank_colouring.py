"""Start banks for weights: a colouring of the graph of loads that follow each other, with the banks as colours.

Two loads that follow each other read the same slices. The second waits where it wants banks that the first has only just
read. An edge carries how often that happens in a program; a node gets the start bank at which it and its neighbours wait
least, and of those the one that leaves fewest words empty. Loads that are made once, in the order of their words, simply
go on at the next bank; where weights are loaded again and again, the colours decide.
"""

from __future__ import annotations

from functools import cache
from typing import cast

import networkx as nx

from compiler.scheduling.trip import Flow, Group, Load, ReadBlock
from isa.chip import Rram, Side


def follows(flow: Flow) -> nx.DiGraph[Group]:
    """Edges (a, b, times): b is loaded from RRAM right after a, on the same side. Nodes know the `words` a slice gives."""
    graph: nx.DiGraph[Group] = nx.DiGraph()
    before: dict[Side | None, Group] = {}
    for trip in flow.trips:
        node = trip.nodes[0] if any(isinstance(n, Load) for n in trip.nodes) else None
        if not isinstance(node, ReadBlock) or flow.buffers[node.buffer].memory != "rram":
            continue
        buffer = flow.buffers[node.buffer]
        group = (node.buffer, buffer.segment_of(node.row), node.tile)
        graph.add_node(group, words=-(-node.count // node.rows_per_cycle))
        side = buffer.sides.get(group[1:])
        if side in before:
            edge = before[side], group
            times = graph.edges[edge]["times"] if graph.has_edge(*edge) else 0
            graph.add_edge(*edge, times=times + 1)
        before[side] = group
    return graph


class BankColouring:
    """Chooses start banks group by group. A group that loads never touch may start anywhere."""

    def __init__(self, graph: nx.DiGraph[Group], rram: Rram) -> None:
        self._graph, self._rram = graph, rram
        self._start: dict[Group, int] = {}

    def choose(self, group: Group, free: int) -> int:
        """The start bank of a group that goes behind the free word. It is kept in mind for its neighbours."""
        banks = self._rram.banks
        base = min(range(free, free + banks), key=lambda word: (self._waits(group, word % banks), word))
        self._start[group] = base % banks
        return base % banks

    def neighbours(self, group: Group) -> set[Group]:
        """Groups that are loaded right before or after this one."""
        if group not in self._graph:
            return set()
        return {*self._graph.predecessors(group), *self._graph.successors(group)} - {group}

    def _waits(self, group: Group, start: int) -> int:
        """Cycles that the loads around this one wait in all, as far as their start banks are known."""
        if group not in self._graph:
            return 0
        rram, total = self._rram, 0
        for a, b, times in [*self._edges_in(group), *self._edges_out(group)]:
            first = start if a == group else self._start.get(a)
            second = start if b == group else self._start.get(b)
            if first is not None and second is not None:
                words = self._words(a), self._words(b)
                total += times * wait_cycles(rram.banks, rram.busy_cycles, first, words[0], second, words[1])
        return total

    def _words(self, group: Group) -> int:
        return cast(int, self._graph.nodes[group]["words"])

    def _edges_in(self, group: Group) -> list[tuple[Group, Group, int]]:
        return [(a, group, cast(int, self._graph.edges[a, group]["times"])) for a in self._graph.predecessors(group)]

    def _edges_out(self, group: Group) -> list[tuple[Group, Group, int]]:
        """A loop on the group itself counts once, as an edge in."""
        after = [b for b in self._graph.successors(group) if b != group]
        return [(group, b, cast(int, self._graph.edges[group, b]["times"])) for b in after]


@cache
def wait_cycles(banks: int, busy_cycles: int, first: int, words: int, second: int, words_after: int) -> int:
    """Cycles that a load of `words_after` words from bank `second` on waits behind one of `words` words from `first` on.

    Word j of the first is read at cycle j · pace, so its bank is free `busy_cycles` later. Word m of the second would be read
    at (words + m) · pace; it wants the bank of the last j with first + j = second + m modulo the banks.
    """
    pace, worst = max(1.0, busy_cycles / banks), 0.0
    for m in range(min(banks, words_after)):
        j = words - 1 - (first + words - 1 - second - m) % banks
        if j >= 0:
            worst = max(worst, busy_cycles - (words + m - j) * pace)
    return int(-(-worst // 1))
