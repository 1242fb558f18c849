"""Which elementwise operations share a trip: clusters that a value runs through without touching memory in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

from xdsl.ir import Block, Operation, SSAValue

from compiler.dialects.graph import (
    BinaryOp,
    CastOp,
    ConstantOp,
    DepthwiseOp,
    MatmulOp,
    ParamOp,
    ReduceOp,
    ReshapeOp,
    ScatterOp,
    SliceOp,
    StencilOp,
    TakeOp,
    TransposeOp,
    UnaryOp,
    WhereOp,
)
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.context import mxm_mode
from compiler.lowering.lane_permutes import keeps_vectors, permutes_beside_planes
from compiler.lowering.matmul_plan import folds_matrices
from compiler.lowering.summed_rows import makers_of_sum, summed_product
from isa.chip import Chip
from isa.spec import BYTES

VIEWS = (ReshapeOp, SliceOp, TransposeOp)
"""Operations whose result may be only another way of walking the rows of their operand."""

ELEMENTWISE = (UnaryOp, BinaryOp, WhereOp, CastOp)


ImageProduct = StencilOp | DepthwiseOp
"""Convolutions of packed images: the vector unit goes on with their sums."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Columns of splats made of a row for each matrix: every vector of `value` has an element of `row` in all its lanes; or one
    in each window of `width` lanes, elements that are as far apart as there are vectors. `makers` are the operations."""

    value: SSAValue
    row: SSAValue
    makers: tuple[Operation, ...]
    width: int = 0

    @staticmethod
    def of(value: SSAValue) -> Spread | None:
        """What `value` is spread from, if it is a reshape of rows or takes windows of the same element of such."""
        op, shape = value.owner, tensor_of(value).shape
        if isinstance(op, ReshapeOp) and len(shape) > 1 and shape[-1] == 1 < shape[-2] == tensor_of(op.x).shape[-1]:
            return Spread(value, op.x, (op,))
        turn = op.x.owner if isinstance(op, TakeOp) else None
        parts = turn.x.owner if isinstance(turn, TransposeOp) else None
        if not isinstance(op, TakeOp) or not isinstance(turn, TransposeOp) or not isinstance(parts, ReshapeOp):
            return None
        rank, (rows, windows) = len(shape), tensor_of(op.x).shape[-2:]
        width = len(op.columns) // windows
        exchanges = list(turn.permutation.get_values()) == [*range(rank - 2), rank - 1, rank - 2]
        repeats = list(op.columns.get_values()) == [column // width for column in range(windows * width)]
        if not exchanges or not repeats or tensor_of(parts.x).shape != (*shape[:-2], 1, windows * rows):
            return None
        alone = op.x.has_one_use() and turn.x.has_one_use()
        return Spread(value, parts.x, (op, turn, parts), width) if alone else None


@dataclass(slots=True)
class Cluster:
    """Operations, each before its users. `matmul` feeds them, if any; their `result` leaves, and what else is made of it.

    `folds` are reductions over the lanes of the result, or of `more`, which the lane unit does on the way to memory. `more` are
    the last operations of other clusters, which need nothing else that the program computes. `summed` is the sum of all rows of
    the product, where the cluster takes that in its place: the accumulators add them.
    """

    operations: list[Operation] = field(default_factory=list[Operation])
    matmul: MatmulOp | ImageProduct | None = None
    folds: list[ReduceOp] = field(default_factory=list[ReduceOp])
    more: list[Operation] = field(default_factory=list[Operation])
    row_fold: ReduceOp | None = None
    """What folds the rows of a product of integers that nobody else reads."""
    spread: list[Spread] = field(default_factory=list[Spread])
    """What a lane unit makes of rows on their way to the epilogue of a product."""
    root: Operation | None = None
    """The operation that makes the result; None where the matmul does."""
    summed: SSAValue | None = None

    @property
    def product(self) -> SSAValue | None:
        """What the planes give, if they do."""
        return self.summed if self.summed is not None else self.matmul.result if self.matmul else None

    @property
    def result(self) -> SSAValue:
        maker = self.root or self.matmul
        assert maker is not None
        return maker.results[0]

    @property
    def written(self) -> bool:
        """Whether anybody outside reads the result."""
        return self.leaves(self.result)

    def leaves(self, value: SSAValue) -> bool:
        """Whether anybody outside reads a value that is made here."""
        inside = {*self.folds, *self.operations}
        return any(use.operation not in inside for use in value.uses)

    @property
    def leaving(self) -> list[Operation]:
        """Of `more`, what somebody outside reads."""
        return [op for op in self.more if self.leaves(op.results[0])]

    @property
    def members(self) -> set[Operation]:
        return set(self.operations)


def clusters(block: Block, chip: Chip, limit: int) -> dict[Operation, Cluster]:
    """Every elementwise operation and every matmul with its cluster; a cluster is lowered at its root.

    `limit` bounds the operations of a cluster; byte streams bound its operands.
    """
    order = {op: i for i, op in enumerate(block.ops)}
    products = _products(block)
    assigned: dict[Operation, Cluster] = {}
    for root in reversed(list(block.ops)):
        if root in assigned:
            continue
        if isinstance(root, ELEMENTWISE):
            cluster = _grow(root, assigned, chip, limit, products)
            cluster.operations.sort(key=lambda op: order[op])
        elif isinstance(root, MatmulOp | ImageProduct):
            cluster = Cluster([], root)
        else:
            continue
        for op in cluster.operations:
            assigned[op] = cluster
        if cluster.matmul:
            assigned[cluster.matmul] = cluster
        if cluster.summed is not None:
            assigned.update((op, cluster) for op in makers_of_sum(cluster.summed))
    for cluster in assigned.values() if limit > 1 else ():
        cluster.row_fold = _row_fold(cluster)
        cluster.spread = _spread(cluster, chip)
    if limit > 1 and "reduce" in chip.sxm.instructions:
        for op in block.ops:
            if isinstance(op, ReduceOp) and _folds_lanes(op):
                cluster = assigned.get(op.x.owner) if isinstance(op.x.owner, Operation) else None
                if (
                    cluster
                    and cluster.result is op.x
                    and not isinstance(cluster.matmul, ImageProduct)
                    and len(cluster.folds) < MAX_FOLDS
                ):
                    cluster.folds.append(op)
    for op in block.ops if limit > 1 else ():
        if op in assigned and op is assigned[op].root:
            _join(assigned[op], assigned, chip, limit)
    return assigned


def _join(joining: Cluster, assigned: dict[Operation, Cluster], chip: Chip, limit: int) -> None:
    """A cluster that needs nothing but what another one makes, and constants, goes into the trips of that one."""
    if joining.matmul or joining.root is None or joining.more:
        return
    outside = {o for op in joining.operations for o in op.operands if o.owner not in joining.members}
    needed = [o for o in outside if not isinstance(o.owner, (ConstantOp, ParamOp))]
    makers = [assigned.get(o.owner) if isinstance(o.owner, Operation) else None for o in needed]
    cluster = makers[0] if makers else None
    if cluster is None or cluster.root is None or isinstance(cluster.matmul, ImageProduct):
        return
    if any(maker is not cluster or o.owner not in cluster.members for maker, o in zip(makers, needed, strict=True)):
        return
    if all(len(list(o.uses)) == 1 for o in needed) or len(cluster.folds) + len(joining.folds) > MAX_FOLDS:
        return
    grown = replace(cluster, operations=[*cluster.operations, *joining.operations])
    shapes = {tensor_of(root.results[0]).shape for root in (cluster.root, joining.root)}
    busy = [op for op in grown.operations if not isinstance(op, CastOp) and not _joins_a_sum(op, grown)]
    if len(shapes) == 1 and len(busy) <= limit and _byte_streams(grown, busy) <= chip.streams * 3 // 4:
        cluster.operations += joining.operations
        cluster.folds += joining.folds
        cluster.more.append(joining.root)
        assigned.update((op, cluster) for op in joining.operations)


FEW_ROWS = 4
"""No more than the cycles that an operation of the vector unit takes."""

MAX_FOLDS = 2
"""Folds of one value: each takes a way to the lane unit and back."""


def _folds_lanes(op: ReduceOp) -> bool:
    """Whether this folds nothing but lanes, in the type that the lane unit works in, to a column of splats."""
    shape, kind = tensor_of(op.x).shape, tensor_of(op.x).type
    return (
        tuple(op.axes.get_values()) == (len(shape) - 1,)
        and op.keepdims is not None
        and shape[-1] > 1
        and kind in ("f32", "i32")
        and kind == tensor_of(op.result).type
    )


def _row_fold(cluster: Cluster) -> ReduceOp | None:
    """The fold of a product's rows, matrix by matrix, that is all that becomes of it. In integers, for its order is free."""
    if cluster.operations or not isinstance(cluster.matmul, MatmulOp) or not folds_matrices(cluster.matmul):
        return None
    fold = next(use.operation for use in cluster.matmul.result.uses)
    return fold if isinstance(fold, ReduceOp) else None


def _spread(cluster: Cluster, chip: Chip) -> list[Spread]:
    """One operand of the epilogue of a product, at most, for which a row of each matrix is spread: an element for each of its
    rows."""
    if not isinstance(cluster.matmul, MatmulOp) or cluster.summed is not None or not permutes_beside_planes(chip):
        return []
    for value in dict.fromkeys(v for op in cluster.operations for v in op.operands):
        spread = Spread.of(value)
        if (
            spread
            and tensor_of(value).shape[:-1] == tensor_of(cluster.matmul.result).shape[:-1]
            and tensor_of(spread.row).shape[-1] <= chip.lanes
            and all(use.operation in cluster.members for use in value.uses)
        ):
            return [spread]
    return []


def _products(block: Block) -> dict[Operation, int]:
    """For every elementwise operation the number of the last product in program order that it follows from, past other
    elementwise operations; -1 for none."""
    last: dict[Operation, int] = {}
    for number, op in enumerate(block.ops):
        if isinstance(op, MatmulOp | ImageProduct):
            last[op] = number
        elif isinstance(op, ELEMENTWISE):
            last[op] = max((last.get(v.owner, -1) for v in op.operands if isinstance(v.owner, Operation)), default=-1)
    return last


def _grow(
    root: Operation,
    assigned: dict[Operation, Cluster],
    chip: Chip,
    limit: int,
    products: dict[Operation, int],
    *,
    alone: bool = True,
    takes: bool = True,
) -> Cluster:
    """The cluster that ends with `root`, as large as it may be. What follows a product of several steps over K may need all
    byte streams, for planes end their sums in turns (`alone`); others leave a quarter to what runs beside them (our choice)."""
    room = chip.streams if alone else chip.streams * 3 // 4
    cluster = Cluster([root], root=root)
    shape = tensor_of(root.results[0]).shape
    pending = [root]
    while pending:
        op = pending.pop(0)
        for operand in op.operands:
            maker = operand.owner
            if not isinstance(maker, Operation) or maker in assigned or maker in cluster.members:
                continue
            inside = all(use.operation in cluster.members for use in operand.uses)
            if not inside or _overwritten(maker, root):
                continue
            if isinstance(maker, CastOp) and converts_by_reading(maker, op):
                cluster.operations.append(maker)
                pending.append(maker)
                continue
            if tensor_of(operand).shape not in (shape, (*shape[:-1], 1)):
                continue
            if isinstance(maker, MatmulOp) and tensor_of(operand).shape != shape:
                continue
            product = summed_product(operand, chip) if cluster.matmul is None else None
            if product and tensor_of(operand).shape == shape and product not in assigned and not _overwritten(product, root):
                cluster.matmul, cluster.summed = product, operand
            elif isinstance(maker, MatmulOp | ImageProduct) and cluster.matmul is None:
                cluster.matmul = maker
            elif (
                isinstance(maker, TakeOp)
                and takes
                and _taken_on_the_way(maker, chip)
                and cluster.matmul in (None, maker.x.owner)
            ):
                cluster.operations.append(maker)
                pending.append(maker)
            elif isinstance(maker, ELEMENTWISE) and _vector_operations(cluster) < limit:
                if BYTES[tensor_of(operand).type] < BYTES["f32"] and products[maker] not in (-1, products[root]):
                    # What another product makes narrow is that one's result: what it has before would be wider.
                    continue
                grown = Cluster([*cluster.operations, maker], cluster.matmul)
                if _byte_streams(grown) <= room:
                    cluster.operations.append(maker)
                    pending.append(maker)
    if any(isinstance(op, TakeOp) and op.x.owner is not cluster.matmul for op in cluster.operations):
        # The product cannot come along, so what is taken of it is in memory: begin again without.
        return _grow(root, assigned, chip, limit, products, alone=alone, takes=False)
    if alone and not _in_steps(cluster.matmul, chip):
        return _grow(root, assigned, chip, limit, products, alone=False)
    return cluster


def _in_steps(product: Operation | None, chip: Chip) -> bool:
    """Whether it is a product of several steps over K: planes sum up for most of the time."""
    return isinstance(product, MatmulOp) and tensor_of(product.a).shape[-1] > chip.depth(mxm_mode(product.a, product.b))


def converts_by_reading(cast: CastOp, user: Operation) -> bool:
    """Whether the user reads what the cast reads just as well: entry to the domain of the vector unit widens."""
    source, to = tensor_of(cast.x).type, tensor_of(cast.result).type
    widens = to == "f32" or (to == "i32" and source == "i8")
    chooses = isinstance(user, WhereOp) and user.condition == cast.result
    return widens and isinstance(user, (UnaryOp, BinaryOp, WhereOp)) and not chooses


def _vector_operations(cluster: Cluster) -> int:
    """Operations that the vector unit has to do."""

    def is_read(op: Operation) -> bool:
        return isinstance(op, CastOp) and all(converts_by_reading(op, use.operation) for use in op.result.uses)

    return sum(not is_read(op) for op in cluster.operations)


def _taken_on_the_way(op: TakeOp, chip: Chip) -> bool:
    """Whether a lane unit takes these columns of a product on its way to the vector unit."""
    return isinstance(op.x.owner, MatmulOp) and keeps_vectors(op.columns.get_values(), tensor_of(op.x).shape[-1], chip)


def _overwritten(maker: Operation, root: Operation) -> bool:
    """Whether what the maker reads may be replaced in place before the root, where it would be read then."""
    values = list(maker.operands)
    for value in values:
        if isinstance(value.owner, VIEWS):
            values.append(value.owner.operands[0])
        for use in value.uses:
            scatter = use.operation
            replaced = isinstance(scatter, ScatterOp) and use.index == 0 and scatter is not root
            if replaced and maker.is_before_in_block(scatter) and scatter.is_before_in_block(root):
                return True
    return False


def _joins_a_sum(op: Operation, cluster: Cluster) -> bool:
    """Whether this is a product of f32 that the sum which alone needs it makes on its way."""
    users = [use.operation for use in op.results[0].uses]
    return (
        isinstance(op, BinaryOp)
        and op.fn.data == "mul"
        and tensor_of(op.result).type == "f32"
        and len(users) == 1
        and isinstance(users[0], BinaryOp)
        and users[0].fn.data == "add"
        and users[0] in cluster.members
    )


def _byte_streams(cluster: Cluster, computing: Sequence[Operation] | None = None) -> int:
    """Byte streams that the operands from memory and the intermediate values need at the VXM at once.

    `computing` are those operations that have results of their own, if not all have. Casts mostly happen on the way into or
    out of another operation, and need none of their own. Of a few rows a value has
    passed when the next operation shows its result.
    """
    outside: set[SSAValue] = set()
    for op in cluster.operations:
        outside.update(o for o in op.operands if o.owner not in cluster.members and not isinstance(o.owner, ConstantOp))
    operands = sum(BYTES[tensor_of(o).type] for o in outside)
    few = prod(tensor_of(cluster.operations[0].results[0]).shape[:-1]) <= FEW_ROWS
    computing = cluster.operations if computing is None else computing
    computed = [op for op in computing if not isinstance(op, CastOp) and not few]
    return operands + sum(BYTES[tensor_of(op.results[0]).type] for op in computed) // 2
