"""A schedule made backwards from the end of another, and forwards again in that order ("double justification": Valls,
Ballestín and Quintanilla, EJOR 165, 2005).

Backwards, every trip is as late as it can be, the one that ended last chosen first; so what others need early comes early when
the trips are scheduled forwards in the order that this gives. Backwards is forwards in a mirror: time runs the other way, and a
value that ran east runs west.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import networkx as nx

from compiler.scheduling.list_scheduler import Scheduled, schedule
from compiler.scheduling.placed import PlacedTrip, Step, Wire
from isa.chip import Chip
from isa.program import Direction

_MIRRORED: dict[Direction, Direction] = {"e": "w", "w": "e"}


def justified(trips: list[PlacedTrip], starts: Sequence[Scheduled], graph: nx.DiGraph[int], chip: Chip) -> list[Scheduled]:
    """Another schedule of the trips, often a shorter one. `graph` has their dependences, as for `schedule`."""
    durations = [trip.duration for trip in trips]
    ends = [found.start + duration for found, duration in zip(starts, durations, strict=True)]
    late = schedule([mirrored(trip) for trip in trips], mirrored_graph(graph, durations), chip, ends)
    # A late end in the mirror is an early start.
    return schedule(trips, graph, chip, [found.start + duration for found, duration in zip(late, durations, strict=True)])


def mirrored(trip: PlacedTrip) -> PlacedTrip:
    """The trip in the mirror, where cycle c of it is cycle duration - c."""
    duration = trip.duration
    steps = [_mirrored_step(step, duration) for step in trip.steps]
    return replace(trip, steps=steps, wires=[_mirrored_wire(wire, duration) for wire in trip.wires])


def _mirrored_step(step: Step, duration: int) -> Step:
    fields, walk = dict(step.fields), step.fields.get("step", 0)
    if walk:
        fields |= {"addr": fields["addr"] + (step.rep - 1) * walk, "step": -walk}
    return replace(step, offset=duration - step.offset - (step.rep - 1) * step.every, fields=fields)


def _mirrored_wire(wire: Wire, duration: int) -> Wire:
    """Eastward t - x is constant along a value's way, in the mirror duration - t + x: that of a value that runs west."""
    last = wire.diagonal + (wire.count - 1) * wire.every
    if wire.direction is None:
        # At one position; its diagonal is that of the eastward way.
        return replace(wire, diagonal=duration - last - 2 * wire.low)
    return replace(wire, direction=_MIRRORED[wire.direction], diagonal=duration - last)


def mirrored_graph(graph: nx.DiGraph[int], durations: Sequence[int]) -> nx.DiGraph[int]:
    """Dependences the other way round: who starts late after another ends early before it."""
    found: nx.DiGraph[int] = nx.DiGraph()
    found.add_nodes_from(range(len(durations)))
    for a, b, data in graph.edges(data=True):
        found.add_edge(b, a, distance=cast(int, data["distance"]) + durations[b] - durations[a])
    return found
