"""Phases: reads of a trip are in one half of their slices and writes in the other, so that trips pass each other."""

from __future__ import annotations

from collections import Counter

import pytest

from compiler.scheduling.phases import phases
from compiler.scheduling.placed import PlacedTrip, place_trip
from compiler.scheduling.placement import place
from compiler.scheduling.trip import Buffer, Flow, Read, Trip, Write
from isa.chip import load_chip

TINY = load_chip("tiny")


def copying(*walks: tuple[str, int, str, int, int]) -> Flow:
    """Trips that copy (from, first row, to, first row, rows)."""
    flow = Flow()
    for a, a_row, b, b_row, count in walks:
        for name in (a, b):
            flow.buffers.setdefault(name, Buffer(name, (24, 8), "f32", "temporary", "sram", 8))
        trip = Trip(f"{a} to {b}")
        value = trip.value("f32", count)
        trip.nodes = [Read(a, 0, a_row, 1, count, value), Write(b, 0, b_row, 1, value, count)]
        flow.trips.append(trip)
    return flow


def placed_trips(flow: Flow) -> list[PlacedTrip]:
    places = place(flow, TINY)
    return [place_trip(trip, flow.buffers, places, TINY) for trip in flow.trips]


def phases_of(trip: PlacedTrip) -> Counter[int]:
    """Steps by the phase of their bursts, writes as if they were reads a cycle later."""
    return Counter((s.fields["addr"] - s.offset + (s.mnemonic == "write")) % 2 for s in trip.steps)


def test_all_bursts_of_a_trip_have_one_phase() -> None:
    chain = copying(("a", 0, "b", 0, 16), ("b", 0, "c", 3, 16), ("c", 0, "d", 0, 16))
    assert [len(phases_of(trip)) for trip in placed_trips(chain)] == [1, 1, 1]


@pytest.mark.parametrize(("even", "odd"), [(20, 4), (4, 20)])
def test_of_walks_that_contradict_each_other_the_longer_one_counts(even: int, odd: int) -> None:
    flow = copying(("a", 0, "b", 0, even), ("a", 0, "b", 1, odd))
    a, b = phases(flow, TINY)["a", 0, 0], phases(flow, TINY)["b", 0, 0]
    turn = (TINY.timing["sram.read"].latency - TINY.timing["sram.write"].skew - 1) % 2
    assert (a ^ b ^ turn) == (odd > even)


def test_a_walk_in_runs_counts_run_by_run() -> None:
    """Two runs of two rows, an odd number of rows apart, have one phase each: neither wins, so the shorter walk decides."""
    flow = copying(("a", 0, "b", 1, 3))
    for begin in (2, 3):
        trip = Trip("in runs")
        value = trip.value("f32", 4)
        trip.nodes = [Read("a", 0, 0, 1, 4, value, run=2, run_step=begin), Write("b", 0, 0, 1, value, 4)]
        found = phases(Flow(flow.buffers, [*flow.trips, trip]), TINY)
        turn = (TINY.timing["sram.read"].latency - TINY.timing["sram.write"].skew - 1) % 2
        assert (found["a", 0, 0] ^ found["b", 0, 0] ^ turn) == (begin == 3)
