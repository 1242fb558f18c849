"""`place-memory`: every buffer gets its slices and addresses.

Needs a flow program and its chip; leaves a place for every (segment, stripe, tile, byte) of every buffer, and no
schedule, for a schedule holds only for the places it was made for.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from compiler.context import require_chip_of
from compiler.dialects.flow_reader import flow_of, program_in
from compiler.dialects.flow_writer import drop_schedule, set_places
from compiler.scheduling.chip_fit import require_chip
from compiler.scheduling.placement import place


@dataclass(frozen=True)
class PlaceMemoryPass(ModulePass):
    """Buffers get places."""

    name = "place-memory"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip = require_chip_of(ctx, self.name)
        program = program_in(op, self.name)
        flow = flow_of(program)
        require_chip(flow, chip)
        drop_schedule(program)
        set_places(program, flow, place(flow, chip))
