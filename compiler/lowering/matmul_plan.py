"""How a matmul is spread over the planes: decided before buffers exist, for it shapes the memory of operands and result."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.dialects.graph import ConstantOp, MatmulOp, ParamOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.context import mxm_sides, weight_rows_per_cycle
from isa.chip import Chip
from isa.errors import ModelFault


@dataclass(frozen=True, slots=True)
class Plan:
    """`planes` are the planes (even planes of pairs in the f16 modes) that jobs may use.

    With `split_rows` every plane takes its share of the rows of every weight tile, else a job is all rows of a tile column.
    """

    mode: str
    planes: tuple[int, ...]
    split_rows: bool
    depth: int

    def row_borders(self, rows: int) -> tuple[int, ...]:
        """First rows of the planes' shares."""
        count = len(self.planes) if self.split_rows else 1
        return tuple(dict.fromkeys(rows * i // count for i in range(count)))


def mode_of(op: MatmulOp) -> str:
    """MXM mode by the operand types (f32 is decomposed before)."""
    a, b = tensor_of(op.a).type, tensor_of(op.b).type
    return {("i8", "i8"): "i8", ("f16", "f16"): "f16", ("f16", "i8"): "i8f16"}[a, b]


def plan(op: MatmulOp, chip: Chip) -> Plan:
    """The cheaper of the two ways to spread a matmul, by cycles of the busiest plane. Raises ModelFault."""
    mode = mode_of(op)
    if mode not in chip.mxm.modes:
        raise ModelFault(
            f"matmul: chip {chip.name} has no {mode} mode",
            hint=f"it has {', '.join(chip.mxm.modes)}: cast the operands to match",
        )
    pairs = mode != "i8"
    planes = tuple(range(0, len(chip.planes), 2 if pairs else 1))
    a, b, result = tensor_of(op.a), tensor_of(op.b), tensor_of(op.result)
    depth = chip.depth(mode)
    inner, columns = a.shape[-1], result.shape[-1]
    batch = 1
    for size in b.shape[:-2]:
        batch *= size
    rows = 1
    for size in result.shape[:-1]:
        rows *= size
    rows //= batch
    steps = -(-inner // depth)
    tile_columns = -(-columns // chip.lanes) * batch
    memory = "rram" if chip.rram and isinstance(op.b.owner, (ParamOp, ConstantOp)) else "sram"
    load = -(-min(depth, inner) // weight_rows_per_cycle(chip, memory, b.type))
    sides = len(mxm_sides(chip))
    whole = steps * max(-(-tile_columns // len(planes)) * rows, -(-tile_columns // sides) * load)
    shared = steps * tile_columns * max(-(-rows // len(planes)), load)
    # On a tie planes that share rows never ask one slice for the same activations at the same time.
    split_rows = shared < whole or (shared == whole and rows >= len(planes) * load)
    return Plan(mode, planes, split_rows and rows >= len(planes), depth)
