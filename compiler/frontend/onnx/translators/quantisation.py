"""Quantised tensors. Scales and zero points stay those of the model: a zero point becomes a subtraction in i32, a product
one of dequantised operands, and the pass `integer-products` makes it exact integers again."""

from __future__ import annotations

import numpy as np

from compiler.dialects import graph
from compiler.frontend.onnx.element_types import UINT8_SHIFT
from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.math import onnx_kind
from compiler.frontend.onnx.translators.movement import normal_axes
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault

NARROW = ("int8", "uint8")
SOURCES = (*NARROW, "int16", "uint16", "int32")
TARGETS = SOURCES[:-1]


def dequantized(e: OnnxEmitter, x: Value, scale: Value, zero: Value | None, axis: int) -> Value:
    """(x - zero) · scale as float32; scale and zero point are one each, or one for each index of `axis`. Raises ModelFault."""
    if x.kind not in SOURCES:
        raise ModelFault(f"the quantised type {x.kind} is not supported", hint=f"{', '.join(SOURCES)} are")
    step = along(e, e.cast(scale, "float32"), x, axis)
    whole = stored(e, x)
    zero = e.constant(np.zeros((), np.dtype(x.kind))) if zero is None else zero
    if (less := stored_zero(zero)).any():
        whole = e.binary("sub", e.cast(whole, "int32"), along(e, e.constant(less), x, axis))
    return e.elementwise(lambda v: graph.DequantizeOp(v[0], v[1]), [whole, step], "float32")


def quantized(e: OnnxEmitter, x: Value, scale: Value, zero: Value, axis: int) -> Value:
    """rne(x / scale) + zero, saturated to the type of the zero point. Raises ModelFault."""
    kind, step, shift = zero.kind, along(e, e.cast(scale, "float32"), x, axis), stored_zero(zero)
    if kind not in TARGETS:
        raise ModelFault(f"the quantised type {kind} is not supported", hint=f"{', '.join(TARGETS)} are")
    if kind == "int8" and not shift.any():
        return e.elementwise(lambda v: graph.QuantizeOp(v[0], v[1]), [x, step], kind)
    whole = e.rounded(e.binary("div", e.cast(x, "float32"), step))
    if shift.any():
        whole = e.binary("add", whole, along(e, e.constant(shift), x, axis))
    if kind in NARROW:
        return e.elementwise(lambda v: graph.CastOp(v[0], "i8"), [whole], kind)
    limits = np.iinfo(np.dtype(kind))
    for fn, limit in (("min", limits.max), ("max", limits.min)):
        whole = e.binary(fn, whole, e.constant(np.asarray(limit, np.int32)))
    return e.renamed(whole, kind)


def along(e: OnnxEmitter, row: Value, x: Value, axis: int) -> Value:
    """A scale or zero point, in a shape that broadcasts to x. Raises ModelFault."""
    if row.rank > 1:
        if row.shape != x.shape:
            raise ModelFault(f"{row} does not fit {x}", hint="quantise a tensor, an axis or blocks of an axis at a time")
        return row
    shape: tuple[int, ...] = ()
    if row.shape not in ((), (1,)):
        (at,) = normal_axes((axis,), x.rank)
        if row.shape[0] != x.shape[at]:
            raise ModelFault(f"{row} does not fit axis {axis} of {x}")
        shape = tuple(row.shape[0] if i == at else 1 for i in range(x.rank))
    if row.array is not None:
        return Value(row.kind, shape, array=row.array.reshape(shape), name=row.name)
    return row if row.shape == shape else e.reshaped(row, shape)


def spread(e: OnnxEmitter, row: Value, x: Value, axis: int, block: int) -> Value:
    """A scale or zero point a block of an axis as one an element of x. Raises ModelFault."""
    (at,) = normal_axes((axis,), x.rank)
    blocks = tuple(-(-n // block) if i == at else n for i, n in enumerate(x.shape))
    if row.shape != blocks:
        raise ModelFault(f"{row} does not fit blocks of {block} along axis {axis} of {x}, which are {list(blocks)}")
    if row.array is not None:
        repeats = row.array.repeat(block, axis=at)[tuple(slice(n) for n in x.shape)]
        return Value(row.kind, x.shape, array=np.ascontiguousarray(repeats), name=row.name)
    split = (*blocks[: at + 1], 1, *blocks[at + 1 :])
    whole = e.broadcasted(e.reshaped(row, split), (*blocks[: at + 1], block, *blocks[at + 1 :]))
    merged = e.reshaped(whole, tuple(n * block if i == at else n for i, n in enumerate(blocks)))
    return merged if merged.shape == x.shape else e.sliced(merged, [0] * x.rank, x.shape)


def parameters(e: OnnxEmitter, call: Call, zero: Value | None) -> tuple[Value, Value | None]:
    """Scale and zero point of QuantizeLinear and DequantizeLinear, blocks spread out."""
    x, scale, axis, block = call.input(0), call.input(1), call.integer("axis", 1), call.integer("block_size", 0)
    if not block:
        return scale, zero
    single = zero is None or zero.shape in ((), (1,))
    return spread(e, scale, x, axis, block), zero if zero is None or single else spread(e, zero, x, axis, block)


def stored_zero(zero: Value) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """A zero point in the numbers that are stored: a uint8 less its shift. Raises ModelFault when it is not known."""
    array = zero.require_known("the zero point").astype(np.int32)
    return array - np.int32(UINT8_SHIFT) if zero.kind == "uint8" else array


def stored(e: OnnxEmitter, x: Value) -> Value:
    """A tensor as the integers that the chip holds."""
    return e.renamed(x, "int8" if x.kind in NARROW else "int32")


@translator("DequantizeLinear")
def dequantize_linear(e: OnnxEmitter, call: Call) -> Value:
    x, kind = call.input(0), call.input(1).kind
    scale, zero = parameters(e, call, call.optional(2))
    return e.cast(dequantized(e, x, scale, zero, call.integer("axis", 1)), kind)


@translator("QuantizeLinear")
def quantize_linear(e: OnnxEmitter, call: Call) -> Value:
    x, zero = call.input(0), call.optional(2)
    if zero is None:
        code = call.integer("output_dtype", 0)
        zero = e.constant(np.zeros((), np.dtype(onnx_kind(code) if code else "uint8")))
    scale, spread_zero = parameters(e, call, zero)
    return quantized(e, x, scale, spread_zero or zero, call.integer("axis", 1))


@translator("MatMulInteger")
def matmul_integer(e: OnnxEmitter, call: Call) -> Value:
    """(a - za) · (b - zb) as int32, za for each row of a, zb for each column of b."""
    a, b = call.input(0), call.input(1)
    one = e.constant(np.ones((), np.float32))
    left, right = dequantized(e, a, one, call.optional(2), -2), dequantized(e, b, one, call.optional(3), -1)
    return e.rounded(e.product(left, right))


@translator("QLinearMatMul")
def qlinear_matmul(e: OnnxEmitter, call: Call) -> Value:
    """The product of two quantised tensors, quantised again; scales of rows of a, of columns of b."""
    left = dequantized(e, call.input(0), call.input(1), call.input(2), -2)
    right = dequantized(e, call.input(3), call.input(4), call.input(5), -1)
    return quantized(e, e.product(left, right), call.input(6), call.input(7), -2)


@translator("DynamicQuantizeLinear")
def dynamic_quantize_linear(e: OnnxEmitter, call: Call) -> list[Value]:
    """To uint8 by the range of x at run time: outputs are y, its scale and its zero point."""
    raise ModelFault(
        "the scale depends on data at run time, and zero points must be known",
        hint="quantise the model statically, or use --precision int8 with --calibrate",
    )
