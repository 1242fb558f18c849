"""Reservation tables: which cycle of which resource is taken. All tables grow with the schedule.

Byte tables (`bytearray`, one byte a cycle) hold slots, SRAM halves, RRAM banks and load streams, for their search from the
right runs at memory speed: the *last* conflict in a window tells how far a trip must move. Streams are tables over diagonals;
an entry has a bit for each position (or few positions) that the value needs, so one diagonal serves several values in turn.
"""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import NDArray

from isa.chip import Chip
from isa.program import Direction

Bits = NDArray[np.uint64]

ANY_HALF = 254
"""The half of an access whose address is only known when it runs."""


class Reservations:
    """Everything that one chip can have busy, from cycle 0 to a horizon that grows on demand."""

    def __init__(self, chip: Chip, horizon: int = 4096) -> None:
        self.chip = chip
        self.horizon = horizon
        self.end = 0
        """Beyond this cycle (and on the diagonals that start there) nothing is taken."""
        self.slots = {name: bytearray(horizon) for name in chip.slots}
        self.halves = {f"{u.name}.{port}": bytearray(horizon) for u in chip.slices("sram") for port in ("rd", "wr")}
        self.banks: dict[tuple[str, int], bytearray] = {}
        if chip.rram:
            for unit in chip.slices("rram"):
                for bank in range(chip.rram.banks):
                    self.banks[unit.name, bank] = bytearray(horizon)
        self.windows: dict[tuple[int, int, int, int], list[tuple[int, int, int]] | None] = {}
        """What `bank_windows` has found."""
        self.loads = {side: bytearray(horizon) for side in ("w", "e")}
        self.streams: dict[Direction, Bits] = {d: np.zeros((chip.streams, horizon), np.uint64) for d in ("e", "w")}
        self.scale = -(-chip.width // 64)

    def reserve_horizon(self, cycles: int) -> None:
        """Make every table reach at least `cycles` (and the diagonals beyond)."""
        if cycles <= self.horizon:
            return
        grown = max(cycles, 2 * self.horizon)
        extra = grown - self.horizon
        for table in (*self.slots.values(), *self.halves.values(), *self.banks.values(), *self.loads.values()):
            table.extend(bytes(extra))
        for direction, table in self.streams.items():
            self.streams[direction] = np.concatenate([table, np.zeros((self.chip.streams, extra), np.uint64)], axis=1)
        self.horizon = grown

    # Each conflict_* says how many cycles later the request is worth trying again: 0 where it fits now. ------------

    def conflict_slot(self, name: str, first: int, last: int) -> int:
        taken = self.slots[name].rfind(1, first, last + 1)
        return taken + 1 - first if taken >= 0 else 0

    def take_slot(self, name: str, first: int, last: int) -> None:
        self.slots[name][first : last + 1] = b"\1" * (last + 1 - first)

    def half_windows(self, address: int, step: int, cycle: int, count: int, every: int) -> list[tuple[int, slice]]:
        """(half, cycles) of a burst."""
        halves = self.chip.sram.halves
        period = halves // gcd(halves, step % halves) if step % halves else 1
        return [
            ((address + j * step) % halves, slice(cycle + j * every, cycle + count * every, every * period))
            for j in range(min(period, count))
        ]

    def conflict_half(self, unit: str, port: str, windows: list[tuple[int, slice]]) -> bool:
        """Whether the slice's other port is (or may be) in the same half in one of the cycles."""
        other = self.halves[f"{unit}.{'wr' if port == 'rd' else 'rd'}"]
        for half, window in windows:
            cycles = other[window]
            if half + 1 in cycles or ANY_HALF + 1 in cycles or (half == ANY_HALF and any(cycles)):
                return True
        return False

    def take_half(self, unit: str, port: str, windows: list[tuple[int, slice]]) -> None:
        table = self.halves[f"{unit}.{port}"]
        for half, window in windows:
            table[window] = bytes([half + 1]) * len(range(window.start, window.stop, window.step))

    def bank_windows(self, address: int, step: int, count: int, every: int) -> list[tuple[int, int, int]] | None:
        """(bank, first cycle, end) of a burst's reads, from its first; None if the burst meets itself in a bank."""
        key = address, step, count, every
        if key not in self.windows:
            self.windows[key] = self._bank_windows(*key)
        return self.windows[key]

    def _bank_windows(self, address: int, step: int, count: int, every: int) -> list[tuple[int, int, int]] | None:
        rram = self.chip.rram
        assert rram is not None
        period = rram.banks // gcd(rram.banks, step % rram.banks) if step % rram.banks else 1
        if count > period and period * every < rram.busy_cycles:
            return None
        windows: list[tuple[int, int, int]] = []
        merged = period * every == rram.busy_cycles
        for j in range(min(period, count)):
            bank = (address + j * step) % rram.banks
            starts = range(j * every, count * every, period * every)
            if merged:
                windows.append((bank, starts[0], starts[-1] + rram.busy_cycles))
            else:
                windows += [(bank, s, s + rram.busy_cycles) for s in starts]
        return windows

    def conflict_bank(self, unit: str, windows: list[tuple[int, int, int]], cycle: int) -> int:
        """`windows` begin at the cycle."""
        worst = 0
        for bank, first, end in windows:
            last = self.banks[unit, bank].rfind(1, cycle + first, cycle + end)
            if last >= 0:
                worst = max(worst, last + 1 - cycle - first)
        return worst

    def take_bank(self, unit: str, windows: list[tuple[int, int, int]], cycle: int) -> None:
        for bank, first, end in windows:
            self.banks[unit, bank][cycle + first : cycle + end] = b"\1" * (end - first)

    def conflict_load(self, side: str, first: int, count: int, every: int, streams: int) -> int:
        """A load that would bring more than the side's load streams in some cycle."""
        table = self.loads[side]
        limit = self.chip.mxm.load_streams - streams
        window = table[first : first + count * every : every]
        if max(window, default=0) <= limit:
            return 0
        # Gaps of the other load may fit in between: where there are any, the next cycle may do.
        return 1 + max(i for i, used in enumerate(window) if used > limit) if every == 1 else 1

    def take_load(self, side: str, first: int, count: int, every: int, streams: int) -> None:
        table = self.loads[side]
        for cycle in range(first, first + count * every, every):
            table[cycle] += streams

    def mask(self, low: int, high: int) -> np.uint64:
        """Bits of the positions low … high."""
        first, last = low // self.scale, high // self.scale
        return np.uint64(((1 << (last - first + 1)) - 1) << first)

    def column(self, direction: Direction, diagonal: int) -> int:
        """Index of a diagonal in the tables; eastward ones start at -(width - 1)."""
        return diagonal + self.chip.width if direction == "e" else diagonal

    def free_streams(self, direction: Direction, mask: np.uint64, first: int, count: int, every: int) -> NDArray[np.bool_]:
        """For each byte stream, whether it is free on all the diagonals (table indices first, first + every, …)."""
        window = self.streams[direction][:, first : first + count * every : every]
        return ~np.any(window & mask, axis=1)

    def take_streams(
        self, direction: Direction, mask: np.uint64, base: int, streams: int, first: int, count: int, every: int
    ) -> None:
        self.streams[direction][base : base + streams, first : first + count * every : every] |= mask
