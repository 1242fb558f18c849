"""Tensors to memory words and back, by the pieces of a symbol (`isa.program.Piece`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from isa.program import Piece, Symbol
from isa.spec import BYTES

NUMPY_TYPES: dict[str, np.dtype[np.generic]] = {
    "i8": np.dtype("<i1"),
    "f16": np.dtype("<f2"),
    "i32": np.dtype("<i4"),
    "f32": np.dtype("<f4"),
}

Words = NDArray[np.uint8]


def tensor_digest(kind: str, array: NDArray[np.generic]) -> str:
    """sha256 of type, shape and little-endian bytes of a tensor of an element type's dtype."""
    return hashlib.sha256(f"{kind}{list(array.shape)}".encode() + array.tobytes()).hexdigest()


def as_matrix(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """[d0, …, dn] as rows × columns: a scalar is 1 × 1, a vector 1 × C."""
    columns = array.shape[-1] if array.ndim else 1
    return array.reshape(-1, columns)


def addresses(piece: Piece) -> NDArray[np.int64]:
    return piece.base + piece.step * np.arange(piece.count, dtype=np.int64)


def rows(piece: Piece) -> NDArray[np.int64]:
    return piece.row + piece.row_step * np.arange(piece.count, dtype=np.int64)


def pack(array: NDArray[np.generic], symbol: Symbol, lanes: int) -> Iterator[tuple[Piece, Words]]:
    """The words of each piece, uint8 [count, lanes]. `array` has the symbol's shape and type. Lanes past C are zero."""
    if symbol.packing:
        array = symbol.packing.pack(array, lanes)
    matrix = as_matrix(np.ascontiguousarray(array, dtype=NUMPY_TYPES[symbol.type]))
    width = BYTES[symbol.type]
    columns = matrix.shape[1]
    octets = matrix.view(np.uint8).reshape(matrix.shape[0], columns, width)
    for piece in symbol.pieces:
        words = np.zeros((piece.count, lanes), np.uint8)
        first = piece.tile * lanes
        chosen = octets[rows(piece), first : first + lanes, piece.byte]
        words[:, : chosen.shape[1]] = chosen
        if columns == 1:
            words[:] = words[:, :1]
        yield piece, words


def unpack(symbol: Symbol, lanes: int, read: Callable[[Piece], Words]) -> NDArray[np.generic]:
    """The tensor that lies in memory; `read` gives a piece's words, uint8 [count, lanes]."""
    shape = symbol.matrix_shape(lanes)
    columns = shape[-1] if shape else 1
    count = int(np.prod(shape, dtype=np.int64)) // columns
    octets = np.zeros((count, columns, BYTES[symbol.type]), np.uint8)
    for piece in symbol.pieces:
        first = piece.tile * lanes
        width = min(lanes, columns - first)
        octets[rows(piece), first : first + width, piece.byte] = read(piece)[:, :width]
    array = octets.view(NUMPY_TYPES[symbol.type]).reshape(shape)
    return symbol.packing.unpack(array, lanes) if symbol.packing else array
