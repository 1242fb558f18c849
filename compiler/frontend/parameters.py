"""Parameter files: .npz, .npy, .safetensors (in parts too) and .gguf, one key at a time, checked against the declaration.

A float type that is stored narrower, or in blocks, may be declared f32: that changes no value.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from compiler.dialects.graph_shapes import Tensor
from compiler.frontend.gguf_file import GgufFile
from compiler.frontend.llama_names import hugging_face_name
from compiler.frontend.safetensors_file import INDEX, SafetensorsFile, ShardedFile
from isa.errors import DataFault
from isa.layout import NUMPY_TYPES

SUFFIXES = (".npz", ".npy", ".safetensors", INDEX, ".gguf")
DAMAGE = (ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error, SafetensorError, NotImplementedError)
"""What the readers of files raise for one that is not of their format."""


class _File(Protocol):
    """An open file. `keys` is None where arrays have no names."""

    keys: tuple[str, ...] | None

    def read(self, key: str) -> NDArray[np.generic]: ...


class ParameterFiles:
    """The files of one source, opened once. Use as a context manager."""

    def __init__(self, folder: Path, instead: Mapping[str, Path] | None = None) -> None:
        """Files lie in `folder`, but for those for which `instead` has a path."""
        self._folder = folder
        self._instead = dict(instead or {})
        self._open: dict[str, _File] = {}
        self._stack = ExitStack()

    def __enter__(self) -> ParameterFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, name: str, key: str, kind: Tensor) -> NDArray[np.generic]:
        """The array of a key, of exactly this type and shape. Raises DataFault without a place."""
        file, shown = self._file(name), self._path(name).name
        if file.keys is not None and hugging_face_name(key, file.keys) not in file.keys:
            near = get_close_matches(key, file.keys, n=1)
            listed = ", ".join(file.keys[:20]) + (f", … ({len(file.keys)} in all)" if len(file.keys) > 20 else "")
            raise DataFault(
                f"'{shown}' has no key '{key}'",
                notes=(f"its keys are {listed}" if file.keys else "it has no keys at all",),
                hint=f'did you mean "{near[0]}"? write: as "{near[0]}"' if near else "",
            )
        array = self._array(name, key)
        wanted = NUMPY_TYPES[kind.type]
        if kind.type == "f32" and array.dtype == np.float16:
            array = array.astype(np.float32)
        if array.dtype.newbyteorder("<") != wanted or array.shape != kind.shape:
            raise _mismatch(shown, key, array, kind)
        return array.astype(wanted, copy=False)

    def read_all(self, name: str) -> Iterator[NDArray[np.generic]]:
        """Every array of a file that has one of the four element types, whatever its key. Raises DataFault without a place."""
        keys = self._file(name).keys
        for key in ("",) if keys is None else keys:
            array = self._array(name, key)
            wanted = array.dtype.newbyteorder("<")
            if wanted in NUMPY_TYPES.values():
                yield array.astype(wanted, copy=False)

    def _array(self, name: str, key: str) -> NDArray[np.generic]:
        try:
            return self._file(name).read(key)
        except (*DAMAGE, OSError, MemoryError) as error:
            raise DataFault(f"'{self._path(name).name}' is damaged at key '{key}': {_reason(error)}") from None

    def _path(self, name: str) -> Path:
        return self._instead.get(name, self._folder / name)

    def _file(self, name: str) -> _File:
        if name not in self._open:
            path = self._path(name)
            if not path.name.endswith(SUFFIXES):
                raise DataFault(f"'{path.name}' is no parameter file; its name must end in {', '.join(SUFFIXES)}")
            try:
                self._open[name] = _opened(path, self._stack)
            except FileNotFoundError:
                raise DataFault(f"there is no file '{path.name}'", notes=(f"looked in {path.parent}",)) from None
            except (*DAMAGE, OSError) as error:
                raise DataFault(f"cannot read '{path.name}': {_reason(error)}") from None
        return self._open[name]


def _mismatch(name: str, key: str, array: NDArray[np.generic], kind: Tensor) -> DataFault:
    element = next((t for t, dtype in NUMPY_TYPES.items() if dtype == array.dtype.newbyteorder("<")), None)
    sizes = f"[{', '.join(map(str, array.shape))}]"
    if element is None:
        wanted = NUMPY_TYPES[kind.type].name
        return DataFault(f"'{key}' in '{name}' is {array.dtype}{sizes}; declared is {kind}", hint=f"store it as {wanted}")
    return DataFault(f"'{key}' in '{name}' is {element}{sizes}; declared is {kind}", hint="the declaration must say the same")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _opened(path: Path, stack: ExitStack) -> _File:
    if path.suffix == ".npz":
        return _Npz(path, stack)
    if path.suffix == ".gguf":
        return GgufFile(path)
    if path.suffix == ".npy":
        return _Npy(path)
    return ShardedFile(path, stack) if path.name.endswith(INDEX) else SafetensorsFile(path, stack)


class _Npz:
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._data: Any = stack.enter_context(np.load(stack.enter_context(path.open("rb")), allow_pickle=False))
        if not hasattr(self._data, "files"):
            raise ValueError("it is a single array, not an archive")
        self.keys: tuple[str, ...] | None = tuple(cast(list[str], self._data.files))

    def read(self, key: str) -> NDArray[np.generic]:
        array = self._data[key]
        if not isinstance(array, np.ndarray):
            raise ValueError("not an array")
        return cast(NDArray[np.generic], array)


class _Npy:
    """One array. It answers to any key, since the file has no names."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as stream:
            self._array: NDArray[np.generic] = np.lib.format.read_array(stream, allow_pickle=False)
        self.keys: tuple[str, ...] | None = None

    def read(self, key: str) -> NDArray[np.generic]:
        return self._array
