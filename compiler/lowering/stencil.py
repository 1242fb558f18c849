"""Stencils over packed images to loads, swaps and feeds, with what follows them chained to the last feed.

Rows of the result are cut into *turns*, each turn into a share for every plane: the planes of a side take the same blocks at
once, so that one load serves them, and each side has the weights in its own memory. The next stencil's first turn can begin
while the last turn of this one runs. Where there are too few rows to hide loads behind feeds, the sides take different tiles of
the result instead, and planes share the rows of those.
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
from isa.spec import ElementType

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
        queues = [self.side(side, jobs) for side, jobs in self.plan.jobs.items()]
        while queues:
            queues = [queue for queue in queues if next(queue, None) is not None]

    def rows_read(self, block: Block) -> Rows:
        rows, groups, _ = tensor_of(self.op.result).shape
        row_step, group_step = self.op.steps.get_values()
        found = np.full((rows, groups), -1, np.int64)
        y, q = np.arange(*block.y)[:, None], np.arange(*block.q)
        read = block.offset + y * row_step + q * group_step
        read[(read < 0) | (read >= self.source.rows)] = -1
        found[block.y[0] : block.y[1], q * self.op.phases.value.data + block.phase] = read
        return found.reshape(-1)

    def constant_rows(self) -> dict[int, View]:
        """By number those views of the body that are constants, the same in every row: a row for each plane, in slices of its
        own, for all planes may read them at once."""
        found: dict[int, View] = {}
        chip = self.lowering.chip
        for value, (i, *_) in self.body.where.items() if self.body else ():
            array = self.lowering.array_of(value)
            if array is not None and array.size == (array.shape[-1] if array.ndim else 1):
                found[i] = self.lowering.constant_for_planes(array.reshape(-1), [p.side for p in chip.planes])
        return found

    def side(self, side: Side, jobs: Sequence[Job]) -> Iterator[int]:
        """All trips of one side, a step at a time."""
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
                for plane in planes:
                    for walk, fresh, last in work[plane]:
                        self.feed(plane, number, walk, fresh, last)
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
        phases, groups = self.op.phases.value.data, tensor_of(self.op.result).shape[1]
        return rows if phases == 1 else rows[np.argsort(rows % groups % phases, kind="stable")]

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

    def feed(self, plane: int, number: int, walk: Walk, fresh: bool, last: bool) -> None:
        """One burst, in pieces where it comes to a border of a segment."""
        buffers = self.lowering.flow.buffers
        dense = [v for i, v in enumerate(self.body.views) if i not in self.own_rows] if self.body else [self.result]
        near = [self.source, *(dense if last else ())]
        starts = [v.offset + (walk.target if i else walk.source) for i, v in enumerate(near)]
        steps = [walk.target_step if i else walk.source_step for i in range(len(near))]
        entry = walk.entry
        for run in cut_at_segments(walk.count, starts, steps, [buffers[v.buffer] for v in near]):
            trip = self.lowering.trip()
            first, count = self.spans[number]
            kind: ElementType = "i8" if self.plan.mode == "i8" else "f16"
            source = trip.value(kind, run.count)
            block = self.blocks[number]
            tile = self.source.tile + block.source
            trip.nodes.append(Read(self.source.buffer, tile, run.starts[0], run.steps[0], run.count, source))
            result = trip.value("i32" if self.plan.mode == "i8" else "f32", run.count) if last else -1
            trip.nodes.append(Feed(plane, source, self.plan.mode, count, first, entry, fresh, run.count, result))
            entry += run.count
            if last:
                self.finish(trip, result, block.target, plane, run.count, run.starts[1] - self.result.offset, run.steps[1])

    def finish(self, trip: Trip, result: int, tile: int, plane: int, count: int, row: int, step: int) -> None:
        """What follows the sums of some rows of a tile."""
        if self.body is None:
            target = self.result
            trip.nodes.append(Write(target.buffer, target.tile + tile, target.offset + row, step, result, count))
            return
        starts = [v.offset + row for v in self.body.views]
        steps = [step] * len(starts)
        for i, view in self.own_rows.items():
            self.body.views[i] = view
            starts[i], steps[i] = plane, 0
        chain = Chain(trip, self.lowering.chip, count)
        chain.anchor(result)
        self.body.emit(trip, chain, {self.op.result: result}, tile, starts, steps)


def _span(matrix: NDArray[np.generic]) -> tuple[int, int]:
    """First row that is not zero, and how many there are up to the last one; a matrix of zeros has one row."""
    rows = np.flatnonzero(matrix.any(axis=1))
    return (int(rows[0]), int(rows[-1] - rows[0]) + 1) if len(rows) else (0, 1)
