"""What an expression of the language is worth while a program is elaborated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from xdsl.ir import SSAValue

from compiler.dialects.graph_shapes import Tensor
from isa.errors import ModelFault
from isa.spec import ElementType

MAX_ELEMENTS = 2**31
"""Most elements of a tensor. Refused before anything is allocated."""

MAX_SIZE = 2**31
MAX_LIST = 2**20
"""Most elements of a constant that is written out, and of a list."""


@dataclass(frozen=True, slots=True)
class TensorValue:
    """A tensor of the program: known only when the program runs, but for its type and shape."""

    ssa: SSAValue
    tensor: Tensor

    @property
    def type(self) -> ElementType:
        return self.tensor.type

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape


AnyValue: TypeAlias = "TensorValue | Tensor | int | float | str | tuple[AnyValue, ...]"
"""A tensor, a type (`f16[3, 4]`), a number, a string or a list. All but the first are known at compile time."""


def is_list(value: AnyValue) -> bool:
    return isinstance(value, tuple) and not isinstance(value, Tensor)


def items(value: AnyValue) -> tuple[AnyValue, ...]:
    """The items of a list; () for anything else."""
    return value if isinstance(value, tuple) and not isinstance(value, Tensor) else ()


def describe(value: AnyValue) -> str:
    """A value as a message names it."""
    if isinstance(value, TensorValue):
        return str(value.tensor)
    if isinstance(value, Tensor):
        return f"the type {value}"
    if isinstance(value, str):
        return f'the string "{value}"'
    if isinstance(value, tuple):
        return f"a list of {len(value)}"
    return f"the number {value}"


def check_shape(kind: Tensor) -> Tensor:
    """`kind` again. Raises ModelFault when a size is below 1 or the tensor is larger than any chip."""
    for size in kind.shape:
        if not 1 <= size <= MAX_SIZE:
            raise ModelFault(f"a size is at least 1 and at most {MAX_SIZE}; found {size} in {kind}")
    if len(kind.shape) > 8:
        raise ModelFault(f"a tensor has at most 8 axes; found {len(kind.shape)}")
    if kind.elements > MAX_ELEMENTS:
        raise ModelFault(f"{kind} has {kind.elements} elements; a tensor has at most {MAX_ELEMENTS}")
    return kind
