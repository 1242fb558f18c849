"""How long it takes to look at rows and to write them, exact in cycles, and what it costs.

A maintenance program does nothing else on the chip. First it reads: every slice one row a cycle, a bank every `busy_cycles`,
all slices at once. Then it writes: a bank one row after the other, at most `write_banks` banks at a time, those with most to
write first; a bank that is done makes room for the next.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from isa.chip import Chip
from isa.energy import Range
from isa.rram_device import RramDevice
from isa.rram_state import RramState

Numbers = NDArray[np.int64]


@dataclass(slots=True)
class MaintenanceWork:
    """Reads and write cycles by slice and bank."""

    state: RramState
    reads: dict[str, Numbers] = field(default_factory=dict[str, Numbers])
    writes: dict[str, Numbers] = field(default_factory=dict[str, Numbers])

    def _add(self, table: dict[str, Numbers], unit: str, addresses: Numbers, counts: Numbers) -> None:
        banks = self.state.rram.banks
        before = table.get(unit, np.zeros(banks, np.int64))
        table[unit] = before + np.bincount(addresses % banks, counts, banks).astype(np.int64)

    def add_reads(self, unit: str, addresses: Numbers) -> None:
        """One read of every address."""
        self._add(self.reads, unit, addresses, np.ones(len(addresses), np.int64))

    def add_writes(self, unit: str, addresses: Numbers, cycles: Numbers) -> None:
        """`cycles` write cycles of every address."""
        self._add(self.writes, unit, addresses, cycles)

    @property
    def read_cycles(self) -> int:
        """Until the last row has been read."""
        rram = self.state.rram
        return max((max(int(b.sum()), int(b.max()) * rram.busy_cycles) for b in self.reads.values()), default=0)

    @property
    def write_cycles(self) -> int:
        """Until the last bank has been written."""
        return self._write_cycles(self.state.device)

    def _write_cycles(self, device: RramDevice) -> int:
        queue = sorted((int(n) for banks in self.writes.values() for n in banks if n), reverse=True)
        writers = [0] * device.write_banks
        for rows in queue:
            heapq.heapreplace(writers, writers[0] + rows * device.write_cycles)
        return max(writers)

    @property
    def cycles(self) -> int:
        return self.read_cycles + self.write_cycles

    @property
    def seconds(self) -> float:
        return self.cycles / self.state.chip.clock_ghz * 1e-9

    def seconds_with(self, device: RramDevice) -> float:
        """The same work with other cells."""
        return (self.read_cycles + self._write_cycles(device)) / self.state.chip.clock_ghz * 1e-9

    def energy_uj(self) -> Range:
        """Of the cells that are read and written, check bits included, and of the chip's static power meanwhile."""
        chip: Chip = self.state.chip
        read = sum(int(n.sum()) for n in self.reads.values()) * self.state.cells
        written = sum(int(n.sum()) for n in self.writes.values()) * self.state.cells
        costs = np.array([getattr(chip.energy, name).values for name in ("rram_read_bit_pj", "rram_write_bit_pj", "static_w")])
        low, typical, high = (np.array([read * 1e-6, written * 1e-6, self.seconds * 1e6]) @ costs).tolist()
        return Range(low=low, typical=typical, high=high)
