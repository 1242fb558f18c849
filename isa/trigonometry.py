"""sin, cos and arctan of the vector unit, down to the bit: fixed sequences of float64 steps as in `isa/functions.py`.

Arguments of sin and cos are reduced exactly whatever their size. A float32 is M · 2^E with an integer M below 2^24, so
x · 2/π mod 4 is M · (2^E · 2/π mod 4) mod 4; the factor comes from a table as three numbers of 29 bits, which makes
each of the three products exact in float64 (M. Payne and R. Hanek, "Radian reduction for trigonometric functions", 1983).
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, localcontext
from functools import cache
from math import factorial

import numpy as np
from numpy.typing import NDArray

from isa.functions import F32, F64, blockwise, horner, pi

HALF_PI = 1.5707963267948966
QUARTER_PI_F32 = 0.7853981852531433
"""π/4 as float32: arguments up to here need no reduction."""

SIN_TERMS = tuple((-1.0) ** n / factorial(2 * n + 1) for n in range(8, -1, -1))
"""sin r = r · (1 - r²/3! + …), highest power first; for |r| ≤ π/4 the rest is below 1e-19."""

COS_TERMS = tuple((-1.0) ** n / factorial(2 * n) for n in range(8, -1, -1))
"""cos r = 1 - r²/2! + …; for |r| ≤ π/4 the rest is below 3e-18."""

PART_BITS = 29
PARTS = 3
LOWEST_EXPONENT, HIGHEST_EXPONENT = -24, 104
"""Exponents E of float32 from π/4 (0.5 ≤ |x|) up."""

ATAN_STEP = 0.125
ATAN_TERMS = tuple((-1.0) ** n / (2 * n + 1) for n in range(6, -1, -1))
"""arctan t = t · (1 - t²/3 + …), highest power first; for |t| ≤ 1/16 the rest is below 1e-17 of it."""


@cache
def _two_over_pi() -> NDArray[np.float64]:
    """[exponents, 3]: 2^E · 2/π mod 4 in parts of 29 bits, highest first. Decimal arithmetic is the same on every host."""
    rows: list[list[float]] = []
    with localcontext() as context:
        context.prec = 80
        ratio = 2 / pi()
        for exponent in range(LOWEST_EXPONENT, HIGHEST_EXPONENT + 1):
            # 2 bits before the point and 85 after it.
            whole = (ratio * Decimal(2) ** (exponent + PART_BITS * PARTS - 2)).to_integral_value(ROUND_FLOOR)
            bits = int(whole) % (1 << (PART_BITS * PARTS))
            parts = [bits >> (PART_BITS * (PARTS - 1 - i)) & ((1 << PART_BITS) - 1) for i in range(PARTS)]
            rows.append([part * 2.0 ** (2 - PART_BITS * (i + 1)) for i, part in enumerate(parts)])
    return np.array(rows, np.float64)


def _reduced(x: F64) -> tuple[NDArray[np.int64], F64]:
    """(q, r) with x = q · π/2 + r modulo 2π, |r| ≤ π/4 and a hair. x is a finite float32."""
    small = np.abs(x) <= QUARTER_PI_F32
    fraction, exponent = np.frexp(np.where(small, 1.0, x))
    integer = np.ldexp(fraction, 24)
    a, b, c = (integer * part for part in _two_over_pi()[exponent - 24 - LOWEST_EXPONENT].T)
    quarters = np.rint(a)
    rest = ((a - quarters) + b) + c
    more = np.rint(rest)
    quadrant = np.where(small, 0, (quarters + more).astype(np.int64) & 3)
    return quadrant, np.where(small, x, (rest - more) * HALF_PI)


def _circular(x: F64, quarter_turns: int) -> F64:
    """sin(x + quarter_turns · π/2)."""
    finite = np.isfinite(x)
    quadrant, r = _reduced(np.where(finite, x, 0.0))
    quadrant = (quadrant + quarter_turns) & 3
    square = r * r
    y = np.where(quadrant & 1, horner(square, COS_TERMS), horner(square, SIN_TERMS) * r)
    return np.where(finite, np.where(quadrant & 2, -y, y), np.nan)


@cache
def _atan_table() -> NDArray[np.float64]:
    """arctan of 0, 1/8, …, 1, by Euler's series, all of whose terms are positive."""
    values: list[float] = []
    with localcontext() as context:
        context.prec = 60
        for i in range(round(1 / ATAN_STEP) + 1):
            centre = Decimal(i) * Decimal(ATAN_STEP)
            term = total = centre / (1 + centre * centre)
            for n in range(1, 200):
                term = term * 2 * n / (2 * n + 1) * centre * centre / (1 + centre * centre)
                total += term
            values.append(float(total))
    return np.array(values, np.float64)


def _atan(x: F64) -> F64:
    size = np.abs(x)
    large = size > 1.0
    # arctan s = π/2 - arctan 1/s, and arctan s = arctan c + arctan((s - c) / (1 + s·c)) for the nearest centre c.
    size = np.where(large, 1.0 / np.maximum(size, 1.0), size)
    steps = np.rint(size * (1.0 / ATAN_STEP))
    centre = steps * ATAN_STEP
    t = (size - centre) / (size * centre + 1.0)
    y = _atan_table().take(steps.astype(np.intp)) + horner(t * t, ATAN_TERMS) * t
    return np.copysign(np.where(large, HALF_PI - y, y), x)


def sin(x: F32) -> F32:
    """sin x, x in radians; -0 for -0, NaN for ±infinity."""
    return blockwise(lambda block: _circular(block, 0), x)


def cos(x: F32) -> F32:
    """cos x, x in radians; NaN for ±infinity."""
    return blockwise(lambda block: _circular(block, 1), x)


def atan(x: F32) -> F32:
    """arctan x in -π/2 … π/2, with the sign of x also for ±0."""
    return blockwise(_atan, x)
