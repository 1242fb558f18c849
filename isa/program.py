"""A program in memory: timed operations, memory images, symbols. Its text is `isa/asm.py`, its file `isa/container.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isa.chip import Chip
from isa.packing import Packing
from isa.spec import BY_MNEMONIC, BYTES, ElementType, Instruction

Direction = Literal["e", "w"]
FORMAT_VERSION = 1


class Stream(NamedTuple):
    """The first byte stream of a group and the type it carries: `w4:f32` is w4, w5, w6, w7."""

    direction: Direction
    number: int
    type: ElementType = "i8"

    def __str__(self) -> str:
        return f"{self.direction}{self.number}" + (f":{self.type}" if self.type != "i8" else "")


class Immediate(NamedTuple):
    """A 32-bit constant operand; `bits` is the float32 pattern or the two's complement int32, by the row's domain."""

    bits: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: a table row at a cycle in a slot, with its operands and fields.

    `sources` follows the row's sources (an operand may be an `Immediate` where the row allows it, at most one an
    operation); `result` is None for rows without a result and for a feed that keeps its sum.
    `fields` holds every field of the row that differs from its default. `origin` indexes `Program.origins`.
    """

    cycle: int
    slot: str
    mnemonic: str
    sources: tuple[Stream | Immediate, ...] = ()
    result: Stream | None = None
    fields: Mapping[str, int] = field(default_factory=dict[str, int])
    rep: int = 1
    every: int = 1
    origin: int = 0

    @property
    def row(self) -> Instruction:
        return BY_MNEMONIC[self.mnemonic]

    def get(self, name: str) -> int:
        """A field's value, or its default."""
        if name in self.fields:
            return self.fields[name]
        for f in self.row.fields:
            if f.name == name and f.default is not None:
                return f.default
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Image:
    """Words that are in memory before the first cycle. `data` is uint8 [words, lanes], at addresses base, base+1, …."""

    name: str
    unit: str
    base: int
    data: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one byte column of a tensor in one slice.

    A tensor of shape [d0, …, dn] is a matrix of R = d0·…·dn-1 rows and C = dn columns (a scalar is 1 × 1, a vector
    1 × C). A row takes ceil(C / lanes) *tiles* of one vector each, and each element `bytes` byte columns.
    Word base + j·step holds, for row
    row + j·row_step, the byte `byte` (0 lowest) of elements tile·lanes … tile·lanes + lanes-1. Where C = 1 every lane
    holds the element (a *splat*); lanes past C are otherwise undefined.
    """

    unit: str
    base: int
    count: int
    row: int
    tile: int
    byte: int
    step: int = 1
    row_step: int = 1


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named tensor: where it lies and what it means. `scale` is the quantisation step, where the source gives one.

    With a packing, rows and tiles of the pieces are those of the packed matrix, which the host makes of the tensor.
    """

    name: str
    role: Literal["input", "output", "param", "state"]
    shape: tuple[int, ...]
    type: ElementType
    pieces: tuple[Piece, ...]
    scale: float | None = None
    packing: Packing | None = None

    def matrix_shape(self, lanes: int) -> tuple[int, ...]:
        """Shape of what lies in memory on a chip with so many lanes."""
        return self.packing.shape(lanes) if self.packing else self.shape

    @property
    def byte_columns(self) -> int:
        return BYTES[self.type]


@dataclass(slots=True)
class Program:
    """What the chip runs. `operations` are ordered by (cycle, slot index)."""

    chip: Chip
    operations: list[Operation]
    images: list[Image] = field(default_factory=list[Image])
    symbols: list[Symbol] = field(default_factory=list[Symbol])
    origins: list[str] = field(default_factory=lambda: [""])
    """Where operations come from (`file:line:col: op`); entry 0 is 'nowhere'."""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the compiler says of the program (`predicted_cycles`, `bound_cycles`, `bound_by`, …): JSON values."""

    def symbol(self, name: str) -> Symbol | None:
        return next((s for s in self.symbols if s.name == name), None)
