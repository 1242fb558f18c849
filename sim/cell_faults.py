"""Wrong RRAM cells for many runs at once: drawn, and decoded by their syndromes alone.

The code is linear: what the decoder does depends on which bits of a word are wrong, not on its data. So a batch of runs is
arrays of (run, word, bit); the words that come out right need no run at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.errors import ChipFault, DataFault
from isa.program import Program
from sim.ecc import UNCORRECTABLE, BchCode, code_of
from sim.fault_spec import FaultSpec
from sim.memory import Memory

Numbers = NDArray[np.int64]
Words = NDArray[np.uint8]
MOST_WRONG = 12
"""Words with more wrong bits are counted together."""


@dataclass(frozen=True, slots=True)
class CellOutcome:
    """What a batch of runs finds in RRAM. Boolean arrays have an entry a run."""

    faulty: NDArray[np.bool_]
    corrected: NDArray[np.bool_]
    """A word was corrected."""
    refused: NDArray[np.bool_]
    """A word is past correction: the run traps."""
    masks: dict[int, list[tuple[str, int, Words]]]
    """Run → (unit, address, mask uint8 [lanes]): rows whose data differ from what was programmed."""
    words: NDArray[np.int64]
    """[wrong bits, 3]: words that were corrected, refused, taken for another."""


def distinct(rng: np.random.Generator, counts: Numbers, population: int) -> tuple[Numbers, Numbers]:
    """(row, value) pairs: for each row i a uniformly random set of counts[i] of the numbers below `population`."""
    rows = np.arange(len(counts))
    codes = np.zeros(0, np.int64)
    missing = np.minimum(counts, population)
    while missing.any():
        row = np.repeat(rows, missing)
        codes = np.unique(np.concatenate([codes, row * population + rng.integers(population, size=len(row))]))
        missing = np.minimum(counts, population) - np.bincount(codes // population, minlength=len(counts))
    return codes // population, codes % population


class ProgramCells:
    """The RRAM rows that a program reads, and their cells."""

    def __init__(self, program: Program) -> None:
        """Raises ChipFault where the chip says nothing of its cells, DataFault where only a run knows what is read."""
        chip = program.chip
        if chip.rram is None or chip.rram.device is None:
            raise ChipFault(f"chip {chip.name} has no RRAM, or does not say what its cells are like in [rram.device]")
        self.code: BchCode = code_of(chip.rram.device.word_bits)
        self.lanes = chip.lanes
        self.words_a_row = 8 * chip.lanes // self.code.data_bits
        places: set[tuple[str, int]] = set()
        for op in program.operations:
            unit = chip.slots[op.slot].unit
            if unit.kind == "rram" and op.mnemonic == "gather":
                raise DataFault(
                    "the program looks words of RRAM up by index: which ones it reads is known only when it runs",
                    hint="`lockstep device inject` plants faults for such programs",
                )
            if unit.kind == "rram":
                places.update((unit.name, op.get("addr") + i * op.get("step")) for i in range(op.rep))
        self.rows = sorted(places)
        memory = Memory(chip)
        memory.lay_images(program)
        data = [memory.unit_words(unit)[address] for unit, address in self.rows]
        octets = self.code.data_bits // 8
        self.data: Words = np.array(data, np.uint8).reshape(len(self.rows), self.words_a_row, octets)
        """uint8 [rows, words of a row, octets]"""

    @property
    def words(self) -> int:
        """Code words that the program reads."""
        return len(self.rows) * self.words_a_row

    def draw(self, specs: tuple[FaultSpec, ...], runs: int, rng: np.random.Generator) -> CellOutcome:
        """The faults of `runs` runs, decoded."""
        codes = [np.zeros(0, np.int64)]
        stuck_run, stuck_row = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for spec in specs:
            if spec.kind == "cells" and self.words:
                codes.append(self._cells(spec, runs, rng))
            elif spec.kind == "rows" and self.rows:
                run, row = distinct(rng, np.full(runs, spec.words), len(self.rows))
                stuck_run.append(run)
                stuck_row.append(row)
        wrong, times = np.unique(np.concatenate(codes), return_counts=True)
        wrong = wrong[times % 2 == 1]  # a bit that flips twice is right again
        stuck = np.unique(np.concatenate(stuck_run) * max(1, len(self.rows)) + np.concatenate(stuck_row))
        row_of = wrong // (self.code.bits * self.words_a_row)
        wrong = wrong[~np.isin(row_of, stuck)]  # a stuck cell does not flip
        ones = rng.integers(2, size=len(stuck)).astype(bool)
        return self._merged(self.decode(wrong, runs), self.decode_stuck(stuck, runs, ones))

    def _cells(self, spec: FaultSpec, runs: int, rng: np.random.Generator) -> Numbers:
        """Wrong cells of each run, as (run · words + word) · bits + bit."""
        bits = self.code.bits
        if spec.rate is not None:
            return self.at_rate(spec.rate, runs, rng)
        if spec.words is None:
            words = np.arange(runs * self.words)
        else:
            run, word = distinct(rng, np.full(runs, spec.words), self.words)
            words = run * self.words + word
        each, bit = distinct(rng, rng.integers(spec.bits[0], spec.bits[1] + 1, len(words)), bits)
        return words[each] * bits + bit

    def at_rate(self, rate: float, runs: int, rng: np.random.Generator) -> Numbers:
        """Wrong cells (as `_cells`) where each cell errs on its own with this probability."""
        population = self.words * self.code.bits
        run, cell = distinct(rng, rng.binomial(population, rate, runs), population)
        return run * population + cell

    def decode(self, wrong: Numbers, runs: int) -> CellOutcome:
        """What the code makes of these wrong cells (`_cells`, sorted, each once)."""
        code = self.code
        word, start, count = np.unique(wrong // code.bits, return_index=True, return_counts=True)
        syndromes = code.syndromes[wrong % code.bits]
        found = code.correct(np.bitwise_xor.reduceat(syndromes, start) if len(start) else syndromes)
        refused = found.status == UNCORRECTABLE
        corrected = ~refused & (count <= 2)  # any other pattern of the coset has at least three bits
        mistaken = ~refused & ~corrected
        run = word // max(1, self.words)
        masks: dict[int, list[tuple[str, int, Words]]] = {}
        for i in np.flatnonzero(mistaken).tolist():
            bits = {int(b) for b in wrong[start[i] : start[i] + count[i]] % code.bits}
            left = bits ^ {int(b) for b in found.flips[i] if b >= 0}
            self._add_mask(masks, int(run[i]), int(word[i] % self.words), [b for b in left if b < code.data_bits])
        tally = np.zeros((MOST_WRONG + 1, 3), np.int64)
        for column, chosen in enumerate((corrected, refused, mistaken)):
            np.add.at(tally[:, column], np.minimum(count[chosen], MOST_WRONG), 1)
        flags = [_any(run[chosen], runs) for chosen in (corrected | refused | mistaken, corrected, refused)]
        return CellOutcome(flags[0], flags[1], flags[2], masks, tally)

    def raw_masks(self, wrong: Numbers) -> list[tuple[str, int, Words]]:
        """The masks of one run whose chip has no code: every wrong data bit is seen."""
        masks: dict[int, list[tuple[str, int, Words]]] = {}
        data = wrong[wrong % self.code.bits < self.code.data_bits]
        for word in np.unique(data // self.code.bits).tolist():
            bits = data[data // self.code.bits == word] % self.code.bits
            self._add_mask(masks, 0, word, bits.tolist())
        return masks.get(0, [])

    def _add_mask(self, masks: dict[int, list[tuple[str, int, Words]]], run: int, word: int, bits: list[int]) -> None:
        row, place = divmod(word, self.words_a_row)
        mask = np.zeros(self.lanes, np.uint8)
        for bit in bits:
            mask[place * self.code.data_bits // 8 + bit // 8] ^= np.uint8(1 << bit % 8)
        if mask.any():
            masks.setdefault(run, []).append((*self.rows[row], mask))

    def decode_stuck(self, stuck: Numbers, runs: int, ones: NDArray[np.bool_]) -> CellOutcome:
        """What the code makes of rows (run · rows + row) that read as all 0 or, where `ones`, as all 1."""
        code, count = self.code, max(1, len(self.rows))
        run, row = stuck // count, stuck % count
        true = self.data[row].reshape(-1, code.data_bits // 8)
        value = np.repeat(ones, self.words_a_row)
        data = np.where(value[:, None], np.uint8(0xFF), np.uint8(0)) * np.ones_like(true)
        checks = np.where(value, 0xFFFF, 0).astype(np.uint16)
        fixed, found = code.decode(data, checks)
        wrong_bits = np.unpackbits(data ^ true, axis=1).sum(axis=1)
        wrong_bits = wrong_bits + np.unpackbits((checks ^ code.encode(true))[:, None].view(np.uint8), axis=1).sum(axis=1)
        refused = found.status == UNCORRECTABLE
        right = ~refused & (fixed == true).all(axis=1)
        kinds = (right & (wrong_bits > 0), refused, ~refused & ~right)
        owner = np.repeat(run, self.words_a_row)
        masks: dict[int, list[tuple[str, int, Words]]] = {}
        seen = np.where(refused[:, None], np.uint8(0), fixed ^ true).reshape(len(stuck), self.lanes)
        for i in np.flatnonzero(seen.any(axis=1)).tolist():
            masks.setdefault(int(run[i]), []).append((*self.rows[int(row[i])], seen[i]))
        tally = np.zeros((MOST_WRONG + 1, 3), np.int64)
        for column, chosen in enumerate(kinds):
            np.add.at(tally[:, column], np.minimum(wrong_bits[chosen], MOST_WRONG), 1)
        return CellOutcome(_any(run, runs), _any(owner[kinds[0]], runs), _any(owner[refused], runs), masks, tally)

    @staticmethod
    def _merged(a: CellOutcome, b: CellOutcome) -> CellOutcome:
        masks = {run: a.masks.get(run, []) + b.masks.get(run, []) for run in {*a.masks, *b.masks}}
        flags = (a.faulty | b.faulty, a.corrected | b.corrected, a.refused | b.refused)
        return CellOutcome(*flags, masks, a.words + b.words)


def _any(run: Numbers, runs: int) -> NDArray[np.bool_]:
    return np.bincount(run, minlength=runs)[:runs] > 0
