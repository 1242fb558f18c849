"""Resize and Upsample. Sizes are static, so each axis is a known choice of elements (nearest) or a product with a known
matrix of weights (linear, cubic), one axis after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.movement import normal_axes
from compiler.frontend.onnx.translators.slicing import take
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault

F64 = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Axis:
    """How one axis changes: `scale` may be a fraction that the sizes do not show; roi is 0 and 1 where nothing is cropped."""

    axis: int
    size: int
    output: int
    scale: float
    roi: tuple[float, float]

    def sources(self, mode: str) -> F64:
        """Where in the input every output element lies, in elements. Raises ModelFault for an unknown mode."""
        y = np.arange(self.output, dtype=np.float64)
        width = self.scale * self.size
        match mode:
            case "asymmetric":
                return y / self.scale
            case "align_corners":
                return y * 0 if width == 1 else y * (self.size - 1) / (width - 1)
            case "half_pixel":
                return (y + 0.5) / self.scale - 0.5
            case "pytorch_half_pixel":
                return y * 0 - 0.5 if width == 1 else (y + 0.5) / self.scale - 0.5
            case "half_pixel_symmetric":
                return self.size / 2 * (1 - self.output / width) + (y + 0.5) / self.scale - 0.5
            case "tf_crop_and_resize":
                start, end = self.roi
                spread = (end - start) * (self.size - 1)
                return start * (self.size - 1) + (y * 0 + spread / 2 if width == 1 else y * spread / (width - 1))
            case _:
                raise ModelFault(f"coordinate_transformation_mode '{mode}' is not known")


def half_down(x: float) -> int:
    return math.ceil(x - 0.5)


def half_up(x: float) -> int:
    return math.floor(x + 0.5)


def down(x: float) -> int:
    return math.floor(x)


def up(x: float) -> int:
    return math.ceil(x)


NEAREST = {"round_prefer_floor": half_down, "round_prefer_ceil": half_up, "floor": down, "ceil": up}


def nearest(places: F64, size: int, mode: str) -> list[int]:
    """Which element every place takes. Raises ModelFault for an unknown mode."""
    if mode not in NEAREST:
        raise ModelFault(f"nearest_mode '{mode}' must be one of {', '.join(NEAREST)}")
    return [min(max(NEAREST[mode](float(x)), 0), size - 1) for x in places]


def linear(distance: F64) -> F64:
    return np.maximum(1 - np.abs(distance), 0)


def cubic(distance: F64, a: float) -> F64:
    """Keys' kernel (R. Keys, "Cubic convolution interpolation for digital image processing", 1981)."""
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def weights(call: Call, axis: Axis, places: F64) -> NDArray[np.float32]:
    """[input, output]: how much of every input element is in every output element. Elements outside are those at the border,
    or with `exclude_outside` none."""
    kernel_reach = 1 if call.text("mode", "nearest") == "linear" else 2
    shrink = min(axis.scale, 1.0) if call.integer("antialias", 0) else 1.0
    reach = math.ceil(kernel_reach / shrink) + 1
    a, outside = call.number("cubic_coeff_a", -0.75), bool(call.integer("exclude_outside", 0))
    matrix = np.zeros((axis.size, axis.output))
    for column, place in enumerate(places):
        centre = down(float(place))
        around = np.arange(centre - reach, centre + reach + 1)
        distance = (around - float(place)) * shrink
        shares = linear(distance) if kernel_reach == 1 else cubic(distance, a)
        if outside:
            shares = np.where((around >= 0) & (around < axis.size), shares, 0)
        np.add.at(matrix[:, column], around.clip(0, axis.size - 1), shares / shares.sum())
    return matrix.astype(np.float32)


@translator("Resize", "Upsample")
def resize(e: OnnxEmitter, call: Call) -> Value:
    x = call.input(0)
    mode = call.text("mode", "nearest")
    coordinates = call.text("coordinate_transformation_mode", "half_pixel")
    if call.node.op == "Upsample" or call.version < 11:
        coordinates = "asymmetric"
    if mode not in ("nearest", "linear", "cubic"):
        raise ModelFault(f"mode '{mode}' must be nearest, linear or cubic")
    result, beyond = x, np.zeros((1,) * x.rank, np.bool_)
    for axis in axes_of(call, x):
        places = axis.sources(coordinates)
        if coordinates == "tf_crop_and_resize":
            outside = (places < 0) | (places > axis.size - 1)
            beyond = beyond | outside.reshape([-1 if i == axis.axis else 1 for i in range(x.rank)])
        if axis.output == axis.size and np.array_equal(places, np.arange(axis.size)):
            continue
        if mode == "nearest":
            old = call.node.op == "Upsample" or call.version < 11
            rule = "floor" if old else call.text("nearest_mode", "round_prefer_floor")
            result = take(e, result, axis.axis, nearest(places, axis.size, rule))
        else:
            result = mixed(e, wide(e, result).value, axis.axis, weights(call, axis, places))
    result = e.cast(result, x.kind)
    if not beyond.any():
        return result
    return Term(e, e.constant(beyond)).where(call.number("extrapolation_value", 0.0), Term(e, result)).value


def mixed(e: OnnxEmitter, x: Value, axis: int, matrix: NDArray[np.float32]) -> Value:
    """An axis multiplied by [input, output]."""
    order = [*(i for i in range(x.rank) if i != axis), axis]
    rows = e.transposed(x, order)
    product = e.product(e.reshaped(rows, (-(-int(np.prod(x.shape)) // x.shape[axis]), x.shape[axis])), e.constant(matrix))
    spread = e.reshaped(product, (*rows.shape[:-1], matrix.shape[1]))
    return e.transposed(spread, [order.index(i) for i in range(x.rank)])


def axes_of(call: Call, x: Value) -> list[Axis]:
    """The axes that change, with sizes and scales from whichever of both is given."""
    axes = normal_axes(call.integers("axes", tuple(range(x.rank))), x.rank)
    old = call.node.op == "Upsample" or call.version < 11
    scales, sizes = call.known(1 if old else 2, "the scales"), None if old else call.known(3, "the sizes")
    if old and call.has("scales"):
        scales = np.asarray(call.node.attributes["scales"])
    region = None if old else call.known(1, "the region of interest")
    if sizes is not None and sizes.size:
        outputs = [int(n) for n in sizes.reshape(-1)]
        factors = [n / x.shape[axis] for n, axis in zip(outputs, axes, strict=True)]
        policy = call.text("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            one = min(factors) if policy == "not_larger" else max(factors)
            factors = [one] * len(axes)
            outputs = [half_up(one * x.shape[axis]) for axis in axes]
    elif scales is not None and scales.size:
        factors = [float(n) for n in scales.reshape(-1)]
        outputs = [math.floor(x.shape[axis] * f) for axis, f in zip(axes, factors, strict=True)]
    else:
        raise ModelFault("neither scales nor sizes are given")
    if len(outputs) != len(axes) or min(outputs) < 1:
        raise ModelFault(f"sizes {outputs} do not fit axes {list(axes)} of {x}")
    crop = [0.0] * len(axes) + [1.0] * len(axes)
    if region is not None and region.size:
        crop = [float(n) for n in region.reshape(-1)]
    return [Axis(axis, x.shape[axis], outputs[i], factors[i], (crop[i], crop[len(axes) + i])) for i, axis in enumerate(axes)]
