"""A rule of the chip broken while a program ran: which rule, when, and by which operation."""

from __future__ import annotations

from dataclasses import dataclass

from isa.errors import Trap
from isa.program import Program


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """Ordered by cycle, then slot, then operation: of several, the machines report the smallest."""

    cycle: int
    slot: int
    operation: int
    """Index into `program.operations`."""
    text: str
    hint: str = ""


def index_text(index: int, element: int, limit: int) -> str:
    """What is wrong with an index that a gather or scatter found."""
    return f"index {index} of element {element} is not among 0 to {limit - 1}"


class MachineTrap(Trap):
    """A Trap that also says in numbers what its message says in words."""

    def __init__(self, program: Program, violation: Violation) -> None:
        op = program.operations[violation.operation]
        origin = program.origins[op.origin] if 0 <= op.origin < len(program.origins) else ""
        notes = (f"operation {violation.operation}, dispatched from cycle {op.cycle}",)
        super().__init__(
            f"cycle {violation.cycle}, {op.slot} {op.mnemonic}: {violation.text}",
            notes=(*notes, f"it comes from {origin}") if origin else notes,
            hint=violation.hint,
        )
        self.cycle = violation.cycle
        self.slot = op.slot
        self.operation = violation.operation
        self.mnemonic = op.mnemonic
