"""What the RRAM of one chip holds and has been through, as arrays: the content of a device file (`isa/device_file.py`).

A slice has `words` rows that programs address, and behind them spare rows: *physical* row p lies in bank p mod banks, and
row a of a program is physical row a unless `spares` says otherwise. Content is kept by program address, wear and age by
physical row. Which cells err is not kept: `sim/cells.py` derives it from the seed and these arrays.

interface: `RramState(chip, seed)` is a device fresh from the factory; `slice(unit)` gives the arrays of a slice,
`physical(unit, addresses)` rows; `faults`, `spares` and `residents` are plain tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from isa.chip import Chip, Rram
from isa.errors import ChipFault
from isa.rram_device import Corner, RramDevice

FLIP, STUCK_0, STUCK_1 = 0, 1, 2
"""Kinds of planted faults: a flipped cell errs until its row is written again, a stuck one for ever."""
WHOLE_ROW = -1
"""In place of a cell: all cells of the row."""


@dataclass(slots=True)
class SliceState:
    """One RRAM slice. Arrays by address have `words` entries, those by physical row also the spare rows."""

    words: NDArray[np.uint8]
    """uint8 [words, lanes], by address: what programming put there."""
    held: NDArray[np.bool_]
    """By address: does programming vouch for this row?"""
    wear: NDArray[np.uint32]
    """By physical row: write cycles so far."""
    reads: NDArray[np.uint64]
    """By physical row: reads since the last write."""
    written_s: NDArray[np.float64]
    """By physical row: the device's clock at the last write."""
    bad: NDArray[np.bool_]
    """By physical row: it failed to be written and is out of use."""
    corrected: NDArray[np.uint64]
    """By bank, as the two below: words that the code has corrected."""
    uncorrectable: NDArray[np.uint64]
    miscorrected: NDArray[np.uint64]
    """Words that the code turned into others without a word. A real chip cannot count them; a simulator can."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A program that has been programmed into the device."""

    name: str
    digest: str
    """Of its rows: `isa.residents.rows_digest`."""
    rows: int
    spans: tuple[tuple[str, int, int], ...]
    """(unit, first address, end) of its rows: `isa.residents.spans`."""


@dataclass(frozen=True, slots=True)
class PlacedTensor:
    """Where a tensor of some resident lies."""

    pieces: tuple[tuple[str, int, int, int, int, int, int, int], ...]
    """`isa.program.Piece` as (unit, base, count, row, tile, byte, step, row_step)."""


@dataclass(slots=True)
class RramState:
    """The whole device. `slices` has an entry for every slice that anything was done to."""

    chip: Chip
    seed: int
    corner: Corner = "typical"
    clock_s: float = 0.0
    """Age in seconds at the temperature that the chip's retention is rated for: hotter time counts more."""
    elapsed_s: float = 0.0
    """Age by the calendar."""
    runs: int = 0
    """Programs run on it: every run has its own read noise."""
    slices: dict[str, SliceState] = field(default_factory=dict[str, SliceState])
    spares: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    """(unit, address) → the physical row that stands in for it."""
    faults: dict[tuple[str, int, int], int] = field(default_factory=dict[tuple[str, int, int], int])
    """Planted: (unit, physical row, cell or WHOLE_ROW) → kind."""
    residents: list[Resident] = field(default_factory=list[Resident])
    tensors: dict[str, PlacedTensor] = field(default_factory=dict[str, PlacedTensor])
    """By digest of type, shape and bytes (`isa.layout.tensor_digest`): a compiler that puts an equal tensor at the same place
    needs no row written again."""

    rram: Rram = field(init=False)
    device: RramDevice = field(init=False)
    """The cells, at the state's corner."""

    def __post_init__(self) -> None:
        """Raises ChipFault where the chip has no RRAM, or does not say what its cells are like."""
        if self.chip.rram is None:
            raise ChipFault(f"chip {self.chip.name} has no RRAM")
        if self.chip.rram.device is None:
            raise ChipFault(
                f"chip {self.chip.name} does not say what its RRAM cells are like",
                hint="give its chip file a table [rram.device]; `lockstep chip show lpu-rram --toml` has one",
            )
        self.rram = self.chip.rram
        self.device = self.chip.rram.device.at(self.corner)

    @property
    def rows(self) -> int:
        """Physical rows of a slice."""
        return self.rram.words + self.rram.banks * self.device.spare_rows

    @property
    def cells(self) -> int:
        """Cells of a row: code words one after the other, check bits behind the data of each."""
        return 8 * self.chip.lanes // self.device.word_bits * self.device.cells_a_word

    def slice(self, unit: str) -> SliceState:
        """The arrays of a slice, made when first asked for."""
        if unit not in self.slices:
            words, rows, banks = self.rram.words, self.rows, self.rram.banks
            self.slices[unit] = SliceState(
                zero_words(words, self.chip.lanes),
                np.zeros(words, np.bool_),
                np.zeros(rows, np.uint32),
                np.zeros(rows, np.uint64),
                np.zeros(rows, np.float64),
                np.zeros(rows, np.bool_),
                *(np.zeros(banks, np.uint64) for _ in range(3)),
            )
        return self.slices[unit]

    def physical(self, unit: str, addresses: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows that stand behind addresses of a slice."""
        moved = [(address, row) for (name, address), row in self.spares.items() if name == unit]
        if not moved:
            return addresses
        table = np.arange(self.rram.words)
        table[[address for address, _ in moved]] = [row for _, row in moved]
        return table[addresses]

    def hold(self, unit: str, addresses: NDArray[np.int64], words: NDArray[np.uint8]) -> None:
        """Vouch for `words` uint8 [rows, lanes] at addresses, written just now. Wear is counted where writing is done."""
        held, rows = self.slice(unit), self.physical(unit, addresses)
        held.words[addresses] = words
        held.held[addresses] = True
        held.reads[rows] = 0
        held.written_s[rows] = self.clock_s
        if self.faults:
            written = set(rows.tolist())
            self.faults = {
                key: kind for key, kind in self.faults.items() if kind != FLIP or key[0] != unit or key[1] not in written
            }

    def free_spare(self, unit: str, bank: int) -> int | None:
        """A spare row of the bank that is neither in use nor bad."""
        used = {row for (name, _), row in self.spares.items() if name == unit}
        bad = self.slice(unit).bad
        rows = range(self.rram.words + bank, self.rows, self.rram.banks)
        return next((row for row in rows if row not in used and not bad[row]), None)


def zero_words(count: int, lanes: int) -> NDArray[np.uint8]:
    """Zeros [count, lanes] in pages that the system provides when they are first touched.

    Most words of a chip are never used; `np.zeros` clears all of them where it reuses memory of an earlier device.
    """
    return np.frombuffer(mmap(-1, count * lanes), np.uint8).reshape(count, lanes)
