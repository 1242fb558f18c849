"""Convolution and pooling over [height, width, channels], straight from their definition.

A convolution adds up one product a kernel position, rows first, each in steps of the chip's depth over the channels of the
image: in the float modes this order is part of the definition. Positions in the padding add nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.dialects.graph_spatial import Window
from compiler.reference.elementwise import binary
from compiler.reference.matmul import SAFE_I8_TERMS, dot_i8, product, step_depth
from isa.chip import Chip
from isa.layout import NUMPY_TYPES

Array = NDArray[Any]


def _reach(window: Window, axis: int, tap: int, size: int, count: int) -> tuple[slice, slice]:
    """Results along an axis that a kernel position reaches inside the image, and the places it reads for them."""
    step, shift = window.strides[axis], tap * window.dilations[axis] - window.pads[axis]
    first = max(0, -(shift // step))
    end = min(count, (size - 1 - shift) // step + 1)
    end = max(first, end)
    return slice(first, end), slice(first * step + shift, max(0, (end - 1) * step + shift + 1), step)


def conv2d(x: Array, w: Array, window: Window, groups: int, chip: Chip) -> Array:
    """x [H, W, C] with w [kh, kw, C / groups, N]: i8·i8 → i32, f16·f16 and f16·i8 → f32."""
    height, width = window.sizes("conv2d", x.shape[0], x.shape[1])
    kind = "i32" if x.dtype == np.int8 else "f32"
    total = np.zeros((height, width, w.shape[3]), NUMPY_TYPES[kind])
    if kind == "i32" and w[..., 0].size * groups <= SAFE_I8_TERMS and groups == 1:
        return _gathered(x, w, window, total)
    if kind == "i32" and w.shape[2] == 1:
        return _depthwise(x, w, window, total)
    depth = step_depth(x, w, chip)
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            rows, from_rows = _reach(window, 0, ky, x.shape[0], height)
            columns, from_columns = _reach(window, 1, kx, x.shape[1], width)
            part = x[from_rows, from_columns].reshape(-1, x.shape[2])
            if not len(part):
                continue
            matrix = spread_groups(w[ky, kx], groups)
            for first in range(0, x.shape[2], depth):
                dot = product(part[:, first : first + depth], matrix[first : first + depth], chip)
                here = total[rows, columns]
                total[rows, columns] = binary("add", here, dot.reshape(here.shape))
    return total


def spread_groups(w: Array, groups: int) -> Array:
    """[C / groups, N] as the [C, N] matrix with zeros between the groups."""
    inner, columns = w.shape[0], w.shape[1] // groups
    matrix = np.zeros((inner * groups, w.shape[1]), w.dtype)
    for g in range(groups):
        matrix[g * inner : (g + 1) * inner, g * columns : (g + 1) * columns] = w[:, g * columns : (g + 1) * columns]
    return matrix


def _depthwise(x: Array, w: Array, window: Window, total: Array) -> Array:
    """One channel of the image a group: products without sums over channels."""
    repeated = np.repeat(x, w.shape[3] // x.shape[2], axis=2).astype(np.int32)
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            rows, from_rows = _reach(window, 0, ky, x.shape[0], total.shape[0])
            columns, from_columns = _reach(window, 1, kx, x.shape[1], total.shape[1])
            total[rows, columns] += repeated[from_rows, from_columns] * w[ky, kx, 0].astype(np.int32)
    return total


def _gathered(x: Array, w: Array, window: Window, total: Array) -> Array:
    """All positions of a window side by side, and one exact product: no order of adding can be seen."""
    height, width = total.shape[:2]
    windows = np.zeros((height, width, *w.shape[:3]), np.int8)
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            rows, from_rows = _reach(window, 0, ky, x.shape[0], height)
            columns, from_columns = _reach(window, 1, kx, x.shape[1], width)
            windows[rows, columns, ky, kx] = x[from_rows, from_columns]
    return dot_i8(windows.reshape(height * width, -1), w.reshape(-1, w.shape[3])).reshape(total.shape)


def maxpool2d(x: Array, window: Window) -> Array:
    """The largest element of each window of x [H, W, C]; places outside the image do not take part."""
    height, width = window.sizes("maxpool2d", x.shape[0], x.shape[1])
    low = np.iinfo(x.dtype).min if x.dtype.kind == "i" else -np.inf
    result = np.full((height, width, x.shape[2]), low, x.dtype)
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            rows, from_rows = _reach(window, 0, ky, x.shape[0], height)
            columns, from_columns = _reach(window, 1, kx, x.shape[1], width)
            here = result[rows, columns]
            if here.size:
                result[rows, columns] = binary("max", here, x[from_rows, from_columns])
    return result
