"""Transposed loads on chips whose planes have none: the lane unit transposes blocks of bytes on their way to the plane.

SXM `transpose` takes 16 vectors of 16-lane blocks and transposes block by block, where it stands. So rows of the matrix are
laid out first such that their blocks stand where the columns of the weights will be: word (b, j) of the *blocks* of a matrix
has, in its block m, lanes 16b … 16b + 15 of row 16m + j. Rows pass a `permute` that puts block b in the place of every block,
b after b, and each of them writes only its own block m. One transpose of the 16 words (b, ·) then gives rows 16b … 16b + 15 of
the transposed matrix. Words lie four to a row of a buffer of i32, for the lane unit moves four byte streams a slot.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np

from compiler.dialects.graph import Tensor
from compiler.lowering.context import Hint, Lowering
from compiler.lowering.copies import copy_rows
from compiler.lowering.lane_maps import BlocksApart, block_places, next_lane_side
from compiler.lowering.views import View
from compiler.scheduling.trip import ALL_BYTES, Buffer, Compute, Load, Read, ReadBlock, Trip, Write
from isa.chip import Chip
from isa.errors import ModelFault
from isa.spec import BYTES
from isa.spec import TRANSPOSE_SPAN as SPAN

_WORDS = BYTES["i32"]


def transposes_loads(chip: Chip) -> bool:
    """Whether a transposed load can be made by the lane units."""
    return (
        {"transpose", "permute"} <= set(chip.sxm.instructions)
        and chip.superlane == SPAN
        and chip.mxm.load_streams >= SPAN
        and all(f"sxm.{p.side}" in chip.units for p in chip.planes)
    )


def require_transposed_loads(chip: Chip) -> None:
    """Raises ModelFault for a chip that has no way to transpose what is made at run time."""
    if not chip.mxm.transposed_load and not transposes_loads(chip):
        raise ModelFault(
            f"chip {chip.name} can neither load transposed weights nor transpose and permute lanes, and the operand is "
            "computed at run time",
            hint="give the operand in the other order, or choose a chip with mxm.transposed_load",
        )


def blocks_of(lowering: Lowering, matrix: View, byte: int = ALL_BYTES, groups: int = 1, width: int = 0) -> str:
    """The blocks of one tile of a matrix [R, C ≤ lanes] of i8, or of one byte column of it: a buffer of i32 [4 · C / 16, R].

    With one row they stand everywhere, so that the weights made of them are alike in every lane. With groups, to which windows
    of `width` columns belong in turn, those of group g are columns g · R … of the weights, and zero in the others': the buffer
    is [4 · C / 16, groups · R].
    """
    lanes = lowering.chip.lanes
    rows = matrix.leading[0]
    if not _laid_in_order(lowering.flow.buffers[matrix.buffer], matrix):
        matrix = _in_order(lowering, matrix, byte)
    count = -(-matrix.columns // SPAN)
    words = Tensor("i32", (count * (SPAN // _WORDS), groups * rows))
    buffer = lowering.buffer("blocks", words, "temporary", Hint(stripes=SPAN // _WORDS))
    side = next_lane_side(lowering)
    table, start = block_places(lowering, side, BlocksApart(groups, width, rows) if groups > 1 else None)
    for block in range(-(-rows // SPAN)):
        tile, lane = divmod(block * SPAN, lanes)
        window = tuple(chain.from_iterable((lane + group * rows, SPAN) for group in range(groups))) if rows > 1 else ()
        trip = lowering.trip()
        places = trip.value("i32", count)
        trip.nodes.append(Read(table, 0, start, 1, count, places))
        for group in range(SPAN // _WORDS):
            first = matrix.offset + block * SPAN + group * _WORDS
            rows_read = trip.value("i32", count)
            trip.nodes.append(Read(matrix.buffer, matrix.tile, first, 0, count, rows_read, abreast=_WORDS))
            moved = trip.value("i32", count)
            trip.nodes.append(Compute(f"sxm.{side}", "permute", (rows_read, places), {}, count, 1, moved))
            trip.nodes.append(Write(buffer.name, tile, group, SPAN // _WORDS, moved, count, window=window))
    return buffer.name


def load_blocks(lowering: Lowering, trip: Trip, blocks: str, tile: int, lane: int, depth: int, planes: tuple[int, ...]) -> None:
    """A load of weights [depth, columns of a tile], made of blocks: row r is lane `lane` + r of the matrix; `lane` is the
    first of a block."""
    count = -(-depth // SPAN)
    words = trip.value("i8", count, streams=SPAN)
    row = lane // SPAN * (SPAN // _WORDS)
    trip.nodes.append(ReadBlock(blocks, tile, row, count * (SPAN // _WORDS), SPAN // _WORDS, words))
    weights = trip.value("i8", count, streams=SPAN)
    side = lowering.chip.planes[planes[0]].side
    trip.nodes.append(Compute(f"sxm.{side}", "transpose", (words,), {}, count, 1, weights))
    trip.nodes.append(Load(planes, weights, "i8", count * SPAN))


def _laid_in_order(buffer: Buffer, matrix: View) -> bool:
    """Whether any 16 rows that belong together can be read at once."""
    return (
        matrix.strides == (1,)
        and buffer.type == "i8"
        and buffer.stripes == SPAN
        and not matrix.leading[0] % SPAN
        and all((matrix.offset - begin) % SPAN == 0 for begin in buffer.segments)
    )


def _in_order(lowering: Lowering, matrix: View, byte: int) -> View:
    """A copy of the rows, or of one byte column of them, in as many stripes as are read at once, filled up with zeros."""
    rows = matrix.leading[0]
    whole = lowering.temporary("i8", (-(-rows // SPAN) * SPAN, matrix.columns), SPAN)
    if rows == 1:
        rows, matrix = SPAN, matrix.broadcast((SPAN,))
    target = replace(whole, leading=(rows,))
    if lowering.flow.buffers[matrix.buffer].type == "i8":
        copy_rows(lowering, matrix, target)
    else:
        copy_rows(lowering, matrix, target, byte)
    rest = whole.leading[0] - rows
    if rest:
        zeros = lowering.constant(np.zeros(matrix.columns, np.int8), "zeros")
        copy_rows(lowering, zeros.broadcast((rest,)), replace(whole, leading=(rest,), offset=rows))
    return whole
