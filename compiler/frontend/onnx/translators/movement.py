"""Operators that move elements and compute nothing, and those that ask for shapes."""

from __future__ import annotations

from math import prod

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault


@translator("Shape")
def shape(e: OnnxEmitter, call: Call) -> Value:
    """Known at compile time."""
    sizes = np.array(call.input(0).shape, np.int64)
    start, end = call.integer("start", 0), call.integer("end", len(sizes))
    return e.constant(sizes[start:end])


@translator("Size")
def size(e: OnnxEmitter, call: Call) -> Value:
    return e.constant(np.asarray(prod(call.input(0).shape), np.int64))


@translator("Reshape")
def reshape(e: OnnxEmitter, call: Call) -> Value:
    x, wanted = call.input(0), call.integers_of("shape", 1)
    if wanted is None:
        raise ModelFault("the new shape is missing")
    keeps_zero = call.integer("allowzero", 0)
    if not keeps_zero and any(n == 0 and i >= x.rank for i, n in enumerate(wanted)):
        raise ModelFault(f"the new shape {list(wanted)} copies an axis that {x} does not have")
    sizes = [x.shape[i] if n == 0 and not keeps_zero else n for i, n in enumerate(wanted)]
    rest = prod(n for n in sizes if n != -1)
    if sizes.count(-1) == 1 and rest > 0 and prod(x.shape) % rest == 0:
        sizes[sizes.index(-1)] = prod(x.shape) // rest
    if min(sizes, default=1) < 0 or prod(sizes) != prod(x.shape):
        raise ModelFault(f"{x} cannot take the shape {list(wanted)}")
    return e.reshaped(x, sizes)


@translator("Flatten")
def flatten(e: OnnxEmitter, call: Call) -> Value:
    x = call.input(0)
    axis = call.integer("axis", 1)
    if not -x.rank <= axis <= x.rank:
        raise ModelFault(f"axis {axis} of {x}")
    axis = axis + x.rank if axis < 0 else axis
    return e.reshaped(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


@translator("Transpose")
def transpose(e: OnnxEmitter, call: Call) -> Value:
    x = call.input(0)
    return e.transposed(x, call.integers("perm", tuple(reversed(range(x.rank)))))


@translator("Squeeze")
def squeeze(e: OnnxEmitter, call: Call) -> Value:
    x, axes = call.input(0), call.integers_of("axes", 1)
    if axes is None:
        return e.reshaped(x, [n for n in x.shape if n != 1])
    chosen = normal_axes(axes, x.rank)
    if any(x.shape[axis] != 1 for axis in chosen):
        raise ModelFault(f"axes {list(axes)} of {x} are not all of size 1")
    return e.reshaped(x, [n for i, n in enumerate(x.shape) if i not in chosen])


@translator("Unsqueeze")
def unsqueeze(e: OnnxEmitter, call: Call) -> Value:
    x, axes = call.input(0), call.integers_of("axes", 1)
    if axes is None:
        raise ModelFault("the axes are missing")
    rank = x.rank + len(axes)
    chosen = normal_axes(axes, rank)
    old = iter(x.shape)
    return e.reshaped(x, [1 if i in chosen else next(old) for i in range(rank)])


def normal_axes(axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """0 … rank-1, each once. Raises ModelFault."""
    if any(not -rank <= axis < rank for axis in axes):
        raise ModelFault(f"axes {list(axes)} of a tensor of rank {rank}")
    normal = tuple(axis % rank for axis in axes)
    if len(set(normal)) != len(normal):
        raise ModelFault(f"axes {list(axes)} name an axis twice")
    return normal
