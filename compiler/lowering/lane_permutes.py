"""Columns taken within their vectors by the lane units, from memory to memory or on the way from a product to the VXM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from compiler.lowering.context import Lowering, mxm_sides
from compiler.lowering.lane_maps import lane_places, lane_sides, next_lane_side
from compiler.lowering.views import Run, View, runs
from compiler.scheduling.trip import Buffer, Compute, Group, Read, Trip, Write
from isa.chip import Chip, Side
from isa.spec import BYTES


def permutes(chip: Chip) -> bool:
    """Whether there are lane units that permute."""
    return "permute" in chip.sxm.instructions and bool(lane_sides(chip))


def permutes_beside_planes(chip: Chip) -> bool:
    """Whether a lane unit that permutes stands next to every plane."""
    return permutes(chip) and all(f"sxm.{p.side}" in chip.units for p in chip.planes)


def spread_lanes(lowering: Lowering, rows: Sequence[tuple[View, View]]) -> None:
    """The elements of each row, each to every lane of a vector of its own: rows with their targets, all alike. Rows that lie in
    different slices, and go to different ones, pass a lane unit with one walk over the map."""
    chip, buffers = lowering.chip, lowering.flow.buffers
    most = max(1, min(chip.sxm.slots, chip.streams // BYTES["i32"] - 1))
    for first in range(0, rows[0][0].columns, chip.lanes):
        walks: list[tuple[View, Run, int]] = []
        for row, target in rows:
            count, lane = min(chip.lanes, row.columns - first), first
            part = replace(target, leading=(count,), offset=target.offset + first * target.strides[0])
            for run in runs([part], buffers):
                walks.append((replace(row, tile=row.tile + first // chip.lanes), run, lane % chip.lanes))
                lane += run.count
        while walks:
            together: list[tuple[View, Run, int]] = []
            taken: set[Group] = set()
            for walk in list(walks):
                row, run, lane = walk
                alike = not together or (run.count, lane) == (together[0][1].count, together[0][2])
                groups = {_group(buffers, row, row.offset), _group(buffers, rows[0][1], run.starts[0])}
                if alike and not groups & taken and len(together) < most:
                    together.append(walk)
                    taken |= groups
                    walks.remove(walk)
            _spread(lowering, together, rows[0][1])


def _group(buffers: dict[str, Buffer], view: View, row: int) -> Group:
    return view.buffer, buffers[view.buffer].segment_of(row), view.tile


def _spread(lowering: Lowering, walks: Sequence[tuple[View, Run, int]], target: View) -> None:
    side = next_lane_side(lowering)
    trip = lowering.trip()
    table, start = lane_places(lowering, side)
    count = walks[0][1].count
    places = trip.value("i32", count)
    trip.nodes.append(Read(table, 0, start + walks[0][2], 1, count, places))
    for row, run, _ in walks:
        kind = lowering.flow.buffers[row.buffer].type
        value, moved = trip.value(kind, count), trip.value(kind, count)
        trip.nodes.append(Read(row.buffer, row.tile, row.offset, 0, count, value))
        trip.nodes.append(Compute(f"sxm.{side}", "permute", (value, places), {}, count, 1, moved))
        trip.nodes.append(Write(target.buffer, target.tile, run.starts[0], run.steps[0], moved, count))


def keeps_vectors(columns: Sequence[int], of: int, chip: Chip) -> bool:
    """Whether a lane unit can take these columns of so many: each stays in the vector that it is in."""
    return (
        len(columns) == of > 1
        and permutes_beside_planes(chip)
        and all(column // chip.lanes == i // chip.lanes for i, column in enumerate(columns))
    )


def permuted(lowering: Lowering, trip: Trip, value: int, columns: Sequence[int], tile: int, side: Side, lane: int = 0) -> int:
    """One tile of a value, its lanes taken by the lane unit of a side, with their numbers from memory of that side; columns
    begin at `lane`, of what is taken and of what it is taken from."""
    lanes = lowering.chip.lanes
    taken = [lane + c % lanes for c in columns[tile * lanes : (tile + 1) * lanes]]
    return _by_map(lowering, trip, value, [*range(lane), *taken], side)


def only_lanes(lowering: Lowering, trip: Trip, value: int, window: range, side: Side) -> int:
    """A value with zeros in all lanes but these, which the lane unit of a side puts there."""
    lanes = lowering.chip.lanes
    return _by_map(lowering, trip, value, [lane if lane in window else lanes for lane in range(lanes)], side)


def _by_map(lowering: Lowering, trip: Trip, value: int, lanes: Sequence[int], side: Side) -> int:
    source = trip.values[value]
    places = lowering.constant_for_sides(np.array(lanes, np.int32), (side,))
    row = trip.value("i32", source.count)
    trip.nodes.append(Read(places.buffer, 0, 0, 0, source.count, row))
    taken = trip.value(source.type, source.count, source.every, source.streams)
    trip.nodes.append(Compute(f"sxm.{side}", "permute", (value, row), {}, source.count, 1, taken))
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
