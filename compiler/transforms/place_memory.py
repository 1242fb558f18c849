"""`place-memory`: every buffer gets its slices and addresses.

Needs a flow program and its chip; leaves a place for every (segment, stripe, tile, byte) of every buffer, loads from RRAM
in the rhythm of their banks, and no schedule, for a schedule holds only for the places it was made for.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from compiler.context import beside_of, device_of, require_chip_of
from compiler.dialects.flow_reader import flow_of, program_in
from compiler.dialects.flow_writer import drop_schedule, replace_trips, set_places
from compiler.scheduling.bank_rhythm import in_rhythm
from compiler.scheduling.chip_fit import require_chip
from compiler.scheduling.placement import SCHEMES, place
from compiler.scheduling.shared_memory import residents_of
from isa.errors import ModelFault


@dataclass(frozen=True)
class PlaceMemoryPass(ModulePass):
    """Buffers get places; beside those of another program and on the rows of a device, where the context has them.

    `scheme` says how weights lie over the banks of RRAM (`compiler.scheduling.placement.SCHEMES`).
    """

    name = "place-memory"

    scheme: str = "scheduled"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip = require_chip_of(ctx, self.name)
        program = program_in(op, self.name)
        flow = flow_of(program)
        require_chip(flow, chip)
        drop_schedule(program)
        if self.scheme not in SCHEMES:
            raise ModelFault(f"{self.name}: there is no scheme '{self.scheme}'", hint=f"schemes are {', '.join(SCHEMES)}")
        beside = beside_of(ctx)
        places = place(flow, chip, self.scheme, residents_of(beside) if beside else None, device_of(ctx))
        set_places(program, flow, places)
        replace_trips(program, flow, in_rhythm(flow, places, chip))
