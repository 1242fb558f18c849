"""Operations that move data. Bytes are never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.errors import DataFault

Array = NDArray[Any]


def slice_of(x: Array, offsets: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> Array:
    """sizes[i] elements of axis i, every strides[i]-th, from offsets[i] on."""
    return x[tuple(slice(o, o + (n - 1) * s + 1, s) for o, n, s in zip(offsets, sizes, strides, strict=True))]


def pad(x: Array, low: Sequence[int], high: Sequence[int], value: np.generic) -> Array:
    """`low[i]` elements of the value before axis i, `high[i]` after it."""
    shape = [before + n + after for before, n, after in zip(low, x.shape, high, strict=True)]
    return insert(np.full(shape, value, x.dtype), x, low)


def insert(x: Array, block: Array, offsets: Sequence[int]) -> Array:
    """A copy of x with the block in place of what is at the offsets."""
    result = np.array(x)
    result[tuple(slice(o, o + n) for o, n in zip(offsets, block.shape, strict=True))] = block
    return result


def gather(table: Array, index: Array) -> Array:
    """Entries of the table along axis 0. Raises DataFault for an index outside 0 … V-1."""
    _refuse_outside("gather", table, index)
    return table[index]


def scatter(x: Array, rows: Array, index: Array) -> Array:
    """A copy of x with entries along axis 0 replaced, one after the other. Raises DataFault for an index outside 0 … V-1."""
    _refuse_outside("scatter", x, index)
    result = np.array(x)
    for number, row in zip(index.reshape(-1), rows.reshape(-1, *x.shape[1:]), strict=True):
        result[number] = row
    return result


def _refuse_outside(what: str, table: Array, index: Array) -> None:
    wrong = (index < 0) | (index >= table.shape[0])
    if wrong.any():
        raise DataFault(f"{what}: index {index[wrong][0]} into a table of {table.shape[0]} entries (0 to {table.shape[0] - 1})")
