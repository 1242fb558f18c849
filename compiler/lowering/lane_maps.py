"""Lane moves by `permute`: maps that walk along with the vectors, kept once for the lane unit of each side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compiler.lowering.context import Hint, Lowering
from isa.chip import Chip, Side
from isa.spec import TRANSPOSE_SPAN as SPAN


def block_places(lowering: Lowering, side: Side, apart: BlocksApart | None = None) -> tuple[str, int]:
    """The maps that put block b in the place of every block, b after b: buffer and first row of a side's. With `apart` only
    in the lanes of its group, and zeros in the others."""
    lanes = np.arange(lowering.chip.lanes)
    maps = (lanes[::SPAN, None] + lanes % SPAN).astype(np.int32)
    if apart:
        group = lanes[::SPAN, None] // apart.width % apart.groups
        maps = np.where(lanes // apart.lanes == group, maps, len(lanes)).astype(np.int32)
    return _maps(lowering, maps, "places", side)


@dataclass(frozen=True, slots=True)
class BlocksApart:
    """Windows of `width` lanes that belong to so many groups in turn, each of which gets `lanes` lanes of its own."""

    groups: int
    width: int
    lanes: int


def lane_sides(chip: Chip) -> list[Side]:
    """Sides that have a lane unit, west first."""
    return [s for s in ("w", "e") if f"sxm.{s}" in chip.units]


def next_lane_side(lowering: Lowering) -> Side:
    """The lane units take turns."""
    sides = lane_sides(lowering.chip)
    lowering.lane_turns += 1
    return sides[lowering.lane_turns % len(sides)]


def lane_places(lowering: Lowering, side: Side, turn: int = 0, rows: int = 0, width: int = 0) -> tuple[str, int]:
    """The maps that put lane r into every lane, r after r: buffer and first row of a side's. There are as many of each side as
    it has planes, so that the epilogues of all can walk over them at once; `turn` says which.

    With a `width` each window of so many lanes gets its own lane r: window i lane i · rows + r, for `rows` of them."""
    lanes, copies = lowering.chip.lanes, lowering.chip.mxm.planes_per_side
    windows = np.arange(lanes) // width * rows if width else np.zeros(lanes)
    maps = (np.arange(rows if width else lanes)[:, None] + windows).astype(np.int32)
    return _maps(lowering, maps, "lane places", side, copies, turn)


def _maps(
    lowering: Lowering, maps: NDArray[np.int32], name: str, side: Side, copies: int = 1, turn: int = 0
) -> tuple[str, int]:
    sides: list[Side] = [s for s in lane_sides(lowering.chip) for _ in range(copies)]
    hint = Hint(tuple(i * len(maps) for i in range(len(sides))), tuple(sides))
    view = lowering.constant(np.concatenate([maps] * len(sides)), name, hint=hint)
    return view.buffer, view.offset + (sides.index(side) + turn) * len(maps)
