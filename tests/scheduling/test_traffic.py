"""What placement knows of the use of slices before anything runs."""

from __future__ import annotations

from compiler.scheduling.operations import Operations
from compiler.scheduling.traffic import Traffic
from compiler.scheduling.trip import Buffer, Flow, Read, Trip
from isa.chip import load_chip


def test_a_row_that_is_read_again_and_again_is_a_long_walk() -> None:
    trip = Trip("a")
    trip.nodes += [
        Read("one", 0, 5, 0, 100, trip.value("i8", 100)),
        Read("all", 0, 0, 1, 12, trip.value("i8", 12)),
        Read("all", 0, 0, 1, 8, trip.value("i8", 8)),
    ]
    buffers = {name: Buffer(name, (12, 16), "i8", "temporary", "sram", 16) for name in ("one", "all")}
    flow, chip = Flow(buffers, [trip]), load_chip("tiny")
    walks = Traffic(flow, chip, Operations(flow)).longest_walk
    assert walks == {("one", 0, 0): 100, ("all", 0, 0): 12}
