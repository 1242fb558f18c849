"""Writing rows of RRAM: write, verify, try again, and where that does not help, a spare row.

A write cycle may leave cells wrong (`sim/cells.py`), which its verify finds; the row is then written again, `write_attempts`
times at most. A row that still errs is good enough if no word has more than `accepted_bits` wrong bits, for those the code
corrects. Otherwise, or where its write cycles are used up, it goes out of use and a spare row of its bank stands in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.rram_state import RramState
from sim.cells import Cells

Numbers = NDArray[np.int64]
Words = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Written:
    """What became of rows that were to be written."""

    cycles: Numbers
    """Write cycles that each took, those on rows that failed included."""
    spared: int
    """Spare rows that were taken."""
    failed: NDArray[np.bool_]
    """Rows that hold nothing now: there was no spare row left that worked."""
    physical: Numbers
    """Every physical row that was touched."""


def write_rows(state: RramState, unit: str, addresses: Numbers, words: Words) -> Written:
    """Write `words` uint8 [rows, lanes] at addresses of a slice. Cells, wear, spares and bad rows of the state follow."""
    held = state.slice(unit)
    cycles = np.zeros(len(addresses), np.int64)
    failed = np.zeros(len(addresses), np.bool_)
    touched = [state.physical(unit, addresses)]
    todo = np.arange(len(addresses))
    spared = 0
    while len(todo):
        state.hold(unit, addresses[todo], words[todo])
        rows = state.physical(unit, addresses[todo])
        taken, good = _attempts(state, unit, rows, words[todo])
        cycles[todo] += taken
        todo = todo[~good]
        moved: list[int] = []
        for index, row in zip(todo.tolist(), rows[~good].tolist(), strict=True):
            held.bad[row] = True
            address = int(addresses[index])
            spare = state.free_spare(unit, address % state.rram.banks)
            if spare is None:
                failed[index] = True
                held.held[address] = False
            else:
                state.spares[unit, address] = spare
                moved.append(index)
        spared += len(moved)
        todo = np.array(moved, np.int64)
        touched.append(state.physical(unit, addresses[todo]))
    return Written(cycles, spared, failed, np.unique(np.concatenate(touched)))


def _attempts(state: RramState, unit: str, rows: Numbers, words: Words) -> tuple[Numbers, NDArray[np.bool_]]:
    """Write cycles that physical rows took, and whether they now hold `words` well enough."""
    held, cells, device = state.slice(unit), Cells(state), state.device
    cycles = np.zeros(len(rows), np.int64)
    good = np.zeros(len(rows), np.bool_)
    todo = np.flatnonzero(~held.bad[rows])
    for _ in range(device.write_attempts):
        alive = todo[~cells.worn_out(unit, rows[todo])]
        cycles[todo] += 1
        held.wear[rows[todo]] += 1
        wrong = cells.wrong(unit, rows[alive], words[alive])
        most = _most_wrong(wrong.row, wrong.cell // device.cells_a_word, len(alive), state.cells // device.cells_a_word)
        good[todo] = False
        good[alive] = most <= device.accepted_bits
        perfect = np.zeros(len(rows), np.bool_)
        perfect[alive] = most == 0
        todo = todo[~perfect[todo]]
        if not len(todo):
            break
    return cycles, good


def _most_wrong(row: Numbers, word: Numbers, rows: int, words: int) -> Numbers:
    """The most wrong bits in one word, for each of `rows` rows."""
    most = np.zeros(rows, np.int64)
    key, count = np.unique(row * words + word, return_counts=True)
    np.maximum.at(most, key // words, count)
    return most


def too_wrong(cells: Cells, unit: str, physical: Numbers, words: Words) -> NDArray[np.bool_]:
    """Physical rows of a slice that ought to hold `words` and have a word with more wrong bits than a write may leave."""
    device, state = cells.device, cells.state
    wrong = cells.wrong(unit, physical, words)
    words_a_row = state.cells // device.cells_a_word
    most = _most_wrong(wrong.row, wrong.cell // device.cells_a_word, len(physical), words_a_row)
    return most > device.accepted_bits
