"""The dispatches of a program's operations as arrays: what slots, memories and planes are judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.bursts import rows_and_elements
from isa.program import Program
from isa.spec import BY_MNEMONIC
from isa.timing import latency

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Dispatches:
    """One entry an operation, in program order."""

    cycle: Indices
    rep: Indices
    every: Indices
    slot: Indices
    """Index into `chip.slot_list`."""
    latency: Indices
    opcode: Indices

    @property
    def last(self) -> Indices:
        """Cycle of the last dispatch."""
        return self.cycle + (self.rep - 1) * self.every

    def expand(self, operations: Indices) -> tuple[Indices, Indices, Indices]:
        """(index into `operations`, element, cycle) of every dispatch of the chosen operations."""
        row, element = rows_and_elements(self.rep[operations])
        chosen = operations[row]
        return row, element, self.cycle[chosen] + element * self.every[chosen]

    def where(self, *mnemonics: str) -> Indices:
        """Operations with one of these mnemonics."""
        return np.flatnonzero(np.isin(self.opcode, [BY_MNEMONIC[name].opcode for name in mnemonics]))


def collect_dispatches(program: Program) -> Dispatches:
    """Dispatches of a program whose operations are well formed (`isa.checks_ranges`)."""
    chip, operations = program.chip, program.operations
    slots = {name: slot.index for name, slot in chip.slots.items()}
    rows = [(op.cycle, op.rep, op.every, slots[op.slot], latency(op, chip), op.row.opcode) for op in operations]
    columns = np.array(rows, np.int64).reshape(len(rows), 6).T.copy()
    return Dispatches(*columns)
