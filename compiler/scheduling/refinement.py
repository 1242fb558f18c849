"""Places by what a schedule has shown, and a schedule for these places, a few times over; the best
stays, and is made once backwards and forwards again (`justification.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import networkx as nx

from compiler.scheduling.dependences import dependence_graph
from compiler.scheduling.flow_schedule import TripFault, find_starts, place_trips
from compiler.scheduling.justification import justified
from compiler.scheduling.list_scheduler import Scheduled
from compiler.scheduling.placed import PlacedTrip, Places
from compiler.scheduling.placement import NoRoomFault
from compiler.scheduling.rehearsal import Rehearsal
from compiler.scheduling.trip import Flow
from isa.chip import Chip

ENOUGH_PERCENT = 1
"""What is so near its bound is not worth the time of a round (our choice)."""


@dataclass(frozen=True, slots=True)
class _Solution:
    places: Places
    trips: list[PlacedTrip]
    graph: nx.DiGraph[int]
    starts: Sequence[Scheduled]

    @property
    def cycles(self) -> int:
        return max((found.start + trip.duration for trip, found in zip(self.trips, self.starts, strict=True)), default=0)


def refine(
    flow: Flow,
    places: Places,
    starts: Sequence[Scheduled],
    chip: Chip,
    rounds: int,
    place_again: Callable[[Rehearsal], Places],
    bound_of: Callable[[list[PlacedTrip]], int],
) -> tuple[Places, Sequence[Scheduled]]:
    """Places and a schedule for them that takes no more cycles than the given one; that one where it is within `ENOUGH_PERCENT`
    of what `bound_of` gives: the least that trips take at any places.

    Each round places the flow by the schedule of the round before. It ends early where that finds no place for something.
    """
    trips = place_trips(flow, places, chip)
    best = last = _Solution(places, trips, dependence_graph(trips, chip), starts)
    if 100 * best.cycles <= (100 + ENOUGH_PERCENT) * bound_of(trips):
        return places, starts
    for _ in range(rounds):
        rehearsal = Rehearsal(flow, last.places, last.trips, last.graph, last.starts, chip)
        try:
            places = place_again(rehearsal)
            trips = place_trips(flow, places, chip)
            graph = dependence_graph(trips, chip)
            last = _Solution(places, trips, graph, find_starts(trips, chip, graph=graph))
        except (NoRoomFault, TripFault):
            break
        best = min(best, last, key=lambda solution: solution.cycles)
    other = replace(best, starts=justified(best.trips, best.starts, best.graph, chip))
    best = min(best, other, key=lambda solution: solution.cycles)
    return best.places, best.starts
