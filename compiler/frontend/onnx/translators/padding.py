"""Pad in all modes, and CenterCropPad."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.movement import normal_axes
from compiler.frontend.onnx.translators.slicing import part, take
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault


def reflected(place: int, size: int) -> int:
    period = max(2 * (size - 1), 1)
    place %= period
    return min(place, period - place) if size > 1 else 0


SOURCES: dict[str, Callable[[int, int], int]] = {
    "reflect": reflected,
    "edge": lambda place, size: min(max(place, 0), size - 1),
    "wrap": lambda place, size: place % size,
}
"""Which element of an axis of this size stands at a place outside it."""


@translator("Pad")
def pad(e: OnnxEmitter, call: Call) -> Value:
    """Negative amounts cut off. Axes that nothing says are not padded."""
    x, amounts, mode = call.input(0), call.integers_of("pads", 1), call.text("mode", "constant")
    if amounts is None:
        raise ModelFault("the amounts are missing")
    axes = normal_axes(call.integers_of("axes", 3) or tuple(range(x.rank)), x.rank)
    if len(amounts) != 2 * len(axes):
        raise ModelFault(f"{len(amounts)} amounts are given; {len(axes)} axes need {2 * len(axes)}")
    low, high = [0] * x.rank, [0] * x.rank
    for i, axis in enumerate(axes):
        low[axis], high[axis] = amounts[i], amounts[len(axes) + i]
    for axis in range(x.rank):
        cut = -min(low[axis], 0), -min(high[axis], 0)
        if any(cut):
            x = part(e, x, axis, cut[0], x.shape[axis] - sum(cut))
    before, after = [max(n, 0) for n in low], [max(n, 0) for n in high]
    if mode == "constant":
        return constant_pad(e, call, x, before, after)
    if mode not in SOURCES:
        raise ModelFault(f"mode '{mode}' must be constant, {', '.join(SOURCES)}")
    for axis in range(x.rank):
        if before[axis] or after[axis]:
            x = take(e, x, axis, [SOURCES[mode](i, x.shape[axis]) for i in range(-before[axis], x.shape[axis] + after[axis])])
    return x


def constant_pad(e: OnnxEmitter, call: Call, x: Value, before: list[int], after: list[int]) -> Value:
    """With a value that is an attribute (before operator set 11) or an input, known or not."""
    value = call.optional(2)
    if value is None or value.known:
        fill = call.number("value", 0.0) if value is None else value.require_known("the value").reshape(-1)[0].item()
        return e.padded(x, before, after, fill if x.is_float else int(fill))
    inside = np.zeros([b + n + a for b, n, a in zip(before, x.shape, after, strict=True)], np.bool_)
    inside[tuple(slice(b, b + n) for b, n in zip(before, x.shape, strict=True))] = True
    filled = e.broadcasted(e.reshaped(value, (1,) * x.rank), inside.shape)
    return Term(e, e.constant(inside)).where(Term(e, e.padded(x, before, after)), Term(e, filled)).value


@translator("CenterCropPad")
def center_crop_pad(e: OnnxEmitter, call: Call) -> Value:
    """Zeros around what is too small, the middle of what is too large."""
    x, wanted = call.input(0), call.integers_of("shape", 1)
    if wanted is None:
        raise ModelFault("the shape is missing")
    axes = normal_axes(call.integers("axes") if call.has("axes") else tuple(range(x.rank)), x.rank)
    for axis, size in zip(axes, wanted, strict=True):
        extra = size - x.shape[axis]
        if extra < 0:
            x = part(e, x, axis, -extra // 2, size)
        elif extra:
            low, high = [0] * x.rank, [0] * x.rank
            low[axis], high[axis] = extra // 2, extra - extra // 2
            x = e.padded(x, low, high)
    assert prod(x.shape)
    return x
