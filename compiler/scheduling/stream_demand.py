"""How many byte streams a trip needs at the VXM in each direction, as far as the sides of its buffers are known.

A trip whose operands and result all run eastward over the VXM may need more byte streams there than there are, at whatever
cycle it starts. Placement asks here before it chooses a side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from compiler.scheduling.trip import (
    Compute,
    Feed,
    Flow,
    Gather,
    Group,
    Load,
    Node,
    Read,
    ReadBlock,
    Scatter,
    Trip,
    Write,
    touched,
)
from isa.chip import Chip, Side
from isa.program import Immediate

End = Group | int
"""Where a value starts or ends: a column group, or the position of a unit."""


class StreamDemand:
    """The values of every trip with their ends."""

    def __init__(self, flow: Flow, chip: Chip) -> None:
        self.chip = chip
        self.vxm = chip.units["vxm"].position
        self.trips = [_values(trip, flow, chip) for trip in flow.trips]
        self.tight = [sum(streams for _, _, streams in values) > chip.streams for values in self.trips]
        """Whether the values of a trip together need more byte streams than one direction has."""
        self.slices: dict[Side, int] = {side: len(chip.slices("sram", side)) for side in ("w", "e")}
        self.widths: list[dict[Group, int]] = []
        """Slices of SRAM that each tight trip touches with each of its column groups."""
        self.trips_of: defaultdict[Group, list[int]] = defaultdict(list)
        for index, trip in enumerate(flow.trips):
            groups = dict.fromkeys(g for node in trip.nodes for g in touched(node, flow.buffers))
            for group in groups:
                self.trips_of[group].append(index)
            buffers = {group: flow.buffers[group[0]] for group in groups if self.tight[index]}
            self.widths.append({g: b.stripes * b.bytes * (b.memory == "sram") for g, b in buffers.items()})

    def strain(self, group: Group, side: Side, sides: Mapping[Group, Side]) -> tuple[int, int]:
        """How hard the group's trips become if it lies on this side: byte streams beyond those of the chip, and byte streams of
        the busier direction, both summed over the trips that do not fit however their buffers lie."""
        strains = [self._strain_of(trip, (group, side), sides) for trip in self.trips_of[group] if self.tight[trip]]
        return sum(excess for excess, _ in strains), sum(busier for _, busier in strains)

    def excess(self, sides: Mapping[Group, Side]) -> int:
        """Byte streams beyond those of the chip, summed over all trips, with the buffers on these sides."""
        return sum(self._strain_of(trip, None, sides)[0] for trip, tight in enumerate(self.tight) if tight)

    def fits(self, trip: int, sides: Mapping[Group, Side]) -> bool:
        """Whether a tight trip can have byte streams enough with these of its buffers on these sides. One that is not among
        them counts where the trip leaves it as many slices as it wants, if that is on one side only."""
        known: dict[Group, Side] = dict(sides)
        room = dict(self.slices)
        for group, side in sides.items():
            room[side] -= self.widths[trip][group]
        for group, width in self.widths[trip].items():
            if group not in known and (width > room["w"]) != (width > room["e"]):
                known[group] = "w" if width > room["e"] else "e"
        return not self._strain_of(trip, None, known)[0]

    def _strain_of(self, trip: int, choice: tuple[Group, Side] | None, sides: Mapping[Group, Side]) -> tuple[int, int]:
        eastward = westward = 0
        for source, targets, streams in self.trips[trip]:
            start = self._position(source, choice, sides)
            ends = [end for end in (self._position(t, choice, sides) for t in targets) if end is not None]
            if start is None or not ends:
                continue
            if start <= self.vxm <= max(ends) and start < max(ends):
                eastward += streams
            elif min(ends) <= self.vxm <= start and min(ends) < start:
                westward += streams
        excess = max(0, eastward - self.chip.streams) + max(0, westward - self.chip.streams)
        return excess, max(eastward, westward)

    def _position(self, end: End, choice: tuple[Group, Side] | None, sides: Mapping[Group, Side]) -> int | None:
        """A unit's position; for a column group a place on its side; None while the side is open."""
        if isinstance(end, int):
            return end
        side = choice[1] if choice and end == choice[0] else sides.get(end)
        return None if side is None else self.vxm + (1 if side == "e" else -1)


def _values(trip: Trip, flow: Flow, chip: Chip) -> list[tuple[End, list[End], int]]:
    """(source, targets, byte streams) of every value of a trip that leaves its unit."""
    sources: dict[int, End] = {}
    targets: defaultdict[int, list[End]] = defaultdict(list)
    for node in trip.nodes:
        end = _end(node, flow, chip)
        if isinstance(node, (Read, ReadBlock, Gather, Feed, Compute)) and node.result >= 0:
            sources[node.result] = end
        for value in _operands(node):
            targets[value].append(end)
    moving = {value: source for value, source in sources.items() if any(t != source for t in targets[value])}
    return [(source, targets[value], trip.values[value].streams) for value, source in moving.items()]


def _end(node: Node, flow: Flow, chip: Chip) -> End:
    if isinstance(node, Compute):
        return chip.units[node.unit].position
    if isinstance(node, (Read, ReadBlock, Gather, Scatter, Write)):
        return touched(node, flow.buffers)[0]
    return chip.planes[node.planes[0] if isinstance(node, Load) else node.plane].position


def _operands(node: Node) -> list[int]:
    if isinstance(node, Compute):
        return [o for o in node.operands if not isinstance(o, Immediate)]
    if isinstance(node, (Load, Feed, Write)):
        return [node.source]
    if isinstance(node, Scatter):
        return [node.index, node.source]
    return [node.index] if isinstance(node, Gather) else []
