"""Tensors from and to .npy files: `--input x=FILE.npy`, `--output FOLDER`."""

from __future__ import annotations

import hashlib
import io
import tokenize
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from compiler.cli.output_files import write_file
from isa.errors import DataFault, Location
from isa.layout import NUMPY_TYPES
from isa.program import Program, Symbol

Array = NDArray[np.generic]
_NPY_MAGIC = b"\x93NUMPY"
_NPY_FAULTS = (ValueError, EOFError, MemoryError, OverflowError, SyntaxError, TypeError, KeyError, tokenize.TokenError)


def parse_assignments(texts: Iterable[str]) -> dict[str, Path]:
    """`x=FILE.npy` … as a mapping. Wrong form or a name given twice is wrong usage."""
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise click.UsageError(f"--input {text}: expected NAME=FILE.npy")
        if name in found:
            raise click.UsageError(f"--input {name} is given twice")
        found[name] = Path(path)
    return found


def read_npy(path: Path) -> Array:
    """The array in a .npy file. Raises DataFault."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataFault(f"cannot read the input file: {error.strerror}", Location(str(path))) from None
    if not data.startswith(_NPY_MAGIC):
        raise DataFault(
            "this is not a .npy file",
            Location(str(path)),
            hint="write one with numpy.save; an .npz holds several: save one of them",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of odd headers before it refuses them
            return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except _NPY_FAULTS as error:
        raise DataFault(f"the .npy file is damaged: {error}", Location(str(path))) from None


def _shaped(array: Array, symbol: Symbol, calls: int, path: Path) -> Array:
    """The array as [calls, …shape] of the symbol's type; one tensor serves every call. Raises DataFault."""
    expected = NUMPY_TYPES[symbol.type]
    if array.dtype.newbyteorder("<") != expected:
        raise DataFault(
            f"input '{symbol.name}' has type {array.dtype}, expected {symbol.type} ({expected.name})",
            Location(str(path)),
            hint=f"convert it with .astype(numpy.{expected.name})",
        )
    array = array.astype(expected)
    if array.shape == symbol.shape:
        return np.broadcast_to(array, (calls, *symbol.shape))
    if array.shape == (calls, *symbol.shape):
        return array
    wanted = f"{list(symbol.shape)}" + (f" or {[calls, *symbol.shape]}" if calls > 1 else "")
    raise DataFault(f"input '{symbol.name}' has shape {list(array.shape)}, expected {wanted}", Location(str(path)))


def read_inputs(files: Mapping[str, Path]) -> dict[str, Array]:
    """The arrays of all input files. Raises DataFault."""
    return {name: read_npy(path) for name, path in files.items()}


def split_calls(arrays: Mapping[str, Array], files: Mapping[str, Path], program: Program, calls: int) -> list[dict[str, Array]]:
    """The inputs of each call. A file holds one tensor for all calls or, stacked, one a call. Raises DataFault.

    Names are left to the device, which says of all of them at once what is missing or unknown.
    """
    symbols = {s.name: s for s in program.symbols if s.role == "input"}
    stacked = {name: _shaped(array, symbols[name], calls, files[name]) for name, array in arrays.items() if name in symbols}
    unknown = {name: array for name, array in arrays.items() if name not in symbols}
    return [{name: array[call] for name, array in stacked.items()} | unknown for call in range(calls)]


def npy_bytes(array: Array) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
    return content.getvalue()


def write_outputs(folder: Path, outputs: Mapping[str, Array]) -> list[Path]:
    """One NAME.npy an output. Raises DataFault."""
    paths = [folder / f"{name}.npy" for name in outputs]
    for path in paths:
        if path.parent != folder or path.name.startswith("."):
            raise DataFault(f"output '{path.stem}' cannot be the name of a file", Location(str(folder)))
    for path, array in zip(paths, outputs.values(), strict=True):
        write_file(path, npy_bytes(array))
    return paths


def describe_outputs(outputs: Mapping[str, Array]) -> dict[str, dict[str, Any]]:
    """What the JSON says of each output: sha256 of the little-endian bytes, shape, dtype."""
    return {
        name: {
            "sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(),
            "shape": list(array.shape),
            "dtype": array.dtype.name,
        }
        for name, array in outputs.items()
    }


def stack_calls(calls: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Outputs of one call as they are; of several, stacked along a new first axis."""
    if len(calls) == 1:
        return dict(calls[0])
    return {name: np.stack([call[name] for call in calls]) for name in calls[0]}
