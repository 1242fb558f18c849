"""A program run again and again under random faults: how many runs are corrected, trapped, masked, silently wrong.

Most runs need not be run. Timing on this chip never depends on data, so two runs in which every reader decodes the same data
are the same run, cycle by cycle and bit by bit. Hence:

- where every wrong word that is read comes out of its decoder right, the run is the fault-free one: *corrected*;
- where a word is past correction and read at an address known beforehand, the reader traps: *trapped*;
- where no wrong bit is read at all (it was overwritten, or nobody asks for it), the run is the fault-free one: *masked*;
- only where a decoder takes a word for another one does the program see other data. Such a run is made, on the fast
  machine with the plan that it has from the first run, and its outputs are compared: *silent* if they differ, else *masked*.

Faults are drawn in chunks of `CHUNK` runs, each with random numbers of its own (seed, chunk): the same whatever the jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.errors import DataFault, Trap
from isa.memory_words import memories
from isa.program import Program
from isa.timing import program_cycles, stream_writes
from sim.cell_faults import MOST_WRONG, CellOutcome, ProgramCells, distinct
from sim.device import Device
from sim.fault_spec import FaultSpec
from sim.upsets import RIGHT, SramUpset, StreamUpset, Upset, UpsetTimeline, Wrong, decoded, named_words

CHUNK = 250
OUTCOMES = ("corrected", "trapped", "masked", "silent", "clean")
"""Of a run; clean is one in which no fault was drawn."""
Inputs = Mapping[str, NDArray[Any]]
Masks = Sequence[tuple[str, int, NDArray[np.uint8]]]
"""(unit, address, mask uint8 [lanes]) of rows of RRAM whose data differ from what was programmed."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a campaign or of a part of it."""

    runs: NDArray[np.int64]
    """By outcome, as `OUTCOMES`."""
    rram_words: NDArray[np.int64]
    """[wrong bits up to MOST_WRONG, 3]: code words of RRAM that were corrected, refused, taken for another."""
    stream_words: NDArray[np.int64]
    """The same of words on streams and in SRAM that somebody read."""
    made: int
    """Runs that were made, for the program saw other data."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.runs + other.runs,
            self.rram_words + other.rram_words,
            self.stream_words + other.stream_words,
            self.made + other.made,
        )


class Campaign:
    """Faults for one program. Run r takes input set r modulo their number."""

    def __init__(self, program: Program, calls: Sequence[Inputs], specs: tuple[FaultSpec, ...], seed: int) -> None:
        """Runs each input set once without faults. Raises DataFault, ChipFault, and what a run raises."""
        self.program, self.chip, self.specs, self.seed = program, program.chip, specs, seed
        self.device = Device(program)
        self.calls = [dict(inputs) for inputs in calls]
        self._states = {s.name: self.device.read(s.name).copy() for s in program.symbols if s.role == "state"}
        self.golden = [_octets(self.outputs(inputs)) for inputs in self.calls]
        kinds = {spec.kind for spec in specs}
        self.cells = ProgramCells(program) if kinds & {"cells", "rows"} else None
        if self.cells and not self.cells.rows:
            raise DataFault("the program reads nothing from RRAM, so wrong cells have nowhere to be")
        self.timeline = UpsetTimeline(program)
        self._host = named_words(program, "output")
        self._values = self._stream_values()
        self._sram = self._sram_words()
        self._cycles = max(1, program_cycles(program.operations, program.chip))

    def _stream_values(self) -> NDArray[np.int64]:
        """[bursts, 3]: operation, stream, values so far with this burst."""
        rows = [
            (number, stream, burst.count)
            for number, op in enumerate(self.program.operations)
            for stream, burst in enumerate(stream_writes(op, self.chip))
        ]
        table = np.array(rows, np.int64).reshape(-1, 3)
        table[:, 2] = np.cumsum(table[:, 2])
        return table

    def _sram_words(self) -> list[tuple[str, int]]:
        """Words of SRAM that plain operations touch."""
        accesses, names = self.timeline.accesses, memories(self.chip)
        known = accesses.address >= 0
        places = sorted(set(zip(accesses.unit[known].tolist(), accesses.address[known].tolist(), strict=True)))
        return [(names[unit], address) for unit, address in places if self.chip.units[names[unit]].kind == "sram"]

    # Runs ------------------------------------------------------------------------------------------------------------

    def chunks(self, runs: int) -> list[tuple[int, int]]:
        """(chunk, runs in it)"""
        return [(i, min(CHUNK, runs - i * CHUNK)) for i in range(-(-runs // CHUNK))]

    def run_chunk(self, chunk: int, runs: int) -> Tally:
        """Draw the faults of a chunk, settle them, make the runs that must be made."""
        rng = np.random.default_rng([self.seed, chunk])
        none = np.zeros(runs, np.bool_)
        cells = CellOutcome(none, none, none, {}, np.zeros((MOST_WRONG + 1, 3), np.int64))
        if self.cells:
            cells = self.cells.draw(self.specs, runs, rng)
        outcomes = np.zeros(len(OUTCOMES), np.int64)
        stream_words = np.zeros((MOST_WRONG + 1, 3), np.int64)
        made = 0
        for run in range(runs):
            upsets = self.draw_upsets(rng)
            corrected, refused, sees_other, unknown = self.settle(upsets, stream_words)
            masks = cells.masks.get(run, [])
            if not upsets and not cells.faulty[run]:
                outcome = "clean"
            elif refused or cells.refused[run]:
                outcome = "trapped"
            elif masks or sees_other or unknown:
                made += 1
                outcome = self._make(chunk * CHUNK + run, upsets, masks)
            else:
                outcome = "corrected" if corrected or cells.corrected[run] else "masked"
            outcomes[OUTCOMES.index(outcome)] += 1
        return Tally(outcomes, cells.words, stream_words, made)

    def draw_upsets(self, rng: np.random.Generator) -> list[Upset]:
        """Bits that flip in one run."""
        made: list[Upset] = []
        for spec in self.specs:
            for _ in range(spec.words or 0):
                if spec.kind == "streams" and len(self._values):
                    values = int(self._values[-1, 2])
                    value = int(rng.integers(values))
                    row = int(np.searchsorted(self._values[:, 2], value, "right"))
                    first = int(self._values[row - 1, 2]) if row else 0
                    operation, stream = self._values[row, :2].tolist()
                    made.append(StreamUpset(operation, stream, value - first, self._wrong(spec, rng)))
                elif spec.kind == "sram" and self._sram:
                    unit, address = self._sram[int(rng.integers(len(self._sram)))]
                    made.append(SramUpset(unit, address, int(rng.integers(self._cycles)), self._wrong(spec, rng)))
        return [upset for upset in made if upset.wrong]

    def _wrong(self, spec: FaultSpec, rng: np.random.Generator) -> Wrong:
        """Bits of one superlane."""
        code = self.timeline.code
        superlane = int(rng.integers(self.chip.lanes // self.chip.superlane))
        count = rng.integers(spec.bits[0], spec.bits[1] + 1, 1)
        return frozenset((superlane * code.bits + distinct(rng, count, code.bits)[1]).tolist())

    def settle(self, upsets: list[Upset], words: NDArray[np.int64]) -> tuple[bool, bool, bool, bool]:
        """(something is corrected, refused, taken for another, known only to a run) of what is read; counts words."""
        if not upsets:
            return False, False, False, False
        if any(isinstance(upset, SramUpset) and upset.unit in self.timeline.indexed for upset in upsets):
            return False, False, False, True
        settled = self.timeline.settle(upsets)
        read = [*settled.values.values(), *(wrong for place, wrong in settled.left.items() if place in self._host)]
        corrected = refused = sees_other = False
        for wrong in read:
            found = decoded(wrong, self.chip.lanes, self.timeline.code)
            for wrong_bits, status in found.words:
                words[min(wrong_bits, MOST_WRONG), status] += 1
                corrected |= status == RIGHT
            refused |= found.refused >= 0
            sees_other |= found.mask is not None
        return corrected, refused, sees_other, False

    def _make(self, run: int, upsets: list[Upset], masks: Masks) -> str:
        call = run % len(self.calls)
        try:
            found = self.outputs(self.calls[call], upsets, masks)
        except Trap:
            return "trapped"
        return "masked" if _octets(found) == self.golden[call] else "silent"

    def outputs(self, inputs: Inputs, upsets: Sequence[Upset] = (), masks: Masks = ()) -> dict[str, NDArray[Any]]:
        """Outputs of a run from the first states, with these masks on rows of RRAM. Raises Trap."""
        for name, value in self._states.items():
            self.device.write(name, value)
        for unit, address, mask in masks:
            self.device.memory.unit_words(unit)[address] ^= mask
        try:
            return self.device.run(inputs, upsets).outputs
        finally:
            for unit, address, mask in masks:
                self.device.memory.unit_words(unit)[address] ^= mask


def _octets(outputs: Mapping[str, NDArray[Any]]) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in outputs.items()}


def total(parts: Sequence[Tally]) -> Tally:
    """The sum of at least one part."""
    return reduce(lambda a, b: a + b, parts)


def wilson(hits: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson, JASA 22, 1927): also where there are no hits."""
    if not trials:
        return 0.0, 1.0
    share, width = hits / trials, z * z / trials
    centre = (share + width / 2) / (1 + width)
    half = z / (1 + width) * (share * (1 - share) / trials + width / (4 * trials)) ** 0.5
    return max(0.0, centre - half) if hits else 0.0, min(1.0, centre + half) if hits < trials else 1.0
