"""Safetensors files as a source of parameters: one file, or the parts that an index names. Llama-type models answer to the
names that GGUF gives their tensors (`llama_names`)."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from compiler.frontend.llama_names import hugging_face_name, in_gguf_order

INDEX = ".safetensors.index.json"
"""How the name of an index ends. It maps each tensor to the file, in the same folder, that holds it."""

STORED = ("I8", "I32", "F16", "F32", "I64", "F64", "U8", "I16", "BOOL")
"""Storage types that NumPy has. BF16 is read besides."""


class SafetensorsFile:
    """Arrays by name. Raises OSError, ValueError and SafetensorError for a file that is not one."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        with path.open("rb"):
            self._path = path
        self._data: Any = stack.enter_context(cast(Any, safe_open)(str(path), framework="numpy"))
        self.keys: tuple[str, ...] | None = tuple(sorted(cast(list[str], self._data.keys())))

    def read(self, key: str) -> NDArray[np.generic]:
        name = hugging_face_name(key, self.keys or ())
        array = self.stored(name)
        return array if name == key else in_gguf_order(key, array, self._path)

    def stored(self, name: str) -> NDArray[np.generic]:
        """The array as it lies in the file; bfloat16 as f32, for NumPy has none."""
        kind = str(self._data.get_slice(name).get_dtype())
        if kind == "BF16":
            return self._bfloat16(name)
        if kind not in STORED:
            raise ValueError(f"its type {kind} has no NumPy counterpart")
        return cast(NDArray[np.generic], self._data.get_tensor(name))

    def _bfloat16(self, name: str) -> NDArray[np.generic]:
        """The file begins with the length of a JSON header of shapes and offsets."""
        with self._path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            entry = json.loads(stream.read(length))[name]
            first, end = entry["data_offsets"]
            stream.seek(8 + length + first)
            octets = stream.read(end - first)
        wide = np.frombuffer(octets, "<u2").astype("<u4") << 16
        return wide.view("<f4").reshape(entry["shape"])


class ShardedFile:
    """Arrays by name from the parts of a model, each opened when it is first needed."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._stack = path, stack
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        parts: Any = cast(dict[str, Any], found).get("weight_map") if isinstance(found, dict) else None
        if not isinstance(parts, dict):
            raise ValueError("it is no index: it has no weight_map")
        self._part_of = {str(name): str(part) for name, part in cast(dict[str, str], parts).items()}
        outside = next((part for part in self._part_of.values() if Path(part).name != part), None)
        if outside is not None:
            raise ValueError(f"its part '{outside}' is not a file beside it")
        self._parts: dict[str, SafetensorsFile] = {}
        self.keys: tuple[str, ...] | None = tuple(sorted(self._part_of))

    def read(self, key: str) -> NDArray[np.generic]:
        name = hugging_face_name(key, self.keys or ())
        part = self._part_of[name]
        if part not in self._parts:
            file = self._path.with_name(part)
            if not file.exists():
                raise ValueError(f"its part '{part}' is missing")
            self._parts[part] = SafetensorsFile(file, self._stack)
        array = self._parts[part].stored(name)
        return array if name == key else in_gguf_order(key, array, self._path)
