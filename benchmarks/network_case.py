"""What `networks.py` measures: a network's graph, its inputs, and what onnxruntime says of them in f32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp

from compiler.weights import WeightStore
from isa.chip import Chip

Array = NDArray[Any]
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Case:
    """A declared graph with a set of inputs. `wanted` gives the outputs in f32 by onnxruntime; None where that is missing."""

    module: ModuleOp
    weights: WeightStore
    inputs: Arrays
    wanted: Callable[[], Arrays | None] = lambda: None


Builder = Callable[[str, int, Chip], Case | None]
"""From precision, size (side of an image, tokens) and chip; None where the files of a real model are not there."""

Measure = Literal["cycles", "ideal memory", "bound"]
"""What a limit is on: cycles, or how many times those of the same chip whose RRAM is never busy, or of the compiler's bound."""


@dataclass(frozen=True)
class Limit:
    """The most that is allowed, and hoped for."""

    measure: Measure
    must: float
    aim: float


@dataclass(frozen=True)
class Entry:
    """A row of the table: which network on which chip, and what is asked of it. `cosine` is the least of the outputs to f32."""

    network: str
    chip: str
    precision: str
    size: int
    limit: Limit | None = None
    cosine: float | None = None
    published: int | None = None
    """Cycles of silicon."""
