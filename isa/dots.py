"""Dot products of the matrix unit: exact, and for f16 rounded once.

BLAS may sum in any order, fuse multiply and add, and differ between hosts and shapes. Everything here holds for any of
that: the result is either proved independent of it, or computed again in a way that is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isa.floats import NAN_F32

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
F16 = NDArray[np.float16]

EXACT_I8_DEPTH = 1024
"""Terms of at most 2^14 that float32 sums exactly in any order: 2^14 · 2^10 = 2^24."""

MAX_I8_DEPTH = (2**31 - 1) // 2**14
"""Terms that an int32 holds."""

MAX_F16_DEPTH = 1 << 12
"""Terms of at most 2^40 that float64 sums exactly in any order, with a bit to spare for carries."""


def prepare_i8(w: I8) -> F32:
    """Weights [k, n] as `dot_i8_prepared` takes them."""
    return w.astype(np.float32)


def dot_i8_prepared(a: I8, w: F32) -> I32:
    """Exact int32 [m, n] of int8 [m, k] and prepared weights [k, n].

    A float32 sum of at most 1024 products is exact: every partial sum, in any order, is an integer of at most 2^24.
    Longer sums add such sums in int32. Raises ValueError where int32 could overflow (k above 131071).
    """
    depth = a.shape[1]
    if depth > MAX_I8_DEPTH:
        raise ValueError(f"dot of {depth} int8 terms; at most {MAX_I8_DEPTH} fit an int32")
    left = a.astype(np.float32)
    if depth <= EXACT_I8_DEPTH:
        return (left @ w).astype(np.int32)
    total = np.zeros((a.shape[0], w.shape[1]), np.int32)
    for k in range(0, depth, EXACT_I8_DEPTH):
        total += (left[:, k : k + EXACT_I8_DEPTH] @ w[k : k + EXACT_I8_DEPTH]).astype(np.int32)
    return total


def dot_i8(a: I8, w: I8) -> I32:
    """Exact int32 [m, n] of int8 [m, k] and int8 [k, n]."""
    return dot_i8_prepared(a, prepare_i8(w))


def prepare_f16(w: F16 | I8) -> F64:
    """Weights [k, n] as `dot_f16_prepared` takes them; every int8 is an f16 too."""
    with np.errstate(invalid="ignore"):
        return w.astype(np.float32).astype(np.float64)


def dot_f16(a: F16, w: F16 | I8) -> F32:
    """float32 [m, n] of float16 [m, k] and float16 or int8 [k, n]; see `dot_f16_prepared`."""
    return dot_f16_prepared(a, prepare_f16(w))


class Columns(NamedTuple):
    """What `dot_f16_prepared` needs to know of prepared weights [k, n], a number a column: see the proof there."""

    norms: F64
    quanta: F64


def columns_f16(w: F64) -> Columns:
    """Norms and quanta of prepared weights; computed once, they save most of the cost of a product with one row."""
    with np.errstate(all="ignore"):
        return Columns(_norms(w, 0), _quanta(w, 0))


def dot_f16_prepared(a: F16, w: F64, columns: Columns | None = None) -> F32:
    """The exact sum of the exact products, rounded once to float32 (nearest even): [m, k] × [k, n] → [m, n].

    `columns` is `columns_f16(w)`, if the caller has it.

    NaN if a product is NaN or infinities of both signs meet, else the infinity if there is one. An exact zero is +0.
    Raises ValueError for k above 4096.

    Why it is exact, for finite operands. Let S be the exact sum, P the sum of the |products|, u = 2^-53, s the float64
    BLAS result. Every product of two f16 has at most 22 significant bits, so it is exact in float64, fused or not. If
    every element of the row is a multiple of q1 and every element of the column one of q2 (powers of two, at least
    2^-24: `_quanta`), every product and partial sum is a multiple of q = q1·q2, and nothing underflows.

    1. Let B ≥ P: the product of the norms of row and column (Cauchy-Schwarz), enlarged by 2^-20, far more than the
       rounding of the norms themselves ((k + 3)·u ≤ 2^-39). If B ≤ 2^53·q, then every partial sum in every order is a
       multiple of q of at most 2^53·q, so float64 holds it, no addition rounds, and s = S. Most data ends here.
    2. Otherwise |s - S| ≤ (k - 1)·u/(1 - (k - 1)·u) · P in every order. With e = (k + 4)·u·B, lo = fl(s - e) and
       hi = fl(s + e): these subtractions round by at most u·(|s| + e) < 2·u·B, which e has room for, so lo ≤ S ≤ hi.
       Rounding to float32 is monotone: where lo and hi round to the same float32, so does S.
    3. What is left is computed by `_exact_block`, which never rounds before the end.

    Converting to float32 neither overflows (|S| < 2^12 · 2^32) nor underflows (S is 0 or at least 2^-48).
    """
    depth = a.shape[1]
    if depth > MAX_F16_DEPTH:
        raise ValueError(f"dot of {depth} float16 terms; at most {MAX_F16_DEPTH} are exact")
    with np.errstate(all="ignore"):
        left = a.astype(np.float32).astype(np.float64)
        columns = columns or columns_f16(w)
        row_norms = _norms(left, 1)
        if not (np.isfinite(row_norms).all() and np.isfinite(columns.norms).all()):
            return _with_infinities(left, w)
        return _finite(left, w, row_norms, columns)


def _norms(x: F64, axis: int) -> F64:
    """Euclidean norms along an axis; not finite exactly where an operand is not (65504² · 4096 is far inside float64)."""
    return np.sqrt(np.einsum("mk,mk->m" if axis else "mk,mk->k", x, x))


def _quanta(x: F64, axis: int) -> F64:
    """Powers of two, at least 2^-24, that divide every element along an axis.

    An f16 of at least 2^e has 11 significant bits or is subnormal: it is a multiple of 2^(e - 10), or of 2^-24 if that
    is larger.
    """
    size = np.abs(x)
    size[size == 0] = np.inf
    smallest = size.min(axis=axis, initial=1.0)
    return np.maximum(np.ldexp(1.0, np.frexp(smallest)[1] - 11), 2.0**-24)


def _finite(left: F64, w: F64, row_norms: F64, known: Columns) -> F32:
    """Steps 1 to 3 of `dot_f16_prepared`."""
    total = left @ w
    result = total.astype(np.float32)
    # -0 may come from BLAS; adding +0 makes it the +0 of the definition and changes nothing else.
    result += np.float32(0.0)
    if not result.size:
        return result
    row_bounds, column_units = row_norms * (1.0 + 2.0**-20), known.norms / known.quanta
    if row_bounds.max() / 2.0**-24 * column_units.max() <= 2.0**53:
        return result
    row_units = row_bounds / _quanta(left, 1)
    # Rows and columns that step 1 settles against every partner drop out first.
    rows = np.flatnonzero(row_units * column_units.max() > 2.0**53)
    columns = np.flatnonzero(column_units * row_units.max() > 2.0**53)
    if not (rows.size and columns.size):
        return result
    part = total[np.ix_(rows, columns)]
    error = np.multiply.outer(row_bounds[rows], known.norms[columns])
    error *= (left.shape[1] + 4) * 2.0**-53
    error[np.multiply.outer(row_units[rows], column_units[columns]) <= 2.0**53] = 0.0
    doubtful = (part - error).astype(np.float32) != (part + error).astype(np.float32)
    if doubtful.any():
        rows, columns = rows[doubtful.any(axis=1)], columns[doubtful.any(axis=0)]
        result[np.ix_(rows, columns)] = _exact_block(left[rows], w[:, columns])
    return result


def _halves(x: F64) -> tuple[F64, F64]:
    """(high, low) integers with x · 2^24 = high · 2^20 + low, |high| ≤ 2^20, |low| ≤ 2^19."""
    high = np.rint(x * 2.0**4)
    return high, x * 2.0**24 - high * 2.0**20


def _exact_block(left: F64, w: F64) -> F32:
    """The definition by integers.

    The four products of halves sum integers of at most 2^40, at most 2^12 of them: exact in any order. Carried into
    S / q = high · 2^40 + low with 0 ≤ low < 2^40 both parts are exact in float64; their sum is rounded to odd, which
    makes the final rounding to float32 that of the exact sum (53 ≥ 24 + 2 bits).
    """
    a_high, a_low = _halves(left)
    w_high, w_low = _halves(w)
    low = (a_low @ w_low).astype(np.int64)
    middle = (a_high @ w_low).astype(np.int64) + (a_low @ w_high).astype(np.int64) + (low >> 20)
    high = (a_high @ w_high).astype(np.int64) + (middle >> 20)
    rest = ((middle & 0xFFFFF) << 20) | (low & 0xFFFFF)
    big, small = high.astype(np.float64) * 2.0**40, rest.astype(np.float64)
    # |big| is 0 or at least 2^40 > small, so this is the exact error of the sum.
    total = big + small
    error = small - (total - big)
    even = (total.view(np.int64) & 1) == 0
    odd = np.where((error != 0) & even, np.nextafter(total, np.copysign(np.inf, error)), total)
    return (odd * 2.0**-48).astype(np.float32)


def _with_infinities(left: F64, w: F64) -> F32:
    """The definition where some operand is infinite or NaN, from counts of products (exact in float32)."""

    def signs(x: F64, chosen: NDArray[Any]) -> F32:
        return np.where(chosen, np.sign(x), 0.0).astype(np.float32)

    finite_left, finite_w = np.where(np.isfinite(left), left, 0.0), np.where(np.isfinite(w), w, 0.0)
    result = _finite(finite_left, finite_w, _norms(finite_left, 1), columns_f16(finite_w))
    a_sign, w_sign = signs(left, ~np.isnan(left)), signs(w, ~np.isnan(w))
    a_infinite, w_infinite = signs(left, np.isinf(left)), signs(w, np.isinf(w))
    # Infinite products in all, and positive less negative ones.
    count = np.abs(a_infinite) @ np.abs(w_sign) + np.abs(a_sign) @ np.abs(w_infinite)
    balance = a_infinite @ w_sign + a_sign @ w_infinite
    a_zero, w_zero = (left == 0).astype(np.float32), (w == 0).astype(np.float32)
    zero_by_infinity = (np.abs(a_infinite) @ w_zero + a_zero @ np.abs(w_infinite)) > 0
    positive, negative = count + balance > 0, count - balance > 0
    result[positive] = np.inf
    result[negative] = -np.inf
    result[zero_by_infinity | (positive & negative)] = NAN_F32
    result[np.isnan(left).any(axis=1)] = NAN_F32
    result[:, np.isnan(w).any(axis=0)] = NAN_F32
    return result
