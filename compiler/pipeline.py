"""The default pipeline: from a declared graph to a checked program."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from compiler.backend.bounds import lower_bound
from compiler.backend.emit import Schedule, emit
from compiler.context import new_context
from compiler.lowering.lower import lower_graph
from compiler.pass_pipeline import parse_passes
from compiler.scheduling.dependences import dependence_graph
from compiler.scheduling.list_scheduler import NoPlaceError, schedule
from compiler.scheduling.placed import place_trip
from compiler.scheduling.placement import place
from compiler.scheduling.trip import Flow
from compiler.weights import WeightStore
from isa.checker import require_valid
from isa.chip import Chip
from isa.program import Program
from isa.timing import program_cycles

GRAPH_PIPELINE = "decompose,canonicalize-graph,fold-constants,common-subexpressions,canonicalize-graph"
FUSE_LIMITS = (8, 1)


def compile_graph(module: ModuleOp, weights: WeightStore, chip: Chip, passes: str | None = None) -> Program:
    """A declared graph as a program that the checker has passed. Raises ToolchainError."""
    found = schedule_graph(module, weights, chip, passes)
    program = emit(found, weights, chip)
    bound, by = lower_bound(found, chip)
    program.facts = {
        "predicted_cycles": program_cycles(program.operations, chip),
        "bound_cycles": bound,
        "bound_by": by,
    }
    require_valid(program)
    return program


def schedule_graph(module: ModuleOp, weights: WeightStore, chip: Chip, passes: str | None = None) -> Schedule:
    """Graph passes, lowering and scheduling: everything before emission. Raises ToolchainError."""
    context = new_context(weights, chip)
    for step in parse_passes(GRAPH_PIPELINE if passes is None else passes):
        step.apply(context, module)
    for limit in FUSE_LIMITS[:-1]:
        try:
            return schedule_flow(lower_graph(module, weights, chip, limit), chip)
        except NoPlaceError:
            continue
    return schedule_flow(lower_graph(module, weights, chip, FUSE_LIMITS[-1]), chip)


def schedule_flow(flow: Flow, chip: Chip) -> Schedule:
    """Places, offsets, dependences and start cycles of a flow."""
    places = place(flow, chip)
    trips = [place_trip(trip, flow.buffers, places, chip) for trip in flow.trips]
    return Schedule(flow, places, trips, schedule(trips, dependence_graph(trips, chip), chip))
