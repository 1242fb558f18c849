"""States that products load from both sides of the chip at once: keys and values of a long context.

A state lies on one side, and a side loads so many rows of weights a cycle; what comes from both sides comes in half the time.
So long states are cut into two segments, one a side, between tiles of what products make of them and between their steps.
"""

from __future__ import annotations

from math import lcm, prod

from xdsl.ir import SSAValue

from compiler.dialects.graph import ScatterOp, StateOp
from compiler.dialects.graph_types import tensor_of
from isa.chip import Chip

LONG_ROWS = 1024
"""Fewer rows are loaded from one side before anybody waits for them (our choice)."""


def border_of_state(value: SSAValue, chip: Chip) -> int:
    """The first row of a state, or of what scatters make of one, that lies on the other side; 0 where all of it lies on one."""
    maker = value.owner
    while isinstance(maker, ScatterOp):
        maker = maker.x.owner
    rows = prod(tensor_of(value).shape[:-1])
    sides = {plane.side for plane in chip.planes}
    if (
        not isinstance(maker, StateOp)
        or rows < LONG_ROWS
        or len(sides) < 2
        or not all(chip.slices("sram", s) for s in ("w", "e"))
    ):
        return 0
    unit = lcm(chip.lanes, *(chip.depth(mode) for mode in chip.mxm.modes))
    return rows // 2 // unit * unit
