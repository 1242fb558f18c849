"""Scales into the graph: each point becomes quantize and dequantize, each known operand an i8 parameter and dequantize."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_types import source_place, tensor_of
from compiler.quantisation.points import is_known
from compiler.quantisation.ranges import LEVELS
from compiler.transforms.emitter import Emitter
from compiler.transforms.set_precision import depth_axes, open_products
from compiler.weights import WeightStore
from isa.errors import Location, ModelFault

SCALE_CONSTANT_BYTES = 1 << 16
"""Scales up to this size are constants in the IR."""


def insert_scales(module: ModuleOp, scales: Mapping[SSAValue, np.float32], weights: WeightStore) -> None:
    """Every use of a point but outputs sees it quantised, so that it need be kept as i8 only. Raises ModelFault."""
    for value, scale in scales.items():
        assert isinstance(value.owner, Operation)
        emit = Emitter.after(value.owner)
        quantised = emit.add(graph.QuantizeOp(value, emit.f32(scale)))
        seen = emit.add(graph.DequantizeOp(quantised, emit.f32(scale)))
        for use in list(value.uses):
            if not isinstance(use.operation, graph.OutputOp) and use.operation is not quantised.owner:
                use.operation.operands[use.index] = seen
    done: dict[tuple[SSAValue, tuple[int, ...]], SSAValue] = {}
    for product in open_products(module):
        for index, axes in ((0, (-1,)), (1, depth_axes(product))):
            operand = product.operands[index]
            if is_known(operand):
                if (operand, axes) not in done:
                    done[operand, axes] = quantised_constant(operand, axes, weights)
                product.operands[index] = done[operand, axes]


def known_array(value: SSAValue, weights: WeightStore) -> tuple[NDArray[Any], str]:
    """The array of a parameter or constant, and what it is called."""
    owner = value.owner
    if isinstance(owner, graph.ParamOp):
        return weights.get(owner.digest.data), owner.label
    assert isinstance(owner, graph.ConstantOp)
    return owner.array, "constant"


def quantised_constant(value: SSAValue, axes: tuple[int, ...], weights: WeightStore) -> SSAValue:
    """dequantize(i8, scale) in place of a known operand, with a scale for each row or column that the product keeps. `axes`
    are those that it sums over; of the others only the two last ones have scales of their own."""
    assert isinstance(value.owner, Operation)
    array, label = known_array(value, weights)
    rank = len(tensor_of(value).shape)
    summed = {axis % rank for axis in axes} | set(range(rank - 2))
    q, scale = quantise_array(array, sorted(summed), label, source_place(value.owner.location))
    emit = Emitter.after(value.owner)
    stem = f"{label}.i8" + (".rows" if axes == (-1,) else "")
    integer = emit.tensor(q, stem, weights, 0)
    return emit.add(graph.DequantizeOp(integer, emit.tensor(scale, f"{stem}.scale", weights, SCALE_CONSTANT_BYTES)))


def quantise_array(
    array: NDArray[Any], axes: Sequence[int], label: str, place: Location | None
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """i8 and f32 scales (sizes of `axes` 1) with array nearly i8 · scale. Raises ModelFault for what is not finite."""
    wide = array.astype(np.float64)
    if not np.isfinite(wide).all():
        where: list[int] = np.argwhere(~np.isfinite(wide))[0].tolist()
        raise ModelFault(f"parameter '{label}' is not finite ({wide[tuple(where)]} at {where}) and cannot be quantised", place)
    largest = np.abs(wide).max(axis=tuple(axes), keepdims=True)
    scale = np.where(largest > 0, np.maximum(largest / LEVELS, np.finfo(np.float32).tiny), 1.0).astype(np.float32)
    return np.clip(np.rint(wide / scale), -LEVELS, LEVELS).astype(np.int8), scale
