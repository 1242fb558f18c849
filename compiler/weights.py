"""Weight tensors outside the IR: a parameter's operation holds a digest, the bytes are here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.errors import DataFault
from isa.layout import NUMPY_TYPES, tensor_digest


class WeightStore:
    """Arrays by digest. Arrays are kept read-only; equal arrays are kept once."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[np.generic]] = {}

    def __len__(self) -> int:
        return len(self._arrays)

    def __contains__(self, digest: object) -> bool:
        return digest in self._arrays

    def add(self, array: NDArray[np.generic]) -> str:
        """Keep a copy; the digest is the sha256 of type, shape and little-endian bytes. Raises DataFault on another dtype."""
        kind = next((name for name, dtype in NUMPY_TYPES.items() if array.dtype == dtype), None)
        if kind is None:
            raise DataFault(f"weights of type {array.dtype}; there are {', '.join(map(str, NUMPY_TYPES.values()))}")
        kept = np.array(array, dtype=NUMPY_TYPES[kind], order="C")
        kept.flags.writeable = False
        digest = tensor_digest(kind, kept)
        self._arrays.setdefault(digest, kept)
        return digest

    def get(self, digest: str) -> NDArray[np.generic]:
        """The array of a digest, read-only. Raises DataFault when it is not here."""
        if digest not in self._arrays:
            raise DataFault(
                f"no weights with digest {digest[:12]}…",
                hint="IR text holds only digests; give the parameter files, or compile from the source",
            )
        return self._arrays[digest]
