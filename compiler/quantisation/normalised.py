"""Norms in int8: what they sum over the last axis becomes integers, whose sums are exact in any order.

They take mean and mean square from their input rounded to int8, by a scale of its own, the largest magnitude seen: rounding
errors of many elements cancel in them, clipped ones would not. What is normalised is rounded to f16 only, as is what normalises
it, for memory has to keep both: f16's step is less than a fifteenth of that of int8. A row that varies less than a step counts
as one that varies as rounding errors do: step² / 12.
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import tensor_of
from compiler.transforms.emitter import Emitter, replace

Norm = graph.LayerNormOp | graph.RmsNormOp

F16_STEPS = (1e-4, 100.0)
"""Steps at which f16 holds a norm's input, should it be five times larger than any seen, and the factors of all its rows."""


def norms(module: ModuleOp) -> list[Norm]:
    """The norms of f32 tensors, in program order."""
    return [op for op in main_block(module).ops if isinstance(op, Norm) and tensor_of(op.x).type == "f32"]


def with_integer_sums(norm: Norm, step: np.float32) -> None:
    """A norm over n columns with q = quantize(x, step), m = sum(q) · (step / n), s = sum(q²) · (step² / n), less m² for a layer
    norm, r = rsqrt(max(s + eps, step² / 12)): (x · r) · gain, or ((x · r - m · r) · gain) + bias, x, r and m · r being f16."""
    emit, columns, wide = Emitter.before(norm), norm.tensor.shape[-1], np.float64(step)
    q = emit.add(graph.QuantizeOp(norm.x, emit.f32(step)))
    whole = emit.cast(q, "i32")
    squares = emit.reduce("sum", emit.binary("mul", whole, whole), [-1])
    spread: SSAValue = emit.add(graph.DequantizeOp(squares, emit.f32(wide * wide / columns)))
    below: SSAValue | None = None
    if isinstance(norm, graph.LayerNormOp):
        below = emit.add(graph.DequantizeOp(emit.reduce("sum", q, [-1]), emit.f32(-wide / columns)))
        spread = emit.binary("sub", spread, emit.binary("mul", below, below))
    spread = emit.binary("add", spread, emit.f32(norm.eps.value.data))
    spread = emit.binary("max", spread, emit.f32(max(wide * wide / 12, np.finfo(np.float32).tiny)))
    root = emit.unary("rsqrt", spread)

    def kept(value: SSAValue) -> SSAValue:
        return emit.cast(emit.cast(value, "f16"), "f32") if F16_STEPS[0] <= step <= F16_STEPS[1] else value

    value = emit.binary("mul", kept(norm.x), kept(root))
    if below is not None:
        value = emit.binary("add", value, kept(emit.binary("mul", below, root)))
    value = emit.binary("mul", value, emit.cast(norm.gain, "f32"))
    if isinstance(norm, graph.LayerNormOp):
        value = emit.binary("add", value, emit.cast(norm.bias, "f32"))
    replace(norm, value)
