"""The programs that are measured: their source text, their weights and their inputs. Everything is seeded."""

from __future__ import annotations

import math
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from compiler.session import Compiled, compile_file
from isa.chip import Chip

Array = NDArray[Any]
Value = TypeVar("Value")

SEED = 20240607
I8_RANGE = (-128, 128)
WEIGHT_DEVIATION = 0.05
"""Of f16 weights."""


def random_array(shape: tuple[int, ...], type_name: str, seed: int, deviation: float = 1.0) -> Array:
    """Any i8, or normally distributed f16."""
    random = np.random.default_rng(seed)
    if type_name == "i8":
        return random.integers(*I8_RANGE, shape, np.int8)
    return (random.standard_normal(shape) * deviation).astype(np.float16)


def compile_text(text: str, weights: dict[str, Array], chip: Chip, passes: str | None = None) -> Compiled:
    """Compile source text whose parameters come from "weights.npz". Raises ToolchainError."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "weights.npz", allow_pickle=False, **weights)
        (folder / "benchmark.lks").write_text(text)
        return compile_file(folder / "benchmark.lks", chip, passes=passes)


def product(rows: int, inner: int, columns: int, type_name: str, chip: Chip) -> tuple[Compiled, Array, Array]:
    """C = A · B with B a parameter: the program, A [rows, inner] and B [inner, columns]."""
    b = random_array((inner, columns), type_name, SEED, WEIGHT_DEVIATION)
    a = random_array((rows, inner), type_name, SEED + 1)
    text = (
        f'param b: {type_name}[{inner}, {columns}] from "weights.npz"\n'
        f"input a: {type_name}[{rows}, {inner}]\n"
        "output c = a @ b\n"
    )
    return compile_text(text, {"b": b}, chip), a, b


def layer_chain(layers: int, width: int, chip: Chip, passes: str | None = None) -> tuple[Compiled, Array]:
    """h ← requantize(h · W), layer after layer, with i8 W [width, width]: the program and the input [1, width]."""
    names = [f"w{i}" for i in range(layers)]
    weights = {name: random_array((width, width), "i8", SEED + i) for i, name in enumerate(names)}
    # Any i8 has a mean square of (2^16 - 1) / 12, so this gives every layer an output of about 64 in size.
    scale = 64.0 / (math.sqrt(width) * (2**16 - 1) / 12)
    lines = [f'param {name}: i8[{width}, {width}] from "weights.npz"' for name in names]
    lines += [f"input x: i8[1, {width}]", "h = x"]
    lines += [f"h = requantize(h @ {name}, {scale:.9f})" for name in names]
    lines.append("output y = h")
    return compile_text("\n".join(lines) + "\n", weights, chip, passes), random_array((1, width), "i8", SEED + layers)


def timed(repeat: int, action: Callable[[], Value]) -> tuple[float, Value]:
    """The median of the seconds that an action takes, and what it gave the last time."""
    seconds: list[float] = []
    value = None
    for _ in range(repeat):
        value = None  # what the last one made is not part of this one's memory
        begun = time.perf_counter()
        value = action()
        seconds.append(time.perf_counter() - begun)
    assert value is not None
    return median(seconds), value


def peak_mib() -> float:
    """The most memory that this process has had, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
