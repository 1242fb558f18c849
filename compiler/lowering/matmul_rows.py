"""Rows of a matmul's activations as feeds take them: cut, shared and grouped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from compiler.lowering.views import Run, View


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that one feed takes: a run over views of activations, result and further operands of the epilogue."""

    run: Run
    views: tuple[View, ...]

    @property
    def count(self) -> int:
        return self.run.count


def turned(chunks: list[Chunk], by: int) -> list[Chunk]:
    """The chunks, beginning with number `by` (modulo how many there are)."""
    by %= len(chunks)
    return chunks[by:] + chunks[:by]


def cut(chunk: Chunk, limit: int) -> Iterator[Chunk]:
    """Pieces of at most `limit` rows, as equal as can be."""
    for run in chunk.run.cut(limit):
        yield replace(chunk, run=run)


def groups_within(chunks: list[Chunk], limit: int) -> list[list[Chunk]]:
    """Neighbouring chunks that together fit the accumulators: they are fed to the same weights."""
    groups: list[list[Chunk]] = []
    total = limit + 1
    for chunk in chunks:
        if total + chunk.count > limit:
            groups.append([])
            total = 0
        groups[-1].append(chunk)
        total += chunk.count
    return groups


def part_of(chunk: Chunk, first: int, count: int) -> Chunk:
    """`count` rows of a chunk."""
    return replace(chunk, run=chunk.run.part(first, count))


def shares_between(chunks: list[Chunk], borders: list[int]) -> list[list[Chunk]]:
    """Chunks cut at the borders (row counts from the start), grouped between them."""
    shares: list[list[Chunk]] = [[]]
    done = 0
    rest = list(borders)
    for chunk in chunks:
        while rest and done + chunk.count > rest[0]:
            head = rest[0] - done
            if head > 0:
                shares[-1].append(part_of(chunk, 0, head))
                chunk = part_of(chunk, head, chunk.count - head)
                done += head
            shares.append([])
            rest.pop(0)
        shares[-1].append(chunk)
        done += chunk.count
        while rest and done == rest[0]:
            shares.append([])
            rest.pop(0)
    return shares + [[] for _ in rest]
