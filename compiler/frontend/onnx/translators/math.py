"""Elementwise functions."""

from __future__ import annotations

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, truncated_quotient, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault

BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div"}
UNARY = {"Relu": "relu", "Neg": "neg", "Abs": "abs", "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Tanh": "tanh", "Erf": "erf"}


@translator(*BINARY)
def arithmetic(e: OnnxEmitter, call: Call) -> Value:
    a, b = call.input(0), call.input(1)
    if a.kind == "uint8" or (call.node.op == "Div" and not a.is_float):
        return integer_arithmetic(call.node.op, wide(e, a), wide(e, b)).to(a.kind).value
    return e.binary(BINARY[call.node.op], a, b)


def integer_arithmetic(op: str, a: Term, b: Term) -> Term:
    """Of int32, saturating; division rounds towards zero."""
    match op:
        case "Add":
            return a + b
        case "Sub":
            return a - b
        case "Mul":
            return a * b
        case _:
            return truncated_quotient(a, b)


@translator(*UNARY)
def function(e: OnnxEmitter, call: Call) -> Value:
    return e.unary(UNARY[call.node.op], call.input(0))


@translator("Sigmoid")
def sigmoid(e: OnnxEmitter, call: Call) -> Value:
    return e.unary("sigmoid", call.input(0))


@translator("Cast")
def cast(e: OnnxEmitter, call: Call) -> Value:
    return e.cast(call.input(0), onnx_kind(call.integer("to")))


def onnx_kind(code: int) -> str:
    """The NumPy name of an element type as ONNX numbers it. Raises ModelFault for one that NumPy does not have."""
    import onnx_ir as ir

    try:
        return str(ir.DataType(code).numpy().name)
    except (ValueError, TypeError):
        raise ModelFault(f"the element type {code} is not supported") from None


@translator("Where")
def where(e: OnnxEmitter, call: Call) -> Value:
    return e.where(call.input(0), call.input(1), call.input(2))


@translator("Identity")
def identity(e: OnnxEmitter, call: Call) -> Value:
    return call.input(0)
