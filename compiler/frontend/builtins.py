"""The table of built-in functions, and how a call is matched with one.

A built-in is a Python function; its signature is its interface. The first parameter is the emitter; the annotation of each
other parameter says what it takes (`ACCEPTED`), and its name is its keyword.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import TypeAlias

from compiler.dialects.graph_shapes import Tensor
from compiler.frontend.emitter import Emitter
from compiler.frontend.values import AnyValue, TensorValue, describe, is_list, items
from isa.errors import ModelFault

Ints: TypeAlias = tuple[int, ...]
Axes: TypeAlias = tuple[int, ...] | None
Flag: TypeAlias = bool
Operand: TypeAlias = TensorValue | int | float
Parts: TypeAlias = tuple[AnyValue, ...]

Builtin = Callable[..., AnyValue]
BUILTINS: dict[str, Builtin] = {}


def builtin(function: Builtin) -> Builtin:
    """Put a function in the table; a trailing underscore keeps its name from shadowing Python's."""
    BUILTINS[function.__name__.rstrip("_")] = function
    return function


@cache
def signature_text(name: str) -> str:
    """`softmax(x, axis=-1)`"""
    parts: list[str] = []
    for parameter in _parameters(BUILTINS[name]):
        if parameter.default is inspect.Parameter.empty:
            parts.append(parameter.name)
        elif isinstance(parameter.default, bool):
            parts.append(f"{parameter.name}={str(parameter.default).lower()}")
        elif parameter.default is None:
            parts.append(f"[{parameter.name}]")
        else:
            parts.append(f"{parameter.name}={parameter.default}")
    return f"{name}({', '.join(parts)})"


def call_builtin(e: Emitter, name: str, positional: Sequence[AnyValue], named: Mapping[str, AnyValue]) -> AnyValue:
    """Raises ModelFault for missing, unknown and doubled arguments and for values of the wrong kind."""
    parameters = _parameters(BUILTINS[name])
    bound = bind(signature_text(name), [p.name for p in parameters], positional, named)
    given: dict[str, object] = {}
    for parameter in parameters:
        if parameter.name in bound:
            given[parameter.name] = _accepted(name, parameter, bound[parameter.name])
        elif parameter.default is inspect.Parameter.empty:
            raise ModelFault(f"{name} needs '{parameter.name}'", hint=f"it is {signature_text(name)}")
    return BUILTINS[name](e, **given)


def bind(
    signature: str, parameters: Sequence[str], positional: Sequence[AnyValue], named: Mapping[str, AnyValue]
) -> dict[str, AnyValue]:
    """Arguments by parameter name. Raises ModelFault for too many, unknown and doubled ones."""
    name = signature.partition("(")[0]
    if len(positional) > len(parameters):
        takes = f"at most {len(parameters)} argument{'s' * (len(parameters) != 1)}"
        raise ModelFault(f"{name} takes {takes}, found {len(positional)}", hint=f"it is {signature}")
    bound = dict(zip(parameters, positional, strict=False))
    for keyword, value in named.items():
        if keyword not in parameters:
            near = get_close_matches(keyword, parameters, n=1)
            hint = f"did you mean '{near[0]}'? it is {signature}" if near else f"it is {signature}"
            raise ModelFault(f"{name} has no parameter '{keyword}'", hint=hint)
        if keyword in bound:
            raise ModelFault(f"{name}: '{keyword}' is given twice", hint=f"it is {signature}")
        bound[keyword] = value
    return bound


@cache
def _parameters(function: Builtin) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())[1:]


def _accepted(name: str, parameter: inspect.Parameter, value: AnyValue) -> object:
    kind = str(parameter.annotation)
    wanted, convert = ACCEPTED[kind]
    converted = convert(value)
    if converted is None:
        hint = "a type makes a tensor of a number or list: f32(…)" if kind == "TensorValue" else ""
        raise ModelFault(f"{name}: '{parameter.name}' is {wanted}; found {describe(value)}", hint=hint)
    return converted


def _integers(value: AnyValue) -> tuple[int, ...] | None:
    if isinstance(value, int):
        return (value,)
    numbers = tuple(v for v in items(value) if isinstance(v, int))
    return numbers if is_list(value) and len(numbers) == len(items(value)) else None


ACCEPTED: dict[str, tuple[str, Callable[[AnyValue], object | None]]] = {
    "TensorValue": ("a tensor", lambda v: v if isinstance(v, TensorValue) else None),
    "Operand": ("a tensor or a number", lambda v: v if isinstance(v, (TensorValue, int, float)) else None),
    "AnyValue": ("a value", lambda v: v),
    "AnyValue | None": ("a value", lambda v: v),
    "Tensor": ("a type such as f16[3, 4]", lambda v: v if isinstance(v, Tensor) else None),
    "Parts": ("a list of tensors", lambda v: items(v) or None),
    "int": ("an integer", lambda v: v if isinstance(v, int) else None),
    "float": ("a number", lambda v: float(v) if isinstance(v, (int, float)) else None),
    "str": ("a string", lambda v: v if isinstance(v, str) else None),
    "str | None": ("a string", lambda v: v if isinstance(v, str) else None),
    "Flag": ("true or false", lambda v: bool(v) if v in (0, 1) and isinstance(v, int) else None),
    "Ints": ("a list of integers", _integers),
    "Axes": ("an axis or a list of axes", _integers),
}
"""What an annotation means: in words, and as a conversion that gives None for what it refuses."""
