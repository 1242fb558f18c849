"""The list scheduler: placed trips into a reservation table, no-wait, longest path first.

A trip is taken when all the trips it depends on have their start; among those ready, the one with the longest path to the end
of the program goes first, at the earliest cycle where everything it needs is free. Trips placed later may fill earlier holes.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from compiler.progress import stage
from compiler.scheduling.placed import PlacedTrip, Step, Wire
from compiler.scheduling.reservation import ANY_HALF, Reservations
from isa.chip import Chip
from isa.program import Direction


@dataclass(slots=True)
class Scheduled:
    """Start cycle of a trip, slot of each step, (direction, first stream) of each wire."""

    start: int
    slots: list[str] = field(default_factory=list[str])
    streams: list[tuple[Direction, int]] = field(default_factory=list[tuple[Direction, int]])


class NoPlaceError(Exception):
    """A trip that fits nowhere, however late: it meets itself."""


def waiters(graph: nx.DiGraph[int], trip: int) -> list[tuple[int, int]]:
    """(trip, distance) of every trip that starts at least `distance` cycles after this one."""
    return [(after, cast(int, data["distance"])) for after, data in graph.adj[trip].items()]


def longest_paths(graph: nx.DiGraph[int], trips: list[PlacedTrip]) -> list[int]:
    """Cycles from a trip's start to the end of the program along its longest chain of dependences."""
    length = [trip.duration for trip in trips]
    for node in reversed(list(nx.topological_sort(graph))):
        for after, distance in waiters(graph, node):
            length[node] = max(length[node], distance + length[after])
    return length


def schedule(
    trips: list[PlacedTrip], graph: nx.DiGraph[int], chip: Chip, priority: Sequence[int] | None = None
) -> list[Scheduled]:
    """A start for every trip. `graph` has an edge (a, b, distance) where b starts at least `distance` cycles after a.

    Among those ready, that of the highest `priority` goes first, by default that with the longest path to the end. Raises
    NoPlaceError.
    """
    tables = Reservations(chip)
    priority = longest_paths(graph, trips) if priority is None else priority
    waiting = [graph.in_degree(i) for i in range(len(trips))]
    earliest = [0] * len(trips)
    ready = [(-priority[i], i) for i in range(len(trips)) if not waiting[i]]
    heapq.heapify(ready)
    result: list[Scheduled | None] = [None] * len(trips)
    advance = stage("schedule", len(trips))
    while ready:
        advance(1)
        _, i = heapq.heappop(ready)
        placed = _place(trips[i], earliest[i], tables)
        result[i] = placed
        for after, distance in waiters(graph, i):
            earliest[after] = max(earliest[after], placed.start + distance)
            waiting[after] -= 1
            if not waiting[after]:
                heapq.heappush(ready, (-priority[after], after))
    return [r for r in result if r is not None]


def _place(trip: PlacedTrip, earliest: int, tables: Reservations) -> Scheduled:
    start = earliest
    steps = list(trip.steps)
    while True:
        tables.reserve_horizon(start + trip.duration + 2 * tables.chip.width)
        later = _fixed_conflict(steps, trip.load_side, start, tables)
        if not later:
            slots = _choose_slots(trip, start, tables)
            streams = None if slots is None else _choose_streams(trip, start, tables)
            if slots is not None and streams is not None:
                found = Scheduled(start, slots, streams)
                _take(trip, found, tables)
                return found
            if start > tables.end:
                raise NoPlaceError(trip.origin)
        start += max(later, 1)


def _span(step: Step, start: int) -> tuple[int, int]:
    first = start + step.offset
    return first, first + (step.rep - 1) * step.every


def _fixed_conflict(steps: list[Step], load_side: str, start: int, tables: Reservations) -> int:
    """Cycles to move by because of a resource without alternatives; 0 if there is none.

    The step that meets a conflict comes first the next time: it is the likeliest to meet another.
    """
    for i, step in enumerate(steps):
        later = _conflict_of(step, load_side, start, tables)
        if later:
            steps.insert(0, steps.pop(i))
            return later
    return 0


def _conflict_of(step: Step, load_side: str, start: int, tables: Reservations) -> int:
    first, last = _span(step, start)
    if len(step.slots) == 1:
        for name in (step.slots[0], *step.hold):
            later = tables.conflict_slot(name, first, last)
            if later:
                return later
    if step.mnemonic == "load":
        return tables.conflict_load(load_side, first, step.rep, step.every, step.fields["streams"])
    return _memory_conflict(step, first, tables) if step.mnemonic in _MEMORY else 0


_MEMORY = ("read", "write", "gather", "scatter")


def _memory_conflict(step: Step, first: int, tables: Reservations) -> int:
    unit, port = step.slots[0].rsplit(".", 1)
    if unit.startswith("rram"):
        return tables.conflict_bank(unit, _bank_windows(step, tables), first)
    return 1 if tables.conflict_half(unit, port, _halves(step, first, tables)) else 0


def _bank_windows(step: Step, tables: Reservations) -> list[tuple[int, int, int]]:
    """(bank, first cycle, end) in which a step keeps banks busy, from its first dispatch. Raises NoPlaceError."""
    if step.mnemonic == "gather":
        return gather_windows(step, 0, tables.chip)
    windows = tables.bank_windows(step.fields["addr"], step.fields.get("step", 0), step.rep, step.every)
    if windows is None:
        raise NoPlaceError(f"{step.slots[0]}: a burst returns to a bank before it is free")
    return windows


def _halves(step: Step, first: int, tables: Reservations) -> list[tuple[int, slice]]:
    if step.mnemonic in ("gather", "scatter"):
        return [(ANY_HALF, slice(first, first + step.rep * step.every, step.every))]
    return tables.half_windows(step.fields["addr"], step.fields.get("step", 0), first, step.rep, step.every)


def gather_windows(step: Step, first: int, chip: Chip) -> list[tuple[int, int, int]]:
    """A gather may read any bank, so each of its elements keeps all of them busy."""
    assert chip.rram is not None
    busy = chip.rram.busy_cycles
    return [
        (bank, first + i * step.every, first + i * step.every + busy)
        for bank in range(chip.rram.banks)
        for i in range(step.rep)
    ]


def _choose_slots(trip: PlacedTrip, start: int, tables: Reservations) -> list[str] | None:
    """The first free slot of every step; None if one has none."""
    chosen: list[str] = []
    mine: dict[str, list[tuple[int, int]]] = {}
    for step in trip.steps:
        first, last = _span(step, start)
        for name in step.slots:
            if len(step.slots) > 1 and tables.conflict_slot(name, first, last):
                continue
            if any(a <= last and first <= b for a, b in mine.get(name, ())):
                continue
            chosen.append(name)
            mine.setdefault(name, []).append((first, last))
            break
        else:
            return None
    return chosen


def _choose_streams(trip: PlacedTrip, start: int, tables: Reservations) -> list[tuple[Direction, int]] | None:
    """The lowest free streams for every wire, wires of the trip kept apart; None if one has none."""
    chosen: dict[int, tuple[Direction, int]] = {}
    taken: list[tuple[Direction, int, Wire, int]] = []
    for w in sorted(range(len(trip.wires)), key=lambda w: trip.wires[w].direction is None):
        wire = trip.wires[w]
        directions: tuple[Direction, ...] = _EITHER if wire.direction is None else (wire.direction,)
        options: list[tuple[NDArray[np.bool_], Direction]] = []
        for direction in directions:
            options.append((_free(wire, direction, start, tables, taken), direction))
        # A value that may run either way takes the emptier direction, to leave the other to those that may not.
        for free, direction in sorted(options, key=lambda option: -int(option[0].sum())):
            base = first_run(free, wire.streams, wire.alignment)
            if base is not None:
                chosen[w] = (direction, base)
                taken.append((direction, base, wire, _column(wire, direction, start, tables)))
                break
        else:
            return None
    return [chosen[w] for w in range(len(trip.wires))]


_EITHER: tuple[Direction, Direction] = ("e", "w")


def _column(wire: Wire, direction: Direction, start: int, tables: Reservations) -> int:
    diagonal = wire.diagonal + start
    if wire.direction is None and direction == "w":
        diagonal += 2 * wire.low
    return tables.column(direction, diagonal)


def _free(
    wire: Wire, direction: Direction, start: int, tables: Reservations, taken: list[tuple[Direction, int, Wire, int]]
) -> NDArray[np.bool_]:
    """For each byte stream of a direction, whether the whole wire could run on it."""
    first = _column(wire, direction, start, tables)
    free = tables.free_streams(direction, tables.mask(wire.low, wire.high), first, wire.count, wire.every)
    for other_direction, base, other, other_first in taken:
        if other_direction == direction and free[base : base + other.streams].any() and _meet(wire, first, other, other_first):
            free[base : base + other.streams] = False
    return free


def first_run(free: NDArray[np.bool_], length: int, alignment: int) -> int | None:
    """First aligned index from which `length` entries are free."""
    if length == 1:
        first = int(np.argmax(free))
        return first if free[first] else None
    for base in range(0, len(free) - length + 1, alignment):
        if free[base : base + length].all():
            return base
    return None


def _meet(a: Wire, a_first: int, b: Wire, b_first: int) -> bool:
    """Whether two wires of one trip could share a diagonal at a common position (cautious about strides)."""
    if a.high < b.low or b.high < a.low:
        return False
    return a_first <= b_first + (b.count - 1) * b.every and b_first <= a_first + (a.count - 1) * a.every


def _take(trip: PlacedTrip, found: Scheduled, tables: Reservations) -> None:
    loaded = False
    tables.end = max(tables.end, found.start + trip.duration + tables.chip.width)
    for step, slot in zip(trip.steps, found.slots, strict=True):
        first, last = _span(step, found.start)
        for name in (slot, *step.hold):
            tables.take_slot(name, first, last)
        _take_memory(step, first, tables)
        if step.mnemonic == "load" and not loaded:
            tables.take_load(trip.load_side, first, step.rep, step.every, step.fields["streams"])
            loaded = True
    for wire, (direction, base) in zip(trip.wires, found.streams, strict=True):
        first = _column(wire, direction, found.start, tables)
        mask = tables.mask(wire.low, wire.high)
        tables.take_streams(direction, mask, base, wire.streams, first, wire.count, wire.every)


def _take_memory(step: Step, first: int, tables: Reservations) -> None:
    if step.mnemonic not in _MEMORY:
        return
    unit, port = step.slots[0].rsplit(".", 1)
    if unit.startswith("rram"):
        tables.take_bank(unit, _bank_windows(step, tables), first)
    else:
        tables.take_half(unit, port, _halves(step, first, tables))
