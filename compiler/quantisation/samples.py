"""Calibration samples: an .npz file with an array an input, one sample or several along a new first axis."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from compiler.frontend.onnx.element_types import to_chip
from isa.errors import DataFault, Location

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """An input as the user knows it: its type is a NumPy name. `symbol` is what the graph calls it."""

    symbol: str
    kind: str
    shape: tuple[int, ...]


def read_samples(path: Path) -> dict[str, Array]:
    """The arrays of an .npz file by name. Raises DataFault."""
    place = Location(str(path))
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as data:
            if not hasattr(data, "files"):
                raise DataFault("calibration data is an .npz file, with an array an input", place)
            return {name: np.asarray(data[name]) for name in cast("list[str]", data.files)}
    except DataFault:
        raise
    except OSError as error:
        raise DataFault(f"cannot read the calibration data: {error.strerror or error}", place) from None
    except Exception as error:
        raise DataFault(f"the calibration data is damaged: {error}", place) from None


def split_samples(arrays: Mapping[str, Array], inputs: Mapping[str, Expected], file: str) -> list[dict[str, Array]]:
    """Each sample by symbol, as the chip holds it.

    Raises DataFault for missing and unknown names, shapes and types that do not fit, different numbers of samples, NaN and
    infinity.
    """
    place = Location(file)
    if set(arrays) != set(inputs):
        missing, unknown = sorted(set(inputs) - set(arrays)), sorted(set(arrays) - set(inputs))
        what = f"it lacks {', '.join(map(repr, missing))}" if missing else f"there is no input '{unknown[0]}'"
        raise DataFault(f"the calibration data does not fit: {what}", place, hint=f"inputs are {', '.join(inputs)}")
    stacked = {inputs[name].symbol: _stacked(name, array, inputs[name], place) for name, array in arrays.items()}
    counts = {name: len(array) for name, array in stacked.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"'{name}' {count}" for name, count in counts.items())
        raise DataFault(f"the inputs have different numbers of samples: {listed}", place)
    return [{name: array[i] for name, array in stacked.items()} for i in range(max(counts.values(), default=1))]


def _stacked(name: str, array: Array, expected: Expected, place: Location) -> Array:
    """[samples, …shape]."""
    shape, what = expected.shape, f"calibration data for '{name}'"
    if array.shape == shape:
        array = array[None]
    elif array.shape[1:] != shape:
        if shape[:1] != (1,) or array.shape[1:] != shape[1:]:
            wanted = f"{list(shape)}, or samples of it: {['n', *shape]}"
            raise DataFault(f"{what} has shape {list(array.shape)}, expected {wanted}", place)
        array = array[:, None]
    if not len(array):
        raise DataFault(f"{what} holds no sample", place)
    if array.dtype.kind not in "fiub" or not np.can_cast(array.dtype, expected.kind, "same_kind"):
        raise DataFault(f"{what} is of type {array.dtype}, expected {expected.kind}", place)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where: list[int] = np.argwhere(~np.isfinite(array))[0].tolist()
        raise DataFault(f"{what} is not finite: {array[tuple(where)]} at {where}", place)
    with np.errstate(over="ignore"):
        converted = array.astype(expected.kind)
    try:
        return to_chip(converted, expected.kind, what)
    except DataFault as fault:
        fault.location = place
        raise
