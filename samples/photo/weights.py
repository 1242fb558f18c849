"""The weights in a legacy torch file, read without torch.

The format: three pickles (magic, protocol, system), a pickle of the state dict in which tensors name their storages, a pickle
of the keys of these storages, then each storage as an int64 count and its elements. Tensors are strided views of storages.
Only the few names that such a file needs are ever looked up.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(frozen=True)
class View:
    """A tensor of the file, before its storage is read."""

    key: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"the file asks for {module}.{name}, which weights do not need")

    def persistent_load(self, pid: Any) -> Any:
        kind, dtype, key, *_ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"the file has a {kind}, which weights do not need")
        return key, dtype


def _view(storage: tuple[str, np.dtype[Any]], offset: int, shape: Sequence[int], strides: Sequence[int], *_: object) -> View:
    return View(storage[0], storage[1], offset, tuple(shape), tuple(strides))


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a state dict by name. Raises pickle.UnpicklingError or ValueError for any other file."""
    with path.open("rb") as file:
        magic, _protocol, _system, state, keys = (_Unpickler(file).load() for _ in range(5))
        if magic != MAGIC:
            raise ValueError(f"{path} is not a torch file of the legacy format")
        types = {view.key: view.dtype for view in state.values()}
        storages = {key: _storage(file, types[key]) for key in keys}
    return {name: _array(view, storages[view.key]) for name, view in state.items()}


def _storage(file: BinaryIO, dtype: np.dtype[Any]) -> NDArray[Any]:
    count = int.from_bytes(file.read(8), "little")
    data = file.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ValueError("the file is truncated")
    return np.frombuffer(data, dtype)


def _array(view: View, storage: NDArray[Any]) -> NDArray[Any]:
    reach = view.offset + sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True)) + 1
    if min(view.shape, default=1) < 1 or min(view.strides, default=0) < 0 or not 0 <= view.offset < reach <= len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    steps = tuple(step * storage.itemsize for step in view.strides)
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, steps))
