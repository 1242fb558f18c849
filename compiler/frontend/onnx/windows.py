"""Windows that slide over the spatial axes of a tensor: sizes, padding, and the images that each position of the kernel sees.

Tensors are channels-last here, [N, spatial…, C]: the images are then rows of what lies in memory, and nothing moves.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.registry import Call
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault


@dataclass(frozen=True, slots=True)
class Windows:
    """One entry a spatial axis. `extra` is what `ceil_mode` adds at the end, which counts as no part of the padding."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    extra: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def positions(self) -> Iterator[tuple[int, ...]]:
        """Of the kernel, row-major."""
        return itertools.product(*map(range, self.kernel))


def windows_of(call: Call, spatial: Sequence[int], kernel: Sequence[int]) -> Windows:
    """From the attributes that convolutions and pools share. Raises ModelFault where no window fits."""
    ones = (1,) * len(spatial)
    strides, dilations = call.integers("strides", ones), call.integers("dilations", ones)
    if not len(strides) == len(dilations) == len(kernel) == len(spatial):
        raise ModelFault(f"strides {strides}, dilations {dilations} and kernel {tuple(kernel)} must fit {len(spatial)} axes")
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    mode = call.text("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        output = [-(-n // s) for n, s in zip(spatial, strides, strict=True)]
        total = [max((o - 1) * s + r - n, 0) for o, s, r, n in zip(output, strides, reach, spatial, strict=True)]
        less, more = [n // 2 for n in total], [n - n // 2 for n in total]
        low, high = (less, more) if mode == "SAME_UPPER" else (more, less)
        return Windows(tuple(kernel), strides, dilations, tuple(low), tuple(high), (0,) * len(spatial), tuple(output))
    pads = call.integers("pads", (0,) * (2 * len(spatial))) if mode == "NOTSET" else (0,) * (2 * len(spatial))
    low, high = pads[: len(spatial)], pads[len(spatial) :]
    output: list[int] = []
    extra: list[int] = []
    for n, r, s, before, after in zip(spatial, reach, strides, low, high, strict=True):
        room = n + before + after - r
        count = (-(-room // s) if call.integer("ceil_mode", 0) else room // s) + 1
        if (count - 1) * s >= n + before and count > 1:  # a window that would begin in the padding at the end
            count -= 1
        if room < 0 or count < 1:
            raise ModelFault(f"a window of {r} does not fit an axis of {n} with padding {before} and {after}")
        output.append(count)
        extra.append(max((count - 1) * s + r - n - before - after, 0))
    return Windows(tuple(kernel), strides, dilations, tuple(low), tuple(high), tuple(extra), tuple(output))


def channels_last(e: OnnxEmitter, x: Value) -> Value:
    """[N, C, spatial…] as [N, spatial…, C]."""
    return e.transposed(x, (0, *range(2, x.rank), 1))


def channels_first(e: OnnxEmitter, x: Value) -> Value:
    return e.transposed(x, (0, x.rank - 1, *range(1, x.rank - 1)))


def padded(e: OnnxEmitter, x: Value, w: Windows, fill: float = 0) -> Value:
    high = [h + extra for h, extra in zip(w.high, w.extra, strict=True)]
    return e.padded(x, (0, *w.low, 0), (0, *high, 0), fill) if any((*w.low, *high)) else x


def image(e: OnnxEmitter, x: Value, w: Windows, position: Sequence[int]) -> Value:
    """What this position of the kernel sees of padded x: [N, output…, C]."""
    offsets = [d * p for d, p in zip(w.dilations, position, strict=True)]
    return e.sliced(x, (0, *offsets, 0), (x.shape[0], *w.output, x.shape[-1]), (1, *w.strides, 1))


def seen_places(spatial: Sequence[int], w: Windows, position: Sequence[int]) -> list[np.ndarray]:
    """For each spatial axis, which places of unpadded x a position sees: int [output of the axis], some outside."""
    return [
        np.arange(o) * s + d * p - before
        for o, s, d, p, before in zip(w.output, w.strides, w.dilations, position, w.low, strict=True)
    ]
