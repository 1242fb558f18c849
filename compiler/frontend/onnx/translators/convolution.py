"""Convolutions and maximum pools over one or two spatial axes.

Images lie as [height, width, channels] on the chip, one at a time; values keep that order (`Value.axes`) through whatever is
elementwise, so that nothing is transposed between one convolution and the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from compiler.dialects import graph
from compiler.dialects.graph_spatial import Window
from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.convolution_by_products import convolve
from compiler.frontend.onnx.translators.pooling import max_pool_of_windows
from compiler.frontend.onnx.translators.quantisation import dequantized, quantized
from compiler.frontend.onnx.values import Value
from compiler.frontend.onnx.windows import windows_of
from compiler.frontend.values import TensorValue
from isa.errors import ModelFault

IMAGE = (2, 3, 1)
"""The axes of [N, C, H, W] that [height, width, channels] has; N is one image."""


def window_of(call: Call, x: Value, kernel: tuple[int, ...]) -> Window:
    """How a kernel moves over x [N, C, (H,) W]: a missing height is 1. Raises ModelFault."""
    spatial = x.shape[2:]
    count = len(spatial)
    if count not in (1, 2):
        raise ModelFault(f"{count} spatial axes are not supported", hint="one and two are")
    if len(kernel) != count:
        raise ModelFault(f"the kernel {list(kernel)} does not fit {x}")
    strides, dilations = call.integers("strides", (1,) * count), call.integers("dilations", (1,) * count)
    if len(strides) != count or len(dilations) != count:
        raise ModelFault(f"strides {list(strides)} and dilations {list(dilations)} need {count} numbers each")
    pads = pads_of(call, spatial, kernel, strides, dilations)
    (kh, kw), (sh, sw), (dh, dw) = (_two(values) for values in (kernel, strides, dilations))
    low, high = pads[:count], pads[count:]
    top, left = (0, *low)[-2:]
    bottom, right = (0, *high)[-2:]
    return Window((kh, kw), (sh, sw), (top, left, bottom, right), (dh, dw))


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = (1, *values)[-2:]
    return first, second


def pads_of(
    call: Call, spatial: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> tuple[int, ...]:
    """Before each axis, then after each, as `pads` or `auto_pad` says. Raises ModelFault."""
    count, auto = len(spatial), call.text("auto_pad", "NOTSET")
    if auto == "NOTSET":
        pads = call.integers("pads", (0,) * (2 * count))
        if len(pads) != 2 * count:
            raise ModelFault(f"pads {list(pads)} need {2 * count} numbers")
        return pads
    if auto == "VALID":
        return (0,) * (2 * count)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise ModelFault(f"auto_pad='{auto}' is not known")
    low: list[int] = []
    high: list[int] = []
    for size, k, step, spread in zip(spatial, kernel, strides, dilations, strict=True):
        needed = max(0, (-(-size // step) - 1) * step + (k - 1) * spread + 1 - size)
        small, large = needed // 2, needed - needed // 2
        low.append(small if auto == "SAME_UPPER" else large)
        high.append(large if auto == "SAME_UPPER" else small)
    return (*low, *high)


def each_image(e: OnnxEmitter, x: Value, compute: Callable[[TensorValue], TensorValue], kind: str) -> Value:
    """`compute` on [H, W, C] of every image of x [N, C, (H,) W], put together in the order of ONNX."""
    flat = x.rank == 3
    whole = e.reshaped(x, (*x.shape[:2], 1, x.shape[2])) if flat else x
    if whole.shape[0] == 1:
        image = compute(e.laid(whole, IMAGE, 4))
        height, width, channels = image.shape
        result = Value(kind, (1, channels, height, width), chip=image, axes=IMAGE)
    else:
        images: list[Value] = []
        for number in range(whole.shape[0]):
            one = e.sliced(whole, [number, 0, 0, 0], [1, *whole.shape[1:]])
            image = compute(e.laid(one, IMAGE, 4))
            height, width, channels = image.shape
            images.append(Value(kind, (1, channels, height, width), chip=image, axes=IMAGE))
        result = e.concatenated(images, 0)
    return e.reshaped(result, (*result.shape[:2], result.shape[3])) if flat else result


def convolved(e: OnnxEmitter, call: Call, x: Value, w: Value) -> Value:
    """x [N, C, (H,) W] with w [M, C / groups, (kh,) kw], without a bias."""
    if x.kind != w.kind:
        raise ModelFault(f"element types differ: {x} and {w}")
    if x.rank != w.rank:
        raise ModelFault(f"the kernel {w} does not fit {x}")
    groups = call.integer("group", 1)
    if x.rank not in (3, 4):
        return e.narrowed(
            convolve(e, wide(e, x).value, wide(e, w).value, windows_of(call, x.shape[2:], w.shape[2:]), groups), x.kind
        )
    window = window_of(call, x, w.shape[2:])
    kernel = kernel_of(e, w)

    def compute(image: TensorValue) -> TensorValue:
        return e.emit(graph.Conv2dOp, image.ssa, kernel.ssa, window.strides, window.pads, window.dilations, groups)

    return e.narrowed(each_image(e, x, compute, x.kind), x.kind)


def kernel_of(e: OnnxEmitter, w: Value) -> TensorValue:
    """[M, C / groups, (kh,) kw] as [kh, kw, C / groups, M]."""
    shape, order = (*w.shape[:2], *_two(w.shape[2:])), (2, 3, 1, 0)
    if w.array is None:
        return e.transpose(e.tensor(e.reshaped(w, shape)), order)
    array = np.ascontiguousarray(w.array.reshape(shape).transpose(order))
    return e.tensor(Value(w.kind, array.shape, array=array, name=w.name))


def with_bias(e: OnnxEmitter, result: Value, bias: Value | None) -> Value:
    """A bias a channel."""
    if bias is None:
        return result
    shape = (-1, *[1] * (result.rank - 2))
    row = (
        e.constant(bias.array.reshape(shape), bias.name)
        if bias.array is not None
        else e.reshaped(bias, (*bias.shape, *shape[1:]))
    )
    return e.binary("add", result, row)


@translator("Conv")
def conv(e: OnnxEmitter, call: Call) -> Value:
    return with_bias(e, convolved(e, call, call.input(0), call.input(1)), call.optional(2))


@translator("ConvInteger")
def conv_integer(e: OnnxEmitter, call: Call) -> Value:
    """(x - zx) * (w - zw) as int32; zw for each channel of the result."""
    one = e.constant(np.ones((), np.float32))
    x = dequantized(e, call.input(0), one, call.optional(2), 0)
    w = dequantized(e, call.input(1), one, call.optional(3), 0)
    return e.rounded(convolved(e, call, x, w))


@translator("QLinearConv")
def qlinear_conv(e: OnnxEmitter, call: Call) -> Value:
    """A convolution of quantised tensors, quantised again; the bias is int32 in steps of x times those of w."""
    x = dequantized(e, call.input(0), call.input(1), call.input(2), 1)
    w = dequantized(e, call.input(3), call.input(4), call.input(5), 0)
    result, bias = convolved(e, call, x, w), call.optional(8)
    if bias is not None:
        steps = [call.input(i).require_known("the scale").astype(np.float64) for i in (1, 4)]
        whole = bias.require_known("the bias")
        result = with_bias(e, result, e.constant((whole * (steps[0] * steps[1])).astype(np.float32)))
    return quantized(e, result, call.input(6), call.input(7), 1)


@translator("MaxPool")
def max_pool(e: OnnxEmitter, call: Call) -> Value | Sequence[Value]:
    """And the flat index of the largest, where it is asked for."""
    x = call.input(0)
    if call.wants(1) or x.rank not in (3, 4):
        return max_pool_of_windows(e, call, x)
    kernel = call.integers("kernel_shape")
    window = window_of(call, x, kernel)
    if call.integer("ceil_mode", 0):
        window = _reaching_over(window, (x.shape[-2] if x.rank == 4 else 1, x.shape[-1]))

    def compute(image: TensorValue) -> TensorValue:
        return e.emit(graph.MaxPool2dOp, image.ssa, window.kernel, window.strides, window.pads, window.dilations)

    return each_image(e, x, compute, x.kind)


def _reaching_over(window: Window, sizes: tuple[int, int]) -> Window:
    """With so much more padding after each axis that a last window which only begins inside is computed too."""
    more = list(window.pads)
    for axis, size in enumerate(sizes):
        reach = window.dilations[axis] * (window.kernel[axis] - 1) + 1
        room = size + window.pads[axis] + window.pads[axis + 2] - reach
        step = window.strides[axis]
        last = -(-room // step)
        if last * step < size + window.pads[axis]:
            more[axis + 2] += max(0, last * step - room)
    top, left, bottom, right = more
    return Window(window.kernel, window.strides, (top, left, bottom, right), window.dilations)


@translator("GlobalAveragePool", "GlobalMaxPool")
def global_pool(e: OnnxEmitter, call: Call) -> Value:
    x = call.input(0)
    return e.reduce("mean" if call.node.op == "GlobalAveragePool" else "max", x, tuple(range(2, x.rank)), True)
