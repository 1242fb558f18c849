"""Rows and columns of one matrix exchanged: a transposed load, then a feed of the identity, byte column by byte column."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.lowering.chains import Chain
from compiler.lowering.context import Lowering
from compiler.lowering.transposed_loads import blocks_of, load_blocks, require_transposed_loads
from compiler.lowering.views import Run, View, runs
from compiler.scheduling.trip import Feed, Load, Read, Swap, Write


def exchange_matrix(lowering: Lowering, matrix: View, result: View) -> None:
    """[R, C] to [C, R]; a splat column [R, 1] becomes the row [1, R]. Raises ModelFault where the chip cannot."""
    chip = lowering.chip
    require_transposed_loads(chip)
    lanes = chip.lanes
    identity = lowering.constant(np.eye(lanes, dtype=np.int8), "identity")
    rows, columns = matrix.leading[0], matrix.columns
    limit = min(lanes, chip.mxm.accumulators)
    for first in range(0, rows, lanes):
        for tile in range(-(-columns // lanes)):
            width = min(lanes, columns - tile * lanes)
            for byte in range(lowering.flow.buffers[matrix.buffer].bytes):
                plane = (len(lowering.flow.trips) // 3) % len(chip.planes)
                _load(lowering, matrix, first, min(lanes, rows - first), tile, width, byte, plane)
                for start in range(0, width, limit):
                    count = min(limit, width - start)
                    ones = replace(identity, leading=(count,), offset=identity.offset + start)
                    below = result.offset + (tile * lanes + start) * result.strides[0]
                    written = replace(result, leading=(count,), offset=below, tile=result.tile + first // lanes)
                    for run in runs([ones, written], lowering.flow.buffers):
                        _feed(lowering, ones, written, run, width, byte, plane)


def _load(lowering: Lowering, matrix: View, first: int, count: int, tile: int, width: int, byte: int, plane: int) -> None:
    start, step = matrix.offset + first * matrix.strides[0], matrix.strides[0]
    if not lowering.chip.mxm.transposed_load:
        part = replace(matrix, leading=(count,), offset=start, tile=matrix.tile + tile, columns=width)
        blocks = blocks_of(lowering, part, byte)
        load_blocks(lowering, lowering.trip(), blocks, 0, 0, width, (plane,))
        lowering.trip().nodes.append(Swap(plane, "i8"))
        return
    load = lowering.trip()
    value = load.value("i8", count)
    load.nodes.append(Read(matrix.buffer, matrix.tile + tile, start, step, count, value, byte))
    load.nodes.append(Load((plane,), value, "i8", count, 0, True))
    lowering.trip().nodes.append(Swap(plane, "i8"))


def _feed(lowering: Lowering, ones: View, result: View, run: Run, depth: int, byte: int, plane: int) -> None:
    """Rows of one tile of the result, by as many rows of the identity."""
    trip = lowering.trip()
    source = trip.value("i8", run.count)
    trip.nodes.append(Read(ones.buffer, 0, run.starts[0], run.steps[0], run.count, source))
    wide = trip.value("i32", run.count)
    trip.nodes.append(Feed(plane, source, "i8", depth, 0, 0, True, run.count, wide))
    chain = Chain(trip, lowering.chip, run.count)
    chain.anchor(wide)
    narrow = chain.operation("imov", [wide], "i8")
    trip.nodes.append(Write(result.buffer, result.tile, run.starts[1], run.steps[1], narrow, run.count, 1, byte))
