"""Which cells of RRAM rows are wrong now: a function of the device's seed and what its rows have been through.

Causes, each with its own draws (`sim/draws.py`): cells that did not take their value in the last write cycle; cells that have
drifted (wear, age and reads raise a row's raw error rate, `RramDevice.raw_error_rate`, and a cell errs once the rate is above
its threshold, until the row is written again); stuck cells, from the factory or planted, where the value is not theirs;
planted flips. Nothing is remembered but the state, so neither the order of questions nor a restart changes an answer.

interface: `Cells(state)`; `wrong(unit, rows, words)` → `Errors`; `worn_out(unit, rows)`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.rram_state import FLIP, STUCK_1, WHOLE_ROW, RramState
from sim.draws import DRIFT, LIMIT, STUCK, WRITE, hashed, uniform, weak_cells
from sim.ecc import code_of

Rows = NDArray[np.int64]
Words = NDArray[np.uint8]
_VALUES = 1 << 20
"""Above any draw number of `weak_cells`."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Wrong cells, by row and cell, each once."""

    row: Rows
    """Index among the rows that were asked for."""
    cell: Rows
    """Cell of the row: word · cells_a_word + bit of the word (`sim/ecc.py`)."""


class Cells:
    """The cells of one device."""

    def __init__(self, state: RramState) -> None:
        self.state = state
        self.device = state.device
        self.code = code_of(self.device.word_bits)
        self.number = {unit.name: i for i, unit in enumerate(state.chip.slices("rram"))}
        """Of each slice, in draws."""

    def keys(self, unit: str, rows: Rows) -> Rows:
        """Numbers of physical rows that are different for every row of the chip."""
        return self.number[unit] * self.state.rows + rows

    def rates(self, unit: str, rows: Rows) -> NDArray[np.float64]:
        """Raw error rate of each physical row by its wear, age and reads."""
        held = self.state.slice(unit)
        return self.device.raw_error_rate(held.wear[rows], self.state.clock_s - held.written_s[rows], held.reads[rows])

    def worn_out(self, unit: str, rows: Rows) -> NDArray[np.bool_]:
        """Rows that have used up their write cycles, and can no longer be written."""
        draws = uniform(self.state.seed, LIMIT, self.keys(unit, rows))
        return self.state.slice(unit).wear[rows] >= self.device.row_limits(draws)

    def wrong(self, unit: str, rows: Rows, words: Words) -> Errors:
        """Wrong cells of physical rows that hold `words` uint8 [rows, lanes]."""
        state, cells, keys = self.state, self.state.cells, self.keys(unit, rows)
        wear = state.slice(unit).wear[rows]
        soft = [
            weak_cells(state.seed, DRIFT, (keys, wear), self.rates(unit, rows), cells, len(rows)),
            weak_cells(state.seed, WRITE, (keys, wear), self.device.write_failure, cells, len(rows)),
        ]
        planted = self._planted(unit, rows)
        soft.append(planted.flipped)
        wrong = np.unique(np.concatenate([row * cells + cell for row, cell in soft]))
        stuck, value = self._stuck(unit, keys, planted)
        if len(stuck):
            mismatch = self._values(words, stuck // cells, stuck % cells) != value
            wrong = np.union1d(np.setdiff1d(wrong, stuck, assume_unique=True), stuck[mismatch])
        return Errors(wrong // cells, wrong % cells)

    def _stuck(self, unit: str, keys: Rows, planted: _Planted) -> tuple[Rows, NDArray[np.bool_]]:
        """Cells (row · cells + cell) that are stuck, and at what; planted ones go before those from the factory."""
        cells = self.state.cells
        row, cell = weak_cells(self.state.seed, STUCK, (keys,), self.device.stuck_rate, cells, len(keys))
        value = hashed(self.state.seed, STUCK, keys[row], _VALUES + cell) & np.uint64(1) == 1
        codes = np.concatenate([planted.stuck[0] * cells + planted.stuck[1], row * cells + cell])
        unique, first = np.unique(codes, return_index=True)
        return unique, np.concatenate([planted.value, value])[first]

    def _planted(self, unit: str, rows: Rows) -> _Planted:
        by_row: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for (name, row, cell), kind in self.state.faults.items():
            if name == unit:
                by_row[row].append((cell, kind))
        flipped: list[tuple[int, int]] = []
        stuck: list[tuple[int, int, bool]] = []
        for index in np.flatnonzero(np.isin(rows, list(by_row))).tolist() if by_row else ():
            for cell, kind in by_row[int(rows[index])]:
                for each in range(self.state.cells) if cell == WHOLE_ROW else (cell,):
                    if kind == FLIP:
                        flipped.append((index, each))
                    else:
                        stuck.append((index, each, kind == STUCK_1))
        flips = np.array(flipped, np.int64).reshape(-1, 2)
        stays = np.array(stuck, np.int64).reshape(-1, 3)
        return _Planted((flips[:, 0], flips[:, 1]), (stays[:, 0], stays[:, 1]), stays[:, 2] != 0)

    def _values(self, words: Words, row: Rows, cell: Rows) -> NDArray[np.bool_]:
        """What cells ought to hold."""
        word, bit = np.divmod(cell, self.device.cells_a_word)
        octets = self.device.word_bits // 8
        data = words.reshape(len(words), -1, octets)[row, word]
        check = bit - self.device.word_bits
        inside = data[np.arange(len(row)), np.minimum(bit // 8, octets - 1)] >> (bit % 8).astype(np.uint8) & 1
        checks = self.code.encode(data) >> np.maximum(check, 0).astype(np.uint16) & 1
        return np.where(check < 0, inside, checks) == 1


@dataclass(frozen=True, slots=True)
class _Planted:
    """(row index, cell) of planted faults, and the values of the stuck ones."""

    flipped: tuple[Rows, Rows]
    stuck: tuple[Rows, Rows]
    value: NDArray[np.bool_]
