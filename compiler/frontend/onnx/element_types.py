"""Element types of ONNX, by their NumPy names, and what stands for them on the chip.

| ONNX | on the chip | what changes |
|---|---|---|
| float32, float16, int8, int32 | f32, f16, i8, i32 | nothing |
| int64, uint32, uint64 | i32 | values beyond 32 bits are refused where they are known, saturated where they are computed |
| int16, uint16 | i32 | nothing |
| bool | i8 | 0 and 1 |
| uint8 | i8 | stored less 128: the same order, and products need no other matrix unit |
| float64 | f32 | rounded |
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.errors import DataFault, ModelFault
from isa.layout import NUMPY_TYPES
from isa.spec import ElementType

Array = NDArray[Any]

CHIP_TYPES: dict[str, ElementType] = {
    "float32": "f32", "float16": "f16", "float64": "f32",
    "int8": "i8", "uint8": "i8", "bool": "i8",
    "int16": "i32", "uint16": "i32", "int32": "i32", "uint32": "i32", "int64": "i32", "uint64": "i32",
}  # fmt: skip

UINT8_SHIFT = 128
"""A uint8 v is stored as the i8 v - UINT8_SHIFT."""


def chip_type(kind: str) -> ElementType:
    """The element type on the chip. Raises ModelFault for one that has none (string, complex, bfloat16, …)."""
    if kind not in CHIP_TYPES:
        raise ModelFault(f"the element type {kind} has no counterpart on the chip", hint=f"it has {', '.join(CHIP_TYPES)}")
    return CHIP_TYPES[kind]


def to_chip(array: Array, kind: str, what: str) -> Array:
    """An array of the ONNX type `kind` as the chip holds it. Raises DataFault, beginning with `what`, for other values."""
    expected = np.dtype(kind)
    if array.dtype != expected:
        hint = f"convert it with .astype(numpy.{expected.name})"
        raise DataFault(f"{what} has type {array.dtype}, expected {expected.name}", hint=hint)
    wanted = NUMPY_TYPES[chip_type(kind)]
    if kind == "uint8":
        return (array ^ np.uint8(UINT8_SHIFT)).view(np.int8)
    if wanted.kind == "i" and array.size and expected.itemsize >= 4:
        low, high = int(array.min()), int(array.max())
        limits = np.iinfo(np.int32)
        if low < limits.min or high > limits.max:
            raise DataFault(f"{what} holds {low if low < limits.min else high}, beyond the 32 bits of the chip's integers")
    with np.errstate(over="ignore"):
        return array.astype(wanted)


def from_chip(array: Array, kind: str) -> Array:
    """What the chip holds as an array of the ONNX type."""
    if kind == "uint8":
        return array.view(np.uint8) ^ np.uint8(UINT8_SHIFT)
    return array.astype(np.dtype(kind))
