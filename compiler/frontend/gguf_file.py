"""GGUF files as a source of parameters: tensors by name, dequantised to f32. Needs the package `gguf` (extra `llm`)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from isa.errors import DataFault

READABLE = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
"""Storage types whose values are checked against their definition in the tests."""

EMBEDDING, HEAD = "token_embd.weight", "output.weight"
"""A file without the second has the embedding as the matrix of its head; it answers to both names, as in llama.cpp."""

MAGIC = b"GGUF"


def open_gguf(path: Path) -> Any:
    """The package's reader of a GGUF file. Raises DataFault where the package is missing or the file is no whole GGUF file."""
    with path.open("rb") as stream:
        if stream.read(4) != MAGIC:
            raise DataFault(f"'{path.name}' is no GGUF file: it does not begin with {MAGIC.decode()}")
    found = path.stat()
    return _read(path.resolve(), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=1)
def _read(path: Path, size: int, changed_ns: int) -> Any:
    """The reader, kept: its seconds go into the tokenizer's fields, and a model is asked for its numbers, its words and its
    tensors one after the other. A file that has changed is read anew."""
    try:
        from gguf import GGUFReader
    except ImportError:
        raise DataFault("GGUF files need the package gguf", hint="pip install 'lockstep-lpu[llm]'") from None
    try:
        with np.errstate(all="ignore"):
            reader = GGUFReader(str(path))
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, UnicodeDecodeError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataFault(
            f"'{path.name}' ({size:,} bytes) is a damaged GGUF file, or only the beginning of one",
            notes=(f"reading it ended with: {reason}",),
            hint="fetch it again, and compare its size with what it should be",
        ) from None
    for tensor in cast(list[Any], reader.tensors):
        if int(tensor.data_offset) + int(tensor.n_bytes) > size:
            raise DataFault(f"'{path.name}' is cut short: the tensor '{tensor.name}' goes beyond its {size:,} bytes")
    return reader


class GgufFile:
    """Arrays by tensor name, f32, with the shape [out, in] that the tensor has in memory order."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._tensors = {str(tensor.name): tensor for tensor in cast(list[Any], open_gguf(path).tensors)}
        if HEAD not in self._tensors and EMBEDDING in self._tensors:
            self._tensors[HEAD] = self._tensors[EMBEDDING]
        self.keys: tuple[str, ...] | None = tuple(self._tensors)

    def read(self, key: str) -> NDArray[np.generic]:
        """Raises DataFault for a storage type that is not read."""
        from gguf import quants

        tensor = self._tensors[key]
        kind = str(tensor.tensor_type.name)
        if kind not in READABLE:
            raise DataFault(
                f"'{key}' in '{self._name}' is stored as {kind}, which is not read",
                notes=(f"the types that are read are {', '.join(READABLE)}",),
                hint="convert the file, for example with llama-quantize … Q8_0",
            )
        shape = tuple(int(extent) for extent in reversed(tensor.shape))
        array = cast(NDArray[np.float32], cast(Any, quants).dequantize(tensor.data, tensor.tensor_type))
        return np.ascontiguousarray(array.reshape(shape), np.float32)
