"""The graph dialect: tensor programs, as front ends leave them and as the reference evaluates them.

A program is `func.func @main` without arguments: one block of these operations and `func.return`. Values are
`tensor<…>` of i8, f16, i32, f32 with static shapes, every size at least 1. Names of inputs, outputs, parameters and
states are strings, each used once; every `graph.update` names a `graph.state` of the same type. Illegal here: dynamic
shapes, other element types, regions, and anything that speaks of memory or time.

Constructors infer the result type and raise ModelFault on operands that do not fit (`graph_shapes`); verifiers ask the
same rules. Operations keep the source location; constructors take it as `location`, and errors carry it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import (
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    LocationAttr,
    StringAttr,
    TensorType,
    UnitAttr,
    UnknownLoc,
    f32,
    i64,
)
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, Dialect, SpacedOpaqueSyntaxAttribute, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    ParamAttrConstraint,
    VarConstraint,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import ConstantLike, Pure
from xdsl.utils.exceptions import VerifyException

from compiler.dialects import graph_shapes as shapes
from compiler.dialects.graph_shapes import Tensor
from compiler.dialects.graph_types import (
    dense,
    dense_array,
    element_attribute,
    scalar_attribute,
    source_place,
    tensor_of,
    tensor_type,
)
from isa.errors import ModelFault
from isa.layout import NUMPY_TYPES
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


Indices = DenseArrayBase[IntegerType]
"""A list of axes, sizes or offsets; `.get_values()` gives a tuple of int."""


def indices(values: Sequence[int]) -> Indices:
    return DenseArrayBase.from_list(i64, list(values))


class GraphOp(IRDLOperation, ABC):
    """What all operations with one result share: inference, and its check against the written type."""

    @abstractmethod
    def inferred(self) -> Tensor:
        """The result that the rules give for these operands. Raises ModelFault."""

    def construct(
        self,
        rule: Callable[[], Tensor],
        operands: Sequence[SSAValue | Sequence[SSAValue]],
        properties: dict[str, Attribute | None],
        location: LocationAttr | None,
    ) -> None:
        """Fill in a new operation: the result type is what the rule gives; a ModelFault gets the source place."""
        try:
            result = tensor_type(rule())
        except ModelFault as fault:
            fault.location = fault.location or source_place(location)
            raise
        IRDLOperation.__init__(self, operands=operands, result_types=[result], properties=properties)
        self.location = location or UnknownLoc()

    @property
    def tensor(self) -> Tensor:
        """Element type and shape of the result."""
        return tensor_of(self.results[0])

    def verify_(self) -> None:
        try:
            expected, found = self.inferred(), self.tensor
        except ModelFault as fault:
            raise VerifyException(fault.message) from None
        if expected != found:
            raise VerifyException(f"{self.name}: the result is {found}, the operands give {expected}")


class NamedOp(IRDLOperation, ABC):
    """input, param and state: a tensor that comes from outside, by name."""

    sym_name = prop_def(StringAttr)
    result = result_def(TensorType)

    @property
    def label(self) -> str:
        return self.sym_name.data

    @property
    def tensor(self) -> Tensor:
        return tensor_of(self.result)

    def verify_(self) -> None:
        _check_name(self.name, self.sym_name)
        try:
            tensor_of(self.result)
        except ModelFault as fault:
            raise VerifyException(fault.message) from None


class SinkOp(IRDLOperation, ABC):
    """output and update: a tensor that goes outside, by name."""

    sym_name = prop_def(StringAttr)
    value = operand_def(TensorType)
    assembly_format = "$sym_name $value attr-dict `:` type($value)"

    def __init__(self, name: str, value: SSAValue, *, location: LocationAttr | None = None):
        super().__init__(operands=[value], properties={"sym_name": StringAttr(name)})
        self.location = location or UnknownLoc()

    @property
    def label(self) -> str:
        return self.sym_name.data

    @property
    def tensor(self) -> Tensor:
        return tensor_of(self.value)

    def verify_(self) -> None:
        _check_name(self.name, self.sym_name)


def _check_name(op: str, name: StringAttr) -> None:
    if not name.data:
        raise VerifyException(f"{op}: the name is empty")


@irdl_op_definition
class InputOp(NamedOp):
    """A tensor from the host: `%x = graph.input "x" : tensor<4x8xf16>`."""

    name = "graph.input"
    assembly_format = "$sym_name attr-dict `:` type($result)"

    def __init__(self, name: str, tensor: Tensor, *, location: LocationAttr | None = None):
        super().__init__(result_types=[tensor_type(tensor)], properties={"sym_name": StringAttr(name)})
        self.location = location or UnknownLoc()


@irdl_op_definition
class OutputOp(SinkOp):
    """A tensor for the host: `graph.output "y" %y : tensor<4x8xf16>`."""

    name = "graph.output"


@irdl_op_definition
class ParamOp(NamedOp):
    """Weights. The IR has their sha256, the bytes are in a WeightStore:
    `%w = graph.param "w" digest "9f…" : tensor<8x8xi8>`."""

    name = "graph.param"
    digest = prop_def(StringAttr)
    traits = traits_def(Pure())
    assembly_format = "$sym_name `digest` $digest attr-dict `:` type($result)"

    def __init__(self, name: str, digest: str, tensor: Tensor, *, location: LocationAttr | None = None):
        properties = {"sym_name": StringAttr(name), "digest": StringAttr(digest)}
        super().__init__(result_types=[tensor_type(tensor)], properties=properties)
        self.location = location or UnknownLoc()


@irdl_op_definition
class StateOp(NamedOp):
    """The value of a state at the start of a call (zeros before the first): `%s = graph.state "s" : tensor<8xf32>`."""

    name = "graph.state"
    assembly_format = "$sym_name attr-dict `:` type($result)"

    def __init__(self, name: str, tensor: Tensor, *, location: LocationAttr | None = None):
        super().__init__(result_types=[tensor_type(tensor)], properties={"sym_name": StringAttr(name)})
        self.location = location or UnknownLoc()


@irdl_op_definition
class UpdateOp(SinkOp):
    """The value of a state from the end of this call on: `graph.update "s" %t : tensor<8xf32>`."""

    name = "graph.update"


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A small constant: `%c = graph.constant dense<1.0> : tensor<8xf32>`."""

    name = "graph.constant"
    T: ClassVar = VarConstraint("T", AnyAttr())
    value = prop_def(ParamAttrConstraint(DenseIntOrFPElementsAttr, (T, AnyAttr())))
    result = result_def(T)
    traits = traits_def(Pure(), ConstantLike())
    assembly_format = "$value attr-dict"

    def __init__(self, array: NDArray[np.generic], *, location: LocationAttr | None = None):
        value = dense(array)
        super().__init__(result_types=[cast(Attribute, value.type)], properties={"value": value})
        self.location = location or UnknownLoc()

    @property
    def array(self) -> NDArray[np.generic]:
        """The elements, read-only, in the shape of the result."""
        return dense_array(self.value)

    @property
    def tensor(self) -> Tensor:
        return tensor_of(self.result)

    def verify_(self) -> None:
        try:
            tensor_of(self.result)
        except ModelFault as fault:
            raise VerifyException(fault.message) from None


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
    """Elementwise function with broadcasting; lt, le, eq give i8 0/1:
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
    `%c = graph.matmul %a, %b transpose_b precision f16 : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>`."""

    name = "graph.matmul"
    a = operand_def(TensorType)
    b = operand_def(TensorType)
    transpose_b = opt_prop_def(UnitAttr)
    precision = opt_prop_def(PrecisionAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$a `,` $b (`transpose_b` $transpose_b^)? (`precision` $precision^)? attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self,
        a: SSAValue,
        b: SSAValue,
        transpose_b: bool = False,
        precision: str | None = None,
        *,
        location: LocationAttr | None = None,
    ):
        known = precision in MatmulPrecision.__members__
        properties = {
            "transpose_b": UnitAttr() if transpose_b else None,
            "precision": PrecisionAttr(MatmulPrecision(precision)) if known else None,
        }
        self.construct(lambda: shapes.matmul(tensor_of(a), tensor_of(b), transpose_b, precision), [a, b], properties, location)

    def inferred(self) -> Tensor:
        precision = self.precision.data if self.precision else None
        return shapes.matmul(tensor_of(self.a), tensor_of(self.b), self.transpose_b is not None, precision)


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


@irdl_op_definition
class ReshapeOp(GraphOp):
    """The same elements in row-major order in another shape: `%r = graph.reshape %x : tensor<4x8xf32> -> tensor<32xf32>`."""

    name = "graph.reshape"
    x = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, shape: Sequence[int], *, location: LocationAttr | None = None):
        self.construct(lambda: shapes.reshape(tensor_of(x), shape), [x], {}, location)

    def inferred(self) -> Tensor:
        return shapes.reshape(tensor_of(self.x), self.tensor.shape)


@irdl_op_definition
class TransposeOp(GraphOp):
    """Axis i of the result is axis permutation[i]: `%r = graph.transpose %x [1, 0] : tensor<4x8xi8> -> tensor<8x4xi8>`."""

    name = "graph.transpose"
    x = operand_def(TensorType)
    permutation = prop_def(DenseArrayBase.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x $permutation attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, permutation: Sequence[int], *, location: LocationAttr | None = None):
        properties = {"permutation": indices(permutation)}
        self.construct(lambda: shapes.transpose(tensor_of(x), permutation), [x], properties, location)

    def inferred(self) -> Tensor:
        return shapes.transpose(tensor_of(self.x), self.permutation.get_values())


@irdl_op_definition
class SliceOp(GraphOp):
    """Every strides-th element, sizes of them, from offsets on:
    `%r = graph.slice %x offsets [0, 2] sizes [4, 3] strides [1, 2] : tensor<4x8xf32> -> tensor<4x3xf32>`."""

    name = "graph.slice"
    x = operand_def(TensorType)
    offsets = prop_def(DenseArrayBase.constr(i64))
    sizes = prop_def(DenseArrayBase.constr(i64))
    strides = prop_def(DenseArrayBase.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `offsets` $offsets `sizes` $sizes `strides` $strides attr-dict `:` type($x) `->` type($result)"

    def __init__(
        self,
        x: SSAValue,
        offsets: Sequence[int],
        sizes: Sequence[int],
        strides: Sequence[int] | None = None,
        *,
        location: LocationAttr | None = None,
    ):
        strides = strides or [1] * len(sizes)
        properties = {"offsets": indices(offsets), "sizes": indices(sizes), "strides": indices(strides)}
        self.construct(lambda: shapes.slice_of(tensor_of(x), offsets, sizes, strides), [x], properties, location)

    def inferred(self) -> Tensor:
        lists = (a.get_values() for a in (self.offsets, self.sizes, self.strides))
        return shapes.slice_of(tensor_of(self.x), *lists)


@irdl_op_definition
class ConcatOp(GraphOp):
    """One after the other along an axis:
    `%r = graph.concat %a, %b axis 1 : (tensor<4x2xi8>, tensor<4x3xi8>) -> tensor<4x5xi8>`."""

    name = "graph.concat"
    parts = var_operand_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$parts `axis` $axis attr-dict `:` functional-type(operands, results)"

    def __init__(self, parts: Sequence[SSAValue], axis: int, *, location: LocationAttr | None = None):
        rank = len(tensor_of(parts[0]).shape) if parts else 0
        properties = {"axis": IntegerAttr(axis % rank if rank else axis, i64)}
        self.construct(lambda: shapes.concat([tensor_of(p) for p in parts], axis), [parts], properties, location)

    def inferred(self) -> Tensor:
        if self.axis.value.data < 0:
            raise ModelFault(f"concat: axis {self.axis.value.data} is negative")
        return shapes.concat([tensor_of(p) for p in self.parts], self.axis.value.data)


@irdl_op_definition
class PadOp(GraphOp):
    """Elements of one value before and after each axis:
    `%r = graph.pad %x low [0, 1] high [0, 2] value 0.0 : f32 : …` (the value has the element type)."""

    name = "graph.pad"
    x = operand_def(TensorType)
    low = prop_def(DenseArrayBase.constr(i64))
    high = prop_def(DenseArrayBase.constr(i64))
    value = prop_def(FloatAttr.constr() | IntegerAttr.constr())
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `low` $low `high` $high `value` `(` $value `)` attr-dict `:` type($x) `->` type($result)"

    def __init__(
        self,
        x: SSAValue,
        low: Sequence[int],
        high: Sequence[int],
        value: float = 0,
        *,
        location: LocationAttr | None = None,
    ):
        properties = {"low": indices(low), "high": indices(high), "value": scalar_attribute(tensor_of(x).type, value)}
        self.construct(lambda: shapes.pad(tensor_of(x), low, high), [x], properties, location)

    @property
    def fill(self) -> np.generic:
        """The value as a NumPy scalar of the element type."""
        return NUMPY_TYPES[self.tensor.type].type(self.value.value.data)

    def inferred(self) -> Tensor:
        x = tensor_of(self.x)
        if self.value.type != element_attribute(x.type):
            raise ModelFault(f"pad: the value is of type {self.value.type}, the operand is {x}")
        return shapes.pad(x, self.low.get_values(), self.high.get_values())


@irdl_op_definition
class GatherOp(GraphOp):
    """table[index] along axis 0: `%r = graph.gather %t, %i : (tensor<100x8xf16>, tensor<4xi32>) -> tensor<4x8xf16>`."""

    name = "graph.gather"
    table = operand_def(TensorType)
    index = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$table `,` $index attr-dict `:` functional-type(operands, results)"

    def __init__(self, table: SSAValue, index: SSAValue, *, location: LocationAttr | None = None):
        self.construct(lambda: shapes.gather(tensor_of(table), tensor_of(index)), [table, index], {}, location)

    def inferred(self) -> Tensor:
        return shapes.gather(tensor_of(self.table), tensor_of(self.index))


@irdl_op_definition
class InsertOp(GraphOp):
    """x with a block of it replaced:
    `%r = graph.insert %block into %x offsets [1, 0] : (tensor<1x8xf32>, tensor<4x8xf32>) -> …`."""

    name = "graph.insert"
    block = operand_def(TensorType)
    x = operand_def(TensorType)
    offsets = prop_def(DenseArrayBase.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$block `into` $x `offsets` $offsets attr-dict `:` functional-type(operands, results)"

    def __init__(self, x: SSAValue, block: SSAValue, offsets: Sequence[int], *, location: LocationAttr | None = None):
        properties = {"offsets": indices(offsets)}
        self.construct(lambda: shapes.insert(tensor_of(x), tensor_of(block), offsets), [block, x], properties, location)

    def inferred(self) -> Tensor:
        return shapes.insert(tensor_of(self.x), tensor_of(self.block), self.offsets.get_values())


@irdl_op_definition
class BroadcastOp(GraphOp):
    """NumPy broadcasting to a larger shape: `%r = graph.broadcast %x : tensor<8xf32> -> tensor<4x8xf32>`."""

    name = "graph.broadcast"
    x = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, shape: Sequence[int], *, location: LocationAttr | None = None):
        self.construct(lambda: shapes.broadcast(tensor_of(x), shape), [x], {}, location)

    def inferred(self) -> Tensor:
        return shapes.broadcast(tensor_of(self.x), self.tensor.shape)


Graph = Dialect(
    "graph",
    [
        InputOp, OutputOp, ParamOp, StateOp, UpdateOp, ConstantOp,
        UnaryOp, BinaryOp, WhereOp, CastOp, QuantizeOp, DequantizeOp, RequantizeOp,
        ReduceOp, MatmulOp, SoftmaxOp, LayerNormOp, RmsNormOp,
        ReshapeOp, TransposeOp, SliceOp, ConcatOp, PadOp, GatherOp, InsertOp, BroadcastOp,
    ],
    [UnaryAttr, BinaryAttr, ReduceAttr, PrecisionAttr],
)  # fmt: skip
