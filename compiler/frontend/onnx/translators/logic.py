"""Comparisons, logic, bits, and arithmetic that integers do differently."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, truncated_quotient, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault

COMPARISONS: dict[str, Callable[[Term, Term], Term]] = {
    "Equal": lambda a, b: a.equals(b), "Greater": lambda a, b: a > b, "GreaterOrEqual": lambda a, b: a >= b,
    "Less": lambda a, b: a < b, "LessOrEqual": lambda a, b: a <= b,
    "And": lambda a, b: a & b, "Or": lambda a, b: a | b, "Xor": lambda a, b: ~a.equals(b),
}  # fmt: skip


@translator(*COMPARISONS)
def comparison(e: OnnxEmitter, call: Call) -> Value:
    return COMPARISONS[call.node.op](Term(e, call.input(0)), Term(e, call.input(1))).value


@translator("Not")
def not_(e: OnnxEmitter, call: Call) -> Value:
    return e.negate(call.input(0))


FOLDS: dict[str, Callable[[Term, Term], Term]] = {
    "Max": lambda a, b: a.larger(b), "Min": lambda a, b: a.smaller(b), "Sum": lambda a, b: a + b, "Mean": lambda a, b: a + b,
}  # fmt: skip


@translator(*FOLDS)
def fold(e: OnnxEmitter, call: Call) -> Value:
    """Any number of operands, with broadcasting."""
    operands = call.all_inputs()
    exact = call.node.op in ("Max", "Min")
    total = reduce(FOLDS[call.node.op], [Term(e, x) if exact else wide(e, x) for x in operands])
    if call.node.op == "Mean":
        total = total * (1 / len(operands))
    return total.to(operands[0].kind).value


BITWISE = {"BitwiseAnd": "bitand", "BitwiseOr": "bitor", "BitwiseXor": "bitxor"}


@translator(*BITWISE)
def bitwise(e: OnnxEmitter, call: Call) -> Value:
    a, b = call.input(0), call.input(1)
    return wide(e, a).bits(BITWISE[call.node.op], wide(e, b)).to(a.kind).value


@translator("BitwiseNot")
def bitwise_not(e: OnnxEmitter, call: Call) -> Value:
    x = call.input(0)
    widest = (1 << bits_of(x)) - 1 if x.kind.startswith("uint") else -1
    return wide(e, x).bits("bitxor", widest).to(x.kind).value


def bits_of(x: Value) -> int:
    """Raises ModelFault for unsigned integers that the chip holds in fewer bits than they have."""
    if x.kind in ("uint32", "uint64"):
        raise ModelFault(f"bits of {x.kind} beyond the 31 of the chip's positive integers are not kept")
    return np.dtype(x.kind).itemsize * 8


@translator("BitShift")
def bit_shift(e: OnnxEmitter, call: Call) -> Value:
    """By at least the width, or a negative number: all bits are lost, which leaves 0, or -1 of what is negative."""
    a, b = call.input(0), call.input(1)
    x, by, bits = wide(e, a), wide(e, b), bits_of(a)
    by = (by < 0).where(bits, by)
    if call.text("direction") == "RIGHT":
        return x.bits("shr", by).to(a.kind).value
    if bits > 32:  # values that leave the chip's 32 bits saturate
        return x.bits("shl", by).to(a.kind).value
    if bits < 32:
        low = x.bits("shl", by.smaller(bits)).bits("bitand", (1 << bits) - 1)
        if not a.kind.startswith("uint"):
            low = (low >= 1 << (bits - 1)).where(low - (1 << bits), low)
        return low.to(a.kind).value
    # The chip's shift saturates, so the bits that would be lost go first, and the sign bit is put in by itself.
    room = 31 - by
    kept = x.bits("bitand", room.of(1).bits("shl", room) - 1).bits("shl", by)
    negative = x.bits("shr", room).bits("bitand", 1).equals(1)
    shifted = negative.where(kept.bits("bitor", -(2**31)), kept)
    return (by >= 32).where(0, shifted).to(a.kind).value


@translator("Mod")
def mod(e: OnnxEmitter, call: Call) -> Value:
    """fmod = 0: the sign of the divisor, as Python's %; fmod = 1: the sign of the dividend, as C's fmod."""
    a, b, like_c = call.input(0), call.input(1), bool(call.integer("fmod", 0))
    x, y = wide(e, a), wide(e, b)
    left = float_remainder(x, y) if a.is_float else x - truncated_quotient(x, y) * y
    if not like_c:
        left = (~left.equals(0) & ~(left < 0).equals(y < 0)).where(left + y, left)
    return left.to(a.kind).value


def float_remainder(x: Term, y: Term) -> Term:
    """x - trunc(x / y) · y, put right where the rounding of the quotient crossed an integer. For quotients below 2^22."""
    left, size = abs(x), abs(y)
    left = size.equals(math.inf).where(left, left - (left / size)("floor") * size)
    left = (left < 0).where(left + size, left)
    left = (left >= size).where(left - size, left)
    return (x < 0).where(-left, left)
