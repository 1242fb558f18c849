"""A trip with its memory places known: operations at offsets, values on relative diagonals.

Offsets follow from the time rule alone: a value keeps its diagonal, so producer and consumers of a value agree on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import gcd

from compiler.scheduling.trip import Buffer, Compute, Feed, Gather, Load, Node, Read, ReadBlock, Scatter, Swap, Trip, Write
from isa.chip import Chip
from isa.program import Direction, Immediate
from isa.spec import BY_MNEMONIC, BYTES


@dataclass(frozen=True, slots=True)
class Place:
    """Where one (segment, stripe, tile, byte) of a buffer starts, and how far apart its words are."""

    unit: str
    base: int
    step: int = 1


Places = dict[str, dict[tuple[int, int, int, int], Place]]
"""Buffer name → (segment, stripe, tile, byte) → place."""


@dataclass(slots=True)
class Step:
    """One operation of a placed trip. `slots` are the slots it may stand in.

    `sources` are (value, first byte stream, type) or immediates; `result` is (value, first byte stream, type) or None.
    """

    mnemonic: str
    slots: tuple[str, ...]
    sources: tuple[tuple[int, int, str] | Immediate, ...]
    result: tuple[int, int, str] | None
    fields: Mapping[str, int]
    rep: int
    every: int
    latency: int
    position: int
    element: int = 0
    """Index of its first element in the value it reads or writes, in units of the value's `every`."""
    offset: int = 0
    skew: int = 0
    hold: tuple[str, ...] = ()
    """Further slots kept busy (the odd plane of a pair)."""


@dataclass(slots=True)
class Wire:
    """A value's way: direction, relative diagonal of its first vector, the positions it needs."""

    streams: int
    alignment: int
    count: int
    every: int
    direction: Direction | None = None
    diagonal: int = 0
    low: int = 1 << 30
    high: int = -1
    known: bool = False


@dataclass(slots=True)
class PlacedTrip:
    origin: str
    steps: list[Step] = field(default_factory=list[Step])
    wires: list[Wire] = field(default_factory=list[Wire])
    load_side: str = ""
    """Position name of the MXM side whose load streams are used, or empty."""

    @property
    def duration(self) -> int:
        return max(s.offset + (s.rep - 1) * s.every + s.latency for s in self.steps)


class RigidityError(Exception):
    """A trip whose meetings contradict each other: a bug of the lowering."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The elements first, first + period, … of a row walk: those in one slice for each byte."""

    segment: int
    stripe: int
    address: int
    step: int
    first: int
    period: int
    count: int


def row_parts(buffer: Buffer, row: int, row_step: int, count: int) -> list[_Part]:
    """A row walk cut at the borders of segments, and within them by stripes."""
    parts: list[_Part] = []
    done = 0
    while done < count:
        at = row + done * row_step
        segment = buffer.segment_of(at)
        begin = buffer.segments[segment]
        end = begin + buffer.segment_rows(segment)
        here = count - done
        if row_step:
            here = min(here, -(-(end - at) // row_step) if row_step > 0 else (at - begin) // -row_step + 1)
        period = buffer.stripes // gcd(buffer.stripes, row_step) if row_step else 1
        for j in range(min(period, here)):
            local = at - begin + j * row_step
            step = row_step * period // buffer.stripes
            number = -(-(here - j) // period)
            parts.append(_Part(segment, local % buffer.stripes, local // buffer.stripes, step, done + j, period, number))
        done += here
    return parts


class _Placer:
    def __init__(self, trip: Trip, buffers: Mapping[str, Buffer], places: Places, chip: Chip) -> None:
        self.trip, self.buffers, self.places, self.chip = trip, buffers, places, chip
        self.placed = PlacedTrip(trip.origin)
        self.placed.wires = [Wire(v.streams, v.alignment, v.count, v.every) for v in trip.values]

    def add(self, step: Step, unit_kind: str) -> None:
        timing = self.chip.timing[f"{unit_kind}.{BY_MNEMONIC[step.mnemonic].timing}"]
        step.latency = timing.latency + step.fields.get("delay", 0)
        step.skew = timing.skew
        self.placed.steps.append(step)

    def memory(self, name: str, tile: int, row: int, row_step: int, count: int, every: int,
               value: int, offset: int, byte: int, mnemonic: str, mask: int = 0, first: int = 0) -> None:  # fmt: skip
        """One operation for each slice that the row walk touches, all on byte stream `offset` of the value, from its
        element `first` on."""
        buffer = self.buffers[name]
        for part in row_parts(buffer, row, row_step, count):
            place = self.places[name][part.segment, part.stripe, tile, byte]
            unit = self.chip.units[place.unit]
            port = "rd" if mnemonic == "read" else "wr"
            fields = {"addr": place.base + part.address * place.step}
            if part.step and part.count > 1:
                fields["step"] = part.step * place.step
            if mask:
                fields["mask"] = mask
            end = (value, offset, "i8")
            sources, result = ((), end) if mnemonic == "read" else ((end,), None)
            self.add(
                Step(mnemonic, (f"{place.unit}.{port}",), sources, result, fields,
                     part.count, every * part.period if part.count > 1 else 1, 0, unit.position, first + part.first),
                unit.kind,
            )  # fmt: skip

    def byte_columns(self, node: Read | Write) -> list[tuple[int, int, int]]:
        """(byte stream within the value, byte column of the buffer, first row)."""
        if node.abreast > 1:
            return [(s, 0, node.row + s * node.apart) for s in range(node.abreast)]
        found = [(0, node.byte)] if node.byte >= 0 else [(b, b) for b in range(self.buffers[node.buffer].bytes)]
        return [(offset, byte, node.row) for offset, byte in found]

    def visit(self, node: Node) -> None:
        chip = self.chip
        if isinstance(node, Read):
            every = self.trip.values[node.result].every
            for offset, byte, row in self.byte_columns(node):
                for first, begin, rows in node.runs():
                    self.memory(node.buffer, node.tile, row + begin - node.row, node.row_step, rows, every,
                                node.result, offset, byte, "read", first=first)  # fmt: skip
        elif isinstance(node, Write):
            mask = superlane_mask(node.window, chip.superlane) if node.window else 0
            for offset, byte, row in self.byte_columns(node):
                self.memory(node.buffer, node.tile, row, node.row_step, node.count, node.every,
                            node.source, offset, byte, "write", mask)  # fmt: skip
        elif isinstance(node, ReadBlock):
            width, every = self.buffers[node.buffer].bytes, self.trip.values[node.result].every
            beside = node.rows_beside(self.buffers)
            own = node.rows_per_cycle - beside
            for lane in range(min(node.rows_per_cycle, node.count)):
                rep = -(-(node.count - lane) // node.rows_per_cycle)
                name, tile, row, step = node.buffer, node.tile, node.row + lane, own
                if lane >= own:
                    name, tile, row, step = node.beside, 0, node.beside_row + lane - own, beside
                for byte in range(width):
                    self.memory(name, tile, row, step, rep, every, node.result, lane * width + byte, byte, "read")
        elif isinstance(node, Gather):
            place = self.places[node.buffer][0, 0, node.tile, node.byte]
            unit = chip.units[place.unit]
            every = node.every if node.count > 1 else 1
            self.add(
                Step("gather", (f"{place.unit}.rd",), ((node.index, 0, "i32"),), (node.result, 0, "i8"),
                     {"base": place.base, "limit": node.limit}, node.count, every, 0, unit.position),
                unit.kind,
            )  # fmt: skip
        elif isinstance(node, Scatter):
            for byte in range(self.buffers[node.buffer].bytes):
                place = self.places[node.buffer][node.segment, node.stripe, node.tile, byte]
                unit = chip.units[place.unit]
                every = self.trip.values[node.source].every if node.count > 1 else 1
                self.add(
                    Step("scatter", (f"{place.unit}.wr",), ((node.index, 0, "i32"), (node.source, byte, "i8")), None,
                         {"base": place.base, "limit": node.limit}, node.count, every, 0, unit.position),
                    unit.kind,
                )  # fmt: skip
        elif isinstance(node, Compute):
            self.compute(node)
        else:
            self.matrix(node)

    def compute(self, node: Compute) -> None:
        """A VXM or SXM operation, in any of its unit's slots."""
        values, unit = self.trip.values, self.chip.units[node.unit]
        slots = tuple(s.name for s in self.chip.slot_list if s.unit.name == node.unit)
        every = node.every if node.count > 1 else 1
        span = BY_MNEMONIC[node.mnemonic].results[0].span
        assert isinstance(span, int)
        width = BYTES[values[node.result].type] * span
        for at in range(0, values[node.result].streams, width):
            # A map has one group of streams for all groups of what it moves.
            sources = tuple(
                o if isinstance(o, Immediate) else (o, at if values[o].streams > at else 0, values[o].type)
                for o in node.operands
            )
            result = (node.result, at, values[node.result].type)
            self.add(Step(node.mnemonic, slots, sources, result, node.fields, node.count, every, 0, unit.position), unit.kind)

    def matrix(self, node: Load | Swap | Feed) -> None:
        """MXM operations, one for each plane; the f16 modes hold the port of the odd plane of the pair too."""
        chip, values = self.chip, self.trip.values
        mode = chip_modes().index(node.mode)
        for plane in node.planes if isinstance(node, Load) else (node.plane,):
            unit = chip.planes[plane]
            pair = () if node.mode == "i8" else (plane + 1,)
            fields: dict[str, int] = {"mode": mode} if mode else {}
            port = "sw"
            sources: tuple[tuple[int, int, str] | Immediate, ...] = ()
            result, rep, every = None, 1, 1
            if isinstance(node, Load):
                port, value = "ld", values[node.source]
                width = BYTES["f16"] if node.mode == "f16" else 1
                fields |= {"streams": value.streams, "count": node.count}
                fields |= {"row": node.row} if node.row else {}
                fields |= {"transposed": 1} if node.transposed else {}
                sources, rep = ((node.source, 0, "i8"),), -(-node.count // (value.streams // width))
                every = value.every if rep > 1 else 1
                self.placed.load_side = unit.side or ""
            elif isinstance(node, Feed):
                port = "fd"
                fields |= {"depth": node.depth}
                fields |= {"lane": node.lane} if node.lane else {}
                fields |= {"acc": node.accumulator} if node.accumulator else {}
                fields |= {} if node.fresh else {"fresh": 0}
                sources, rep = ((node.source, 0, values[node.source].type),), node.count
                result = None if node.result < 0 else (node.result, 0, values[node.result].type)
            hold = tuple(f"mxm{p}.{port}" for p in pair)
            mnemonic = {"ld": "load", "sw": "swap", "fd": "feed"}[port]
            slots = (f"mxm{plane}.{port}",)
            self.add(Step(mnemonic, slots, sources, result, fields, rep, every, 0, unit.position, hold=hold), "mxm")


def superlane_mask(window: tuple[int, ...], superlane: int) -> int:
    """The mask of a write of (first lane, lanes, first lane, lanes, …)."""
    assert all(lanes % superlane == 0 for lanes in window), "windows are whole superlanes"
    ranges = zip(window[::2], window[1::2], strict=True)
    return sum(((1 << count // superlane) - 1) << first // superlane for first, count in ranges)


def chip_modes() -> tuple[str, ...]:
    """Names of the MXM modes in field order."""
    return BY_MNEMONIC["swap"].fields[0].choices


def place_trip(trip: Trip, buffers: Mapping[str, Buffer], places: Places, chip: Chip) -> PlacedTrip:
    """Operations of a trip with offsets and diagonals; the earliest dispatch is at offset 0. Raises RigidityError."""
    placer = _Placer(trip, buffers, places, chip)
    for node in trip.nodes:
        placer.visit(node)
    placed = placer.placed
    _choose_directions(placed)
    _solve(placed, chip)
    return placed


def _choose_directions(placed: PlacedTrip) -> None:
    """Direction of every wire whose ends are at different positions; the others may run either way."""
    sources: list[list[int]] = [[] for _ in placed.wires]
    targets: list[list[int]] = [[] for _ in placed.wires]
    for step in placed.steps:
        if step.result:
            sources[step.result[0]].append(step.position)
        for source in step.sources:
            if not isinstance(source, Immediate):
                targets[source[0]].append(step.position)
    for wire, begins, ends in zip(placed.wires, sources, targets, strict=True):
        wire.low, wire.high = min(begins + ends), max(begins + ends)
        if max(begins) <= min(ends) and wire.high > wire.low:
            wire.direction = "e"
        elif min(begins) >= max(ends) and wire.high > wire.low:
            wire.direction = "w"
        elif wire.high > wire.low:
            raise RigidityError(f"{placed.origin}: a value would have to run both ways ({begins} to {ends})")


def _solve(placed: PlacedTrip, chip: Chip) -> None:
    """Offsets and diagonals by propagation from the first step over shared wires."""
    touching: list[list[int]] = [[] for _ in placed.wires]
    for i, step in enumerate(placed.steps):
        for w in _wires_of(step):
            touching[w].append(i)
    done: set[int] = set()
    for root in range(len(placed.steps)):
        if root in done:
            continue
        if root:
            raise RigidityError(f"{placed.origin}: the trip falls apart")
        done.add(root)
        pending = [root]
        while pending:
            i = pending.pop()
            step = placed.steps[i]
            for w in _wires_of(step):
                wire = placed.wires[w]
                diagonal = _diagonal_of(step, w, wire)
                if wire.known and wire.diagonal != diagonal:
                    raise RigidityError(
                        f"{placed.origin}: {step.mnemonic} misses a meeting by {diagonal - wire.diagonal} cycles"
                    )
                wire.diagonal, wire.known = diagonal, True
                for j in touching[w]:
                    if j not in done:
                        done.add(j)
                        other = placed.steps[j]
                        other.offset += diagonal - _diagonal_of(other, w, wire)
                        pending.append(j)
    first = min(s.offset for s in placed.steps)
    for step in placed.steps:
        step.offset -= first
    for wire in placed.wires:
        wire.diagonal -= first


def _wires_of(step: Step) -> list[int]:
    found = [s[0] for s in step.sources if not isinstance(s, Immediate)]
    return [*found, step.result[0]] if step.result else found


def _diagonal_of(step: Step, w: int, wire: Wire) -> int:
    """Diagonal of the wire's element 0, if the step keeps its offset."""
    time = step.offset
    if step.result and step.result[0] == w:
        group = step.fields.get("group", 1)
        time += step.latency + (group - 1) * step.every
    else:
        time += step.skew
    time -= step.element * wire.every
    return time + step.position if wire.direction == "w" else time - step.position
