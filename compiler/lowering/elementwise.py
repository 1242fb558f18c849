"""Elementwise operations and casts to VXM chains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from xdsl.ir import Operation, SSAValue

from compiler.dialects.graph import BinaryOp, CastOp, ReduceOp, TakeOp, UnaryOp, WhereOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.chains import Chain
from compiler.lowering.context import Lowering, Parts, describe
from compiler.lowering.copies import copy_rows
from compiler.lowering.fusion import Cluster, Spread, converts_by_reading
from compiler.lowering.lane_maps import lane_places, lane_sides
from compiler.lowering.lane_permutes import permuted
from compiler.lowering.lane_tree import FUNCTIONS, folded, parts_together
from compiler.lowering.views import Run, View, runs, view_of
from compiler.scheduling.trip import Compute, Read, Trip, Write
from isa.chip import Side
from isa.program import Immediate
from isa.spec import BYTES, ElementType

FLOAT = {
    "neg": "fneg", "abs": "fabs", "exp": "fexp", "log": "flog", "sqrt": "fsqrt", "rsqrt": "frsqrt", "recip": "frecip",
    "tanh": "ftanh", "erf": "ferf", "sin": "fsin", "cos": "fcos", "atan": "fatan", "floor": "ffloor", "round": "fround",
    "add": "fadd", "sub": "fsub", "mul": "fmul", "max": "fmax", "min": "fmin", "lt": "flt", "le": "fle", "eq": "feq",
}  # fmt: skip
INTEGER = {
    "add": "iadd", "sub": "isub", "mul": "imul", "max": "imax", "min": "imin", "lt": "ilt", "le": "ile", "eq": "ieq",
    "bitand": "iand", "bitor": "ior", "bitxor": "ixor", "shl": "ishl", "shr": "ishr",
}  # fmt: skip


MAX_ROWS = 128
"""Rows of one trip: a longer burst keeps slices from others, and who reads its result waits for all of it (our choice)."""

Operand = Callable[[SSAValue, Operation, str], "int | Immediate"]


def immediate(value: float, domain: str) -> Immediate:
    """A scalar as the operand that the domain reads."""
    if domain == "i":
        return Immediate(int(value) & 0xFFFF_FFFF)
    return Immediate(int(np.float32(value).view(np.uint32)))


def lower_cluster(lowering: Lowering, cluster: Cluster) -> None:
    """A cluster without a matmul: one trip for each tile and run of rows."""
    assert cluster.root is not None
    lowering.origin = describe(cluster.root)
    body = ClusterBody(lowering, cluster)
    result = body.views[0]
    lowering.copy_beside(cluster.result, result)
    pieces = [piece for walk in runs(body.views, lowering.flow.buffers) for piece in walk.cut(MAX_ROWS)]
    for walks in _pairs(body, pieces):
        for tile in range(-(-result.columns // lowering.chip.lanes)):
            trip = lowering.trip()
            chain = Chain(trip, lowering.chip, walks[0].count)
            for run in walks:
                body.emit(trip, chain, {}, tile, run.starts, run.steps)
            lowering.write_copies(trip)


def _pairs(body: ClusterBody, pieces: list[Run]) -> list[tuple[Run, ...]]:
    """The pieces, two to a trip where the two read the same row of some views all the time, so that these are read once, and
    the trip has streams and ALUs enough for both."""
    half, chip = len(pieces) // 2, body.lowering.chip
    pairs = list(zip(pieces[:half], pieces[half:], strict=True)) if pieces and len(pieces) % 2 == 0 else []
    if not pairs or body.cluster.folds or not all(body.share(pair) for pair in pairs):
        return [(piece,) for piece in pieces]
    trial = Trip(body.lowering.origin)
    body.emit(trial, Chain(trial, chip, pieces[0].count), {}, 0, pieces[0].starts, pieces[0].steps)
    operations = sum(isinstance(node, Compute) and node.unit == "vxm" for node in trial.nodes)
    same = [i for i in range(len(body.views)) if body.alike(pairs[0], i)]
    kinds = [BYTES[body.lowering.flow.buffers[view.buffer].type] for view in body.views]
    streams = sum(kind if i in same else 2 * kind for i, kind in enumerate(kinds))
    fits = 2 * operations <= chip.vxm.alus and streams <= chip.streams
    return list(pairs) if fits else [(piece,) for piece in pieces]


class ClusterBody:
    """The operations of a cluster as a chain, once for each trip. `views[0]` is the result, then come operands, then the parts
    of folds, then what else leaves. A result that nobody else reads has no memory: its view says how it would be walked.

    `taken` has the views that the trip reads besides, by buffer.
    """

    def __init__(self, lowering: Lowering, cluster: Cluster, taken: dict[str, View] | None = None) -> None:
        self.lowering, self.cluster = lowering, cluster
        self.fold_parts = [self.parts_of(fold) for fold in cluster.folds]
        self.leaving = cluster.leaving
        self.more = [lowering.result(op.results[0]) for op in self.leaving]
        columns = tensor_of(cluster.result).shape[-1:]
        unwritten = self.more or [replace(parts[0], columns=columns[0]) for parts in self.fold_parts]
        result = lowering.result(cluster.result) if cluster.written else unwritten[0]
        inside: set[SSAValue] = {op.results[0] for op in cluster.operations}
        if cluster.product is not None:
            inside.add(cluster.product)
        self.operands: list[SSAValue] = []
        self.scalars: dict[SSAValue, float] = {}
        for op in cluster.operations:
            for value in op.operands:
                if value in inside or value in self.operands:
                    continue
                scalar = self.uniform(value)
                if scalar is not None:
                    self.scalars[value] = scalar
                if scalar is None or value is not self.immediate_of(op):
                    self.operands.append(value)
        self.products = {add: mul for add in cluster.operations if (mul := self.product_in(add))}
        """Sums with the product among their operands that the same VXM operation makes."""
        taken = {} if taken is None else taken
        self.views = [result]
        self.where: dict[SSAValue, list[int]] = {}
        self.spread: dict[SSAValue, Spread] = {spread.value: spread for spread in cluster.spread}
        for value in self.operands:
            if value in self.spread:
                self.where[value] = [len(self.views), len(self.views) + 1]
                self.views += self.walks_of(self.spread[value], result, taken)
                continue
            views = self.views_of(value)
            self.where[value] = list(range(len(self.views), len(self.views) + len(views)))
            self.views += [self.apart(view, value, taken).broadcast(result.leading) for view in views]
        self.first_part = len(self.views)
        self.views += [part for parts in self.fold_parts for part in parts]
        self.first_more = len(self.views)
        self.views += self.more
        self.written = {0, *range(self.first_more, len(self.views))}
        """Numbers of the views that trips write from the chain."""

    def alike(self, walks: Sequence[Run], i: int, first: int = 0) -> bool:
        """Whether walks of one trip, whose views begin with number `first`, read the same row of view `i` all the time."""
        at = i + first
        return len({(walk.starts[at], walk.steps[at]) for walk in walks}) == 1 and walks[0].steps[at] == 0

    def in_segments(self, walks: Sequence[Run], i: int, first: int = 0) -> bool:
        """Whether walks of one trip are in different segments of view `i`, and of its copies."""
        lowering, name = self.lowering, self.views[i].buffer
        buffers = [lowering.flow.buffers[n] for n in (name, *lowering.copies.get(name, ()))]
        return all(len({b.segment_of(walk.starts[i + first]) for walk in walks}) == len(walks) for b in buffers)

    def share(self, walks: Sequence[Run], first: int = 0, late: bool = False) -> bool:
        """Whether walks, equally long, read the same row of some views all the time, and no segment of the others twice; with
        `late` they may write the same one, one after the other."""
        numbers = range(len(self.views))
        alike = [i for i in numbers if self.alike(walks, i, first)]
        rest = [i for i in numbers if i not in alike and not (late and i in self.written)]
        return bool(alike) and len({walk.count for walk in walks}) == 1 and all(self.in_segments(walks, i, first) for i in rest)

    def views_of(self, value: SSAValue) -> tuple[View, ...]:
        """The operand's view; the parts of a fold that nobody has joined so far, where streams are enough to read them."""
        parts = self.lowering.parts.get(value)
        if parts is None or self.lowering.made(value):
            return (self.lowering.view(value),)
        others = sum(BYTES[tensor_of(v).type] for v in self.operands if v is not value)
        apart = len({part.buffer for part in parts.views}) == len(parts.views)
        enough = apart and others + len(parts.views) * BYTES[tensor_of(value).type] <= self.lowering.chip.streams * 3 // 4
        return parts.views if enough else (self.lowering.view(value),)

    def walks_of(self, spread: Spread, result: View, taken: dict[str, View]) -> list[View]:
        """Of a column of splats that is made on the way: one row for each matrix of the result, and the map of the first
        side."""
        row = self.lowering.view(spread.row)
        if not row.dense:
            row = self.lowering.temporary(tensor_of(spread.row).type, row.shape)
            copy_rows(self.lowering, self.lowering.view(spread.row), row)
        words = row.with_leading((*result.leading[:-1], 1)).broadcast(result.leading)
        table, start = self.places_of(spread, lane_sides(self.lowering.chip)[0], 0)
        walk = View(table, result.leading, (*[0] * (len(result.leading) - 1), 1), start, 1)
        return [self.apart(words, spread.row, taken), walk]

    def places_of(self, spread: Spread, side: Side, turn: int) -> tuple[str, int]:
        return lane_places(self.lowering, side, turn, tensor_of(spread.value).shape[-2], spread.width)

    def parts_of(self, fold: ReduceOp) -> tuple[View, ...]:
        """New memory for the parts of a fold: the fold's own where there is one tile."""
        lowering, tensor = self.lowering, tensor_of(fold.result)
        tiles = -(-tensor_of(fold.x).shape[-1] // lowering.chip.lanes)
        if tiles == 1:
            return (lowering.result(fold.result),)
        hint = lowering.hints.get(fold.result)
        views = parts_together(lowering, tensor.type, tensor.shape[:-1], tiles) or tuple(
            view_of(lowering.buffer("t", tensor, "temporary", hint)) for _ in range(tiles)
        )
        lowering.parts[fold.result] = Parts(FUNCTIONS[fold.fn.data.value], views)
        return views

    def apart(self, view: View, value: SSAValue, taken: dict[str, View]) -> View:
        """The view, or a copy of it where another operand of the trip walks the same slices differently."""
        if taken.setdefault(view.buffer, view) == view:
            return view
        copy = self.lowering.temporary(tensor_of(value).type, view.shape, like=view)
        copy_rows(self.lowering, view, copy)
        return copy

    def uniform(self, value: SSAValue) -> float | None:
        """The one number that a constant consists of, or None."""
        array = self.lowering.array_of(value)
        if array is None or array.size == 0 or not np.all(array == array.flat[0]):
            return None
        if array.flat[0] == 0 and np.any(np.signbit(array.astype(np.float32))):
            return None
        return float(array.flat[0])

    def immediate_of(self, op: Operation) -> SSAValue | None:
        """The operand that is the operation's immediate: it may have one, and must keep one stream."""
        uniform = [v for v in op.operands if self.uniform(v) is not None and list(op.operands).count(v) == 1]
        if not isinstance(op, (BinaryOp, WhereOp)) or not uniform or len(uniform) == len(op.operands):
            return None
        return uniform[-1]

    def product_in(self, op: Operation) -> BinaryOp | None:
        """The f32 product that a sum can make on its way: nobody else wants it, and both have one immediate at most."""
        if not isinstance(op, BinaryOp) or op.fn.data != "add":
            return None
        for value in op.operands:
            maker = value.owner
            if (
                isinstance(maker, BinaryOp)
                and maker.fn.data == "mul"
                and maker in self.cluster.members
                and len(list(value.uses)) == 1
                and tensor_of(value).type == "f32"
                and not (self.immediate_of(maker) and self.immediate_of(op))
            ):
                return maker
        return None

    def emit(
        self,
        trip: Trip,
        chain: Chain,
        known: dict[SSAValue, int],
        tile: int,
        starts: Sequence[int],
        steps: Sequence[int],
        into: View | None = None,
        side: Side = "w",
        turn: int = 0,
        later: int = 0,
    ) -> None:
        """The chain for one tile and run; `known` has values that are on streams already, coming from a plane of `side`, its
        `turn`th, if from any. Ends with the write to the result's view, or into a window, so many cycles `later`."""
        values = dict(known)
        members = self.cluster.members

        def operand(value: SSAValue, op: Operation, domain: str) -> int | Immediate:
            if value in self.scalars and value is self.immediate_of(op):
                return immediate(self.scalars[value], domain)
            maker = value.owner
            if isinstance(maker, CastOp) and maker in members and self.folds_into_users(maker):
                # Entry to the domain converts just as the cast would; so the operation reads what the cast reads.
                return operand(maker.x, op, domain)
            if value in values:
                return values[value]
            kind = tensor_of(value).type
            if value in self.spread:
                moved = self.spread_on_the_way(trip, value, chain.count, starts, steps, side, turn)
                chain.anchor(moved)
                values[value] = moved
                return moved
            read: list[int | Immediate] = []
            for i in self.where[value]:
                view = self.views[i]
                column = view.tile + (0 if view.columns == 1 else tile)
                read.append(chain.read(view.buffer, kind, column, starts[i], steps[i]))
            total = read[0]
            for part in read[1:]:
                total = chain.operation(f"{kind[0]}{self.lowering.parts[value].function}", [total, part], kind)
            if len(read) > 1:
                values[value] = cast(int, total)
            return total

        for op in self.cluster.operations:
            if op.results[0] in values or (isinstance(op, CastOp) and self.folds_into_users(op)):
                continue
            if op in self.products.values():
                continue
            if isinstance(op, TakeOp):
                lane = into.column if into else 0
                taken = permuted(self.lowering, trip, values[op.x], op.columns.get_values(), tile, side, lane)
                chain.anchor_after(taken, values[op.x], self.lowering.chip.timing["sxm.permute"].latency)
                values[op.result] = taken
                continue
            kind, covered = self.result_type(op)
            product = self.products.get(op)
            if product:
                addend = next(v for v in op.operands if v is not product.result)
                factors = [operand(v, product, "f") for v in product.operands]
                value = chain.operation("fmadd", [*factors, operand(addend, op, "f")], kind)
            else:
                value = emit_operation(chain, op, operand, kind)
            values[covered] = value
        final = values[self.cluster.result]
        target = self.views[0] if into is None else into
        window = () if into is None else (into.column, into.columns)
        if self.cluster.written:
            final = chain.later(final, later) if later else final
            trip.nodes.append(Write(target.buffer, target.tile + tile, starts[0], steps[0], final, chain.count, window=window))
        for at, op in enumerate(self.leaving, self.first_more):
            view, value = self.views[at], values[op.results[0]]
            value = chain.later(value, later) if later else value
            trip.nodes.append(Write(view.buffer, view.tile + tile, starts[at], steps[at], value, chain.count))
        self.fold(trip, chain, values, tile, starts, steps)

    def spread_on_the_way(
        self, trip: Trip, value: SSAValue, count: int, starts: Sequence[int], steps: Sequence[int], side: Side, turn: int
    ) -> int:
        """Elements of a row, each in all lanes: past the lane unit of a side, with a map of that side."""
        kind, (word, table), lowering = tensor_of(value).type, self.where[value], self.lowering
        spread = self.spread[value]
        first = self.places_of(spread, side, turn)[1] - self.places_of(spread, lane_sides(lowering.chip)[0], 0)[1]
        places, row, moved = trip.value("i32", count), trip.value(kind, count), trip.value(kind, count)
        view = self.views[word]
        copies = lowering.copies_alike(view.buffer)
        buffer = copies[lane_sides(lowering.chip).index(side) % len(copies)]
        trip.nodes.append(Read(self.views[table].buffer, 0, starts[table] + first, steps[table], count, places))
        trip.nodes.append(Read(buffer, view.tile, starts[word], steps[word], count, row))
        trip.nodes.append(Compute(f"sxm.{side}", "permute", (row, places), {}, count, 1, moved))
        return moved

    def fold(
        self, trip: Trip, chain: Chain, values: dict[SSAValue, int], tile: int, starts: Sequence[int], steps: Sequence[int]
    ) -> None:
        """The folds of lanes in this tile: past a lane unit and back to memory."""
        lanes, at = self.lowering.chip.lanes, self.first_part
        for fold, parts in zip(self.cluster.folds, self.fold_parts, strict=True):
            kind = tensor_of(fold.result).type
            # A value runs one way only: the result's memory may lie on the other side than the lane unit.
            folding, alone = values[fold.x], len(list(fold.x.uses)) == 1
            moving = folding if alone else chain.operation(f"{kind[0]}mov", [folding], kind)
            width = min(lanes, tensor_of(fold.x).shape[-1] - tile * lanes)
            total = folded(self.lowering, trip, moving, fold.fn.data.value, width)
            part = parts[tile]
            trip.nodes.append(Write(part.buffer, part.tile, starts[at + tile], steps[at + tile], total, chain.count))
            at += len(parts)

    def folds_into_users(self, cast: CastOp) -> bool:
        """Whether every user reads the cast's operand directly: the cast only enters the users' domain."""
        users = [use.operation for use in cast.result.uses]
        return all(u in self.cluster.members and converts_by_reading(cast, u) for u in users)

    def result_type(self, op: Operation) -> tuple[ElementType, SSAValue]:
        """The type an operation writes and the graph value that this is: a cast that is its only user is part of it.

        Not so where the operation is itself a conversion between floats and integers, for then both roundings are seen.
        """
        result = op.results[0]
        kind = tensor_of(result).type
        uses = list(result.uses)
        changes_domain = isinstance(op, CastOp) and (tensor_of(op.x).type in ("i8", "i32")) != (kind in ("i8", "i32"))
        if len(uses) == 1 and kind in ("f32", "i32") and not changes_domain:
            user = uses[0].operation
            if isinstance(user, CastOp) and user in self.cluster.members and not self.folds_into_users(user):
                return tensor_of(user.result).type, user.result
        return kind, result


def emit_operation(chain: Chain, op: Operation, operand: Operand, kind: ElementType) -> int:
    """One graph operation as VXM operations."""
    if isinstance(op, CastOp):
        domain = "i" if tensor_of(op.x).type in ("i8", "i32") else "f"
        return chain.operation(f"{domain}mov", [operand(op.x, op, domain)], kind)
    if isinstance(op, WhereOp):
        domain = "i" if tensor_of(op.a).type in ("i8", "i32") else "f"
        return chain.operation(f"{domain}sel", [operand(v, op, domain) for v in op.operands], kind)
    assert isinstance(op, (UnaryOp, BinaryOp))
    domain = "i" if tensor_of(op.operands[0]).type in ("i8", "i32") else "f"
    function = op.fn.data.value
    if isinstance(op, BinaryOp) or domain == "f":
        table = INTEGER if domain == "i" else FLOAT
        return chain.operation(table[function], [operand(v, op, domain) for v in op.operands], kind)
    x = operand(op.x, op, domain)
    if function in ("floor", "round"):
        return chain.operation("imov", [x], kind)
    negative = chain.operation("isub", [immediate(0, "i"), x], "i32" if function == "abs" else kind)
    return chain.operation("imax", [operand(op.x, op, domain), negative], kind) if function == "abs" else negative
