"""Convolutions over any number of axes, with groups and dilations, as products of matrices; transposed convolutions, and
what else is made of windows that are added up. One or two axes have an operation of their own (`convolution`)."""

from __future__ import annotations

from functools import reduce
from math import prod

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.normalisation import along_channels
from compiler.frontend.onnx.translators.slicing import part, take
from compiler.frontend.onnx.values import Value
from compiler.frontend.onnx.windows import Windows, channels_first, channels_last, image, padded, windows_of
from isa.errors import ModelFault


def convolve(e: OnnxEmitter, x: Value, kernel: Value, w: Windows, groups: int) -> Value:
    """x [N, C, spatial…] with kernel [M, C / groups, window…], both float32: [N, M, output…].

    The images that the positions of the kernel see, side by side, are the rows of one product a group. With one channel a
    group there is nothing to contract: every image is scaled and added.
    """
    m, depth = kernel.shape[:2]
    if x.shape[1] != depth * groups or m % groups:
        raise ModelFault(f"{x} with a kernel {kernel} in {groups} groups: the channels do not fit")
    images = padded(e, channels_last(e, x), w)
    taps = e.transposed(kernel, (*range(2, kernel.rank), 1, 0))  # [window…, C / groups, M]
    seen = [image(e, images, w, position) for position in w.positions]
    if depth == 1 and m == groups:
        rows = e.reshaped(taps, (len(seen), m))
        scaled = [Term(e, v) * Term(e, e.reshaped(part(e, rows, 0, i, 1), (m,))) for i, v in enumerate(seen)]
        return channels_first(e, reduce(lambda a, b: a + b, scaled).value)
    each = m // groups
    results: list[Value] = []
    for group in range(groups):
        columns = e.concatenated([part(e, v, v.rank - 1, group * depth, depth) for v in seen], images.rank - 1)
        rows = e.reshaped(columns, (x.shape[0] * prod(w.output), len(seen) * depth))
        weights = e.reshaped(part(e, taps, taps.rank - 1, group * each, each), (len(seen) * depth, each))
        results.append(e.reshaped(e.product(rows, weights), (x.shape[0], *w.output, each)))
    return channels_first(e, e.concatenated(results, images.rank - 1))


def plus_bias(e: OnnxEmitter, y: Value, bias: Value | None) -> Term:
    """A bias for each channel, which is axis 1."""
    result = Term(e, y)
    return result if bias is None else result + along_channels(wide(e, bias), y.rank)


@translator("ConvTranspose")
def conv_transpose(e: OnnxEmitter, call: Call) -> Value:
    """A convolution of x with zeros between its elements and the kernel the other way round."""
    x, kernel, groups = call.input(0), call.input(1), call.integer("group", 1)
    spatial, window = x.shape[2:], kernel.shape[2:]
    axes, ones = len(spatial), (1,) * len(spatial)
    strides, dilations = call.integers("strides", ones), call.integers("dilations", ones)
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, window, strict=True)]
    grown = [(n - 1) * s + 1 for n, s in zip(spatial, strides, strict=True)]
    added = call.integers("output_padding", (0,) * axes)
    low, high = transpose_pads(call, spatial, [g + r - 1 + a for g, r, a in zip(grown, reach, added, strict=True)], strides)
    before = [r - 1 - p for r, p in zip(reach, low, strict=True)]
    after = [r - 1 - p + a for r, p, a in zip(reach, high, added, strict=True)]
    spread = wide(e, x).value
    for i, stride in enumerate(strides):
        spread = with_gaps(e, spread, 2 + i, stride)
    for i in range(axes):  # cut where there is more padding than the kernel reaches
        cut = [max(-n, 0) for n in (before[i], after[i])]
        if any(cut):
            spread = part(e, spread, 2 + i, cut[0], spread.shape[2 + i] - sum(cut))
    before, after = [max(n, 0) for n in before], [max(n, 0) for n in after]
    output = [n + b + a - r + 1 for n, b, a, r in zip(spread.shape[2:], before, after, reach, strict=True)]
    w = Windows(window, ones, dilations, tuple(before), tuple(after), (0,) * axes, tuple(output))
    return plus_bias(e, convolve(e, spread, swapped(e, kernel, groups), w, groups), call.optional(2)).to(x.kind).value


def transpose_pads(
    call: Call, spatial: tuple[int, ...], full: list[int], strides: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What is cut off a full result at the beginnings and the ends."""
    axes, mode = len(spatial), call.text("auto_pad", "NOTSET")
    wanted = list(call.integers("output_shape", ()))[-axes:]
    if not wanted and mode in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [n * s for n, s in zip(spatial, strides, strict=True)]
    if not wanted:
        pads = call.integers("pads", (0,) * (2 * axes)) if mode == "NOTSET" else (0,) * (2 * axes)
        return pads[:axes], pads[axes:]
    total = [f - n for f, n in zip(full, wanted, strict=True)]
    less, more = tuple(n // 2 for n in total), tuple(n - n // 2 for n in total)
    return (less, more) if mode == "SAME_UPPER" else (more, less)


def with_gaps(e: OnnxEmitter, x: Value, axis: int, stride: int) -> Value:
    """stride - 1 zeros between the elements of an axis."""
    if stride == 1:
        return x
    outer, n, inner = prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])
    gaps = e.padded(e.reshaped(x, (outer, n, 1, inner)), (0, 0, 0, 0), (0, 0, stride - 1, 0))
    whole = e.reshaped(gaps, (*x.shape[:axis], n * stride, *x.shape[axis + 1 :]))
    return part(e, whole, axis, 0, (n - 1) * stride + 1)


def swapped(e: OnnxEmitter, kernel: Value, groups: int) -> Value:
    """[C, M / groups, window…] as [M, C / groups, window…] with every window axis reversed, float32."""
    c, each, *window = kernel.shape
    x = wide(e, kernel).value
    for axis in range(2, kernel.rank):
        x = take(e, x, axis, range(kernel.shape[axis] - 1, -1, -1))
    parts = e.reshaped(x, (groups, c // groups, each, prod(window)))
    return e.reshaped(e.transposed(parts, (0, 2, 1, 3)), (groups * each, c // groups, *window))


@translator("Col2Im")
def col2im(e: OnnxEmitter, call: Call) -> Value:
    """[N, C · window, L]: every column added where its window stood in the image."""
    x, sizes, block = call.input(0), call.integers_of("image_shape", 1), call.integers_of("block_shape", 2)
    if sizes is None or block is None:
        raise ModelFault("the shapes of image and block are missing")
    w = windows_of(call, sizes, block)
    n, c = x.shape[0], x.shape[1] // prod(block)
    columns = e.reshaped(x, (n * c, *block, *w.output))
    full = [i + a + b for i, a, b in zip(sizes, w.low, w.high, strict=True)]
    total: Term | None = None
    for position in w.positions:
        offsets, shape = (0, *position, *[0] * len(block)), (n * c, *[1] * len(block), *w.output)
        one = e.reshaped(e.sliced(columns, offsets, shape), (n * c, *w.output))
        for axis, stride in enumerate(w.strides):
            one = with_gaps(e, one, 1 + axis, stride)
        low = [d * p for d, p in zip(w.dilations, position, strict=True)]
        high = [f - m - b for f, m, b in zip(full, one.shape[1:], low, strict=True)]
        placed = Term(e, e.padded(one, (0, *low), (0, *high)))
        total = placed if total is None else total + placed
    assert total is not None
    inside = e.sliced(total.value, (0, *w.low), (n * c, *sizes))
    return e.reshaped(inside, (n, c, *sizes))


@translator("CausalConvWithState")
def causal_conv_with_state(e: OnnxEmitter, call: Call) -> list[Value]:
    """Depthwise along time, [B, C, L] with [C, 1, k]; what went before is the state, zeros at first."""
    x, kernel, bias, past = call.input(0), call.input(1), call.optional(2), call.optional(3)
    k = kernel.shape[2]
    before = past if past is not None else e.constant(np.zeros((*x.shape[:2], k - 1), np.dtype(x.kind)))
    line = e.concatenated([before, x], 2) if k > 1 else x
    w = Windows((k,), (1,), (1,), (0,), (0,), (0,), (x.shape[2],))
    y = plus_bias(e, convolve(e, wide(e, line).value, wide(e, kernel).value, w, x.shape[1]), bias)
    match call.text("activation", "none"):
        case "silu" | "swish":
            y = y("silu")
        case "none":
            pass
        case other:
            raise ModelFault(f"activation '{other}' must be none, silu or swish")
    return [y.to(x.kind).value, part(e, line, 2, line.shape[2] - (k - 1), k - 1)]
