"""Programs that were compiled before, by the content of everything that they follow from: of ONNX models and language models.

The key is over the model (with its external data), how it is read, the samples, the passes, the chip, and our own source
and libraries. Files appear whole or not at all, and equal keys have equal bytes, so that writers need not know of each other.
Nothing here is needed: a full disk, a folder that cannot be written and a damaged file only cost time.

`LOCKSTEP_CACHE` is a folder, or `off`; `LOCKSTEP_CACHE_BYTES` is how much may lie in it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.declare import Reading
from isa.atomic_file import write_whole
from isa.chip import Chip
from isa.container import load_program, program_bytes
from isa.errors import ToolchainError
from isa.program import Program

DEFAULT_BYTES = 4 << 30
SUFFIXES = (".onnx",)
"""Sources that say all by themselves which files they are made from."""
LIBRARIES = ("numpy", "xdsl", "onnx", "onnx-ir", "onnxscript", "gguf", "safetensors")
SOURCES = ("compiler", "isa")


def cache_folder() -> Path | None:
    """Where programs are kept; None where that is switched off."""
    chosen = os.environ.get("LOCKSTEP_CACHE", "")
    if chosen.lower() in ("off", "0", "no", "false"):
        return None
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "lockstep"


@cache
def own_digest() -> str:
    """Of our own source files and the versions of the libraries that programs depend on."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[1]
    for name in SOURCES:
        for path in sorted((root / name).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    for library in LIBRARIES:
        digest.update(f"{library} {_version(library)}\0".encode())
    return digest.hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"


def key_of(path: Path, chip: Chip, reading: Reading, passes: str | None) -> str | None:
    """The name of the program in the cache; None for what cannot be kept or read."""
    if path.suffix not in SUFFIXES:
        return None
    try:
        digest = hashlib.sha256()
        for part in _parts(path, chip, reading, passes):
            digest.update(hashlib.sha256(part).digest())
        return digest.hexdigest()
    except (OSError, ToolchainError):
        return None


def key_of_files(files: Iterable[Path], facts: str) -> str | None:
    """The name of a program that follows from these files and facts alone; None where one cannot be read."""
    try:
        digest = hashlib.sha256(f"{own_digest()}\0{facts}\0".encode())
        for file in files:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()
    except OSError:
        return None


def _parts(path: Path, chip: Chip, reading: Reading, passes: str | None) -> Iterator[bytes]:
    shapes = sorted((name, tuple(shape)) for name, shape in reading.shapes.items())
    yield own_digest().encode()
    yield repr((path.name, chip.name, chip.digest, reading.precision, shapes, reading.calibration, passes)).encode()
    data = path.read_bytes()
    yield data
    for name in _external_files(data):
        yield name.encode() + b"\0" + (path.parent / name).read_bytes()
    samples = reading.samples
    if isinstance(samples, Path):
        yield samples.read_bytes()
    elif samples is not None:
        for name in sorted(samples):
            yield _array_bytes(name, samples[name])


def _external_files(data: bytes) -> list[str]:
    if b"location" not in data:
        return []
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load_model_from_string(data)
    except DecodeError:
        return []
    found = {entry.value for t in proto.graph.initializer for entry in t.external_data if entry.key == "location"}
    return sorted(found)


def _array_bytes(name: str, array: NDArray[Any]) -> bytes:
    return f"{name} {array.dtype} {array.shape}\0".encode() + np.ascontiguousarray(array).tobytes()


def find(key: str | None) -> Program | None:
    """The program of a key, if it is there and whole."""
    folder = cache_folder()
    if key is None or folder is None:
        return None
    path = folder / f"{key}.lbin"
    try:
        if not path.is_file():
            return None
        program = load_program(path)
        os.utime(path)
        return program
    except ToolchainError:
        _remove(path)
    except OSError:
        pass
    return None


def keep(key: str | None, program: Program) -> None:
    """Put a program away, and drop those unused for longest while all of them are too large."""
    folder = cache_folder()
    if key is None or folder is None:
        return
    limit = _limit()
    data = program_bytes(program)
    if len(data) > limit:
        return
    with suppress(OSError, ToolchainError):
        folder.mkdir(parents=True, exist_ok=True)
        _make_room(folder, limit - len(data))
        write_whole(folder / f"{key}.lbin", data)


def _limit() -> int:
    text = os.environ.get("LOCKSTEP_CACHE_BYTES", "")
    return int(text) if text.isdecimal() else DEFAULT_BYTES


def _make_room(folder: Path, limit: int) -> None:
    files: list[tuple[float, int, Path]] = []
    for path in folder.glob("*.lbin"):
        try:
            status = path.stat()
        except OSError:
            continue  # another process has dropped it
        files.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit:
            return
        _remove(path)
        total -= size


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
