"""Functions of a whole axis: softmax and norms."""

from __future__ import annotations

from math import prod

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.movement import normal_axes
from compiler.frontend.onnx.values import Value


@translator("Softmax")
def softmax(e: OnnxEmitter, call: Call) -> Value:
    """Over one axis; before operator set 13 over all axes from `axis` on."""
    x = call.input(0)
    if call.version < 13:
        (axis,) = normal_axes((call.integer("axis", 1),), x.rank)
        rows = e.reshaped(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))
        return e.reshaped(e.softmax(rows), x.shape)
    (axis,) = normal_axes((call.integer("axis", -1),), x.rank)
    swap = list(range(x.rank))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    return e.transposed(e.softmax(e.transposed(x, swap)), swap)
