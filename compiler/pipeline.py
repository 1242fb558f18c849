"""The default pipeline, as text, and what runs it: from a declared graph to a checked program."""

from __future__ import annotations

import gc
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from io import StringIO

from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.passes import ModulePass
from xdsl.printer import Printer

from compiler.backend.bounds import lower_bound
from compiler.backend.emit import emit
from compiler.backend.scheduled_flow import read_schedule
from compiler.context import LockstepContext, new_context, require_chip_of
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import source_place
from compiler.lowering.capacity import require_room
from compiler.pass_pipeline import parse_passes
from compiler.progress import stage
from compiler.scheduling.device_rows import DeviceRows
from compiler.scheduling.flow_schedule import TripFault
from compiler.scheduling.placement import NoRoomFault
from compiler.transforms.lower_to_flow import FUSE_LIMIT, LowerToFlowPass
from compiler.weights import WeightStore
from isa.checker import require_valid
from isa.chip import Chip
from isa.errors import PromiseFault, ScheduleFault
from isa.program import Program
from isa.timing import program_cycles

DEFAULT_PIPELINE = (
    "fold-constants,pack-images,decompose,canonicalize-graph,fold-constants,common-subexpressions,canonicalize-graph,"
    "join-heads,casts-at-users,lower-to-flow{fuse-limit=8},prefetch-weights,place-memory{scheme=scheduled},schedule,"
    "place-again{rounds=3}"
)
STAGES = {"flow": "lower-to-flow", "placed": "place-memory", "scheduled": "place-again"}
"""Stages of the flow dialect, each with the pass that leaves it. The stage before them is `graph`."""


def compile_graph(
    module: ModuleOp,
    weights: WeightStore,
    chip: Chip,
    passes: str | None = None,
    beside: Program | None = None,
    device: DeviceRows | None = None,
) -> Program:
    """A declared graph as a program that the checker has passed. The module is used up.

    With `beside` a program for the same device, which shares its parameters and states (`compiler.scheduling.shared_memory`);
    with `device` placed on its rows.

    Raises ToolchainError; PromiseFault if the checker finds the program wrong, which is never the model's fault.
    """
    with _collector_paused():
        module = run_pipeline(module, new_context(weights, chip, beside, device), passes)
        stage("emission")
        found = read_schedule(module, chip)
        program = emit(found, weights, chip)
        bound, by = lower_bound(found, chip)
    program.facts = {
        "predicted_cycles": program_cycles(program.operations, chip),
        "bound_cycles": bound,
        "bound_by": by,
    }
    used = module.attributes.get(FUSE_LIMIT)
    if isinstance(used, IntegerAttr):
        program.facts["fuse_limit"] = used.value.data
    stage("checking")
    try:
        require_valid(program)
    except ScheduleFault as fault:
        raise PromiseFault(f"the compiled program is not legal: {fault.message}", fault.location, notes=fault.notes) from fault
    return program


@contextmanager
def _collector_paused() -> Generator[None, None, None]:
    """What a compilation makes lives to its end: looking for garbage meanwhile takes a fifth of the time and finds none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def stage_text(stage: str, module: ModuleOp, weights: WeightStore, chip: Chip, passes: str | None = None) -> str:
    """The IR as the pass that `STAGES` names for this stage leaves it. The module is used up. Raises ToolchainError.

    The graph is the declared one; where passes are given, what those before `lower-to-flow` make of it. It is written
    with the places of its operations in the source: trips that are made from the text have them too.
    """
    if stage == "graph":
        steps = parse_passes(passes or "")
        lowering = next((i for i, step in enumerate(steps) if step.name == STAGES["flow"]), len(steps))
        return _with_places(run_passes(module, new_context(weights, chip), steps[:lowering]))
    return str(run_pipeline(module, new_context(weights, chip), passes, STAGES[stage])) + "\n"


def _with_places(module: ModuleOp) -> str:
    """The text of a graph with source places; without them where a file's name is one that xDSL could not read again."""
    files = {place.file for op in main_block(module).ops if (place := source_place(op.location))}
    readable = all(name.isascii() and name.isprintable() and not {'"', "\\"} & set(name) for name in files)
    text = StringIO()
    Printer(text, print_debuginfo=readable).print_op(module)
    return text.getvalue() + "\n"


def run_pipeline(module: ModuleOp, context: LockstepContext, passes: str | None, last: str | None = None) -> ModuleOp:
    """The module after these passes (None: the default pipeline), up to the last one named `last`. Raises ToolchainError.

    Where trips of the default pipeline turn out to need something twice at once, or so many slices at once that buffers find
    no place, the graph is lowered again with half as many operations a trip, down to one, then with no tensor in segments
    either. Who writes a pipeline of their own gets what it says, or the fault.
    """
    steps = parse_passes(DEFAULT_PIPELINE if passes is None else passes)
    end = max((i for i, step in enumerate(steps) if step.name == last), default=len(steps) - 1) + 1
    return run_passes(module, context, steps[:end], lower_again=passes in (None, DEFAULT_PIPELINE))


def run_passes(
    module: ModuleOp, context: LockstepContext, steps: Sequence[ModulePass], *, lower_again: bool = False
) -> ModuleOp:
    """The module after all passes; nothing is verified in between. `lower_again`: see `run_pipeline`. Raises ToolchainError."""
    at = next((i for i, step in enumerate(steps) if isinstance(step, LowerToFlowPass)), len(steps))
    if at < len(steps):
        require_room(module, require_chip_of(context, LowerToFlowPass.name))
    for step in steps[:at]:
        stage(step.name)
        step.apply(context, module)
    while True:
        lowering = steps[at] if at < len(steps) else None
        again = lower_again and isinstance(lowering, LowerToFlowPass) and lowering.fuse_limit > 1
        graph = module.clone() if again else module
        try:
            for step in steps[at:]:
                stage(step.name)
                step.apply(context, module)
            return module
        except (TripFault, NoRoomFault):
            if not again or not isinstance(lowering, LowerToFlowPass):
                raise
        module, steps = graph, [*steps[:at], LowerToFlowPass(fuse_limit=lowering.fuse_limit // 2), *steps[at + 1 :]]
