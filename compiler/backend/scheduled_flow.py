"""A scheduled flow in IR as what emission takes: the door from the pipeline to the backend."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from compiler.backend.emit import Schedule
from compiler.dialects.flow_reader import flow_of, places_of, program_in, schedule_of
from compiler.scheduling.chip_fit import require_chip
from compiler.scheduling.flow_schedule import place_trips
from compiler.scheduling.list_scheduler import Scheduled
from compiler.scheduling.placed import PlacedTrip
from compiler.scheduling.trip import location_of
from isa.chip import Chip
from isa.errors import ModelFault


def read_schedule(module: ModuleOp, chip: Chip) -> Schedule:
    """Raises ModelFault where the module is no scheduled flow for this chip. That the schedule keeps the rules of the chip
    is for the checker to say, after emission."""
    program = program_in(module, "emission")
    flow = flow_of(program)
    places, starts = places_of(program, flow), schedule_of(program)
    require_chip(flow, chip, places)
    trips = place_trips(flow, places, chip)
    for trip, found in zip(trips, starts, strict=True):
        _require_slots(trip, found)
    return Schedule(flow, places, trips, starts)


def _require_slots(trip: PlacedTrip, found: Scheduled) -> None:
    place = location_of(trip.origin)
    if len(found.slots) != len(trip.steps):
        raise ModelFault(f"a trip has {len(found.slots)} slots for {len(trip.steps)} operations", place, notes=(trip.origin,))
    for step, slot in zip(trip.steps, found.slots, strict=True):
        if slot not in step.slots:
            expected = ", ".join(step.slots)
            raise ModelFault(f"{step.mnemonic} in slot {slot}, expected {expected}", place, notes=(trip.origin,))
