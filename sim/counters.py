"""What a run did, counted: operations a slot, values and hops a stream, reads and writes a memory, MACs, energy."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from isa.chip import Chip

ENERGY_CLASSES = ("sram_read", "sram_write", "rram_read", "mac_i8", "mac_f16", "alu", "hop", "static")

_TABLES = ("slot_busy", "stream_values", "stream_hops", "reads", "writes", "written_lanes", "macs")


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

    def energy_uj(self) -> dict[str, float]:
        """Microjoules by class (`ENERGY_CLASSES`), and their sum as `total`."""
        chip, energy = self.chip, self.chip.energy
        word_bits = 8 * chip.lanes
        sram = sum(n for unit, n in self.reads.items() if chip.units[unit].kind == "sram")
        rram = sum(self.reads.values()) - sram
        i8 = sum(n for key, n in self.macs.items() if key.endswith(".i8"))
        alu = sum(n for slot, n in self.slot_busy.items() if chip.slots[slot].port == "vxm")
        picojoules = (
            sram * word_bits * energy.sram_read_bit_pj,
            sum(self.written_lanes.values()) * 8 * energy.sram_write_bit_pj,
            rram * word_bits * energy.rram_read_bit_pj,
            i8 * energy.mac_i8_pj,
            (sum(self.macs.values()) - i8) * energy.mac_f16_pj,
            alu * chip.lanes * energy.alu_lane_pj,
            sum(self.stream_hops.values()) * chip.lanes * energy.hop_byte_pj,
            energy.static_w * self.cycles / chip.clock_ghz * 1e3,
        )
        split = {name: value * 1e-6 for name, value in zip(ENERGY_CLASSES, picojoules, strict=True)}
        return {**split, "total": sum(split.values())}

    def energy_by_unit_uj(self) -> dict[str, float]:
        """Dynamic microjoules of every unit that did something, without streams and static power."""
        chip, energy = self.chip, self.chip.energy
        total: dict[str, float] = {}
        for unit, count in self.reads.items():
            bit = energy.sram_read_bit_pj if chip.units[unit].kind == "sram" else energy.rram_read_bit_pj
            total[unit] = total.get(unit, 0.0) + count * 8 * chip.lanes * bit
        for unit, count in self.written_lanes.items():
            total[unit] = total.get(unit, 0.0) + count * 8 * energy.sram_write_bit_pj
        for key, count in self.macs.items():
            unit, _, mode = key.rpartition(".")
            total[unit] = total.get(unit, 0.0) + count * (energy.mac_i8_pj if mode == "i8" else energy.mac_f16_pj)
        alu = sum(n for slot, n in self.slot_busy.items() if chip.slots[slot].port == "vxm")
        if alu:
            total["vxm"] = alu * chip.lanes * energy.alu_lane_pj
        return {unit: total[unit] * 1e-6 for unit in chip.units if unit in total}

    def facts(self) -> dict[str, object]:
        """Every count as plain values with sorted keys: equal exactly when two runs did the same."""
        counts: dict[str, object] = {
            name: {key: count for key, count in sorted(getattr(self, name).items()) if count} for name in _TABLES
        }
        return {"cycles": self.cycles, **counts, "bank_reads": dict(sorted(self.bank_reads.items()))}
