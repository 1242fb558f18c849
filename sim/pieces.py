"""Operations cut into pieces that the fast machine executes whole, and the wiring between the pieces.

A piece is a run of elements of one operation. Most operations are one piece; loads and feeds are cut where a swap falls
between their dispatches, others only where bursts exchange data too finely to be ordered whole (`sim/order.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.program import Program
from isa.wiring import Wiring

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Runs of elements, ordered by (operation, first). Swaps are no pieces: they only divide the others."""

    operation: Indices
    first: Indices
    count: Indices

    def __len__(self) -> int:
        return len(self.operation)

    def of(self, operation: Indices, element: Indices) -> Indices:
        """The piece that each element of an operation is in."""
        span = int(max((self.first + self.count).max(initial=0), element.max(initial=0))) + 1
        return np.searchsorted(self.operation * span + self.first, operation * span + element, "right") - 1

    def cut(self, piece: Indices, element: Indices) -> Pieces:
        """These pieces with each of the named ones also cut before the named elements."""
        operation = np.concatenate([self.operation, self.operation[piece]])
        first = np.concatenate([self.first, element])
        order = np.lexsort((first, operation))
        operation, first = operation[order], first[order]
        new = np.ones(len(order), np.bool_)
        new[1:] = (operation[1:] != operation[:-1]) | (first[1:] != first[:-1])
        operation, first = operation[new], first[new]
        ends = np.zeros(int(operation.max(initial=0)) + 1, np.int64)
        np.maximum.at(ends, self.operation, self.first + self.count)
        following = np.append(first[1:], 0)
        last = np.append(operation[1:] != operation[:-1], True)
        return Pieces(operation, first, np.where(last, ends[operation], following) - first)


@dataclass(frozen=True, slots=True)
class Links:
    """Links of the wiring cut at the ends of pieces, ordered by (reader, read_stream, read_first); see `isa.wiring.Wiring`.

    `reader` and `producer` are pieces; elements count from the beginning of their piece.
    """

    reader: Indices
    read_stream: Indices
    read_first: Indices
    read_step: Indices
    count: Indices
    producer: Indices
    write_stream: Indices
    write_first: Indices
    write_step: Indices


@dataclass(frozen=True, slots=True)
class Facts:
    """What ordering needs to know of each operation, in program order."""

    cycle: Indices
    rep: Indices
    every: Indices
    skew: Indices
    group: Indices
    """Elements that cannot be parted: those folded into one result."""


def one_piece_each(program: Program, facts: Facts) -> Pieces:
    """Every operation but swaps as one piece."""
    chosen = np.array([i for i, op in enumerate(program.operations) if op.mnemonic != "swap"], np.int64)
    return Pieces(chosen, np.zeros(len(chosen), np.int64), facts.rep[chosen])


def cut_links(wiring: Wiring, pieces: Pieces, facts: Facts) -> Links:
    """The wiring of a legal program between pieces."""
    columns = (
        wiring.reader, wiring.read_stream, wiring.read_first, wiring.read_step, wiring.count,
        wiring.producer, wiring.write_stream, wiring.write_first, wiring.write_step,
    )  # fmt: skip
    table: Indices = np.stack([c.astype(np.int64) for c in columns])
    ends = _end_pieces(table, pieces, facts)
    split = np.flatnonzero((ends[0] != ends[1]) | (ends[2] != ends[3]))
    if len(split):
        keep = np.flatnonzero((ends[0] == ends[1]) & (ends[2] == ends[3]))
        table = np.concatenate([table[:, keep], _cut_table(table[:, split], pieces, facts)], axis=1)
        ends = _end_pieces(table, pieces, facts)
    reader, producer = ends[0], ends[2]
    table[2] -= pieces.first[reader]
    table[7] -= pieces.first[producer] // facts.group[table[5]]
    table[0], table[5] = reader, producer
    return Links(*table[:, np.lexsort((table[2], table[1], table[0]))])


def _end_pieces(table: Indices, pieces: Pieces, facts: Facts) -> tuple[Indices, Indices, Indices, Indices]:
    """Pieces of the first and last element that each link reads, and of those that it takes them from."""
    rows: list[Indices] = list(table)
    reader, _, first, step, count, producer, _, write_first, write_step = rows
    group = facts.group[producer]
    return (
        pieces.of(reader, first),
        pieces.of(reader, first + (count - 1) * step),
        pieces.of(producer, write_first * group),
        pieces.of(producer, (write_first + (count - 1) * write_step) * group),
    )


def _cut_table(table: Indices, pieces: Pieces, facts: Facts) -> Indices:
    """Links cut so that each has one piece at both ends."""
    counts: Indices = table[4]
    row = np.repeat(np.arange(len(counts)), counts)
    index = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    single = table[:, row]
    single[2] += index * single[3]
    single[7] += index * single[8]
    reader = pieces.of(single[0], single[2])
    producer = pieces.of(single[5], single[7] * facts.group[single[5]])
    new = np.ones(len(row), np.bool_)
    new[1:] = (row[1:] != row[:-1]) | (reader[1:] != reader[:-1]) | (producer[1:] != producer[:-1])
    start = np.flatnonzero(new)
    cut = single[:, start]
    cut[4] = np.diff(start, append=len(row))
    return cut
