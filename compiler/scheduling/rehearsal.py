"""What a finished schedule says about places: when each column group wants the ports of its slices.

Before a schedule is there, placement guesses from the order of trips which columns are wanted at once (`traffic.py`). A
schedule knows: a trip takes its ports at its start, and would have taken them from the cycle on at which what it depends on was
done. Groups whose accesses fall together lie in different slices the next time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from compiler.scheduling.list_scheduler import Scheduled, waiters
from compiler.scheduling.placed import PlacedTrip, Places
from compiler.scheduling.trip import Flow, Group, touched
from isa.chip import Chip

BIN_CYCLES = 16
"""Cycles that are taken together (our choice)."""

NEAR_CYCLES = 16
"""So much earlier or later may a trip start when places change (our choice, as are the next two)."""

FULL = 64
"""A port that is taken all the time."""

ACROSS = 3, 10
"""What a read and a write at once cost, of what two reads do: in other halves they pass each other."""

_Port = Literal["rd", "wr"]
_PORTS: tuple[_Port, _Port] = ("rd", "wr")
_Use = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Bins, and in each of them how much of a port is taken."""


class Rehearsal:
    """The use of SRAM ports over time in a finished schedule, and by what has been placed again.

    `places` are those it was made for; weights in RRAM keep theirs.
    """

    def __init__(
        self,
        flow: Flow,
        places: Places,
        trips: Sequence[PlacedTrip],
        graph: nx.DiGraph[int],
        starts: Sequence[Scheduled],
        chip: Chip,
    ) -> None:
        self.places = places
        self.numbers = {unit.name: i for i, unit in enumerate(chip.slices("sram"))}
        self.uses = _uses(flow, places, trips, graph, starts)
        last = max((int(bins[-1]) for uses in self.uses.values() for bins, _ in uses.values()), default=0)
        self.busy = {port: np.zeros((len(self.numbers), last + 1), np.int64) for port in _PORTS}

    def again(self) -> Rehearsal:
        """The same before anything has been placed again."""
        for table in self.busy.values():
            table[:] = 0
        return self

    def overlaps(self, group: Group) -> NDArray[np.int64]:
        """For each SRAM slice what the group would meet there, in tenths of a bin of a whole port."""
        cost: NDArray[np.int64] = np.zeros(len(self.numbers), np.int64)
        share, whole = ACROSS
        for port, (bins, amounts) in self.uses.get(group, {}).items():
            other: _Port = "wr" if port == "rd" else "rd"
            cost += whole * (self.busy[port][:, bins] @ amounts) + share * (self.busy[other][:, bins] @ amounts)
        return cost // (FULL * FULL)

    def add(self, group: Group, units: Iterable[str], sign: int = 1) -> None:
        """The group lies in these slices now; with the sign -1 no longer."""
        for port, (bins, amounts) in self.uses.get(group, {}).items():
            for unit in units:
                self.busy[port][self.numbers[unit], bins] += sign * amounts


def _uses(
    flow: Flow, places: Places, trips: Sequence[PlacedTrip], graph: nx.DiGraph[int], starts: Sequence[Scheduled]
) -> dict[Group, dict[_Port, _Use]]:
    """The use of ports by each column group. A trip that waited may run anywhere between the cycle at which it could have
    started and the one at which it did, so its accesses count there in part."""
    found: defaultdict[Group, dict[_Port, defaultdict[int, int]]] = defaultdict(
        lambda: {port: defaultdict(int) for port in _PORTS}
    )
    units: defaultdict[Group, list[str]] = defaultdict(list)
    for name, placed in places.items():
        for (segment, _, tile, _), place in placed.items():
            units[name, segment, tile].append(place.unit)
    earliest = _earliest(graph, starts)
    for trip, placed, start, first in zip(flow.trips, trips, starts, earliest, strict=True):
        group_of = {unit: g for node in trip.nodes for g in touched(node, flow.buffers) for unit in units[g]}
        for (group, port), (low, high) in _windows(placed, group_of).items():
            begin, end = first + low - NEAR_CYCLES, start.start + high + NEAR_CYCLES
            amount = FULL * (high - low) // (end - begin)
            for number in range(max(begin, 0) // BIN_CYCLES, end // BIN_CYCLES + 1):
                found[group][port][number] += amount
    return {group: {port: _arrays(use) for port, use in uses.items() if use} for group, uses in found.items()}


def _arrays(use: dict[int, int]) -> _Use:
    bins = sorted(use)
    return np.array(bins, np.int64), np.array([use[number] for number in bins], np.int64)


def _earliest(graph: nx.DiGraph[int], starts: Sequence[Scheduled]) -> list[int]:
    """The cycle at which each trip could have started, for all that it depends on."""
    earliest = [0] * len(starts)
    for trip, found in enumerate(starts):
        for after, distance in waiters(graph, trip):
            earliest[after] = max(earliest[after], found.start + distance)
    return earliest


def _windows(placed: PlacedTrip, group_of: dict[str, Group]) -> dict[tuple[Group, _Port], tuple[int, int]]:
    """Cycles of a trip, from its start, in which it takes a port of each group in SRAM: the first, and that after the last."""
    windows: dict[tuple[Group, _Port], tuple[int, int]] = {}
    for step in placed.steps:
        unit, _, name = step.slots[0].rpartition(".")
        if not unit.startswith("sram") or unit not in group_of:
            continue
        key: tuple[Group, _Port] = (group_of[unit], "rd" if name == "rd" else "wr")
        low, high = windows.get(key, (step.offset, 0))
        windows[key] = min(low, step.offset), max(high, step.offset + (step.rep - 1) * step.every + 1)
    return windows
