"""Random legal programs of instructions, and what a machine makes of a program.

Flows (memory, a stage or two, memory) are proposed at random places and times; their meetings are right by the time rule, and
the checker says whether they fit among the flows so far. A few indices of gathers and scatters are out of range: only a run
shows.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from isa.checker import check
from isa.chip import Chip, Unit
from isa.layout import NUMPY_TYPES
from isa.program import Image, Immediate, Operation, Program, Stream
from isa.spec import BY_MNEMONIC, BYTES
from sim.fast import FastMachine
from sim.memory import Memory
from sim.reference import ReferenceMachine
from sim.traps import MachineTrap

FILLED = 24
"""Words of every slice that have a value from the start: lane 0 is 0 in words 0 to 3, below 4 in words 4 to 7."""
ELEMENTWISE = tuple(
    m for m, row in BY_MNEMONIC.items() if row.ports == ("vxm",) and not any(f.name == "group" for f in row.fields)
)
RUNNING = ("fsum", "fmaxt", "fmint", "isum", "imaxt", "imint", "fdot", "idot")


@dataclass
class Value:
    """Something on a stream: where and when its first element is."""

    stream: Stream
    position: int
    cycle: int
    rep: int
    every: int


@dataclass
class Builder:
    """Proposes flows and keeps those that the checker accepts."""

    chip: Chip
    rng: random.Random
    images: list[Image]
    kept: list[Operation] = field(default_factory=list)
    flow: list[Operation] = field(default_factory=list)
    words: list[tuple[str, int, int]] = field(default_factory=list)
    """(unit, first, count) that accepted flows have written."""

    def program(self, operations: list[Operation]) -> Program:
        slots = self.chip.slots
        return Program(self.chip, sorted(operations, key=lambda o: (o.cycle, slots[o.slot].index)), self.images)

    def latency(self, unit: Unit, mnemonic: str) -> int:
        return self.chip.timing[f"{unit.kind}.{BY_MNEMONIC[mnemonic].timing}"].latency

    def add(self, cycle, slot, mnemonic, sources=(), result=None, rep=1, every=1, **fields) -> Unit:
        self.flow.append(Operation(cycle, slot, mnemonic, tuple(sources), result, fields, rep, every))
        return self.chip.slots[slot].unit

    def free_stream(self, kind: str, direction: str, groups: int = 1) -> Stream:
        width = BYTES[kind]
        return Stream(direction, width * self.rng.randrange((self.chip.streams - groups * width) // width + 1), kind)

    def arrives(self, value: Value, unit: Unit) -> int:
        return value.cycle + abs(unit.position - value.position)

    def reaches(self, value: Value, unit: Unit) -> bool:
        return unit.position >= value.position if value.stream.direction == "e" else unit.position <= value.position

    def read(self, kind: str, unit: Unit, cycle: int, rep: int, every: int, groups: int = 1, low: bool = False) -> Value:
        """Read bursts that bring values to a unit at a cycle; of an index, only byte 0 is not zero."""
        rng = self.rng
        direction = rng.choice("ew")
        stream = self.free_stream(kind, direction, groups)
        memories = [u for u in self.chip.units.values() if u.kind in ("sram", "rram")]
        beside = [u for u in memories if (u.position <= unit.position) == (direction == "e") and u != unit]
        chosen = rng.sample(beside, BYTES[kind] * groups) if len(beside) >= BYTES[kind] * groups else []
        for byte, source in enumerate(chosen):
            addr, step = rng.randrange(8, FILLED - rep), rng.choice((1, 1, 1, 0, 2, -1))
            if low:
                addr, step = rng.randrange(4) + (4 if byte == 0 else 0), 0
            elif rng.random() < 0.3 and any(w[0] == source.name for w in self.words):
                _, addr, count = rng.choice([w for w in self.words if w[0] == source.name])
                step = 1 if count >= rep else 0
            at = cycle - self.latency(source, "read") - abs(source.position - unit.position)
            one = Stream(direction, stream.number + byte)
            self.add(at, f"{source.name}.rd", "read", (), one, rep, every, addr=addr, step=step)
        return Value(stream, unit.position, cycle, rep, every)

    def write(self, value: Value, groups: int = 1) -> None:
        """Write bursts of every byte of a value."""
        rng = self.rng
        reachable = [u for u in self.chip.slices("sram") if self.reaches(value, u) and u.position != value.position]
        width = BYTES[value.stream.type] * groups
        for byte, unit in enumerate(rng.sample(reachable, width) if len(reachable) >= width else []):
            addr, step = rng.randrange(8, self.chip.sram.words - 2 * value.rep), rng.choice((1, 1, 1, 2, 0))
            if rng.random() < 0.5:
                addr = rng.randrange(8, 40 - value.rep)
            fields = {"mask": rng.randrange(1, 16)} if rng.random() < 0.2 else {}
            one = Stream(value.stream.direction, value.stream.number + byte)
            at = self.arrives(value, unit)
            self.add(at, f"{unit.name}.wr", "write", (one,), None, value.rep, value.every, addr=addr, step=step, **fields)

    def compute(self, value: Value) -> Value:
        """One operation of the vector unit on a value that is there."""
        rng, vxm = self.rng, self.chip.units["vxm"]
        at, rep, every, fields = self.arrives(value, vxm), value.rep, value.every, {}
        if rng.random() < 0.25:
            mnemonic = rng.choice(RUNNING)
            fields["group"] = rng.choice([g for g in range(1, rep + 1) if rep % g == 0])
        else:
            mnemonic = rng.choice(ELEMENTWISE)
            if mnemonic in ("fmov", "imov"):
                fields["delay"] = rng.randrange(4)
        sources = [value.stream] + [value.stream] * (len(BY_MNEMONIC[mnemonic].sources) - 1)
        if len(sources) > 1 and rng.random() < 0.7:
            sources[rng.randrange(1, len(sources))] = Immediate(rng.choice((0, 1, 7, 0x3F800000, 0xC0490FDB, 0x7FC00000)))
        result = self.free_stream(rng.choice(("i8", "f16", "i32", "f32")), rng.choice("ew"))
        slot = f"vxm.{rng.randrange(self.chip.vxm.alus)}"
        self.add(at, slot, mnemonic, sources, result, rep, every, **fields)
        group = fields.get("group", 1)
        done = at + self.latency(vxm, mnemonic) + fields.get("delay", 0) + (group - 1) * every
        return Value(result, vxm.position, done, rep // group, every * group)

    def move_lanes(self, unit: Unit, cycle: int, rep: int, every: int) -> tuple[Value, int]:
        """One operation of a lane mover, with its operands; and the groups of its result."""
        rng, lanes = self.rng, self.chip.lanes
        mnemonic = rng.choice(self.chip.sxm.instructions)
        kind = {"transpose": "i8", "reduce": rng.choice(("i32", "f32"))}.get(mnemonic, rng.choice(("i8", "f16", "i32")))
        groups = 16 if mnemonic == "transpose" else 1
        sources = [self.read(kind, unit, cycle, rep, every, groups).stream]
        fields = {
            "shift": {"by": rng.randrange(-lanes, lanes)},
            "rotate": {"by": rng.randrange(-lanes, lanes), "lanes": rng.randrange(1, lanes + 1)},
            "select": {"split": rng.randrange(lanes + 1)},
            "broadcast": {"lane": rng.randrange(lanes)},
            "reduce": {"op": rng.randrange(3), "lanes": rng.randrange(1, lanes + 1)},
        }.get(mnemonic, {})
        if mnemonic == "permute":
            sources.append(self.read("i32", unit, cycle, rep, every).stream)
        if mnemonic == "select":
            sources.append(self.read(kind, unit, cycle, rep, every).stream)
        result = self.free_stream(kind, rng.choice("ew"), groups)
        self.add(cycle, f"{unit.name}.{rng.randrange(self.chip.sxm.slots)}", mnemonic, sources, result, rep, every, **fields)
        return Value(result, unit.position, cycle + self.latency(unit, mnemonic), rep, every), groups

    def multiply(self, unit: Unit, cycle: int) -> Value:
        """Weights loaded, swapped in and fed to, in one feed or two that add up."""
        rng, chip = self.rng, self.chip
        mode = rng.choice(chip.mxm.modes if chip.planes.index(unit) % 2 == 0 else ("i8",))
        number = ("i8", "f16", "i8f16").index(mode)
        width = 2 if mode == "f16" else 1
        streams = width * rng.choice((1, 2))
        count = rng.randrange(1, 5)
        transposed = int(chip.mxm.transposed_load and rng.random() < 0.3)
        loads, every = -(-count // (streams // width)), rng.choice((1, 2, chip.rram.busy_cycles if chip.rram else 1))
        weights = self.read("i8", unit, cycle, loads, every, groups=streams).stream
        fields = {"streams": streams, "count": count, "transposed": transposed, "mode": number}
        self.add(cycle, f"{unit.name}.ld", "load", (weights,), None, loads, every, **fields)
        swap = cycle + (loads - 1) * every + self.latency(unit, "load") + rng.randrange(3)
        self.add(swap, f"{unit.name}.sw", "swap", mode=number)
        at, rep = swap + self.latency(unit, "swap") + rng.randrange(3), rng.randrange(1, 5)
        depth = rng.randrange(1, (chip.depth(mode) if transposed else count) + 1)
        lane = rng.randrange(chip.lanes - depth + 1)
        kind, total = ("i8", "i32") if mode == "i8" else ("f16", "f32")
        entry, parts = rng.randrange(8), rng.choice((1, 2))
        for part in range(parts):
            source = self.read(kind, unit, at, rep, 1).stream
            result = self.free_stream(total, "e" if unit.side == "w" else "w") if part == parts - 1 else None
            fields = {"depth": depth, "lane": lane, "acc": entry, "fresh": int(part == 0), "mode": number}
            self.add(at, f"{unit.name}.fd", "feed", (source,), result, rep, 1, **fields)
            done, at = at, at + rep + rng.randrange(3)
        return Value(result, unit.position, done + self.latency(unit, "feed"), rep, 1)

    def look_up(self, unit: Unit, cycle: int, rep: int) -> Value:
        """A gather by an index that is 0 to 3."""
        every = self.chip.rram.busy_cycles if unit.kind == "rram" else 1
        index = self.read("i32", unit, cycle, rep, every, low=True).stream
        result = self.free_stream("i8", self.rng.choice("ew"))
        limit = 3 if self.rng.random() < 0.1 else self.rng.randrange(4, 12)
        self.add(cycle, f"{unit.name}.rd", "gather", (index,), result, rep, every, base=8, limit=limit)
        return Value(result, unit.position, cycle + self.latency(unit, "gather"), rep, every)

    def put_by_index(self, unit: Unit, cycle: int, rep: int) -> None:
        index = self.read("i32", unit, cycle, rep, 1, low=True).stream
        value = self.read("i8", unit, cycle, rep, 1).stream
        limit = 3 if self.rng.random() < 0.1 else 4
        self.add(cycle, f"{unit.name}.wr", "scatter", (index, value), None, rep, 1, base=10, limit=limit)

    def propose(self) -> None:
        """One flow at a random time; kept if the checker finds nothing."""
        rng, chip = self.rng, self.chip
        self.flow = []
        cycle, rep, every = rng.randrange(30, 110), rng.randrange(1, 9), rng.choice((1, 1, 1, 2, 3))
        kind, groups = rng.choice(("vxm", "vxm", "mxm", "mxm", "sxm", "gather", "scatter")), 1
        units = [u for u in chip.units.values() if u.kind == ("sram" if kind in ("gather", "scatter") else kind)]
        if kind == "gather":
            units += chip.slices("rram")
        unit = rng.choice(units)
        if kind == "vxm":
            value = self.read(rng.choice(("i8", "f16", "i32", "f32")), unit, cycle, rep, every)
        elif kind == "mxm":
            value = self.multiply(unit, cycle)
        elif kind == "sxm":
            value, groups = self.move_lanes(unit, cycle, rep, every)
        elif kind == "gather":
            value = self.look_up(unit, cycle, rng.randrange(1, 4))
        else:
            self.put_by_index(unit, cycle, rng.randrange(1, 4))
            value = None
        if value is not None and groups == 1:
            vxm = chip.units["vxm"]
            for _ in range(rng.randrange(1, 4) if kind == "vxm" else rng.randrange(2)):
                if self.reaches(value, vxm):
                    value = self.compute(value)
        if value is not None:
            self.write(value, groups)
        if min(o.cycle for o in self.flow) >= 0 and not check(self.program(self.kept + self.flow), 1):
            self.kept += self.flow
            self.words += [
                (o.slot.rpartition(".")[0], o.get("addr"), o.rep if o.get("step") == 1 else 1)
                for o in self.flow
                if o.mnemonic == "write"
            ]


def random_program(chip: Chip, seed: int, proposals: int = 30) -> Program:
    """A legal program; the same for the same chip and seed."""
    rng, data = random.Random(seed), np.random.default_rng(seed)
    images: list[Image] = []
    for unit in chip.units.values():
        if unit.kind in ("sram", "rram"):
            octets = data.integers(0, 256, (FILLED, chip.lanes), np.uint8)
            octets[:4, 0] = 0
            octets[4:8, 0] %= 4
            images.append(Image(unit.name, unit.name, 0, octets))
    builder = Builder(chip, rng, images)
    for _ in range(proposals):
        builder.propose()
    return builder.program(builder.kept)


def outcome(program: Program, machine: str) -> tuple[object, ...]:
    """("trap", cycle, operation, message), or ("done", counts, words of every slice, which of them have a value)."""
    memory = Memory(program.chip)
    memory.lay_images(program)
    for symbol in program.symbols:
        if symbol.role != "output":
            count = int(np.prod(symbol.shape))
            memory.put(symbol, (np.arange(count) % 4).reshape(symbol.shape).astype(NUMPY_TYPES[symbol.type]))
    try:
        if machine == "fast":
            counters = FastMachine(program, memory).run()
        else:
            reference = ReferenceMachine(program, memory)
            reference.run()
            counters = reference.counters
    except MachineTrap as trap:
        return ("trap", trap.cycle, trap.operation, trap.message)
    units = [u.name for u in program.chip.units.values() if u.kind in ("sram", "rram")]
    contents = {u: memory.unit_words(u)[memory.unit_written(u)].tobytes() for u in units}
    written = {u: memory.unit_written(u).tobytes() for u in units}
    return ("done", counters.facts(), contents, written)
