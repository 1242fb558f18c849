"""Matmuls to loads, swaps and feeds, tile by tile, with what follows them chained to the last feed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, product

import numpy as np
from xdsl.ir import SSAValue

from compiler.dialects.graph import MatmulOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.chains import Chain
from compiler.lowering.context import Lowering, describe, weight_rows_per_cycle
from compiler.lowering.copies import copy_rows
from compiler.lowering.elementwise import ClusterBody
from compiler.lowering.fusion import Cluster
from compiler.lowering.matmul_plan import Plan, plan
from compiler.lowering.views import Run, View, runs
from compiler.scheduling.trip import Feed, Load, Read, ReadBlock, Swap, Trip, Write
from isa.chip import Side
from isa.errors import ModelFault
from isa.spec import ElementType


@dataclass(frozen=True, slots=True)
class Stationary:
    """Weights of one batch entry: row k of tile column n is row `row` + k of tile `tile` + n, or transposed, column by row."""

    buffer: str
    row: int
    tile: int
    transposed: bool = False
    splat: bool = False
    """One output column whose vector must fill every lane of the result."""


def lower_matmul(lowering: Lowering, op: MatmulOp, cluster: Cluster) -> None:
    """A matmul and the cluster that it feeds (which may be empty)."""
    lowering.origin = describe(op)
    spread = plan(op, lowering.chip)
    a = lowering.view(op.a)
    # The epilogue comes when the feed still reads: it must not walk the same slices, not even in the same order.
    a_alone = replace(a, columns=0)
    weights = list(_stationaries(lowering, op, spread.depth))
    body = None
    if cluster.operations:
        result = lowering.result(cluster.root.results[0])
        body = ClusterBody(lowering, cluster, result, {a.buffer: a_alone})
    else:
        result = lowering.result(op.result)
    product_of = MatmulJobs(lowering, spread, op.result, result.columns, a.columns, body)
    for index, weight in weights:
        views = [a.at(index), result.at(index)]
        views += [v.at(index) for v in body.views[1:]] if body else []
        product_of.run(views, weight)


def _stationaries(lowering: Lowering, op: MatmulOp, depth: int) -> Iterator[tuple[tuple[int, ...], Stationary]]:
    """The weights of every batch entry, with its index."""
    array = lowering.array_of(op.b)
    transposed = op.transpose_b is not None
    if array is not None:
        array = np.ascontiguousarray(np.swapaxes(array, -1, -2)) if transposed else array
        owner = op.b.owner
        stem = getattr(owner, "label", "w")
        buffer = lowering.stationary(array, stem, depth, "param" if hasattr(owner, "label") else "constant")
        inner = array.shape[-2]
        for i, index in enumerate(product(*(range(s) for s in array.shape[:-2]))):
            yield index, Stationary(buffer.name, i * inner, 0)
        return
    if transposed and not lowering.chip.mxm.transposed_load:
        raise ModelFault(
            f"matmul: chip {lowering.chip.name} cannot load transposed weights, and the second operand is computed at run time",
            hint="give the operand in [K, N] order, or choose a chip with mxm.transposed_load",
        )
    view = lowering.view(op.b)
    if view.strides[-1] != 1 and view.leading[-1] != 1:
        kind = tensor_of(op.b).type
        compact = lowering.temporary(kind, view.shape, weight_rows_per_cycle(lowering.chip, "sram", kind))
        copy_rows(lowering, view, compact)
        view = compact
    for index in product(*(range(s) for s in view.leading[:-1])):
        entry = view.at(index)
        splat = transposed and entry.leading == (1,)
        yield index, Stationary(entry.buffer, entry.offset, entry.tile, transposed, splat)


class MatmulJobs:
    """Trips of one matmul: for each job (a tile column, rows of one plane) all its steps over K."""

    def __init__(
        self, lowering: Lowering, spread: Plan, value: SSAValue | None, columns: int, inner: int, body: ClusterBody | None
    ) -> None:
        self.lowering, self.spread, self.value = lowering, spread, value
        self.columns, self.inner, self.body = columns, inner, body
        self.next_plane = 0
        self.current: list[View] = []

    def run(self, views: list[View], weight: Stationary) -> None:
        """views: activations, result, further operands of the body, all with the same leading sizes."""
        chip = self.lowering.chip
        self.current = views
        limit = chip.mxm.accumulators
        chunks = [c for run in runs(views, self.lowering.flow.buffers) for c in _cut(run, limit)]
        tiles = range(-(-self.columns // chip.lanes))
        queues: dict[Side | int | None, list[Iterator[None]]] = {}
        for tile in tiles:
            if self.spread.split_rows:
                for side, job in self.shared_tile(tile, chunks, weight):
                    queues.setdefault(side, []).append(job)
                continue
            plane = self.plane_for(tile, weight)
            for group in _groups(chunks, limit):
                queues.setdefault(plane, []).append(self.job((plane,), {plane: group}, tile, weight))
        _take_turns(list(queues.values()))

    def plane_for(self, tile: int, weight: Stationary) -> int:
        """The next plane in turn, on the side where the weights are."""
        side = self.lowering.flow.buffers[weight.buffer].sides.get((0, weight.tile + tile))
        planes = [p for p in self.spread.planes if side in (None, self.lowering.chip.planes[p].side)] or list(
            self.spread.planes
        )
        self.next_plane += 1
        turn = self.next_plane // max(1, len(self.spread.planes) // len(planes))
        return planes[turn % len(planes)]

    def shared_tile(self, tile: int, chunks: list[Run], weight: Stationary) -> Iterator[tuple[Side | None, Iterator[None]]]:
        """Jobs with the side that they are on. Every plane takes its share of the rows; planes of one side load together."""
        total = sum(c.count for c in chunks)
        shares = _shares(chunks, [total * i // len(self.spread.planes) for i in range(1, len(self.spread.planes))])
        work = {p: share for p, share in zip(self.spread.planes, shares, strict=True) if share}
        chip = self.lowering.chip
        sides: list[Side | None] = [chip.planes[p].side for p in work]
        for side in dict.fromkeys(sides):
            together = tuple(p for p in work if chip.planes[p].side == side)
            grouped = {p: _groups(work[p], chip.mxm.accumulators) for p in together}
            for turn in range(max(len(groups) for groups in grouped.values())):
                now = {p: groups[turn] for p, groups in grouped.items() if turn < len(groups)}
                yield side, self.job(tuple(now), now, tile, weight)

    def job(self, planes: tuple[int, ...], work: dict[int, list[Run]], tile: int, weight: Stationary) -> Iterator[None]:
        """All steps over K of one tile column, one a turn; one load for the planes, which are of one side."""
        depth = self.spread.depth
        for first in range(0, self.inner, depth):
            count = min(depth, self.inner - first)
            self.load(planes, tile, first, count, weight)
            for plane in planes:
                swap = self.lowering.trip()
                swap.nodes.append(Swap(plane, self.spread.mode))
            for plane in planes:
                entry = 0
                for chunk in work[plane]:
                    self.feed(plane, chunk, tile, first, count, entry)
                    entry += chunk.count
            yield

    def load(self, planes: tuple[int, ...], tile: int, first: int, count: int, weight: Stationary) -> None:
        buffer = self.lowering.flow.buffers[weight.buffer]
        trip = self.lowering.trip()
        mode, lanes = self.spread.mode, self.lowering.chip.lanes
        if weight.splat:
            value = trip.value("i8", lanes, streams=buffer.bytes)
            trip.nodes.append(Read(weight.buffer, weight.tile + first // lanes, weight.row, 0, lanes, value))
            trip.nodes.append(Load(planes, value, mode, lanes, 0, True))
            return
        if weight.transposed:
            row, source_tile = weight.row + tile * lanes, weight.tile + first // lanes
            count = min(lanes, self.columns - tile * lanes)
        else:
            row, source_tile = weight.row + first, weight.tile + tile
        per_cycle = min(buffer.stripes, count)
        value = trip.value("i8", -(-count // per_cycle), streams=per_cycle * buffer.bytes)
        trip.values[value].type = buffer.type
        trip.nodes.append(ReadBlock(weight.buffer, source_tile, row, count, per_cycle, value))
        trip.nodes.append(Load(planes, value, mode, count, 0, weight.transposed))

    def feed(self, plane: int, chunk: Run, tile: int, first: int, count: int, entry: int) -> None:
        lowering, lanes = self.lowering, self.lowering.chip.lanes
        trip = lowering.trip()
        kind: ElementType = "i8" if self.spread.mode == "i8" else "f16"
        source = trip.value(kind, chunk.count)
        a = self.current[0]
        trip.nodes.append(Read(a.buffer, a.tile + first // lanes, chunk.starts[0], chunk.steps[0], chunk.count, source))
        last = first + count == self.inner
        result = trip.value("i32" if self.spread.mode == "i8" else "f32", chunk.count) if last else -1
        trip.nodes.append(Feed(plane, source, self.spread.mode, count, first % lanes, entry, first == 0, chunk.count, result))
        if last:
            self.finish(trip, result, chunk, tile)

    def finish(self, trip: Trip, result: int, chunk: Run, tile: int) -> None:
        target = self.current[1]
        if self.body is None or self.value is None:
            trip.nodes.append(Write(target.buffer, target.tile + tile, chunk.starts[1], chunk.steps[1], result, chunk.count))
            return
        chain = Chain(trip, self.lowering.chip, chunk.count)
        chain.anchor(result)
        self.body.emit(trip, chain, {self.value: result}, tile, chunk.starts[1:], chunk.steps[1:])


def _take_turns(queues: list[list[Iterator[None]]]) -> None:
    """One step of each queue's job after the other, until all are done: so the planes will run them, and so their weights lie
    in memory. Jobs of one queue use the same accumulators, so each begins when the one before it is complete."""
    rest = [chain.from_iterable(jobs) for jobs in queues]
    while rest:
        rest = [jobs for jobs in rest if next(jobs, _DONE) is not _DONE]


_DONE = object()


def _cut(run: Run, limit: int) -> Iterator[Run]:
    """Pieces of at most `limit` rows, as equal as can be."""
    pieces = -(-run.count // limit)
    for i in range(pieces):
        first, end = run.count * i // pieces, run.count * (i + 1) // pieces
        yield _part(run, first, end - first)


def _groups(chunks: list[Run], limit: int) -> list[list[Run]]:
    """Neighbouring chunks that together fit the accumulators: they are fed to the same weights."""
    groups: list[list[Run]] = []
    total = limit + 1
    for chunk in chunks:
        if total + chunk.count > limit:
            groups.append([])
            total = 0
        groups[-1].append(chunk)
        total += chunk.count
    return groups


def _part(run: Run, first: int, count: int) -> Run:
    starts = tuple(s + first * d for s, d in zip(run.starts, run.steps, strict=True))
    return Run(count, starts, run.steps)


def _shares(chunks: list[Run], borders: list[int]) -> list[list[Run]]:
    """Chunks cut at the borders (row counts from the start), grouped between them."""
    shares: list[list[Run]] = [[]]
    done = 0
    rest = list(borders)
    for chunk in chunks:
        while rest and done + chunk.count > rest[0]:
            head = rest[0] - done
            if head > 0:
                shares[-1].append(_part(chunk, 0, head))
                chunk = _part(chunk, head, chunk.count - head)
                done += head
            shares.append([])
            rest.pop(0)
        shares[-1].append(chunk)
        done += chunk.count
        while rest and done == rest[0]:
            shares.append([])
            rest.pop(0)
    return shares + [[] for _ in rest]
