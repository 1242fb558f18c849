"""Graph operations that move data without computing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    LocationAttr,
    TensorType,
    i64,
)
from xdsl.ir import SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure

from compiler.dialects import graph_shapes as shapes
from compiler.dialects.graph_base import GraphOp, indices
from compiler.dialects.graph_shapes import Tensor
from compiler.dialects.graph_types import (
    element_attribute,
    scalar_attribute,
    tensor_of,
)
from isa.errors import ModelFault
from isa.layout import NUMPY_TYPES


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
class TakeOp(GraphOp):
    """Columns of the last axis, in any order and any number of times:
    `%r = graph.take %x [1, 0, 3, 2] : tensor<8x4xf32> -> tensor<8x4xf32>`."""

    name = "graph.take"
    x = operand_def(TensorType)
    columns = prop_def(DenseArrayBase.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x $columns attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, columns: Sequence[int], *, location: LocationAttr | None = None):
        self.construct(lambda: shapes.take(tensor_of(x), columns), [x], {"columns": indices(columns)}, location)

    def inferred(self) -> Tensor:
        return shapes.take(tensor_of(self.x), self.columns.get_values())


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
class ScatterOp(GraphOp):
    """x with entries along axis 0 replaced, at numbers known when the program runs; where one comes twice, the last stands:
    `%r = graph.scatter %rows into %x at %i : (tensor<4x8xf16>, tensor<100x8xf16>, tensor<4xi32>) -> tensor<100x8xf16>`."""

    name = "graph.scatter"
    rows = operand_def(TensorType)
    x = operand_def(TensorType)
    index = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$rows `into` $x `at` $index attr-dict `:` functional-type(operands, results)"

    def __init__(self, x: SSAValue, rows: SSAValue, index: SSAValue, *, location: LocationAttr | None = None):
        self.construct(lambda: shapes.scatter(tensor_of(x), tensor_of(rows), tensor_of(index)), [rows, x, index], {}, location)

    def inferred(self) -> Tensor:
        return shapes.scatter(tensor_of(self.x), tensor_of(self.rows), tensor_of(self.index))


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
