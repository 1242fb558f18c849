"""Chains of VXM operations inside one trip, with every operand there in the cycle in which it is read.

A value passes the VXM once. Where two operands come from different times of one chain, the earlier one goes through a
move with delay. Parts of a chain that start apart, in memory or in another unit, shift against each other freely.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from compiler.scheduling.trip import Compute, Read, Trip
from isa.chip import Chip
from isa.program import Immediate
from isa.spec import BY_MNEMONIC, ElementType


@dataclass(slots=True)
class _Part:
    """Values whose times are fixed against each other."""

    values: dict[int, int] = field(default_factory=dict[int, int])
    """Trip value → cycle at which it stands in the VXM's registers."""


class Chain:
    """Builds the VXM stage of a trip. Values made by the MXM or the SXM are brought in by `anchor`."""

    def __init__(self, trip: Trip, chip: Chip, count: int) -> None:
        self.trip, self.chip, self.count = trip, chip, count
        self.parts: list[_Part] = []
        self.alu_latency = chip.timing["vxm.alu"].latency
        self.copies: dict[int, list[int]] = {}
        self.reads: dict[tuple[str, int, int, int], int] = {}

    def anchor(self, value: int) -> None:
        """Bring in a value that another unit makes (or memory gives)."""
        self.parts.append(_Part({value: 0}))

    def anchor_after(self, value: int, earlier: int, cycles: int) -> None:
        """Bring in a value that comes the same way so many cycles after another."""
        part = next(p for p in self.parts if earlier in p.values)
        part.values[value] = part.values[earlier] + cycles

    def read(self, buffer: str, kind: ElementType, tile: int, row: int, row_step: int) -> int:
        """Rows from memory. A slice has one read port, so rows are read once a trip and delayed for later uses."""
        key = (buffer, tile, row, row_step)
        if key not in self.reads:
            value = self.trip.value(kind, self.count)
            self.trip.nodes.append(Read(buffer, tile, row, row_step, self.count, value))
            self.anchor(value)
            self.reads[key] = value
        return self.reads[key]

    def operation(
        self, mnemonic: str, operands: list[int | Immediate], kind: ElementType, fields: dict[str, int] | None = None
    ) -> int:
        """Append a VXM operation; operands are chain values, memory values or immediates. Gives its value."""
        parts = [p for p in self.parts if any(o in p.values for o in operands if not isinstance(o, Immediate))]
        part = self._join(parts, operands)
        time = self._meeting_time(part, operands)
        ready = [o if isinstance(o, Immediate) or o not in part.values else self._at(part, o, time) for o in operands]
        return self._emit(part, mnemonic, tuple(ready), kind, fields or {}, time)

    def later(self, value: int, cycles: int) -> int:
        """A chain value so many cycles later: 0, or at least one move's latency."""
        part = next(p for p in self.parts if value in p.values)
        return self._at(part, value, part.values[value] + cycles)

    def _emit(
        self,
        part: _Part,
        mnemonic: str,
        operands: tuple[int | Immediate, ...],
        kind: ElementType,
        fields: dict[str, int],
        time: int,
    ) -> int:
        count = self.count // fields.get("group", 1)
        result = self.trip.value(kind, count, fields.get("group", 1) if count > 1 else 1)
        self.trip.nodes.append(Compute("vxm", mnemonic, operands, fields, self.count, 1, result))
        timing = self.chip.timing[f"vxm.{BY_MNEMONIC[mnemonic].timing}"]
        part.values[result] = time + timing.latency + fields.get("delay", 0)
        return result

    def _join(self, parts: list[_Part], operands: list[int | Immediate]) -> _Part:
        """One part that has all chain operands, shifted so that they meet as nearly as possible."""
        if not parts:
            self.parts.append(_Part())
            return self.parts[-1]
        first = parts[0]
        for other in parts[1:]:
            latest = max(t for o, t in first.values.items() if o in operands)
            theirs = max(t for o, t in other.values.items() if o in operands)
            first.values.update({o: t + latest - theirs for o, t in other.values.items()})
            self.parts.remove(other)
        return first

    def _meeting_time(self, part: _Part, operands: list[int | Immediate]) -> int:
        """The first cycle that every chain operand can reach: at once, or by at least one move."""
        times = [part.values[o] for o in operands if not isinstance(o, Immediate) and o in part.values]
        time = max(times, default=0)
        while any(0 < time - t < self.alu_latency for t in times):
            time += 1
        return time

    def _at(self, part: _Part, value: int, time: int) -> int:
        """The value, or a copy of it that stands there at `time`."""
        reach = self.alu_latency + self.chip.vxm.max_delay
        copies = self.copies.setdefault(value, [value])
        for copy in copies:
            if part.values[copy] == time:
                return copy
        nearest = max((c for c in copies if time - part.values[c] >= self.alu_latency), key=lambda c: part.values[c])
        kind = self.trip.values[value].type
        while part.values[nearest] != time:
            missing = time - part.values[nearest]
            # A way too long for one move leaves at least one whole move for its rest.
            hop = min(reach, missing - self.alu_latency) if missing > reach else missing
            move = "imov" if kind in ("i8", "i32") else "fmov"
            delay = hop - self.alu_latency
            nearest = self._emit(part, move, (nearest,), kind, {"delay": delay} if delay else {}, part.values[nearest])
            copies.append(nearest)
        return nearest
