"""The stream registers of the reference machine: every value moves one hop a cycle."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.chip import Chip
from isa.program import Direction
from sim.upsets import NOTHING, Wrong

StreamName = tuple[Direction, int]


@dataclass(slots=True, eq=False)
class Value:
    """One byte stream's vector under way, and who put it there."""

    data: NDArray[np.uint8]
    operation: int
    element: int
    read: bool = False
    wrong: Wrong = NOTHING
    """Bits that have flipped; `data` is what it should be."""


class Registers:
    """A row of registers a stream; row[x] is position x."""

    def __init__(self, chip: Chip) -> None:
        self._width = chip.width
        self._rows: dict[StreamName, list[Value | None]] = {}
        self._written: set[tuple[StreamName, int]] = set()
        self.live = 0
        """Values in registers."""
        self.values: Counter[str] = Counter()
        self.hops: Counter[str] = Counter()

    def advance(self) -> list[Value]:
        """Move every value one hop. Returns those that left the chip unread."""
        self._written.clear()
        lost: list[Value] = []
        if not self.live:
            return lost
        for (direction, index), row in self._rows.items():
            if direction == "e":
                left = row.pop()
                row.insert(0, None)
            else:
                left = row.pop(0)
                row.append(None)
            if left is not None:
                self.live -= 1
                if not left.read:
                    lost.append(left)
            moved = self._width - row.count(None)
            if moved:
                self.hops[f"{direction}{index}"] += moved
        return lost

    def write(self, stream: StreamName, position: int, value: Value) -> tuple[Value | None, bool]:
        """Put a value into a register. Returns the value that it replaces, and whether that was written this cycle."""
        row = self._rows.setdefault(stream, [None] * self._width)
        old, row[position] = row[position], value
        self.live += old is None
        self.values[f"{stream[0]}{stream[1]}"] += 1
        twice = (stream, position) in self._written
        self._written.add((stream, position))
        return old, twice

    def peek(self, stream: StreamName, position: int) -> Value | None:
        """The value in a register, or None."""
        row = self._rows.get(stream)
        return row[position] if row is not None else None
