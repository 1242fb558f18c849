"""`join-heads`: several heads of attention side by side in one product, where one leaves most lanes of the planes idle.

Needs a decomposed graph of integer products; leaves the same bits. Heads of d columns over n rows use d of the lanes a plane
multiplies by and n of those it gives in scores, n and d with values. g of them side by side are one product in groups: a row of
activations has g queries, a row of results g rows of scores, and what follows works on all of them at once. So

- queries, keys and values get heads of w ≥ d columns, so that no window of g heads crosses a border of vectors. Known weights
  carry that: columns of zeros, and of ones among those of values;
- what leads from scores to values is done on [.., H / g, M, g · n];
- the sums of the shares are columns of the product with values, for which a lane unit spreads them: that of ones;
- the projection behind it has rows of zeros for the columns that no head has.

Exact, for these are sums of integers. Only where the lane units can make such weights (`joins_groups`), and vectors no more
than before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint

from compiler.context import chip_of, weights_of
from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import kind_of, tensor_of
from compiler.lowering.fusion import ELEMENTWISE
from compiler.lowering.stationary import joins_groups
from compiler.transforms.emitter import Emitter, erase_dead
from compiler.weights import WeightStore
from isa.chip import Chip
from isa.spec import TRANSPOSE_SPAN as SPAN

Array = NDArray[np.generic]


@dataclass(frozen=True)
class JoinHeadsPass(ModulePass):
    """Heads of attention in int8, some of them in one product. Without a chip nothing changes."""

    name = "join-heads"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip, block = chip_of(ctx), main_block(op)
        for projection in list(block.ops) if chip else ():
            if isinstance(projection, graph.MatmulOp):
                _join(projection, chip, weights_of(ctx))
        erase_dead(list(block.ops), (graph.GraphOp, graph.ConstantOp, graph.ParamOp))


@dataclass(frozen=True)
class Heads:
    """[.., M, heads · columns], seen as heads: `value` is [.., heads, M, columns]."""

    joined: SSAValue
    heads: int
    columns: int
    rows: int
    alone: bool
    """Whether nobody else reads what the heads are cut from."""

    @staticmethod
    def of(value: SSAValue) -> Heads | None:
        turn = value.owner
        split = turn.x.owner if isinstance(turn, graph.TransposeOp) else None
        if not isinstance(split, graph.ReshapeOp) or not isinstance(turn, graph.TransposeOp):
            return None
        shape = tensor_of(value).shape
        rows, columns = shape[-2:]
        if list(turn.permutation.get_values()) != _exchange(len(shape)) or tensor_of(split.x).shape[-2] != rows:
            return None
        whole = tensor_of(split.x).shape == (*shape[:-3], rows, shape[-3] * columns)
        alone = split.x.has_one_use() and split.result.has_one_use()
        return Heads(split.x, shape[-3], columns, rows, alone) if whole else None


def _exchange(rank: int) -> list[int]:
    """The order that puts the last axis but two behind the next."""
    return [*range(rank - 3), rank - 2, rank - 3, rank - 1]


def _join(projection: graph.MatmulOp, chip: Chip | None, weights: WeightStore) -> None:
    """The attention that a projection with known weights reads, if heads of it can be joined."""
    whole = projection.a.owner
    turn = whole.x.owner if isinstance(whole, graph.ReshapeOp) else None
    known = isinstance(projection.b.owner, graph.ParamOp | graph.ConstantOp) and len(tensor_of(projection.b).shape) == 2
    if chip is None or not known or not isinstance(turn, graph.TransposeOp) or tensor_of(projection.b).type != "i8":
        return
    shape = tensor_of(turn.x).shape
    if list(turn.permutation.get_values()) != _exchange(len(shape)) or tensor_of(projection.a).shape[-2:] != (
        shape[-2],
        shape[-3] * shape[-1],
    ):
        return
    found = _products(turn.x)
    if found is None:
        return
    scores, mixed = found
    heads, values = Heads.of(scores.a), Heads.of(mixed.b)
    if heads is None or values is None:
        return
    together = _together(heads, values, tensor_of(scores.result).shape[-1], chip)
    if together is None:
        return
    joiner = _Joiner(projection, weights, mixed, *together)
    joined, known = joiner.joined(turn.x, tensor_of(turn.x).shape), joiner.array(projection.b)
    if joined is None or known is None or joiner.read_elsewhere(turn):
        return
    projection.operands[0] = joiner.merged(joined)
    projection.operands[1] = joiner.known(_padded_rows(known, values, joiner.outer), projection.b)


def _products(value: SSAValue) -> tuple[graph.MatmulOp, graph.MatmulOp] | None:
    """Scores and the product with values, of what follows from them element by element."""
    mixed = _product_behind(value)
    scores = _product_behind(mixed.a) if mixed else None
    if mixed is None or scores is None or mixed.transpose_b is not None or scores.transpose_b is None:
        return None
    return scores, mixed


def _product_behind(value: SSAValue) -> graph.MatmulOp | None:
    """The product of matrices as large as this value that leads to it past elementwise operations."""
    shape = tensor_of(value).shape
    while isinstance(value.owner, ELEMENTWISE):
        inner = [o for o in value.owner.operands if tensor_of(o).shape == shape]
        if len(inner) != 1:
            return None
        value = inner[0]
    op = value.owner
    batch = isinstance(op, graph.MatmulOp) and len(tensor_of(op.b).shape) > 2 and op.group_count == 1
    return op if isinstance(op, graph.MatmulOp) and batch and tensor_of(op.result).type == "i32" else None


def _together(heads: Heads, values: Heads, columns: int, chip: Chip) -> tuple[int, int, int] | None:
    """How many heads to join, and the columns of each in queries and keys and in values: as many as vectors of scores hold."""
    if heads.heads != values.heads:
        return None
    for groups in range(min(heads.heads, chip.lanes // columns), 1, -1):
        if heads.heads % groups:
            continue
        widths = [w for w in range(SPAN, chip.lanes // groups + 1, SPAN) if chip.lanes % (groups * w) == 0]
        inner = next((w for w in widths if w >= heads.columns), None)
        outer = next((w for w in widths if w > values.columns), None)
        if inner is None or outer is None:
            continue
        tiles = all(
            -(-heads.heads * wide // chip.lanes) <= -(-heads.heads * narrow // chip.lanes)
            for wide, narrow in ((inner, heads.columns), (outer, values.columns))
        )
        fits = joins_groups(inner, columns, True, groups, chip) and joins_groups(columns, outer, False, groups, chip)
        if tiles and fits and joins_groups(inner, heads.rows, True, groups, chip):
            return groups, inner, outer
    return None


@dataclass
class _Joiner:
    """Joined values for those of one attention, `groups` heads together; None for what cannot be joined. New operations come
    before `point`, but what leads to queries, keys and values where that was."""

    point: Operation
    weights: WeightStore
    mixed: graph.MatmulOp
    groups: int
    inner: int
    outer: int
    done: dict[tuple[SSAValue, tuple[int, ...]], SSAValue | None] = field(
        default_factory=dict[tuple[SSAValue, tuple[int, ...]], "SSAValue | None"]
    )
    passed: set[SSAValue] = field(default_factory=set[SSAValue])
    """Conversions of joined values that come later now."""

    def joined(self, value: SSAValue, shape: tuple[int, ...]) -> SSAValue | None:
        """[.., H, M, C] as [.., H / g, M, g · C]; what is [.., H, M, 1] beside it as C times the element of each head."""
        key = value, shape
        if key not in self.done:
            self.done[key] = self._joined(value, shape)
        return self.done[key]

    def _joined(self, value: SSAValue, shape: tuple[int, ...]) -> SSAValue | None:
        op = value.owner
        if isinstance(op, graph.MatmulOp):
            return self._product(op)
        if isinstance(op, graph.ReshapeOp):
            return self._spread(op, shape)
        if isinstance(op, graph.ReduceOp):
            return self._folded(op)
        if not isinstance(op, ELEMENTWISE):
            return None
        operands: list[SSAValue] = []
        for operand in op.operands:
            size = tensor_of(operand).shape
            alike = all(axis == 1 for axis in size) and len(size) <= len(shape)
            new = operand if alike else self.joined(operand, shape) if size[:-1] == shape[:-1] else None
            if new is None:
                return None
            operands.append(new)
        emit = self._emit(op)
        match op:
            case graph.CastOp():
                return emit.cast(operands[0], op.tensor.type)
            case graph.UnaryOp():
                return emit.unary(op.fn.data.value, operands[0])
            case graph.BinaryOp():
                return emit.binary(op.fn.data.value, operands[0], operands[1])
            case graph.WhereOp():
                return emit.add(graph.WhereOp(operands[0], operands[1], operands[2]))

    def _product(self, op: graph.MatmulOp) -> SSAValue | None:
        emit = self._emit(op)
        if op is self.mixed:
            shares, values = self.joined(op.a, tensor_of(op.a).shape), self._heads(op.b, self.outer, 1)
            return None if shares is None or values is None else emit.add(graph.MatmulOp(shares, values, groups=self.groups))
        if op.a is self.mixed.a and self._is_sum(op):
            product = self.joined(self.mixed.result, tensor_of(self.mixed.result).shape)
            first = tensor_of(self.mixed.result).shape[-1]
            columns = [column // self.outer * self.outer + first for column in range(self.groups * self.outer)]
            return None if product is None else emit.add(graph.TakeOp(product, columns))
        if op.transpose_b is None or tensor_of(op.result).type != "i32" or op.group_count > 1:
            return None
        a, b = self._heads(op.a, self.inner, 0), self._heads(op.b, self.inner, 0)
        return None if a is None or b is None else emit.add(graph.MatmulOp(a, b, True, groups=self.groups))

    def _is_sum(self, op: graph.MatmulOp) -> bool:
        known = op.b.owner
        return isinstance(known, graph.ConstantOp) and known.array.shape[1:] == (1,) and bool((known.array == 1).all())

    def _folded(self, op: graph.ReduceOp) -> SSAValue | None:
        """A fold of the rows of each matrix."""
        axis = len(tensor_of(op.x).shape) - 2
        if tuple(op.axes.get_values()) != (axis,) or op.keepdims is None:
            return None
        x = self.joined(op.x, tensor_of(op.x).shape)
        return None if x is None else self._emit(op).reduce(op.fn.data.value, x, [axis])

    def _spread(self, op: graph.ReshapeOp, shape: tuple[int, ...]) -> SSAValue | None:
        """Rows [.., H, 1, M] as columns of splats [.., H, M, 1], each head's in its own lanes. What is f16 goes there so."""
        row, wider = op.x, op.x.owner
        if isinstance(wider, graph.CastOp) and tensor_of(wider.x).type == "f16":
            row = wider.x
            self.passed.add(op.x)
        rows, size = shape[-2], tensor_of(row).shape
        if size != (*shape[:-2], 1, rows) or op.tensor.shape != (*shape[:-1], 1):
            return None
        joined, emit = self.joined(row, size), self._emit(op)
        if joined is None:
            return None
        parts = emit.add(graph.ReshapeOp(joined, (*tensor_of(joined).shape[:-2], self.groups, rows)))
        rank = len(shape)
        columns = emit.add(graph.TransposeOp(parts, [*range(rank - 2), rank - 1, rank - 2]))
        taken = emit.add(graph.TakeOp(columns, [column // shape[-1] for column in range(self.groups * shape[-1])]))
        return emit.cast(taken, op.tensor.type)

    def _heads(self, value: SSAValue, width: int, fill: int) -> SSAValue | None:
        """Queries, keys or values [.., H, M, C] as [.., H / g, M, g · width]."""
        heads, key = Heads.of(value), (value, (width, fill))
        if heads is None or not heads.alone:
            return None
        if key not in self.done:
            padded = self._padded(heads.joined, heads, width, fill)
            if padded is None:
                self.done[key] = None
            else:
                emit, shape = self._emit(self.point), tensor_of(padded).shape
                windows = (*shape[:-1], heads.heads // self.groups, self.groups * width)
                split = emit.add(graph.ReshapeOp(padded, windows))
                self.done[key] = emit.add(graph.TransposeOp(split, _exchange(len(windows))))
        return self.done[key]

    def _padded(self, value: SSAValue, heads: Heads, width: int, fill: int) -> SSAValue | None:
        """A projection [.., H · C] as [.., H · width]: `fill` in further columns of each head, which known weights bring."""
        op = value.owner
        if not value.has_one_use() and value is not heads.joined:
            return None
        match op:
            case graph.CastOp():
                inner = self._padded(op.x, heads, width, fill)
                return None if inner is None else Emitter.before(op).cast(inner, op.tensor.type)
            case graph.MatmulOp():
                array = self.array(op.b)
                if array is None or array.ndim != 2 or fill or op.group_count > 1 or op.transpose_b is not None:
                    return None
                weights = self.known(_padded_columns(array, heads, width, 0), op.b)
                return Emitter.before(op).add(graph.MatmulOp(op.a, weights))
            case graph.BinaryOp() if op.fn.data in ("add", "mul"):
                return self._padded_by(op, heads, width, fill)
            case _:
                return None

    def _padded_by(self, op: graph.BinaryOp, heads: Heads, width: int, fill: int) -> SSAValue | None:
        """x + known or x · known."""
        known = next((v for v in op.operands if isinstance(v.owner, graph.ConstantOp | graph.ParamOp)), None)
        array = self.array(known) if known is not None else None
        if known is None or array is None:
            return None
        adds = op.fn.data == "add"
        x = self._padded(op.a if known is op.b else op.b, heads, width, 0 if adds else fill)
        if x is None:
            return None
        if adds or fill or array.size > 1:
            if array.size == 1:
                array = np.full(heads.heads * heads.columns, array)
            if array.shape != (heads.heads * heads.columns,):
                return None
            known = self.known(_padded_columns(array, heads, width, fill if adds else 1), known)
        return Emitter.before(op).binary(op.fn.data.value, x, known)

    def read_elsewhere(self, last: Operation) -> bool:
        """Whether anybody but `last` and what has been joined reads one of the old values: then they would have to stay."""
        old = {value for value, _ in self.done} | self.passed
        joined = {last, *(value.owner for value in old)}
        return any(use.operation not in joined for value in old for use in value.uses)

    def merged(self, joined: SSAValue) -> SSAValue:
        """[.., H / g, M, g · C] as [.., M, H · C]."""
        shape, emit = tensor_of(joined).shape, self._emit(self.point)
        turned = emit.add(graph.TransposeOp(joined, _exchange(len(shape))))
        return emit.add(graph.ReshapeOp(turned, (*shape[:-3], shape[-2], shape[-3] * shape[-1])))

    def known(self, array: Array, like: SSAValue) -> SSAValue:
        """A constant or parameter in place of another."""
        owner = like.owner
        assert isinstance(owner, graph.ConstantOp | graph.ParamOp)
        emit = Emitter.before(owner)
        if isinstance(owner, graph.ConstantOp):
            return emit.add(graph.ConstantOp(array))
        return emit.add(graph.ParamOp(owner.label, self.weights.add(array), graph.Tensor(kind_of(array), array.shape)))

    def array(self, value: SSAValue) -> Array | None:
        owner = value.owner
        if isinstance(owner, graph.ConstantOp):
            return owner.array
        return self.weights.get(owner.digest.data) if isinstance(owner, graph.ParamOp) else None

    def _emit(self, origin: Operation) -> Emitter:
        return Emitter(origin, InsertPoint.before(self.point))


def _padded_columns(array: Array, heads: Heads, width: int, fill: int) -> Array:
    """[.., H · C] as [.., H · width]."""
    split = array.reshape(*array.shape[:-1], heads.heads, heads.columns)
    return _filled(split, width - heads.columns, fill).reshape(*array.shape[:-1], -1)


def _padded_rows(array: Array, heads: Heads, width: int) -> Array:
    """[H · C, n] as [H · width, n], with zeros."""
    return np.ascontiguousarray(_padded_columns(np.ascontiguousarray(array.T), heads, width, 0).T)


def _filled(array: Array, further: int, fill: int) -> Array:
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, further)], constant_values=fill)
