"""exp, log, sqrt, rsqrt, recip, tanh and erf of the vector unit, down to the bit.

Each is a fixed sequence of IEEE-754 float64 add, subtract, multiply, divide, square root, round to integer, and exact
scaling by powers of two, rounded once to float32. NumPy does each of these steps for a whole array before the next one, so
nothing is fused or reordered, and every host gives the same bits for an element whatever array it stands in. The host's own
`exp`, `log`, … differ between libraries and are never used.

`sqrt` and `recip` are correctly rounded. The others are within 0.5001 ulp of the exact value
(`benchmarks/function_accuracy.py` measures it).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.floats import NAN_F32, canonical

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

LN2 = 0.6931471805599453
LOG2_E = 1.4426950408889634

BLOCK_ELEMENTS = 1 << 13
"""Elements worked on at a time, so that temporaries stay in the cache."""

EXP_TERMS = tuple(1.0 / math.factorial(n) for n in range(11, 1, -1))
"""e^r - 1 - r = r²·(1/2! + r/3! + …), highest power first; for |r| ≤ ln2/2 the rest is below 2e-14."""

LOG_TERMS = tuple(2.0 / n for n in range(17, 0, -2))
"""ln((1+s)/(1-s)) = s·(2 + 2s²/3 + …), highest power first; for |s| ≤ 0.172 the rest is below 3e-15."""

SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
"""float64 bits of √½: log splits its argument as 2^k · m with √½ ≤ m < √2."""

ERF_STEP = 1.0 / 16.0
ERF_LIMIT = 4.0
"""erf 4 = 1 - 1.6e-8 rounds to 1 in float32."""
ERF_DEGREE = 7


def blockwise(kernel: Callable[[F64], F64], x: F32) -> F32:
    """`kernel` on float64 blocks of `x` without its NaNs (they become canonical NaNs), rounded to float32."""
    flat = np.ascontiguousarray(x, np.float32).reshape(-1)
    result = np.empty(flat.shape, np.float32)
    with np.errstate(all="ignore"):
        for start in range(0, flat.size, BLOCK_ELEMENTS):
            block = flat[start : start + BLOCK_ELEMENTS].astype(np.float64)
            nan = np.isnan(block)
            has_nan = bool(nan.any())
            if has_nan:
                block[nan] = 1.0
            part = canonical(kernel(block).astype(np.float32))
            if has_nan:
                part[nan] = NAN_F32
            result[start : start + BLOCK_ELEMENTS] = part
    return result.reshape(np.shape(x))


def horner(x: F64, coefficients: tuple[float, ...]) -> F64:
    """The polynomial with these coefficients, highest power first."""
    y = x * coefficients[0]
    for c in coefficients[1:-1]:
        y += c
        y *= x
    y += coefficients[-1]
    return y


def _power_of_two(exponent: F64) -> F64:
    """2^exponent, exactly, for integers -1022 … 1023."""
    return ((exponent.astype(np.int64) + 1023) << 52).view(np.float64)


def _exp_split(x: F64) -> tuple[F64, F64]:
    """(scale, tail) with e^x = scale · (1 + tail), scale a power of two; |x| ≤ 700. `tail` is e^x - 1 near 0."""
    n = np.rint(x * LOG2_E)
    r = x - n * LN2
    tail = horner(r, EXP_TERMS)
    tail *= r
    tail *= r
    tail += r
    return _power_of_two(n), tail


def _exp(x: F64) -> F64:
    # e^-120 rounds to 0 and e^120 to infinity in float32, so clipping changes nothing.
    scale, tail = _exp_split(np.minimum(np.maximum(x, -120.0), 120.0))
    return (tail + 1.0) * scale


def _log(x: F64) -> F64:
    positive = (x > 0) & (x < np.inf)
    bits = np.where(positive, x, 1.0).view(np.int64)
    k = (bits - SQRT_HALF_BITS) >> 52
    m = (bits - (k << 52)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    y = horner(s * s, LOG_TERMS)
    y *= s
    y += k.astype(np.float64) * LN2
    if not positive.all():
        y[x == np.inf] = np.inf
        y[x == 0] = -np.inf
        y[x < 0] = np.nan
    return y


def _rsqrt(x: F64) -> F64:
    return 1.0 / np.sqrt(x)


def _tanh(x: F64) -> F64:
    # With t = e^2|x| - 1: tanh |x| = t / (t + 2). Past 20 the quotient rounds to 1.
    scale, tail = _exp_split(np.minimum(np.abs(x), 20.0) * 2.0)
    t = tail * scale + (scale - 1.0)
    return np.copysign(t / (t + 2.0), x)


def pi() -> Decimal:
    """π by Machin's formula, in the current decimal context."""

    def arctan_of_inverse(n: int) -> Decimal:
        power = total = Decimal(1) / n
        for k in range(1, 60):
            power /= -n * n
            total += power / (2 * k + 1)
        return total

    return 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))


@cache
def _erf_table() -> list[F64]:
    """Taylor coefficients of erf about the centres 0, 1/16, …, 4: one array a power, lowest first.

    Decimal arithmetic is defined exactly, so this too is the same on every host.
    """
    rows: list[list[float]] = []
    with localcontext() as context:
        context.prec = 60
        front = 2 / pi().sqrt()
        for i in range(round(ERF_LIMIT / ERF_STEP) + 1):
            centre = Decimal(i) * Decimal(ERF_STEP)
            # erf c = 2/√π · c · e^(-c²) · (1 + 2c²/3 + (2c²)²/(3·5) + …): positive terms only
            bell = front * (-centre * centre).exp()
            term = total = centre
            for n in range(1, 150):
                term = term * 2 * centre * centre / (2 * n + 1)
                total += term
            # The derivative n+1 of erf is 2/√π · e^(-c²) · (-1)^n · Hn(c), with Hn+1 = 2c·Hn - 2n·Hn-1.
            row = [bell * total]
            older, hermite = Decimal(0), Decimal(1)
            for n in range(ERF_DEGREE):
                row.append(bell * hermite * (-1) ** n / math.factorial(n + 1))
                older, hermite = hermite, 2 * centre * hermite - 2 * n * older
            rows.append([float(c) for c in row])
    return [np.array(column, np.float64) for column in zip(*rows, strict=True)]


def _erf(x: F64) -> F64:
    table = _erf_table()
    size = np.minimum(np.abs(x), ERF_LIMIT)
    centre = np.rint(size * (1.0 / ERF_STEP))
    index = centre.astype(np.intp)
    r = size - centre * ERF_STEP
    y = table[ERF_DEGREE].take(index)
    for power in range(ERF_DEGREE - 1, -1, -1):
        y *= r
        y += table[power].take(index)
    return np.copysign(y, x)


def exp(x: F32) -> F32:
    """e^x; 0 for -inf, infinity above the range of float32."""
    return blockwise(_exp, x)


def log(x: F32) -> F32:
    """ln x; -inf for ±0, NaN below 0."""
    return blockwise(_log, x)


def sqrt(x: F32) -> F32:
    """√x, correctly rounded; -0 for -0, NaN below 0."""
    with np.errstate(all="ignore"):
        return canonical(_array(np.sqrt(x)))


def rsqrt(x: F32) -> F32:
    """1/√x; ±inf for ±0, NaN below 0."""
    return blockwise(_rsqrt, x)


def recip(x: F32) -> F32:
    """1/x, correctly rounded; ±inf for ±0."""
    with np.errstate(all="ignore"):
        return canonical(_array(np.float32(1.0) / x))


def tanh(x: F32) -> F32:
    """tanh x, with the sign of x also for ±0."""
    return blockwise(_tanh, x)


def erf(x: F32) -> F32:
    """erf x, with the sign of x also for ±0."""
    return blockwise(_erf, x)


def _array(y: Any) -> F32:
    """An array also where NumPy made a scalar of a 0-d result."""
    return np.asarray(y, np.float32)
