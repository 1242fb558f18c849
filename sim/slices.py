"""The memory slices of the reference machine: what every access must find, and when a written word appears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from isa.chip import Chip
from sim.memory import Memory

Words = NDArray[np.uint8]


class Report(Protocol):
    """Says what is wrong with the access at hand, or with the later one in the program of it and another operation."""

    def __call__(self, text: str, other: int = -1) -> None: ...


@dataclass(slots=True)
class PendingWrite:
    """A write between its dispatch and the cycle from which reads see it."""

    first: int
    span: int
    """Words first … first + span-1 may change: one for a write, the whole range for a scatter."""
    scatter: bool
    """Nobody knows beforehand which word a scatter writes, so it does not count as written."""
    done: bool = False
    address: int = 0
    data: Words | None = None
    """uint8 [lanes], and the lanes that change."""
    lanes: NDArray[np.bool_] | None = None


@dataclass(slots=True)
class _Slice:
    """What is under way in one slice."""

    pending: list[PendingWrite]
    """In dispatch order."""
    bank_free: list[int]
    """First cycle at which each RRAM bank may be read."""
    last: tuple[int, int, int | None] = (-1, -1, None)
    """Cycle, operation and half of the last access; half None where it is not known."""


class Slices:
    """Rules 5 and 6 of docs/architecture.md, section 2."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._chip: Chip = memory.chip
        self._slices: dict[str, _Slice] = {}

    def _slice(self, unit: str) -> _Slice:
        if unit not in self._slices:
            banks = self._chip.rram.banks if self._chip.rram else 0
            self._slices[unit] = _Slice([], [0] * banks)
        return self._slices[unit]

    def _take_half(self, unit: str, cycle: int, operation: int, half: int | None, report: Report) -> None:
        state = self._slice(unit)
        before, other, taken = state.last
        state.last = (cycle, operation, half)
        if before == cycle and half == taken:
            report(f"half {half} of {unit} is read and written in one cycle", other)
        elif before == cycle and (half is None or taken is None):
            report(f"{unit} is read and written in one cycle, and the half of a gather or scatter is not known", other)

    def begin_read(self, unit: str, cycle: int, operation: int, first: int, span: int, gather: bool, report: Report) -> Words:
        """A read dispatched at `cycle` of one of the words first … first + span-1. Returns those words [span, lanes]."""
        if self._chip.units[unit].kind == "rram":
            self._busy_banks(unit, cycle, first, gather, report)
        else:
            half = None if gather else first % self._chip.sram.halves
            self._take_half(unit, cycle, operation, half, report)
        written = self.memory.unit_written(unit)[first : first + span]
        if not written.all():
            report(f"word {first + int(np.argmin(written))} of {unit} was never written")
        for write in self._slice(unit).pending:
            if not write.done and write.first < first + span and first < write.first + write.span:
                report(f"word {max(first, write.first)} of {unit} is being written")
                break
        return self.memory.unit_words(unit)[first : first + span]

    def _busy_banks(self, unit: str, cycle: int, address: int, gather: bool, report: Report) -> None:
        rram = self._chip.rram
        assert rram is not None
        free = self._slice(unit).bank_free
        banks = range(rram.banks) if gather else range(address % rram.banks, address % rram.banks + 1)
        busy = [bank for bank in banks if free[bank] > cycle]
        if busy:
            report(f"bank {busy[0]} of {unit} is busy until cycle {free[busy[0]]}")
        for bank in banks:
            free[bank] = cycle + rram.busy_cycles

    def begin_write(
        self, unit: str, cycle: int, operation: int, first: int, span: int, scatter: bool, report: Report
    ) -> PendingWrite:
        """A write dispatched at `cycle` into one of the words first … first + span-1."""
        state = self._slice(unit)
        self._take_half(unit, cycle, operation, None if scatter else first % self._chip.sram.halves, report)
        pending = PendingWrite(first, span, scatter)
        state.pending.append(pending)
        return pending

    def end_write(self, unit: str, write: PendingWrite) -> list[int]:
        """The word is there. Returns the addresses that changed.

        The word of the write dispatched last stays, so a write waits for earlier ones that may be to its word.
        """
        write.done = True
        if write.data is not None:
            write.first, write.span = write.address, 1
        waiting: list[PendingWrite] = []
        changed: list[int] = []
        for entry in self._slice(unit).pending:
            if not entry.done or any(_overlap(entry, earlier) for earlier in waiting):
                waiting.append(entry)
            elif entry.data is not None:
                self._put(unit, entry, entry.data)
                changed.append(entry.address)
        self._slice(unit).pending = waiting
        return changed

    def _put(self, unit: str, write: PendingWrite, data: Words) -> None:
        chosen = slice(None) if write.lanes is None else write.lanes
        self.memory.unit_words(unit)[write.address][chosen] = data[chosen]
        if not write.scatter:
            self.memory.written[unit][write.address] = True


def _overlap(a: PendingWrite, b: PendingWrite) -> bool:
    return a.first < b.first + b.span and b.first < a.first + a.span
