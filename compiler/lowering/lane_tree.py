"""Folding the lanes of a vector: by the lane-tree unit where the chip has one, else by shifts and VXM operations; same bits."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from compiler.lowering.block_folds import fold_by_blocks
from compiler.lowering.chains import Chain
from compiler.lowering.context import Lowering, Parts
from compiler.lowering.copies import copy_rows
from compiler.lowering.views import View, row_strides, runs
from compiler.scheduling.trip import Compute, Read, Trip, Write
from isa.chip import Side
from isa.numerics import RUNNING
from isa.spec import BY_MNEMONIC, ElementType

FUNCTIONS = {"sum": "add", "max": "max", "min": "min"}
ALONG_TIME = {pairwise: running for running, pairwise in RUNNING.items()}
"""Operations on two values, and those that fold the elements of one along time in the same way."""
MOST_APART = 4
"""Parts of a fold that lie apart, to be read at once; more of them lie in one buffer, and a running fold joins them (our
choice)."""
MOST_TOGETHER = 128
"""Rows that such a fold walks: it gives one result for all parts of a row, so with many rows parts are better apart (our
choice)."""


def lane_tree(lowering: Lowering, source: View, from_kind: ElementType, function: str, target: View, kind: ElementType) -> None:
    """[…, C] to […, 1] (splat): the tree within each tile, then the tiles in order, in f32 or i32."""
    if lowering.chip.fold_block:
        fold_by_blocks(lowering, source, from_kind, FUNCTIONS[function], target, kind)
        return
    wide: ElementType = "i32" if from_kind in ("i8", "i32") else "f32"
    tiles = -(-source.columns // lowering.chip.lanes)
    direct = tiles == 1 and wide == kind
    parts = (target,) if direct else parts_together(lowering, wide, target.leading, tiles)
    parts = parts or tuple(lowering.temporary(wide, target.shape, like=target) for _ in range(tiles))
    fold_tiles(lowering, source, from_kind, function, parts)
    if not direct:
        join_parts(lowering, Parts(FUNCTIONS[function], parts), target)


def parts_together(lowering: Lowering, kind: ElementType, leading: tuple[int, ...], tiles: int) -> tuple[View, ...]:
    """Memory for many parts of few folds: those of one fold follow each other. Empty where they are better apart."""
    if tiles <= MOST_APART or prod(leading) * tiles > MOST_TOGETHER:
        return ()
    buffer = lowering.temporary(kind, (*leading, tiles, 1)).buffer
    strides = tuple(stride * tiles for stride in row_strides(leading))
    return tuple(View(buffer, leading, strides, tile, 1) for tile in range(tiles))


def fold_tiles(lowering: Lowering, source: View, from_kind: ElementType, function: str, parts: Sequence[View]) -> None:
    """The tree within each tile, to a part each."""
    lanes = lowering.chip.lanes
    wide: ElementType = "i32" if from_kind in ("i8", "i32") else "f32"
    for tile, part in enumerate(parts):
        width = min(lanes, source.columns - tile * lanes)
        if "reduce" in lowering.chip.sxm.instructions:
            _by_unit(lowering, source, from_kind, wide, tile, width, FUNCTIONS[function], part)
        else:
            _by_shifts(lowering, source, from_kind, wide, tile, width, FUNCTIONS[function], part)


def join_parts(lowering: Lowering, parts: Parts, target: View) -> None:
    """The parts in order, into the target in its type."""
    total = parts.views[0]
    wide = lowering.flow.buffers[total.buffer].type
    if len({part.buffer for part in parts.views}) < len(parts.views):
        _join_along_time(lowering, parts, target, wide)
        return
    for i, part in enumerate(parts.views[1:]):
        last = i == len(parts.views) - 2
        into = target if last else lowering.temporary(wide, target.shape, like=target)
        _elementwise(lowering, f"{wide[0]}{parts.function}", [total, part], into)
        total = into
    if len(parts.views) == 1:
        _elementwise(lowering, f"{wide[0]}mov", [total], target)


def _join_along_time(lowering: Lowering, parts: Parts, target: View, wide: ElementType) -> None:
    """One running fold over parts that lie together."""
    each, first = len(parts.views), parts.views[0]
    for run in runs([target, first], lowering.flow.buffers):
        trip = lowering.trip()
        chain = Chain(trip, lowering.chip, run.count * each)
        value = chain.read(first.buffer, wide, 0, run.starts[1], 1)
        kind = lowering.flow.buffers[target.buffer].type
        total = chain.operation(ALONG_TIME[f"{wide[0]}{parts.function}"], [value], kind, {"group": each})
        every = each if run.count > 1 else 1
        trip.nodes.append(Write(target.buffer, target.tile, run.starts[0], run.steps[0], total, run.count, every))


def folded(lowering: Lowering, trip: Trip, value: int, function: str, width: int) -> int:
    """The first lanes of a value folded by a lane unit; every lane gets the result."""
    choices = next(f.choices for f in BY_MNEMONIC["reduce"].fields if f.name == "op")
    fields = {"op": choices.index(FUNCTIONS[function]), "lanes": width}
    return _move(lowering, trip, "reduce", fields, value, trip.values[value].count)


def _elementwise(lowering: Lowering, mnemonic: str, operands: list[View], target: View) -> None:
    buffers = lowering.flow.buffers
    for run in runs([target, *operands], buffers):
        trip = lowering.trip()
        chain = Chain(trip, lowering.chip, run.count)
        values = [
            chain.read(v.buffer, buffers[v.buffer].type, v.tile, run.starts[1 + i], run.steps[1 + i])
            for i, v in enumerate(operands)
        ]
        value = chain.operation(mnemonic, [*values], buffers[target.buffer].type)
        trip.nodes.append(Write(target.buffer, target.tile, run.starts[0], run.steps[0], value, run.count))


def _unit(lowering: Lowering) -> str:
    """The SXMs in turn."""
    names = [u.name for u in lowering.chip.units.values() if u.kind == "sxm"]
    return names[len(lowering.flow.trips) % len(names)]


def _move(lowering: Lowering, trip: Trip, mnemonic: str, fields: dict[str, int], value: int, count: int) -> int:
    """One SXM operation."""
    result = trip.value(trip.values[value].type, count)
    trip.nodes.append(Compute(_unit(lowering), mnemonic, (value,), fields, count, 1, result))
    return result


def _by_unit(
    lowering: Lowering,
    source: View,
    from_kind: ElementType,
    wide: ElementType,
    tile: int,
    width: int,
    function: str,
    target: View,
) -> None:
    choices = next(f.choices for f in BY_MNEMONIC["reduce"].fields if f.name == "op")
    fields = {"op": choices.index(function), "lanes": width}
    for run in runs([target, source], lowering.flow.buffers):
        trip = lowering.trip()
        if from_kind == wide:
            value = trip.value(wide, run.count)
            trip.nodes.append(Read(source.buffer, source.tile + tile, run.starts[1], run.steps[1], run.count, value))
        else:
            chain = Chain(trip, lowering.chip, run.count)
            narrow = chain.read(source.buffer, from_kind, source.tile + tile, run.starts[1], run.steps[1])
            value = chain.operation(f"{wide[0]}mov", [narrow], wide)
        folded = _move(lowering, trip, "reduce", fields, value, run.count)
        trip.nodes.append(Write(target.buffer, target.tile, run.starts[0], run.steps[0], folded, run.count))


def _by_shifts(
    lowering: Lowering,
    source: View,
    from_kind: ElementType,
    wide: ElementType,
    tile: int,
    width: int,
    function: str,
    target: View,
) -> None:
    """Level by level: lane l + h comes to lane l, and is folded in where it is one of the lanes."""
    lanes = lowering.chip.lanes
    part = View(source.buffer, source.leading, source.strides, source.offset, lanes, source.tile + tile)
    twin = lowering.temporary(from_kind, part.shape)
    copy_rows(lowering, part, twin)
    if len(lowering.flow.buffers[part.buffer].segments) > 1:
        # Segments lie in many slices, and the first level's results would have to keep away from all of them.
        part = lowering.temporary(from_kind, twin.shape)
        copy_rows(lowering, twin, part)
    distance = 1 << max(width - 1, 0).bit_length() - 1 if width > 1 else 0
    sides: list[Side] = [s for s in ("w", "e") if lowering.chip.slices("sram", s)]
    while distance:
        mask = lowering.constant((np.arange(lanes) + distance < width).astype(np.int8), "lanes")
        pair = [lowering.temporary(wide, part.shape) for _ in range(2)]
        # One value is written to both, so they lie on one side; the levels take turns, for one side may hold only two such.
        sides.reverse()
        for view in pair:
            lowering.flow.buffers[view.buffer].sides[0, 0] = sides[0]
        _level(lowering, part, twin, mask.broadcast(part.leading), f"{wide[0]}{function}", wide, distance, pair)
        part, twin, width, distance = pair[0], pair[1], distance, distance // 2
    _splat(lowering, part, wide, target)


def _level(
    lowering: Lowering,
    part: View,
    twin: View,
    mask: View,
    mnemonic: str,
    wide: ElementType,
    distance: int,
    pair: list[View],
) -> None:
    """One level. What is shifted and what it is folded into come from two copies, for a slice is read once at a time."""
    buffers = lowering.flow.buffers
    kind = buffers[part.buffer].type
    for run in runs([*pair, part, twin, mask], buffers):
        trip = lowering.trip()
        moving = trip.value(kind, run.count)
        trip.nodes.append(Read(part.buffer, part.tile, run.starts[2], run.steps[2], run.count, moving))
        shifted = _move(lowering, trip, "shift", {"by": -distance}, moving, run.count)
        chain = Chain(trip, lowering.chip, run.count)
        chain.anchor(shifted)
        alone = chain.read(twin.buffer, kind, twin.tile, run.starts[3], run.steps[3])
        both = chain.operation(mnemonic, [alone, shifted], wide)
        takes_part = chain.read(mask.buffer, "i8", mask.tile, run.starts[4], run.steps[4])
        chosen = chain.operation(f"{wide[0]}sel", [takes_part, both, alone], wide)
        for i, into in enumerate(pair):
            trip.nodes.append(Write(into.buffer, into.tile, run.starts[i], run.steps[i], chosen, run.count))


def _splat(lowering: Lowering, part: View, wide: ElementType, target: View) -> None:
    buffers = lowering.flow.buffers
    kind = buffers[part.buffer].type
    for run in runs([target, part], buffers):
        trip = lowering.trip()
        value = trip.value(kind, run.count)
        trip.nodes.append(Read(part.buffer, part.tile, run.starts[1], run.steps[1], run.count, value))
        spread = _move(lowering, trip, "broadcast", {"lane": 0}, value, run.count)
        if kind != wide:
            chain = Chain(trip, lowering.chip, run.count)
            chain.anchor(spread)
            spread = chain.operation(f"{wide[0]}mov", [spread], wide)
        trip.nodes.append(Write(target.buffer, target.tile, run.starts[0], run.steps[0], spread, run.count))
