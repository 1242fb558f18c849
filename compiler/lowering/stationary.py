"""The weights of a matmul where loads find them: known ones in the order of their loads, others striped or transposed first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from compiler.dialects.graph import MatmulOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.context import Lowering, mxm_sides, weight_rows_per_cycle
from compiler.lowering.copies import copy_rows
from compiler.lowering.lane_permutes import permutes_beside_planes
from compiler.lowering.matmul_plan import Plan
from compiler.lowering.transposed_loads import SPAN, blocks_of, require_transposed_loads, transposes_loads
from compiler.lowering.transposes import exchange
from compiler.lowering.views import View
from isa.chip import Chip, Side
from isa.errors import ModelFault


@dataclass(frozen=True, slots=True)
class Stationary:
    """Weights of one batch entry: row k of tile column n is row `row` + k of tile `tile` + n, or transposed, column by row."""

    buffer: str
    row: int
    tile: int
    transposed: bool = False
    splat: bool = False
    """One output column whose vector must fill every lane of the result."""
    lane: int = 0
    """Lane of the tile where the weights begin: the result begins there, or the load brings them to lane 0 if transposed."""
    near: tuple[tuple[Side, str], ...] = ()
    """Known weights whose rows are all alike, so that what one step over K has loaded serves the others: rows of one step in a
    buffer for each side, that no load crosses the chip."""
    blocks: tuple[str, ...] = ()
    """What the lane unit makes transposed weights of, tile by tile, where planes cannot load them so."""
    groups: int = 1
    """Of products side by side, each with rows of its own: the same rows of memory, from `lane` on a window for each of them,
    and zeros around it, which the lane unit puts there on the way to the plane."""

    @property
    def uniform(self) -> bool:
        """Whether all rows are alike."""
        return bool(self.near)

    def for_side(self, side: Side | None) -> str:
        """The buffer for planes of a side."""
        return next((buffer for near, buffer in self.near if near == side), self.buffer)


def stationaries(lowering: Lowering, op: MatmulOp, spread: Plan) -> Iterator[tuple[tuple[int, ...], Stationary]]:
    """The weights of every batch entry, with its index."""
    array = lowering.array_of(op.b)
    transposed = op.transpose_b is not None
    if op.group_count > 1 and array is None:
        _require_groups(op, lowering.chip)
    if array is not None:
        array = np.ascontiguousarray(np.swapaxes(array, -1, -2)) if transposed else array
        array = _block_diagonal(array, op.group_count, transposed)
        owner = op.b.owner
        stem = getattr(owner, "label", "w")
        role = "param" if hasattr(owner, "label") else "constant"
        if array.ndim == 2 and array.shape[-1] <= lowering.chip.lanes and bool((array == array[:1]).all()):
            rows, sides = [array[: spread.depth]], mxm_sides(lowering.chip)
            near: list[tuple[Side, str]] = [(side, lowering.near_stationary(rows, side).name) for side in sides]
            yield (), Stationary(near[0][1], 0, 0, near=tuple(near))
            return
        buffer = lowering.stationary(array, stem, spread.depth, role, by_blocks=spread.across_sides)
        inner = array.shape[-2]
        for i, index in enumerate(product(*(range(s) for s in array.shape[:-2]))):
            yield index, Stationary(buffer.name, i * inner, 0)
        return
    if transposed and not lowering.chip.mxm.transposed_load:
        yield from _transposed_by_lanes(lowering, op)
        return
    view = lowering.striped(lowering.window(op.b))
    if view.column_steps and view.column_steps[-1]:
        view = lowering.striped(lowering.view(op.b))
    if op.group_count > 1:
        for index in product(*(range(s) for s in view.leading[:-1])):
            entry = view.at(index).tiled(lowering.chip.lanes)
            yield index, Stationary(entry.buffer, entry.offset, entry.tile, lane=entry.column, groups=op.group_count)
        return
    if not view.plain and transposed and not shifts_loads(lowering.chip):
        view = lowering.striped(lowering.view(op.b))
    if view.strides[-1] != 1 and view.leading[-1] != 1:
        kind = tensor_of(op.b).type
        view = lowering.striped(lowering.view(op.b))
        compact = lowering.temporary(kind, view.shape, weight_rows_per_cycle(lowering.chip, "sram", kind))
        copy_rows(lowering, view, compact)
        view = compact
    for index in product(*(range(s) for s in view.leading[:-1])):
        entry = view.at(index).tiled(lowering.chip.lanes)
        splat = transposed and entry.leading == (1,)
        yield index, Stationary(entry.buffer, entry.offset, entry.tile, transposed, splat, entry.column)


def _transposed_by_lanes(lowering: Lowering, op: MatmulOp) -> Iterator[tuple[tuple[int, ...], Stationary]]:
    """Transposed weights on a chip whose planes cannot load them so: bytes are transposed on their way to the plane, wider
    types in memory."""
    chip = lowering.chip
    require_transposed_loads(chip)
    view = lowering.striped(lowering.window(op.b))
    columns = [view.column, *view.column_steps]
    if any(c % SPAN for c in columns):
        view = lowering.striped(lowering.view(op.b))
    if tensor_of(op.b).type != "i8":
        view = lowering.striped(lowering.view(op.b))
        kind, shape = tensor_of(op.b).type, (*view.leading[:-1], view.columns, view.leading[-1])
        turned = lowering.temporary(kind, shape, weight_rows_per_cycle(chip, "sram", kind))
        exchange(lowering, view, turned)
        for index in product(*(range(s) for s in view.leading[:-1])):
            entry = turned.at(index)
            yield index, Stationary(entry.buffer, entry.offset, 0)
        return
    made: dict[View, str] = {}
    for index in product(*(range(s) for s in view.leading[:-1])):
        entry = view.at(index).tiled(chip.lanes)
        names: list[str] = []
        for tile in range(-(-(entry.column + entry.columns) // chip.lanes)):
            width = min(chip.lanes, lowering.flow.buffers[entry.buffer].columns - (entry.tile + tile) * chip.lanes)
            part = replace(entry, tile=entry.tile + tile, column=0, columns=width)
            if part not in made:
                made[part] = blocks_of(lowering, part, groups=op.group_count, width=view.columns // op.group_count)
            names.append(made[part])
        yield index, Stationary(entry.buffer, entry.offset, 0, True, lane=entry.column, blocks=tuple(names))


def shifts_loads(chip: Chip) -> bool:
    """Whether weights can be moved to lane 0 on their way to every plane."""
    return "shift" in chip.sxm.instructions and all(f"sxm.{p.side}" in chip.units for p in chip.planes)


def joins_groups(inner: int, columns: int, transposed: bool, groups: int, chip: Chip) -> bool:
    """Whether the lane units can load run-time weights of products side by side, each [inner, columns], in one step and one
    tile: they bring zeros around each of them, transposed by blocks or on the way to the plane."""
    fits = groups * inner <= chip.depth("i8") and groups * columns <= chip.lanes
    whole = not (inner % SPAN or columns % SPAN) and chip.lanes % (groups * (inner if transposed else columns)) == 0
    moves = transposes_loads(chip) and not chip.mxm.transposed_load if transposed else permutes_beside_planes(chip)
    return fits and whole and moves


def _require_groups(op: MatmulOp, chip: Chip) -> None:
    groups, transposed = op.group_count, op.transpose_b is not None
    inner, columns = tensor_of(op.a).shape[-1] // groups, tensor_of(op.result).shape[-1] // groups
    if not joins_groups(inner, columns, transposed, groups, chip):
        raise ModelFault(
            f"chip {chip.name} cannot make weights at run time for {groups} groups of [{inner}, {columns}]",
            hint="a product for each group works on any chip",
        )


def _block_diagonal(array: NDArray[np.generic], groups: int, transposed: bool) -> NDArray[np.generic]:
    """Known weights [.., K, groups · N], or [.., groups · K, N] of a transposed operand, as [.., groups · K, groups · N]."""
    if groups == 1:
        return array
    parts = np.split(array, groups, axis=-2 if transposed else -1)
    inner, columns = parts[0].shape[-2:]
    whole = np.zeros((*array.shape[:-2], groups * inner, groups * columns), array.dtype)
    for i, part in enumerate(parts):
        whole[..., i * inner : (i + 1) * inner, i * columns : (i + 1) * columns] = part
    return whole
