"""Transposes: leading axes only in the view; the last axis by a transposed load and a feed of the identity."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from compiler.dialects.graph import TransposeOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.boxes import join_columns, split_columns
from compiler.lowering.chains import Chain
from compiler.lowering.context import Lowering
from compiler.lowering.copies import copy_rows, written
from compiler.lowering.views import View
from compiler.scheduling.trip import Feed, Load, Read, Swap, Write
from isa.errors import ModelFault


def lower_transpose(lowering: Lowering, op: TransposeOp) -> None:
    source = lowering.view(op.x)
    permutation = list(op.permutation.get_values())
    last = len(permutation) - 1
    if last < 0 or permutation[last] == last:
        lowering.views[op.result] = _permuted(source, permutation[:-1])
        return
    # Bring the axis that becomes the last one next to the last, exchange the two, then order the rest.
    becomes_last = permutation[last]
    rest = [a for a in range(last) if a != becomes_last]
    rows = _permuted(source, [*rest, becomes_last])
    shape = (*(source.leading[a] for a in rest), source.columns, source.leading[becomes_last])
    where = [*rest, last]
    order = [where.index(a) for a in permutation[:-1]]
    direct = order == list(range(len(order)))
    target = written(lowering, op.result) if direct else lowering.temporary(tensor_of(op.x).type, shape)
    exchange(lowering, rows, target)
    if not direct:
        lowering.views[op.result] = _permuted(target, order)


def _permuted(view: View, order: list[int]) -> View:
    return replace(view, leading=tuple(view.leading[a] for a in order), strides=tuple(view.strides[a] for a in order))


def exchange(lowering: Lowering, source: View, target: View) -> None:
    """[…, R, C] to […, C, R], matrix by matrix."""
    for index in product(*(range(s) for s in source.leading[:-1])):
        matrix, result = source.at(index), target.at(index)
        rows, columns = matrix.leading[0], matrix.columns
        if columns == 1 and rows == 1:
            copy_rows(lowering, matrix, result)
        elif rows == 1:
            split_columns(lowering, replace(matrix, leading=(), strides=()), result, columns)
        elif columns == 1:
            join_rows = replace(matrix, leading=(1, rows), strides=(0, matrix.strides[0]))
            join_columns(lowering, _dense(lowering, join_rows), result)
        else:
            _exchange_matrix(lowering, matrix, result)


def _dense(lowering: Lowering, view: View) -> View:
    if view.strides[1] == 1:
        return replace(view, strides=(view.leading[1], 1))
    target = lowering.temporary(lowering.flow.buffers[view.buffer].type, (*view.leading, 1))
    copy_rows(lowering, view, target)
    return target


def _exchange_matrix(lowering: Lowering, matrix: View, result: View) -> None:
    chip = lowering.chip
    if not chip.mxm.transposed_load:
        raise ModelFault(
            f"transpose: chip {chip.name} cannot load transposed weights, by which matrices are transposed",
            hint="keep the matrix in the other order, or choose a chip with mxm.transposed_load",
        )
    lanes = chip.lanes
    identity = lowering.constant(np.eye(lanes, dtype=np.int8), "identity")
    rows, columns = matrix.leading[0], matrix.columns
    limit = min(lanes, chip.mxm.accumulators)
    for first in range(0, rows, lanes):
        for tile in range(-(-columns // lanes)):
            width = min(lanes, columns - tile * lanes)
            for byte in range(lowering.flow.buffers[matrix.buffer].bytes):
                plane = (len(lowering.flow.trips) // 3) % len(chip.planes)
                _load(lowering, matrix, first, min(lanes, rows - first), tile, byte, plane)
                for start in range(0, width, limit):
                    count = min(limit, width - start)
                    _feed(lowering, identity, result, first // lanes, tile * lanes, start, count, width, byte, plane)


def _load(lowering: Lowering, matrix: View, first: int, count: int, tile: int, byte: int, plane: int) -> None:
    load = lowering.trip()
    value = load.value("i8", count)
    start, step = matrix.offset + first * matrix.strides[0], matrix.strides[0]
    load.nodes.append(Read(matrix.buffer, matrix.tile + tile, start, step, count, value, byte))
    load.nodes.append(Load((plane,), value, "i8", count, 0, True))
    lowering.trip().nodes.append(Swap(plane, "i8"))


def _feed(
    lowering: Lowering,
    identity: View,
    result: View,
    tile: int,
    row: int,
    start: int,
    count: int,
    depth: int,
    byte: int,
    plane: int,
) -> None:
    """Rows row + start … of one tile of the result."""
    trip = lowering.trip()
    source = trip.value("i8", count)
    trip.nodes.append(Read(identity.buffer, 0, start, 1, count, source))
    wide = trip.value("i32", count)
    trip.nodes.append(Feed(plane, source, "i8", depth, 0, 0, True, count, wide))
    chain = Chain(trip, lowering.chip, count)
    chain.anchor(wide)
    narrow = chain.operation("imov", [wide], "i8")
    step = result.strides[0]
    at = result.offset + (row + start) * step
    trip.nodes.append(Write(result.buffer, result.tile + tile, at, step, narrow, count, 1, byte))
