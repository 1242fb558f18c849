"""Every stream touch of a program as arrays: one row for each byte stream that an operation reads or writes.

A row is a burst (`isa.timing.Burst`). `along` counts hops in the direction of flow, so that on both directions a value moves
from smaller to larger `along` and keeps its `diagonal`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.program import Program
from isa.timing import Burst, stream_reads, stream_writes


@dataclass(frozen=True, slots=True)
class Bursts:
    """Rows ordered by (operation, reads before writes, ordinal). All arrays have one entry a burst."""

    operation: NDArray[np.int64]
    """Index into `program.operations`."""
    ordinal: NDArray[np.int64]
    """Index into `stream_reads(op)` or `stream_writes(op)`."""
    write: NDArray[np.bool_]
    stream: NDArray[np.int64]
    """Stream number, westward ones after the eastward ones."""
    along: NDArray[np.int64]
    cycle: NDArray[np.int64]
    """Cycle of element 0."""
    count: NDArray[np.int64]
    every: NDArray[np.int64]
    """Cycles between elements; 1 where there is only one."""

    @property
    def diagonal(self) -> NDArray[np.int64]:
        """Diagonal of element 0, up to a constant for each direction."""
        return self.cycle - self.along


def rows_and_elements(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(row, element 0 … counts[row]-1) for every element of every row, in order."""
    row = np.repeat(np.arange(len(counts)), counts)
    start = np.cumsum(counts) - counts
    return row, np.arange(len(row)) - start[row]


def collect_bursts(program: Program) -> Bursts:
    """All bursts of a program whose operations are well formed (`isa.checks_ranges`)."""
    chip = program.chip
    streams, last = chip.streams, chip.width - 1
    rows: list[tuple[int, int, bool, int, int, int, int, int]] = []

    def add(operation: int, write: bool, bursts: list[Burst]) -> None:
        for ordinal, b in enumerate(bursts):
            east = b.direction == "e"
            stream = b.index if east else streams + b.index
            along = b.position if east else last - b.position
            rows.append((operation, ordinal, write, stream, along, b.cycle, b.count, b.every if b.count > 1 else 1))

    for i, op in enumerate(program.operations):
        add(i, False, stream_reads(op, chip))
        add(i, True, stream_writes(op, chip))
    table = np.array(rows, np.int64).reshape(len(rows), 8)
    operation, ordinal, write, stream, along, cycle, count, every = table.T.copy()
    return Bursts(operation, ordinal, write.astype(np.bool_), stream, along, cycle, count, every)
