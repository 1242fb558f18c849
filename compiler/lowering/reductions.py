"""Reductions: leading axes by running folds along time, then the lanes of a tile by the halving tree, then tiles in order.

Few leading rows with many results are folded pair by pair instead, for a running fold gives one result a trip.
"""

from __future__ import annotations

from dataclasses import replace

from compiler.dialects.graph import ReduceOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.boxes import join_columns
from compiler.lowering.chains import Chain
from compiler.lowering.context import Lowering
from compiler.lowering.copies import copy_rows
from compiler.lowering.lane_tree import ALONG_TIME, FUNCTIONS, lane_tree
from compiler.lowering.views import Run, View, row_strides, runs
from compiler.scheduling.trip import Write
from isa.chip import Side
from isa.spec import ElementType

FOLDS_AT_ONCE = 4
"""Running folds, one trip for each result, take no longer than so many times as many elementwise passes: they do not wait for
each other (our choice)."""


def lower_reduce(lowering: Lowering, op: ReduceOp) -> None:
    """sum, max or min over any axes (means are decomposed before). Nothing where the maker of the operand has done it."""
    if lowering.made(op.result) or op.result in lowering.parts:
        return
    source = lowering.view(op.x)
    function = op.fn.data.value
    from_kind, kind = tensor_of(op.x).type, tensor_of(op.result).type
    axes = sorted(op.axes.get_values())
    rank = len(source.leading)
    leading = [a for a in axes if a < rank]
    over_lanes = rank in axes and source.columns > 1
    kept = [a for a in range(rank) if a not in leading]
    shape = tuple(source.leading[a] for a in kept)
    target = lowering.result(op.result)
    if leading:
        columns = source.columns
        folded = lowering.temporary(kind, (*shape, columns)) if over_lanes else _as_rows(target, shape, columns)
        if folded is None:
            folded = lowering.temporary(kind, (*shape, columns))
        _fold_rows(lowering, source, kept, leading, function, folded)
        source, from_kind = folded, kind
    rows = _as_rows(target, shape, 1 if rank in axes else source.columns)
    final = rows if rows is not None else lowering.temporary(kind, (*shape, 1 if rank in axes else source.columns))
    if over_lanes:
        lane_tree(lowering, source, from_kind, function, final, kind)
    elif not leading or source != final:
        copy_or_convert(lowering, source, final, kind)
    if rows is None:
        _spread(lowering, final, target)


def _as_rows(target: View, shape: tuple[int, ...], columns: int) -> View | None:
    """The target with the kept leading axes before the dropped ones; None where dropping axes moved the last one onto lanes."""
    if target.columns != columns:
        return None
    return replace(target, leading=shape, strides=row_strides(shape))


def _spread(lowering: Lowering, source: View, target: View) -> None:
    """Without keepdims the last kept axis lies on lanes: one row for each of its elements becomes one vector."""
    join_columns(lowering, source, target)


def _fold_rows(lowering: Lowering, source: View, kept: list[int], reduced: list[int], function: str, target: View) -> None:
    """Running folds over the reduced leading axes in row order; the target has the kept ones."""
    domain = "i" if lowering.flow.buffers[source.buffer].type in ("i8", "i32") else "f"
    pairwise = f"{domain}{FUNCTIONS[function]}"
    count, step = _collapsed(source, reduced)
    sizes = tuple(source.leading[a] for a in kept)
    strides = tuple(source.strides[a] for a in kept)
    base = replace(source, leading=sizes, strides=strides)
    if step is None or base.rows > FOLDS_AT_ONCE * (count - 1):
        _fold_pairwise(lowering, source, base, reduced, pairwise, target)
        return
    for index, first in _positions(base):
        walk = View(source.buffer, (count,), (step,), first, source.columns, source.tile)
        if len(list(runs([walk], lowering.flow.buffers))) > 1:
            walk = _on_one_side(lowering, walk)
        _fold_run(lowering, walk, Run(count, (walk.offset,), walk.strides), ALONG_TIME[pairwise], target, index)


def _on_one_side(lowering: Lowering, walk: View) -> View:
    """A copy whose rows all come to the VXM from the same side, so that one fold can run over the borders of segments."""
    buffers = lowering.flow.buffers
    whole = lowering.temporary(buffers[walk.buffer].type, (*walk.leading, walk.columns))
    buffer = buffers[whole.buffer]
    side: Side = "w" if lowering.chip.slices("sram", "w") else "e"
    buffer.sides = {(segment, tile): side for segment in range(len(buffer.segments)) for tile in range(buffer.tiles)}
    copy_rows(lowering, walk, whole)
    return whole


def _collapsed(source: View, reduced: list[int]) -> tuple[int, int | None]:
    """Number of rows folded into one, and their step if they follow each other evenly."""
    count, step = 1, None
    for axis in reversed(reduced):
        size, stride = source.leading[axis], source.strides[axis]
        if size == 1:
            continue
        if step is None and count == 1:
            count, step = size, stride
        elif step is not None and stride == step * count:
            count *= size
        else:
            count, step = count * size, None
    return count, (1 if count == 1 else step)


def _positions(base: View) -> list[tuple[int, int]]:
    """(row of the target, first source row) of every kept index."""
    rows = [base.offset]
    for size, stride in zip(base.leading, base.strides, strict=True):
        rows = [r + i * stride for r in rows for i in range(size)]
    return list(enumerate(rows))


def _fold_run(lowering: Lowering, walk: View, run: Run, mnemonic: str, target: View, row: int) -> None:
    buffers = lowering.flow.buffers
    kind: ElementType = buffers[target.buffer].type
    for tile in range(-(-target.columns // lowering.chip.lanes)):
        trip = lowering.trip()
        chain = Chain(trip, lowering.chip, run.count)
        x = chain.read(walk.buffer, buffers[walk.buffer].type, walk.tile + tile, run.starts[0], run.steps[0])
        total = chain.operation(mnemonic, [x], kind, {"group": run.count})
        trip.nodes.append(Write(target.buffer, target.tile + tile, target.offset + row, 1, total, 1))


def _fold_pairwise(lowering: Lowering, source: View, base: View, reduced: list[int], mnemonic: str, target: View) -> None:
    """One elementwise pass for each further row: for few rows folded into many results."""
    buffers = lowering.flow.buffers
    kind: ElementType = buffers[target.buffer].type
    offsets = [o - source.offset for _, o in _positions(_only(source, reduced))]
    if len(offsets) == 1:
        copy_or_convert(lowering, base, target, kind)
        return
    # The first two rows lie in the same slices, which cannot be read twice at once.
    total = lowering.temporary(kind, target.shape, like=target)
    copy_or_convert(lowering, base, total, kind)
    for i, offset in enumerate(offsets[1:]):
        last = i == len(offsets) - 2
        into = target if last else lowering.temporary(kind, target.shape, like=target)
        addend = replace(base, offset=base.offset + offset)
        for run in runs([into, total, addend], buffers):
            for tile in range(-(-target.columns // lowering.chip.lanes)):
                trip = lowering.trip()
                chain = Chain(trip, lowering.chip, run.count)
                a, b = (
                    chain.read(v.buffer, buffers[v.buffer].type, v.tile + tile, run.starts[j], run.steps[j])
                    for j, v in ((1, total), (2, addend))
                )
                both = chain.operation(mnemonic, [a, b], kind)
                trip.nodes.append(Write(into.buffer, into.tile + tile, run.starts[0], run.steps[0], both, run.count))
        total = into


def _only(view: View, axes: list[int]) -> View:
    return replace(view, leading=tuple(view.leading[a] for a in axes), strides=tuple(view.strides[a] for a in axes))


def copy_or_convert(lowering: Lowering, source: View, target: View, kind: ElementType) -> None:
    """A copy, through the VXM where the element type changes."""
    buffers = lowering.flow.buffers
    from_kind = buffers[source.buffer].type
    if from_kind == kind:
        copy_rows(lowering, source, target)
        return
    for run in runs([source, target], buffers):
        for tile in range(-(-target.columns // lowering.chip.lanes)):
            trip = lowering.trip()
            chain = Chain(trip, lowering.chip, run.count)
            x = chain.read(source.buffer, from_kind, source.tile + tile, run.starts[0], run.steps[0])
            moved = chain.operation("imov" if from_kind in ("i8", "i32") else "fmov", [x], kind)
            trip.nodes.append(Write(target.buffer, target.tile + tile, run.starts[1], run.steps[1], moved, run.count))
