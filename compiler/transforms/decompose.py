"""`decompose`: composites become the primitive operations that define them.

Needs any graph program; leaves one with input, output, param, constant, state, update, the unary functions of `PRIMITIVE`,
binary without div, where, cast, reduce without mean, matmul without f32 operands, and data movement (convolutions and pools:
`decompose_spatial`). The order of roundings is that of the reference evaluation: f32 throughout, one rounding at the end, so
that every bit stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from compiler.context import chip_of
from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import tensor_of
from compiler.reference.elementwise import HALF, INVERSE_SQRT2, ONE
from compiler.reference.reductions import mean_factor
from compiler.transforms.decompose_folds import decompose_fold
from compiler.transforms.decompose_spatial import decompose_conv2d, decompose_maxpool2d
from compiler.transforms.emitter import Emitter, replace
from compiler.transforms.f16_passes import three_passes
from isa.chip import Chip
from isa.layout import NUMPY_TYPES

PRIMITIVE = ("neg", "abs", "exp", "log", "sqrt", "rsqrt", "recip", "tanh", "erf", "sin", "cos", "atan", "floor", "round")


def _sigmoid(emit: Emitter, x: SSAValue) -> SSAValue:
    grown = emit.binary("add", emit.f32(ONE), emit.unary("exp", emit.unary("neg", x)))
    return emit.unary("recip", grown)


def _gelu(emit: Emitter, x: SSAValue) -> SSAValue:
    grown = emit.binary("add", emit.f32(ONE), emit.unary("erf", emit.binary("mul", x, emit.f32(INVERSE_SQRT2))))
    return emit.binary("mul", emit.binary("mul", x, emit.f32(HALF)), grown)


def _unary(op: graph.UnaryOp, emit: Emitter) -> SSAValue:
    kind = tensor_of(op.x).type
    if op.fn.data == "relu":
        zero = emit.add(graph.ConstantOp(np.zeros((), NUMPY_TYPES[kind])))
        return emit.binary("max", op.x, zero)
    x = emit.cast(op.x, "f32")
    if op.fn.data == "gelu":
        return emit.cast(_gelu(emit, x), kind)
    gate = _sigmoid(emit, x)
    return emit.cast(gate if op.fn.data == "sigmoid" else emit.binary("mul", x, gate), kind)


def _divide(op: graph.BinaryOp, emit: Emitter) -> SSAValue:
    inverse = emit.unary("recip", emit.cast(op.b, "f32"))
    return emit.cast(emit.binary("mul", emit.cast(op.a, "f32"), inverse), op.tensor.type)


def _quantize(op: graph.QuantizeOp, emit: Emitter) -> SSAValue:
    value = emit.cast(op.x, "f32")
    return emit.cast(value if _is_one(op.scale) else emit.binary("mul", value, emit.unary("recip", op.scale)), "i8")


def _dequantize(op: graph.DequantizeOp | graph.RequantizeOp, emit: Emitter) -> SSAValue:
    value = emit.cast(op.x, "f32")
    return emit.cast(value if _is_one(op.scale) else emit.binary("mul", value, op.scale), op.tensor.type)


def _is_one(scale: SSAValue) -> bool:
    constant = scale.owner
    return isinstance(constant, graph.ConstantOp) and constant.array.size == 1 and constant.array.item() == 1


def _mean(op: graph.ReduceOp, emit: Emitter) -> SSAValue:
    axes = op.axes.get_values()
    total = emit.reduce("sum", op.x, axes, op.keepdims is not None)
    count = prod(tensor_of(op.x).shape[axis] for axis in axes)
    return emit.binary("mul", emit.cast(total, "f32"), emit.f32(mean_factor(count)))


def _softmax(op: graph.SoftmaxOp, emit: Emitter) -> SSAValue:
    x = emit.cast(op.x, "f32")
    e = emit.unary("exp", emit.binary("sub", x, emit.reduce("max", x, [-1])))
    weight = emit.unary("recip", emit.reduce("sum", e, [-1]))
    return emit.cast(emit.binary("mul", e, weight), op.tensor.type)


def _mean_square(emit: Emitter, x: SSAValue, factor: SSAValue) -> SSAValue:
    return emit.binary("mul", emit.reduce("sum", emit.binary("mul", x, x), [-1]), factor)


def _layernorm(op: graph.LayerNormOp, emit: Emitter) -> SSAValue:
    x = emit.cast(op.x, "f32")
    factor = emit.f32(mean_factor(op.tensor.shape[-1]))
    d = emit.binary("sub", x, emit.binary("mul", emit.reduce("sum", x, [-1]), factor))
    shifted = emit.binary("add", _mean_square(emit, d, factor), emit.f32(op.eps.value.data))
    scaled = emit.binary("mul", d, emit.unary("rsqrt", shifted))
    gained = emit.binary("mul", scaled, emit.cast(op.gain, "f32"))
    return emit.cast(emit.binary("add", gained, emit.cast(op.bias, "f32")), op.tensor.type)


def _rmsnorm(op: graph.RmsNormOp, emit: Emitter) -> SSAValue:
    x = emit.cast(op.x, "f32")
    factor = emit.f32(mean_factor(op.tensor.shape[-1]))
    shifted = emit.binary("add", _mean_square(emit, x, factor), emit.f32(op.eps.value.data))
    scaled = emit.binary("mul", x, emit.unary("rsqrt", shifted))
    return emit.cast(emit.binary("mul", scaled, emit.cast(op.gain, "f32")), op.tensor.type)


def _matmul(op: graph.MatmulOp, emit: Emitter) -> SSAValue:
    def product(a: SSAValue, b: SSAValue) -> SSAValue:
        return emit.add(graph.MatmulOp(a, b, op.transpose_b is not None))

    if tensor_of(op.a).type == "f16":
        return product(op.a, emit.cast(op.b, "f16"))
    if op.precision and op.precision.data == "f16":
        return product(emit.cast(op.a, "f16"), emit.cast(op.b, "f16"))
    return three_passes(emit, product, op.a, op.b)


Rule = Callable[[Any, Emitter], SSAValue]


def _rule(op: Operation, mixed: bool, chip: Chip | None) -> Rule | None:
    """How to take an operation apart; None for a primitive one."""
    match op:
        case graph.UnaryOp() if op.fn.data not in PRIMITIVE:
            return _unary
        case graph.BinaryOp() if op.fn.data == "div":
            return _divide
        case graph.ReduceOp() if op.fn.data == "mean":
            return _mean
        case graph.MatmulOp():
            kinds = tensor_of(op.a).type, tensor_of(op.b).type
            return _matmul if kinds == ("f32", "f32") or (kinds == ("f16", "i8") and not mixed) else None
        case graph.Conv2dOp():
            return lambda op, emit: decompose_conv2d(op, emit, chip)
        case _:
            return COMPOSITES.get(type(op))


COMPOSITES: dict[type[Operation], Rule] = {
    graph.QuantizeOp: _quantize,
    graph.DequantizeOp: _dequantize,
    graph.RequantizeOp: _dequantize,
    graph.SoftmaxOp: _softmax,
    graph.LayerNormOp: _layernorm,
    graph.RmsNormOp: _rmsnorm,
    graph.MaxPool2dOp: decompose_maxpool2d,
}


@dataclass(frozen=True)
class DecomposePass(ModulePass):
    """Composite operations → primitive ones, bit for bit. On a chip without the mode i8f16, i8 weights of f16 products
    become f16."""

    name = "decompose"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip = chip_of(ctx)
        mixed = chip is None or "i8f16" in chip.mxm.modes
        for operation in list(main_block(op).ops):
            rule = _rule(operation, mixed, chip)
            if rule is not None:
                replace(operation, rule(operation, Emitter.before(operation)))
        folds = [operation for operation in main_block(op).ops if isinstance(operation, graph.ReduceOp)]
        for fold in folds if chip is not None and chip.fold_block else ():
            folded = decompose_fold(fold, Emitter.before(fold))
            if folded is not None:
                replace(fold, folded)
