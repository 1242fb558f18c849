"""Elements by indices that arrive at run time: Gather*, OneHot, ReverseSequence.

An index outside its axis is an error of the chip when it runs; negative ones count from the end.
"""

from __future__ import annotations

from math import prod

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, iota, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.movement import normal_axes
from compiler.frontend.onnx.translators.slicing import take
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault


def from_start(index: Term, size: int) -> Term:
    """Negative indices counted from the end."""
    return (index < 0).where(index + size, index)


def rows_at(e: OnnxEmitter, table: Value, index: Term, shape: tuple[int, ...]) -> Value:
    """Rows of a [rows, columns] table by flat indices, as a tensor of this shape."""
    found = e.gathered(table, index.reshaped(prod(index.shape)).value)
    return e.reshaped(found, shape)


@translator("Gather")
def gather(e: OnnxEmitter, call: Call) -> Value:
    """Along one axis; the axes of the index take its place."""
    x, index = call.input(0), call.input(1)
    (axis,) = normal_axes((call.integer("axis", 0),), x.rank)
    size = x.shape[axis]
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    if index.known:
        places = index.require_known("the indices").reshape(-1)
        if places.size and (places.min() < -size or places.max() >= size):
            raise ModelFault(f"indices leave axis {axis} of {x}")
        return e.reshaped(take(e, x, axis, [int(i) % size for i in places]), shape)
    front = [axis, *(i for i in range(x.rank) if i != axis)]
    rest = tuple(x.shape[i] for i in front[1:])
    table = e.reshaped(e.transposed(x, front), (size, prod(rest)))
    found = rows_at(e, table, from_start(wide(e, index), size), (*index.shape, *rest))
    order = [*range(index.rank, index.rank + axis), *range(index.rank), *range(index.rank + axis, len(shape))]
    return e.transposed(found, order)


def strides_of(shape: tuple[int, ...]) -> list[int]:
    """Of a row-major tensor, in elements."""
    return [prod(shape[i + 1 :]) for i in range(len(shape))]


def linear_places(e: OnnxEmitter, index: Term, axis: int, shape: tuple[int, ...]) -> Term:
    """Where index[i…] of an axis, at the other axes of its own place, lies in a row-major tensor of this shape."""
    strides = strides_of(shape)
    grids = np.meshgrid(*(np.arange(n) for n in index.shape), indexing="ij")
    base = sum(grid * stride for i, (grid, stride) in enumerate(zip(grids, strides, strict=True)) if i != axis)
    others = np.broadcast_to(np.asarray(base, np.int32), index.shape)
    return from_start(index, shape[axis]) * strides[axis] + Term(e, e.constant(np.ascontiguousarray(others)))


@translator("GatherElements")
def gather_elements(e: OnnxEmitter, call: Call) -> Value:
    x, index = call.input(0), call.input(1)
    (axis,) = normal_axes((call.integer("axis", 0),), x.rank)
    places = linear_places(e, wide(e, index), axis, x.shape)
    return rows_at(e, e.reshaped(x, (prod(x.shape), 1)), places, index.shape)


def joint_places(e: OnnxEmitter, index: Term, shape: tuple[int, ...]) -> Term:
    """The row-major place of each tuple of indices, which the last axis holds, in a tensor of this shape."""
    total: Term | None = None
    for i, stride in enumerate(strides_of(shape)):
        offsets, sizes = [0] * len(index.shape), list(index.shape)
        offsets[-1], sizes[-1] = i, 1
        one = from_start(Term(e, e.sliced(index.value, offsets, sizes)), shape[i]) * stride
        total = one if total is None else total + one
    assert total is not None
    return total.reshaped(*index.shape[:-1])


@translator("GatherND")
def gather_nd(e: OnnxEmitter, call: Call) -> Value:
    x, index, batch = call.input(0), call.input(1), call.integer("batch_dims", 0)
    depth = index.shape[-1]
    looked_up, rest = x.shape[batch : batch + depth], x.shape[batch + depth :]
    places = joint_places(e, wide(e, index), looked_up)
    if batch:
        each = prod(looked_up)
        outer = np.arange(prod(x.shape[:batch]), dtype=np.int32) * each
        places = places + Term(e, e.constant(outer.reshape(*x.shape[:batch], *[1] * (len(places.shape) - batch))))
    table = e.reshaped(x, (prod(x.shape[:batch]) * prod(looked_up), prod(rest)))
    return rows_at(e, table, places, (*index.shape[:-1], *rest))


@translator("ArrayFeatureExtractor", domain="ai.onnx.ml")
def array_feature_extractor(e: OnnxEmitter, call: Call) -> Value:
    """Columns by index."""
    x, index = call.input(0), call.input(1)
    count = prod(index.shape)
    table = e.transposed(e.reshaped(x, (prod(x.shape[:-1]), x.shape[-1])), (1, 0))
    found = rows_at(e, table, wide(e, index), (count, prod(x.shape[:-1])))
    return e.reshaped(e.transposed(found, (1, 0)), (*x.shape[:-1], count))


@translator("OneHot")
def one_hot(e: OnnxEmitter, call: Call) -> Value:
    """`values` is [off, on]; indices outside the depth give no element that is on."""
    index, depth_input, values = call.input(0), call.known(1, "the depth"), call.input(2)
    if depth_input is None:
        raise ModelFault("the depth is missing")
    depth = int(depth_input.reshape(-1)[0])
    (axis,) = normal_axes((call.integer("axis", -1),), index.rank + 1)
    shape = (*index.shape[:axis], 1, *index.shape[axis:])
    places = from_start(wide(e, index).to("int32").reshaped(*shape), depth)
    hot = places.equals(iota(e, depth, axis, len(shape)))
    off, on = (Term(e, e.reshaped(e.sliced(values, (i,), (1,)), (1,) * len(shape))) for i in (0, 1))
    return hot.where(on, off).value


@translator("ReverseSequence")
def reverse_sequence(e: OnnxEmitter, call: Call) -> Value:
    """The first `sequence_lens[b]` steps of every sequence in reverse, the rest as it is."""
    x, lengths = call.input(0), call.input(1)
    time, batch = call.integer("time_axis", 0), call.integer("batch_axis", 1)
    if {time, batch} != {0, 1}:
        raise ModelFault(f"time_axis {time} and batch_axis {batch} must be 0 and 1")
    steps, sequences = x.shape[time], x.shape[batch]
    length = wide(e, lengths).reshaped(*((sequences, 1) if batch == 0 else (1, sequences)))
    step = iota(e, steps, time, 2)
    source = (step < length).where(length - 1 - step, step)
    stride = (sequences, 1) if time == 0 else (1, steps)
    places = source * stride[0] + iota(e, sequences, batch, 2) * stride[1]
    table = e.reshaped(x, (steps * sequences, prod(x.shape[2:])))
    return rows_at(e, table, places, x.shape)
