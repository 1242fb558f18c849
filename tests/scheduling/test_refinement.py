"""Placing again: never slower, legal, the same every time; what meets in a rehearsal lies apart afterwards."""

from __future__ import annotations

from types import ModuleType

import pytest

from compiler.scheduling.dependences import dependence_graph
from compiler.scheduling.flow_schedule import find_starts, place_trips
from compiler.scheduling.list_scheduler import Scheduled
from compiler.scheduling.placed import Place, PlacedTrip, Places
from compiler.scheduling.placement import place
from compiler.scheduling.refinement import refine
from compiler.scheduling.rehearsal import Rehearsal
from compiler.scheduling.trip import Buffer, Flow, Read, Trip, Write
from isa.chip import load_chip

TINY = load_chip("tiny")


def cycles(trips: list[PlacedTrip], starts: list[Scheduled]) -> int:
    return max(found.start + trip.duration for trip, found in zip(trips, starts, strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_placing_again_is_legal_and_never_slower(seed: int, random_flows: ModuleType, schedule_oracle: ModuleType) -> None:
    flow: Flow = random_flows.random_flow(TINY, seed, 12)
    places = place(flow, TINY)
    trips = place_trips(flow, places, TINY)
    starts = find_starts(trips, TINY)

    def again() -> tuple[Places, list[Scheduled]]:
        found, best = refine(
            flow, places, starts, TINY, 2, lambda rehearsal: place(flow, TINY, rehearsal=rehearsal), lambda _: 0
        )
        return found, list(best)

    found, best = again()
    placed = place_trips(flow, found, TINY)
    assert schedule_oracle.violations(placed, best, TINY) == []
    assert cycles(placed, best) <= cycles(trips, starts)
    assert again() == (found, best)


def test_what_reaches_its_bound_stays_as_it_is(random_flows: ModuleType) -> None:
    flow: Flow = random_flows.random_flow(TINY, 0, 12)
    places = place(flow, TINY)
    trips = place_trips(flow, places, TINY)
    starts = find_starts(trips, TINY)
    rounds: list[Rehearsal] = []

    def again(rehearsal: Rehearsal) -> Places:
        rounds.append(rehearsal)
        return places

    for bound, expected in ((cycles(trips, starts), 0), (cycles(trips, starts) // 2, 2)):
        rounds.clear()
        refine(flow, places, starts, TINY, 2, again, lambda _, bound=bound: bound)
        assert len(rounds) == expected


def test_groups_meet_where_they_could_have_run_at_once() -> None:
    """Trips that took turns at one slice would both have begun at once."""
    flow = Flow({name: Buffer(name, (48, 8), "i8", "temporary", "sram", 8) for name in "abcd"})
    for source, target in ("ab", "cd"):
        trip = Trip(f"{source} to {target}")
        value = trip.value("i8", 48)
        trip.nodes = [Read(source, 0, 0, 1, 48, value), Write(target, 0, 0, 1, value, 48)]
        flow.trips.append(trip)
    slices = {"a": "sram.w1", "b": "sram.e1", "c": "sram.w1", "d": "sram.e2"}
    places: Places = {name: {(0, 0, 0, 0): Place(unit, 0)} for name, unit in slices.items()}
    trips = place_trips(flow, places, TINY)
    graph = dependence_graph(trips, TINY)
    starts = find_starts(trips, TINY, graph=graph)
    assert max(found.start for found in starts) >= 48
    rehearsal = Rehearsal(flow, places, trips, graph, starts, TINY)
    rehearsal.add(("a", 0, 0), ["sram.w3"])
    met = dict(zip(rehearsal.numbers, rehearsal.overlaps(("c", 0, 0)).tolist(), strict=True))
    assert [unit for unit, amount in met.items() if amount] == ["sram.w3"]
    rehearsal.add(("a", 0, 0), ["sram.w3"], -1)
    assert not rehearsal.overlaps(("c", 0, 0)).any()
