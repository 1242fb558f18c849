"""Fourier transforms, as products with known matrices of cosines and sines."""

from __future__ import annotations

from math import prod

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.movement import normal_axes
from compiler.frontend.onnx.translators.slicing import part
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault

MOST_POINTS = 4096


@translator("DFT")
def dft(e: OnnxEmitter, call: Call) -> Value:
    """Of real ([…, 1]) or complex ([…, 2]) signals along one axis, forward or inverse, whole or its first half."""
    x = call.input(0)
    given = call.known(2, "the axis")
    axis = int(given.reshape(-1)[0]) if given is not None else call.integer("axis", 1 if call.version < 20 else -2)
    (axis,) = normal_axes((axis,), x.rank)
    length_input = call.known(1, "the length")
    length = x.shape[axis] if length_input is None else int(length_input.reshape(-1)[0])
    inverse, half = bool(call.integer("inverse", 0)), bool(call.integer("onesided", 0))
    if length > MOST_POINTS or (inverse and half):
        raise ModelFault(f"a transform of {length} points, inverse={inverse}, onesided={half}, is not supported")
    x = fitted(e, wide(e, x).value, axis, length)
    order = [*(i for i in range(x.rank - 1) if i != axis), axis]
    outer, count = prod(x.shape[i] for i in order[:-1]), length // 2 + 1 if half else length
    rows = e.reshaped(e.transposed(x, (*order, x.rank - 1)), (outer, length, x.shape[-1]))
    parts = [e.reshaped(part(e, rows, 2, i, 1), (outer, length)) for i in range(x.shape[-1])]
    turned = fourier(e, parts, length, count, inverse)
    stacked = e.concatenated([e.reshaped(v.value, (outer, count, 1)) for v in turned], 2)
    spread = e.reshaped(stacked, (*(x.shape[i] for i in order[:-1]), count, 2))
    back = [*(order.index(i) for i in range(x.rank - 1)), x.rank - 1]
    return e.cast(e.transposed(spread, back), call.input(0).kind)


def fitted(e: OnnxEmitter, x: Value, axis: int, length: int) -> Value:
    """Cut, or filled up with zeros."""
    if length <= x.shape[axis]:
        return part(e, x, axis, 0, length)
    high = [length - n if i == axis else 0 for i, n in enumerate(x.shape)]
    return e.padded(x, [0] * x.rank, high)


def fourier(e: OnnxEmitter, parts: list[Value], length: int, count: int, inverse: bool) -> tuple[Term, Term]:
    """Real and imaginary part of rows of `length` points, which come as one part or as two."""
    turns = np.outer(np.arange(length), np.arange(count)) % length / length * 2 * np.pi
    scale = 1 / length if inverse else 1.0
    cosines, sines = (np.asarray(f(turns) * scale, np.float32) for f in (np.cos, np.sin))
    sines = sines if inverse else -sines
    c, s = e.constant(cosines), e.constant(sines)
    real, imaginary = Term(e, e.product(parts[0], c)), Term(e, e.product(parts[0], s))
    if len(parts) == 1:
        return real, imaginary
    return real - Term(e, e.product(parts[1], s)), imaginary + Term(e, e.product(parts[1], c))


@translator("STFT")
def stft(e: OnnxEmitter, call: Call) -> Value:
    """Frames of a signal [batch, time, 1 or 2], each by its window, transformed: [batch, frames, bins, 2]."""
    x, window = call.input(0), call.optional(2)
    step_input, length_input = call.known(1, "frame_step"), call.known(3, "frame_length")
    if step_input is None:
        raise ModelFault("frame_step is missing")
    step = int(step_input.reshape(-1)[0])
    length = int(length_input.reshape(-1)[0]) if length_input is not None else (window.shape[0] if window else x.shape[1])
    frames = 1 + (x.shape[1] - length) // step
    count = length // 2 + 1 if call.integer("onesided", 1) else length
    parts: list[Value] = []
    for i in range(x.shape[2]):
        signal = e.reshaped(wide(e, part(e, x, 2, i, 1)).value, x.shape[:2])
        cut = [e.reshaped(part(e, signal, 1, f * step, length), (x.shape[0], 1, length)) for f in range(frames)]
        rows = Term(e, e.reshaped(e.concatenated(cut, 1), (x.shape[0] * frames, length)))
        parts.append((rows if window is None else rows * wide(e, window)).value)
    turned = fourier(e, parts, length, count, inverse=False)
    shape = (x.shape[0], frames, count, 1)
    return e.cast(e.concatenated([e.reshaped(v.value, shape) for v in turned], 3), x.kind)
