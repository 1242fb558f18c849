"""Reductions over axes, and scans along one."""

from __future__ import annotations

import math
from collections.abc import Callable
from math import prod

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.movement import normal_axes
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault

Reduction = Callable[[Term, tuple[int, ...]], Term]


def log_sum_exp(x: Term, axes: tuple[int, ...]) -> Term:
    """m + ln Σ e^(x - m), m the largest; a largest of ±infinity is not subtracted."""
    largest = x.reduce("max", axes)
    shift = (abs(largest) < math.inf).where(largest, 0.0)
    return (x - shift)("exp").reduce("sum", axes)("log") + shift


def product(x: Term, axes: tuple[int, ...]) -> Term:
    """By halves: as many multiplications in a row as the logarithm of the number of factors."""
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    order = (*axes, *(i for i in range(len(x.shape)) if i not in axes))
    count = prod(x.shape[i] for i in axes)
    x = Term(x.e, x.e.reshaped(x.e.transposed(x.value, order), (count, prod(kept))))
    while count > 1:
        half, odd = count // 2, count % 2
        rows = [Term(x.e, x.e.sliced(x.value, (start, 0), (half, prod(kept)))) for start in (0, half)]
        folded = rows[0] * rows[1]
        if odd:
            rest = x.e.sliced(x.value, (count - 1, 0), (1, prod(kept)))
            folded = Term(x.e, x.e.concatenated([folded.value, rest], 0))
        x, count = folded, half + odd
    return x.reshaped(*kept)


REDUCTIONS: dict[str, Reduction] = {
    "ReduceSum": lambda x, axes: x.reduce("sum", axes),
    "ReduceMean": lambda x, axes: x.reduce("mean", axes),
    "ReduceProd": product,
    "ReduceL1": lambda x, axes: abs(x).reduce("sum", axes),
    "ReduceL2": lambda x, axes: (x * x).reduce("sum", axes)("sqrt"),
    "ReduceSumSquare": lambda x, axes: (x * x).reduce("sum", axes),
    "ReduceLogSum": lambda x, axes: x.reduce("sum", axes)("log"),
    "ReduceLogSumExp": log_sum_exp,
}
"""Of float32 or int32; the axes stay with size 1."""

NEEDS_FLOAT = ("ReduceMean", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp")


def axes_of(call: Call, rank: int) -> tuple[int, ...]:
    """Attribute or input, sorted; all axes where there are none, unless `noop_with_empty_axes` says otherwise."""
    axes = call.integers_of("axes", 1)
    if axes:
        return tuple(sorted(normal_axes(axes, rank)))
    return () if call.integer("noop_with_empty_axes", 0) else tuple(range(rank))


def without_axes(x: Term, axes: tuple[int, ...], keepdims: bool) -> Term:
    return x if keepdims else x.reshaped(*(n for i, n in enumerate(x.shape) if i not in axes))


@translator(*REDUCTIONS)
def reduction(e: OnnxEmitter, call: Call) -> Value:
    x, op = call.input(0), call.node.op
    if op in NEEDS_FLOAT and not x.is_float:
        raise ModelFault(f"{op} of {x.kind} is not supported", hint="convert to float with Cast first")
    axes = axes_of(call, x.rank)
    if not axes and op in ("ReduceSum", "ReduceMean", "ReduceProd"):
        return x
    result = REDUCTIONS[op](wide(e, x), axes)
    return without_axes(result, axes, bool(call.integer("keepdims", 1))).to(x.kind).value


@translator("ReduceMax", "ReduceMin")
def extreme(e: OnnxEmitter, call: Call) -> Value:
    """Of any type: nothing is computed."""
    x = call.input(0)
    axes = axes_of(call, x.rank)
    found = Term(e, x).reduce("max" if call.node.op == "ReduceMax" else "min", axes)
    return without_axes(found, axes, bool(call.integer("keepdims", 1))).value


def shifted(x: Term, axis: int, by: int, fill: float) -> Term:
    """Elements moved `by` places towards higher indices, `fill` where there are none."""
    sizes, low = list(x.shape), [0] * len(x.shape)
    sizes[axis] -= by
    low[axis] = by
    kept = x.e.sliced(x.value, [0] * len(sizes), sizes)
    return Term(x.e, x.e.padded(kept, low, [0] * len(sizes), fill))


def reversed_along(x: Term, axis: int) -> Term:
    from compiler.frontend.onnx.translators.slicing import take

    return Term(x.e, take(x.e, x.value, axis, range(x.shape[axis] - 1, -1, -1)))


@translator("CumSum", "CumProd")
def scan(e: OnnxEmitter, call: Call) -> Value:
    """By doubling: after the step of 2^k every element holds what 2^(k+1) elements up to it give."""
    source, axis_input = call.input(0), call.known(1, "the axis")
    if axis_input is None:
        raise ModelFault("the axis is missing")
    (axis,) = normal_axes((int(axis_input.reshape(-1)[0]),), source.rank)
    x = wide(e, source)
    backwards = bool(call.integer("reverse", 0))
    x = reversed_along(x, axis) if backwards else x
    neutral = 1 if call.node.op == "CumProd" else 0
    size, step = x.shape[axis], 1
    if call.integer("exclusive", 0):
        x = x * 0 + neutral if size == 1 else shifted(x, axis, 1, neutral)
    while step < size:
        before = shifted(x, axis, step, neutral)
        x, step = (x * before if neutral else x + before), 2 * step
    x = reversed_along(x, axis) if backwards else x
    return x.to(source.kind).value
