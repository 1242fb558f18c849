"""Graph operations over two spatial axes: tensors are [height, width, channels], of one image."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, LocationAttr, TensorType, i64
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from compiler.dialects.graph_base import GraphOp, Indices, indices
from compiler.dialects.graph_shapes import MATMUL_TYPES, Tensor
from compiler.dialects.graph_types import tensor_of
from compiler.layout.window import Window
from isa.errors import ModelFault


def conv2d(x: Tensor, w: Tensor, window: Window, groups: int) -> Tensor:
    """[H, W, C] * [kh, kw, C / groups, N] → [H', W', N]. Raises ModelFault."""
    kind = MATMUL_TYPES.get((x.type, w.type))
    if kind is None:
        pairs = ", ".join(f"{a}·{b}" for a, b in MATMUL_TYPES)
        raise ModelFault(f"conv2d: no product of {x} and {w}; there are {pairs}", hint="convert an operand with cast")
    if len(x.shape) != 3 or len(w.shape) != 4:
        raise ModelFault(f"conv2d: [H, W, C] and [kh, kw, C / groups, N] are needed, the operands are {x} and {w}")
    channels, columns = x.shape[2], w.shape[3]
    if groups < 1 or channels % groups or columns % groups or w.shape[2] != channels // groups:
        raise ModelFault(f"conv2d: {x} and {w} do not fit {groups} group{'s' * (groups != 1)}")
    return Tensor(kind, (*window.sizes("conv2d", *x.shape[:2]), columns))


def depthwise(x: Tensor, w: Tensor, window: Window) -> Tensor:
    """[H, W, C] * [kh, kw, C], both i8 → [H', W', C]; every window holds at least one place of the image. Raises ModelFault."""
    if len(w.shape) != 3 or (x.type, w.type) != ("i8", "i8"):
        raise ModelFault(f"depthwise: [H, W, C] and [kh, kw, C] of i8 are needed, the operands are {x} and {w}")
    result = conv2d(x, Tensor("i8", (*w.shape[:2], 1, w.shape[2])), window, w.shape[2])
    if not window.meets_image(*x.shape[:2]):
        raise ModelFault(f"depthwise: there are windows over the padding of {x} only")
    return result


def maxpool2d(x: Tensor, window: Window) -> Tensor:
    """[H, W, C] → [H', W', C]; every window holds at least one element of the image. Raises ModelFault."""
    if len(x.shape) != 3:
        raise ModelFault(f"maxpool2d: [H, W, C] is needed, the operand is {x}")
    if min(window.kernel) < 1:
        raise ModelFault(f"maxpool2d: kernel {list(window.kernel)} must be at least 1")
    height, width = window.sizes("maxpool2d", *x.shape[:2])
    if not window.meets_image(*x.shape[:2]):
        raise ModelFault(f"maxpool2d: there are windows over the padding of {x} only")
    return Tensor(x.type, (height, width, x.shape[2]))


def _pair(values: Sequence[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def _pads(values: Sequence[int]) -> tuple[int, int, int, int]:
    top, left, bottom, right = values
    return top, left, bottom, right


def _window(kernel: Sequence[int], strides: Indices, pads: Indices, dilations: Indices) -> Window:
    """The window of an operation with these properties."""
    return Window(_pair(kernel), _pair(strides.get_values()), _pads(pads.get_values()), _pair(dilations.get_values()))


@irdl_op_definition
class Conv2dOp(GraphOp):
    """Cross-correlation with zero padding, no bias: `%r = graph.conv2d %x, %w strides [2, 2] pads [3, 3, 3, 3]
    dilations [1, 1] groups 1 : (tensor<224x224x3xi8>, tensor<7x7x3x64xi8>) -> tensor<112x112x64xi32>`."""

    name = "graph.conv2d"
    x = operand_def(TensorType)
    w = operand_def(TensorType)
    strides = prop_def(DenseArrayBase.constr(i64))
    pads = prop_def(DenseArrayBase.constr(i64))
    dilations = prop_def(DenseArrayBase.constr(i64))
    groups = prop_def(IntegerAttr.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $w `strides` $strides `pads` $pads `dilations` $dilations `groups` $groups attr-dict `:` "
        "functional-type(operands, results)"
    )

    def __init__(
        self,
        x: SSAValue,
        w: SSAValue,
        strides: Sequence[int] = (1, 1),
        pads: Sequence[int] = (0, 0, 0, 0),
        dilations: Sequence[int] = (1, 1),
        groups: int = 1,
        *,
        location: LocationAttr | None = None,
    ):
        def rule() -> Tensor:
            kernel = _pair(tensor_of(w).shape[:2]) if len(tensor_of(w).shape) == 4 else (1, 1)
            return conv2d(tensor_of(x), tensor_of(w), Window(kernel, _pair(strides), _pads(pads), _pair(dilations)), groups)

        properties = {
            "strides": indices(strides), "pads": indices(pads), "dilations": indices(dilations),
            "groups": IntegerAttr(groups, i64),
        }  # fmt: skip
        self.construct(rule, [x, w], properties, location)

    @property
    def window(self) -> Window:
        return _window(tensor_of(self.w).shape[:2], self.strides, self.pads, self.dilations)

    def inferred(self) -> Tensor:
        _require_lengths("conv2d", self.strides, self.pads, self.dilations)
        if len(tensor_of(self.w).shape) != 4:
            return conv2d(tensor_of(self.x), tensor_of(self.w), Window((1, 1)), 1)
        return conv2d(tensor_of(self.x), tensor_of(self.w), self.window, self.groups.value.data)


@irdl_op_definition
class DepthwiseOp(GraphOp):
    """A convolution whose channels do not mix, for the vector unit: left by `pack-images` only. `%r = graph.depthwise %x, %w
    strides [1, 1] pads [2, 2, 2, 2] dilations [1, 1] : (tensor<7x7x1152xi8>, tensor<5x5x1152xi8>) -> tensor<7x7x1152xi32>`.
    """

    name = "graph.depthwise"
    x = operand_def(TensorType)
    w = operand_def(TensorType)
    strides = prop_def(DenseArrayBase.constr(i64))
    pads = prop_def(DenseArrayBase.constr(i64))
    dilations = prop_def(DenseArrayBase.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $w `strides` $strides `pads` $pads `dilations` $dilations attr-dict `:` functional-type(operands, results)"
    )

    def __init__(self, x: SSAValue, w: SSAValue, window: Window, *, location: LocationAttr | None = None):
        properties = {
            "strides": indices(window.strides), "pads": indices(window.pads), "dilations": indices(window.dilations),
        }  # fmt: skip
        self.construct(lambda: depthwise(tensor_of(x), tensor_of(w), window), [x, w], properties, location)

    @property
    def window(self) -> Window:
        return _window(tensor_of(self.w).shape[:2], self.strides, self.pads, self.dilations)

    def inferred(self) -> Tensor:
        _require_lengths("depthwise", self.strides, self.pads, self.dilations)
        whole = len(tensor_of(self.w).shape) == 3
        return depthwise(tensor_of(self.x), tensor_of(self.w), self.window if whole else Window((1, 1)))


@irdl_op_definition
class MaxPool2dOp(GraphOp):
    """The largest element of each window, padding left out: `%r = graph.maxpool2d %x kernel [3, 3] strides [2, 2]
    pads [1, 1, 1, 1] dilations [1, 1] : tensor<112x112x64xi8> -> tensor<56x56x64xi8>`."""

    name = "graph.maxpool2d"
    x = operand_def(TensorType)
    kernel = prop_def(DenseArrayBase.constr(i64))
    strides = prop_def(DenseArrayBase.constr(i64))
    pads = prop_def(DenseArrayBase.constr(i64))
    dilations = prop_def(DenseArrayBase.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `kernel` $kernel `strides` $strides `pads` $pads `dilations` $dilations attr-dict `:` type($x) `->` type($result)"
    )

    def __init__(
        self,
        x: SSAValue,
        kernel: Sequence[int],
        strides: Sequence[int] = (1, 1),
        pads: Sequence[int] = (0, 0, 0, 0),
        dilations: Sequence[int] = (1, 1),
        *,
        location: LocationAttr | None = None,
    ):
        def rule() -> Tensor:
            return maxpool2d(tensor_of(x), Window(_pair(kernel), _pair(strides), _pads(pads), _pair(dilations)))

        properties = {
            "kernel": indices(kernel), "strides": indices(strides), "pads": indices(pads), "dilations": indices(dilations),
        }  # fmt: skip
        self.construct(rule, [x], properties, location)

    @property
    def window(self) -> Window:
        return _window(self.kernel.get_values(), self.strides, self.pads, self.dilations)

    def inferred(self) -> Tensor:
        _require_lengths("maxpool2d", self.strides, self.pads, self.dilations)
        return maxpool2d(tensor_of(self.x), self.window)


def _require_lengths(op: str, strides: Indices, pads: Indices, dilations: Indices) -> None:
    for what, values, count in (("strides", strides, 2), ("pads", pads, 4), ("dilations", dilations, 2)):
        if len(values.get_values()) != count:
            raise ModelFault(f"{op}: {what} has {len(values.get_values())} numbers, it needs {count}")
