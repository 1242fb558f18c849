"""`schedule`: every trip gets its start cycle, its slots and its streams.

Needs a placed flow and its chip; leaves a scheduled flow, from which `compiler.backend` makes the program. A schedule
that is there already is made anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from compiler.context import require_chip_of
from compiler.dialects.flow_reader import flow_of, places_of, program_in
from compiler.dialects.flow_writer import set_schedule
from compiler.scheduling.chip_fit import require_chip
from compiler.scheduling.flow_schedule import find_starts, place_trips


@dataclass(frozen=True)
class SchedulePass(ModulePass):
    """Trips get cycles, slots and streams.

    Among trips that are ready, the one with the longest path to the end goes first; with `program_order` the first in the
    program, which shows what the longest path buys.
    """

    name = "schedule"

    program_order: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip = require_chip_of(ctx, self.name)
        program = program_in(op, self.name)
        flow = flow_of(program)
        places = places_of(program, flow)
        require_chip(flow, chip, places)
        set_schedule(program, find_starts(place_trips(flow, places, chip), chip, self.program_order))
