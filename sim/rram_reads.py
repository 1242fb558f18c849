"""What the fast machine's reads find in RRAM with errors: all plain reads of a run looked up at once, gathers as they come."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from isa.program import Operation, Program
from isa.timing import skew
from sim.rram import HINT, RramArray
from sim.traps import Violation
from sim.word_errors import OUTCOMES, WordErrors

Numbers = NDArray[np.int64]
Words = NDArray[np.uint8]
_BEYOND = OUTCOMES.index("uncorrectable")


class RramReads:
    """Reads of one program, by operation and element."""

    def __init__(self, program: Program, rram: RramArray) -> None:
        self.program, self.chip, self.rram = program, program.chip, rram
        chosen = [i for i, op in enumerate(program.operations) if op.mnemonic == "read" and self._unit(op) in rram.cells.number]
        operations = [program.operations[i] for i in chosen]
        elements = [np.arange(op.rep) for op in operations]
        addresses = [op.get("addr") + op.get("step") * e for op, e in zip(operations, elements, strict=True)]
        rows = [rram.rows_at(self._unit(op), a) for op, a in zip(operations, addresses, strict=True)]
        cycles = [op.cycle + op.every * e for op, e in zip(operations, elements, strict=True)]
        counts = np.array([op.rep for op in operations], np.int64)
        self._operation = np.repeat(np.array(chosen, np.int64), counts)
        self._element, self._address, self._row, self._cycle = (
            np.concatenate(parts) if parts else np.zeros(0, np.int64) for parts in (elements, addresses, rows, cycles)
        )
        self.violations: list[Violation] = []
        self._flips: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        """Operation → (element, data bit) that it reads wrong."""

    def _unit(self, op: Operation) -> str:
        return self.chip.slots[op.slot].unit.name

    def begin_run(self) -> None:
        """Look up every plain read."""
        self.violations, self._flips = [], defaultdict(list)
        found = self.rram.read_many(self._row, self._cycle)
        for read, bit in zip(*(part.tolist() for part in found.flips), strict=True):
            self._flips[int(self._operation[read])].append((int(self._element[read]), bit))
        self._note_lost(found, self._operation, self._address, self._cycle)

    def read(self, operation: int, first: int, words: Words) -> Words:
        """Elements from `first` on of a plain read whose rows hold `words`, as the code gives them."""
        wrong = [(e - first, bit) for e, bit in self._flips.get(operation, ()) if first <= e < first + len(words)]
        return _flipped(words, wrong)

    def gather(self, operation: int, first: int, addresses: Numbers, legal: NDArray[np.bool_], words: Words) -> Words:
        """The same for a gather; an index that is not legal reads nothing."""
        op = self.program.operations[operation]
        element = np.flatnonzero(legal)
        cycles = op.cycle + op.every * (first + element) + skew(op, self.chip)
        found = self.rram.read_many(self.rram.rows_at(self._unit(op), addresses[legal]), cycles)
        self._note_lost(found, np.full(len(element), operation), addresses[legal], cycles)
        return _flipped(words, [(int(element[r]), b) for r, b in zip(*(p.tolist() for p in found.flips), strict=True)])

    def _note_lost(self, found: WordErrors, operation: Numbers, address: Numbers, cycle: Numbers) -> None:
        lost = np.flatnonzero(found.outcome == _BEYOND)
        read, first = np.unique(found.read[lost], return_index=True)
        for i, word in zip(read.tolist(), found.word[lost][first].tolist(), strict=True):
            number = int(operation[i])
            slot = self.chip.slots[self.program.operations[number].slot]
            text = self.rram.lost(slot.unit.name, int(address[i]), word)
            self.violations.append(Violation(int(cycle[i]), slot.index, number, text, HINT))


def _flipped(words: Words, bits: list[tuple[int, int]]) -> Words:
    """Words [n, lanes] with these (element, bit of the row) flipped; a copy if there are any."""
    if not bits:
        return words
    words = words.copy()
    for element, bit in bits:
        words[element, bit // 8] ^= np.uint8(1 << bit % 8)
    return words
