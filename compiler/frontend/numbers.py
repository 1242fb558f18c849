"""Compile-time numbers: their arithmetic, and their rounding to an element type when they meet a tensor."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from compiler.dialects.graph_shapes import Tensor
from compiler.frontend.values import MAX_LIST, AnyValue, describe, is_list, items
from isa.errors import ModelFault
from isa.layout import NUMPY_TYPES
from isa.spec import ElementType

Number = int | float
MAX_INTEGER = 2**63 - 1

_FOLD: dict[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}

UNARY: dict[str, Callable[[float], Number]] = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "rsqrt": lambda x: 1 / math.sqrt(x),
    "recip": lambda x: 1 / x,
    "tanh": math.tanh,
    "erf": math.erf,
    "sin": math.sin,
    "cos": math.cos,
    "atan": math.atan,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "relu": lambda x: max(x, 0),
    "abs": abs,
    "floor": math.floor,
    "round": round,
}


def fold(symbol: str, a: Number, b: Number) -> Number:
    """`a symbol b`. `/` of two integers is an integer where it divides. Raises ModelFault."""
    if symbol in ("/", "//", "%"):
        return _divide(symbol, a, b)
    if symbol not in _FOLD:
        raise ModelFault(f"'{symbol}' is for tensors; found {describe(a)} and {describe(b)}")
    return _in_range(_FOLD[symbol](a, b))


def _divide(symbol: str, a: Number, b: Number) -> Number:
    if b == 0:
        raise ModelFault(f"division by zero: {a} {symbol} 0")
    if isinstance(a, int) and isinstance(b, int):
        if symbol == "%":
            return a % b
        return a // b if symbol == "//" or a % b == 0 else a / b
    if symbol == "/":
        return _in_range(a / b)
    raise ModelFault(f"'{symbol}' is for integers; found {a} and {b}")


def _in_range(value: Number) -> Number:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ModelFault("a compile-time integer has at most 63 bits; this one is larger")
    return value


def unary(name: str, x: Number) -> Number:
    """A function of a number. Raises ModelFault where it has no value or none is needed at compile time."""
    if name not in UNARY:
        raise ModelFault(f"{name} is for tensors; found {describe(x)}", hint=f"write {name}(f32({x}))")
    try:
        return _in_range(UNARY[name](x))
    except (ValueError, OverflowError, ZeroDivisionError):
        raise ModelFault(f"{name}({x}) has no value") from None


def literal(value: AnyValue, element: ElementType) -> NDArray[np.generic]:
    """A number or nested list of numbers as an array; the value must be one of the element type.

    Floats round to nearest. Raises ModelFault for ragged lists, fractions and numbers out of range.
    """
    shape = _shape(value)
    flat: list[Number] = []
    _flatten(value, len(shape), shape, flat)
    if element in ("i8", "i32"):
        limits = np.iinfo(cast("np.dtype[np.int32]", NUMPY_TYPES[element]))
        for number in flat:
            if not math.isfinite(number) or number != int(number) or not limits.min <= number <= limits.max:
                raise ModelFault(
                    f"{number} is not a value of {element}",
                    hint=f"{element}({number}) rounds and saturates" if math.isfinite(number) else "",
                )
        return np.array([int(n) for n in flat], NUMPY_TYPES[element]).reshape(shape)
    exact = np.array(flat, np.float64)
    with np.errstate(over="ignore"):
        rounded = exact.astype(NUMPY_TYPES[element])
    lost = np.isinf(rounded.astype(np.float64)) & np.isfinite(exact)
    if lost.any():
        largest = float(np.finfo(cast("np.dtype[np.float32]", NUMPY_TYPES[element])).max)
        raise ModelFault(f"{flat[int(lost.argmax())]} does not fit {element}; the largest value is {largest:g}")
    return rounded.reshape(shape)


def mapped(value: AnyValue, function: Callable[[Number], Number]) -> AnyValue:
    """A function of every number in a number or nested list. Raises ModelFault for ragged lists."""
    shape = _shape(value)
    flat: list[Number] = []
    _flatten(value, len(shape), shape, flat)
    results: list[AnyValue] = [function(number) for number in flat]
    for size in reversed(shape):
        results = [tuple(results[i : i + size]) for i in range(0, len(results), size)]
    return results[0]


def saturated(number: Number, element: ElementType) -> Number:
    """Rounded to nearest even and clipped, as a conversion to an integer type does; for floats, the number itself."""
    if element in ("f16", "f32"):
        return number
    if math.isnan(number):
        return 0
    limits = np.iinfo(cast("np.dtype[np.int32]", NUMPY_TYPES[element]))
    return round(min(max(number, int(limits.min)), int(limits.max)))


def _shape(value: AnyValue) -> tuple[int, ...]:
    shape: list[int] = []
    while is_list(value):
        inside = items(value)
        if not inside:
            raise ModelFault("an empty list is no tensor")
        shape.append(len(inside))
        value = inside[0]
    if len(shape) > 8 or math.prod(shape) > MAX_LIST:
        raise ModelFault(f"a written constant has at most 8 axes and {MAX_LIST} elements; found {Tensor('i8', tuple(shape))}")
    return tuple(shape)


def _flatten(value: AnyValue, depth: int, shape: tuple[int, ...], into: list[Number]) -> None:
    if depth == 0:
        if not isinstance(value, (int, float)):
            raise ModelFault(f"a constant is made of numbers; found {describe(value)}")
        into.append(value)
        return
    inside = items(value)
    if not is_list(value) or len(inside) != shape[-depth]:
        found = f"{len(inside)} items" if is_list(value) else describe(value)
        raise ModelFault(f"the rows of a constant are equally long; found {found} beside {shape[-depth]} items")
    for item in inside:
        _flatten(item, depth - 1, shape, into)
