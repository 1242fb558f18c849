"""Trips and buffers: what the flow dialect says, as plain data for the scheduler.

A *buffer* is a tensor in memory, not yet placed. A *trip* is one rigid journey of data: nodes joined by values, every offset
forced by the time rule. Nodes are in an order in which each value is produced before it is used.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from isa.chip import Side
from isa.errors import Location
from isa.packing import Packing
from isa.program import Immediate
from isa.spec import BYTES, ElementType

ALL_BYTES = -1

Role = Literal["input", "output", "param", "state", "constant", "temporary"]


Group = tuple[str, int, int]
"""A buffer's (segment, tile), a *column group*: its stripes and bytes are always touched together."""


@dataclass(slots=True)
class Buffer:
    """Rows × tiles × bytes of vectors in SRAM or RRAM (see `isa.program.Piece` for how a tensor becomes rows and tiles).

    `segments` are the first rows of the row ranges that may lie in different slices. Within a segment, row l lies in stripe
    l mod `stripes` at address l div `stripes`, so that consecutive rows come from different slices at once.
    `sides` fixes the hemisphere of a (segment, tile); others are chosen by placement. `spare_words` follow the last row in
    every place: a scatter puts there what belongs elsewhere, and nobody reads them.
    `packing` is how the host makes the tensor of what it gives, if it does.
    """

    name: str
    shape: tuple[int, ...]
    type: ElementType
    role: Role
    memory: Literal["sram", "rram"]
    lanes: int
    stripes: int = 1
    segments: tuple[int, ...] = (0,)
    digest: str = ""
    sides: dict[tuple[int, int], Side] = field(default_factory=dict[tuple[int, int], Side])
    spare_words: int = 0
    packing: Packing | None = None

    @property
    def columns(self) -> int:
        return self.shape[-1] if self.shape else 1

    @property
    def rows(self) -> int:
        count = 1
        for size in self.shape[:-1]:
            count *= size
        return count

    @property
    def tiles(self) -> int:
        return -(-self.columns // self.lanes)

    @property
    def bytes(self) -> int:
        return BYTES[self.type]

    def segment_of(self, row: int) -> int:
        return bisect_right(self.segments, row) - 1

    def segment_rows(self, segment: int) -> int:
        ends = (*self.segments[1:], self.rows)
        return ends[segment] - self.segments[segment]

    def words_per_place(self, segment: int) -> int:
        """Words that one (segment, stripe, tile, byte) takes."""
        return -(-self.segment_rows(segment) // self.stripes) + self.spare_words


@dataclass(slots=True)
class Value:
    """`streams` byte streams of one type, `count` vectors `every` cycles apart."""

    type: ElementType
    streams: int
    count: int
    every: int = 1

    @property
    def alignment(self) -> int:
        return BYTES[self.type]


@dataclass(slots=True)
class Read:
    """Rows row, row + row_step, … of a tile, as a stream group of the buffer's type, or one byte column of them.

    A value may take its byte streams from several rows of i8: stream s from the row s · `apart` further. With `run` the walk
    begins again after so many rows, `run_step` rows behind where it last began: places under a window of an image.
    """

    buffer: str
    tile: int
    row: int
    row_step: int
    count: int
    result: int = -1
    byte: int = ALL_BYTES
    abreast: int = 1
    apart: int = 1
    run: int = 0
    run_step: int = 0

    def runs(self) -> list[tuple[int, int, int]]:
        """(element, row, rows) of each run."""
        run = self.run or self.count
        return [
            (first, self.row + first // run * self.run_step, min(run, self.count - first))
            for first in range(0, self.count, run)
        ]


@dataclass(slots=True)
class ReadBlock:
    """`count` consecutive rows of a tile, `rows_per_cycle` at a time, for a load.

    With `beside` the last rows of each cycle, as many as that buffer has stripes, come from there, from row `beside_row` on.
    """

    buffer: str
    tile: int
    row: int
    count: int
    rows_per_cycle: int
    result: int = -1
    beside: str = ""
    beside_row: int = 0

    def rows_beside(self, buffers: Mapping[str, Buffer]) -> int:
        """Rows of each cycle that come from `beside`."""
        return buffers[self.beside].stripes if self.beside else 0


@dataclass(slots=True)
class Gather:
    """One byte column of the rows that an index value names, of a table of `limit` rows."""

    buffer: str
    tile: int
    byte: int
    index: int
    limit: int
    count: int
    every: int
    result: int = -1


@dataclass(slots=True)
class Scatter:
    """Vectors into the words that an index value names, of the `limit` words that one stripe of a tile has in a segment."""

    buffer: str
    segment: int
    tile: int
    stripe: int
    index: int
    source: int
    limit: int
    count: int


@dataclass(slots=True)
class Load:
    planes: tuple[int, ...]
    source: int
    mode: str
    count: int
    row: int = 0
    transposed: bool = False


@dataclass(slots=True)
class Swap:
    plane: int
    mode: str


@dataclass(slots=True)
class Feed:
    """`result` is -1 where the sum stays in the accumulator."""

    plane: int
    source: int
    mode: str
    depth: int
    lane: int
    accumulator: int
    fresh: bool
    count: int
    result: int = -1


@dataclass(slots=True)
class Compute:
    """One VXM or SXM operation; `unit` is 'vxm', 'sxm.w' or 'sxm.e'. An operand is a value or an immediate.

    Where values have more byte streams than their type, the operation is issued once for each group of them.
    """

    unit: str
    mnemonic: str
    operands: tuple[int | Immediate, ...]
    fields: Mapping[str, int]
    count: int
    every: int
    result: int


@dataclass(slots=True)
class Write:
    """`window` is (first lane, lanes) of each part of what is written, whole superlanes; the other lanes of the words keep what
    they have. () stands for all lanes. Byte streams may go to several rows of i8, as for `Read`."""

    buffer: str
    tile: int
    row: int
    row_step: int
    source: int
    count: int
    every: int = 1
    byte: int = ALL_BYTES
    window: tuple[int, ...] = ()
    abreast: int = 1
    apart: int = 1


Node = Read | ReadBlock | Gather | Scatter | Load | Swap | Feed | Compute | Write


def touched(node: Node, buffers: dict[str, Buffer]) -> list[Group]:
    """Column groups that a node reads or writes."""
    if isinstance(node, (Gather, Scatter)):
        return [(node.buffer, node.segment if isinstance(node, Scatter) else 0, node.tile)]
    if isinstance(node, (Read, ReadBlock, Write)):
        buffer = buffers[node.buffer]
        if isinstance(node, ReadBlock) and node.beside:
            own = node.rows_per_cycle - node.rows_beside(buffers)
            rows = node.count // node.rows_per_cycle * own + min(node.count % node.rows_per_cycle, own)
            return [*touched(replace(node, count=rows, beside=""), buffers), (node.beside, 0, 0)]
        if isinstance(node, Read) and node.run:
            ends = [row + i * node.row_step for _, row, rows in node.runs() for i in (0, rows - 1)]
        else:
            ends = [node.row, node.row + (node.count - 1) * (1 if isinstance(node, ReadBlock) else node.row_step)]
        low, high = min(ends), max(ends)
        high += 0 if isinstance(node, ReadBlock) else (node.abreast - 1) * node.apart
        first, end = buffer.segment_of(low), buffer.segment_of(high)
        return [(node.buffer, segment, node.tile) for segment in range(first, end + 1)]
    return []


_PLACE = re.compile(r"(.+):([0-9]+):([0-9]+): ")


def location_of(origin: str) -> Location | None:
    """The source place that a trip's origin begins with, if it does."""
    found = _PLACE.match(origin)
    return Location(found[1], int(found[2]), int(found[3])) if found else None


@dataclass(slots=True)
class Trip:
    """Nodes and the values between them. `origin` says where in the source it comes from."""

    origin: str
    nodes: list[Node] = field(default_factory=list[Node])
    values: list[Value] = field(default_factory=list[Value])

    def value(self, type: ElementType, count: int, every: int = 1, streams: int = 0) -> int:
        self.values.append(Value(type, streams or BYTES[type], count, every))
        return len(self.values) - 1


@dataclass(slots=True)
class Flow:
    """A whole program before placement: buffers by name, trips in program order.

    Program order gives memory its meaning: a trip sees what the trips before it wrote.
    """

    buffers: dict[str, Buffer] = field(default_factory=dict[str, Buffer])
    trips: list[Trip] = field(default_factory=list[Trip])
