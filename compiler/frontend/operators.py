"""The operators of the language on tensors, numbers and lists."""

from __future__ import annotations

from compiler.dialects import graph
from compiler.dialects.graph_shapes import Tensor
from compiler.frontend.emitter import Emitter
from compiler.frontend.numbers import fold, mapped
from compiler.frontend.values import MAX_LIST, AnyValue, TensorValue, describe, is_list, items
from isa.errors import ModelFault
from isa.spec import ElementType

FUNCTIONS = {"+": "add", "-": "sub", "*": "mul", "/": "div", "<": "lt", "<=": "le", "==": "eq", "max": "max", "min": "min"}
SWAPPED = {">": "<", ">=": "<="}
WIDER: dict[frozenset[ElementType], ElementType] = {
    frozenset(("i8", "i32")): "i32",
    frozenset(("i8", "f16")): "f16",
    frozenset(("i8", "f32")): "f32",
    frozenset(("i32", "f16")): "f32",
    frozenset(("i32", "f32")): "f32",
    frozenset(("f16", "f32")): "f32",
}


def binary(e: Emitter, symbol: str, a: AnyValue, b: AnyValue, names: tuple[str, str] = ("left", "right")) -> AnyValue:
    """`a symbol b`, where symbol may also be `max` or `min`; `names` are the operands in hints. Raises ModelFault."""
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        if symbol in ("max", "min"):
            return max(a, b) if symbol == "max" else min(a, b)
        return fold(symbol, a, b)
    if symbol == "+" and is_list(a) and is_list(b):
        return _joined(a, b)
    if isinstance(a, (str, Tensor)) or isinstance(b, (str, Tensor)):
        raise ModelFault(f"'{symbol}' of {describe(a)} and {describe(b)}")
    if not isinstance(a, TensorValue) and not isinstance(b, TensorValue):
        hint = "a type makes a tensor of a list: f32([1, 2])"
        raise ModelFault(f"'{symbol}' of {describe(a)} and {describe(b)}", hint=hint)
    if symbol == "@":
        return product(e, a, b, names)
    left, right = alike(e, symbol, a, b, names)
    if symbol in SWAPPED:
        symbol, left, right = SWAPPED[symbol], right, left
    if symbol == "!=":
        equal = e.emit(graph.BinaryOp, "eq", left.ssa, right.ssa)
        return e.emit(graph.BinaryOp, "eq", equal.ssa, e.constant(0, "i8").ssa)
    if symbol not in FUNCTIONS:
        raise ModelFault(f"'{symbol}' is for compile-time integers; found {describe(a)} and {describe(b)}")
    if symbol == "/" and left.type in ("i8", "i32"):
        hint = f"write f32({names[0]}) / f32({names[1]}), or requantize"
        raise ModelFault(f"'/' is for f16 and f32; found {left.tensor} and {right.tensor}", hint=hint)
    return e.emit(graph.BinaryOp, FUNCTIONS[symbol], left.ssa, right.ssa)


def alike(
    e: Emitter, what: str, a: AnyValue, b: AnyValue, names: tuple[str, str] = ("left", "right")
) -> tuple[TensorValue, TensorValue]:
    """Both as tensors of one element type: numbers and lists take the type of the tensor. Raises ModelFault."""
    if isinstance(a, TensorValue):
        right = b if isinstance(b, TensorValue) else e.constant(b, a.type)
        if a.type != right.type:
            raise ModelFault(
                f"'{what}' of {a.tensor} and {right.tensor}: element types differ", hint=_cast_hint(a, right, names)
            )
        return a, right
    if isinstance(b, TensorValue):
        return e.constant(a, b.type), b
    raise ModelFault(f"'{what}' needs a tensor; found {describe(a)} and {describe(b)}", hint="f32(…) makes a tensor")


def product(e: Emitter, a: AnyValue, b: AnyValue, names: tuple[str, str], transpose_b: bool = False) -> TensorValue:
    """`a @ b`, or `a @ b.T` with `transpose_b`. A list takes the type of the other operand. Raises ModelFault."""
    if not isinstance(a, TensorValue) or not isinstance(b, TensorValue):
        a, b = alike(e, "@", a, b)
    pair = (a.type, b.type)
    if a.type != b.type and pair != ("f16", "i8"):
        raise ModelFault(
            f"'@' of {a.tensor} and {b.tensor}: element types differ",
            hint=_cast_hint(a, b, names) + "; the one mixed product is f16 @ i8",
        )
    return e.matmul(a, b, transpose_b)


def negate(e: Emitter, x: AnyValue) -> AnyValue:
    if isinstance(x, (int, float)):
        return -x
    if isinstance(x, TensorValue):
        return e.emit(graph.UnaryOp, "neg", x.ssa)
    if is_list(x):
        return mapped(x, lambda number: -number)
    raise ModelFault(f"'-' of {describe(x)}")


def _joined(a: AnyValue, b: AnyValue) -> AnyValue:
    joined = (*items(a), *items(b))
    if len(joined) > MAX_LIST:
        raise ModelFault(f"a list has at most {MAX_LIST} items; this one would have {len(joined)}")
    return joined


def _cast_hint(a: TensorValue, b: TensorValue, names: tuple[str, str]) -> str:
    wider = WIDER[frozenset((a.type, b.type))]
    casts = [f"{wider}({name})" for value, name in zip((a, b), names, strict=True) if value.type != wider]
    return f"write {' and '.join(casts)}"
