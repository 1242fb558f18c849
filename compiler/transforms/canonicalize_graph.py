"""`canonicalize-graph`: the same program with less in it.

Needs any graph program; leaves one without dead operations, without movement that moves nothing, without pairs of
movements or exact conversions that one can do, and with transposed right operands read transposed by their product. Every
rule keeps every bit, so rules on floats ask whether a NaN with a payload could get in: operations that compute give
canonical NaNs, tensors from outside need not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import tensor_of
from compiler.transforms.emitter import Emitter, erase_dead, replace
from isa.numerics import from_domain, to_domain
from isa.spec import BYTES, ElementType

EXACT: set[tuple[ElementType, ElementType]] = {("i8", "f16"), ("i8", "i32"), ("i8", "f32"), ("f16", "f32")}
"""Conversions that lose nothing."""

COMPUTING = (
    graph.UnaryOp, graph.BinaryOp, graph.WhereOp, graph.CastOp, graph.DequantizeOp, graph.ReduceOp, graph.MatmulOp,
    graph.SoftmaxOp, graph.LayerNormOp, graph.RmsNormOp,
)  # fmt: skip
"""Operations whose float results have canonical NaNs only."""


def _canonical(value: SSAValue) -> bool:
    return tensor_of(value).type[0] == "i" or isinstance(value.owner, COMPUTING)


def _cast(op: graph.CastOp, emit: Emitter) -> SSAValue | None:
    """A conversion to the same type; a conversion of an exact conversion."""
    to = op.tensor.type
    if tensor_of(op.x).type == to:
        return op.x
    inner = op.x.owner
    if isinstance(inner, graph.BinaryOp):
        return _clip(op, inner, emit)
    narrower = BYTES[to] < BYTES[tensor_of(op.x).type]
    splat = isinstance(inner, graph.ReshapeOp) and op.tensor.shape[-1:] == (1,) != tensor_of(inner.x).shape[-1:]
    if splat or (narrower and isinstance(inner, (graph.ReshapeOp, graph.TransposeOp, graph.BroadcastOp))):
        return _moved_after(op, op.x, emit)
    if not isinstance(inner, graph.CastOp):
        return None
    source = tensor_of(inner.x).type
    if (source, inner.tensor.type) not in EXACT or (source == to and not _canonical(inner.x)):
        return None
    return emit.cast(inner.x, to)


def _clip(op: graph.CastOp, inner: graph.BinaryOp, emit: Emitter) -> SSAValue | None:
    """Bounds on a float that is rounded to an integer bound the integer instead, for rounding keeps order: one byte stream on
    the way instead of four. What the integer cannot pass is no bound. A NaN is 0 both ways, if 0 keeps the bound."""
    to, fn = op.tensor.type, inner.fn.data.value
    bounds = [v for v in inner.operands if isinstance(v.owner, graph.ConstantOp)]
    if to not in ("i8", "i32") or inner.tensor.type not in ("f16", "f32") or fn not in ("max", "min") or len(bounds) != 1:
        return None
    bound = bounds[0].owner
    assert isinstance(bound, graph.ConstantOp)
    rounded = from_domain(to_domain(bound.array, "f"), to)
    passed_by_zero = np.all(rounded <= 0) if fn == "max" else np.all(rounded >= 0)
    if np.isnan(bound.array).any() or not passed_by_zero or not inner.result.has_one_use():
        return None
    x = next(v for v in inner.operands if v is not bounds[0])
    limits = np.iinfo(rounded.dtype)
    if np.all(rounded == (limits.min if fn == "max" else limits.max)) and tensor_of(x).shape == op.tensor.shape:
        return emit.cast(x, to)
    return emit.binary(fn, emit.cast(x, to), emit.add(graph.ConstantOp(rounded)))


def _moved_after(op: graph.CastOp | graph.UnaryOp | graph.BinaryOp, x: SSAValue, emit: Emitter) -> SSAValue:
    """The operation on what its operand `x` is a movement of, and then that movement: a view of the operand becomes one of the
    result, and where data has to move it is less."""
    move = x.owner
    assert isinstance(move, (graph.ReshapeOp, graph.TransposeOp, graph.BroadcastOp))
    match op:
        case graph.CastOp():
            value = emit.cast(move.x, op.tensor.type)
        case graph.UnaryOp():
            value = emit.unary(op.fn.data.value, move.x)
        case graph.BinaryOp():
            value = emit.binary(op.fn.data.value, *(move.x if operand is x else operand for operand in op.operands))
    if isinstance(move, graph.TransposeOp):
        return emit.add(graph.TransposeOp(value, move.permutation.get_values()))
    return emit.add(type(move)(value, move.tensor.shape))


def _before_moves(op: graph.UnaryOp | graph.BinaryOp, emit: Emitter) -> SSAValue | None:
    """An operation on every element alike goes before a movement."""
    for x in op.operands:
        move = x.owner
        if not isinstance(move, (graph.ReshapeOp, graph.TransposeOp)) or tensor_of(x).shape != op.tensor.shape:
            continue
        others = [tensor_of(other).shape for other in op.operands if other is not x]
        if all(prod(s) == 1 and len(s) <= len(tensor_of(move.x).shape) for s in others):
            return _moved_after(op, x, emit)
    return None


def _reshape(op: graph.ReshapeOp, emit: Emitter) -> SSAValue | None:
    if tensor_of(op.x) == op.tensor:
        return op.x
    inner = op.x.owner
    return emit.add(graph.ReshapeOp(inner.x, op.tensor.shape)) if isinstance(inner, graph.ReshapeOp) else None


def _transpose(op: graph.TransposeOp, emit: Emitter) -> SSAValue | None:
    order = op.permutation.get_values()
    if list(order) == sorted(order):
        return op.x
    shape = tensor_of(op.x).shape
    moved = [axis for axis in order if shape[axis] != 1]
    if moved == sorted(moved):
        return emit.add(graph.ReshapeOp(op.x, op.tensor.shape))
    inner = op.x.owner
    if not isinstance(inner, graph.TransposeOp):
        return None
    first = inner.permutation.get_values()
    return emit.add(graph.TransposeOp(inner.x, [first[axis] for axis in order]))


def _slice(op: graph.SliceOp, emit: Emitter) -> SSAValue | None:
    if tensor_of(op.x) == op.tensor:
        return op.x
    inner = op.x.owner
    if not isinstance(inner, graph.SliceOp):
        return None
    steps = inner.strides.get_values()
    starts = zip(inner.offsets.get_values(), op.offsets.get_values(), steps, strict=True)
    offsets = [outer + offset * step for outer, offset, step in starts]
    strides = [a * b for a, b in zip(steps, op.strides.get_values(), strict=True)]
    return emit.add(graph.SliceOp(inner.x, offsets, op.sizes.get_values(), strides))


def _take(op: graph.TakeOp, emit: Emitter) -> SSAValue | None:
    """As many columns of what is computed element by element are computed of columns: of one tensor, the others being known or
    alike in all columns. So the rearrangement comes to the product that everything began with."""
    columns = list(op.columns.get_values())
    if columns == list(range(tensor_of(op.x).shape[-1])):
        return op.x
    inner = op.x.owner
    elementwise = isinstance(inner, (graph.UnaryOp, graph.BinaryOp, graph.WhereOp, graph.CastOp))
    if not elementwise or op.tensor.shape != tensor_of(op.x).shape:
        return None
    wide = [o for o in inner.operands if tensor_of(o).shape[-1:] not in ((), (1,))]
    if sum(not isinstance(o.owner, (graph.ConstantOp, graph.ParamOp)) for o in wide) > 1:
        return None
    operands = [emit.add(graph.TakeOp(o, columns)) if o in wide else o for o in inner.operands]
    return emit.add(inner.clone(dict(zip(inner.operands, operands, strict=True))))


def _reduce(op: graph.ReduceOp, emit: Emitter) -> SSAValue | None:
    """What folds only the last axis goes before a reshape that keeps it: so it may leave with what makes its operand."""
    move, shape = op.x.owner, tensor_of(op.x).shape
    if not isinstance(move, graph.ReshapeOp) or tensor_of(move.x).shape[-1:] != shape[-1:]:
        return None
    if op.keepdims is None or tuple(op.axes.get_values()) != (len(shape) - 1,):
        return None
    folded = emit.reduce(op.fn.data.value, move.x, [len(tensor_of(move.x).shape) - 1])
    return emit.add(graph.ReshapeOp(folded, op.tensor.shape))


def _identity(op: graph.PadOp | graph.BroadcastOp, emit: Emitter) -> SSAValue | None:
    return op.x if tensor_of(op.x) == op.tensor else None


def _concat(op: graph.ConcatOp, emit: Emitter) -> SSAValue | None:
    return op.parts[0] if len(op.parts) == 1 else None


def _matmul(op: graph.MatmulOp, emit: Emitter) -> SSAValue | None:
    """A right operand whose last axis became the one before it is read from before that; other axes may have changed too."""
    inner = op.b.owner
    if not isinstance(inner, graph.TransposeOp):
        return None
    order = list(inner.permutation.get_values())
    if len(order) < 2 or order[-2] != len(order) - 1:
        return None
    op.operands[1] = emit.add(graph.TransposeOp(inner.x, [*order[:-2], order[-1], order[-2]]))
    op.transpose_b = None if op.transpose_b else UnitAttr()
    return op.result


def _binary(op: graph.BinaryOp, emit: Emitter) -> SSAValue | None:
    return _elementwise(op, emit) or _before_moves(op, emit)


def _elementwise(op: graph.BinaryOp | graph.WhereOp, emit: Emitter) -> SSAValue | None:
    """An operand that was broadcast first is broadcast by the operation itself, where the others give the shape."""
    shapes = [tensor_of(operand).shape for operand in op.operands]
    for i, operand in enumerate(op.operands):
        inner = operand.owner
        if isinstance(inner, graph.BroadcastOp) and any(s == op.tensor.shape for j, s in enumerate(shapes) if j != i):
            op.operands[i] = inner.x
            return op.results[0]
    return None


Rule = Callable[[Any, Emitter], SSAValue | None]

RULES: dict[type[Operation], Rule] = {
    graph.CastOp: _cast,
    graph.ReshapeOp: _reshape,
    graph.TransposeOp: _transpose,
    graph.SliceOp: _slice,
    graph.TakeOp: _take,
    graph.ReduceOp: _reduce,
    graph.PadOp: _identity,
    graph.BroadcastOp: _identity,
    graph.ConcatOp: _concat,
    graph.MatmulOp: _matmul,
    graph.UnaryOp: _before_moves,
    graph.BinaryOp: _binary,
    graph.WhereOp: _elementwise,
}
"""What to use instead of an operation; its own result if it was changed in place; None if there is nothing to do."""


def _simplify(op: Operation) -> bool:
    rule = RULES.get(type(op))
    value = rule(op, Emitter.before(op)) if rule else None
    if value is None:
        return False
    if value is not op.results[0]:
        replace(op, value)
    return True


@dataclass(frozen=True)
class CanonicalizeGraphPass(ModulePass):
    """Simplify until nothing changes. Inputs and states stay even if unused: they are the program's interface."""

    name = "canonicalize-graph"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        block = main_block(op)
        changed = True
        while changed:
            # No short circuit: each sweep visits every operation.
            changed = any([_simplify(operation) for operation in list(block.ops)])
            changed = erase_dead(list(block.ops), (graph.GraphOp, graph.ConstantOp, graph.ParamOp)) or changed
