"""Weights that wait for nobody: part of every block comes from RRAM to SRAM while RRAM has nothing else to do.

A plane loads up to `load_streams` byte streams a cycle, but RRAM has fewer slices a side. So of every `load_streams` rows of a
matrix the first lie where they are loaded from, as many as RRAM gives in a cycle, and the others are brought near beforehand,
by trips of their own: the load reads both at once. That pays where loads are what a program waits for and RRAM is idle before
them: for products of few rows, in a program that has spent more time on its chain of steps than on reading weights.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from compiler.scheduling.shared_memory import Residents
from compiler.scheduling.trip import Buffer, Feed, Flow, Load, Read, ReadBlock, Swap, Trip, Value, Write, touched
from compiler.weights import WeightStore
from isa.chip import Chip, Side
from isa.spec import BYTES

FEW_ROWS = 8
"""A matrix that is fed no more rows than this waits for its load (our choice)."""

HIDDEN_LOADS = 2
"""Loads of a side that are done before their feeds can begin: a plane holds what it works with and what comes next."""

STEP_CYCLES = 100
"""About what a trip takes from memory to memory (our choice): for an estimate of when a product begins."""

FORCED_LOADS = 2
"""Loads ahead of which a block is brought near in a program that does not wait for loads, but shares its weights with one that
does (our choice)."""


def rows_near(buffer: Buffer, chip: Chip) -> int:
    """Rows of a cycle's load that RRAM has no slices for; 0 where there are none, or banks that keep a burst waiting."""
    if buffer.memory != "rram" or buffer.bytes > 1 or chip.rram is None or chip.rram.banks < chip.rram.busy_cycles:
        return 0
    near = chip.mxm.load_streams - buffer.stripes
    room = min(len(chip.slices("sram", side)) for side in ("w", "e"))
    whole = all(buffer.segment_rows(s) % chip.mxm.load_streams == 0 for s in range(len(buffer.segments)))
    return near if whole and 0 < near <= room // 2 else 0


def direct_part(buffer: Buffer, near: int) -> Buffer:
    """The rows that are loaded from RRAM."""
    return _part(buffer, f"{buffer.name}.direct", buffer.stripes, near)


def near_part(buffer: Buffer, near: int) -> Buffer:
    """The rows that are brought near."""
    return _part(buffer, f"{buffer.name}.near", near, buffer.stripes)


def _part(buffer: Buffer, name: str, mine: int, others: int) -> Buffer:
    counts = [buffer.segment_rows(s) // (mine + others) * mine for s in range(len(buffer.segments))]
    borders = tuple(sum(counts[:s]) for s in range(len(counts)))
    shape = (sum(counts), buffer.columns)
    return replace(buffer, name=name, shape=shape, stripes=mine, segments=borders, sides=dict(buffer.sides))


@dataclass(slots=True)
class _Block:
    """One load of weights: its trip, how many rows are fed to it, and when about the first of them is."""

    trip: int
    read: ReadBlock
    load: Load
    rows: int = 0
    begin: int = 1 << 60


def prefetched(flow: Flow, chip: Chip, weights: WeightStore, residents: Residents | None = None) -> Flow:
    """The flow with all weights split and brought near where that pays; beside another program as that one has them."""
    blocks = _blocks(flow)
    by_buffer: defaultdict[str, list[_Block]] = defaultdict(list)
    for block in blocks:
        by_buffer[block.read.buffer].append(block)
    wanted = _wanted(flow, by_buffer, chip, residents)
    chosen = {name: near for name, near in wanted.items() if flow.buffers[name].digest in weights}
    if not chosen:
        return flow
    return _Prefetch(flow, chip, weights, residents, chosen).run([b for b in blocks if b.read.buffer in chosen])


def _blocks(flow: Flow) -> list[_Block]:
    """Loads of weights in RRAM, in program order."""
    found: list[_Block] = []
    shadow: dict[int, _Block] = {}
    current: dict[int, _Block] = {}
    written: dict[str, int] = {}
    for number, trip in enumerate(flow.trips):
        names = {name for node in trip.nodes if not isinstance(node, Write) for name, *_ in touched(node, flow.buffers)}
        begin = max((written.get(name, 0) for name in names), default=0)
        for node in trip.nodes:
            if isinstance(node, Write):
                written[node.buffer] = max(written.get(node.buffer, 0), begin + STEP_CYCLES)
            elif isinstance(node, Load):
                read = trip.nodes[0]
                for plane in node.planes:
                    shadow.pop(plane, None)
                if isinstance(read, ReadBlock) and flow.buffers[read.buffer].memory == "rram" and len(trip.nodes) == 2:
                    found.append(_Block(number, read, node))
                    shadow |= dict.fromkeys(node.planes, found[-1])
            elif isinstance(node, Swap):
                current.pop(node.plane, None)
                if node.plane in shadow:
                    current[node.plane] = shadow.pop(node.plane)
            elif isinstance(node, Feed) and node.plane in current:
                block = current[node.plane]
                block.rows, block.begin = block.rows + node.count, min(block.begin, begin)
    return found


def _wanted(flow: Flow, by_buffer: dict[str, list[_Block]], chip: Chip, residents: Residents | None) -> dict[str, int]:
    """Buffers to split, with the rows of a cycle that are brought near."""
    found: dict[str, int] = {}
    room = _room(flow, chip)
    together: Counter[tuple[int, Side | None]] = Counter()
    """Loads of a side whose feeds could all begin at the same time."""
    for block in (block for blocks in by_buffer.values() for block in blocks):
        buffer = flow.buffers[block.read.buffer]
        together[block.begin, buffer.sides.get((buffer.segment_of(block.read.row), block.read.tile))] += 1
    spent: defaultdict[Side | None, int] = defaultdict(int)
    for name, blocks in by_buffer.items():
        buffer = flow.buffers[name]
        near = rows_near(buffer, chip)
        places = [(buffer.segment_of(b.read.row), b.read.tile) for b in blocks]
        whole = len(buffer.sides) == len(buffer.segments) * buffer.tiles and all(
            b.read.row == buffer.segments[s] and b.read.count == buffer.segment_rows(s)
            for b, (s, _) in zip(blocks, places, strict=True)
        )
        if near and whole and _split_there(buffer, near, residents, _pays(blocks, places, buffer, near, together, spent, room)):
            found[name] = near
        for block, place in zip(blocks, places, strict=True):
            spent[buffer.sides.get(place)] += -(-block.read.count // block.read.rows_per_cycle)
    return found


def _split_there(buffer: Buffer, near: int, residents: Residents | None, otherwise: bool) -> bool:
    """Whether another program of the device has split this parameter, if it has it."""
    if residents is None or buffer.role != "param":
        return otherwise
    whole, split = buffer.name in residents.tensors, direct_part(buffer, near).name in residents.tensors
    return split or (otherwise and not whole)


def _pays(
    blocks: list[_Block],
    places: list[tuple[int, int]],
    buffer: Buffer,
    near: int,
    together: Mapping[tuple[int, Side | None], int],
    spent: Mapping[Side | None, int],
    room: int,
) -> bool:
    """Whether the product waits for its loads, and RRAM has had time, and SRAM has room, to bring all near rows before it."""
    begin = min(block.begin for block in blocks)
    if max(block.rows for block in blocks) > FEW_ROWS or all(
        together[begin, buffer.sides.get(p)] <= HIDDEN_LOADS for p in places
    ):
        return False
    words: defaultdict[Side | None, int] = defaultdict(int)
    for block, place in zip(blocks, places, strict=True):
        words[buffer.sides.get(place)] += block.read.count // (buffer.stripes + near)
    return all(begin >= spent.get(side, 0) + count and count <= room for side, count in words.items())


@dataclass(slots=True)
class _Prefetch:
    flow: Flow
    chip: Chip
    weights: WeightStore
    residents: Residents | None
    chosen: dict[str, int]
    made: Flow = field(default_factory=Flow)

    def run(self, blocks: list[_Block]) -> Flow:
        for buffer in self.flow.buffers.values():
            if buffer.name not in self.chosen:
                self.made.buffers[buffer.name] = buffer
                continue
            near = self.chosen[buffer.name]
            for part, first in ((direct_part(buffer, near), 0), (near_part(buffer, near), buffer.stripes)):
                part.digest = self.weights.add(self.rows(buffer, first, first + part.stripes, buffer.stripes + near))
                self.made.buffers[part.name] = part
        before: defaultdict[int, list[Trip]] = defaultdict(list)
        instead: dict[int, Trip] = {}
        sides: tuple[Side, ...] = ("w", "e")
        for side in sides:
            mine = [block for block in blocks if self.side(block) == side]
            if not mine:
                continue
            target = self.ring(mine, side)
            for block, (word, when) in zip(mine, self.turns(mine, target), strict=True):
                copy, instead[block.trip] = self.trips(block, target, word)
                before[when].append(copy)
        for number, trip in enumerate(self.flow.trips):
            self.made.trips += [*before[number], instead.get(number, trip)]
        return self.made

    def side(self, block: _Block) -> Side:
        buffer = self.flow.buffers[block.read.buffer]
        return buffer.sides[buffer.segment_of(block.read.row), block.read.tile]

    def words(self, block: _Block) -> int:
        """Cycles of the load."""
        buffer = self.flow.buffers[block.read.buffer]
        return block.read.count // (buffer.stripes + self.chosen[buffer.name])

    def ring(self, blocks: list[_Block], side: Side) -> Buffer:
        """Memory that the blocks of a side go through in turns."""
        buffer = self.flow.buffers[blocks[0].read.buffer]
        near, longest = self.chosen[buffer.name], max(map(self.words, blocks))
        room = _room(self.flow, self.chip) if any(block.rows <= FEW_ROWS for block in blocks) else 0
        words = min(max(room, longest * FORCED_LOADS), sum(map(self.words, blocks)))
        made = Buffer(f"%near.{side}", (words * near, buffer.lanes), "i8", "temporary", "sram", buffer.lanes, near)
        made.sides[0, 0] = side
        self.made.buffers[made.name] = made
        return made

    def turns(self, blocks: list[_Block], target: Buffer) -> Iterator[tuple[int, int]]:
        """For each block its first word, and the trip before which it is brought near: the one behind the last load from
        there."""
        room, word, when = target.words_per_place(0), 0, 0
        used: deque[tuple[int, int, int]] = deque()
        for block in blocks:
            words = self.words(block)
            end = word + words
            if end > room:
                # What lies behind is passed over, but the turn goes through it.
                while used and used[0][0] >= word:
                    when = used.popleft()[2] + 1
                word, end = 0, words
            while used and used[0][0] < end and word < used[0][1]:
                when = used.popleft()[2] + 1
            used.append((word, end, block.trip))
            yield word, when
            word = end

    def rows(self, buffer: Buffer, first: int, end: int, period: int) -> NDArray[np.generic]:
        """Rows first … end-1 of every `period`, which divides the blocks."""
        array = self.weights.get(buffer.digest).reshape(-1, period, buffer.columns)
        return array[:, first:end].reshape(-1, buffer.columns)

    def trips(self, block: _Block, target: Buffer, word: int) -> tuple[Trip, Trip]:
        """What brings the rows of a block near, and its load from both places."""
        read, load = block.read, block.load
        buffer, near, words = self.flow.buffers[read.buffer], target.stripes, self.words(block)
        direct, rest = direct_part(buffer, near), near_part(buffer, near)
        segment, origin = buffer.segment_of(read.row), self.flow.trips[block.trip].origin
        copy = Trip(origin, values=[Value(buffer.type, near, words)])
        copy.nodes += [
            ReadBlock(rest.name, read.tile, rest.segments[segment], words * near, near, 0),
            Write(target.name, 0, word * near, near, 0, words, abreast=near),
        ]
        both = Trip(origin, values=[Value(buffer.type, buffer.stripes + near, words)])
        first, together = direct.segments[segment], buffer.stripes + near
        both.nodes += [
            ReadBlock(direct.name, read.tile, first, read.count, together, 0, target.name, word * near),
            replace(load, source=0),
        ]
        return copy, both


def _room(flow: Flow, chip: Chip) -> int:
    """Words of a slice that blocks may take: half of what buffers that stay leave on average; none where they leave less than a
    quarter (our choice), for temporaries would have to share it and wait. None beside running sums on the vector unit either,
    which read most slices of both sides."""
    if any(isinstance(node, Read) and node.run for trip in flow.trips for node in trip.nodes):
        return 0
    stays = 0
    for buffer in flow.buffers.values():
        if buffer.memory == "sram" and buffer.role != "temporary":
            words = sum(buffer.words_per_place(s) for s in range(len(buffer.segments)))
            stays += words * buffer.stripes * buffer.tiles * BYTES[buffer.type]
    free = chip.sram.words - stays // len(chip.slices("sram"))
    return free // 2 if free * 4 >= chip.sram.words else 0
