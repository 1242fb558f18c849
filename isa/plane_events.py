"""Dispatches of MXM operations, plane by plane, as arrays. An operation of a mode of a pair happens on both planes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.checks_ranges import mode_name
from isa.dispatches import Dispatches
from isa.program import Operation, Program
from isa.violations import Violation

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PlaneEvents:
    """Dispatches of loads, swaps or feeds on one plane, in order of cycle."""

    operations: list[Operation]
    indices: Indices
    """Where they stand in `program.operations`."""
    row: Indices
    """Of each dispatch: index into `operations`."""
    element: Indices
    cycle: Indices
    end: Indices
    """Cycle + latency."""

    def each(self, value: Callable[[Operation], int]) -> Indices:
        """A number of the operation, for each dispatch."""
        return np.array([value(op) for op in self.operations], np.int64)[self.row]

    def violation(self, k: int | np.int64, message: str) -> Violation:
        """What is wrong with dispatch k."""
        return Violation("mxm", int(self.cycle[k]), int(self.indices[self.row[k]]), message)


def plane_events(program: Program, dispatches: Dispatches, plane: int, mnemonic: str) -> PlaneEvents:
    """Every dispatch of `mnemonic` that plane number `plane` takes part in."""
    chip = program.chip
    number = {unit.name: i for i, unit in enumerate(chip.planes)}
    held: list[int] = []
    for i in map(int, dispatches.where(mnemonic)):
        op = program.operations[i]
        own = number[chip.slots[op.slot].unit.name]
        if plane == own or (plane == own + 1 and mode_name(op) != "i8"):
            held.append(i)
    indices = np.array(held, np.int64)
    row, element, cycle = dispatches.expand(indices)
    order = np.argsort(cycle, kind="stable")
    row, cycle = row[order], cycle[order]
    end = cycle + dispatches.latency[indices[row]]
    return PlaneEvents([program.operations[i] for i in held], indices, row, element[order], cycle, end)
