"""Which written value every stream read sees, found for a whole program at once.

A value written at (hops along its direction p, diagonal d) is what every read of that stream on diagonal d sees from p on, up
to the next write further along. So on each (stream, diagonal), sorted along the flow with writes before reads, a read sees the
last write before it.

Bursts are not expanded value by value. The diagonals of each stream are cut wherever a burst begins or ends; between two cuts
all values of a burst have the same fate, so one row stands for them. (A burst with gaps, `every` > 1, counts as single values.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.bursts import Bursts, collect_bursts, rows_and_elements
from isa.program import Program

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Touches:
    """Runs of stream touches: elements element … element + count-1 of a burst of an operation."""

    operation: NDArray[np.int32]
    stream: NDArray[np.int32]
    """Ordinal in `stream_reads(op)` or `stream_writes(op)`."""
    element: NDArray[np.int32]
    count: NDArray[np.int32]
    cycle: NDArray[np.int64]
    """When the first of them touches the stream register."""

    def __len__(self) -> int:
        return len(self.operation)


@dataclass(frozen=True, slots=True)
class Wiring:
    """Links between bursts, ordered by (reader, read_stream, read_first).

    In link k, for i in 0 … count-1: element read_first + i·read_step of stream `read_stream` of operation `reader` sees element
    write_first + i·write_step of stream `write_stream` of operation `producer`. Links are maximal. Both steps are positive,
    and 1 wherever the two bursts have the same `every` or the link has one element. Every element of every read burst is in
    exactly one link or in `missing`; a written element may be in several links, or in none and then in `wasted`.
    """

    reader: NDArray[np.int32]
    """Index into `program.operations`."""
    read_stream: NDArray[np.int32]
    """Ordinal in `timing.stream_reads(op)`."""
    read_first: NDArray[np.int32]
    read_step: NDArray[np.int32]
    count: NDArray[np.int32]
    producer: NDArray[np.int32]
    write_stream: NDArray[np.int32]
    """Ordinal in `timing.stream_writes(producer)`."""
    write_first: NDArray[np.int32]
    write_step: NDArray[np.int32]
    missing: Touches
    """Reads that find nothing."""
    wasted: Touches
    """Written values that nobody reads."""
    collisions: tuple[Touches, Touches]
    """Writes of one register in one cycle, pair by pair."""
    bursts: Bursts
    """What was wired, for whoever needs it next."""


@dataclass(frozen=True, slots=True)
class StreamPieces:
    """Values of one burst between two cuts, ordered along the flow within each (stream, diagonals)."""

    burst: Indices
    first: Indices
    """First element."""
    count: Indices
    place: Indices
    """Equal for pieces of the same stream and diagonals."""
    register: Indices
    """Equal for pieces of the same stream, diagonals and position, of the same kind (read or write)."""
    write: NDArray[np.bool_]


def resolve(program: Program) -> Wiring:
    """Match every stream read of a well-formed program with the write it sees. Nothing is raised: faults are in the result."""
    bursts = collect_bursts(program)
    pieces = cut_streams(bursts, program.chip.width)
    count = len(pieces.burst)
    order = np.arange(count)
    last_write = np.maximum.accumulate(np.where(pieces.write, order, -1)) if count else order
    same_place = (last_write >= 0) & (pieces.place[last_write] == pieces.place)
    reads = np.flatnonzero(~pieces.write & same_place)
    lost = np.flatnonzero(~pieces.write & ~same_place)
    used = np.zeros(count, np.bool_)
    used[last_write[reads]] = True
    wasted = np.flatnonzero(pieces.write & ~used)
    second = 1 + np.flatnonzero(pieces.write[1:] & (pieces.register[1:] == pieces.register[:-1]))
    return Wiring(
        *_links(bursts, pieces, reads, last_write[reads]),
        missing=_touches(bursts, pieces, lost),
        wasted=_touches(bursts, pieces, wasted),
        collisions=(_touches(bursts, pieces, second - 1), _touches(bursts, pieces, second)),
        bursts=bursts,
    )


def cut_streams(bursts: Bursts, width: int) -> StreamPieces:
    """Cut bursts at each other's ends, stream by stream, and order the pieces along the flow."""
    gapless = bursts.every == 1
    burst, first = rows_and_elements(np.where(gapless, 1, bursts.count) * (bursts.count > 0))
    length = np.where(gapless, bursts.count, 1)[burst]
    diagonal = bursts.diagonal[burst] + first * bursts.every[burst]
    low = int(diagonal.min(initial=0))
    span = int((diagonal + length).max(initial=0)) - low + 1
    begin = bursts.stream[burst] * span + (diagonal - low)
    cuts = np.unique(np.concatenate([begin, begin + length]))
    cut = np.searchsorted(cuts, begin)
    row, index = rows_and_elements(np.searchsorted(cuts, begin + length) - cut)
    place = cut[row] + index
    burst, first = burst[row], first[row] + cuts[place] - begin[row]
    size = np.diff(cuts, append=0)[place]
    register = (place * width + bursts.along[burst]) * 2 + ~bursts.write[burst]
    order = np.argsort(register, kind="stable")
    burst = burst[order]
    return StreamPieces(burst, first[order], size[order], place[order], register[order], bursts.write[burst])


def _links(bursts: Bursts, pieces: StreamPieces, reads: Indices, writes: Indices) -> tuple[NDArray[np.int32], ...]:
    """The nine link arrays of Wiring from matched pieces: those that continue each other become one link."""
    reader, producer = pieces.burst[reads], pieces.burst[writes]
    read_every, write_every = bursts.every[reader], bursts.every[producer]
    common = np.gcd(read_every, write_every)
    read_step, write_step = write_every // common, read_every // common
    first = pieces.first[reads]
    order = np.lexsort((first, producer, reader))
    reader, producer, first = reader[order], producer[order], first[order]
    count, read_step = pieces.count[reads][order], read_step[order]
    after = first + count * read_step
    new = np.ones(len(order), np.bool_)
    new[1:] = (reader[1:] != reader[:-1]) | (producer[1:] != producer[:-1]) | (first[1:] != after[:-1])
    start = np.flatnonzero(new)
    total = np.add.reduceat(count, start) if len(start) else count
    alone = total == 1
    ordered = np.lexsort((first[start], reader[start]))
    start, total, alone = start[ordered], total[ordered], alone[ordered]
    reader, producer = reader[start], producer[start]
    columns = (
        bursts.operation[reader],
        bursts.ordinal[reader],
        first[start],
        np.where(alone, 1, read_step[start]),
        total,
        bursts.operation[producer],
        bursts.ordinal[producer],
        pieces.first[writes][order][start],
        np.where(alone, 1, write_step[order][start]),
    )
    return tuple(values.astype(np.int32) for values in columns)


def _touches(bursts: Bursts, pieces: StreamPieces, chosen: Indices) -> Touches:
    burst, first = pieces.burst[chosen], pieces.first[chosen]
    return Touches(
        bursts.operation[burst].astype(np.int32),
        bursts.ordinal[burst].astype(np.int32),
        first.astype(np.int32),
        pieces.count[chosen].astype(np.int32),
        bursts.cycle[burst] + first * bursts.every[burst],
    )
