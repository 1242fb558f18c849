"""The fast machine: whole bursts at a time, in an order in which every value is there before it is needed.

The checker judges the program first; the wiring that it finds says which values every burst reads. A program that breaks a
rule, and one whose elements cannot be put in any order (possible only on chips whose skews differ widely), runs on the
reference machine instead, which gives the trap or the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.checker import require_valid
from isa.errors import ScheduleFault
from isa.layout import NUMPY_TYPES
from isa.numerics import accumulate
from isa.program import Immediate, Program
from isa.spec import BYTES
from isa.timing import latency, skew, weight_type
from isa.wiring import Wiring
from sim.counters import Counters
from sim.memory import Memory
from sim.plan import OperandPlan, Plan, Step, Tap, make_plan
from sim.reference import ReferenceMachine
from sim.rram_reads import RramReads
from sim.semantics import (
    fetch,
    immediate_value,
    install,
    lane_mask,
    prepared_weights,
    product,
    store,
    transform,
    word_indices,
)
from sim.tally import program_counters
from sim.traps import MachineTrap, Violation, index_text
from sim.upsets import SramUpset, Strikes, Upset, UpsetTimeline, strikes

Array = NDArray[Any]


@dataclass(slots=True)
class _Buffer:
    """Weights of one epoch of a plane."""

    octets: NDArray[np.uint8]
    """[lanes, lanes, bytes of a weight]"""
    type: str
    uses: int
    """Steps still to come."""
    prepared: Array | None = None


class FastMachine:
    """Runs a program on a memory, as often as wanted."""

    def __init__(self, program: Program, memory: Memory) -> None:
        self.program = program
        self.chip = program.chip
        self.memory = memory
        self._planned = False
        self._plan: Plan | None = None
        self._tally: Counters | None = None
        self._rram_reads: RramReads | None = None
        self._wiring: Wiring | None = None
        self._timeline: UpsetTimeline | None = None

    def run(self, upsets: Sequence[Upset] = ()) -> Counters:
        """One run, with bits that flip meanwhile. Raises MachineTrap; what memory then holds is undefined."""
        if not self._planned:
            self._planned = True
            try:
                wiring = require_valid(self.program)
            except ScheduleFault:
                wiring = None
            if wiring is not None:
                self._wiring = wiring
                self._plan = make_plan(self.program, wiring)
                self._tally = program_counters(self.program, wiring.bursts)
                self._rram_reads = RramReads(self.program, self.memory.rram) if self.memory.rram else None
        if self._plan is None or self._tally is None or self._wiring is None or not self._can_settle(upsets):
            machine = ReferenceMachine(self.program, self.memory, upsets)
            machine.run()
            return machine.counters
        run = _Run(self.program, self.memory, self._plan, self._tally.copy(), self._rram_reads)
        if upsets and self._timeline:
            run.strikes = strikes(self._timeline, self._wiring, upsets)
        return run.execute()

    def _can_settle(self, upsets: Sequence[Upset]) -> bool:
        """Is it known before the run who reads the words that flip?"""
        if not upsets:
            return True
        self._timeline = self._timeline or UpsetTimeline(self.program)
        return not any(isinstance(upset, SramUpset) and upset.unit in self._timeline.indexed for upset in upsets)


class _Run:
    """State of one run."""

    def __init__(self, program: Program, memory: Memory, plan: Plan, counters: Counters, rram_reads: RramReads | None) -> None:
        self.program = program
        self.chip = program.chip
        self.memory = memory
        self.plan = plan
        self.counters = counters
        self.results: dict[int, Array] = {}
        """Results of pieces: [n, lanes], or [n, groups, lanes]."""
        self.buffers: dict[tuple[str, int, str], _Buffer] = {}
        self.sums: dict[tuple[str, bool], Array] = {}
        """Accumulator entries [entries, lanes] of (plane, integers?)."""
        self.violations: list[Violation] = []
        self.rram_reads = rram_reads
        self.strikes: Strikes | None = None

    def execute(self) -> Counters:
        end = 0
        if self.rram_reads:
            self.rram_reads.begin_run()
        for op in self.program.operations:
            if op.mnemonic == "swap":
                end = max(end, op.cycle + (op.rep - 1) * op.every + latency(op, self.chip))
        masks = self.strikes.masks if self.strikes else {}
        for step in self.plan.steps:
            self._step(step)
            if masks and step.number in masks:
                self._strike(step, masks[step.number])
            for piece in step.release:
                self.results.pop(piece, None)
            last = step.op.cycle + (step.first + step.count - 1) * step.op.every
            end = max(end, last + latency(step.op, self.chip))
        violations = self.violations + (self.rram_reads.violations if self.rram_reads else [])
        violations += self.strikes.violations if self.strikes else []
        if violations:
            raise MachineTrap(self.program, min(violations))
        self.counters.cycles = end
        return self.counters

    def _step(self, step: Step) -> None:
        mnemonic = step.op.mnemonic
        if mnemonic == "read":
            self._read(step)
        elif mnemonic == "write":
            self._write(step)
        elif mnemonic == "load":
            self._load(step)
        elif mnemonic == "feed":
            self._feed(step)
        elif mnemonic == "gather":
            self._gather(step)
        elif mnemonic == "scatter":
            self._scatter(step)
        else:
            operands = [self._source(step, i) for i in range(len(step.operands))]
            self.results[step.piece] = transform(step.op, operands)

    def _strike(self, step: Step, masks: list[tuple[int, int, NDArray[np.uint8]]]) -> None:
        """Put what decoders leave wrong into the result of a step; a copy, for words of memory stay as they are."""
        values = np.array(self.results[step.piece])
        octets = values.view(np.uint8).reshape(*values.shape, values.dtype.itemsize)
        first = step.first // step.op.fields.get("group", 1)
        for stream, element, mask in masks:
            if first <= element < first + len(values):
                group, byte = divmod(stream, values.dtype.itemsize)
                vectors = octets if values.ndim == 2 else octets[:, group]
                vectors[element - first, :, byte] ^= mask
        self.results[step.piece] = values

    # Operands --------------------------------------------------------------------------------------------------------

    def _source(self, step: Step, index: int) -> Array:
        """A source operand: [n, lanes], [n, groups, lanes] or, for an immediate, [1, 1]."""
        source = step.op.sources[index]
        if isinstance(source, Immediate):
            return immediate_value(source, step.op.row.domain)
        return self._operand(step.operands[index], step.count)

    def _operand(self, operand: OperandPlan, count: int) -> Array:
        dtype = NUMPY_TYPES[operand.type]
        width = dtype.itemsize
        if operand.whole is not None:
            tap = operand.whole
            values = self.results[tap.producer]
            if values.ndim == 3:
                values = values[:, tap.source_stream // width]
            return values.view(dtype)[tap.source]
        octets = np.empty((count, operand.groups, self.chip.lanes, width), np.uint8)
        for tap in operand.taps:
            group, byte = divmod(tap.stream - operand.first_stream, width)
            octets[tap.target, group, :, byte] = self._octets(tap)
        values = octets.view(dtype)[..., 0]
        return values[:, 0] if operand.groups == 1 else values

    def _octets(self, tap: Tap) -> NDArray[np.uint8]:
        """The byte stream's vectors, uint8 [n, lanes]."""
        values = self.results[tap.producer]
        group, byte = divmod(tap.source_stream, values.dtype.itemsize)
        if values.ndim == 3:
            values = values[:, group]
        if values.dtype.itemsize == 1:
            return values.view(np.uint8)[tap.source]
        return values.view(np.uint8).reshape(*values.shape, -1)[tap.source, :, byte]

    # Memory ----------------------------------------------------------------------------------------------------------

    def _read(self, step: Step) -> None:
        unit = self.chip.slots[step.op.slot].unit
        words = fetch(self.memory.unit_words(unit.name), self._addresses(step))
        # A copy of SRAM words, for a later step may replace them; RRAM words stay.
        if unit.kind == "sram":
            words = words.copy()
        elif self.rram_reads:
            words = self.rram_reads.read(step.number, step.first, words)
        self.results[step.piece] = words

    def _write(self, step: Step) -> None:
        op, vectors = step.op, self._source(step, 0).view(np.uint8)
        unit = self.chip.slots[op.slot].unit.name
        lanes = lane_mask(op.get("mask"), self.chip.lanes, self.chip.superlane)
        words, addresses = self.memory.unit_words(unit), self._addresses(step)
        store(words, addresses, vectors, lanes)
        self.memory.written[unit][addresses] = True

    def _addresses(self, step: Step) -> slice | NDArray[np.int64]:
        increment = step.op.get("step")
        first = step.op.get("addr") + step.first * increment
        if increment > 0:
            return slice(first, first + (step.count - 1) * increment + 1, increment)
        return first + increment * np.arange(step.count, dtype=np.int64)

    def _indices(self, step: Step) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Word addresses of a gather or scatter, and which are legal. Illegal indices are noted, and replaced by 0: a trap is
        certain."""
        op = step.op
        index = word_indices(self._source(step, 0))
        limit = op.get("limit")
        legal = (index >= 0) & (index < limit)
        wrong = np.flatnonzero(~legal)
        if len(wrong):
            element = step.first + int(wrong[0])
            cycle = op.cycle + element * op.every + skew(op, self.chip)
            text = index_text(int(index[wrong[0]]), element, limit)
            self.violations.append(Violation(cycle, self.chip.slots[op.slot].index, step.number, text))
            index[wrong] = 0
        return op.get("base") + index, legal

    def _gather(self, step: Step) -> None:
        unit = self.chip.slots[step.op.slot].unit
        addresses, legal = self._indices(step)
        words = fetch(self.memory.unit_words(unit.name), addresses)
        if unit.kind == "rram":
            self.counters.add_bank_reads(unit.name, addresses)
            if self.rram_reads:
                words = self.rram_reads.gather(step.number, step.first, addresses, legal, words)
        self.results[step.piece] = words

    def _scatter(self, step: Step) -> None:
        unit = self.chip.slots[step.op.slot].unit.name
        addresses, _ = self._indices(step)
        store(self.memory.unit_words(unit), addresses, self._source(step, 1).view(np.uint8))

    # Matrix unit -----------------------------------------------------------------------------------------------------

    def _buffer(self, step: Step) -> _Buffer:
        assert step.weights is not None
        found = self.buffers.get(step.weights)
        if found is None:
            type_name = "f16" if step.weights[2] == "f16" else "i8"
            octets = np.zeros((self.chip.lanes, self.chip.lanes, BYTES[type_name]), np.uint8)
            found = _Buffer(octets, type_name, self.plan.buffer_uses[step.weights])
            self.buffers[step.weights] = found
        found.uses -= 1
        if not found.uses:
            del self.buffers[step.weights]
        return found

    def _load(self, step: Step) -> None:
        op, buffer = step.op, self._buffer(step)
        width = BYTES[weight_type(op)]
        rows = op.get("streams") // width
        for tap in step.operands[0].taps:
            row, byte = divmod(tap.stream, width)
            places = slice(
                op.get("row") + (step.first + tap.target.start) * rows + row,
                op.get("row") + (step.first + tap.target.stop - 1) * rows + row + 1,
                rows * tap.target.step,
            )
            install(buffer.octets[:, :, byte], places, self._octets(tap), bool(op.get("transposed")))

    def _feed(self, step: Step) -> None:
        assert step.weights is not None
        op, buffer = step.op, self._buffer(step)
        plane, _, mode = step.weights
        if buffer.prepared is None:
            buffer.prepared = prepared_weights(mode, buffer.octets.view(NUMPY_TYPES[buffer.type])[..., 0])
        total = product(op, mode, self._source(step, 0), buffer.prepared)
        first = op.get("acc") + step.first
        entries = slice(first, first + step.count)
        sums = self._sums(plane, mode == "i8")
        if not op.get("fresh"):
            total = accumulate(sums[entries], total)
        if op.result is None:
            sums[entries] = total
        else:
            self.results[step.piece] = total

    def _sums(self, plane: str, integers: bool) -> Array:
        key = (plane, integers)
        if key not in self.sums:
            shape = (self.chip.mxm.accumulators, self.chip.lanes)
            self.sums[key] = np.zeros(shape, np.int32 if integers else np.float32)
        return self.sums[key]
