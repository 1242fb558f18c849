"""`x[…]` read and written: ranges, single indices and `...` to the offsets, sizes and strides of the graph dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from compiler.dialects import graph
from compiler.frontend.emitter import Emitter
from compiler.frontend.values import AnyValue, TensorValue, describe, is_list, items
from isa.errors import ModelFault


@dataclass(frozen=True, slots=True)
class Span:
    """`start:stop:step` with numbers."""

    start: int | None = None
    stop: int | None = None
    step: int | None = None

    def __str__(self) -> str:
        parts = [str(n) if n is not None else "" for n in (self.start, self.stop)]
        return ":".join(parts) + (f":{self.step}" if self.step is not None else "")


@dataclass(frozen=True, slots=True)
class Rest:
    """`...`"""


Index: TypeAlias = "AnyValue | Span | Rest"
FULL = Span()


@dataclass(frozen=True, slots=True)
class Block:
    """The part of a tensor that indices name. `shape` leaves out the axes of single indices."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    shape: tuple[int, ...]


def block_of(shape: tuple[int, ...], indices: tuple[Index, ...]) -> Block:
    """Raises ModelFault for too many indices and for those that leave the tensor."""
    full = _spread(shape, indices)
    parts = [_along(axis, index, extent) for axis, (index, extent) in enumerate(zip(full, shape, strict=True))]
    offsets, sizes, strides = (tuple(part[i] for part in parts) for i in range(3))
    return Block(offsets, sizes, strides, tuple(n for n, index in zip(sizes, full, strict=True) if isinstance(index, Span)))


def _spread(shape: tuple[int, ...], indices: tuple[Index, ...]) -> tuple[Index, ...]:
    """One index an axis: `...` and missing ones become `:`."""
    rests = [i for i, index in enumerate(indices) if isinstance(index, Rest)]
    if len(rests) > 1:
        raise ModelFault("'...' stands for all axes that are left; it can be there once")
    given = len(indices) - len(rests)
    if given > len(shape):
        raise ModelFault(f"{given} indices for a tensor of {len(shape)} axes, {list(shape)}")
    at = rests[0] if rests else len(indices)
    return (*indices[:at], *[FULL] * (len(shape) - given), *indices[at + 1 :])


def _along(axis: int, index: Index, extent: int) -> tuple[int, int, int]:
    """Offset, size and stride of one index on an axis of `extent` elements."""
    if isinstance(index, Span):
        step = 1 if index.step is None else index.step
        start, stop = (_bound(n, default, extent) for n, default in ((index.start, 0), (index.stop, extent)))
        if step < 1:
            raise ModelFault(f"the step of {index} is {step}; it is at least 1")
        if not 0 <= start < stop <= extent:
            why = "is empty" if 0 <= stop <= start <= extent else "leaves the tensor"
            raise ModelFault(f"the slice {index} {why}: axis {axis} has {extent} elements")
        return start, (stop - start + step - 1) // step, step
    if not isinstance(index, int):
        raise ModelFault(f"an index is an integer, a range or '...'; found {describe_index(index)}")
    if not -extent <= index < extent:
        raise ModelFault(f"index {index} leaves the tensor: axis {axis} has {extent} elements")
    return index % extent, 1, 1


def _bound(value: int | None, default: int, extent: int) -> int:
    if value is None:
        return default
    return value + extent if value < 0 else value


def describe_index(index: Index) -> str:
    return str(index) if isinstance(index, Span) else "'...'" if isinstance(index, Rest) else describe(index)


def read(e: Emitter, x: TensorValue, indices: tuple[Index, ...]) -> TensorValue:
    """`x[indices]`; a tensor as the first index looks up rows of x. Raises ModelFault."""
    if indices and (isinstance(indices[0], TensorValue) or _is_list(indices[0])):
        if any(index != FULL and not isinstance(index, Rest) for index in indices[1:]):
            raise ModelFault("a tensor index looks up whole rows: nothing but ':' may follow it", hint="slice the result")
        _spread(x.shape, indices)
        return e.emit(graph.GatherOp, x.ssa, _rows(e, x, indices[0]).ssa)
    if indices and _is_list(indices[-1]):
        return _columns(e, x, indices)
    block = block_of(x.shape, indices)
    part = x
    if block.sizes != x.shape:
        part = e.emit(graph.SliceOp, x.ssa, block.offsets, block.sizes, block.strides)
    return e.reshape(part, block.shape)


def _columns(e: Emitter, x: TensorValue, indices: tuple[Index, ...]) -> TensorValue:
    """`x[..., [1, 0]]`: columns of the last axis by a list."""
    full = _spread(x.shape, indices)
    if len(full) < len(x.shape) or any(index != FULL for index in full[:-1]):
        raise ModelFault("a list of columns is the last index, and only ':' goes before it", hint="slice the result")
    last = full[-1]
    inside = () if isinstance(last, (Span, Rest)) else items(last)
    return e.emit(graph.TakeOp, x.ssa, [_along(len(full) - 1, column, x.shape[-1])[0] for column in inside])


def _is_list(index: Index) -> bool:
    return not isinstance(index, (Span, Rest)) and is_list(index)


def _rows(e: Emitter, x: TensorValue, index: Index) -> TensorValue:
    """Row numbers as a tensor; those of a list are checked here."""
    if isinstance(index, TensorValue):
        return index
    inside = () if isinstance(index, (Span, Rest)) else items(index)
    rows = tuple(_along(0, row, x.shape[0])[0] for row in inside)
    return e.constant(rows, "i32")


def write(e: Emitter, x: TensorValue, indices: tuple[Index, ...], value: AnyValue) -> TensorValue:
    """x with `x[indices]` replaced by `value`, which broadcasts; a tensor as the first index names rows. Raises ModelFault."""
    if indices and isinstance(indices[0], TensorValue):
        return _write_rows(e, x, indices[0], indices[1:], value)
    block = block_of(x.shape, indices)
    if any(stride != 1 for stride in block.strides):
        raise ModelFault("a slice with a step cannot be assigned to", hint="assign its rows in a for loop")
    source = value if isinstance(value, TensorValue) else e.constant(value, x.type)
    if source.type != x.type:
        raise ModelFault(f"a slice of {x.tensor} cannot take {source.tensor}", hint=f"write {x.type}(…) on the right")
    source = e.reshape(e.broadcast(source, block.shape), block.sizes)
    if block.sizes == x.shape:
        return source
    return e.emit(graph.InsertOp, x.ssa, source.ssa, block.offsets)


def _write_rows(e: Emitter, x: TensorValue, index: TensorValue, rest: tuple[Index, ...], value: AnyValue) -> TensorValue:
    """x with the rows replaced that an i32 tensor names when the program runs."""
    if any(other != FULL and not isinstance(other, Rest) for other in rest):
        raise ModelFault("a tensor index names whole rows: nothing but ':' may follow it")
    _spread(x.shape, (index, *rest))
    source = value if isinstance(value, TensorValue) else e.constant(value, x.type)
    if source.type != x.type:
        raise ModelFault(f"rows of {x.tensor} cannot take {source.tensor}", hint=f"write {x.type}(…) on the right")
    source = e.broadcast(source, (*index.shape, *x.shape[1:]))
    return e.emit(graph.ScatterOp, x.ssa, source.ssa, index.ssa)


def of_list(value: AnyValue, indices: tuple[Index, ...]) -> AnyValue:
    """An item or a part of a list. Raises ModelFault."""
    inside = items(value)
    if not is_list(value) or len(indices) != 1:
        raise ModelFault(f"{describe(value)} has one index; found {len(indices)}")
    index = indices[0]
    offset, size, step = _along(0, index, len(inside))
    return inside[offset : offset + size * step : step] if isinstance(index, Span) else inside[offset]
