"""How full the slices of RRAM will be, side by side: weights that find no room on the side whose turn it is go to the other.

Sides of weights are decided while lowering, for planes load from their own side; placement only finds the words. Tables that
are looked up by index fill a few slices of one side, and weights are striped over all slices of theirs, so one side may be
full when the chip is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest

from compiler.scheduling.shared_memory import Residents
from compiler.scheduling.trip import Buffer
from isa.chip import Chip, Side


class WeightRoom:
    """Words taken in each slice, as placement will take them: the emptiest slices of a side first."""

    def __init__(self, chip: Chip, residents: Residents | None) -> None:
        self.chip = chip
        kept = residents.kept if residents else {}
        sides: tuple[Side, Side] = ("w", "e")
        self.taken: dict[Side, dict[str, int]] = {
            side: {u.name: max((end for _, end in kept.get(u.name, ())), default=0) for u in chip.slices("rram", side)}
            for side in sides
        }

    def side_for(self, buffer: Buffer, segment: int, turn: Side, sides: Sequence[Side]) -> Side:
        """The side for one block of weights: the one whose turn it is, another where that is full; where all seem full, the
        emptiest. The block counts as placed."""
        width, words = buffer.stripes * buffer.bytes, self._words(buffer, segment)
        room: dict[Side, int] = {s: self._capacity(s) - self._level(s, width) - words for s in (turn, *sides)}
        fitting: list[Side] = [s for s in room if room[s] >= 0]
        side: Side = fitting[0] if fitting else max(room, key=lambda s: room[s])
        self.take(side, width, words)
        return side

    def take(self, side: Side, width: int, words: int) -> None:
        taken = self.taken[side]
        for unit in nsmallest(width, taken, key=lambda unit: taken[unit]):
            taken[unit] += words

    def take_buffer(self, buffer: Buffer) -> None:
        """All of a buffer that lies where its sides say."""
        for (segment, _), side in buffer.sides.items():
            self.take(side, buffer.stripes * buffer.bytes, self._words(buffer, segment))

    def _words(self, buffer: Buffer, segment: int) -> int:
        """With the words that may be left free before a block, for it to begin at a bank of its own."""
        return buffer.words_per_place(segment) + (self.chip.rram.banks if self.chip.rram else 0)

    def _level(self, side: Side, width: int) -> int:
        return max(nsmallest(width, self.taken[side].values()), default=0)

    def _capacity(self, side: Side) -> int:
        return min((self.chip.words(u.name) for u in self.chip.slices("rram", side)), default=0)
