"""Who must wait for whom, and how long: the dependence graph of placed trips.

Program order gives memory and the planes their meaning. Of two trips that touch the same word (one writing), or the same plane,
the later one in program order must start at least so many cycles after the earlier one that every word is written before it is
read, and read before it is replaced. Distances are exact, so a consumer may chase its producer word by word.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from compiler.scheduling.placed import PlacedTrip, Step
from isa.chip import Chip
from isa.numerics import RUNNING_PRODUCTS

ANY_TIME = -(1 << 40)
"""Distance of a trip that is placed after another one, but may start at any time."""

_Wait = Callable[[int, int, int], None]


@dataclass(slots=True)
class _Access:
    trip: int
    cycle: int
    """Dispatch of element 0, relative to the trip's start."""
    address: int
    step: int
    count: int
    every: int
    latency: int
    mask: int = -1
    """Superlanes that a write writes; what has no superlane in common does not meet."""
    any_of: int = 0
    """A gather or scatter touches any of this many words from `address`, at any of its dispatches."""
    low: int = field(init=False)
    high: int = field(init=False)
    """The words touched lie in low … high."""

    def __post_init__(self) -> None:
        last = self.address + (self.count - 1) * self.step
        self.low = min(self.address, last)
        self.high = max(self.address, last) + max(self.any_of - 1, 0)


def _words(access: _Access, last: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted distinct addresses and the cycle of their first (or last) touch."""
    if access.any_of:
        cycle = access.cycle + (access.count - 1) * access.every if last else access.cycle
        addresses = np.arange(access.address, access.address + access.any_of)
        return addresses, np.full(access.any_of, cycle)
    if not access.step:
        cycle = access.cycle + (access.count - 1) * access.every if last else access.cycle
        return np.array([access.address]), np.array([cycle])
    order = np.arange(access.count)
    addresses, cycles = access.address + access.step * order, access.cycle + access.every * order
    return (addresses, cycles) if access.step > 0 else (addresses[::-1], cycles[::-1])


def _distance(earlier: _Access, later: _Access, gap: int) -> int | None:
    """Least start difference so that `later` touches every common word at least `gap` cycles after `earlier` did.

    None if no word is common.
    """
    if earlier.high < later.low or later.high < earlier.low or not earlier.mask & later.mask:
        return None
    if earlier.step == later.step == 1 and not earlier.any_of and not later.any_of:
        first, last = max(earlier.low, later.low), min(earlier.high, later.high)
        return max(
            earlier.cycle + (a - earlier.address) * earlier.every + gap - later.cycle - (a - later.address) * later.every
            for a in (first, last)
        )
    a_words, a_cycles = _words(earlier, last=True)
    b_words, b_cycles = _words(later, last=False)
    _, ia, ib = np.intersect1d(a_words, b_words, assume_unique=True, return_indices=True)
    if not len(ia):
        return None
    return int(np.max(a_cycles[ia] - b_cycles[ib])) + gap


BLOCK_WORDS = 64
"""Words of a slice whose accesses are kept together, to find those of a range (our choice)."""


class _Accesses:
    """Accesses of one slice, to be found by the words that they touch."""

    def __init__(self) -> None:
        self.blocks: defaultdict[int, list[_Access]] = defaultdict(list)

    def add(self, access: _Access) -> None:
        for block in range(access.low // BLOCK_WORDS, access.high // BLOCK_WORDS + 1):
            self.blocks[block].append(access)

    def near(self, low: int, high: int) -> Iterator[_Access]:
        """Those that touch words within low … high, or around them, each once."""
        first = low // BLOCK_WORDS
        for block in range(first, high // BLOCK_WORDS + 1):
            for access in self.blocks.get(block, ()):
                # One of several blocks counts in the first that the two have in common.
                if access.low <= high and low <= access.high and block == max(first, access.low // BLOCK_WORDS):
                    yield access

    def forget(self, low: int, high: int, trip: int) -> None:
        """Those of other trips than this one that touch nothing but words within low … high."""
        for block in range(low // BLOCK_WORDS, high // BLOCK_WORDS + 1):
            if block in self.blocks:
                self.blocks[block] = [a for a in self.blocks[block] if a.trip == trip or not (low <= a.low and a.high <= high)]


class _Memory:
    """Accesses of one slice so far that a later one may still have to wait for."""

    def __init__(self) -> None:
        self.writes = _Accesses()
        self.reads = _Accesses()


def dependence_graph(trips: list[PlacedTrip], chip: Chip) -> nx.DiGraph[int]:
    """Edges (a, b, distance): trip b starts at least `distance` cycles after trip a. Distances may be negative."""
    edges: dict[tuple[int, int], int] = {}

    def wait(a: int, b: int, distance: int) -> None:
        if a != b:
            edges[a, b] = max(edges.get((a, b), distance), distance)

    slices: defaultdict[str, _Memory] = defaultdict(_Memory)
    planes: defaultdict[str, _PlaneOrder] = defaultdict(_PlaneOrder)
    previous_load: dict[str, int] = {}
    for index, trip in enumerate(trips):
        source = _weights_side(trip)
        if source:
            # Rows of weights lie in the order of their loads: read in that order, the banks keep rotating without a wait.
            if source in previous_load:
                wait(previous_load[source], index, 1)
            previous_load[source] = index
        for step in trip.steps:
            if step.mnemonic in ("read", "write", "gather", "scatter"):
                _memory_order(slices[step.slots[0].rsplit(".", 1)[0]], step, index, wait)
            elif step.mnemonic in ("load", "swap", "feed"):
                for slot in (step.slots[0], *step.hold):
                    planes[slot.split(".")[0]].order(step, index, trip.origin, wait)
    _place_before(trips, edges, wait)
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(trips)))
    graph.add_weighted_edges_from(((a, b, d) for (a, b), d in edges.items()), weight="distance")
    return graph


def _place_before(trips: list[PlacedTrip], edges: Mapping[tuple[int, int], int], wait: _Wait) -> None:
    """Running sums of products get their places after all that brings their operands: hundreds of small trips that could begin
    with the first operands would leave no room for the long walks of the others."""
    groups = [list(numbers) for _, numbers in groupby(range(len(trips)), key=lambda i: trips[i].origin)]
    group_of = {i: n for n, numbers in enumerate(groups) for i in numbers}
    for a, b in list(edges):
        numbers = groups[group_of[b]]
        if a < numbers[0] and _sums_products(trips[b]):
            wait(a, numbers[0], ANY_TIME)
            wait(numbers[0], b, ANY_TIME)


def _sums_products(trip: PlacedTrip) -> bool:
    return any(step.mnemonic in RUNNING_PRODUCTS for step in trip.steps)


def _weights_side(trip: PlacedTrip) -> str:
    """The side whose RRAM a load reads, or empty."""
    if not trip.load_side:
        return ""
    return next((s.slots[0][5] for s in trip.steps if s.mnemonic == "read" and s.slots[0].startswith("rram.")), "")


def _memory_order(memory: _Memory, step: Step, trip: int, wait: _Wait) -> None:
    f = step.fields
    if step.mnemonic in ("gather", "scatter"):
        mine = _Access(trip, step.offset, f["base"], 0, step.rep, step.every, step.latency, any_of=f["limit"])
    else:
        mask = f.get("mask", -1)
        mine = _Access(trip, step.offset, f["addr"], f.get("step", 0), step.rep, step.every, step.latency, mask)
    if step.mnemonic in ("read", "gather"):
        for write in memory.writes.near(mine.low, mine.high):
            distance = _distance(write, mine, write.latency)
            if distance is not None:
                wait(write.trip, trip, distance)
        memory.reads.add(mine)
        return
    for accesses in (memory.writes, memory.reads):
        for earlier in accesses.near(mine.low, mine.high):
            distance = _distance(earlier, mine, 1)
            if distance is not None:
                wait(earlier.trip, trip, distance)
    if step.mnemonic == "write" and step.fields.get("step", 0) in (0, 1) and mine.mask == -1:
        # What this write replaces as a whole needs no watching any more: who waits for it has waited for them.
        memory.writes.forget(mine.low, mine.high, trip)
        memory.reads.forget(mine.low, mine.high, trip)
    memory.writes.add(mine)


class _PlaneOrder:
    """The buffers of one MXM plane: load → swap → feeds, in program order; feeds of several products with the same weights only
    where they use the same entries of the accumulators."""

    def __init__(self) -> None:
        self.loads: list[tuple[int, Step]] = []
        self.swap: tuple[int, Step] | None = None
        self.feeds: list[tuple[int, Step]] = []
        """Feeds since the swap that none of the later ones waits for."""
        self.origin = ""
        """Of the last feed."""

    def order(self, step: Step, trip: int, origin: str, wait: _Wait) -> None:
        if step.mnemonic == "load":
            if self.swap:
                wait(self.swap[0], trip, self.swap[1].offset + self.swap[1].latency - step.offset)
            self.loads.append((trip, step))
        elif step.mnemonic == "swap":
            for other, load in self.loads:
                wait(other, trip, load.offset + (load.rep - 1) * load.every + load.latency - step.offset)
            for other, feed in self.feeds:
                wait(other, trip, feed.offset + (feed.rep - 1) * feed.every + 1 - step.latency - step.offset)
            if self.swap:
                wait(self.swap[0], trip, self.swap[1].offset + 1 - step.offset)
            self.loads, self.feeds, self.swap = [], [], (trip, step)
        else:
            if self.swap:
                wait(self.swap[0], trip, self.swap[1].offset + self.swap[1].latency - step.offset)
            first, end = _entries(step)
            kept: list[tuple[int, Step]] = []
            for number, (other, feed) in enumerate(self.feeds, 1):
                low, high = _entries(feed)
                if (low < end and first < high) or (origin == self.origin and number == len(self.feeds)):
                    wait(other, trip, feed.offset + (feed.rep - 1) * feed.every + 1 - step.offset)
                if low < first or end < high:
                    kept.append((other, feed))
            self.feeds, self.origin = [*kept, (trip, step)], origin


def _entries(feed: Step) -> tuple[int, int]:
    """The first accumulator entry that a feed uses, and the one behind its last."""
    first = feed.fields.get("acc", 0)
    return first, first + feed.rep
