"""Columns taken within their vectors by the lane units, from memory to memory or on the way from a product to the VXM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from compiler.lowering.context import Lowering, mxm_sides
from compiler.lowering.lane_maps import lane_places, lane_sides, next_lane_side
from compiler.lowering.views import View, runs
from compiler.scheduling.trip import Compute, Read, Trip, Write
from isa.chip import Chip, Side


def permutes(chip: Chip) -> bool:
    """Whether there are lane units that permute."""
    return "permute" in chip.sxm.instructions and bool(lane_sides(chip))


def spread_lanes(lowering: Lowering, row: View, target: View) -> None:
    """The elements of one row, each to every lane of a vector of its own."""
    lanes, kind = lowering.chip.lanes, lowering.flow.buffers[row.buffer].type
    for first in range(0, row.columns, lanes):
        count = min(lanes, row.columns - first)
        part = replace(target, leading=(count,), offset=target.offset + first * target.strides[0])
        lane = 0
        for run in runs([part], lowering.flow.buffers):
            side = next_lane_side(lowering)
            trip = lowering.trip()
            table, start = lane_places(lowering, side)
            places = trip.value("i32", run.count)
            trip.nodes.append(Read(table, 0, start + lane, 1, run.count, places))
            value = trip.value(kind, run.count)
            trip.nodes.append(Read(row.buffer, row.tile + first // lanes, row.offset, 0, run.count, value))
            moved = trip.value(kind, run.count)
            trip.nodes.append(Compute(f"sxm.{side}", "permute", (value, places), {}, run.count, 1, moved))
            trip.nodes.append(Write(target.buffer, target.tile, run.starts[0], run.steps[0], moved, run.count))
            lane += run.count


def keeps_vectors(columns: Sequence[int], of: int, chip: Chip) -> bool:
    """Whether a lane unit can take these columns of so many: each stays in the vector that it is in."""
    return (
        len(columns) == of > 1
        and "permute" in chip.sxm.instructions
        and all(f"sxm.{p.side}" in chip.units for p in chip.planes)
        and all(column // chip.lanes == i // chip.lanes for i, column in enumerate(columns))
    )


def permuted(lowering: Lowering, trip: Trip, value: int, columns: Sequence[int], tile: int, side: Side) -> int:
    """One tile of a value, its lanes taken by the lane unit of a side, with their numbers from memory of that side."""
    lanes, count = lowering.chip.lanes, trip.values[value].count
    numbers = np.array([c % lanes for c in columns[tile * lanes : (tile + 1) * lanes]], np.int32)
    places = lowering.constant_for_sides(numbers, (side,))
    row = trip.value("i32", count)
    trip.nodes.append(Read(places.buffer, 0, 0, 0, count, row))
    taken = trip.value(trip.values[value].type, count)
    trip.nodes.append(Compute(f"sxm.{side}", "permute", (value, row), {}, count, 1, taken))
    return taken


def permute_rows(lowering: Lowering, source: View, target: View, columns: Sequence[int]) -> None:
    """Every row of the target from a row of the source, which has as many columns."""
    buffers, sides = lowering.flow.buffers, mxm_sides(lowering.chip)
    for number, run in enumerate(runs([source, target], buffers)):
        for tile in range(-(-source.columns // lowering.chip.lanes)):
            trip = lowering.trip()
            value = trip.value(buffers[source.buffer].type, run.count)
            trip.nodes.append(Read(source.buffer, source.tile + tile, run.starts[0], run.steps[0], run.count, value))
            taken = permuted(lowering, trip, value, columns, tile, sides[(number + tile) % len(sides)])
            trip.nodes.append(Write(target.buffer, target.tile + tile, run.starts[1], run.steps[1], taken, run.count))
