"""What a run did, counted: operations a slot, values and hops a stream, reads and writes a memory, MACs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from isa.chip import Chip
from sim.word_errors import OUTCOMES

_TABLES = ("slot_busy", "stream_values", "stream_hops", "reads", "writes", "written_lanes", "macs", *OUTCOMES)


def _counter() -> Counter[str]:
    return Counter()


@dataclass(slots=True)
class Counters:
    """Counts of one run. Both machines count the same."""

    chip: Chip
    cycles: int = 0
    slot_busy: Counter[str] = field(default_factory=_counter)
    """Dispatches a slot; those of a plane pair count in both planes."""
    stream_values: Counter[str] = field(default_factory=_counter)
    """Values written a byte stream (`e4`)."""
    stream_hops: Counter[str] = field(default_factory=_counter)
    """Register-to-register moves a byte stream, until a value is replaced or reaches the last register."""
    reads: Counter[str] = field(default_factory=_counter)
    """Words read a memory slice."""
    writes: Counter[str] = field(default_factory=_counter)
    """Words written an SRAM slice."""
    written_lanes: Counter[str] = field(default_factory=_counter)
    """Bytes written an SRAM slice: a superlane mask leaves some out."""
    bank_reads: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """Words read of each bank of an RRAM slice."""
    macs: Counter[str] = field(default_factory=_counter)
    """Multiply-accumulates a plane and mode (`mxm0.i8`); depth × lanes a feed element."""
    corrected: Counter[str] = field(default_factory=_counter)
    """Words of RRAM a bank (`rram.w3.b4`) that the code corrected, found past correction, or changed into others."""
    uncorrectable: Counter[str] = field(default_factory=_counter)
    miscorrected: Counter[str] = field(default_factory=_counter)

    def copy(self) -> Counters:
        """The same counts, to be added to."""
        counts = {name: Counter[str](getattr(self, name)) for name in _TABLES}
        banks = {unit: list(reads) for unit, reads in self.bank_reads.items()}
        return Counters(self.chip, self.cycles, bank_reads=banks, **counts)

    def add_bank_reads(self, unit: str, addresses: NDArray[np.int64]) -> None:
        """Count the banks of these words of an RRAM slice."""
        assert self.chip.rram is not None
        banks = self.chip.rram.banks
        before = self.bank_reads.get(unit, [0] * banks)
        more: list[int] = np.bincount(addresses % banks, minlength=banks).tolist()
        self.bank_reads[unit] = [a + b for a, b in zip(before, more, strict=True)]

    @property
    def mxm_utilisation(self) -> float:
        """MACs over what all planes could do in the cycles of the run, each mode against its own peak."""
        if not self.cycles:
            return 0.0
        chip, busy = self.chip, 0.0
        for key, count in self.macs.items():
            mode = key.rpartition(".")[2]
            busy += count / (chip.depth(mode) * chip.lanes) * (1 if mode == "i8" else 2)
        return busy / (len(chip.planes) * self.cycles)

    @property
    def rram_bandwidth_utilisation(self) -> float:
        """Vectors read over the most that all RRAM slices can give in the cycles of the run."""
        rram, slices = self.chip.rram, len(self.chip.slices("rram"))
        if rram is None or not self.cycles or not slices:
            return 0.0
        cycles_a_vector = max(1.0, rram.busy_cycles / rram.banks)
        vectors = sum(sum(banks) for banks in self.bank_reads.values())
        return vectors * cycles_a_vector / (slices * self.cycles)

    def facts(self) -> dict[str, object]:
        """Every count as plain values with sorted keys: equal exactly when two runs did the same."""
        counts: dict[str, object] = {
            name: {key: count for key, count in sorted(getattr(self, name).items()) if count} for name in _TABLES
        }
        return {"cycles": self.cycles, **counts, "bank_reads": dict(sorted(self.bank_reads.items()))}
