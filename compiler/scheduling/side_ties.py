"""Column groups that have to lie on one side of the chip, or on different ones, lest a trip ask for too many byte streams.

Sides are chosen one group after the other. Two operands of a trip may so end on one side before anybody asks where its result
goes, and then there is no place left for it. Where that happens (`Placement`), sides follow from these ties instead: what the
trips of a program imply for pairs of groups, joined to components whose first choice decides all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product

import networkx as nx

from compiler.scheduling.stream_demand import StreamDemand
from compiler.scheduling.trip import Group
from isa.chip import Side

OTHER: dict[Side, Side] = {"w": "e", "e": "w"}
MOST_GROUPS = 12
"""Trips that touch more groups are left aside: they have chips with room for them, and pairs grow with the square."""


class SideTies:
    """Components of tied groups, with the side that each component has taken so far."""

    def __init__(self, demand: StreamDemand, sides: Mapping[Group, Side]) -> None:
        """`sides` are those that are given from the start."""
        self.component: dict[Group, tuple[int, bool]] = {}
        """Of each tied group its component, and whether it lies opposite to the component's first group."""
        self.side_of: dict[int, Side] = {}
        """Where a component's first group lies or would lie."""
        ties = _ties(demand, sides)
        for number, together in enumerate(nx.connected_components(ties)):
            first = next(iter(sorted(together)))
            self.component[first] = (number, False)
            for a, b in nx.bfs_edges(ties, first):
                self.component[b] = (number, self.component[a][1] != ties.edges[a, b]["opposite"])
        for group, side in sides.items():
            self.chosen(group, side)

    def chosen(self, group: Group, side: Side) -> None:
        """The group lies there; the first choice of a component stands."""
        if group in self.component:
            number, opposite = self.component[group]
            self.side_of.setdefault(number, OTHER[side] if opposite else side)

    def wanted(self, group: Group) -> Side | None:
        """The side that ties want for a group; None where they leave it open."""
        number, opposite = self.component.get(group, (-1, False))
        side = self.side_of.get(number)
        return OTHER[side] if side and opposite else side


def _ties(demand: StreamDemand, given: Mapping[Group, Side]) -> nx.Graph[Group]:
    """Pairs of which only equal sides, or only different ones, leave a trip streams enough; the first trip's word stands."""
    ties: nx.Graph[Group] = nx.Graph()
    for trip, widths in enumerate(demand.widths):
        if len(widths) > MOST_GROUPS:
            continue
        for a, b in combinations(widths, 2):
            sides: dict[Group, Side] = {group: given[group] for group in widths if group in given}
            fitting: set[bool] = set()
            for sides[a], sides[b] in product(OTHER, repeat=2):
                if demand.fits(trip, sides):
                    fitting.add(sides[a] != sides[b])
            if len(fitting) == 1 and not ties.has_edge(a, b):
                ties.add_edge(a, b, opposite=fitting.pop())
    return ties
