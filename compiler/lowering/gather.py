"""Embedding look-up: rows of a table whose numbers are known when the program runs."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from compiler.dialects.graph import GatherOp, Tensor
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.boxes import join_columns, split_columns
from compiler.lowering.chains import Chain
from compiler.lowering.context import Lowering
from compiler.lowering.copies import copy_rows
from compiler.lowering.elementwise import immediate
from compiler.lowering.views import View, runs, view_of
from compiler.scheduling.trip import Buffer, Gather, Read, Write
from isa.chip import Side
from isa.spec import BYTES

COLUMNS_AT_ONCE = 8
"""Byte columns that one trip gathers: each needs a slice to come from and one to go to (our choice)."""


def lower_gather(lowering: Lowering, op: GatherOp) -> None:
    """result[i…, c…] = table[index[i…], c…]: for each byte column, gathers at the row numbers that the index makes."""
    table, table_tensor = _table(lowering, op), tensor_of(op.table)
    entries = table_tensor.shape[0]
    rows_per_entry = table.rows // entries
    index = row_index(lowering, op.index, opposite(table))
    target = lowering.result(op.result)
    # Entries of one element come one a row; the result has them on its lanes.
    scalars = len(table_tensor.shape) == 1
    entry_rows = lowering.temporary(table_tensor.type, (index.rows, 1)) if scalars else target
    for part in range(rows_per_entry):
        numbers = _row_numbers(lowering, index, rows_per_entry, part, opposite(table))
        rows = _entry_rows(entry_rows, index.rows, rows_per_entry, part)
        limit = table.rows
        columns = [(tile, byte) for tile in range(table.tiles) for byte in range(table.bytes)]
        for first in range(0, len(columns), COLUMNS_AT_ONCE):
            _gather(lowering, table, numbers, rows, columns[first : first + COLUMNS_AT_ONCE], limit)
    if scalars:
        join_columns(lowering, entry_rows, target)


def opposite(table: Buffer, segment: int = 0) -> Side:
    """The side of the index, so that it passes the table's slices on its way over the chip."""
    return "e" if table.sides[segment, 0] == "w" else "w"


def _table(lowering: Lowering, op: GatherOp) -> Buffer:
    """The table in one slice for each byte column, all on one side: in RRAM if it is a parameter, else a copy in SRAM."""
    chip = lowering.chip
    tensor = tensor_of(op.table)
    array = lowering.array_of(op.table)
    if len(tensor.shape) == 1 and array is not None:
        array = array.reshape(-1, 1)
    side: Side = "w" if chip.slices("sram", "e") else "e"
    if array is not None and chip.rram and not chip.slices("rram", side):
        side = "e" if side == "w" else "w"
    shape = (tensor.shape[0], 1) if len(tensor.shape) == 1 else tensor.shape
    enough = len(chip.slices("rram", side)) >= BYTES[tensor.type]
    memory = "rram" if array is not None and enough else "sram"
    digest = lowering.weights.add(np.ascontiguousarray(array)) if array is not None else ""
    key = f"table {digest}"
    if digest and key in lowering.constants:
        return lowering.flow.buffers[lowering.constants[key].buffer]
    role = "param" if digest else "temporary"
    buffer = Buffer(getattr(op.table.owner, "label", "table"), shape, tensor.type, role, memory, chip.lanes, digest=digest)
    buffer.sides = {(0, tile): side for tile in range(buffer.tiles)}
    if memory == "rram":
        lowering.room.take_buffer(buffer)
    lowering.add(buffer)
    if digest:
        lowering.constants[key] = view_of(buffer)
        return buffer
    source = lowering.view(op.table)
    if len(tensor.shape) == 1:
        split_columns(lowering, source, view_of(buffer), tensor.shape[0])
    else:
        copy_rows(lowering, source, view_of(buffer))
    return buffer


def row_index(lowering: Lowering, value: SSAValue, side: Side) -> View:
    """An index with one row for each number, on the given side."""
    if (value, side) in lowering.row_numbers:
        return lowering.row_numbers[value, side]
    view = lowering.view(value)
    count = view.rows * view.columns
    buffer = lowering.buffer("index", Tensor("i32", (count, 1)), "temporary")
    buffer.sides = {(segment, 0): side for segment in range(len(buffer.segments))}
    target = view_of(buffer)
    if view.columns == 1:
        copy_rows(lowering, view, target.with_leading(view.leading))
    else:
        split_columns(lowering, view, target, view.columns)
    lowering.row_numbers[value, side] = target
    return target


def _row_numbers(lowering: Lowering, index: View, scale: int, part: int, side: Side) -> View:
    """index · scale + part."""
    if scale == 1:
        return index
    result = lowering.temporary("i32", index.shape)
    numbers = lowering.flow.buffers[result.buffer]
    numbers.sides = {(segment, 0): side for segment in range(len(numbers.segments))}
    for run in runs([index, result], lowering.flow.buffers):
        trip = lowering.trip()
        chain = Chain(trip, lowering.chip, run.count)
        value = chain.read(index.buffer, "i32", 0, run.starts[0], run.steps[0])
        value = chain.operation("imul", [value, immediate(scale, "i")], "i32")
        value = chain.operation("iadd", [value, immediate(part, "i")], "i32")
        trip.nodes.append(Write(result.buffer, 0, run.starts[1], run.steps[1], value, run.count))
    return result


def _entry_rows(target: View, count: int, rows_per_entry: int, part: int) -> View:
    """Row `part` of every looked-up entry; the target is dense."""
    return View(target.buffer, (count,), (rows_per_entry,), target.offset + part, target.columns, target.tile)


def _gather(lowering: Lowering, table: Buffer, numbers: View, rows: View, columns: list[tuple[int, int]], limit: int) -> None:
    """These (tile, byte) columns by one walk over the numbers; RRAM rows are read so far apart that no two meet in a bank."""
    rram = lowering.chip.rram
    every = rram.busy_cycles if table.memory == "rram" and rram else 1
    for run in runs([numbers, rows], lowering.flow.buffers):
        trip = lowering.trip()
        spread = every if run.count > 1 else 1
        index = trip.value("i32", run.count, spread)
        trip.nodes.append(Read(numbers.buffer, 0, run.starts[0], run.steps[0], run.count, index))
        for tile, byte in columns:
            found = trip.value("i8", run.count, spread)
            trip.nodes.append(Gather(table.name, tile, byte, index, limit, run.count, spread, found))
            trip.nodes.append(Write(rows.buffer, rows.tile + tile, run.starts[1], run.steps[1], found, run.count, spread, byte))
