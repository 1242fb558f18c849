"""Lower bounds on a program's cycles, and what sets them: the busiest unit, weight bandwidth, the longest chain.

Whatever the order of the trips, work on one resource takes its cycles, cannot begin before the first of it is ready, and is
followed by at least the shortest rest of a trip. So each resource gives a bound: earliest begin + work + shortest end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx
import numpy as np

from compiler.backend.emit import Schedule
from compiler.scheduling.dependences import dependence_graph
from compiler.scheduling.list_scheduler import longest_paths, waiters
from compiler.scheduling.placed import PlacedTrip, Step, chip_modes
from isa.chip import Chip
from isa.spec import BYTES

BALANCED = 0.9
"""A kind of unit sets the bound as a whole where its average use is at least this share of the busiest one's."""

F16_MODE = chip_modes().index("f16")

NEAR = 0.95
"""A resource whose bound is at least this share of the longest chain may give the chain its name."""

SIDES = {"w": "west", "e": "east"}
FAMILIES = {"mxm.fd": "matrix planes", "mxm.ld": "weight loads", "rram.rd": "RRAM bandwidth"}
"""Kinds of port of which people ask how busy all of them are together."""


@dataclass(slots=True)
class _Work:
    """What must happen on one resource. `amount` is in units of which `per_cycle` are done in a cycle."""

    per_cycle: int = 1
    amount: int = 0
    begin: int = 1 << 60
    """Earliest cycle of any of it."""
    end: int = 1 << 60
    """Fewest cycles of the program after any of it."""

    @property
    def cycles(self) -> int:
        return -(-self.amount // self.per_cycle)

    @property
    def bound(self) -> int:
        return self.begin + self.cycles + self.end


def lower_bound(schedule: Schedule, chip: Chip) -> tuple[int, str]:
    """Cycles that no schedule of these trips at these places can beat, and what sets the limit, in words."""
    if not schedule.trips:
        return 0, "nothing to do"
    graph = dependence_graph(schedule.trips, chip)
    rests = longest_paths(graph, schedule.trips)
    work = _work(schedule.trips, _earliest_starts(graph), rests, chip)
    chain = _longest_chain(graph, rests)
    key = max(sorted(work), key=lambda k: work[k].bound)
    if work[key].bound > chain:
        return work[key].bound, _phrase(key, work, chip)
    # Work on one plane is a chain too, for its order is given: where work makes most of the chain, the chain is named after it.
    busy = [k for k in sorted(work) if work[k].bound >= NEAR * chain and work[k].cycles >= chain / 2]
    return chain, _phrase(max(busy, key=lambda k: work[k].bound), work, chip) if busy else "longest chain of steps"


def bound_of_other_places(trips: list[PlacedTrip], chip: Chip) -> int:
    """Cycles that other places in SRAM can hardly undercut: the longest chain, or work on anything but ports of SRAM."""
    graph = dependence_graph(trips, chip)
    rests = longest_paths(graph, trips)
    work = _work(trips, _earliest_starts(graph), rests, chip)
    return max([_longest_chain(graph, rests), *(one.bound for key, one in work.items() if not key.startswith("sram"))])


def _earliest_starts(graph: nx.DiGraph[int]) -> list[int]:
    starts = [0] * len(graph)
    for trip in nx.topological_sort(graph):
        for after, distance in waiters(graph, trip):
            starts[after] = max(starts[after], starts[trip] + distance)
    return starts


def _longest_chain(graph: nx.DiGraph[int], rests: list[int]) -> int:
    return max(start + rest for start, rest in zip(_earliest_starts(graph), rests, strict=True))


def _work(trips: list[PlacedTrip], starts: list[int], rests: list[int], chip: Chip) -> dict[str, _Work]:
    """Work by resource: slots by name, units with several equal slots, RRAM banks, the load streams of a side."""
    work: defaultdict[str, _Work] = defaultdict(_Work)
    for trip, start, rest in zip(trips, starts, rests, strict=True):
        for key, per_cycle, amount, step in _uses(trip, chip):
            one = work[key]
            one.per_cycle = per_cycle
            one.amount += amount
            one.begin = min(one.begin, start + step.offset)
            one.end = min(one.end, rest - step.offset - (step.rep - 1) * step.every - 1)
    for key, one in work.items():
        if ".bank" in key and chip.rram:
            # Behind its last read a bank may stay busy beyond the end of the program.
            one.amount -= chip.rram.busy_cycles - 1
    return work


def _uses(trip: PlacedTrip, chip: Chip) -> Iterator[tuple[str, int, int, Step]]:
    """(resource, what it does in a cycle, amount, step)."""
    loads: dict[tuple[int, int, str], Step] = {}
    for step in trip.steps:
        cycles = (step.rep - 1) * step.every + 1
        slot, slots = step.slots[0], len(step.slots)
        if slots > 1:
            yield slot.rsplit(".", 1)[0], slots, cycles, step
            continue
        for name in (slot, *step.hold):
            yield name, 1, cycles, step
        if step.mnemonic == "load":
            loads[step.offset, step.rep, trip.load_side] = step
        elif chip.rram and slot.startswith("rram"):
            for bank, reads in _bank_reads(step, chip.rram.banks):
                yield f"{slot}.bank{bank}", 1, reads * chip.rram.busy_cycles, step
    for (_, _, side), step in loads.items():
        # The planes of a side load the same streams: they count once.
        width = BYTES["f16"] if step.fields.get("mode") == F16_MODE else 1
        yield f"load streams {side}", chip.mxm.load_streams, step.fields["count"] * width, step


def _bank_reads(step: Step, banks: int) -> Iterator[tuple[int, int]]:
    if step.mnemonic == "gather":
        yield from ((bank, step.rep) for bank in range(banks))
        return
    addresses = step.fields["addr"] + step.fields.get("step", 0) * np.arange(step.rep)
    yield from ((bank, int(n)) for bank, n in enumerate(np.bincount(addresses % banks)) if n)


def _phrase(key: str, work: dict[str, _Work], chip: Chip) -> str:
    """A resource in words; the whole family where all its members are about as busy."""
    if key.startswith("load streams "):
        return f"load streams of the {SIDES[key[-1]]} side"
    slot = key.partition(".bank")[0]
    if slot not in chip.slots:
        return "vector ALUs" if key == "vxm" else f"lane unit {SIDES[key[-1]]}"
    unit, port = chip.slots[slot].unit, slot.rsplit(".", 1)[1]
    family = f"{unit.kind}.{port}"
    members = [f"{u.name}.{port}" for u in chip.units.values() if u.kind == unit.kind]
    average = sum(work[m].amount for m in members if m in work) / len(members)
    if family in FAMILIES and average >= BALANCED * work[slot].amount:
        return FAMILIES[family]
    return _single(key, chip)


def _single(key: str, chip: Chip) -> str:
    slot, _, bank = key.partition(".bank")
    unit, port = chip.slots[slot].unit, slot.rsplit(".", 1)[1]
    number = unit.name.partition(".")[2]
    if unit.kind == "mxm":
        return f"{ {'fd': 'feeds', 'ld': 'loads', 'sw': 'swaps'}[port] } of matrix plane {unit.name.removeprefix('mxm')}"
    if unit.kind == "rram":
        return f"RRAM slice {number}" + (f" bank {bank}" if bank else "")
    if unit.kind == "sram":
        return f"SRAM slice {number} {'read' if port == 'rd' else 'write'} port"
    return "vector ALU" if unit.kind == "vxm" else f"lane unit {SIDES[number]}"
