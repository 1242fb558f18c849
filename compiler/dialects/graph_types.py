"""Between xDSL's attributes and ours: tensor types, element types, scalars, dense constants, source places."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import (
    AnyFloat,
    BytesAttr,
    DenseIntOrFPElementsAttr,
    FileLineColLoc,
    Float16Type,
    Float32Type,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    IntegerType,
    LocationAttr,
    NameLoc,
    StringAttr,
    TensorType,
    UnknownLoc,
    f16,
    f32,
    i8,
    i32,
)
from xdsl.ir import Attribute, SSAValue

from compiler.dialects.graph_shapes import Tensor
from isa.errors import Location, ModelFault
from isa.layout import NUMPY_TYPES
from isa.spec import ElementType

ELEMENTS: dict[ElementType, IntegerType | Float16Type | Float32Type] = {"i8": i8, "f16": f16, "i32": i32, "f32": f32}


def element_name(attribute: Attribute) -> ElementType:
    """The name of a builtin element type. Raises ModelFault for a type that the graph dialect does not have."""
    for name, element in ELEMENTS.items():
        if attribute == element:
            return name
    raise ModelFault(f"element type {attribute} is not one of {', '.join(ELEMENTS)}")


def element_attribute(kind: ElementType) -> IntegerType | Float16Type | Float32Type:
    return ELEMENTS[kind]


def tensor_of(value: SSAValue | Attribute) -> Tensor:
    """Element type and shape of a value or of a tensor type. Raises ModelFault for anything else."""
    kind = value.type if isinstance(value, SSAValue) else value
    if not isinstance(kind, TensorType):
        raise ModelFault(f"{kind} is not a tensor type")
    shape = cast(TensorType[Attribute], kind).get_shape()
    if min(shape, default=1) < 1:
        raise ModelFault(f"{kind}: every size must be known and at least 1")
    return Tensor(element_name(cast(TensorType[Attribute], kind).element_type), tuple(shape))


def tensor_type(tensor: Tensor) -> TensorType[Attribute]:
    """The builtin tensor type. Raises ModelFault when a size is below 1."""
    if min(tensor.shape, default=1) < 1:
        raise ModelFault(f"{tensor}: every size must be at least 1")
    return TensorType(cast(Attribute, ELEMENTS[tensor.type]), tensor.shape)


def scalar_attribute(kind: ElementType, value: float) -> FloatAttr[AnyFloat] | IntegerAttr[IntegerType]:
    """`value` as an attribute of the element type, rounded to it. Raises ModelFault when an integer does not fit."""
    element = ELEMENTS[kind]
    if not isinstance(element, IntegerType):
        with np.errstate(over="ignore"):
            return cast("FloatAttr[AnyFloat]", FloatAttr(float(NUMPY_TYPES[kind].type(value)), element))
    limits = np.iinfo(cast("np.dtype[np.int32]", NUMPY_TYPES[kind]))
    if value != int(value) or not limits.min <= value <= limits.max:
        raise ModelFault(f"{value} is not a value of {kind}")
    return IntegerAttr(int(value), element)


def dense(array: NDArray[np.generic]) -> DenseIntOrFPElementsAttr:
    """A dense constant of any of the four element types. Raises ModelFault for another dtype."""
    kind = kind_of(array)
    exact = np.ascontiguousarray(array, dtype=NUMPY_TYPES[kind])
    return DenseIntOrFPElementsAttr(tensor_type(Tensor(kind, array.shape)), BytesAttr(exact.tobytes()))  # pyright: ignore[reportArgumentType]


def dense_array(attribute: DenseIntOrFPElementsAttr) -> NDArray[np.generic]:
    """The elements as a read-only array of the type's shape (a splat holds one element and is spread out)."""
    tensor = tensor_of(cast(Attribute, attribute.type))
    flat = np.frombuffer(attribute.data.data, dtype=NUMPY_TYPES[tensor.type])
    return np.broadcast_to(flat.reshape(()) if flat.size == 1 else flat.reshape(tensor.shape), tensor.shape)


def kind_of(array: NDArray[np.generic]) -> ElementType:
    """The element type of an array. Raises ModelFault for another dtype."""
    for name, dtype in NUMPY_TYPES.items():
        if array.dtype == dtype:
            return cast(ElementType, name)
    raise ModelFault(f"{array.dtype} is no element type; there are {', '.join(str(t) for t in NUMPY_TYPES.values())}")


def named_location(name: str) -> NameLoc:
    """A source place that has a name instead of a line, such as a node of an ONNX model."""
    return NameLoc(StringAttr(name), UnknownLoc())


def source_location(file: str, line: int, column: int) -> FileLineColLoc:
    """A source place (counted from 1) as the IR keeps it."""
    return FileLineColLoc(StringAttr(file), IntAttr(line), IntAttr(column))


def source_place(location: LocationAttr | None) -> Location | None:
    """The source place of an operation for an error message; None when it is unknown."""
    if isinstance(location, FileLineColLoc):
        return Location(location.filename.data, location.line.data, location.column.data)
    if isinstance(location, NameLoc):
        return Location(location.desc.data)
    return None
