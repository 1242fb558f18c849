"""What the operations of the graph dialect share: inference, names, source places."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from xdsl.dialects.builtin import (
    DenseArrayBase,
    IntegerType,
    LocationAttr,
    StringAttr,
    TensorType,
    UnknownLoc,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    operand_def,
    prop_def,
    result_def,
)
from xdsl.utils.exceptions import VerifyException

from compiler.dialects.graph_shapes import Tensor
from compiler.dialects.graph_types import (
    source_place,
    tensor_of,
    tensor_type,
)
from isa.errors import ModelFault

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
        properties: Mapping[str, Attribute | None],
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
        check_name(self.name, self.sym_name)
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
        check_name(self.name, self.sym_name)


def check_name(op: str, name: StringAttr) -> None:
    if not name.data:
        raise VerifyException(f"{op}: the name is empty")
