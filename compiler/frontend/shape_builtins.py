"""Built-ins that move elements or make them: reshape, transpose, concat, split, pad, gather, constants."""

from __future__ import annotations

from math import prod

from compiler.dialects import graph
from compiler.dialects.graph_shapes import Tensor
from compiler.frontend import indexing
from compiler.frontend.builtins import Ints, Parts, builtin
from compiler.frontend.emitter import Emitter
from compiler.frontend.numbers import literal
from compiler.frontend.values import MAX_LIST, AnyValue, TensorValue, check_shape, describe, items
from isa.errors import ModelFault


@builtin
def reshape(e: Emitter, x: TensorValue, shape: Ints) -> AnyValue:
    """One size may be -1: what is left."""
    known = prod(n for n in shape if n != -1)
    if shape.count(-1) == 1 and known > 0 and x.tensor.elements % known == 0:
        shape = tuple(x.tensor.elements // known if n == -1 else n for n in shape)
    if prod(shape) != x.tensor.elements:
        raise ModelFault(f"reshape: {x.tensor} has {x.tensor.elements} elements, {list(shape)} does not")
    return e.reshape(x, shape)


@builtin
def transpose(e: Emitter, x: TensorValue, axes: Ints) -> AnyValue:
    return e.transpose(x, tuple(axis + len(x.shape) if axis < 0 else axis for axis in axes))


@builtin
def broadcast(e: Emitter, x: TensorValue, shape: Ints) -> AnyValue:
    return e.broadcast(x, shape)


def _of_one_type(e: Emitter, what: str, parts: Parts) -> list[TensorValue]:
    """The parts as tensors: lists of numbers take the type of the first tensor."""
    first = next((part for part in parts if isinstance(part, TensorValue)), None)
    if first is None:
        raise ModelFault(f"{what} needs at least one tensor; found {describe(parts)}", hint="f32([…]) makes one")
    return [part if isinstance(part, TensorValue) else e.constant(part, first.type) for part in parts]


@builtin
def concat(e: Emitter, parts: Parts, axis: int = 0) -> AnyValue:
    tensors = _of_one_type(e, "concat", parts)
    return tensors[0] if len(tensors) == 1 else e.emit(graph.ConcatOp, [part.ssa for part in tensors], axis)


@builtin
def stack(e: Emitter, parts: Parts, axis: int = 0) -> AnyValue:
    """Tensors of one shape along a new axis."""
    tensors = _of_one_type(e, "stack", parts)
    rank = len(tensors[0].shape) + 1
    if not -rank <= axis < rank:
        raise ModelFault(f"stack: axis {axis}; the result has {rank} axes")
    at = axis % rank
    rows = [e.reshape(part, (*part.shape[:at], 1, *part.shape[at:])) for part in tensors]
    return concat(e, tuple(rows), at)


@builtin
def split(e: Emitter, x: TensorValue, parts: int, axis: int = -1) -> AnyValue:
    """A list of `parts` equal slices along an axis."""
    rank = len(x.shape)
    if not -rank <= axis < rank:
        raise ModelFault(f"split: axis {axis} of {x.tensor}, which has {rank} axes")
    at = axis % rank
    size, rest = divmod(x.shape[at], parts) if parts > 0 else (0, 1)
    if rest:
        raise ModelFault(f"split: axis {axis} of {x.tensor} does not divide into {parts} equal parts")
    before = (indexing.FULL,) * at
    return tuple(indexing.read(e, x, (*before, indexing.Span(i * size, (i + 1) * size))) for i in range(parts))


@builtin
def pad(e: Emitter, x: TensorValue, widths: AnyValue, value: float = 0.0) -> AnyValue:
    """`widths` is [before, after] for each axis."""
    pairs = [items(pair) for pair in items(widths)]
    amounts = [[n for n in pair if isinstance(n, int)] for pair in pairs]
    if len(amounts) != len(x.shape) or any(len(pair) != 2 or min(pair) < 0 for pair in amounts):
        wanted = ", ".join(["[before, after]"] * min(len(x.shape), 4))
        raise ModelFault(f"pad: 'widths' of {x.tensor} is [{wanted}], none negative; found {describe(widths)}")
    check_shape(Tensor(x.type, tuple(low + n + high for (low, high), n in zip(amounts, x.shape, strict=True))))
    fill = float(literal(value, x.type).item())
    return e.emit(graph.PadOp, x.ssa, [low for low, _ in amounts], [high for _, high in amounts], fill)


@builtin
def gather(e: Emitter, table: TensorValue, index: TensorValue) -> AnyValue:
    return e.emit(graph.GatherOp, table.ssa, index.ssa)


@builtin
def zeros(e: Emitter, type: Tensor) -> AnyValue:
    return full(e, type, 0)


@builtin
def ones(e: Emitter, type: Tensor) -> AnyValue:
    return full(e, type, 1)


@builtin
def full(e: Emitter, type: Tensor, value: AnyValue) -> AnyValue:
    """Every element the number, or a list that broadcasts."""
    if isinstance(value, TensorValue):
        raise ModelFault(f"full: 'value' is a number; found {describe(value)}", hint="broadcast(x, shape) repeats a tensor")
    return e.broadcast(e.constant(value, type.type), check_shape(type).shape)


@builtin
def iota(e: Emitter, type: Tensor, axis: int = -1) -> AnyValue:
    """0, 1, 2, … along an axis."""
    rank = len(check_shape(type).shape)
    if not -rank <= axis < rank:
        raise ModelFault(f"iota: axis {axis} of {type}, which has {rank} axes")
    length = type.shape[axis]
    limit = {"i8": 128, "f16": 2049}.get(type.type, MAX_LIST)
    if length > limit:
        raise ModelFault(f"iota: {type.type} counts exactly up to {limit - 1}; found an axis of {length}")
    row = e.constant(tuple(range(length)), type.type)
    column = e.reshape(row, (length,) + (1,) * (rank - 1 - axis % rank))
    return e.broadcast(column, type.shape)
