"""Parts of tensors at places that are known at compile time, and tensors put together."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.movement import normal_axes
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault

MOST_PIECES = 32
"""That a selection is put together from; more are looked up one by one, by rows."""


def empty(e: OnnxEmitter, kind: str, shape: Sequence[int]) -> Value:
    return e.constant(np.zeros(tuple(shape), np.dtype(kind)))


def part(e: OnnxEmitter, x: Value, axis: int, start: int, count: int, step: int = 1) -> Value:
    """`count` elements of an axis, every step-th from `start` on."""
    if count == 0:
        return empty(e, x.kind, [0 if i == axis else n for i, n in enumerate(x.shape)])
    if count == x.shape[axis]:
        return x
    offsets, sizes, strides = [0] * x.rank, list(x.shape), [1] * x.rank
    offsets[axis], sizes[axis], strides[axis] = start, count, step
    return e.sliced(x, offsets, sizes, strides)


def take(e: OnnxEmitter, x: Value, axis: int, indices: Sequence[int]) -> Value:
    """Elements of an axis by known indices, each 0 … size-1."""
    wanted = list(indices)
    if not wanted:
        return part(e, x, axis, 0, 0)
    pieces = rising_runs(wanted)
    if len(pieces) <= MOST_PIECES:
        return e.concatenated([part(e, x, axis, *piece) for piece in pieces], axis)
    first = [axis, *(i for i in range(x.rank) if i != axis)]
    rows = e.gathered(e.transposed(x, first), e.constant(np.array(wanted, np.int32)))
    return e.transposed(rows, [first.index(i) for i in range(x.rank)])


def rising_runs(indices: Sequence[int]) -> list[tuple[int, int, int]]:
    """Indices as (start, count, step) with steps of at least 1, greedily."""
    runs: list[tuple[int, int, int]] = []
    at = 0
    while at < len(indices):
        step = indices[at + 1] - indices[at] if at + 1 < len(indices) else 1
        end = at + 1
        while step > 0 and end < len(indices) and indices[end] - indices[end - 1] == step:
            end += 1
        runs.append((indices[at], end - at, max(step, 1)))
        at = end
    return runs


@translator("Slice")
def slice_(e: OnnxEmitter, call: Call) -> Value:
    """With steps of either sign."""
    x = call.input(0)
    starts, ends = call.integers_of("starts", 1), call.integers_of("ends", 2)
    if starts is None or ends is None:
        raise ModelFault("starts and ends are missing")
    axes = normal_axes(call.integers_of("axes", 3) or tuple(range(len(starts))), x.rank)
    steps = call.integers_of("steps", 4) or (1,) * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step == 0:
            raise ModelFault(f"the step of axis {axis} is 0")
        chosen = range(x.shape[axis])[slice(start, end, step)]
        x = part(e, x, axis, chosen.start, len(chosen), step) if step > 0 else take(e, x, axis, chosen)
    return x


@translator("Split")
def split(e: OnnxEmitter, call: Call) -> list[Value]:
    x = call.input(0)
    (axis,) = normal_axes((call.integer("axis", 0),), x.rank)
    size, sizes = x.shape[axis], call.integers_of("split", 1)
    if sizes is None:
        count = call.integer("num_outputs", call.outputs)
        largest = -(-size // count)
        sizes = tuple(max(0, min(largest, size - i * largest)) for i in range(count))
    if sum(sizes) != size or min(sizes) < 0:
        raise ModelFault(f"axis {axis} of {x} cannot be split into {list(sizes)}")
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [part(e, x, axis, start, count) for start, count in zip(starts, sizes, strict=True)]


@translator("Concat")
def concat(e: OnnxEmitter, call: Call) -> Value:
    parts = call.all_inputs()
    (axis,) = normal_axes((call.integer("axis"),), parts[0].rank)
    full = [x for x in parts if 0 not in x.shape]
    return e.concatenated(full, axis) if full else parts[0]


@translator("Expand")
def expand(e: OnnxEmitter, call: Call) -> Value:
    x, wanted = call.input(0), call.integers_of("shape", 1)
    if wanted is None:
        raise ModelFault("the shape is missing")
    try:
        shape = np.broadcast_shapes(x.shape, wanted)
    except ValueError:
        raise ModelFault(f"{x} does not broadcast to {list(wanted)}") from None
    return e.broadcasted(x, shape)


def repeated(e: OnnxEmitter, x: Value, axis: int, count: int) -> Value:
    """The whole axis, `count` times over."""
    if count == 1:
        return x
    outer, inner = prod(x.shape[:axis]), prod(x.shape[axis:])
    spread = e.broadcasted(e.reshaped(x, (outer, 1, inner)), (outer, count, inner))
    return e.reshaped(spread, [n * count if i == axis else n for i, n in enumerate(x.shape)])


@translator("Tile")
def tile(e: OnnxEmitter, call: Call) -> Value:
    x, counts = call.input(0), call.integers_of("repeats", 1)
    if counts is None or len(counts) != x.rank or min(counts, default=1) < 1:
        raise ModelFault(f"{x} cannot be repeated {counts} times")
    for axis, count in enumerate(counts):
        x = repeated(e, x, axis, count)
    return x


@translator("Compress")
def compress(e: OnnxEmitter, call: Call) -> Value:
    """The condition decides the shape, so it must be known."""
    x, condition = call.input(0), call.known(1, "the condition")
    if condition is None:
        raise ModelFault("the condition is missing")
    chosen = [int(i) for i in np.flatnonzero(condition)]
    if not call.has("axis"):
        return take(e, e.reshaped(x, (prod(x.shape),)), 0, chosen)
    (axis,) = normal_axes((call.integer("axis"),), x.rank)
    return take(e, x, axis, chosen)


@translator("DepthToSpace")
def depth_to_space(e: OnnxEmitter, call: Call) -> Value:
    x, b = call.input(0), call.integer("blocksize")
    n, c, h, w = x.shape
    if call.text("mode", "DCR") == "DCR":
        blocks = e.transposed(e.reshaped(x, (n, b, b, c // (b * b), h, w)), (0, 3, 4, 1, 5, 2))
    else:
        blocks = e.transposed(e.reshaped(x, (n, c // (b * b), b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return e.reshaped(blocks, (n, c // (b * b), h * b, w * b))


@translator("SpaceToDepth")
def space_to_depth(e: OnnxEmitter, call: Call) -> Value:
    x, b = call.input(0), call.integer("blocksize")
    n, c, h, w = x.shape
    blocks = e.reshaped(x, (n, c, h // b, b, w // b, b))
    deep = (0, 3, 5, 1, 2, 4) if call.text("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return e.reshaped(e.transposed(blocks, deep), (n, c * b * b, h // b, w // b))


@translator("Trilu")
def trilu(e: OnnxEmitter, call: Call) -> Value:
    x, known = call.input(0), call.known(1, "k")
    k = 0 if known is None else int(known.reshape(-1)[0])
    ones = np.ones(x.shape[-2:], np.bool_)
    kept = np.triu(ones, k) if call.integer("upper", 1) else np.tril(ones, k)
    return Term(e, e.constant(kept)).where(Term(e, x), 0).value


@translator("EyeLike")
def eye_like(e: OnnxEmitter, call: Call) -> Value:
    """Known at compile time: it depends on a shape alone."""
    from compiler.frontend.onnx.translators.math import onnx_kind

    x = call.input(0)
    kind = onnx_kind(call.integer("dtype")) if call.has("dtype") else x.kind
    return e.constant(np.eye(*x.shape, k=call.integer("k", 0)).astype(np.dtype(kind)))
