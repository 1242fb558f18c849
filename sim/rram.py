"""The RRAM of a device while programs run on it: what reads find, what the code makes of it, what is counted.

Wear, age and disturb are those at the start of a run: what a run's own reads disturb shows from the next run on. Read noise is
a function of (seed, run, row, cycle). So the result of a read does not depend on what was read before it, and both machines
find the same: the fast one decodes only what errs, all plain reads of a program at once (`read_many`), the reference machine
every row that has a wrong cell, bit by bit and by itself (`read_row`).

A gather reads its row in the cycle in which its index arrives.

interface: `RramArray(state, program)`; `begin_run()`, then `read_many` or `read_row`, then `end_run(last_cycle)`, which adds
reads and corrections to the state and gives the run's counts. Faults may be planted in `state.faults` between runs; after
other changes of the state from outside, call `forget()`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.errors import DataFault
from isa.program import Program
from isa.residents import ResidentRows, resident_rows, tenant
from isa.rram_state import RramState
from sim.cells import Cells
from sim.draws import NOISE, weak_cells
from sim.ecc import UNCORRECTABLE
from sim.word_errors import OUTCOMES, WordErrors, decode_errors

Numbers = NDArray[np.int64]
Words = NDArray[np.uint8]
HINT = "scrub the device (`lockstep device scrub`) or program it again"


@dataclass(slots=True)
class EccCounts:
    """Words of one run by bank (`rram.w3.b4`) and outcome."""

    corrected: dict[str, int]
    uncorrectable: dict[str, int]
    miscorrected: dict[str, int]


class RramArray:
    """One device with one program on it."""

    def __init__(self, state: RramState, program: Program) -> None:
        """Raises DataFault unless every row that the program needs is on the device."""
        self.state, self.program = state, program
        self.cells = Cells(state)
        if state.chip.digest != program.chip.digest:
            raise DataFault(
                f"the program is for chip '{program.chip.name}', the device is another: '{state.chip.name}'",
                notes=(f"digests {program.chip.digest[:16]} and {state.chip.digest[:16]}",),
            )
        self._rows = resident_rows(program)
        require_programmed(state, self._rows)
        self._index: dict[str, Numbers] = {}
        """By slice: address → number of the row among the program's, -1 where it is not the program's."""
        count = 0
        for part in self._rows:
            index = np.full(state.rram.words, -1, np.int64)
            index[part.addresses] = count + np.arange(len(part.addresses))
            self._index[part.unit] = index
            count += len(part.addresses)
        self.forget()

    def forget(self) -> None:
        """The state was changed from outside: derive everything from it again."""
        state = self.state
        physical = [state.physical(part.unit, part.addresses) for part in self._rows]
        pairs = list(zip(self._rows, physical, strict=True))
        self._keys = _joined([self.cells.keys(part.unit, rows) for part, rows in pairs])
        self._bank = _joined(
            [self.cells.number[p.unit] * state.rram.banks + p.addresses % state.rram.banks for p in self._rows]
        )
        self._physical = _joined(physical)
        self._wrong_rows = _joined([])
        self._wrong_cells = _joined([])
        self._first = np.zeros(len(self._keys) + 1, np.int64)
        self._rates: NDArray[np.float64] | None = None

    # A run -----------------------------------------------------------------------------------------------------------

    def begin_run(self) -> None:
        """A new run with its own noise: find the wrong cells of the program's rows."""
        self.state.runs += 1
        self._row_log: list[Numbers] = []
        self._cycle_log: list[Numbers] = []
        self._event_log: list[tuple[Numbers, Numbers, NDArray[np.uint8]]] = []
        rows: list[Numbers] = []
        cells: list[Numbers] = []
        first = 0
        for part in self._rows:
            mine = self._physical[first : first + len(part.addresses)]
            errors = self.cells.wrong(part.unit, mine, part.words)
            rows.append(first + errors.row)
            cells.append(errors.cell)
            first += len(part.addresses)
        self._wrong_rows, self._wrong_cells = _joined(rows), _joined(cells)
        self._first = np.searchsorted(self._wrong_rows, np.arange(first + 1))

    def rows_at(self, unit: str, addresses: Numbers) -> Numbers:
        """Numbers of rows among those of the program, for `read_many`."""
        return self._index[unit][addresses]

    def touched(self) -> dict[str, Numbers]:
        """Physical rows of the program by slice: what runs change in the state."""
        ends = np.cumsum([len(part.addresses) for part in self._rows])
        return {part.unit: rows for part, rows in zip(self._rows, np.split(self._physical, ends[:-1]), strict=True)}

    def holds(self, unit: str, address: int) -> bool:
        """Is this one of the program's rows?"""
        return unit in self._index and bool(self._index[unit][address] >= 0)

    def read_many(self, rows: Numbers, cycles: Numbers) -> WordErrors:
        """Read rows (`rows_at`), each at its cycle."""
        noise = self._noise(rows, cycles)
        first, count = self._first[rows], np.diff(self._first)[rows]
        hit = np.flatnonzero(count)
        read = np.repeat(hit, count[hit])
        place = np.arange(len(read)) - np.repeat(np.cumsum(count[hit]) - count[hit], count[hit])
        cells = self.state.cells
        codes = np.concatenate([noise[0] * cells + noise[1], read * cells + self._wrong_cells[first[read] + place]])
        codes, times = np.unique(codes, return_counts=True)
        found = decode_errors(self.cells.code, cells, codes[times == 1])  # noise on a wrong cell makes it read right
        self._log(rows, cycles, found)
        return found

    def _noise(self, rows: Numbers, cycles: Numbers) -> tuple[Numbers, Numbers]:
        keys = (self.state.runs, self._keys[rows], cycles)
        return weak_cells(self.state.seed, NOISE, keys, self.cells.device.read_noise, self.state.cells, len(rows))

    def read_row(self, unit: str, address: int, cycle: int) -> tuple[Words, int]:
        """One row as the code gives it, uint8 [lanes], and the first word that is past correction, or -1."""
        row, when = self.rows_at(unit, np.array([address])), np.array([cycle])
        number = int(row[0])
        cells = np.concatenate([self._wrong_cells[self._first[number] : self._first[number + 1]], self._noise(row, when)[1]])
        truth = self.state.slice(unit).words[address]
        data, checks = self._stored(truth, cells)
        fixed, found = self.cells.code.decode(data, checks)
        words = truth.reshape(data.shape)
        wrong = np.flatnonzero((data != words).any(axis=1) | (checks != self.cells.code.encode(words)))
        beyond = found.status[wrong] == UNCORRECTABLE
        right = (fixed[wrong] == words[wrong]).all(axis=1)
        outcome = np.where(beyond, 1, np.where(right, 0, 2)).astype(np.uint8)
        none = np.zeros(0, np.int64)
        self._log(row, when, WordErrors(np.zeros(len(wrong), np.int64), wrong, outcome, none, (none, none)))
        return fixed.reshape(-1), int(wrong[beyond][0]) if beyond.any() else -1

    def _stored(self, truth: Words, cells: Numbers) -> tuple[Words, NDArray[np.uint16]]:
        """A row's code words with these cells flipped (twice is not at all): data uint8 [words, octets], check bits."""
        code, width = self.cells.code, self.cells.device.cells_a_word
        data = truth.reshape(-1, code.data_bits // 8).copy()
        checks = code.encode(data)
        for word, bit in zip((cells // width).tolist(), (cells % width).tolist(), strict=True):
            if bit < code.data_bits:
                data[word, bit // 8] ^= 1 << bit % 8
            else:
                checks[word] ^= np.uint16(1 << bit - code.data_bits)
        return data, checks

    def _log(self, rows: Numbers, cycles: Numbers, found: WordErrors) -> None:
        self._row_log.append(rows)
        self._cycle_log.append(cycles)
        if len(found.read):
            self._event_log.append((self._bank[rows[found.read]], cycles[found.read], found.outcome))

    def end_run(self, last_cycle: int | None = None) -> EccCounts:
        """Add what was read up to `last_cycle` (None: everything) to the state, and say what the code did."""
        rows, cycles = _joined(self._row_log), _joined(self._cycle_log)
        if last_cycle is not None:
            rows = rows[cycles <= last_cycle]
        reads = np.bincount(rows, minlength=len(self._physical)).astype(np.uint64)
        first = 0
        for part in self._rows:
            end = first + len(part.addresses)
            self.state.slice(part.unit).reads[self._physical[first:end]] += reads[first:end]
            first = end
        counts = self._count_events(last_cycle)
        banks, names = self.state.rram.banks, list(self.cells.number)
        tables: list[dict[str, int]] = []
        for outcome, count in zip(OUTCOMES, counts, strict=True):
            hit = np.flatnonzero(count).tolist()
            for bank in hit:
                getattr(self.state.slice(names[bank // banks]), outcome)[bank % banks] += np.uint64(count[bank])
            tables.append({f"{names[bank // banks]}.b{bank % banks}": int(count[bank]) for bank in hit})
        return EccCounts(*tables)

    def _count_events(self, last_cycle: int | None) -> NDArray[np.int64]:
        """[outcomes, banks of the chip]"""
        banks = len(self.cells.number) * self.state.rram.banks
        counts = np.zeros((len(OUTCOMES), banks), np.int64)
        for bank, cycle, outcome in self._event_log:
            there = np.ones(len(cycle), np.bool_) if last_cycle is None else cycle <= last_cycle
            np.add.at(counts, (outcome[there], bank[there]), 1)
        return counts

    def lost(self, unit: str, address: int, word: int) -> str:
        """What a trap says of a word that is past correction."""
        banks = self.state.rram.banks
        return (
            f"word {word} of row {address // banks} of bank {address % banks} of {unit} (address {address}) has more wrong "
            f"bits than the code can correct; {tenant(self.program, unit, address)} lives there"
        )


def require_programmed(state: RramState, rows: list[ResidentRows]) -> None:
    """Raise DataFault unless the device holds these rows, each with the value that is wanted."""
    wrong: list[str] = []
    count = 0
    for part in rows:
        held = state.slices.get(part.unit)
        good = np.zeros(len(part.addresses), np.bool_)
        if held is not None:
            good = held.held[part.addresses] & (held.words[part.addresses] == part.words).all(axis=1)
        count += int((~good).sum())
        if not good.all():
            wrong.append(
                f"{part.unit}: {int((~good).sum())} of {len(good)} rows, first at {int(part.addresses[np.argmin(good)])}"
            )
    if wrong:
        total = sum(len(part.addresses) for part in rows)
        never = "never programmed into this device" if count == total else "not on this device as it stands"
        raise DataFault(
            f"the program was {never}: {count:,} of its {total:,} RRAM rows hold something else",
            notes=tuple(wrong[:5]),
            hint="`lockstep program P.lbin --device D` writes them",
        )


def _joined(parts: list[Numbers]) -> Numbers:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
