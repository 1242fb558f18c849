"""What the chip computes, down to the bit: conversions, elementwise rows of the vector unit, running folds, the lane tree.

Both machines and the compiler's reference take every value from here. The functions are in `isa/functions.py`, dot
products in `isa/dots.py`. Values in the f domain are float32, in the i domain int32. Results do not depend on the shape of
the array that an element stands in, no result aliases an operand, and no NumPy warning escapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isa import functions, trigonometry
from isa.dots import Columns, columns_f16, dot_f16, dot_f16_prepared, dot_i8, dot_i8_prepared, prepare_f16, prepare_i8
from isa.floats import CANONICAL_NAN_F16, CANONICAL_NAN_F32, canonical
from isa.spec import ElementType

__all__ = [
    "CANONICAL_NAN_F16",
    "CANONICAL_NAN_F32",
    "DTYPES",
    "ELEMENTWISE",
    "RUNNING",
    "Columns",
    "accumulate",
    "apply",
    "columns_f16",
    "dot_f16",
    "dot_f16_prepared",
    "dot_i8",
    "dot_i8_prepared",
    "from_domain",
    "lane_blocks",
    "lane_tree",
    "prepare_f16",
    "prepare_i8",
    "running",
    "saturating_add_i32",
    "to_domain",
]

Array = NDArray[Any]
F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

I32_MIN, I32_MAX = -(2**31), 2**31 - 1

DTYPES: dict[str, np.dtype[Any]] = {
    "i8": np.dtype(np.int8),
    "f16": np.dtype(np.float16),
    "i32": np.dtype(np.int32),
    "f32": np.dtype(np.float32),
}
"""The NumPy type that holds each element type."""


# Conversions ----------------------------------------------------------------------------------------------------


def to_domain(x: Array, domain: Literal["f", "i"]) -> Array:
    """int8, float16, int32 or float32 of any shape as the domain computes with it.

    f: float32, exact but for int32, which is rounded to nearest even. i: int32; floats are rounded to nearest even and
    saturate, NaN becomes 0. The result is `x` itself if it has the type already. Raises TypeError for other types.
    """
    if x.dtype not in DTYPES.values():
        raise TypeError(f"no element type is held as {x.dtype}")
    with np.errstate(all="ignore"):
        if domain == "f":
            return x.astype(np.float32, copy=False)
        return _to_integer(x, DTYPES["i32"]) if x.dtype.kind == "f" else x.astype(np.int32, copy=False)


def from_domain(y: Array, element_type: ElementType) -> Array:
    """float32 or int32 of any shape as an element type.

    Integers: rounded to nearest even, saturated, NaN 0. Floats: rounded once to nearest even, overflow is infinity, NaN
    canonical. int32 to f16 goes by float32, yet is rounded once: up to 2^24 the first step is exact, above both overflow.
    """
    target = DTYPES[element_type]
    with np.errstate(all="ignore"):
        if target.kind == "i":
            return _to_integer(y, target)
        return canonical(np.array(y.astype(np.float32, copy=False), target))


def _to_integer(y: Array, target: np.dtype[Any]) -> Array:
    limits = np.iinfo(target)
    if y.dtype.kind == "i":
        return y.clip(limits.min, limits.max).astype(target)
    # float64 holds the limits of int32; float32 is enough for those of int8.
    wide = np.rint(y.astype(np.float32, copy=False))
    if target.itemsize > 1:
        wide = wide.astype(np.float64)
    wide = np.asarray(np.minimum(np.maximum(wide, limits.min), limits.max))
    # What a NaN converts to differs between hosts.
    bad = np.isnan(wide)
    if bad.any():
        wide[bad] = 0
    return wide.astype(target)


# Integer arithmetic ---------------------------------------------------------------------------------------------


def saturating_add_i32(a: Array, b: Array) -> I32:
    """a + b, at most 2^31 - 1 and at least -2^31."""
    if a.size and b.size and _largest(a) + _largest(b) <= I32_MAX:
        return np.asarray(np.add(a, b))  # the common case; looking for it takes less time than looking for overflows
    with np.errstate(over="ignore"):
        total: Array = np.asarray(np.add(a, b))
    return _saturate(total, (a ^ total) & (b ^ total), a)


def _largest(a: Array) -> int:
    """The largest absolute value."""
    return max(int(a.max()), -int(a.min()))


def _saturating_sub_i32(a: Array, b: Array) -> I32:
    with np.errstate(over="ignore"):
        total: Array = np.asarray(np.subtract(a, b))
    return _saturate(total, (a ^ b) & (a ^ total), a)


def _saturate(total: I32, overflow: Array, a: Array) -> I32:
    """`total` with the limit on the side of `a` where `overflow` is negative."""
    wrong = overflow < 0
    if wrong.any():
        np.copyto(total, np.where(a < 0, np.int32(I32_MIN), np.int32(I32_MAX)), where=wrong)
    return total


def _clip_i32(wide: Array) -> I32:
    return np.asarray(wide.clip(I32_MIN, I32_MAX), np.int32)


def _saturating_mul_i32(a: Array, b: Array) -> I32:
    return _clip_i32(a.astype(np.int64) * b)


def _shift_left(a: Array, b: Array) -> I32:
    """a · 2^b; b below 0 counts as 0, above 31 as 31."""
    return _clip_i32(a.astype(np.int64) << b.clip(0, 31))


def _shift_right(a: Array, b: Array) -> I32:
    """a / 2^b rounded down; b below 0 counts as 0, above 31 as 31."""
    return np.asarray(a >> b.clip(0, 31), np.int32)


# Float arithmetic -----------------------------------------------------------------------------------------------


def _maximum(a: Array, b: Array) -> F32:
    """NaN if either is; +0 is larger than -0. Equal operands differ at most in the sign of zero: both signs needed."""
    larger = np.array(np.maximum(a, b))
    np.copyto(larger.view(np.int32), a.view(np.int32) & b.view(np.int32), where=a == b)
    return larger


def _minimum(a: Array, b: Array) -> F32:
    """NaN if either is; -0 is smaller than +0: one sign is enough."""
    smaller = np.array(np.minimum(a, b))
    np.copyto(smaller.view(np.int32), a.view(np.int32) | b.view(np.int32), where=a == b)
    return smaller


def _floor(a: Array) -> F32:
    """copysign: the sign of a zero result is the operand's on every host."""
    return np.copysign(np.floor(a), a)


def _round(a: Array) -> F32:
    return np.copysign(np.rint(a), a)


def _multiply_add(a: Array, b: Array, c: Array) -> Array:
    """Two roundings: the bits are those of a product and a sum one after the other."""
    return np.add(np.multiply(a, b, dtype=np.float32), c)


def _choose(condition: Array, chosen: Array, other: Array) -> Array:
    return np.where(condition != 0, chosen, other)


def _float(compute: Callable[..., Any]) -> Callable[..., F32]:
    """An f row: float32 with canonical NaNs, no warnings, never an operand itself."""

    def row(*operands: Array) -> F32:
        with np.errstate(all="ignore"):
            return canonical(np.asarray(compute(*operands), np.float32))

    return row


def _integer(compute: Callable[..., Any]) -> Callable[..., I32]:
    """An i row: int32, never an operand itself."""

    def row(*operands: Array) -> I32:
        return np.asarray(compute(*operands), np.int32)

    return row


ELEMENTWISE: dict[str, Callable[..., Array]] = {
    "fmov": _float(np.copy),
    "fadd": _float(np.add),
    "fsub": _float(np.subtract),
    "fmul": _float(np.multiply),
    "fmadd": _float(_multiply_add),
    "fmax": _float(_maximum),
    "fmin": _float(_minimum),
    "flt": _float(np.less),
    "fle": _float(np.less_equal),
    "feq": _float(np.equal),
    "fsel": _float(_choose),
    "fabs": _float(np.abs),
    "fneg": _float(np.negative),
    "ffloor": _float(_floor),
    "fround": _float(_round),
    "fexp": functions.exp,
    "flog": functions.log,
    "fsqrt": functions.sqrt,
    "frsqrt": functions.rsqrt,
    "frecip": functions.recip,
    "ftanh": functions.tanh,
    "ferf": functions.erf,
    "fsin": trigonometry.sin,
    "fcos": trigonometry.cos,
    "fatan": trigonometry.atan,
    "imov": _integer(np.copy),
    "iadd": saturating_add_i32,
    "isub": _saturating_sub_i32,
    "imul": _saturating_mul_i32,
    "imax": _integer(np.maximum),
    "imin": _integer(np.minimum),
    "ilt": _integer(np.less),
    "ile": _integer(np.less_equal),
    "ieq": _integer(np.equal),
    "isel": _integer(_choose),
    "iand": _integer(np.bitwise_and),
    "ior": _integer(np.bitwise_or),
    "ixor": _integer(np.bitwise_xor),
    "ishl": _shift_left,
    "ishr": _shift_right,
}
"""Every row of the vector unit that works on one element at a time, by mnemonic."""


def apply(mnemonic: str, operands: Sequence[Array]) -> Array:
    """An elementwise row of the vector unit on operands in its domain, with NumPy broadcasting (immediates are 0-d).

    Comparisons give 1 or 0 in the domain. Raises KeyError for a row that is not elementwise.
    """
    return ELEMENTWISE[mnemonic](*(np.asarray(x) for x in operands))


# Folds ----------------------------------------------------------------------------------------------------------

RUNNING: dict[str, str] = {"fsum": "fadd", "fmaxt": "fmax", "fmint": "fmin", "isum": "iadd", "imaxt": "imax", "imint": "imin"}
"""Running rows of one operand and the elementwise row that folds the next element in."""

RUNNING_PRODUCTS: dict[str, tuple[str, str]] = {"fdot": ("fmul", "fsum"), "idot": ("imul", "isum")}
"""Running rows of two operands: the elementwise row that joins them, and the running row that folds what comes of it."""


def running(mnemonic: str, x: Array, group: int) -> Array:
    """[n, lanes] in the row's domain, folded along time in groups of `group`, first to last: [n / group, lanes].

    The first element of a group starts its fold. Raises ValueError if `group` does not divide n.
    """
    if group < 1 or x.shape[0] % group:
        raise ValueError(f"{x.shape[0]} elements cannot be folded in groups of {group}")
    fold = ELEMENTWISE[RUNNING[mnemonic]]
    grouped = x.reshape(x.shape[0] // group, group, *x.shape[1:])
    total = np.array(grouped[:, 0])
    if total.dtype.kind == "f":
        canonical(total)
    for i in range(1, group):
        total = fold(total, grouped[:, i])
    return total


def running_product(mnemonic: str, a: Array, b: Array, group: int) -> Array:
    """As `running`, of two operands [n, lanes] (or [1, 1], the same for all) that are multiplied first."""
    product, fold = RUNNING_PRODUCTS[mnemonic]
    return running(fold, apply(product, [a, b]), group)


def lane_tree(op: Literal["add", "max", "min"], x: Array) -> Array:
    """float32 or int32 [..., n] folded over its last axis (n ≥ 1) by the halving tree: [...].

    With h the largest power of two below n, lane l + h is folded into lane l wherever both exist, then h/2, until one is
    left. Integer sums saturate at every node.
    """
    fold = ELEMENTWISE[("f" if x.dtype.kind == "f" else "i") + op]
    lanes = x.shape[-1]
    if lanes < 1:
        raise ValueError("a lane tree needs at least one lane")
    x = np.array(x)
    if x.dtype.kind == "f":
        canonical(x)
    while lanes > 1:
        half = 1 << ((lanes - 1).bit_length() - 1)
        x[..., : lanes - half] = fold(x[..., : lanes - half], x[..., half:lanes])
        lanes = half
    return np.array(x[..., 0])


def lane_blocks(op: Literal["add", "max", "min"], x: Array, lanes: int, block: int) -> Array:
    """float32 or int32 [..., n ≥ 1] folded over its last axis in blocks: [...].

    Tiles of `lanes` first to last, lane by lane; then the lanes of every block of `block` first to last; then the blocks
    first to last. Where the last tile or block is short, its lanes take no part.
    """
    row = ("f" if x.dtype.kind == "f" else "i") + op
    fold = ELEMENTWISE[row]
    if not x.shape[-1]:
        raise ValueError("a fold needs at least one lane")
    total = np.array(x[..., :lanes])
    if total.dtype.kind == "f":
        canonical(total)
    for first in range(lanes, x.shape[-1], lanes):
        tile = x[..., first : first + lanes]
        total[..., : tile.shape[-1]] = fold(total[..., : tile.shape[-1]], tile)
    blocks = np.array(total[..., ::block])
    for i in range(1, min(block, total.shape[-1])):
        lane = total[..., i::block]
        blocks[..., : lane.shape[-1]] = fold(blocks[..., : lane.shape[-1]], lane)
    result = np.array(blocks[..., 0])
    for b in range(1, blocks.shape[-1]):
        result = fold(result, blocks[..., b])
    return result


def accumulate(acc: Array, dot: Array) -> Array:
    """An accumulator entry plus a dot product: int32 saturating, float32 IEEE."""
    return ELEMENTWISE["fadd" if acc.dtype.kind == "f" else "iadd"](acc, dot)
