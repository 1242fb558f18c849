"""Which SRAM slices constants share, and which constants keep off these."""

from __future__ import annotations

from compiler.scheduling.rivals import loaded
from compiler.scheduling.trip import Buffer, Compute, Flow, Group, Load, Read, Trip, Write, touched
from isa.chip import Chip

SHORT_WALK_CYCLES = 16
"""A walk of so few cycles keeps nobody waiting for long, but waits itself while weights are loaded (our choice)."""


def is_constant(buffer: Buffer) -> bool:
    """Rows that are known, but no weights that are loaded."""
    return buffer.role in ("constant", "param") and not loaded(buffer)


def slices_of_constants(flow: Flow, chip: Chip) -> set[str]:
    """SRAM slices for constants: the innermost of each side, as many as one trip reads for many rows. Epilogues read them
    whenever planes emit, so activations keep off them where they can."""
    most = 0
    for trip in flow.trips:
        long = [node for node in trip.nodes if isinstance(node, Read) and node.count > SHORT_WALK_CYCLES]
        read = dict.fromkeys(g for node in long for g in touched(node, flow.buffers))
        most = max(most, sum(flow.buffers[name].bytes for name, *_ in read if is_constant(flow.buffers[name])))
    found: set[str] = set()
    for side in ("w", "e"):
        slices = [unit.name for unit in chip.slices("sram", side)]
        found.update(slices[: min(most, len(slices) // 2)])
    return found


def maps_of_lane_units(flow: Flow) -> set[Group]:
    """Constants that are read only where lane units make weights of what is computed, past no vector unit: for what comes next,
    so they run while epilogues keep the slices of their constants busy."""
    with_weights: set[Group] = set()
    others: set[Group] = set()
    for trip in flow.trips:
        read = [g for node in trip.nodes if isinstance(node, Read) for g in touched(node, flow.buffers)]
        constants = {group for group in read if is_constant(flow.buffers[group[0]])}
        (with_weights if _makes_weights(trip, flow) else others).update(constants)
    return with_weights - others


def _makes_weights(trip: Trip, flow: Flow) -> bool:
    """Whether a trip leads past a lane unit alone, to a plane as its weights or to memory that loads read."""
    units = {node.unit for node in trip.nodes if isinstance(node, Compute)}
    loads = any(isinstance(n, Load) or (isinstance(n, Write) and loaded(flow.buffers[n.buffer])) for n in trip.nodes)
    return bool(units) and "vxm" not in units and loads
