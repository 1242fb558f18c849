"""A whole flow through offsets and the list scheduler, with faults that name the source place."""

from __future__ import annotations

import networkx as nx

from compiler.progress import stage
from compiler.scheduling.dependences import dependence_graph
from compiler.scheduling.list_scheduler import NoPlaceError, Scheduled, schedule
from compiler.scheduling.placed import PlacedTrip, Places, RigidityError, place_trip
from compiler.scheduling.trip import Flow, location_of
from isa.chip import Chip
from isa.errors import ModelFault


class TripFault(ModelFault):
    """A trip that cannot be made at these places, at any time."""


def place_trips(flow: Flow, places: Places, chip: Chip) -> list[PlacedTrip]:
    """Operations of all trips with their offsets. Raises TripFault for a trip whose meetings contradict each other."""
    placed: list[PlacedTrip] = []
    advance = stage("offsets", len(flow.trips))
    for trip in flow.trips:
        advance(1)
        try:
            placed.append(place_trip(trip, flow.buffers, places, chip))
        except RigidityError as error:
            reason = str(error).removeprefix(f"{trip.origin}: ")
            raise TripFault("data cannot flow like this on this chip", location_of(trip.origin), notes=(reason,)) from None
    return placed


def find_starts(
    trips: list[PlacedTrip], chip: Chip, program_order: bool = False, graph: nx.DiGraph[int] | None = None
) -> list[Scheduled]:
    """Start, slots and streams of all trips. `graph` are their dependences, where they are known already; with `program_order`
    the first in the program goes first among those ready, instead of the longest path.

    Raises TripFault for a trip that needs something twice at once.
    """
    try:
        priority = [-i for i in range(len(trips))] if program_order else None
        return schedule(trips, dependence_graph(trips, chip) if graph is None else graph, chip, priority)
    except NoPlaceError as error:
        culprit = _culprit(trips, chip, str(error))
        origin, notes = ("", ()) if culprit is None else (culprit.origin, (culprit.origin, _needs(culprit, chip)))
        raise TripFault(
            "this operation needs a unit, a bank or a stream twice at once on this chip",
            location_of(origin),
            notes=notes,
            hint="narrower types, a chip with more streams, or fewer operations in one trip: lower-to-flow{fuse-limit=1}",
        ) from None


def _needs(trip: PlacedTrip, chip: Chip) -> str:
    reads, writes = (sum(step.mnemonic == kind for step in trip.steps) for kind in ("read", "write"))
    slices = len(chip.slices("sram", "w"))
    return (
        f"its trip reads {reads} byte columns and writes {writes}; chip {chip.name} has {chip.streams} byte streams each way "
        f"and {slices} SRAM slices a side"
    )


def _culprit(trips: list[PlacedTrip], chip: Chip, message: str) -> PlacedTrip | None:
    """The first trip that finds no place on an empty chip either, of those with this origin if there are some."""
    for trip in sorted(trips, key=lambda trip: trip.origin != message):
        alone: nx.DiGraph[int] = nx.DiGraph()
        alone.add_node(0)
        try:
            schedule([trip], alone, chip)
        except NoPlaceError:
            return trip
    return None
