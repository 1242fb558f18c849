"""Graph operations that bring tensors in and out: inputs, outputs, parameters, states, constants."""

from __future__ import annotations

from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    LocationAttr,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import Attribute
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    ParamAttrConstraint,
    VarConstraint,
    irdl_op_definition,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import ConstantLike, Pure
from xdsl.utils.exceptions import VerifyException

from compiler.dialects.graph_base import NamedOp, SinkOp
from compiler.dialects.graph_shapes import Tensor
from compiler.dialects.graph_types import (
    dense,
    dense_array,
    tensor_of,
    tensor_type,
)
from isa.errors import ModelFault


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
