"""Graph operations that compute. What they give, to the bit: `compiler/reference/`."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    LocationAttr,
    TensorType,
    UnitAttr,
    f32,
    i64,
)
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import SpacedOpaqueSyntaxAttribute, SSAValue
from xdsl.irdl import (
    AnyAttr,
    VarConstraint,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.str_enum import StrEnum

from compiler.dialects import graph_shapes as shapes
from compiler.dialects.graph_base import GraphOp, indices
from compiler.dialects.graph_shapes import Tensor
from compiler.dialects.graph_types import (
    scalar_attribute,
    tensor_of,
)
from isa.errors import ModelFault
from isa.spec import ElementType


class UnaryFunction(StrEnum):
    relu = "relu"
    neg = "neg"
    abs = "abs"
    exp = "exp"
    log = "log"
    sqrt = "sqrt"
    rsqrt = "rsqrt"
    recip = "recip"
    tanh = "tanh"
    erf = "erf"
    sin = "sin"
    cos = "cos"
    atan = "atan"
    floor = "floor"
    round = "round"
    sigmoid = "sigmoid"
    gelu = "gelu"
    silu = "silu"


class BinaryFunction(StrEnum):
    add = "add"
    sub = "sub"
    mul = "mul"
    div = "div"
    max = "max"
    min = "min"
    lt = "lt"
    le = "le"
    eq = "eq"
    bitand = "bitand"
    bitor = "bitor"
    bitxor = "bitxor"
    shl = "shl"
    shr = "shr"


class ReduceFunction(StrEnum):
    sum = "sum"
    max = "max"
    min = "min"
    mean = "mean"


class MatmulPrecision(StrEnum):
    f32 = "f32"
    f16 = "f16"


@irdl_attr_definition
class UnaryAttr(EnumAttribute[UnaryFunction], SpacedOpaqueSyntaxAttribute):
    name = "graph.unary_function"


@irdl_attr_definition
class BinaryAttr(EnumAttribute[BinaryFunction], SpacedOpaqueSyntaxAttribute):
    name = "graph.binary_function"


@irdl_attr_definition
class ReduceAttr(EnumAttribute[ReduceFunction], SpacedOpaqueSyntaxAttribute):
    name = "graph.reduce_function"


@irdl_attr_definition
class PrecisionAttr(EnumAttribute[MatmulPrecision], SpacedOpaqueSyntaxAttribute):
    name = "graph.precision"


@irdl_op_definition
class UnaryOp(GraphOp):
    """Elementwise function, result like the operand: `%r = graph.unary exp %x : tensor<4xf32>`."""

    name = "graph.unary"
    T: ClassVar = VarConstraint("T", AnyAttr())
    fn = prop_def(UnaryAttr)
    x = operand_def(T)
    result = result_def(T)
    traits = traits_def(Pure())
    assembly_format = "$fn $x attr-dict `:` type($x)"

    def __init__(self, fn: str, x: SSAValue, *, location: LocationAttr | None = None):
        attribute = UnaryAttr(UnaryFunction(fn))
        self.construct(lambda: shapes.unary(fn, tensor_of(x)), [x], {"fn": attribute}, location)

    def inferred(self) -> Tensor:
        return shapes.unary(self.fn.data, tensor_of(self.x))


@irdl_op_definition
class BinaryOp(GraphOp):
    """Elementwise function with broadcasting; lt, le, eq give i8 0/1; bitand, bitor, bitxor, shl, shr are for integers:
    `%r = graph.binary add %a, %b : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>`."""

    name = "graph.binary"
    fn = prop_def(BinaryAttr)
    a = operand_def(TensorType)
    b = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$fn $a `,` $b attr-dict `:` functional-type(operands, results)"

    def __init__(self, fn: str, a: SSAValue, b: SSAValue, *, location: LocationAttr | None = None):
        attribute = BinaryAttr(BinaryFunction(fn))
        self.construct(lambda: shapes.binary(fn, tensor_of(a), tensor_of(b)), [a, b], {"fn": attribute}, location)

    def inferred(self) -> Tensor:
        return shapes.binary(self.fn.data, tensor_of(self.a), tensor_of(self.b))


@irdl_op_definition
class WhereOp(GraphOp):
    """a where the i8 condition is not 0, b elsewhere, with broadcasting: `%r = graph.where %c, %a, %b : (…) -> …`."""

    name = "graph.where"
    condition = operand_def(TensorType)
    a = operand_def(TensorType)
    b = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$condition `,` $a `,` $b attr-dict `:` functional-type(operands, results)"

    def __init__(self, condition: SSAValue, a: SSAValue, b: SSAValue, *, location: LocationAttr | None = None):
        self.construct(lambda: shapes.where(tensor_of(condition), tensor_of(a), tensor_of(b)), [condition, a, b], {}, location)

    def inferred(self) -> Tensor:
        return shapes.where(tensor_of(self.condition), tensor_of(self.a), tensor_of(self.b))


@irdl_op_definition
class CastOp(GraphOp):
    """Conversion between any two element types: `%r = graph.cast %x : tensor<4xf32> -> tensor<4xi8>`."""

    name = "graph.cast"
    x = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, to: ElementType, *, location: LocationAttr | None = None):
        self.construct(lambda: Tensor(to, tensor_of(x).shape), [x], {}, location)

    def inferred(self) -> Tensor:
        return Tensor(self.tensor.type, tensor_of(self.x).shape)


class ScaledOp(GraphOp, ABC):
    """quantize, dequantize, requantize: conversion by an f32 scale that broadcasts to the operand."""

    x = operand_def(TensorType)
    scale = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `,` $scale attr-dict `:` functional-type(operands, results)"

    def __init__(self, x: SSAValue, scale: SSAValue, *, location: LocationAttr | None = None):
        rule = self.name.removeprefix("graph.")
        self.construct(lambda: shapes.scaled(rule, tensor_of(x), tensor_of(scale)), [x, scale], {}, location)

    def inferred(self) -> Tensor:
        return shapes.scaled(self.name.removeprefix("graph."), tensor_of(self.x), tensor_of(self.scale))


@irdl_op_definition
class QuantizeOp(ScaledOp):
    """f16 or f32 → i8: rne(x · recip(scale)), saturating."""

    name = "graph.quantize"


@irdl_op_definition
class DequantizeOp(ScaledOp):
    """i8 or i32 → f32: f32(x) · scale."""

    name = "graph.dequantize"


@irdl_op_definition
class RequantizeOp(ScaledOp):
    """i32 → i8: rne(f32(x) · scale), saturating."""

    name = "graph.requantize"


@irdl_op_definition
class ReduceOp(GraphOp):
    """Fold axes: `%r = graph.reduce sum %x axes [1] keepdims : tensor<4x8xf16> -> tensor<4x1xf32>`."""

    name = "graph.reduce"
    fn = prop_def(ReduceAttr)
    x = operand_def(TensorType)
    axes = prop_def(DenseArrayBase.constr(i64))
    keepdims = opt_prop_def(UnitAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$fn $x `axes` $axes (`keepdims` $keepdims^)? attr-dict `:` type($x) `->` type($result)"

    def __init__(
        self, fn: str, x: SSAValue, axes: Sequence[int], keepdims: bool = False, *, location: LocationAttr | None = None
    ):
        attribute = ReduceAttr(ReduceFunction(fn))
        rank = len(tensor_of(x).shape)
        normal = [axis % rank if rank else axis for axis in axes]
        properties = {"fn": attribute, "axes": indices(sorted(normal)), "keepdims": UnitAttr() if keepdims else None}
        self.construct(lambda: shapes.reduce(fn, tensor_of(x), axes, keepdims), [x], properties, location)

    def inferred(self) -> Tensor:
        axes = self.axes.get_values()
        if list(axes) != sorted(a for a in axes if a >= 0):
            raise ModelFault(f"{self.fn.data}: axes {list(axes)} must be sorted and not negative")
        return shapes.reduce(self.fn.data, tensor_of(self.x), axes, self.keepdims is not None)


@irdl_op_definition
class MatmulOp(GraphOp):
    """[.., M, K] × [.., K, N], or × [.., N, K] with transpose_b:
    `%c = graph.matmul %a, %b transpose_b precision f16 : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>`.

    With g groups, as a convolution has, of i8 · i8: g products side by side on the last axes of both operands and of the
    result, [.., M, g · K] × [.., K, g · N], or × [.., N, g · K] with transpose_b."""

    name = "graph.matmul"
    a = operand_def(TensorType)
    b = operand_def(TensorType)
    transpose_b = opt_prop_def(UnitAttr)
    precision = opt_prop_def(PrecisionAttr)
    groups = opt_prop_def(IntegerAttr.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$a `,` $b (`transpose_b` $transpose_b^)? (`precision` $precision^)? (`groups` $groups^)? attr-dict `:` "
        "functional-type(operands, results)"
    )

    def __init__(
        self,
        a: SSAValue,
        b: SSAValue,
        transpose_b: bool = False,
        precision: str | None = None,
        groups: int = 1,
        *,
        location: LocationAttr | None = None,
    ):
        known = precision in MatmulPrecision.__members__
        properties = {
            "transpose_b": UnitAttr() if transpose_b else None,
            "precision": PrecisionAttr(MatmulPrecision(precision)) if known else None,
            "groups": IntegerAttr(groups, i64) if groups != 1 else None,
        }

        def rule() -> Tensor:
            return shapes.matmul(tensor_of(a), tensor_of(b), transpose_b, precision, groups)

        self.construct(rule, [a, b], properties, location)

    @property
    def group_count(self) -> int:
        return self.groups.value.data if self.groups else 1

    def inferred(self) -> Tensor:
        precision = self.precision.data if self.precision else None
        a, b = tensor_of(self.a), tensor_of(self.b)
        return shapes.matmul(a, b, self.transpose_b is not None, precision, self.group_count)


@irdl_op_definition
class SoftmaxOp(GraphOp):
    """Over the last axis: `%r = graph.softmax %x : tensor<4x8xf16>`."""

    name = "graph.softmax"
    T: ClassVar = VarConstraint("T", AnyAttr())
    x = operand_def(T)
    result = result_def(T)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x)"

    def __init__(self, x: SSAValue, *, location: LocationAttr | None = None):
        self.construct(lambda: shapes.normalised("softmax", tensor_of(x)), [x], {}, location)

    def inferred(self) -> Tensor:
        return shapes.normalised("softmax", tensor_of(self.x))


@irdl_op_definition
class LayerNormOp(GraphOp):
    """Over the last axis, gain and bias of its size: `%r = graph.layernorm %x, %g, %b eps 1.0e-05 : (…) -> …`."""

    name = "graph.layernorm"
    x = operand_def(TensorType)
    gain = operand_def(TensorType)
    bias = operand_def(TensorType)
    eps = prop_def(FloatAttr.constr(f32))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `,` $gain `,` $bias `eps` $eps attr-dict `:` functional-type(operands, results)"

    def __init__(self, x: SSAValue, gain: SSAValue, bias: SSAValue, eps: float = 1e-5, *, location: LocationAttr | None = None):
        def rule() -> Tensor:
            return shapes.normalised("layernorm", tensor_of(x), gain=tensor_of(gain), bias=tensor_of(bias))

        self.construct(rule, [x, gain, bias], {"eps": scalar_attribute("f32", eps)}, location)

    def inferred(self) -> Tensor:
        x, gain, bias = (tensor_of(v) for v in self.operands)
        return shapes.normalised("layernorm", x, gain=gain, bias=bias)


@irdl_op_definition
class RmsNormOp(GraphOp):
    """Over the last axis, gain of its size: `%r = graph.rmsnorm %x, %g eps 1.0e-05 : (…) -> …`."""

    name = "graph.rmsnorm"
    x = operand_def(TensorType)
    gain = operand_def(TensorType)
    eps = prop_def(FloatAttr.constr(f32))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `,` $gain `eps` $eps attr-dict `:` functional-type(operands, results)"

    def __init__(self, x: SSAValue, gain: SSAValue, eps: float = 1e-5, *, location: LocationAttr | None = None):
        def rule() -> Tensor:
            return shapes.normalised("rmsnorm", tensor_of(x), gain=tensor_of(gain))

        self.construct(rule, [x, gain], {"eps": scalar_attribute("f32", eps)}, location)

    def inferred(self) -> Tensor:
        return shapes.normalised("rmsnorm", tensor_of(self.x), gain=tensor_of(self.gain))
