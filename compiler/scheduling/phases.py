"""Low bits of addresses, so that reads and writes of a slice pass each other.

A slice reads and writes in the same cycle where the two are in different halves (half = low bit of the address). A burst
over consecutive words is in one half every other cycle: it has a *phase*, address minus cycle, modulo 2. Two bursts of one
slice that differ in phase never meet; two of the same phase keep each other waiting.

Reads of a trip should have one phase and its writes the other, in every slice: then any two trips pass each other at every
second start. How far a slice is from the vector unit shifts the phase of what it reads and of what it writes alike, so the
bit of a base is the position's plus one that the column group has for itself. These bits and the phases of all values tie
each other (every trip is rigid): a system of equations modulo 2, satisfied in the order of the cycles that depend on them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from compiler.scheduling.placed import row_parts
from compiler.scheduling.trip import (
    Buffer,
    Compute,
    Feed,
    Flow,
    Gather,
    Group,
    Read,
    ReadBlock,
    Scatter,
    Trip,
    Write,
)
from isa.chip import Chip
from isa.program import Immediate
from isa.spec import BY_MNEMONIC

_Access = tuple[Group, int, int, int]
"""(column group, value, phase of the burst if the group's bit and the value's are 0, cycles)"""


def phases(flow: Flow, chip: Chip) -> dict[Group, int]:
    """For every column group the low bit that bases should have in slices at even positions (at odd ones the other).

    Groups that no burst walks are left out; so is everything where a chip's slices have not two halves.
    """
    if chip.sram.halves != 2:
        return {}
    bits = _Bits()
    found: dict[tuple[int, Group, int], list[int]] = defaultdict(lambda: [0, 0])
    for number, trip in enumerate(flow.trips):
        for a, b, bit in _ties(trip, chip):
            bits.tie((number, a), (number, b), bit)
        for group, value, bit, cycles in _accesses(trip, flow.buffers, chip):
            found[number, group, value][bit] += cycles
    wishes = sorted(found.items(), key=lambda item: -abs(item[1][0] - item[1][1]))
    for (number, group, value), cycles in wishes:
        if cycles[0] != cycles[1]:
            bits.tie(group, (number, value), int(cycles[1] > cycles[0]))
    return {group: bits.find(group)[1] for group in dict.fromkeys(group for _, group, _ in found)}


class _Bits:
    """Unknown bits, of which some are known to be equal or to differ: disjoint sets with parities."""

    def __init__(self) -> None:
        self.parent: dict[object, tuple[object, int]] = {}

    def find(self, node: object) -> tuple[object, int]:
        """The set's root, and the difference from it."""
        path: list[object] = []
        while (up := self.parent.setdefault(node, (node, 0)))[0] != node:
            path.append(node)
            node = up[0]
        bit = 0
        for step in reversed(path):
            bit ^= self.parent[step][1]
            self.parent[step] = (node, bit)
        return node, bit

    def tie(self, a: object, b: object, bit: int) -> bool:
        """Make a and b differ by `bit`; False where they differ otherwise already."""
        (a_root, a_bit), (b_root, b_bit) = self.find(a), self.find(b)
        if a_root == b_root:
            return a_bit ^ b_bit == bit
        self.parent[b_root] = (a_root, a_bit ^ b_bit ^ bit)
        return True


def _ties(trip: Trip, chip: Chip) -> Iterator[tuple[int, int, int]]:
    """(value, value, parity of the cycles between them where both pass one position)."""
    for node in trip.nodes:
        if isinstance(node, Compute):
            timing = chip.timing[f"{chip.units[node.unit].kind}.{BY_MNEMONIC[node.mnemonic].timing}"]
            group, every = node.fields.get("group", 1), node.every if node.count > 1 else 1
            cycles = timing.latency - timing.skew + node.fields.get("delay", 0) + (group - 1) * every
            for operand in node.operands:
                if not isinstance(operand, Immediate):
                    yield operand, node.result, cycles % 2
        elif isinstance(node, Feed) and node.result >= 0:
            timing = chip.timing["mxm.feed"]
            yield node.source, node.result, (timing.latency - timing.skew) % 2
        elif isinstance(node, Gather):
            timing = chip.timing["sram.gather"]
            yield node.index, node.result, (timing.latency - timing.skew) % 2
        elif isinstance(node, Scatter):
            yield node.index, node.source, 0


def _accesses(trip: Trip, buffers: dict[str, Buffer], chip: Chip) -> Iterator[_Access]:
    """Bursts of a trip that are in each half every other cycle; a write as if it were a read a cycle later."""
    for node in trip.nodes:
        if not isinstance(node, (Read, ReadBlock, Write)) or buffers[node.buffer].memory != "sram":
            continue
        value = node.source if isinstance(node, Write) else node.result
        timing = chip.timing["sram.write" if isinstance(node, Write) else "sram.read"]
        shift = timing.skew + 1 if isinstance(node, Write) else timing.latency
        every = node.every if isinstance(node, Write) else trip.values[node.result].every
        for name, row, step, count, first in _walks(node, buffers):
            for part in row_parts(buffers[name], row, step, count):
                if part.count > 1 and part.step % 2 and every * part.period % 2:
                    bit = (part.address + (first + part.first) * every + shift) % 2
                    yield (name, part.segment, node.tile if name == node.buffer else 0), value, bit, part.count


def _walks(node: Read | ReadBlock | Write, buffers: dict[str, Buffer]) -> Iterator[tuple[str, int, int, int, int]]:
    """(buffer, row, row step, count, element of the value at which it begins) of the walks that a node makes."""
    if not isinstance(node, ReadBlock):
        runs = node.runs() if isinstance(node, Read) else [(0, node.row, node.count)]
        for s in range(node.abreast):
            yield from ((node.buffer, row + s * node.apart, node.row_step, count, first) for first, row, count in runs)
        return
    own = node.rows_per_cycle - node.rows_beside(buffers)
    for lane in range(min(node.rows_per_cycle, node.count)):
        rep = -(-(node.count - lane) // node.rows_per_cycle)
        if lane < own:
            yield node.buffer, node.row + lane, own, rep, 0
        else:
            yield node.beside, node.beside_row + lane - own, node.rows_per_cycle - own, rep, 0
