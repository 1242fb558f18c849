"""Pow: exact where an exponent is a small known integer or both are integers, else e^(y · ln |x|) with the sign put right."""

from __future__ import annotations

import math

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.values import Value

MOST_FACTORS = 8
"""Of a known exponent that is spelt out as a product."""


@translator("Pow")
def pow_(e: OnnxEmitter, call: Call) -> Value:
    """x^y in the type of x, with broadcasting."""
    base, exponent = call.input(0), call.input(1)
    x = wide(e, base)
    if exponent.known and exponent.require_known("the exponent").size == 1 and base.is_float:
        y = float(exponent.require_known("the exponent").reshape(-1)[0])
        known = known_power(x, y)
        if known is not None:
            shape = (*[1] * (exponent.rank - base.rank), *base.shape)
            return e.reshaped(known.to(base.kind).value, shape)
    y = wide(e, exponent)
    if base.is_float:
        return power(x, y.to("float32")).to(base.kind).value
    if not exponent.is_float:
        return integer_power(x, y).to(base.kind).value
    whole = y.equals(y("floor"))
    rough = power(x.to("float32"), y).to("int32")
    return whole.where(integer_power(x, y.to("int32")), rough).to(base.kind).value


def known_power(x: Term, y: float) -> Term | None:
    """x^y where it needs no logarithm."""
    if y in (0.5, -0.5):
        return x("sqrt" if y > 0 else "rsqrt")
    if y != int(y) or not 0 < abs(y) <= MOST_FACTORS:
        return None
    factors, square, product = int(abs(y)), x, None
    while factors:
        if factors & 1:
            product = square if product is None else product * square
        factors >>= 1
        square = square * square if factors else square
    assert product is not None
    return product if y > 0 else product("recip")


def power(x: Term, y: Term) -> Term:
    """Of f32. x below 0: the sign is that of an odd exponent, and there is no value where y is no integer."""
    size = (y * abs(x)("log"))("exp")
    half = y * 0.5
    odd = ~half.equals(half("floor"))
    whole = y.equals(y("floor"))
    signed = (x < 0).where(whole.where(odd.where(-size, size), math.nan), size)
    return (y.equals(0) | x.equals(1)).where(1.0, signed)


def integer_power(x: Term, y: Term) -> Term:
    """Of int32, saturating, by squaring; exponents below 0 give 1 for 1, ±1 for -1, else 0."""
    odd = y.bits("bitand", 1)
    # From 32 factors on, all but 0, 1 and -1 saturate: nothing but the parity counts.
    left = (y > 33).where(odd + 32, y.larger(0))
    result, square = x * 0 + 1, x
    for bit in range(6):
        taken = left.bits("shr", bit).bits("bitand", 1).equals(1)
        result = taken.where(result * square, result)
        square = square * square if bit < 5 else square
    inverse = abs(x).equals(1).where(odd.equals(1).where(x, 1), 0)
    return (y < 0).where(inverse, result)
