"""When an operation touches what: the one place where table and chip are turned into cycles.

The time rule: an operation dispatched at cycle c reads operands from its own position's stream registers at c + skew, and its
result stands in its own position's register at c + latency. A value written at (position x, cycle t) on an eastward stream is
at x + d at t + d, on a westward one at x - d. So every value keeps its *diagonal*: t - x eastward, t + x westward.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from isa.chip import Chip
from isa.program import Direction, Immediate, Operation
from isa.spec import BYTES


@dataclass(frozen=True, slots=True)
class Burst:
    """`count` touches of one byte stream at one position: at cycles cycle, cycle + every, …."""

    direction: Direction
    index: int
    position: int
    cycle: int
    count: int
    every: int

    @property
    def diagonal(self) -> int:
        """Diagonal of the first touch; the following ones are `every` apart."""
        return self.cycle - self.position if self.direction == "e" else self.cycle + self.position


@dataclass(frozen=True, slots=True)
class Access:
    """`count` touches of a memory slice at addresses address + i·step, at dispatch cycles cycle + i·every."""

    unit: str
    kind: str
    """'read' or 'write'; a gather or scatter has step 0 and `span` words from `address`, any of which may be touched."""
    cycle: int
    address: int
    step: int
    count: int
    every: int
    span: int = 1


def timing_key(op: Operation, chip: Chip) -> str:
    return f"{chip.slots[op.slot].unit.kind}.{op.row.timing}"


def latency(op: Operation, chip: Chip) -> int:
    """Cycles from dispatch to result; for a write, until a read dispatched then sees the word."""
    base = chip.timing[timing_key(op, chip)].latency
    return base + op.fields.get("delay", 0)


def skew(op: Operation, chip: Chip) -> int:
    return chip.timing[timing_key(op, chip)].skew


def end_cycle(op: Operation, chip: Chip) -> int:
    """First cycle at which nothing of the operation is under way."""
    return op.cycle + (op.rep - 1) * op.every + latency(op, chip)


def program_cycles(operations: Iterable[Operation], chip: Chip) -> int:
    """The latency of a program: what the compiler predicts and both machines must count."""
    return max((end_cycle(op, chip) for op in operations), default=0)


def stream_reads(op: Operation, chip: Chip) -> list[Burst]:
    """Every byte stream the operation reads, in operand order, bytes of a group from its lowest."""
    position = chip.slots[op.slot].unit.position
    first = op.cycle + skew(op, chip)
    bursts: list[Burst] = []
    for operand, source in zip(op.row.sources, op.sources, strict=True):
        if isinstance(source, Immediate):
            continue
        if op.mnemonic == "load":
            width = BYTES[weight_type(op)]
            streams = op.get("streams")
            rows = streams // width
            for s in range(streams):
                elements = min(op.rep, -(-(op.get("count") - s // width) // rows))
                if elements > 0:
                    bursts.append(Burst(source.direction, source.number + s, position, first, elements, op.every))
            continue
        span = operand.span if isinstance(operand.span, int) else 1
        for s in range(span * BYTES[source.type]):
            bursts.append(Burst(source.direction, source.number + s, position, first, op.rep, op.every))
    return bursts


def stream_writes(op: Operation, chip: Chip) -> list[Burst]:
    """Every byte stream the operation writes, bytes of a group from its lowest."""
    if op.result is None:
        return []
    position = chip.slots[op.slot].unit.position
    first = op.cycle + latency(op, chip)
    count, every = op.rep, op.every
    if "group" in op.fields:
        group = op.fields["group"]
        first += (group - 1) * every
        count, every = op.rep // group, op.every * group
    span = op.row.results[0].span
    streams = (span if isinstance(span, int) else 1) * BYTES[op.result.type]
    return [Burst(op.result.direction, op.result.number + s, position, first, count, every) for s in range(streams)]


def weight_type(op: Operation) -> str:
    """Element type of the weights of a load."""
    return "f16" if op.row.fields[0].choices[op.get("mode")] == "f16" else "i8"


def memory_access(op: Operation, chip: Chip) -> Access | None:
    """The memory words the operation touches, or None."""
    unit = chip.slots[op.slot].unit
    if unit.kind not in ("sram", "rram"):
        return None
    kind = "write" if op.mnemonic in ("write", "scatter") else "read"
    if op.mnemonic in ("gather", "scatter"):
        return Access(unit.name, kind, op.cycle, op.get("base"), 0, op.rep, op.every, op.get("limit"))
    return Access(unit.name, kind, op.cycle, op.get("addr"), op.get("step"), op.rep, op.every)
