"""Rows of a tensor replaced at numbers known when the program runs: in place where nobody needs the old tensor any more."""

from __future__ import annotations

from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, SSAValue

from compiler.dialects.graph import ScatterOp, StateOp, UpdateOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.chains import Chain
from compiler.lowering.context import Lowering
from compiler.lowering.copies import copy_rows
from compiler.lowering.elementwise import immediate
from compiler.lowering.fusion import VIEWS
from compiler.lowering.gather import opposite, row_index
from compiler.lowering.views import View, runs, view_of
from compiler.scheduling.trip import Buffer, Read, Scatter, Write
from isa.chip import Side
from isa.errors import ModelFault
from isa.spec import BYTES


def lower_scatter(lowering: Lowering, op: ScatterOp) -> None:
    """result = x with result[index[i]] = rows[i]. Raises ModelFault for a vector, whose elements lie on lanes."""
    tensor = tensor_of(op.x)
    if len(tensor.shape) < 2:
        raise ModelFault(
            f"scatter: the elements of {tensor} lie on lanes, only rows can be written at numbers known at run time",
            hint="write where(iota(…) == index, value, x), or give the tensor a second axis",
        )
    buffer = _target(lowering, op)
    target = view_of(buffer)
    lowering.views[op.result] = target
    per_entry = target.rows // tensor.shape[0]
    rows = lowering.view(op.rows)
    rows = rows if rows.dense else _compact(lowering, op.rows, rows)
    count = rows.rows // per_entry
    _choose_sides(lowering, buffer)
    for segment in range(len(buffer.segments)):
        far = opposite(buffer, segment)
        index = row_index(lowering, op.index, far)
        near_rows = _on_side(lowering, op.rows, rows, far)
        # What comes from the other side comes from as many slices at once; a quarter of them is left for everything else.
        room = len(lowering.chip.slices("sram", far)) * 3 // 4 - buffer.bytes
        together = max(1, min(room, lowering.chip.streams - buffer.bytes) // BYTES["i32"])
        for part in range(per_entry):
            each = View(near_rows.buffer, (count,), (per_entry,), near_rows.offset + part, near_rows.columns, near_rows.tile)
            words = [_words(lowering, index, buffer, segment, per_entry, part, stripe) for stripe in range(buffer.stripes)]
            for first in range(0, buffer.stripes, together):
                _scatter(lowering, buffer, segment, each, dict(enumerate(words[first : first + together], first)))


def updated_in_place(op: ScatterOp) -> str:
    """The state whose memory the scatter may write straight into, or empty.

    Safe where what is scattered into is the state itself, possibly after other such scatters, the result becomes the state's
    next value, and nobody reads the old value or a view of it after the scatter: trips keep program order where they touch the
    same words.
    """
    label = _state_of(op.x)
    return label if label and _becomes(op.result) == label and not _read_after(op.x, op) else ""


def _state_of(value: SSAValue) -> str:
    maker = value.owner
    if isinstance(maker, StateOp):
        return maker.label
    return updated_in_place(maker) if isinstance(maker, ScatterOp) else ""


def _becomes(value: SSAValue) -> str:
    """The state that the value, or what further scatters make of it, is the next value of."""
    for use in value.uses:
        if isinstance(use.operation, UpdateOp):
            return use.operation.label
        if isinstance(use.operation, ScatterOp) and use.operation.x == value and (label := _becomes(use.operation.result)):
            return label
    return ""


def _read_after(value: SSAValue, op: Operation) -> bool:
    for use in value.uses:
        user = use.operation
        if user is op:
            if isinstance(op, ScatterOp) and op.rows == value:
                return True
            continue
        if isinstance(user, ReturnOp) or not user.is_before_in_block(op):
            return True
        if isinstance(user, VIEWS) and _read_after(user.results[0], op):
            return True
    return False


def _target(lowering: Lowering, op: ScatterOp) -> Buffer:
    view = lowering.view(op.x)
    buffer = lowering.flow.buffers[view.buffer]
    if updated_in_place(op) and view == view_of(buffer):
        return buffer
    target = lowering.result(op.result)
    copy_rows(lowering, view, target)
    return lowering.flow.buffers[target.buffer]


def _choose_sides(lowering: Lowering, buffer: Buffer) -> None:
    """One side for all tiles of a segment; where it is open, the sides take turns."""
    if buffer.stripes & (buffer.stripes - 1) or any(first % buffer.stripes for first in buffer.segments):
        raise ModelFault(f"'{buffer.name}' has too many rows to be written at numbers known at run time")
    for segment in range(len(buffer.segments)):
        side: Side = "e" if (len(lowering.scattered) + segment) % 2 else "w"
        side = buffer.sides.get((segment, 0), side)
        if not lowering.chip.slices("sram", side):
            side = "w" if side == "e" else "e"
        buffer.sides |= {(segment, tile): side for tile in range(buffer.tiles)}
    buffer.spare_words = 1 if buffer.stripes > 1 or len(buffer.segments) > 1 else 0
    lowering.scattered.add(buffer.name)


def _on_side(lowering: Lowering, value: SSAValue, rows: View, side: Side) -> View:
    """The rows on the other side of the VXM than the target, so that they and the index pass all its slices the same way: those
    that others read too as a copy, which leaves them free to lie elsewhere."""
    buffer = lowering.flow.buffers[rows.buffer]
    groups = [(segment, tile) for segment in range(len(buffer.segments)) for tile in range(buffer.tiles)]
    alone = len(list(value.uses)) == 1
    if alone and buffer.role == "temporary" and all(buffer.sides.get(group, side) == side for group in groups):
        buffer.sides |= {group: side for group in groups}
        return rows
    apart = lowering.temporary(tensor_of(value).type, rows.shape)
    copy = lowering.flow.buffers[apart.buffer]
    copy.sides = {(segment, tile): side for segment in range(len(copy.segments)) for tile in range(copy.tiles)}
    copy_rows(lowering, rows, apart)
    return apart


def _compact(lowering: Lowering, value: SSAValue, view: View) -> View:
    target = lowering.temporary(tensor_of(value).type, view.shape)
    copy_rows(lowering, view, target)
    return target


def _words(lowering: Lowering, index: View, buffer: Buffer, segment: int, per_entry: int, part: int, stripe: int) -> View:
    """The word within a stripe of a segment for each row number: the spare one where the row belongs elsewhere."""
    stripes = buffer.stripes
    if stripes == 1 and per_entry == 1 and len(buffer.segments) == 1:
        return index
    spare = buffer.words_per_place(segment) - 1
    first_row, end_row = buffer.segments[segment], buffer.segments[segment] + buffer.segment_rows(segment)
    key = (index.buffer, per_entry, part, stripe, stripes, spare, first_row, end_row)
    if key in lowering.scatter_words:
        return lowering.scatter_words[key]
    target = lowering.temporary("i32", index.shape)
    place = lowering.flow.buffers[target.buffer]
    side = opposite(buffer, segment)
    place.sides = {(number, 0): side for number in range(len(place.segments))}
    for run in runs([index, target], lowering.flow.buffers):
        trip = lowering.trip()
        chain = Chain(trip, lowering.chip, run.count)
        value = chain.read(index.buffer, "i32", 0, run.starts[0], run.steps[0])
        if per_entry > 1:
            value = chain.operation("imul", [value, immediate(per_entry, "i")], "i32")
            value = chain.operation("iadd", [value, immediate(part, "i")], "i32")
        word = chain.operation("isub", [value, immediate(first_row, "i")], "i32") if first_row else value
        if stripes > 1:
            at = chain.operation("iand", [word, immediate(stripes - 1, "i")], "i32")
            mine = chain.operation("ieq", [at, immediate(stripe, "i")], "i32")
            word = chain.operation("ishr", [word, immediate(stripes.bit_length() - 1, "i")], "i32")
            word = chain.operation("isel", [mine, word, immediate(spare, "i")], "i32")
        if first_row:
            before = chain.operation("ilt", [value, immediate(first_row, "i")], "i8")
            word = chain.operation("isel", [before, immediate(spare, "i"), word], "i32")
        if end_row < buffer.rows:
            inside = chain.operation("ilt", [value, immediate(end_row, "i")], "i8")
            word = chain.operation("isel", [inside, word, immediate(spare, "i")], "i32")
        trip.nodes.append(Write(target.buffer, 0, run.starts[1], run.steps[1], word, run.count))
    lowering.scatter_words[key] = target
    return target


def _scatter(lowering: Lowering, buffer: Buffer, segment: int, rows: View, words: dict[int, View]) -> None:
    """Rows past the words of several stripes of a segment, each of which takes those that it is told to."""
    limit = buffer.words_per_place(segment)
    numbers = [view.with_leading((view.rows,)) for view in words.values()]
    for run in runs([rows, *numbers], lowering.flow.buffers):
        for tile in range(buffer.tiles):
            trip = lowering.trip()
            source = trip.value(buffer.type, run.count)
            trip.nodes.append(Read(rows.buffer, rows.tile + tile, run.starts[0], run.steps[0], run.count, source))
            for (stripe, view), start, step in zip(words.items(), run.starts[1:], run.steps[1:], strict=True):
                index = trip.value("i32", run.count)
                trip.nodes.append(Read(view.buffer, 0, start, step, run.count, index))
                trip.nodes.append(Scatter(buffer.name, segment, tile, stripe, index, source, limit, run.count))
