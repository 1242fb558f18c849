"""`place-again`: places by the times of the schedule, and a schedule for these places.

Needs a scheduled flow and its chip; leaves one that takes no more cycles. Weights in RRAM keep their places.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from compiler.backend.bounds import bound_of_other_places
from compiler.context import beside_of, device_of, require_chip_of
from compiler.dialects.flow_reader import flow_of, places_of, program_in, schedule_of
from compiler.dialects.flow_writer import set_places, set_schedule
from compiler.scheduling.chip_fit import require_chip
from compiler.scheduling.placed import Places
from compiler.scheduling.placement import place
from compiler.scheduling.refinement import refine
from compiler.scheduling.rehearsal import Rehearsal
from compiler.scheduling.shared_memory import residents_of

FEW_TRIPS = 8_000
"""So large a program gets all rounds, one of up to twice as many trips a single one, for each takes its time (our choice)."""


@dataclass(frozen=True)
class PlaceAgainPass(ModulePass):
    """Buffers get other places where trips waited for ports of SRAM, and trips another schedule, up to `rounds` times.

    Large programs fewer times (`FEW_TRIPS`). The best of all schedules stays.
    """

    name = "place-again"

    rounds: int = 3

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip = require_chip_of(ctx, self.name)
        program = program_in(op, self.name)
        flow = flow_of(program)
        places, schedule = places_of(program, flow), schedule_of(program)
        require_chip(flow, chip, places)
        few = len(flow.trips) <= FEW_TRIPS
        rounds = self.rounds if few else min(self.rounds, 2 * FEW_TRIPS // len(flow.trips))
        if not rounds:
            return
        beside = beside_of(ctx)
        residents, device = residents_of(beside) if beside else None, device_of(ctx)

        def again(rehearsal: Rehearsal) -> Places:
            return place(flow, chip, "scheduled", residents, device, rehearsal)

        places, schedule = refine(flow, places, schedule, chip, rounds, again, lambda trips: bound_of_other_places(trips, chip))
        set_places(program, flow, places)
        set_schedule(program, schedule)
