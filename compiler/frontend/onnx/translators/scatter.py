"""Elements put at indices that arrive at run time: Scatter*, TensorScatter.

Every update is compared with every place, so that no address is computed: with U updates and P places, what one update says
of one place is an element of a [U, P] mask.
"""

from __future__ import annotations

from math import prod

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, iota, limits, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.indexing import from_start, joint_places, linear_places
from compiler.frontend.onnx.translators.movement import normal_axes
from compiler.frontend.onnx.translators.reductions import product
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault

MOST_PAIRS = 1 << 22
"""Elements of update × place × row."""


def scattered(x: Term, places: Term, updates: Term, reduction: str) -> Term:
    """x [P, row] with updates [U, row] put at places [U]; the last of several updates of a place counts.

    Reductions are none, add, mul, max, min.
    """
    (count, size), number = x.shape, updates.shape[0]
    if number * count * size > MOST_PAIRS:
        raise ModelFault(f"{number} updates of {count} places of {size} elements: more than {MOST_PAIRS} pairs to compare")
    hit = places.reshaped(number, 1, 1).equals(iota(x.e, count, 1, 3))
    new = updates.reshaped(number, 1, size)
    lowest, highest = limits(x.value)
    match reduction:
        case "none":
            order = iota(x.e, number, 0, 3)
            last = hit.where(order, -1).reduce("max", (0,))
            value = (hit & order.equals(last)).where(new, lowest).reduce("max", (0,))
            return (last < 0).reshaped(count, 1).where(x, value.reshaped(count, size))
        case "add":
            return x + hit.where(new, 0).reduce("sum", (0,)).reshaped(count, size)
        case "mul":
            return x * product(hit.where(new, 1), (0,)).reshaped(count, size)
        case "max":
            return x.larger(hit.where(new, lowest).reduce("max", (0,)).reshaped(count, size))
        case "min":
            return x.smaller(hit.where(new, highest).reduce("min", (0,)).reshaped(count, size))
        case _:
            raise ModelFault(f"reduction '{reduction}' must be none, add, mul, max or min")


@translator("ScatterElements", "Scatter")
def scatter_elements(e: OnnxEmitter, call: Call) -> Value:
    x, index, updates = call.input(0), call.input(1), call.input(2)
    (axis,) = normal_axes((call.integer("axis", 0),), x.rank)
    places = linear_places(e, wide(e, index), axis, x.shape)
    number, size = prod(index.shape), prod(x.shape)
    old, new = Term(e, e.reshaped(x, (size, 1))), Term(e, e.reshaped(updates, (number, 1)))
    # One row of all places instead of a place a row: lanes are what the chip has most of.
    if number * size > MOST_PAIRS:
        raise ModelFault(f"{number} updates of {size} elements: more than {MOST_PAIRS} pairs to compare")
    found = scattered(old, places.reshaped(number), new, call.text("reduction", "none"))
    return found.reshaped(*x.shape).value


@translator("ScatterND")
def scatter_nd(e: OnnxEmitter, call: Call) -> Value:
    x, index, updates = call.input(0), call.input(1), call.input(2)
    depth = index.shape[-1]
    rows, row = prod(x.shape[:depth]), prod(x.shape[depth:])
    number = prod(index.shape[:-1])
    places = joint_places(e, wide(e, index), x.shape[:depth]).reshaped(number)
    old, new = Term(e, e.reshaped(x, (rows, row))), Term(e, e.reshaped(updates, (number, row)))
    return scattered(old, places, new, call.text("reduction", "none")).reshaped(*x.shape).value


@translator("TensorScatter")
def tensor_scatter(e: OnnxEmitter, call: Call) -> Value:
    """Rows of a cache from `write_indices[batch]` on, along one axis, in a line or around its end."""
    cache, update = call.input(0), call.input(1)
    (axis,) = normal_axes((call.integer("axis", -2),), cache.rank)
    size, steps = cache.shape[axis], update.shape[axis]
    first = call.optional(2)
    ones = [1] * (cache.rank - 1)
    start = Term(e, e.constant(np.zeros((cache.shape[0], *ones), np.int32)))
    if first is not None:
        start = wide(e, first).reshaped(cache.shape[0], *ones)
    result = Term(e, cache)
    for step in range(steps):
        place = start + step
        if call.text("mode", "linear") == "circular":
            place = (place >= size).where(place - size, place)
        offsets, sizes = [0] * cache.rank, list(update.shape)
        offsets[axis], sizes[axis] = step, 1
        row = Term(e, e.sliced(update, offsets, sizes))
        result = from_start(place, size).equals(iota(e, size, axis, cache.rank)).where(row, result)
    return result.value
