"""Folds over the last axis on chips that have no lane tree: as products, or along time. Bit for bit, for integers are exact
in any order and a product may exchange its operands.

- A sum of i8 is a product with ones, which every lane of its result holds.
- A sum of products of two i8 is one of two digits: v = 254 · high + low, both i8.
- The largest or smallest element of each row of a product a · b is that of each column of the product bᵀ · aᵀ, where rows
  follow each other in time.
"""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_types import tensor_of
from compiler.transforms.emitter import Emitter

BASE = 254
"""The largest even base whose balanced digits are i8: -127 … 127."""


def decompose_fold(op: graph.ReduceOp, emit: Emitter) -> SSAValue | None:
    """What gives the same bits as this fold on any chip; None where it stays."""
    if tuple(op.axes.get_values()) != (len(tensor_of(op.x).shape) - 1,):
        return None
    if op.fn.data != "sum":
        total = _exchanged(op, emit)
    elif tensor_of(op.x).type == "i8":
        total = _sum_of_bytes(op.x, emit)
    else:
        total = _sum_of_digits(op.x, emit) if _product_of_bytes(op.x) else None
    if total is None or op.keepdims is not None:
        return total
    return emit.add(graph.ReshapeOp(total, op.tensor.shape))


def _sum_of_bytes(x: SSAValue, emit: Emitter) -> SSAValue:
    ones = np.ones((tensor_of(x).shape[-1], 1), np.int8)
    return emit.add(graph.MatmulOp(x, emit.add(graph.ConstantOp(ones))))


def _sum_of_digits(x: SSAValue, emit: Emitter) -> SSAValue:
    value = emit.cast(x, "f32")
    high = emit.cast(emit.binary("mul", value, emit.f32(1 / BASE)), "i8")
    low = emit.cast(emit.binary("add", emit.binary("mul", emit.cast(high, "f32"), emit.f32(-BASE)), value), "i8")
    base = emit.add(graph.ConstantOp(np.asarray(BASE, np.int32)))
    return emit.binary("add", emit.binary("mul", _sum_of_bytes(high, emit), base), _sum_of_bytes(low, emit))


def _product_of_bytes(x: SSAValue) -> bool:
    """Whether this is i32(i8) · i32(i8): no more than 2^14, which two digits hold."""
    op = x.owner
    if not isinstance(op, graph.BinaryOp) or op.fn.data != "mul":
        return False
    return all(isinstance(v.owner, graph.CastOp) and tensor_of(v.owner.x).type == "i8" for v in op.operands)


def _exchanged(op: graph.ReduceOp, emit: Emitter) -> SSAValue | None:
    product = op.x.owner
    if not isinstance(product, graph.MatmulOp) or tensor_of(op.x).type != "i32":
        return None
    if len(tensor_of(product.b).shape) != len(tensor_of(product.a).shape):
        return None
    left = product.b if product.transpose_b is not None else _swapped(product.b, emit)
    across = emit.add(graph.MatmulOp(left, product.a, True))
    return _swapped(emit.reduce(op.fn.data.value, across, [-2]), emit)


def _swapped(x: SSAValue, emit: Emitter) -> SSAValue:
    rank = len(tensor_of(x).shape)
    return emit.add(graph.TransposeOp(x, [*range(rank - 2), rank - 1, rank - 2]))
