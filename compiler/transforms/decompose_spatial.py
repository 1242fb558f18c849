"""Convolutions and pools as products and maxima of shifted images, one kernel position at a time.

Any convolution can be computed so, weights made at run time among them. The order of adding is that of the reference.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from xdsl.ir import SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_types import tensor_of
from compiler.layout.window import Window
from compiler.transforms.emitter import Emitter
from compiler.transforms.f16_passes import again, three_passes
from isa.chip import Chip
from isa.layout import NUMPY_TYPES


def decompose_conv2d(op: graph.Conv2dOp, emit: Emitter, chip: Chip | None) -> SSAValue:
    """A sum of products of shifted images with one kernel position each; element by element where groups of integers have one
    channel."""
    x, groups = tensor_of(op.x), op.groups.value.data
    if x.type == "f32":
        return three_passes(emit, lambda a, b: _once(op, a, b, emit, chip), op.x, op.w)
    mode = "i8" if x.type == "i8" else "i8f16"
    if mode == "i8f16" and (tensor_of(op.w).type == "f16" or (chip is not None and mode not in chip.mxm.modes)):
        mode = "f16"
    weights = emit.cast(op.w, "f16") if mode == "f16" else op.w
    depth = x.shape[2] if mode == "i8" or chip is None else chip.depth(mode)
    product = _per_channel if groups == x.shape[2] and mode == "i8" else _per_group
    total: SSAValue | None = None
    for (ky, kx), image in _shifted(op.x, op.window, emit, 0):
        shape = tensor_of(weights).shape
        tap = emit.add(graph.SliceOp(weights, [ky, kx, 0, 0], [1, 1, *shape[2:]]))
        for term in product(emit, image, emit.add(graph.ReshapeOp(tap, shape[2:])), groups, depth):
            total = term if total is None else emit.binary("add", total, term)
    assert total is not None
    return total


def _once(op: graph.Conv2dOp, a: SSAValue, b: SSAValue, emit: Emitter, chip: Chip | None) -> SSAValue:
    """The same convolution of other operands, taken apart."""
    other = again(op, a, b)
    assert isinstance(other, graph.Conv2dOp)
    result = decompose_conv2d(other, emit, chip)
    other.erase()
    return result


def _per_group(emit: Emitter, image: SSAValue, w: SSAValue, groups: int, depth: int) -> Iterator[SSAValue]:
    """Products over all channels of all groups, in steps of `depth` channels of the image."""
    if groups > 1:
        w = _spread(emit, w, groups)
    (height, width, channels), columns = tensor_of(image).shape, tensor_of(w).shape[1]
    for first in range(0, channels, depth):
        count = min(depth, channels - first)
        part = image if count == channels else emit.add(graph.SliceOp(image, [0, 0, first], [height, width, count]))
        rows = w if count == channels else emit.add(graph.SliceOp(w, [first, 0], [count, columns]))
        yield emit.add(graph.MatmulOp(part, rows))


def _spread(emit: Emitter, w: SSAValue, groups: int) -> SSAValue:
    """[C / groups, N] as the [C, N] matrix with zeros between the groups."""
    inner, columns = tensor_of(w).shape
    each = columns // groups
    blocks: list[SSAValue] = []
    for g in range(groups):
        block = emit.add(graph.SliceOp(w, [0, g * each], [inner, each]))
        blocks.append(emit.add(graph.PadOp(block, [0, g * each], [0, columns - (g + 1) * each])))
    return emit.add(graph.ConcatOp(blocks, 0))


def _per_channel(emit: Emitter, image: SSAValue, w: SSAValue, groups: int, depth: int) -> Iterator[SSAValue]:
    """One product an element: groups of one channel need no sum over channels."""
    columns = tensor_of(w).shape[1]
    rows = emit.cast(emit.add(graph.ReshapeOp(w, [columns])), "i32")
    image = emit.cast(image, "i32")
    if columns > groups:
        height, width, _ = tensor_of(image).shape
        apart = emit.add(graph.ReshapeOp(image, [height, width, groups, 1]))
        image = emit.add(graph.BroadcastOp(apart, [height, width, groups, columns // groups]))
        image = emit.add(graph.ReshapeOp(image, [height, width, columns]))
    yield emit.binary("mul", image, rows)


def decompose_maxpool2d(op: graph.MaxPool2dOp, emit: Emitter) -> SSAValue:
    """The maximum of shifted images; the padding is the lowest value there is."""
    kind = NUMPY_TYPES[tensor_of(op.x).type]
    low = float(np.iinfo(np.dtype(kind.str)).min) if kind.kind == "i" else float("-inf")
    total: SSAValue | None = None
    for _, image in _shifted(op.x, op.window, emit, low):
        total = image if total is None else emit.binary("max", total, image)
    assert total is not None
    return total


def _shifted(x: SSAValue, window: Window, emit: Emitter, fill: float) -> Iterator[tuple[tuple[int, int], SSAValue]]:
    """For each kernel position, rows first, the elements that it meets."""
    height, width, channels = tensor_of(x).shape
    rows, columns = window.sizes("window", height, width)
    top, left, bottom, right = window.pads
    padded = emit.add(graph.PadOp(x, [top, left, 0], [bottom, right, 0], fill)) if any(window.pads) else x
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            offsets = [ky * window.dilations[0], kx * window.dilations[1], 0]
            yield (ky, kx), emit.add(graph.SliceOp(padded, offsets, [rows, columns, channels], [*window.strides, 1]))
