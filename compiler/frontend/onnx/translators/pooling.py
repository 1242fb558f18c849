"""Pools: the largest, the mean or the norm of what a window sees."""

from __future__ import annotations

from functools import reduce
from math import prod

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, limits, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.powers import known_power
from compiler.frontend.onnx.translators.scatter import scattered
from compiler.frontend.onnx.values import Value
from compiler.frontend.onnx.windows import Windows, channels_first, channels_last, image, padded, seen_places, windows_of
from isa.errors import ModelFault


def max_pool_of_windows(e: OnnxEmitter, call: Call, x: Value) -> list[Value]:
    """Over any number of axes; and the flat index of the largest, where it is asked for: the first of equal ones."""
    w = windows_of(call, x.shape[2:], call.integers("kernel_shape"))
    source = padded(e, channels_last(e, x), w, limits(x)[0])
    seen = [Term(e, image(e, source, w, position)) for position in w.positions]
    if not call.wants(1):
        return [channels_first(e, reduce(lambda a, b: a.larger(b), seen).value)]
    best, index = seen[0], None
    for position, candidate in zip(w.positions, seen, strict=True):
        place = Term(e, e.constant(flat_places(x, w, position, call.integer("storage_order", 0))))
        if index is None:
            index = place
            continue
        better = candidate > best
        best, index = better.where(candidate, best), better.where(place, index)
    assert index is not None
    planes = np.arange(prod(x.shape[:2]), dtype=np.int32).reshape(x.shape[:2]) * prod(x.shape[2:])
    total = index + Term(e, e.constant(planes.reshape(x.shape[0], *[1] * (x.rank - 2), x.shape[1])))
    return [channels_first(e, best.value), channels_first(e, total.to("int64").value)]


def flat_places(x: Value, w: Windows, position: tuple[int, ...], column_major: int) -> np.ndarray:
    """Where in its plane each window looks with this position: int32 [1, output…, 1]."""
    spatial = x.shape[2:]
    strides = [prod(spatial[:i]) if column_major else prod(spatial[i + 1 :]) for i in range(len(spatial))]
    grids = np.meshgrid(*seen_places(spatial, w, position), indexing="ij")
    flat = sum(grid * stride for grid, stride in zip(grids, strides, strict=True))
    return np.asarray(flat, np.int32).reshape(1, *w.output, 1)


@translator("AveragePool")
def average_pool(e: OnnxEmitter, call: Call) -> Value:
    """Padding is part of the count with `count_include_pad`; what `ceil_mode` adds never is."""
    x = call.input(0)
    w = windows_of(call, x.shape[2:], call.integers("kernel_shape"))
    source = padded(e, channels_last(e, wide(e, x).value), w)
    total = reduce(lambda a, b: a + b, [Term(e, image(e, source, w, position)) for position in w.positions])
    counts = counted(x, w, bool(call.integer("count_include_pad", 0)))
    return e.cast(channels_first(e, (total * Term(e, e.constant(1 / counts))).value), x.kind)


def counted(x: Value, w: Windows, with_padding: bool) -> np.ndarray:
    """How many elements each window averages: float32 [1, output…, 1]."""
    total = np.zeros(w.output, np.float32)
    for position in w.positions:
        inside = np.ones(w.output, np.bool_)
        for axis, places in enumerate(seen_places(x.shape[2:], w, position)):
            low, high = (w.low[axis], w.high[axis]) if with_padding else (0, 0)
            ok = (places >= -low) & (places < x.shape[2 + axis] + high)
            inside &= ok.reshape([-1 if i == axis else 1 for i in range(len(w.output))])
        total += inside
    return total.reshape(1, *w.output, 1)


@translator("LpPool")
def lp_pool(e: OnnxEmitter, call: Call) -> Value:
    x, p = call.input(0), call.integer("p", 2)
    w = windows_of(call, x.shape[2:], call.integers("kernel_shape"))
    source = padded(e, channels_last(e, powered(abs(wide(e, x)), p).value), w)
    total = reduce(lambda a, b: a + b, [Term(e, image(e, source, w, position)) for position in w.positions])
    return e.cast(channels_first(e, root(total, p).value), x.kind)


def powered(x: Term, p: int) -> Term:
    """x^p for x ≥ 0 and p ≥ 1."""
    found = known_power(x, p)
    return found if found is not None else (x("log") * p)("exp")


def root(x: Term, p: int) -> Term:
    """The p-th root of x ≥ 0."""
    return x if p == 1 else x("sqrt") if p == 2 else (x("log") * (1 / p))("exp")


@translator("GlobalLpPool")
def global_lp_pool(e: OnnxEmitter, call: Call) -> Value:
    x, p = call.input(0), call.integer("p", 2)
    axes = range(2, x.rank)
    return root(powered(abs(wide(e, x)), p).reduce("sum", axes), p).to(x.kind).value


@translator("MaxUnpool")
def max_unpool(e: OnnxEmitter, call: Call) -> Value:
    """Every element back where MaxPool found it, zeros elsewhere; a larger `output_shape` adds zeros at the ends."""
    x, index = call.input(0), call.input(1)
    kernel = call.integers("kernel_shape")
    strides, pads = call.integers("strides", (1,) * len(kernel)), call.integers("pads", (0,) * (2 * len(kernel)))
    spatial = [
        (n - 1) * s - pads[i] - pads[len(kernel) + i] + k
        for i, (n, s, k) in enumerate(zip(x.shape[2:], strides, kernel, strict=True))
    ]
    shape = (*x.shape[:2], *spatial)
    wanted = call.integers_of("output_shape", 2) or shape
    if any(a > b for a, b in zip(shape, wanted, strict=True)):
        raise ModelFault(f"output_shape {list(wanted)} is smaller than {list(shape)}")
    count, size = prod(x.shape), prod(shape)
    zeros = Term(e, e.constant(np.zeros((size, 1), np.dtype(x.kind))))
    updates = Term(e, e.reshaped(x, (count, 1)))
    found = scattered(zeros, wide(e, index).reshaped(count), updates, "none").reshaped(*shape).value
    return e.padded(found, [0] * x.rank, [a - b for a, b in zip(wanted, shape, strict=True)])
