"""Data movement by boxes: reshape, slice, concat, pad and insert as blocks of a result that come from somewhere.

Where a block keeps its lanes, its rows are copied (or only viewed). Where lanes move, the block's byte columns are multiplied
by a constant 0/1 selection matrix and summed in the accumulators with the other blocks of the same vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from math import gcd

import numpy as np
from xdsl.ir import SSAValue

from compiler.dialects.graph import ConcatOp, InsertOp, PadOp, ReshapeOp, SliceOp, TakeOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.context import Lowering
from compiler.lowering.copies import copy_rows
from compiler.lowering.exchange import exchange_matrix
from compiler.lowering.lane_permutes import keeps_vectors, permute_rows, permutes, spread_lanes
from compiler.lowering.selection import Piece, select_lanes
from compiler.lowering.views import View
from isa.layout import NUMPY_TYPES

SPLAT_LOAD_CYCLES = 8
"""What selecting one element costs, beside a load of as many rows as there are lanes (our choice, by measurement)."""


@dataclass(frozen=True, slots=True)
class Box:
    """A block of the result: leading index ranges low … high, columns first … first + columns-1.

    `source` has the block's leading sizes; the block's columns are its columns column, column + lane_step, ….
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    first: int
    columns: int
    source: View
    column: int = 0
    lane_step: int = 1


def lower_slice(lowering: Lowering, op: SliceOp) -> None:
    view = lowering.window(op.x)
    offsets, sizes, strides = (a.get_values() for a in (op.offsets, op.sizes, op.strides))
    rank = len(view.leading)
    first, count, step = (offsets[-1], sizes[-1], strides[-1]) if offsets else (0, 1, 1)
    lanes = lowering.chip.lanes
    lane = (view.column + first) % lanes
    keeps_lanes = (step == 1 or count == 1) and (count > 1 or view.columns == 1)
    in_place = keeps_lanes and ((view.plain and not lane) or lane + count <= lanes)
    if view.column_steps and any(view.column_steps) and not (first == 0 and count == view.columns):
        in_place = False
    if not in_place:
        view = lowering.view(op.x)
    rows = replace(
        view,
        leading=tuple(sizes[:rank]),
        strides=tuple(s * d for s, d in zip(view.strides, strides, strict=False)),
        offset=view.offset + sum(o * s for o, s in zip(offsets, view.strides, strict=False)),
        column=view.column + sum(o * s for o, s in zip(offsets, view.column_steps, strict=False)),
        column_steps=tuple(s * d for s, d in zip(view.column_steps, strides, strict=False)),
    )
    if in_place:
        moved = replace(rows, columns=count, column=rows.column + first)
        lowering.views[op.result] = moved if any(moved.column_steps) else moved.tiled(lanes)
        return
    target = lowering.result(op.result)
    fill_boxes(lowering, target, [Box((0,) * rank, rows.leading, 0, count, rows, first, step)])


def lower_take(lowering: Lowering, op: TakeOp) -> None:
    view, target = lowering.view(op.x), lowering.result(op.result)
    columns = tuple(op.columns.get_values())
    if keeps_vectors(columns, view.columns, lowering.chip):
        permute_rows(lowering, view, target, columns)
        return
    select_lanes(lowering, target, [Piece(view, 0, 1, 0, len(columns), columns if view.columns > 1 else ())])


def lower_concat(lowering: Lowering, op: ConcatOp) -> None:
    """Nothing for parts that were made in their rows of the result (`Hint.rows_of`)."""
    axis = op.axis.value.data
    target = lowering.views[op.result] if lowering.made(op.result) else lowering.result(op.result)
    rank = len(target.leading)
    boxes: list[Box] = []
    at = 0
    for part in op.parts:
        view = lowering.view(part)
        size = tensor_of(part).shape[axis]
        low, high = [0] * rank, list(target.leading)
        if axis < rank:
            low[axis], high[axis] = at, at + size
        boxes.append(Box(tuple(low), tuple(high), 0 if axis < rank else at, view.columns, view))
        at += size
    fill_boxes(lowering, target, [box for box in boxes if not _same_rows(box.source, _cell(target, box.low, box.high))])


def lower_pad(lowering: Lowering, op: PadOp) -> None:
    target = lowering.result(op.result)
    view = lowering.view(op.x)
    low = op.low.get_values()
    rank = len(target.leading)
    inner = Box(
        tuple(low[:rank]),
        tuple(o + s for o, s in zip(low, view.leading, strict=False)),
        low[-1] if low else 0,
        view.columns,
        view,
    )
    kind = tensor_of(op.result).type
    fill = np.full((target.columns,), op.fill, NUMPY_TYPES[kind])
    background = lowering.constant(fill, "fill")
    fill_boxes(lowering, target, [inner], background)


def lower_insert(lowering: Lowering, op: InsertOp) -> None:
    target = lowering.result(op.result)
    block, x = lowering.view(op.block), lowering.view(op.x)
    offsets = op.offsets.get_values()
    rank = len(target.leading)
    low = tuple(offsets[:rank])
    high = tuple(o + s for o, s in zip(low, block.leading, strict=True))
    inner = Box(low, high, offsets[-1] if offsets else 0, block.columns, block)
    fill_boxes(lowering, target, [inner], x)


def lower_reshape(lowering: Lowering, op: ReshapeOp) -> None:
    """Nothing where the last axis stays, or is split into windows or joined from them; else columns are split down to the
    common divisor and joined again."""
    shape = tensor_of(op.result).shape
    columns = shape[-1] if shape else 1
    windows = lowering.window(op.x).windowed(shape[:-1], columns, lowering.chip.lanes)
    if windows is not None and columns > 1:
        lowering.views[op.result] = windows if windows.column_steps else windows.tiled(lowering.chip.lanes)
        return
    source = lowering.view(op.x)
    if columns == source.columns:
        source = source if source.dense else _compact(lowering, op.x, source)
        lowering.views[op.result] = source.with_leading(shape[:-1])
        return
    common = gcd(columns, source.columns)
    kind = tensor_of(op.x).type
    if source.columns != common:
        parts = source.columns // common
        final = common == columns
        split = lowering.result(op.result) if final else lowering.temporary(kind, (source.rows, parts, common))
        split_columns(lowering, source, split, parts)
        source = split
    if columns != common:
        target = lowering.result(op.result)
        source = source if source.dense else _compact(lowering, op.x, source)
        join_columns(lowering, source, target)
        source = target
    lowering.views[op.result] = source.with_leading(shape[:-1])


def copy_windows(lowering: Lowering, source: View, target: View) -> None:
    """Windows to a plain view of the same shape."""
    axes = [i for i, step in enumerate(source.column_steps) if step]
    boxes: list[Box] = []
    whole = lowering.flow.buffers[source.buffer].columns - source.tile * lowering.chip.lanes
    for index in product(*(range(source.leading[a]) for a in axes)):
        fixed = dict(zip(axes, index, strict=True))
        low = [fixed.get(a, 0) for a in range(len(source.leading))]
        high = [fixed[a] + 1 if a in fixed else size for a, size in enumerate(source.leading)]
        column = source.column + sum(i * source.column_steps[a] for a, i in fixed.items())
        rows = View(
            source.buffer,
            tuple(h - i for i, h in zip(low, high, strict=True)),
            source.strides,
            source.offset + sum(i * source.strides[a] for a, i in fixed.items()),
            whole,
            source.tile,
        )
        boxes.append(Box(tuple(low), tuple(high), 0, target.columns, rows, column))
    fill_boxes(lowering, target, boxes)


def split_columns(lowering: Lowering, source: View, target: View, parts: int) -> None:
    """[rows…, parts · c] to rows · parts vectors of c columns; the target is dense."""
    lanes = lowering.chip.lanes
    if target.columns == 1 and source.rows * lanes < parts * SPLAT_LOAD_CYCLES and lowering.chip.mxm.transposed_load:
        rows = source.with_leading((source.rows,)) if source.leading else replace(source, leading=(1,), strides=(0,))
        each = target.with_leading((source.rows, parts))
        for row in range(source.rows):
            # Loaded as every row of a matrix, the columns of this one are its vectors once rows and columns are exchanged.
            exchange_matrix(lowering, replace(rows.at((row,)), leading=(lanes,), strides=(0,)), each.at((row,)))
        return
    if target.columns == 1 and permutes(lowering.chip):
        rows, each = source.with_leading((source.rows,)), target.with_leading((source.rows, parts))
        spread_lanes(lowering, [(rows.at((row,)), each.at((row,))) for row in range(source.rows)])
        return
    shaped = target.with_leading((*source.leading, parts))
    low = (0,) * len(source.leading)
    boxes: list[Box] = []
    for part in range(parts):
        one = View(source.buffer, (*source.leading, 1), (*source.strides, 0), source.offset, source.columns, source.tile)
        boxes.append(Box((*low, part), (*source.leading, part + 1), 0, target.columns, one, part * target.columns))
    fill_boxes(lowering, shaped, boxes)


def join_columns(lowering: Lowering, source: View, target: View) -> None:
    """Vectors of c columns to rows of parts · c columns; both are dense."""
    parts = target.columns // source.columns
    flat = source.with_leading((source.rows // parts, parts))
    rows = target.with_leading((target.rows,))
    loads = rows.rows * -(-parts // lowering.chip.lanes)
    if source.columns == 1 and loads < parts and lowering.chip.mxm.transposed_load:
        for row in range(rows.rows):
            exchange_matrix(lowering, flat.at((row,)), replace(rows.at((row,)), leading=(1,), strides=(1,)))
        return
    boxes = [
        Box((0,), rows.leading, part * source.columns, source.columns,
            replace(flat, leading=rows.leading, strides=flat.strides[:1], offset=flat.offset + part * flat.strides[1]))
        for part in range(parts)
    ]  # fmt: skip
    fill_boxes(lowering, rows, boxes)


def _compact(lowering: Lowering, value: SSAValue, view: View) -> View:
    target = lowering.temporary(tensor_of(value).type, view.shape)
    copy_rows(lowering, view, target)
    return target


def fill_boxes(lowering: Lowering, target: View, boxes: Sequence[Box], background: View | None = None) -> None:
    """Write every row of the target: blocks where they are, the background (broadcast to the target) elsewhere."""
    behind = background.broadcast(target.leading) if background else None
    cuts = [
        sorted({0, size, *(b.low[axis] for b in boxes), *(b.high[axis] for b in boxes)})
        for axis, size in enumerate(target.leading)
    ]
    for cell in product(*(pairwise(c) for c in cuts)):
        low, high = tuple(c[0] for c in cell), tuple(c[1] for c in cell)
        inside = [
            b for b in boxes if all(bl <= cl and ch <= bh for bl, cl, ch, bh in zip(b.low, low, high, b.high, strict=True))
        ]
        pieces = [_piece(b, low, high) for b in inside]
        rows = _cell(target, low, high)
        pieces += [] if behind is None else _gaps(pieces, _cell(behind, low, high), target.columns)
        select_lanes(lowering, rows, pieces)


def _cell(view: View, low: tuple[int, ...], high: tuple[int, ...]) -> View:
    offset = view.offset + sum(i * s for i, s in zip(low, view.strides, strict=True))
    return replace(view, leading=tuple(h - i for i, h in zip(low, high, strict=True)), offset=offset)


def _same_rows(a: View, b: View) -> bool:
    """Whether two views of one shape walk over the same rows of the same buffer."""
    steps = [(s, t) for size, s, t in zip(a.leading, a.strides, b.strides, strict=True) if size > 1]
    return replace(a, strides=b.strides) == b and all(s == t for s, t in steps)


def _piece(box: Box, low: tuple[int, ...], high: tuple[int, ...]) -> Piece:
    relative_low = tuple(c - b for c, b in zip(low, box.low, strict=True))
    relative_high = tuple(c - b for c, b in zip(high, box.low, strict=True))
    return Piece(_cell(box.source, relative_low, relative_high), box.column, box.lane_step, box.first, box.columns)


def _gaps(pieces: Sequence[Piece], behind: View, columns: int) -> list[Piece]:
    """The background between the pieces."""
    found: list[Piece] = []
    at = 0
    for first, end in [*sorted((p.first, p.first + p.count) for p in pieces), (columns, columns)]:
        if first > at:
            found.append(Piece(behind, at, 1, at, first - at))
        at = max(at, end)
    return found
