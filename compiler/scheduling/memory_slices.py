"""The words of one memory slice: who has which, and for how long.

Addresses are shared by buffers whose lives do not overlap. How weights lie over the banks of an RRAM slice is the scheme of
`placement.SCHEMES`.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

from isa.chip import Rram


@dataclass(slots=True)
class _Allocation:
    base: int
    words: int
    first_trip: int
    last_trip: int


class Slice:
    """Allocations of one memory slice."""

    def __init__(self, words: int, touched: int = 0) -> None:
        """`touched`: words that another program of the device may write."""
        self.words, self.touched = words, touched
        self.used = 0
        self.allocations: list[_Allocation] = []
        """In the order of their words."""
        self.blocked: list[tuple[int, int]] = []
        """Words that nothing is placed in, (first, after the last) in order: rows of a device that are bad or spared."""

    def find(
        self, words: int, first_trip: int, last_trip: int, share: bool, stays: bool = False, bit: int | None = None
    ) -> int | None:
        """Lowest free base (with this low bit), or None. Without `share` the words of buffers that are already dead stay taken;
        what `stays` from run to run keeps out of the reach of other programs."""
        low = self.touched if stays else 0
        if not share:
            base, taken = max(self.used, low), self.blocked
        else:
            alive = (
                (a.base, a.base + a.words) for a in self.allocations if a.first_trip <= last_trip and first_trip <= a.last_trip
            )
            base, taken = low, sorted([*alive, *self.blocked]) if self.blocked else alive
        base = _with_bit(base, bit)
        for first, end in taken:
            if base + words <= first:
                break
            base = _with_bit(max(base, end), bit)
        return base if base + words <= self.words else None

    def clear(self, base: int, words: int, bank: int, banks: int) -> int | None:
        """Lowest word of a bank from `base` on where so many words are not blocked, or None."""
        base += (bank - base) % banks
        while base + words <= self.words:
            end = next((end for first, end in self.blocked if first < base + words and base < end), None)
            if end is None:
                return base
            base = end + (bank - end) % banks
        return None

    def take(self, base: int, words: int, first_trip: int, last_trip: int) -> None:
        insort(self.allocations, _Allocation(base, words, first_trip, last_trip), key=lambda a: a.base)
        self.used = max(self.used, base + words)

    def give_back(self, base: int, words: int, first_trip: int, last_trip: int) -> None:
        self.allocations.remove(_Allocation(base, words, first_trip, last_trip))
        self.used = max((a.base + a.words for a in self.allocations), default=0)


def _with_bit(base: int, bit: int | None) -> int:
    return base if bit is None else base + (base + bit) % 2


class BankedSlice(Slice):
    """An RRAM slice whose blocks each lie in one bank: the words of a block are `banks` apart."""

    def __init__(self, rram: Rram) -> None:
        super().__init__(rram.words)
        self.rram = rram
        self.filled = [0] * rram.banks

    def find(
        self, words: int, first_trip: int, last_trip: int, share: bool, stays: bool = False, bit: int | None = None
    ) -> int | None:
        bank = min(range(self.rram.banks), key=lambda bank: (self.filled[bank], bank))
        row = self.filled[bank]
        return bank + row * self.rram.banks if row + words <= self.rram.bank_words else None

    def take(self, base: int, words: int, first_trip: int, last_trip: int) -> None:
        self.filled[base % self.rram.banks] += words
        self.used += words
