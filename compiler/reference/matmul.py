"""Products of matrices with the chip's numerics, by a path that the machines do not use.

A product over K runs in steps of the chip's depth for its mode. One step is an exact dot (rounded once to f32 in the float
modes); steps are added in K order, the first one starting the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.reference.elementwise import cast, f, vector
from isa.chip import Chip
from isa.numerics import from_domain

Array = NDArray[Any]

SPLIT_SCALE = np.float32(2048.0)
"""The low half of an f32 is scaled by 2^11, so that it keeps its bits as an f16."""
SPLIT_INVERSE = np.float32(2.0**-11)

SAFE_I8_TERMS = (2**31 - 1) // 2**14
"""Terms of i8 products that no order of adding saturates; up to here the steps cannot be seen."""


def matmul(a: Array, b: Array, transpose_b: bool, precision: str | None, chip: Chip) -> Array:
    """[.., M, K] × [.., K, N] (or [.., N, K]): i8·i8→i32, f16·f16→f32, f16·i8→f32, f32·f32→f32."""
    if transpose_b:
        b = b.swapaxes(-1, -2)
    if a.dtype == np.float32:
        return product_f32(a, b, precision or "f32", chip)
    if b.ndim == 2:
        rows = a.reshape(-1, a.shape[-1])
        return product(rows, b, chip).reshape(*a.shape[:-1], b.shape[-1])
    left, right = a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:])
    stacked = np.stack([product(x, y, chip) for x, y in zip(left, right, strict=True)])
    return stacked.reshape(*a.shape[:-1], b.shape[-1])


def product_f32(a: Array, b: Array, precision: str, chip: Chip) -> Array:
    """Precision f16: both operands rounded to f16. Precision f32: three passes."""
    if precision == "f16":
        return matmul(cast(a, "f16"), cast(b, "f16"), False, None, chip)
    return three_passes(lambda x, y: matmul(x, y, False, None, chip), a, b)


def three_passes(times: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
    """An f32 product by f16 ones: h = f16(x), l = f16((x - h) · 2^11); ha·hb + (ha·lb + la·hb) · 2^-11. About 22 bits of each
    operand count; one that an f16 cannot hold gives infinity or NaN."""
    ha, hb = cast(a, "f16"), cast(b, "f16")
    la, lb = low_half(a, ha), low_half(b, hb)
    cross = vector("fadd", times(ha, lb), times(la, hb))
    return vector("fadd", times(ha, hb), vector("fmul", cross, SPLIT_INVERSE))


def low_half(x: Array, high: Array) -> Array:
    """f16((x - f32(high)) · 2^11)."""
    return from_domain(vector("fmul", vector("fsub", x, f(high)), SPLIT_SCALE), "f16")


def step_depth(a: Array, b: Array, chip: Chip) -> int:
    """Terms of one dot. A chip without the mixed mode takes i8 weights as f16."""
    if a.dtype == np.int8:
        return chip.depth("i8")
    return chip.depth("i8f16" if b.dtype == np.int8 and "i8f16" in chip.mxm.modes else "f16")


def product(a: Array, b: Array, chip: Chip) -> Array:
    """i8 [M, K] × i8 [K, N] → i32, or f16 [M, K] × f16 or i8 [K, N] → f32, over K in steps of the depth."""
    if a.dtype == np.int8 and a.shape[1] <= SAFE_I8_TERMS:
        return dot_i8(a, b)
    depth = step_depth(a, b, chip)
    dot = dot_i8 if a.dtype == np.int8 else dot_f16
    mnemonic = "iadd" if a.dtype == np.int8 else "fadd"
    total = dot(a[:, :depth], b[:depth])
    for start in range(depth, a.shape[1], depth):
        total = vector(mnemonic, total, dot(a[:, start : start + depth], b[start : start + depth]))
    return total


def dot_i8(a: Array, b: Array) -> Array:
    """Exact: sums of up to SAFE_I8_TERMS terms stay below 2^31, so float64 never rounds and i32 never overflows."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int32)


def dot_f16(a: Array, b: Array) -> Array:
    """The exact sum, rounded once to f32. An exact zero is +0; NaN if a product is NaN or infinities of both signs meet.

    x · 2^24 is an integer of at most 40 bits: high · 2^20 + low with |low| ≤ 2^19. The products of halves sum exactly in
    float64. Error-free additions turn S = hh · 2^40 + (hl + lh) · 2^20 + ll, below 2^93, into head + tail with tail at
    most half a unit of head; making head odd where the tail is not zero lets the one rounding to f32 see the whole sum.
    """
    with np.errstate(all="ignore"):
        x, y = f(a).astype(np.float64), f(b).astype(np.float64)
        finite_x, finite_y = np.isfinite(x), np.isfinite(y)
        xh, xl = _halves(np.where(finite_x, x, 0.0))
        yh, yl = _halves(np.where(finite_y, y, 0.0))
        middle = _times(xh, yl) + _times(xl, yh)
        upper, lost = _two_sum(middle * 2.0**20, _times(xl, yl))
        head, tail = _two_sum(_times(xh, yh) * 2.0**40, upper)
        # Both parts are integers of at most 2^41: this sum is exact.
        head, tail = _two_sum(head, tail + lost)
        odd = np.nonzero((tail != 0) & (head.view(np.int64) & 1 == 0))
        head[odd] = np.nextafter(head[odd], np.copysign(np.inf, tail[odd]))
        result = (head * 2.0**-48).astype(np.float32) + np.float32(0.0)
        if not (finite_x.all() and finite_y.all()):
            _put_infinities(result, x, y)
    return from_domain(result, "f32")


def _halves(x: Array) -> tuple[Array, Array]:
    """Integers with x · 2^24 = high · 2^20 + low, |high| ≤ 2^20, |low| ≤ 2^19."""
    scaled = x * 2.0**24
    high = np.rint(scaled * 2.0**-20)
    return high, scaled - high * 2.0**20


def _times(x: Array, y: Array) -> Array:
    """x @ y of integers of at most 2^20, exact; nothing to do where all of one side is zero (i8 has no low half)."""
    if not x.any() or not y.any():
        return np.zeros((x.shape[0], y.shape[1]))
    return x @ y


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum and its exact error."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def _put_infinities(result: Array, x: Array, y: Array) -> None:
    """Overwrite what an infinity or a NaN decides: only their products with zero, each other and signs matter."""
    signs_x, signs_y = (np.where(np.isfinite(v), np.sign(v), v) for v in (x, y))
    rows = np.flatnonzero(~np.isfinite(x).all(axis=1))
    columns = np.flatnonzero(~np.isfinite(y).all(axis=0))
    for row in rows:
        decided = (signs_x[row][:, None] * signs_y).sum(axis=0)
        result[row] = np.where(np.isfinite(decided), result[row], decided)
    for column in columns:
        decided = (signs_x * signs_y[:, column]).sum(axis=1)
        result[:, column] = np.where(np.isfinite(decided), result[:, column], decided)
