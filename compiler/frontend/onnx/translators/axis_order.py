"""Which element of an axis is the largest: ArgMax, ArgMin, Hardmax, TopK. By comparing and counting; nothing is moved."""

from __future__ import annotations

from math import prod

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, iota, limits
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.movement import normal_axes
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault

MOST_COMPARISONS = 1 << 22
"""Of TopK, which compares every element of an axis with every other."""


def index_of_extreme(x: Term, axis: int, fn: str, last: bool) -> Term:
    """int32, the axis with size 1: where the largest (fn max) or smallest is, the first or the last of equal ones."""
    size = x.shape[axis]
    found = x.equals(x.reduce(fn, (axis,)))
    places = iota(x.e, size, axis, len(x.shape))
    return found.where(places, -1).reduce("max", (axis,)) if last else found.where(places, size).reduce("min", (axis,))


@translator("ArgMax", "ArgMin")
def arg_extreme(e: OnnxEmitter, call: Call) -> Value:
    x = Term(e, call.input(0))
    (axis,) = normal_axes((call.integer("axis", 0),), len(x.shape))
    fn = "max" if call.node.op == "ArgMax" else "min"
    index = index_of_extreme(x, axis, fn, bool(call.integer("select_last_index", 0)))
    if not call.integer("keepdims", 1):
        index = index.reshaped(*(n for i, n in enumerate(index.shape) if i != axis))
    return index.to("int64").value


@translator("Hardmax")
def hardmax(e: OnnxEmitter, call: Call) -> Value:
    """1 at the first of the largest, else 0; before operator set 13 over all axes from `axis` on."""
    source = call.input(0)
    x = Term(e, source)
    if call.version < 13:
        (axis,) = normal_axes((call.integer("axis", 1),), source.rank)
        x, axis = x.reshaped(prod(source.shape[:axis]), prod(source.shape[axis:])), 1
    else:
        (axis,) = normal_axes((call.integer("axis", -1),), source.rank)
    index = index_of_extreme(x, axis, "max", last=False)
    chosen = iota(e, x.shape[axis], axis, len(x.shape)).equals(index)
    return chosen.to(source.kind).reshaped(*source.shape).value


@translator("TopK")
def top_k(e: OnnxEmitter, call: Call) -> list[Value]:
    """Values and indices. An element's place is the number of those that go before it: larger ones, and equal earlier ones."""
    x = Term(e, call.input(0))
    k = call.integer("k") if call.has("k") else int(np.asarray(call.input(1).require_known("k")).reshape(-1)[0])
    rank = len(x.shape)
    (axis,) = normal_axes((call.integer("axis", -1),), rank)
    size = x.shape[axis]
    if not 1 <= k <= size:
        raise ModelFault(f"k is {k}; axis {axis} of {x.value} has {size} elements")
    if prod(x.shape) * size > MOST_COMPARISONS:
        raise ModelFault(f"it compares all pairs along axis {axis} of {x.value}: more than {MOST_COMPARISONS} comparisons")
    order = [i for i in range(rank) if i != axis]
    outer = prod(x.shape[i] for i in order)
    rows = Term(e, e.reshaped(e.transposed(x.value, [*order, axis]), (outer, size)))
    mine, others = rows.reshaped(outer, size, 1), rows.reshaped(outer, 1, size)
    before = others > mine if call.integer("largest", 1) else others < mine
    earlier = e.constant(np.tri(size, k=-1, dtype=np.bool_))
    goes_first = before | (others.equals(mine) & Term(e, earlier))
    place = goes_first.to("int32").reduce("sum", (2,)).reshaped(outer, 1, size)
    chosen = place.equals(iota(e, k, 1, 3))
    values = chosen.where(others, limits(x.value)[0]).reduce("max", (2,)).reshaped(outer, k)
    indices = chosen.where(iota(e, size, 2, 3), -1).reduce("max", (2,)).reshaped(outer, k)
    back = [*range(axis), rank - 1, *range(axis, rank - 1)]
    shape = (*(x.shape[i] for i in order), k)
    return [e.transposed(found.reshaped(*shape).value, back) for found in (values, indices.to("int64"))]
