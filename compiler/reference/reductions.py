"""Reductions, softmax and norms. The order of every sum is part of the definition: rows first to last, then the lanes of each
tile by the halving tree, then the tiles first to last; or tiles, lanes of blocks and blocks on a chip that folds by blocks.
Composites compute in f32 throughout and round once at the end."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compiler.dialects.graph_shapes import SUM_TYPES
from compiler.dialects.graph_types import kind_of
from compiler.reference.elementwise import f, vector
from isa.chip import Chip
from isa.numerics import from_domain, lane_blocks, lane_tree, running, to_domain

Array = NDArray[Any]
Fold = Literal["add", "max", "min"]

RUNNING: dict[Fold, str] = {"add": "sum", "max": "maxt", "min": "mint"}


def mean_factor(count: int) -> np.float32:
    """1 / count, rounded once to f32 (counts below 2^24 are exact in f32)."""
    return np.float32(1.0) / np.float32(count)


def fold(op: Fold, x: Array, axes: Sequence[int], chip: Chip) -> Array:
    """f32 or i32 folded over sorted `axes`, which stay with size 1. The last axis lies on the chip's lanes."""
    domain = "f" if x.dtype.kind == "f" else "i"
    last = x.ndim - 1
    leading = [axis for axis in axes if axis != last]
    if leading:
        kept = [axis for axis in range(x.ndim) if axis not in leading]
        count = prod(x.shape[axis] for axis in leading)
        rows = x.transpose(*leading, *kept).reshape(count, -1)
        shape = [1 if axis in leading else n for axis, n in enumerate(x.shape)]
        x = running(domain + RUNNING[op], rows, count).reshape(shape)
    if last in axes:
        if chip.fold_block:
            return lane_blocks(op, x, chip.lanes, chip.fold_block)[..., None]
        tiles = [lane_tree(op, x[..., start : start + chip.lanes]) for start in range(0, x.shape[-1], chip.lanes)]
        total = tiles[0]
        for tile in tiles[1:]:
            total = vector(domain + op, total, tile)
        x = total[..., None]
    return x


def reduce(fn: str, x: Array, axes: Sequence[int], keepdims: bool, chip: Chip) -> Array:
    """sum (of i8 in i32, of f16 in f32), max and min (same type), mean (f32: f32(sum) · f32(1/n))."""
    kind = kind_of(x)
    if fn in ("sum", "mean"):
        wide = SUM_TYPES[kind]
        result = fold("add", from_domain(to_domain(x, "f" if wide == "f32" else "i"), wide), axes, chip)
        if fn == "mean":
            result = vector("fmul", f(result), mean_factor(prod(x.shape[axis] for axis in axes)))
    else:
        domain = "f" if x.dtype.kind == "f" else "i"
        result = from_domain(fold("max" if fn == "max" else "min", to_domain(x, domain), axes, chip), kind)
    return result if keepdims else result.reshape([n for axis, n in enumerate(x.shape) if axis not in axes])


def last_sum(x: Array, chip: Chip) -> Array:
    return fold("add", x, [x.ndim - 1], chip)


def softmax(x: Array, chip: Chip) -> Array:
    """Over the last axis: e · recip(sum of e), e = exp(x - max), in f32, one rounding at the end."""
    wide = f(x)
    e = vector("fexp", vector("fsub", wide, fold("max", wide, [x.ndim - 1], chip)))
    return from_domain(vector("fmul", e, vector("frecip", last_sum(e, chip))), kind_of(x))


def layernorm(x: Array, gain: Array, bias: Array, eps: float, chip: Chip) -> Array:
    """Over the last axis of n: m = sum(x) · f32(1/n), d = x - m, v = sum(d · d) · f32(1/n),
    ((d · rsqrt(v + eps)) · gain) + bias, in f32, one rounding at the end."""
    wide, factor = f(x), mean_factor(x.shape[-1])
    d = vector("fsub", wide, vector("fmul", last_sum(wide, chip), factor))
    v = vector("fmul", last_sum(vector("fmul", d, d), chip), factor)
    scaled = vector("fmul", d, vector("frsqrt", vector("fadd", v, np.float32(eps))))
    return from_domain(vector("fadd", vector("fmul", scaled, f(gain)), f(bias)), kind_of(x))


def rmsnorm(x: Array, gain: Array, eps: float, chip: Chip) -> Array:
    """Over the last axis of n: (x · rsqrt(sum(x · x) · f32(1/n) + eps)) · gain, in f32, one rounding at the end."""
    wide = f(x)
    v = vector("fmul", last_sum(vector("fmul", wide, wide), chip), mean_factor(x.shape[-1]))
    scaled = vector("fmul", wide, vector("frsqrt", vector("fadd", v, np.float32(eps))))
    return from_domain(vector("fmul", scaled, f(gain)), kind_of(x))
