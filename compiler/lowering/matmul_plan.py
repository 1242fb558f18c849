"""How a matmul is spread over the planes: decided before buffers exist, for it shapes the memory of operands and result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest
from math import prod

from compiler.dialects.graph import ConstantOp, MatmulOp, ParamOp, ReduceOp, TakeOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.context import mxm_mode, mxm_sides, weight_rows_per_cycle
from isa.chip import Chip
from isa.errors import ModelFault


@dataclass(frozen=True, slots=True)
class Plan:
    """`groups` are groups of planes (even planes of pairs in the f16 modes): a tile column of weights goes to one group, whose
    planes share the rows. Groups alternate between the sides."""

    mode: str
    groups: tuple[tuple[int, ...], ...]
    depth: int
    halved: bool = False
    """Whether each side takes those steps over K whose weights are near it: planes that face each other take the same rows, and
    their sums meet at the vector unit."""

    @property
    def planes(self) -> int:
        """Number of planes that work at once."""
        return sum(len(group) for group in self.groups)

    @property
    def across_sides(self) -> bool:
        """Whether every tile of weights is loaded on all sides."""
        return len(self.groups) == 1

    def row_borders(self, rows: int) -> tuple[int, ...]:
        """First rows of as many shares as there are planes. Every plane begins with a share of its own, also where it takes all
        of them in the end, so that no two planes ask a slice for activations at the same time."""
        count = max(1, min(self.planes, rows // MIN_SHARE_ROWS)) if len(self.groups) > 1 else self.planes
        count = count // 2 if self.halved else count
        return tuple(dict.fromkeys(rows * i // count for i in range(count)))


MIN_SHARE_ROWS = 16
"""Fewer rows than this are not worth a feed of their own (our choice)."""


WORTH_HALVING = 0.9
"""What a product may take at most, of what it would take otherwise, to have its sums meet at the vector unit (our choice)."""


def plan(op: MatmulOp, chip: Chip) -> Plan:
    """The cheapest way to spread a matmul, by cycles of the busiest plane. Raises ModelFault."""
    mode = mxm_mode(op.a, op.b)
    if mode not in chip.mxm.modes:
        raise ModelFault(
            f"matmul: chip {chip.name} has no {mode} mode",
            hint=f"it has {', '.join(chip.mxm.modes)}: cast the operands to match",
        )
    a, b, result = tensor_of(op.a), tensor_of(op.b), tensor_of(op.result)
    depth, inner = chip.depth(mode), a.shape[-1]
    batch = prod(b.shape[:-2])
    rows = prod(result.shape[:-1]) // batch
    steps = -(-inner // depth)
    tile_columns = sum(-(-tensor_of(other.result).shape[-1] // chip.lanes) for other in _siblings(op)) * batch
    constant = isinstance(op.b.owner, (ParamOp, ConstantOp))
    memory = "rram" if chip.rram and constant else "sram"
    load = -(-min(depth, inner) // weight_rows_per_cycle(chip, memory, b.type))

    def cycles(groups: tuple[tuple[int, ...], ...]) -> int:
        """Of the busiest group: its feeds and the loads of its side, which the groups of a side share. They overlap, but loads
        that take as long as feeds leave no time to fetch what comes next. What is made at run time lies in one place: sides
        that all load it take turns."""
        sides = len(mxm_sides(chip))
        loads = load * (sides if len(groups) == 1 and not constant else max(1, len(groups) // sides))
        feeds = -(-rows // len(groups[0]))
        return steps * -(-tile_columns // len(groups)) * (feeds + loads)

    # On a tie the plan with fewer loads; for every tile of weights is loaded once for each group that works on it.
    ways = [groups for groups in _groupings(mode, chip) if len(groups) == 1 or rows >= len(groups[0])]
    ways = ways[-1:] if folds_matrices(op) else ways
    best = min(ways, key=lambda groups: (cycles(groups), -len(groups)))
    if _can_be_halved(op, chip, steps, rows):
        pairs = len(chip.planes) // 2
        halved = -(-steps * tile_columns // 2) * (-(-rows // pairs) + load)
        if halved < cycles(best) * WORTH_HALVING:
            return Plan(mode, (tuple(range(len(chip.planes))),), depth, halved=True)
    return Plan(mode, best, depth)


def folds_matrices(op: MatmulOp) -> bool:
    """Whether all that becomes of a batch of integer products is a fold of the rows of each matrix: as they leave a plane, if
    one has all of them."""
    users = [use.operation for use in op.result.uses]
    if len(users) != 1 or not isinstance(users[0], ReduceOp) or tensor_of(users[0].result).type != "i32":
        return False
    rank = len(tensor_of(op.result).shape)
    return rank > 2 and users[0].keepdims is not None and tuple(users[0].axes.get_values()) == (rank - 2,)


def _can_be_halved(op: MatmulOp, chip: Chip, steps: int, rows: int) -> bool:
    """Whether both sides may have steps over K of their own: of integers, whose sums may be added in any order, with known
    weights, between equally many planes, with a share of rows that accumulators hold."""
    sides = [[p for p in chip.planes if p.side == side] for side in mxm_sides(chip)]
    return (
        tensor_of(op.result).type == "i32"
        and isinstance(op.b.owner, (ParamOp, ConstantOp))
        and len(tensor_of(op.b).shape) == 2
        and not any(isinstance(use.operation, TakeOp) for use in op.result.uses)
        and len(sides) == 2
        and len(sides[0]) == len(sides[1])
        and steps > 1
        and len(sides[0]) <= rows <= len(sides[0]) * chip.mxm.accumulators
    )


def plan_of_sum(op: MatmulOp, chip: Chip) -> Plan:
    """A matmul whose rows are all added up: every tile column goes to a plane of its own. Raises ModelFault."""
    spread = plan(op, chip)
    return replace(spread, groups=_groupings(spread.mode, chip)[-1])


def _siblings(op: MatmulOp) -> list[MatmulOp]:
    """The products of the same activations with constant weights, this one among them: one goes on where the last one ends."""
    users = [use.operation for use in op.a.uses if use.index == 0]
    alike = [u for u in users if isinstance(u, MatmulOp) and isinstance(u.b.owner, (ParamOp, ConstantOp))]
    return alike if op in alike and len(tensor_of(op.b).shape) == 2 else [op]


def _groupings(mode: str, chip: Chip) -> list[tuple[tuple[int, ...], ...]]:
    """All planes together; the planes of each side; every plane alone."""
    planes = range(0, len(chip.planes), 1 if mode == "i8" else 2)
    sides = [tuple(p for p in planes if chip.planes[p].side == side) for side in mxm_sides(chip)]
    alone = tuple((p,) for turn in zip_longest(*sides) for p in turn if p is not None)
    return list(dict.fromkeys([(tuple(planes),), tuple(sides), alone]))
