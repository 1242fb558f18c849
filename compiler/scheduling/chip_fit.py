"""Whether a chip has what a flow names: flows that come as text may have been made for another chip."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.scheduling.placed import Places
from compiler.scheduling.trip import Compute, Feed, Flow, Load, Node, Swap, Trip, Write, location_of
from isa.chip import Chip
from isa.errors import ModelFault
from isa.spec import BYTES


def require_chip(flow: Flow, chip: Chip, places: Places | None = None) -> None:
    """Raises ModelFault for the first thing that the chip has not."""
    for buffer in flow.buffers.values():
        if buffer.lanes != chip.lanes:
            raise ModelFault(f"the flow is for chips with {buffer.lanes} lanes, {chip.name} has {chip.lanes}")
        if not chip.slices(buffer.memory):
            raise ModelFault(f"buffer @{buffer.name} is in {buffer.memory.upper()}, {chip.name} has none")
        for key, place in (places or {}).get(buffer.name, {}).items():
            unit = chip.units.get(place.unit)
            if unit is None or unit.kind != buffer.memory:
                raise ModelFault(f"buffer @{buffer.name}: {chip.name} has no {buffer.memory.upper()} slice '{place.unit}'")
            if place.base + (buffer.words_per_place(key[0]) - 1) * place.step >= chip.words(place.unit):
                raise ModelFault(f"buffer @{buffer.name} ends behind the last word of {place.unit}")
    for trip in flow.trips:
        for node in trip.nodes:
            for problem in _lacks(trip, node, chip):
                raise ModelFault(f"chip {chip.name}: {problem}", location_of(trip.origin), notes=(trip.origin,))


def _lacks(trip: Trip, node: Node, chip: Chip) -> Iterator[str]:
    if isinstance(node, Write) and any(lanes % chip.superlane for lanes in node.window):
        yield f"a write of the lanes {list(node.window)}; it has superlanes of {chip.superlane}"
    if isinstance(node, Compute):
        if node.unit not in chip.units:
            yield f"there is no unit '{node.unit}'"
        elif node.unit != "vxm" and node.mnemonic not in chip.sxm.instructions:
            yield f"the SXM has no {node.mnemonic}"
    elif isinstance(node, (Load, Swap, Feed)):
        if node.mode not in chip.mxm.modes:
            yield f"the MXM has no mode {node.mode}"
        pair = 0 if node.mode == "i8" else 1
        for plane in node.planes if isinstance(node, Load) else (node.plane,):
            if plane + pair >= len(chip.planes) or (pair and plane % 2):
                yield f"there is no plane {plane} for mode {node.mode}"
    if isinstance(node, Load):
        streams, width = trip.values[node.source].streams, BYTES["f16"] if node.mode == "f16" else 1
        if streams % width or streams > chip.mxm.load_streams:
            yield f"a load in mode {node.mode} from {streams} streams; there are {chip.mxm.load_streams} for loads"
