"""Elementwise operations of the graph dialect. Floats compute in f32 and round once to the type of the result; integers
compute in saturating i32 and saturate once more to the type of the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.dialects.graph_shapes import COMPARISONS
from compiler.dialects.graph_types import kind_of
from isa.numerics import apply, from_domain, to_domain
from isa.spec import ElementType

Array = NDArray[Any]

INVERSE_SQRT2 = np.float32(0.70710678)
HALF = np.float32(0.5)
ONE = np.float32(1.0)
ZERO = np.float32(0.0)


def vector(mnemonic: str, *operands: Array | np.generic) -> Array:
    """An elementwise row of the vector unit, with broadcasting."""
    return apply(mnemonic, [np.asarray(x) for x in operands])


def f(x: Array) -> Array:
    """As float32: exact but for i32, which rounds to nearest even."""
    return to_domain(x, "f")


def sigmoid(x: Array) -> Array:
    """recip(1 + exp(-x)) in f32."""
    return vector("frecip", vector("fadd", ONE, vector("fexp", vector("fneg", x))))


def silu(x: Array) -> Array:
    """x · sigmoid(x) in f32."""
    return vector("fmul", x, sigmoid(x))


def gelu(x: Array) -> Array:
    """(x · 0.5) · (1 + erf(x · 0.70710678)) in f32."""
    grown = vector("fadd", ONE, vector("ferf", vector("fmul", x, INVERSE_SQRT2)))
    return vector("fmul", vector("fmul", x, HALF), grown)


def relu(x: Array) -> Array:
    """max(x, 0): NaN stays, -0 becomes +0."""
    return vector("fmax", x, ZERO)


COMPOSITE: dict[str, Callable[[Array], Array]] = {"sigmoid": sigmoid, "silu": silu, "gelu": gelu, "relu": relu}


def unary(fn: str, x: Array) -> Array:
    """A function of one tensor, result of the same type. Integers have relu, neg and abs, saturating."""
    kind = kind_of(x)
    if x.dtype.kind == "f":
        return from_domain(COMPOSITE[fn](f(x)) if fn in COMPOSITE else vector(f"f{fn}", f(x)), kind)
    value, zero = to_domain(x, "i"), np.int32(0)
    negative = vector("isub", zero, value)
    result = {"neg": negative, "abs": vector("imax", value, negative), "relu": vector("imax", value, zero)}[fn]
    return from_domain(result, kind)


def divide(a: Array, b: Array) -> Array:
    """a · recip(b) in f32."""
    return vector("fmul", a, vector("frecip", b))


def binary(fn: str, a: Array, b: Array) -> Array:
    """A function of two tensors of one type with broadcasting; comparisons give i8 0/1, the others keep the type.

    Integers only: bitand, bitor, bitxor; shl (a · 2^b, saturating) and shr (a / 2^b rounded down), b from 0 to 31.
    """
    kind: ElementType = "i8" if fn in COMPARISONS else kind_of(a)
    if fn == "div":
        return from_domain(divide(f(a), f(b)), kind)
    domain = "f" if a.dtype.kind == "f" else "i"
    fn = fn.removeprefix("bit")
    return from_domain(vector(domain + fn, to_domain(a, domain), to_domain(b, domain)), kind)


def where(condition: Array, a: Array, b: Array) -> Array:
    """a where the condition is not 0, b elsewhere, with broadcasting."""
    domain = "f" if a.dtype.kind == "f" else "i"
    values = [to_domain(x, domain) for x in (condition, a, b)]
    return from_domain(vector(f"{domain}sel", *values), kind_of(a))


def cast(x: Array, to: ElementType) -> Array:
    """Conversion: to integers nearest even, saturating, NaN is 0; to f16 and from i32 to f32 nearest even."""
    if kind_of(x) == to:
        return x
    domain = "i" if x.dtype.kind == "i" and to[0] == "i" else "f"
    return from_domain(to_domain(x, domain), to)


def quantize(x: Array, scale: Array) -> Array:
    """f16 or f32 to i8: rne(x · recip(scale)), saturating."""
    return from_domain(divide(f(x), scale), "i8")


def dequantize(x: Array, scale: Array) -> Array:
    """i8 or i32 to f32: f32(x) · scale."""
    return vector("fmul", f(x), scale)


def requantize(x: Array, scale: Array) -> Array:
    """i32 to i8: rne(f32(x) · scale), saturating."""
    return from_domain(vector("fmul", f(x), scale), "i8")
