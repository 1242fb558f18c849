"""Folding the lanes of vectors by blocks, on chips that have no lane tree but transpose blocks of 16 × 16 bytes.

What lies on lanes comes into time, where a running fold of the VXM takes it at a vector a cycle. From rows [R, C] of f32 or
i32:
1. *bytes*: tiles are folded lane by lane, and each byte of a word goes to rows of its own, for a lane unit moves 16 rows of
   bytes at once, which must lie in 16 slices;
2. *turned*: SXM `transpose` exchanges 16 rows with the 16 lanes of each block: word 16g + i has in lane 16b + j lane 16b + i of
   row 16g + j. A running fold over the 16 words of a group leaves in lane 16b + j block b of row 16g + j;
3. *partial*: each group's word is read once for each block, and `permute` puts that block in the place of every block. A
   running fold gives the totals of 16 rows, of which the write keeps a block, so that many rows stand side by side in a word;
4. *totals*: the word is read once for each row, and `permute` puts that row's lane into every lane.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compiler.dialects.graph import Tensor
from compiler.lowering.chains import Chain
from compiler.lowering.context import Hint, Lowering
from compiler.lowering.copies import copy_rows
from compiler.lowering.lane_maps import block_places, lane_places, next_lane_side
from compiler.lowering.views import View, runs, view_of
from compiler.scheduling.trip import Buffer, Compute, Read, Write
from isa.chip import Side
from isa.program import Immediate
from isa.spec import BYTES, ElementType
from isa.spec import TRANSPOSE_SPAN as SPAN

_WORDS = BYTES["f32"]

CHUNK_ROWS = 128
"""Rows whose totals stand in one word, so that what follows may begin before the last rows are folded (our choice)."""

LOT_ROWS = 384
"""Rows that share memory on their way; lots can be folded at the same time (our choice)."""

SCRATCH_SETS = 8
"""Lots under way at the same time, as far as memory goes (our choice)."""

_IDENTITY = {"fadd": 0x8000_0000, "fmax": 0xFF80_0000, "fmin": 0x7F80_0000,
             "iadd": 0, "imax": 0x8000_0000, "imin": 0x7FFF_FFFF}  # fmt: skip
_RUNNING = {"fadd": "fsum", "fmax": "fmaxt", "fmin": "fmint", "iadd": "isum", "imax": "imaxt", "imin": "imint"}


@dataclass(frozen=True, slots=True)
class _Lot:
    """Rows first … first + rows - 1 of a fold."""

    first: int
    rows: int

    @property
    def groups(self) -> int:
        return -(-self.rows // SPAN)


def fold_by_blocks(
    lowering: Lowering, source: View, from_kind: ElementType, function: str, target: View, kind: ElementType
) -> None:
    """[…, C] to […, 1] (splat), in the order of `isa.numerics.lane_blocks`. `function` is add, max or min."""
    wide: ElementType = "i32" if from_kind in ("i8", "i32") else "f32"
    mnemonic = f"{wide[0]}{function}"
    chunk_rows = _chunk_rows(lowering)
    blocks = -(-min(lowering.chip.lanes, source.columns) // SPAN)
    count = max(1, -(-source.rows // LOT_ROWS))
    size = -(-source.rows // count // SPAN) * SPAN if count > 1 else source.rows
    for first in range(0, source.rows, size):
        lot = _Lot(first, min(size, source.rows - first))
        lowering.folds_made += 1
        rows = _rows_of_bytes(lowering, lot, "bytes")
        _split(lowering, source, from_kind, mnemonic, wide, lot, rows)
        turned = _rows_of_bytes(lowering, lot, "turned")
        words = _scratch(lowering, "words", wide, lot.groups * SPAN, Hint())
        partial = _scratch(lowering, "partial", wide, lot.groups, Hint(stripes=_WORDS))
        chunks = -(-lot.rows // chunk_rows)
        totals = _scratch(lowering, "totals", wide, chunks, Hint())
        for chunk in range(chunks):
            groups = range(chunk * chunk_rows // SPAN, min(lot.groups, (chunk + 1) * chunk_rows // SPAN))
            side = next_lane_side(lowering)
            _turn(lowering, rows, turned, words, groups)
            _fold_turned(lowering, words, mnemonic, wide, partial, groups)
            # In one direction there may be the map, the words, and at the VXM their totals.
            at_once = max(1, min(lowering.chip.sxm.slots, (lowering.chip.streams - _WORDS) // (2 * _WORDS)))
            for start in range(groups.start, groups.stop, at_once):
                some = range(start, min(groups.stop, start + at_once))
                _fold_blocks(lowering, partial, mnemonic, wide, blocks, totals, chunk, some, side)
        _spread(lowering, lot, totals, wide, target, kind)


def _chunk_rows(lowering: Lowering) -> int:
    return min(CHUNK_ROWS, lowering.chip.lanes)


def _rows_of_bytes(lowering: Lowering, lot: _Lot, name: str) -> list[View]:
    """The rows of a lot, filled up to whole groups, once for each byte of a word."""
    names = [f"{name} {byte}" for byte in range(_WORDS)]
    return [view_of(_scratch(lowering, n, "i8", lot.groups * SPAN, Hint(stripes=SPAN))) for n in names]


def _scratch(lowering: Lowering, name: str, kind: ElementType, rows: int, hint: Hint) -> Buffer:
    """A buffer of whole vectors that folds use in turns: what they pass through memory nobody needs later."""
    turn = lowering.folds_made % SCRATCH_SETS
    key = f"{name} {kind} {rows} {turn}"
    if key not in lowering.scratch:
        lowering.scratch[key] = lowering.buffer(name, Tensor(kind, (rows, lowering.chip.lanes)), "temporary", hint)
    return lowering.scratch[key]


@dataclass(frozen=True, slots=True)
class _Walk:
    """`count` rows of a fold, of the whole from `first` on every `step`; `starts` and `steps` follow the views."""

    first: int
    step: int
    count: int
    starts: tuple[int, ...]
    steps: tuple[int, ...]


def _walks(lowering: Lowering, views: list[View], lot: _Lot, most: int) -> Iterator[_Walk]:
    """Joint walks over the rows of a lot, none across a multiple of `most` rows from its first."""
    buffers = lowering.flow.buffers
    leading = views[0].leading
    number = View(_NUMBERS, leading, views[0].with_leading(leading).strides, 0, 1)
    counted = Buffer(_NUMBERS, (number.rows, 1), "i8", "temporary", "sram", lowering.chip.lanes)
    for run in runs([number, *views], buffers | {_NUMBERS: counted}):
        done = 0
        while done < run.count:
            at = run.starts[0] + done * run.steps[0]
            inside = (at - lot.first) // most if lot.first <= at < lot.first + lot.rows else -1
            reach = done + 1
            while reach < run.count:
                next_at = run.starts[0] + reach * run.steps[0]
                if ((next_at - lot.first) // most if lot.first <= next_at < lot.first + lot.rows else -1) != inside:
                    break
                reach += 1
            if inside >= 0:
                starts = tuple(s + done * d for s, d in zip(run.starts[1:], run.steps[1:], strict=True))
                yield _Walk(at, run.steps[0], reach - done, starts, run.steps[1:])
            done = reach


_NUMBERS = "%numbers of rows"


def _split(
    lowering: Lowering, source: View, from_kind: ElementType, mnemonic: str, wide: ElementType, lot: _Lot, rows: list[View]
) -> None:
    """The bytes of every row, of all tiles folded; lanes that belong to no element change nothing."""
    lanes = lowering.chip.lanes
    if source.columns > lanes or from_kind != wide or source.columns % SPAN:
        joined = view_of(_scratch(lowering, "joined", wide, lot.rows, Hint()))
        for walk in _walks(lowering, [source], lot, LOT_ROWS):
            _join_tiles(lowering, source, from_kind, mnemonic, wide, walk, joined, walk.first - lot.first)
        source, walks = joined, [_Walk(lot.first, 1, lot.rows, (0,), (1,))]
    else:
        walks = list(_walks(lowering, [source], lot, LOT_ROWS))
    for walk in walks:
        whole = View(source.buffer, (walk.count,), (walk.steps[0],), walk.starts[0], lanes, source.tile)
        for byte, target in enumerate(rows):
            into = View(target.buffer, (walk.count,), (walk.step,), walk.first - lot.first, lanes)
            copy_rows(lowering, whole, into, byte)
    missing = lot.groups * SPAN - lot.rows
    if missing:
        zeros = lowering.constant(np.zeros(lanes, np.int8), "zeros")
        for target in rows:
            copy_rows(lowering, zeros.broadcast((missing,)), View(target.buffer, (missing,), (1,), lot.rows, lanes))


def _join_tiles(
    lowering: Lowering,
    source: View,
    from_kind: ElementType,
    mnemonic: str,
    wide: ElementType,
    walk: _Walk,
    target: View,
    row: int,
) -> None:
    """One walk over rows: its tiles lane by lane; what is no element has no part in it."""
    lanes, tiles = lowering.chip.lanes, -(-source.columns // lowering.chip.lanes)
    rest = source.columns - (tiles - 1) * lanes
    trip = lowering.trip()
    chain = Chain(trip, lowering.chip, walk.count)
    total: int | Immediate = Immediate(_IDENTITY[mnemonic])
    for tile in range(tiles):
        part = chain.read(source.buffer, from_kind, source.tile + tile, walk.starts[0], walk.steps[0])
        both = part if tile == 0 else chain.operation(mnemonic, [total, part], wide)
        if tile == tiles - 1 and rest < lanes:
            mask = lowering.constant((np.arange(lanes) < rest).astype(np.int8), "lanes")
            takes_part = chain.read(mask.buffer, "i8", mask.tile, mask.offset, 0)
            both = chain.operation(f"{wide[0]}sel", [takes_part, both, total], wide)
        elif tiles == 1:
            both = chain.operation(f"{wide[0]}mov", [part], wide)
        total = both
    assert not isinstance(total, Immediate)
    trip.nodes.append(Write(target.buffer, 0, row, walk.step, total, walk.count))


def _turn(lowering: Lowering, rows: list[View], turned: list[View], words: Buffer, groups: range) -> None:
    """Rows and the lanes of blocks exchanged, byte by byte, then joined to words again."""
    first = groups.start * SPAN
    for byte, (source, target) in enumerate(zip(rows, turned, strict=True)):
        trip = lowering.trip()
        value = trip.value("i8", len(groups), streams=SPAN)
        trip.nodes.append(Read(source.buffer, 0, first, SPAN, len(groups), value, abreast=SPAN))
        result = trip.value("i8", len(groups), streams=SPAN)
        side = next_lane_side(lowering)
        trip.nodes.append(Compute(f"sxm.{side}", "transpose", (value,), {}, len(groups), 1, result))
        trip.nodes.append(Write(target.buffer, 0, first, SPAN, result, len(groups), abreast=SPAN))
        join = lowering.trip()
        count = len(groups) * SPAN
        passing = join.value("i8", count)
        join.nodes.append(Read(target.buffer, 0, first, 1, count, passing))
        join.nodes.append(Write(words.name, 0, first, 1, passing, count, 1, byte))


def _fold_turned(lowering: Lowering, words: Buffer, mnemonic: str, wide: ElementType, partial: Buffer, groups: range) -> None:
    trip = lowering.trip()
    chain = Chain(trip, lowering.chip, len(groups) * SPAN)
    value = chain.read(words.name, wide, 0, groups.start * SPAN, 1)
    folded = chain.operation(_RUNNING[mnemonic], [value], wide, {"group": SPAN})
    every = SPAN if len(groups) > 1 else 1
    trip.nodes.append(Write(partial.name, 0, groups.start, 1, folded, len(groups), every))


def _fold_blocks(
    lowering: Lowering,
    partial: Buffer,
    mnemonic: str,
    wide: ElementType,
    blocks: int,
    totals: Buffer,
    chunk: int,
    groups: range,
    side: Side,
) -> None:
    """The blocks of every group's word, which lies in a slice of its own, by one walk of the map."""
    trip = lowering.trip()
    places = trip.value("i32", blocks)
    table, start = block_places(lowering, side)
    trip.nodes.append(Read(table, 0, start, 1, blocks, places))
    for group in groups:
        value = trip.value(wide, blocks)
        trip.nodes.append(Read(partial.name, 0, group, 0, blocks, value))
        moved = trip.value(wide, blocks)
        trip.nodes.append(Compute(f"sxm.{side}", "permute", (value, places), {}, blocks, 1, moved))
        chain = Chain(trip, lowering.chip, blocks)
        chain.anchor(moved)
        total = chain.operation(_RUNNING[mnemonic], [moved], wide, {"group": blocks})
        if turn := group - groups.start:
            # They go to the same word, one after the other.
            later = trip.value(wide, 1)
            fields = {"delay": turn - 1} if turn > 1 else {}
            trip.nodes.append(Compute("vxm", f"{wide[0]}mov", (total,), fields, 1, 1, later))
            total = later
        window = ((group - chunk * (_chunk_rows(lowering) // SPAN)) * SPAN, SPAN)
        trip.nodes.append(Write(totals.name, 0, chunk, 1, total, 1, window=window))


def _spread(lowering: Lowering, lot: _Lot, totals: Buffer, wide: ElementType, target: View, kind: ElementType) -> None:
    """Every row's total into all lanes."""
    for walk in _walks(lowering, [target], lot, _chunk_rows(lowering)):
        chunk, row = divmod(walk.first - lot.first, _chunk_rows(lowering))
        side = next_lane_side(lowering)
        trip = lowering.trip()
        table, start = lane_places(lowering, side)
        places = trip.value("i32", walk.count)
        trip.nodes.append(Read(table, 0, start + row, walk.step, walk.count, places))
        value = trip.value(wide, walk.count)
        trip.nodes.append(Read(totals.name, 0, chunk, 0, walk.count, value))
        moved = trip.value(wide, walk.count)
        trip.nodes.append(Compute(f"sxm.{side}", "permute", (value, places), {}, walk.count, 1, moved))
        if kind != wide:
            chain = Chain(trip, lowering.chip, walk.count)
            chain.anchor(moved)
            moved = chain.operation(f"{wide[0]}mov", [moved], kind)
        trip.nodes.append(Write(target.buffer, target.tile, walk.starts[0], walk.steps[0], moved, walk.count))
