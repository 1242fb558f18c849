"""Constants of epilogues share slices; maps with which lane units make weights keep off these."""

from __future__ import annotations

from compiler.scheduling.constant_slices import maps_of_lane_units, slices_of_constants
from compiler.scheduling.placement import place
from compiler.scheduling.trip import Buffer, Compute, Flow, Read, Trip, Write
from isa.chip import load_chip
from isa.spec import ElementType

TSP = load_chip("tsp")
ROWS = 64


def program() -> Flow:
    """Rows past a lane unit with one map into stripes, which loads read; past the vector unit with a constant and then a lane
    unit with another map."""
    kinds: dict[str, ElementType] = {"x": "i32", "y": "i32", "z": "i32", "bias": "i32", "map": "i32", "late": "i32"}
    flow = Flow({
        name: Buffer(name, (ROWS, 320), kind, "constant" if name in ("bias", "map", "late") else "temporary", "sram", 320,
                     4 if name == "y" else 1)
        for name, kind in kinds.items()
    })  # fmt: skip
    alone, both = Trip("transposes"), Trip("an epilogue")
    read, moves, moved = (alone.value("i32", ROWS) for _ in range(3))
    alone.nodes = [
        Read("x", 0, 0, 1, ROWS, read),
        Read("map", 0, 0, 1, ROWS, moves),
        Compute("sxm.w", "permute", (read, moves), {}, ROWS, 1, moved),
        Write("y", 0, 0, 4, moved, ROWS // 4),
    ]
    read, bias, total, moves, moved = (both.value("i32", ROWS) for _ in range(5))
    both.nodes = [
        Read("y", 0, 0, 1, ROWS, read),
        Read("bias", 0, 0, 0, ROWS, bias),
        Read("late", 0, 0, 1, ROWS, moves),
        Compute("vxm", "iadd", (read, bias), {}, ROWS, 1, total),
        Compute("sxm.w", "permute", (total, moves), {}, ROWS, 1, moved),
        Write("z", 0, 0, 1, moved, ROWS),
    ]
    flow.trips = [alone, both]
    return flow


def test_only_maps_that_no_epilogue_reads_lie_apart() -> None:
    flow = program()
    assert maps_of_lane_units(flow) == {("map", 0, 0)}
    shared, places = slices_of_constants(flow, TSP), place(flow, TSP)
    inside = {name: {place.unit in shared for place in places[name].values()} for name in ("bias", "late", "map")}
    assert inside == {"bias": {True}, "late": {True}, "map": {False}}
