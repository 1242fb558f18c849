"""Convolution and pooling over [height, width, channels], straight from their definition, and stencils over packed images.

A convolution adds up one product a kernel position, rows first, each in steps of the chip's depth over the channels of the
image: in the float modes this order is part of the definition. The padding of a convolution is zeros, and so are the weights
between groups: with them, too, an infinity gives NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.dialects.graph_stencil import StencilOp
from compiler.layout.window import Window
from compiler.reference.elementwise import binary
from compiler.reference.matmul import SAFE_I8_TERMS, dot_i8, product, step_depth, three_passes
from isa.chip import Chip

Array = NDArray[Any]


def shifted(x: Array, window: Window, height: int, width: int, fill: Any) -> Iterator[tuple[tuple[int, int], Array]]:
    """For each kernel position, rows first, the elements [height, width, C] that it meets."""
    top, left, bottom, right = window.pads
    padded = np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=fill)
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            row, column = ky * window.dilations[0], kx * window.dilations[1]
            rows = slice(row, row + (height - 1) * window.strides[0] + 1, window.strides[0])
            columns = slice(column, column + (width - 1) * window.strides[1] + 1, window.strides[1])
            yield (ky, kx), padded[rows, columns]


def conv2d(x: Array, w: Array, window: Window, groups: int, chip: Chip) -> Array:
    """x [H, W, C] with w [kh, kw, C / groups, N]: i8·i8 → i32, f16·f16 and f16·i8 → f32, f32·f32 → f32 in three f16 passes."""
    if x.dtype == np.float32:
        return three_passes(lambda a, b: conv2d(a, b, window, groups, chip), x, w)
    height, width = window.sizes("conv2d", x.shape[0], x.shape[1])
    images = shifted(x, window, height, width, 0)
    shape = (height, width, w.shape[3])
    safe = x.dtype == np.int8 and w[..., 0].size <= SAFE_I8_TERMS
    if safe and groups == 1:
        windows = np.stack([image for _, image in images], axis=2)
        return dot_i8(windows.reshape(height * width, -1), w.reshape(-1, w.shape[3])).reshape(shape)
    if safe and w.shape[2] == 1:
        repeat = w.shape[3] // x.shape[2]
        terms = (np.repeat(image, repeat, axis=2) * w[ky, kx, 0].astype(np.int32) for (ky, kx), image in images)
        return sum(terms, np.zeros(shape, np.int32))
    depth = step_depth(x, w, chip)
    total: Array | None = None
    for (ky, kx), image in images:
        matrix, part = spread_groups(w[ky, kx], groups), image.reshape(height * width, x.shape[2])
        for first in range(0, x.shape[2], depth):
            dot = product(part[:, first : first + depth], matrix[first : first + depth], chip)
            total = dot if total is None else binary("add", total, dot)
    assert total is not None
    return total.reshape(shape)


def spread_groups(w: Array, groups: int) -> Array:
    """[C / groups, N] as the [C, N] matrix with zeros between the groups."""
    inner, columns = w.shape[0], w.shape[1] // groups
    matrix = np.zeros((inner * groups, w.shape[1]), w.dtype)
    for g in range(groups):
        matrix[g * inner : (g + 1) * inner, g * columns : (g + 1) * columns] = w[:, g * columns : (g + 1) * columns]
    return matrix


def stencil(x: Array, w: Array, op: StencilOp, chip: Chip) -> Array:
    """Block by block, as the operation defines it; what no block reaches is zero."""
    lanes, (row_phases, phases), (row_step, group_step) = op.lanes.value.data, op.phase_counts, op.steps.get_values()
    rows, groups, columns = op.tensor.shape
    tiles = -(-columns // lanes)
    result = np.zeros((rows * groups, tiles, w.shape[2]), np.int32 if x.dtype == np.int8 else np.float32)
    vectors = x.reshape(-1, x.shape[2])
    for number, block in enumerate(op.block_list):
        y, q = np.arange(*block.y)[:, None], np.arange(*block.q)
        source = (block.offset + y * row_step + q * group_step).reshape(-1)
        target = ((y * row_phases + block.phase[0]) * groups + q * phases + block.phase[1]).reshape(-1)
        there = (source >= 0) & (source < len(vectors))
        part = vectors[source[there], block.source * lanes : (block.source + 1) * lanes]
        dot = product(part, w[number, : part.shape[1]], chip)
        result[target[there], block.target] = binary("add", result[target[there], block.target], dot)
    wide = np.zeros((rows * groups, tiles, lanes), result.dtype)
    wide[:, :, : w.shape[2]] = result
    return wide.reshape(rows, groups, tiles * lanes)[:, :, :columns]


def maxpool2d(x: Array, window: Window) -> Array:
    """The largest element of each window of x [H, W, C]; places outside the image do not take part."""
    height, width = window.sizes("maxpool2d", x.shape[0], x.shape[1])
    low = np.iinfo(x.dtype).min if x.dtype.kind == "i" else -np.inf
    return reduce(lambda a, b: binary("max", a, b), (image for _, image in shifted(x, window, height, width, low)))
