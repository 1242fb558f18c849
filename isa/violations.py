"""What the checker finds, and how an operation is named to people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isa.program import Immediate, Operation, Program

Rule = Literal["range", "order", "slot", "meeting", "waste", "collision", "sram", "rram", "mxm", "image", "symbol"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. `operation` indexes `program.operations`; it is -1 for faults of images and symbols."""

    rule: Rule
    cycle: int
    operation: int
    message: str


def earliest(cycle: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Indices of the first `limit` entries in order of cycle, ties in their own order."""
    return np.argsort(cycle, kind="stable")[:limit]


def operation_words(op: Operation) -> str:
    """The operation much as assembly has it: cycle, slot, mnemonic, operands, fields."""
    words = [f"@{op.cycle}", op.slot, op.mnemonic]
    words += [f"#{s.bits:#x}" if isinstance(s, Immediate) else str(s) for s in op.sources]
    words += [f"{name} {value}" for name, value in op.fields.items()]
    words += [f"rep {op.rep}"] if op.rep != 1 else []
    words += [f"every {op.every}"] if op.every != 1 else []
    words += ["->", str(op.result)] if op.result is not None else []
    return " ".join(words)


def place_of(program: Program, operation: int) -> str:
    """Operation and where it comes from, for a message; empty for faults of no operation."""
    if operation < 0:
        return ""
    op = program.operations[operation]
    origin = program.origins[op.origin] if 0 <= op.origin < len(program.origins) else ""
    return operation_words(op) + (f" (from {origin})" if origin else "")
