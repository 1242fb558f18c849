"""What the memory slices hold: words, which of them have a value, and named tensors in and out of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.chip import Chip
from isa.errors import DataFault
from isa.layout import addresses, pack, unpack
from isa.program import Piece, Program, Symbol
from isa.rram_state import RramState, zero_words
from sim.rram import RramArray

Words = NDArray[np.uint8]
Flags = NDArray[np.bool_]


class Memory:
    """Words of every SRAM and RRAM slice, uint8 [words, lanes] each, made when first touched.

    `written[unit]` says which words have a value. Words of images, parameters and states keep theirs from run to run;
    everything else has none when a run begins.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.words: dict[str, Words] = {}
        self.written: dict[str, Flags] = {}
        self._kept: dict[str, Flags] = {}
        self.rram: RramArray | None = None
        """The RRAM of a device; None where RRAM is taken to be without faults."""

    def attach(self, state: RramState, program: Program) -> None:
        """Take RRAM words from a device. Raises DataFault unless it holds what the program needs."""
        self.rram = RramArray(state, program)
        for unit, held in state.slices.items():
            self.words[unit], self.written[unit] = held.words, held.held.copy()
            self._kept[unit] = held.held.copy()

    def unit_words(self, unit: str) -> Words:
        """The words of a slice; zero where never written."""
        if unit not in self.words:
            count = self.chip.words(unit)
            self.words[unit] = zero_words(count, self.chip.lanes)
            self.written[unit] = np.zeros(count, np.bool_)
            self._kept[unit] = np.zeros(count, np.bool_)
        return self.words[unit]

    def unit_written(self, unit: str) -> Flags:
        """Which words of a slice have a value."""
        self.unit_words(unit)
        return self.written[unit]

    def lay_images(self, program: Program, again: bool = True) -> None:
        """Write the images of a program; they stay from run to run. A device has those of its RRAM already.

        Without `again` words that have a lasting value keep it: a second program shares them.
        """
        for image in program.images:
            if self.rram and self.chip.units[image.unit].kind == "rram":
                continue
            place = slice(image.base, image.base + len(image.data))
            words = self.unit_words(image.unit)[place]
            new = np.ones(len(words), np.bool_) if again else ~self._kept[image.unit][place]
            words[new] = image.data[new]
            self.written[image.unit][place] = True
            self._kept[image.unit][place] = True

    def begin_run(self) -> None:
        """Forget what only the last run had written."""
        for unit, kept in self._kept.items():
            self.written[unit][:] = kept

    def put(self, symbol: Symbol, array: NDArray[Any]) -> None:
        """Write a tensor of the symbol's shape and type. Parameters and states stay from run to run."""
        for piece, words in pack(array, symbol, self.chip.lanes):
            place = addresses(piece)
            self.unit_words(piece.unit)[place] = words
            self.written[piece.unit][place] = True
            if symbol.role in ("param", "state"):
                self._kept[piece.unit][place] = True

    def keep(self, symbol: Symbol) -> None:
        """Give a parameter or state words a value (zero until something writes them) that stays from run to run."""
        for piece in symbol.pieces:
            self.unit_written(piece.unit)[addresses(piece)] = True
            self._kept[piece.unit][addresses(piece)] = True

    def kept(self, unit: str) -> Flags:
        """Which words of a slice keep their value from run to run."""
        self.unit_words(unit)
        return self._kept[unit]

    def get(self, symbol: Symbol) -> NDArray[Any]:
        """The tensor as it lies in memory. Raises DataFault where a word of it was never written."""

        def words(piece: Piece) -> Words:
            place = addresses(piece)
            if not self.unit_written(piece.unit)[place].all():
                raise DataFault(
                    f"{symbol.role} '{symbol.name}' has words in {piece.unit} that nothing has written",
                    hint="the program must write every word of its outputs",
                )
            return self.words[piece.unit][place]

        return unpack(symbol, self.chip.lanes, words)

    def copy(self) -> Memory:
        """An independent memory with the same contents."""
        twin = Memory(self.chip)
        twin.words = {unit: words.copy() for unit, words in self.words.items()}
        twin.written = {unit: flags.copy() for unit, flags in self.written.items()}
        twin._kept = {unit: flags.copy() for unit, flags in self._kept.items()}
        return twin
