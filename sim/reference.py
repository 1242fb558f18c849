"""The reference machine: one cycle at a time, every register moved, every rule checked. Small and slow.

A cycle is: streams move one hop; what was under way arrives (results in registers, words, weights, swaps); operations are
dispatched; operands are read. Every fault of the cycle is collected, and the first by slot becomes the Trap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isa.checks_ranges import mode_name, operation_problems
from isa.chip import Slot
from isa.program import Direction, Immediate, Operation, Program
from isa.spec import BYTES
from isa.timing import Burst, latency, skew, stream_reads, stream_writes, weight_type
from sim.counters import Counters
from sim.memory import Memory
from sim.planes import Planes, Weights, planes_held
from sim.registers import Registers, Value
from sim.rram import HINT
from sim.secded import stream_code
from sim.semantics import (
    fetch,
    immediate_value,
    join_bytes,
    lane_mask,
    operand_layout,
    split_bytes,
    transform,
    word_indices,
)
from sim.slices import PendingWrite, Report, Slices
from sim.traps import MachineTrap, Violation, index_text
from sim.upsets import (
    NOTHING,
    SramUpset,
    StreamUpset,
    Upset,
    Wrong,
    decoded_vector,
    in_lanes,
    refusal_text,
)

StopReason = Literal["done", "cycle", "break", "watch"]


@dataclass(slots=True)
class _Active:
    """An operation between its first dispatch and its last result."""

    number: int
    op: Operation
    slot: Slot
    latency: int
    skew: int
    reads: list[Burst]
    writes: list[Burst]
    history: list[list[NDArray[Any]]] = field(default_factory=list[list[NDArray[Any]]])
    """Operands of the group of elements being folded along time."""
    weights: Weights | None = None
    """Of a feed's last element."""


@dataclass(slots=True)
class _Element:
    """One dispatch under way, and what it took hold of when it was dispatched."""

    active: _Active
    index: int
    words: NDArray[np.uint8] | None = None
    """The words that a read or gather chooses from, as they were."""
    write: PendingWrite | None = None
    weights: Weights | None = None
    result: list[tuple[int, NDArray[np.uint8]]] = field(default_factory=list[tuple[int, NDArray[np.uint8]]])
    """(ordinal among the result's streams, vector) to appear."""
    vectors: list[NDArray[np.uint8]] = field(default_factory=list[NDArray[np.uint8]])
    """Byte streams that a load reads."""
    wrong: dict[int, Wrong] = field(default_factory=dict[int, Wrong])
    """Flipped bits of the words that a read or gather chooses from, by address."""
    address: int = -1
    """The word that a read or gather has chosen."""


class ReferenceMachine:
    """Runs a program on a memory. `step` raises a MachineTrap at the first cycle that breaks a rule."""

    def __init__(self, program: Program, memory: Memory, upsets: Sequence[Upset] = ()) -> None:
        """`upsets` are bits that flip during the run."""
        self.program = program
        self.chip = program.chip
        self.memory = memory
        self._flips = sorted((u for u in upsets if isinstance(u, SramUpset)), key=lambda u: -u.cycle)
        """To come, the next one last."""
        self._wrong_words: dict[tuple[str, int], Wrong] = {}
        self._wrong_values: defaultdict[tuple[int, int, int], Wrong] = defaultdict(frozenset)
        for upset in upsets:
            if isinstance(upset, StreamUpset):
                self._wrong_values[upset.operation, upset.stream, upset.element] ^= upset.wrong
        self.cycle = 0
        """The next cycle to be executed."""
        self.counters = Counters(self.chip)
        """`counters.cycles` is the first cycle at which no operation is under way any more."""
        self._registers = Registers(self.chip)
        self._slices = Slices(memory)
        self._planes = Planes(self.chip)
        self.counters.stream_values = self._registers.values
        self.counters.stream_hops = self._registers.hops
        self._slot_until: dict[str, tuple[int, int]] = {}
        self._violations: list[Violation] = []
        self._changed: set[tuple[str, int]] = set()
        self._starts: dict[int, list[int]] = defaultdict(list)
        self._dispatches: dict[int, list[_Element]] = defaultdict(list)
        self._operands: dict[int, list[_Element]] = defaultdict(list)
        self._arrivals: dict[int, list[_Element]] = defaultdict(list)
        for number, op in enumerate(program.operations):
            self._starts[op.cycle].append(number)
            self.cycle = min(self.cycle, op.cycle)

    # Looking and stepping --------------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Nothing is to come and nothing is under way."""
        return not (self._starts or self._dispatches or self._operands or self._arrivals or self._registers.live)

    def peek_stream(self, direction: Direction, index: int, position: int) -> NDArray[np.uint8] | None:
        """The vector in a stream register after the last executed cycle, uint8 [lanes], or None."""
        value = self._registers.peek((direction, index), position)
        return None if value is None else value.data

    def peek_word(self, unit: str, address: int) -> NDArray[np.uint8] | None:
        """A memory word, uint8 [lanes], or None where nothing was written."""
        if not self.memory.unit_written(unit)[address]:
            return None
        return self.memory.unit_words(unit)[address]

    def run(
        self,
        until_cycle: int | None = None,
        break_at: Collection[str] = (),
        watch: Collection[tuple[str, int]] = (),
    ) -> StopReason:
        """Step until the program is over, or `until_cycle` is the next cycle, or one of the slots `break_at` is about to
        dispatch, or one of the words `watch` (unit, address) has changed. At least one cycle is executed, if any is left.
        """
        while not self.finished:
            if until_cycle is not None and self.cycle >= until_cycle:
                return "cycle"
            self._skip_idle(until_cycle)
            self.step()
            if self._changed.intersection(watch):
                return "watch"
            if break_at and self._about_to_dispatch(break_at):
                return "break"
        return "done"

    def step(self) -> None:
        """Execute one cycle. Raises MachineTrap."""
        self._violations.clear()
        self._changed.clear()
        while self._flips and self._flips[-1].cycle <= self.cycle:
            flip = self._flips.pop()
            place = flip.unit, flip.address
            self._wrong_words[place] = self._wrong_words.get(place, NOTHING) ^ flip.wrong
        for value in self._registers.advance():
            self._wasted(value, "left the chip")
        for element in sorted(self._arrivals.pop(self.cycle, ()), key=lambda e: e.active.number):
            self._arrive(element)
            self.counters.cycles = self.cycle
        started = [self._start(number) for number in self._starts.pop(self.cycle, ())]
        due = self._dispatches.pop(self.cycle, []) + [element for element in started if element is not None]
        # Swaps first: a load dispatched in a swap's cycle finds it under way.
        due.sort(key=lambda e: (e.active.op.mnemonic != "swap", e.active.slot.index, e.active.number))
        for element in due:
            self._dispatch(element)
        self._check_load_streams(due)
        for element in self._operands.pop(self.cycle, ()):
            self._read_operands(element)
        if self.finished:
            self._unused(self._planes.unused_swaps())
        if self._violations:
            raise MachineTrap(self.program, min(self._violations))
        self.cycle += 1

    def _skip_idle(self, until_cycle: int | None) -> None:
        """Go to the next cycle in which something happens."""
        if not self._registers.live:
            tables = (self._starts, self._dispatches, self._operands, self._arrivals)
            following = min((min(table) for table in tables if table), default=self.cycle)
            self.cycle = max(self.cycle, following if until_cycle is None else min(following, until_cycle - 1))

    def _about_to_dispatch(self, slots: Collection[str]) -> bool:
        if any(self.program.operations[n].slot in slots for n in self._starts.get(self.cycle, ())):
            return True
        return any(e.active.op.slot in slots for e in self._dispatches.get(self.cycle, ()))

    def _report(self, active: _Active) -> Report:
        def report(text: str, other: int = -1) -> None:
            accused = max(active.number, other)
            slot = self.chip.slots[self.program.operations[accused].slot]
            self._violations.append(Violation(self.cycle, slot.index, accused, text))

        return report

    def _wasted(self, value: Value, how: str) -> None:
        op = self.program.operations[value.operation]
        text = f"its value {value.element} {how} before anything had read it"
        self._violations.append(Violation(self.cycle, self.chip.slots[op.slot].index, value.operation, text))

    def _unused(self, swaps: list[int]) -> None:
        for number in swaps:
            slot = self.chip.slots[self.program.operations[number].slot].index
            self._violations.append(Violation(self.cycle, slot, number, "nothing was fed to the weights that it brought in"))

    # Dispatch --------------------------------------------------------------------------------------------------------

    def _start(self, number: int) -> _Element | None:
        """The first element of an operation that is well formed."""
        op = self.program.operations[number]
        slot = self.chip.slots.get(op.slot)
        problems = [*operation_problems(op, self.chip), *self._misplaced(number)]
        if problems:
            self._violations.append(Violation(self.cycle, slot.index if slot else -1, number, problems[0]))
            return None
        chip = self.chip
        reads, writes = stream_reads(op, chip), stream_writes(op, chip)
        active = _Active(number, op, chip.slots[op.slot], latency(op, chip), skew(op, chip), reads, writes)
        self._hold_slots(active)
        return _Element(active, 0)

    def _misplaced(self, number: int) -> list[str]:
        """A problem where the program's operations are not in order of cycle and slot."""
        before, op = self.program.operations[max(number - 1, 0)], self.program.operations[number]
        if op.slot in self.chip.slots and before.slot in self.chip.slots:
            slots = self.chip.slots
            if (op.cycle, slots[op.slot].index) < (before.cycle, slots[before.slot].index):
                return ["stands after an operation of a later cycle or slot"]
        return []

    def _slots_of(self, active: _Active) -> list[str]:
        if active.slot.unit.kind != "mxm":
            return [active.slot.name]
        suffix = active.slot.name.rpartition(".")[2]
        return [f"{plane.name}.{suffix}" for plane in planes_held(active.op, active.slot.unit, self.chip)]

    def _hold_slots(self, active: _Active) -> None:
        last = active.op.cycle + (active.op.rep - 1) * active.op.every
        for name in self._slots_of(active):
            until, holder = self._slot_until.get(name, (-1, -1))
            if until >= self.cycle:
                self._report(active)(f"{name} is held by operation {holder} until cycle {until}")
            self._slot_until[name] = max((last, active.number), (until, holder))

    def _dispatch(self, element: _Element) -> None:
        active, op = element.active, element.active.op
        if element.index + 1 < op.rep:
            self._dispatches[self.cycle + op.every].append(_Element(active, element.index + 1))
        for name in self._slots_of(active):
            self.counters.slot_busy[name] += 1
        if active.slot.unit.kind in ("sram", "rram"):
            self._dispatch_memory(element)
        elif op.mnemonic == "load":
            self._planes.begin_load(op, self.cycle, active.latency, self._report(active))
        elif op.mnemonic == "swap":
            self._planes.begin_swap(op, self.cycle, active.latency, self._report(active))
        elif op.mnemonic == "feed":
            active.weights = self._planes.begin_feed(op, element.index, active.weights, self._report(active))
            element.weights = active.weights
            self.counters.macs[f"{active.slot.unit.name}.{mode_name(op)}"] += op.get("depth") * self.chip.lanes
        self._operands[self.cycle + active.skew].append(element)
        self._arrivals[self.cycle + active.latency].append(element)

    def _dispatch_memory(self, element: _Element) -> None:
        active, op = element.active, element.active.op
        unit, report = active.slot.unit.name, self._report(active)
        indexed = op.mnemonic in ("gather", "scatter")
        span = op.get("limit") if indexed else 1
        first = op.get("base") if indexed else op.get("addr") + element.index * op.get("step")
        if op.mnemonic in ("read", "gather"):
            words = self._slices.begin_read(unit, self.cycle, active.number, first, span, indexed, report)
            # A copy where an index arrives later: words are those of the dispatch.
            element.words = words.copy() if active.skew or not indexed else words
            element.address = -1 if indexed else first
            if self._wrong_words:
                element.wrong = {a: self._wrong_words.get((unit, a), NOTHING) for a in range(first, first + span)}
            self.counters.reads[unit] += 1
            if not indexed:
                self._count_bank(unit, first)
                element.words = self._decoded(active, first, element.words)
        else:
            element.write = self._slices.begin_write(unit, self.cycle, active.number, first, span, indexed, report)
            element.write.address = first

    def _count_bank(self, unit: str, address: int) -> None:
        if self.chip.units[unit].kind == "rram":
            self.counters.add_bank_reads(unit, np.array([address]))

    def _decoded(self, active: _Active, address: int, words: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A word [1, lanes] as the code of a device's RRAM gives it; other words as they are."""
        unit, rram = active.slot.unit, self.memory.rram
        if rram is None or unit.kind != "rram" or not rram.holds(unit.name, address):
            return words
        decoded, lost = rram.read_row(unit.name, address, self.cycle)
        if lost >= 0:
            text = rram.lost(unit.name, address, lost)
            self._violations.append(Violation(self.cycle, active.slot.index, active.number, text, HINT))
        return decoded[None]

    def _check_load_streams(self, dispatched: list[_Element]) -> None:
        """At most `load_streams` different byte streams are loaded at one position by loads dispatched in one cycle."""
        loads: dict[int, list[_Element]] = defaultdict(list)
        for element in dispatched:
            if element.active.op.mnemonic == "load":
                loads[element.active.slot.unit.position].append(element)
        limit = self.chip.mxm.load_streams
        for together in loads.values():
            used = {(b.direction, b.index) for e in together for b in e.active.reads if e.index < b.count}
            if len(used) > limit:
                first = min(together, key=lambda e: e.active.number)
                self._report(first.active)(f"{len(used)} streams are loaded here at once; the limit is {limit}")

    # Operands --------------------------------------------------------------------------------------------------------

    def _read_operands(self, element: _Element) -> None:
        active = element.active
        vectors: list[NDArray[np.uint8]] = []
        for burst in active.reads:
            if element.index >= burst.count:
                continue
            value = self._registers.peek((burst.direction, burst.index), burst.position)
            if value is None:
                self._report(active)(f"finds nothing on {burst.direction}{burst.index} for element {element.index}")
                continue
            value.read = True
            vectors.append(self._checked(element, burst, value) if value.wrong else value.data)
        if len(vectors) == sum(element.index < b.count for b in active.reads):
            self._execute(element, vectors)

    def _checked(self, element: _Element, burst: Burst, value: Value) -> NDArray[np.uint8]:
        """A value with flipped bits as its reader decodes it."""
        data, refused = decoded_vector(value.data, value.wrong, stream_code(self.chip.superlane))
        if refused >= 0:
            self._report(element.active)(refusal_text(f"{burst.direction}{burst.index}", element.index, refused))
        return data

    def _execute(self, element: _Element, vectors: list[NDArray[np.uint8]]) -> None:
        op = element.active.op
        if op.mnemonic == "load":
            element.vectors = vectors
        elif op.mnemonic == "feed":
            assert element.weights is not None
            activations = join_bytes([v[None] for v in vectors], "i8" if mode_name(op) == "i8" else "f16")
            self._show(element, self._planes.end_feed(op, element.index, element.weights, activations))
        elif op.mnemonic == "read":
            if element.words is not None:
                self._show(element, element.words)
        elif op.mnemonic == "gather":
            self._gather(element, vectors)
        elif op.mnemonic in ("write", "scatter"):
            self._write(element, vectors)
        elif op.mnemonic != "swap":
            self._transform(element, vectors)

    def _show(self, element: _Element, values: NDArray[Any]) -> None:
        """Put values [1, lanes] or [1, span, lanes] on the result's streams when the element arrives."""
        if element.active.op.result is not None:
            streams: NDArray[np.uint8] = np.moveaxis(split_bytes(values)[0], -2, -1).reshape(-1, self.chip.lanes)
            element.result = list(enumerate(streams))

    def _index(self, element: _Element, vectors: list[NDArray[np.uint8]]) -> int | None:
        """The index of a gather or scatter, or None where it is illegal."""
        index = int(word_indices(join_bytes([v[None] for v in vectors[:4]], "i32"))[0])
        limit = element.active.op.get("limit")
        if 0 <= index < limit:
            return index
        self._report(element.active)(index_text(index, element.index, limit))
        return None

    def _gather(self, element: _Element, vectors: list[NDArray[np.uint8]]) -> None:
        index = self._index(element, vectors)
        if index is not None and element.words is not None:
            address = element.address = element.active.op.get("base") + index
            words = fetch(element.words, slice(index, index + 1))
            self._show(element, self._decoded(element.active, address, words))
            self._count_bank(element.active.slot.unit.name, address)

    def _write(self, element: _Element, vectors: list[NDArray[np.uint8]]) -> None:
        op, write = element.active.op, element.write
        if op.mnemonic == "scatter":
            index = self._index(element, vectors)
            if index is None or write is None:
                return
            write.address += index
        if write is not None:
            write.data = vectors[-1]
            if op.mnemonic == "write":
                write.lanes = lane_mask(op.get("mask"), self.chip.lanes, self.chip.superlane)
            unit = element.active.slot.unit.name
            self.counters.writes[unit] += 1
            self.counters.written_lanes[unit] += self.chip.lanes if write.lanes is None else int(write.lanes.sum())

    def _transform(self, element: _Element, vectors: list[NDArray[np.uint8]]) -> None:
        active, op = element.active, element.active.op
        operands: list[NDArray[Any]] = []
        for source, (type_name, span, first) in zip(op.sources, operand_layout(op), strict=True):
            if isinstance(source, Immediate):
                operands.append(immediate_value(source, op.row.domain))
                continue
            width = BYTES[type_name]
            groups = [vectors[first + g * width : first + (g + 1) * width] for g in range(span)]
            values = [join_bytes([v[None] for v in group], type_name) for group in groups]
            operands.append(values[0] if span == 1 else np.stack(values, axis=1))
        active.history.append(operands)
        if len(active.history) == op.fields.get("group", 1):
            together = [np.concatenate(column) for column in zip(*active.history, strict=True)]
            active.history.clear()
            self._show(element, transform(op, together))

    # Arrivals --------------------------------------------------------------------------------------------------------

    def _arrive(self, element: _Element) -> None:
        active, op = element.active, element.active.op
        if op.mnemonic == "load" and element.vectors:
            self._install(element)
        elif op.mnemonic == "swap":
            self._unused(self._planes.end_swap(op, active.number))
        elif element.write is not None:
            unit = active.slot.unit.name
            changed = self._slices.end_write(unit, element.write)
            self._changed.update((unit, address) for address in changed)
            for address in changed if self._wrong_words else ():
                self._overwrite(unit, address, element.write)
        for ordinal, data in element.result:
            burst = active.writes[ordinal]
            value = Value(data, active.number, element.index // op.fields.get("group", 1))
            if self._wrong_values or element.wrong:
                value.wrong = self._wrong_values.get((active.number, ordinal, value.element), NOTHING)
                value.wrong ^= element.wrong.get(element.address, NOTHING)
            name = f"{burst.direction}{burst.index}"
            old, twice = self._registers.write((burst.direction, burst.index), burst.position, value)
            if twice:
                self._report(active)(f"another operation writes {name} here in the same cycle")
            if old is not None and not old.read:
                self._wasted(old, f"was replaced on {name}")

    def _overwrite(self, unit: str, address: int, write: PendingWrite) -> None:
        """A write has landed: what it did not let through stays wrong."""
        wrong = self._wrong_words.pop((unit, address), NOTHING)
        if wrong and write.lanes is not None and address == write.address:
            self._wrong_words[unit, address] = in_lanes(wrong, ~write.lanes, stream_code(self.chip.superlane))

    def _install(self, element: _Element) -> None:
        op = element.active.op
        weights = weight_type(op)
        width = BYTES[weights]
        rows = len(element.vectors) // width
        groups = [element.vectors[r * width : (r + 1) * width] for r in range(rows)]
        vectors = np.concatenate([join_bytes([v[None] for v in group], weights) for group in groups])
        first = op.get("row") + element.index * (op.get("streams") // width)
        self._planes.end_load(op, first, vectors)
