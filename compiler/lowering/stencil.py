"""Stencils over packed images to loads, swaps and feeds, with what follows them chained to the last feed.

Rows of the result are cut into *turns*, each turn into a share for every plane: the planes of a side take the same blocks at
once, so that one load serves them, and each side has the weights in its own memory. The next stencil's first turn can begin
while the last turn of this one runs. What follows the sums of a side's planes is one trip, in which they share what is the same
for all rows: scales and biases of f32 for each plane would take half the slices of its side. Where there are too few rows to
hide loads behind feeds, the sides take different tiles of the result instead, and planes share the rows of those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compiler.dialects.graph import StencilOp
from compiler.dialects.graph_types import tensor_of
from compiler.layout.stencil import Block
from compiler.lowering.chains import Chain
from compiler.lowering.context import Lowering, describe
from compiler.lowering.elementwise import ClusterBody
from compiler.lowering.fusion import Cluster
from compiler.lowering.stencil_plan import Job, StencilPlan, stencil_plan
from compiler.lowering.views import View, cut_at_segments
from compiler.scheduling.trip import Feed, Load, Read, ReadBlock, Swap, Trip, Write
from isa.chip import Side

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Walk:
    """`count` rows of source and result that one burst walks; `entry` is the accumulator of the first."""

    count: int
    source: int
    source_step: int
    target: int
    target_step: int
    entry: int


@dataclass(frozen=True, slots=True)
class Burst:
    """A walk of a plane between borders of segments; `last` where its sums are complete."""

    plane: int
    walk: Walk
    fresh: bool
    last: bool

    def part(self, first: int, count: int) -> Burst:
        w = self.walk
        source, target = w.source + first * w.source_step, w.target + first * w.target_step
        return replace(self, walk=Walk(count, source, w.source_step, target, w.target_step, w.entry + first))


def lower_stencil(lowering: Lowering, op: StencilOp, cluster: Cluster) -> None:
    """A stencil and the cluster that it feeds (which may be empty)."""
    lowering.origin = describe(op)
    plan = stencil_plan(op, lowering.chip)
    source = lowering.view(op.x)
    body = None
    if cluster.operations:
        body = ClusterBody(lowering, cluster, {source.buffer: replace(source, columns=0)})
        result = body.views[0]
    else:
        result = lowering.result(op.result)
    lowering.copy_beside(cluster.result if cluster.operations else op.result, result)
    _Stencil(lowering, op, plan, source, result, body).run()


class _Stencil:
    """Trips of one stencil."""

    def __init__(
        self, lowering: Lowering, op: StencilOp, plan: StencilPlan, source: View, result: View, body: ClusterBody | None
    ) -> None:
        self.lowering, self.op, self.plan = lowering, op, plan
        self.source, self.result, self.body = source, result, body
        self.blocks = op.block_list
        self.reads = [self.rows_read(block) for block in self.blocks]
        """For each block and row of the result the row of the source that it reads, -1 for none."""
        matrices = lowering.array_of(op.w)
        assert matrices is not None
        self.matrices = matrices
        self.spans = [_span(matrix) for matrix in matrices]
        """Lanes first … first + count-1 that a block multiplies with anything but zero."""
        self.own_rows = self.constant_rows()

    def run(self) -> None:
        queues = [self.side(side, mine) for side, jobs in self.plan.jobs.items() for mine in _side_by_side(jobs)]
        while queues:
            queues = [queue for queue in queues if next(queue, None) is not None]

    def rows_read(self, block: Block) -> Rows:
        rows, groups, _ = tensor_of(self.op.result).shape
        row_step, group_step = self.op.steps.get_values()
        found = np.full((rows, groups), -1, np.int64)
        y, q = np.arange(*block.y)[:, None], np.arange(*block.q)
        read = block.offset + y * row_step + q * group_step
        read[(read < 0) | (read >= self.source.rows)] = -1
        row_phases, phases = self.op.phase_counts
        found[np.arange(*block.y)[:, None] * row_phases + block.phase[0], q * phases + block.phase[1]] = read
        return found.reshape(-1)

    def constant_rows(self) -> dict[int, View]:
        """By number those views of the body that are constants, the same in every row: a row for each side."""
        found: dict[int, View] = {}
        for value, (i, *_) in self.body.where.items() if self.body else ():
            array = self.lowering.array_of(value)
            if array is not None and array.size == (array.shape[-1] if array.ndim else 1):
                found[i] = self.lowering.constant_for_sides(array.reshape(-1), self.plan.sides)
        return found

    def side(self, side: Side, jobs: Sequence[Job]) -> Iterator[int]:
        """All trips of some jobs of one side, a step at a time."""
        used = {job.tile for job in jobs}
        numbers = [i for i, block in enumerate(self.blocks) if block.target in used]
        trimmed = [self.matrices[i, self.spans[i][0] : sum(self.spans[i])] for i in numbers]
        weights = self.lowering.near_stationary(trimmed, side)
        rows = dict(zip(numbers, weights.segments, strict=True))
        for job in jobs:
            mine = self.order([i for i in numbers if self.blocks[i].target == job.tile], side)
            orders = {plane: self.entries(share) for plane, share in job.shares}
            flags = {plane: self.flags(mine, order) for plane, order in orders.items()}
            for step, number in enumerate(mine):
                work = {
                    plane: list(self.walks(number, orders[plane], flags[plane][0] == step, flags[plane][1] == step))
                    for plane, _ in job.shares
                }
                planes = tuple(plane for plane, walks in work.items() if walks)
                if not planes:
                    continue
                self.load(planes, weights.name, rows[number], self.spans[number][1])
                for plane in planes:
                    self.lowering.trip().nodes.append(Swap(plane, self.plan.mode))
                bursts = {plane: [b for w in work[plane] for b in self.bursts(plane, *w)] for plane in planes}
                for burst in (b for plane in planes for b in bursts[plane] if not b.last):
                    self.feed(self.lowering.trip(), number, burst)
                for group in self.together([[b for b in bursts[plane] if b.last] for plane in planes], number):
                    self.finish(group, number)
                yield step

    def order(self, numbers: list[int], side: Side) -> list[int]:
        """Blocks of a tile in the order in which they are added. Where it may change, those that reach most rows come first
        and last, so that sums begin and end in few bursts."""
        if self.plan.mode != "i8" or len(numbers) < 3:
            return numbers
        reached = {i: int((self.reads[i] >= 0).sum()) for i in numbers}
        full = [i for i in numbers if reached[i] == max(reached.values())]
        rest = [i for i in numbers if i not in full]
        if not self.plan.near and side == "e":
            # Sides that read the same rows begin at opposite ends.
            full = full[::-1]
        return [*full[:1], *rest, *full[1:]] if len(full) > 1 else [*full, *rest]

    def entries(self, share: tuple[int, int]) -> Rows:
        """The share's rows in the order of their accumulators: those of one phase side by side."""
        rows = np.arange(*share)
        (row_phases, phases), groups = self.op.phase_counts, tensor_of(self.op.result).shape[1]
        if row_phases * phases == 1:
            return rows
        return rows[np.argsort(rows // groups % row_phases * phases + rows % groups % phases, kind="stable")]

    def flags(self, numbers: list[int], rows: Rows) -> tuple[Rows, Rows]:
        """For every row the first and the last of the steps that reach it."""
        reached = np.stack([self.reads[i][rows] >= 0 for i in numbers])
        assert reached.any(axis=0).all(), "every vector of a stencil's result is a sum of something"
        return reached.argmax(axis=0), len(numbers) - 1 - reached[::-1].argmax(axis=0)

    def walks(
        self, number: int, rows: Rows, fresh: NDArray[np.bool_], last: NDArray[np.bool_]
    ) -> Iterator[tuple[Walk, bool, bool]]:
        """Bursts of a block over some rows, with whether they begin and end their sums."""
        read = self.reads[number][rows]
        chosen = np.flatnonzero(read >= 0)
        if not len(chosen):
            return
        columns = np.stack([chosen, read[chosen], rows[chosen], fresh[chosen] * 2 + last[chosen]])
        steps = np.diff(columns)
        parted = (steps[0] != 1) | (steps[3] != 0)
        first, end = 0, len(chosen)
        while first < end:
            count = 1
            if first + 1 < end and not parted[first]:
                same = ~parted[first:] & (steps[1:3, first:] == steps[1:3, first, None]).all(axis=0)
                count = 1 + (int(np.argmin(same)) if not same.all() else len(same))
            entry, source, target, kind = (int(n) for n in columns[:, first])
            source_step, target_step = (int(n) for n in steps[1:3, first]) if count > 1 else (1, 1)
            yield Walk(count, source, source_step, target, target_step, entry), kind >= 2, kind % 2 == 1
            first += count

    def load(self, planes: tuple[int, ...], weights: str, row: int, count: int) -> None:
        buffer = self.lowering.flow.buffers[weights]
        trip = self.lowering.trip()
        per_cycle = min(buffer.stripes, count)
        value = trip.value("i8", -(-count // per_cycle), streams=per_cycle * buffer.bytes)
        trip.values[value].type = buffer.type
        trip.nodes.append(ReadBlock(weights, 0, row, count, per_cycle, value))
        trip.nodes.append(Load(planes, value, self.plan.mode, count))

    def bursts(self, plane: int, walk: Walk, fresh: bool, last: bool) -> Iterator[Burst]:
        """A walk in pieces where it comes to a border of a segment."""
        whole = Burst(plane, walk, fresh, last)
        near = [self.source, *(self.dense() if last else ())]
        starts = [v.offset + (walk.target if i else walk.source) for i, v in enumerate(near)]
        steps = [walk.target_step if i else walk.source_step for i in range(len(near))]
        first = 0
        for run in cut_at_segments(walk.count, starts, steps, [self.lowering.flow.buffers[v.buffer] for v in near]):
            yield whole.part(first, run.count)
            first += run.count

    def dense(self) -> list[View]:
        """What is read or written beside the source, a row for each row of the result."""
        return [v for i, v in enumerate(self.body.views) if i not in self.own_rows] if self.body else [self.result]

    def together(self, queues: list[list[Burst]], number: int) -> Iterator[list[Burst]]:
        """The bursts of several planes side by side, cut to equal lengths; alone where they share no constant, or would ask
        one slice for two rows."""
        while queues := [queue for queue in queues if queue]:
            count = min(queue[0].walk.count for queue in queues)
            heads = [queue[0].part(0, count) for queue in queues]
            for queue in queues:
                left = queue[0].walk.count - count
                queue[:1] = [queue[0].part(count, left)] if left else []
            if self.own_rows and self.apart(heads):
                yield heads
            else:
                yield from ([head] for head in heads)

    def apart(self, heads: Sequence[Burst]) -> bool:
        """Whether the bursts read and write different segments of everything but constants."""
        buffers = self.lowering.flow.buffers
        read = {(self.source_of(b), buffers[self.source.buffer].segment_of(self.source.offset + b.walk.source)) for b in heads}
        near = [(v, {buffers[v.buffer].segment_of(v.offset + b.walk.target) for b in heads}) for v in self.dense()]
        return all(len(segments) == len(heads) for segments in (read, *(segments for _, segments in near)))

    def feed(self, trip: Trip, number: int, burst: Burst) -> int:
        """Add the feed of a burst to a trip; its result, -1 for none."""
        first, depth = self.spans[number]
        walk = burst.walk
        source = trip.value("i8" if self.plan.mode == "i8" else "f16", walk.count)
        tile, row = self.source.tile + self.blocks[number].source, self.source.offset + walk.source
        trip.nodes.append(Read(self.source_of(burst), tile, row, walk.source_step, walk.count, source))
        result = trip.value("i32" if self.plan.mode == "i8" else "f32", walk.count) if burst.last else -1
        trip.nodes.append(Feed(burst.plane, source, self.plan.mode, depth, first, walk.entry, burst.fresh, walk.count, result))
        return result

    def source_of(self, burst: Burst) -> str:
        """The buffer that a plane reads: where the image lies twice, a copy for each side if the sides read the same rows, else
        for each plane of a side."""
        name, side = self.source.buffer, self.side_of(burst.plane)
        planes = [i for i, plane in enumerate(self.lowering.chip.planes) if plane.side == side]
        number = planes.index(burst.plane) if self.plan.near else self.plan.sides.index(side)
        alike = self.lowering.copies_alike(name)
        return alike[number % len(alike)]

    def finish(self, group: Sequence[Burst], number: int) -> None:
        """The last feeds of some planes, and what follows their sums."""
        trip, count = self.lowering.trip(), group[0].walk.count
        results = [self.feed(trip, number, burst) for burst in group]
        chain, tile = Chain(trip, self.lowering.chip, count), self.blocks[number].target
        for burst, result in zip(group, results, strict=True):
            if self.body is None:
                target, row = self.result, self.result.offset + burst.walk.target
                trip.nodes.append(Write(target.buffer, target.tile + tile, row, burst.walk.target_step, result, count))
                continue
            starts = [v.offset + burst.walk.target for v in self.body.views]
            steps = [burst.walk.target_step] * len(starts)
            for i, view in self.own_rows.items():
                self.body.views[i] = view
                starts[i], steps[i] = self.plan.sides.index(self.side_of(burst.plane)), 0
            chain.anchor(result)
            self.body.emit(trip, chain, {self.op.result: result}, tile, starts, steps)
        self.lowering.write_copies(trip)

    def side_of(self, plane: int) -> Side:
        side = self.lowering.chip.planes[plane].side
        assert side is not None, "planes of a stencil's plan have a side"
        return side


def _side_by_side(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs that go on side by side: each plane's, where none shares a job with another; else all in one row."""
    if any(len(job.shares) > 1 for job in jobs):
        return [list(jobs)]
    by_plane: dict[int, list[Job]] = {}
    for job in jobs:
        if job.shares:
            by_plane.setdefault(job.shares[0][0], []).append(job)
    return list(by_plane.values())


def _span(matrix: NDArray[np.generic]) -> tuple[int, int]:
    """First row that is not zero, and how many there are up to the last one; a matrix of zeros has one row."""
    rows = np.flatnonzero(matrix.any(axis=1))
    return (int(rows[0]), int(rows[-1] - rows[0]) + 1) if len(rows) else (0, 1)
