"""Schedules made backwards and forwards again: the mirror keeps every rule, and what comes of it is legal."""

from __future__ import annotations

from types import ModuleType

import pytest

from compiler.scheduling.dependences import dependence_graph
from compiler.scheduling.flow_schedule import find_starts, place_trips
from compiler.scheduling.justification import justified, mirrored, mirrored_graph
from compiler.scheduling.list_scheduler import Scheduled, schedule
from compiler.scheduling.placed import PlacedTrip
from compiler.scheduling.placement import place
from isa.chip import load_chip

TINY = load_chip("tiny")


def placed(random_flows: ModuleType, seed: int) -> list[PlacedTrip]:
    flow = random_flows.random_flow(TINY, seed, 12)
    return place_trips(flow, place(flow, TINY), TINY)


@pytest.mark.parametrize("seed", range(8))
def test_a_schedule_in_the_mirror_is_one_of_the_trips(seed: int, random_flows: ModuleType, schedule_oracle: ModuleType) -> None:
    trips = placed(random_flows, seed)
    durations = [trip.duration for trip in trips]
    graph = mirrored_graph(dependence_graph(trips, TINY), durations)
    found = schedule([mirrored(trip) for trip in trips], graph, TINY)
    end = max(late.start + duration for late, duration in zip(found, durations, strict=True))
    back = [
        Scheduled(end - late.start - duration, late.slots, [("e" if way == "w" else "w", first) for way, first in late.streams])
        for late, duration in zip(found, durations, strict=True)
    ]
    assert schedule_oracle.violations(trips, back, TINY) == []


@pytest.mark.parametrize("seed", range(8))
def test_justified_schedules_are_legal_and_the_same_every_time(
    seed: int, random_flows: ModuleType, schedule_oracle: ModuleType
) -> None:
    trips = placed(random_flows, seed)
    graph, starts = dependence_graph(trips, TINY), find_starts(trips, TINY)
    found = justified(trips, starts, graph, TINY)
    assert schedule_oracle.violations(trips, found, TINY) == []
    assert justified(trips, starts, graph, TINY) == found
