"""Matmuls to loads, swaps and feeds, tile by tile, with what follows them chained to the last feed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, product

from xdsl.ir import SSAValue

from compiler.dialects.graph import MatmulOp, ReduceOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.chains import Chain
from compiler.lowering.context import Lowering, describe, mxm_mode, mxm_sides
from compiler.lowering.elementwise import ClusterBody
from compiler.lowering.fusion import Cluster
from compiler.lowering.lane_permutes import only_lanes
from compiler.lowering.lane_tree import ALONG_TIME, FUNCTIONS
from compiler.lowering.matmul_plan import Plan, plan, plan_of_sum
from compiler.lowering.matmul_rows import Chunk, cut, groups_within, shares_between, turned
from compiler.lowering.stationary import Stationary, stationaries
from compiler.lowering.transposed_loads import load_blocks
from compiler.lowering.views import View, fixed_windows, runs
from compiler.scheduling.trip import Buffer, Compute, Feed, Load, Node, Read, ReadBlock, Swap, Trip, Write
from isa.chip import Chip, Side
from isa.program import Immediate
from isa.spec import BYTES, ElementType


def lower_matmul(lowering: Lowering, op: MatmulOp, cluster: Cluster) -> None:
    """A matmul and the cluster that it feeds (which may be empty)."""
    lowering.origin = describe(op)
    spread = plan(op, lowering.chip) if cluster.summed is None else plan_of_sum(op, lowering.chip)
    a = activations(lowering, op)
    # The epilogue comes when the feed still reads: it must not walk the same slices, not even in the same order.
    a_alone = replace(a, columns=0)
    weights = list(stationaries(lowering, op, spread))
    body = ClusterBody(lowering, cluster, {a.buffer: a_alone}) if cluster.operations or cluster.folds else None
    fold = cluster.row_fold if cluster.row_fold and _fed_at_once(lowering, a, spread, len(weights)) else None
    if fold is not None:
        folded = lowering.result(fold.result)
        result = replace(folded, leading=a.leading, strides=(*folded.strides[:-1], 0))
    else:
        result = body.views[0] if body else lowering.result(op.result)
        lowering.copy_beside(cluster.result, result)
    if cluster.summed is not None and body:
        jobs = MatmulJobs(lowering, spread, cluster.summed, result.columns, a.columns, body, result.plain, 1)
        jobs.run_summed(a, [v.at((0,) * len(result.leading)) for v in body.views], weights)
        return
    product_of = MatmulJobs(lowering, spread, op.result, result.columns, a.columns, body, result.plain, len(weights), fold)
    for index, weight in weights:
        views = [a.at(index), result.at(index)]
        views += [v.at(index) for v in body.views[1:]] if body else []
        product_of.run(views, weight)


def _fed_at_once(lowering: Lowering, a: View, spread: Plan, batches: int) -> bool:
    """Whether every matrix of a batch is one burst of one plane, so that a running fold sees all its rows."""
    if any(len(group) > 1 for group in spread.groups) or batches < len(spread.groups):
        return False
    entries = (a.at(index) for index in product(*(range(s) for s in a.leading[:-1])))
    bursts = [[run.count for run in runs([replace(e, column_steps=())], lowering.flow.buffers)] for e in entries]
    return bursts == [[a.leading[-1]]] * batches and a.leading[-1] <= lowering.chip.mxm.accumulators


def activations(lowering: Lowering, op: MatmulOp) -> View:
    """The left operand where it lies; a window must be fed in one step, for it lies within one tile of lanes."""
    view = lowering.window(op.a)
    return view if view.plain or view.columns <= lowering.chip.depth(mxm_mode(op.a, op.b)) else lowering.view(op.a)


def _shifted_together(chip: Chip, buffer: Buffer, most: int, count: int) -> tuple[int, ElementType]:
    """Rows of weights that the lane unit of a side moves in a cycle, at most so many, and as what type it moves them.

    Each of its slots takes up to four byte streams, and every one of them must have a row in every cycle, from a slice that
    none of the others needs then.
    """
    for rows in range(most, 0, -1):
        streams = rows * buffer.bytes
        kind: ElementType = "i32" if streams % 4 == 0 else "f16" if streams % 2 == 0 else "i8"
        if count % rows == 0 == buffer.stripes % rows and streams // BYTES[kind] <= chip.sxm.slots:
            return rows, kind
    return 1, buffer.type


MAX_MOVES = 2
"""VXM moves that a result may take to wait for the ports of slices that another plane's results go to (our choice)."""


class MatmulJobs:
    """Trips of one matmul: for each job (a tile column, rows of one plane) all its steps over K."""

    def __init__(
        self,
        lowering: Lowering,
        spread: Plan,
        value: SSAValue | None,
        columns: int,
        inner: int,
        body: ClusterBody | None,
        plain: bool,
        batches: int,
        fold: ReduceOp | None = None,
    ) -> None:
        self.lowering, self.spread, self.value = lowering, spread, value
        self.columns, self.inner, self.body, self.plain = columns, inner, body, plain
        self.batches, self.batch, self.fold = batches, 0, fold
        self.groups_of: dict[tuple[int, int], int] = {}

    def run(self, views: list[View], weight: Stationary) -> None:
        """views: activations, result, further operands of the body, all with the same leading sizes."""
        chip = self.lowering.chip
        chunks = self.chunks_of(views)
        tiles = list(range(-(-self.columns // chip.lanes)))
        if self.spread.halved:
            for tile in tiles:
                self.halved_tile(tile, chunks, weight)
            return
        queues: dict[tuple[int, Side | None], list[Iterator[None]]] = {}
        for turn, side in enumerate(mxm_sides(chip)):
            # Where all sides load every tile, no two of them begin with the same one, for it is in the memory of one side.
            for tile in [*tiles[turn % len(tiles) :], *tiles[: turn % len(tiles)]] if self.spread.across_sides else tiles:
                number = self.groups_of.setdefault((self.batch, tile), -1)
                if number < 0:
                    number = self.groups_of[self.batch, tile] = self.group_for(tile, weight)
                for job in self.shared_tile(self.spread.groups[number], side, number, tile, chunks, weight):
                    queues.setdefault((number, side), []).append(job)
        _take_turns(list(queues.values()))
        self.batch += 1

    def chunks_of(self, views: list[View]) -> list[Chunk]:
        chip = self.lowering.chip
        return [
            c
            for fixed in fixed_windows(views)
            for run in runs(fixed, self.lowering.flow.buffers)
            for c in cut(Chunk(run, tuple(v.tiled(chip.lanes) for v in fixed)), chip.mxm.accumulators)
        ]

    def group_for(self, tile: int, weight: Stationary) -> int:
        """The group of planes for a tile column: the next in turn on the side where the weights are. Entries of a batch go to
        the groups in blocks, for their results lie in memory in blocks."""
        groups, lowering = self.spread.groups, self.lowering
        if self.batches >= len(groups):
            return self.batch * len(groups) // self.batches
        side = self.side_of_weights(tile, weight)
        near = [i for i, planes in enumerate(groups) if side in (None, lowering.chip.planes[planes[0]].side)]
        near = near or list(range(len(groups)))
        turn = lowering.turns.get(near[0], 0)
        lowering.turns[near[0]] = turn + 1
        return near[turn % len(near)]

    def side_of_weights(self, tile: int, weight: Stationary) -> Side | None:
        """Where a tile column of weights lies; None where all planes are as near, for what is transposed lies on one side."""
        buffer = self.lowering.flow.buffers[weight.buffer]
        if weight.uniform:
            return None
        if not weight.transposed:
            return buffer.sides.get((buffer.segment_of(weight.row), weight.tile + tile))
        if len(buffer.segments) == 1:
            return buffer.sides.get((0, weight.tile + tile))
        return buffer.sides.get((buffer.segment_of(weight.row + tile * self.lowering.chip.lanes), weight.tile))

    def shared_tile(
        self, group: tuple[int, ...], side: Side | None, number: int, tile: int, chunks: list[Chunk], weight: Stationary
    ) -> Iterator[Iterator[None]]:
        """Jobs of one side. Every plane of the group takes its share of the rows; groups begin as far apart in it as can be,
        so that no two of them read the same slice at once."""
        total, groups = sum(c.count for c in chunks), len(self.spread.groups)
        shares = shares_between(chunks, [total * i // len(group) for i in range(1, len(group))])
        chip = self.lowering.chip
        work = {
            p: turned(share, number * len(share) // groups)
            for p, share in zip(group, shares, strict=True)
            if share and chip.planes[p].side == side
        }
        grouped = {p: groups_within(share, chip.mxm.accumulators) for p, share in work.items()}
        for turn in range(max((len(parts) for parts in grouped.values()), default=0)):
            now = {p: parts[turn] for p, parts in grouped.items() if turn < len(parts)}
            yield self.job(tuple(now), now, tile, weight)

    def halved_tile(self, tile: int, chunks: list[Chunk], weight: Stationary) -> None:
        """A tile column of which each side has some steps over K, those whose weights are near. The last feeds of planes that
        face each other are one trip, in which their sums meet."""
        chip, buffer = self.lowering.chip, self.lowering.flow.buffers[weight.buffer]
        sides = mxm_sides(chip)
        planes = [[p for p in self.spread.groups[0] if chip.planes[p].side == side] for side in sides]
        total = sum(c.count for c in chunks)
        shares = shares_between(chunks, [total * i // len(planes[0]) for i in range(1, len(planes[0]))])
        steps: list[list[tuple[int, int]]] = [[], []]
        for number, first in enumerate(range(0, self.inner, self.spread.depth)):
            side = sides[number % 2]
            if not weight.uniform:
                side = buffer.sides.get((buffer.segment_of(weight.row + first), weight.tile + tile), side)
            steps[sides.index(side)].append((first, min(self.spread.depth, self.inner - first)))
        for mine, others in ((0, 1), (1, 0)):
            if not steps[mine]:
                steps[mine].append(steps[others].pop())
        for turn in range(max(len(s) for s in steps)):
            for own, side_steps in zip(planes, steps, strict=True):
                if turn < len(side_steps):
                    self.load_and_swap(own, tile, *side_steps[turn], weight)
                    if turn < len(side_steps) - 1:
                        for plane, share in zip(own, shares, strict=True):
                            self.feed_share(plane, share, tile, *side_steps[turn], fresh=turn == 0)
        fresh = [len(s) == 1 for s in steps]
        for number, share in enumerate(shares):
            facing, entry = [own[number] for own in planes], 0
            for chunk in share:
                trip = self.lowering.trip()
                chain = Chain(trip, self.lowering.chip, chunk.count)
                sums: list[int | Immediate] = []
                for plane, side_steps, new in zip(facing, steps, fresh, strict=True):
                    part = self.add_feed(trip, plane, chunk, tile, *side_steps[-1], entry, fresh=new, last=True)
                    if chunk.views[1].column:
                        part = shifted(trip, f"sxm.{chip.planes[plane].side}", part, chunk.views[1].column)
                    chain.anchor(part)
                    sums.append(part)
                self.leave(trip, chain, chain.operation("iadd", sums, "i32"), chunk, tile)
                self.lowering.write_copies(trip)
                entry += chunk.count

    def load_and_swap(self, planes: Sequence[int], tile: int, first: int, count: int, weight: Stationary) -> None:
        """Weights of a step, if the planes do not have them."""
        if self.held(planes, tile, count, weight):
            return
        self.load(tuple(planes), tile, first, count, weight)
        for plane in planes:
            self.lowering.trip().nodes.append(Swap(plane, self.spread.mode))
            self.lowering.held[plane] = (
                (self.spread.mode, weight.buffer, weight.tile + tile, count),
                len(self.lowering.flow.trips),
            )
            self.lowering.entries[plane] = 0

    def held(self, planes: Sequence[int], tile: int, count: int, weight: Stationary) -> bool:
        """Whether the planes have the weights of this step already: those of another one, if rows are all alike."""
        trips, mode = self.lowering.flow.trips, self.spread.mode

        def replaces(node: Node, plane: int) -> bool:
            if not isinstance(node, Swap) or node.plane // 2 != plane // 2:
                return False
            return node.plane == plane or (node.mode, mode) != ("i8", "i8")

        def holds(plane: int) -> bool:
            (*alike, rows), since = self.lowering.held.get(plane, (("", "", 0, 0), 0))
            same = alike == [mode, weight.buffer, weight.tile + tile] and rows >= count
            return same and not any(replaces(node, plane) for trip in trips[since:] for node in trip.nodes)

        return weight.uniform and all(holds(plane) for plane in planes)

    def feed_share(self, plane: int, share: list[Chunk], tile: int, first: int, count: int, *, fresh: bool) -> None:
        entry = 0
        for chunk in share:
            self.add_feed(self.lowering.trip(), plane, chunk, tile, first, count, entry, fresh=fresh, last=False)
            entry += chunk.count

    def job(self, planes: tuple[int, ...], work: dict[int, list[Chunk]], tile: int, weight: Stationary) -> Iterator[None]:
        """All steps over K of one tile column, one a turn; one load for the planes, which are of one side."""
        depth, begin = self.spread.depth, 0
        for first in range(0, self.inner, depth):
            count = min(depth, self.inner - first)
            self.load_and_swap(planes, tile, first, count, weight)
            begin = self.entries_for(planes, work) if first == 0 else begin
            last = first + count == self.inner
            turns = self.turns_of_end([work[plane] for plane in planes], weight) if last else None
            if turns is not None:
                entry = begin
                for chunks in zip(*(work[plane] for plane in planes), strict=True):
                    self.finish_together(planes, chunks, tile, first, count, entry, turns)
                    entry += chunks[0].count
                yield
                continue
            for plane in planes:
                entry = begin
                for chunk in work[plane]:
                    lane = 0 if weight.transposed else weight.lane
                    self.feed(plane, chunk, tile, first, count, entry, lane, fresh=first == 0, last=last)
                    entry += chunk.count
            yield

    def entries_for(self, planes: tuple[int, ...], work: dict[int, list[Chunk]]) -> int:
        """First accumulator entry for the sums of a job: behind those of jobs with the same weights, so that these need not end
        before it begins."""
        entries = self.lowering.entries
        rows = max(sum(chunk.count for chunk in work[plane]) for plane in planes)
        first = max(entries.get(plane, 0) for plane in planes)
        first = first if first + rows <= self.lowering.chip.mxm.accumulators else 0
        entries.update({plane: first + rows for plane in planes})
        return first

    def turns_of_end(self, queues: Sequence[list[Chunk]], weight: Stationary) -> list[int] | None:
        """How many cycles after its sums each plane of a side writes its share where all end in one trip: plain results, whose
        epilogue reads constants. None where they cannot.

        Where shares lie in the same slices (in one segment, or in stripes), they are written one after the other."""
        moved = weight.lane or not self.plain or self.fold is not None
        if moved or self.body is None or self.body.spread or len(queues) < 2 or len({len(queue) for queue in queues}) > 1:
            return None
        body, buffers = self.body, self.lowering.flow.buffers
        together = [[chunk.run for chunk in chunks] for chunks in zip(*queues, strict=True)]
        fed = buffers[queues[0][0].views[0].buffer]
        if any(len({fed.segment_of(run.starts[0]) for run in walks}) < len(walks) for walks in together):
            return None
        if not all(body.share(walks, first=1, late=True) for walks in together):
            return None
        rows = sum(chunk.count for chunk in queues[0])
        apart = all(body.in_segments(walks, i, first=1) for walks in together for i in body.written)
        turns = [0 if apart else rows * number for number in range(len(queues))]
        return turns if apart or self.can_wait(turns) else None

    def can_wait(self, turns: Sequence[int]) -> bool:
        """Whether the vector unit can hold results back for so long: few moves each, no more operations than ALUs."""
        assert self.body is not None
        vxm, move = self.lowering.chip.vxm, self.lowering.chip.timing["vxm.alu"].latency
        moves = sum(-(-turn // (move + vxm.max_delay)) for turn in turns) * len(self.body.written)
        operations = len(turns) * len(self.body.cluster.operations) + moves
        return turns[1] >= move and turns[-1] <= MAX_MOVES * (move + vxm.max_delay) and operations <= vxm.alus

    def finish_together(
        self,
        planes: tuple[int, ...],
        chunks: Sequence[Chunk],
        tile: int,
        first: int,
        count: int,
        entry: int,
        turns: Sequence[int],
    ) -> None:
        """The last feeds of some planes of a side, and what follows their sums, in one trip: what is the same for all rows is
        read once. `turns` as `turns_of_end` gives them."""
        trip = self.lowering.trip()
        chain = Chain(trip, self.lowering.chip, chunks[0].count)
        results = [
            self.add_feed(trip, plane, chunk, tile, first, count, entry, fresh=first == 0, last=True)
            for plane, chunk in zip(planes, chunks, strict=True)
        ]
        for result, chunk, later in zip(results, chunks, turns, strict=True):
            chain.anchor(result)
            self.leave(trip, chain, result, chunk, tile, later=later)
        self.lowering.write_copies(trip)

    def run_summed(self, a: View, others: list[View], weights: Sequence[tuple[tuple[int, ...], Stationary]]) -> None:
        """The sum of all rows that the batch entries give, in one accumulator entry for each tile column. `others` are the
        result and further operands of the body, a row each."""
        queues: dict[int, list[Iterator[None]]] = {}
        for tile in range(-(-self.columns // self.lowering.chip.lanes)):
            (plane,) = self.spread.groups[self.group_for(tile, weights[0][1])]
            queues.setdefault(plane, []).append(self.summed_job(plane, tile, a, others, weights))
        _take_turns(list(queues.values()))

    def summed_job(
        self,
        plane: int,
        tile: int,
        a: View,
        others: list[View],
        weights: Sequence[tuple[tuple[int, ...], Stationary]],
    ) -> Iterator[None]:
        """One tile column: the weights of one batch entry after the other, each multiplied by all its rows."""
        for number, (index, weight) in enumerate(weights):
            self.load((plane,), tile, 0, self.inner, weight)
            self.lowering.trip().nodes.append(Swap(plane, self.spread.mode))
            rows = list(product(*(range(size) for size in a.leading[len(index) :])))
            for row in rows:
                lane, first = 0 if weight.transposed else weight.lane, (number, row) == (0, rows[0])
                last = (number, row) == (len(weights) - 1, rows[-1])
                for chunk in self.chunks_of([a.at((*index, *row)), *others]):
                    self.feed(plane, chunk, tile, 0, self.inner, 0, lane, fresh=first, last=last)
            yield

    def load(self, planes: tuple[int, ...], tile: int, first: int, count: int, weight: Stationary) -> None:
        if weight.groups > 1:
            self.load_groups(planes, tile, count, weight)
            return
        name = weight.for_side(self.lowering.chip.planes[planes[0]].side)
        buffer = self.lowering.flow.buffers[name]
        trip = self.lowering.trip()
        mode, lanes = self.spread.mode, self.lowering.chip.lanes
        if weight.blocks:
            tile_of, lane = divmod(weight.lane + first, lanes)
            load_blocks(self.lowering, trip, weight.blocks[tile_of], tile, lane, count, planes)
            return
        if weight.splat:
            value = trip.value("i8", lanes, streams=buffer.bytes)
            trip.nodes.append(Read(weight.buffer, weight.tile + first // lanes, weight.row, 0, lanes, value))
            trip.nodes.append(Load(planes, value, mode, lanes, 0, True))
            return
        if weight.transposed:
            row, source_tile = weight.row + tile * lanes, weight.tile + first // lanes
            count = min(lanes, self.columns - tile * lanes)
        else:
            row, source_tile = weight.row + (0 if weight.uniform else first), weight.tile + tile
        per_cycle = min(buffer.stripes, count)
        moved = weight.transposed and weight.lane
        kind: ElementType = buffer.type
        if moved:
            per_cycle, kind = _shifted_together(self.lowering.chip, buffer, per_cycle, count)
        value = trip.value(kind, -(-count // per_cycle), streams=per_cycle * buffer.bytes)
        trip.nodes.append(ReadBlock(name, source_tile, row, count, per_cycle, value))
        if moved:
            side = self.lowering.chip.planes[planes[0]].side
            value = shifted(trip, f"sxm.{side}", value, -weight.lane)
        trip.nodes.append(Load(planes, value, mode, count, 0, weight.transposed))

    def load_groups(self, planes: tuple[int, ...], tile: int, depth: int, weight: Stationary) -> None:
        """The weights of products side by side: the rows once for each of them, past the lane unit, which leaves its lanes."""
        lowering, buffer = self.lowering, self.lowering.flow.buffers[weight.buffer]
        count, width = depth // weight.groups, self.columns // weight.groups
        # The rows take as many byte streams before the lane unit as behind it, and the map four beside them.
        most = min(buffer.stripes, count, (lowering.chip.streams - BYTES["i32"]) // 2 // buffer.bytes)
        per_cycle, kind = _shifted_together(lowering.chip, buffer, most, count)
        side = lowering.chip.planes[planes[0]].side or "w"
        for group in range(weight.groups):
            trip = lowering.trip()
            rows = trip.value(kind, count // per_cycle, streams=per_cycle * buffer.bytes)
            trip.nodes.append(ReadBlock(weight.buffer, weight.tile + tile, weight.row, count, per_cycle, rows))
            window = range(weight.lane + group * width, weight.lane + (group + 1) * width)
            kept = only_lanes(lowering, trip, rows, window, side)
            trip.nodes.append(Load(planes, kept, self.spread.mode, count, group * count))

    def feed(
        self, plane: int, chunk: Chunk, tile: int, first: int, count: int, entry: int, lane: int, *, fresh: bool, last: bool
    ) -> None:
        """One step of a chunk; the result begins at lane `lane`."""
        trip = self.lowering.trip()
        result = self.add_feed(trip, plane, chunk, tile, first, count, entry, fresh=fresh, last=last)
        if last:
            self.finish(trip, plane, result, chunk, tile, lane)

    def add_feed(
        self, trip: Trip, plane: int, chunk: Chunk, tile: int, first: int, count: int, entry: int, *, fresh: bool, last: bool
    ) -> int:
        """One step of a chunk as part of a trip; its result, or -1 where the sum stays in the accumulator."""
        lowering, lanes = self.lowering, self.lowering.chip.lanes
        kind: ElementType = "i8" if self.spread.mode == "i8" else "f16"
        source = trip.value(kind, chunk.count)
        a, run = chunk.views[0], chunk.run
        alike = lowering.copies_alike(a.buffer)
        buffer = alike[self.groups_of.get((self.batch, tile), 0) % len(alike)]
        trip.nodes.append(Read(buffer, a.tile + first // lanes, run.starts[0], run.steps[0], chunk.count, source))
        result = trip.value("i32" if self.spread.mode == "i8" else "f32", chunk.count) if last else -1
        window = a.column + first % lanes
        trip.nodes.append(Feed(plane, source, self.spread.mode, count, window, entry, fresh, chunk.count, result))
        return result

    def finish(self, trip: Trip, plane: int, result: int, chunk: Chunk, tile: int, lane: int) -> None:
        """The result, which begins at `lane`, through the epilogue to its place."""
        target, run = chunk.views[1], chunk.run
        if lane != target.column:
            result = shifted(trip, f"sxm.{self.lowering.chip.planes[plane].side}", result, target.column - lane)
        if self.fold is not None:
            kind = tensor_of(self.fold.result).type
            chain = Chain(trip, self.lowering.chip, chunk.count)
            chain.anchor(result)
            total = chain.operation(
                ALONG_TIME[f"i{FUNCTIONS[self.fold.fn.data.value]}"], [result], kind, {"group": chunk.count}
            )
            trip.nodes.append(Write(target.buffer, target.tile + tile, run.starts[1], 1, total, 1))
            return
        chain = Chain(trip, self.lowering.chip, chunk.count)
        chain.anchor(result)
        side = self.lowering.chip.planes[plane].side or "w"
        turn = [p.side for p in self.lowering.chip.planes[:plane]].count(side)
        self.leave(trip, chain, result, chunk, tile, side, turn)
        self.lowering.write_copies(trip)

    def leave(
        self,
        trip: Trip,
        chain: Chain,
        result: int,
        chunk: Chunk,
        tile: int,
        side: Side = "w",
        turn: int = 0,
        later: int = 0,
    ) -> None:
        """The result, which is at its lanes, to memory, through the epilogue if there is one. `chain` has it."""
        target, run = chunk.views[1], chunk.run
        into = None if self.plain else target
        if self.body is None or self.value is None:
            window = () if into is None else (into.column, into.columns)
            trip.nodes.append(
                Write(target.buffer, target.tile + tile, run.starts[1], run.steps[1], result, chunk.count, window=window)
            )
        else:
            self.body.emit(trip, chain, {self.value: result}, tile, run.starts[1:], run.steps[1:], into, side, turn, later)


def shifted(trip: Trip, unit: str, value: int, by: int) -> int:
    """The value with its lanes moved, on its way past a lane unit."""
    source = trip.values[value]
    result = trip.value(source.type, source.count, source.every, source.streams)
    trip.nodes.append(Compute(unit, "shift", (value,), {"by": by}, source.count, source.every, result))
    return result


def _take_turns(queues: list[list[Iterator[None]]]) -> None:
    """One step of each queue's job after the other, until all are done: so the planes will run them, and so their weights lie
    in memory. Jobs of one queue use the same accumulators, so each begins when the one before it is complete."""
    rest = [chain.from_iterable(jobs) for jobs in queues]
    while rest:
        rest = [jobs for jobs in rest if next(jobs, _DONE) is not _DONE]


_DONE = object()
