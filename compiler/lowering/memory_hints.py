"""How values want to lie in memory, decided from their consumers before any buffer exists."""

from __future__ import annotations

from xdsl.ir import Block, Operation, SSAValue

from compiler.dialects.graph import ConstantOp, InputOp, MatmulOp, OutputOp, ParamOp, ReduceOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.context import Hint, weight_rows_per_cycle
from compiler.lowering.fusion import ELEMENTWISE
from compiler.lowering.matmul_plan import plan
from isa.chip import Chip, Side

MIN_SEGMENT_ROWS = 32
"""Fewer rows than this are not worth a trip of their own: filling and draining it costs about as much (our choice)."""


def memory_hints(block: Block, chip: Chip, segmented: bool) -> dict[SSAValue, Hint]:
    """Stripes for runtime weights; row shares of the planes for activations; if `segmented`, long tensors on both sides."""
    hints: dict[SSAValue, Hint] = {}
    matmuls = [op for op in block.ops if isinstance(op, MatmulOp)]
    for op in matmuls:
        if not isinstance(op.b.owner, (ParamOp, ConstantOp)):
            hints[op.b] = Hint(stripes=weight_rows_per_cycle(chip, "sram", tensor_of(op.b).type))
    for op in matmuls:
        spread = plan(op, chip)
        if spread.split_rows and len(tensor_of(op.b).shape) == 2:
            borders = spread.row_borders(_rows(op.result))
            near: list[Side] = [chip.planes[p].side or "w" for p in spread.planes]
            hints.setdefault(op.a, Hint(borders, tuple(near)))
            hints.setdefault(op.result, Hint(borders))
    for op in block.ops if segmented else ():
        for value in op.results:
            if isinstance(op, (InputOp, MatmulOp, ReduceOp, *ELEMENTWISE)) and _walked_in_order(value):
                hints.setdefault(value, _segments(value, chip))
    return hints


def _rows(value: SSAValue) -> int:
    rows = 1
    for size in tensor_of(value).shape[:-1]:
        rows *= size
    return rows


def _segments(value: SSAValue, chip: Chip) -> Hint:
    """Equal shares, two a side and alternating, so that several trips can run at once.

    A column of splats is read together with every tile of a wide tensor; it takes whichever side has slices left.
    """
    rows, wide = _rows(value), tensor_of(value).shape[-1:] != (1,)
    sides: list[Side] = [s for s in ("w", "e") if chip.slices("sram", s)]
    count = max(1, min(2 * len(sides), rows // MIN_SEGMENT_ROWS))
    borders = tuple(rows * i // count for i in range(count))
    return Hint(borders, tuple(sides[i % len(sides)] for i in range(count)) if count > 1 and wide else ())


def _walked_in_order(value: SSAValue) -> bool:
    """Whether maker and users go through the rows one after the other, so that a border costs them nothing."""
    maker = value.owner
    folds_rows = isinstance(maker, ReduceOp) and not _over_lanes_only(maker)
    return not folds_rows and all(_in_order(use.operation, value) for use in value.uses)


def _in_order(user: Operation, value: SSAValue) -> bool:
    if isinstance(user, ReduceOp):
        return _over_lanes_only(user)
    if isinstance(user, MatmulOp):
        return user.a == value and user.b != value
    return isinstance(user, (OutputOp, *ELEMENTWISE))


def _over_lanes_only(op: ReduceOp) -> bool:
    return tuple(op.axes.get_values()) == (len(tensor_of(op.x).shape) - 1,)
