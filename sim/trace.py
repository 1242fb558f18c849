"""A program's time line for a trace viewer: one track a slot, in the JSON format that Perfetto and Chrome read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from isa.chip import Slot
from isa.program import Operation, Program
from isa.timing import end_cycle

Event = dict[str, Any]


def trace_events(program: Program) -> Iterator[Event]:
    """Names of tracks, then one event an operation: from its first dispatch to the cycle after its last.

    Times are microseconds of the chip's clock; `args` gives cycles, operands, fields and the place in the source.
    """
    chip = program.chip
    units = {name: number for number, name in enumerate(chip.units)}
    used = {op.slot for op in program.operations}
    for slot in chip.slot_list:
        if slot.name in used:
            yield from _track(slot, units[slot.unit.name])
    microseconds = 1e-3 / chip.clock_ghz
    for op in program.operations:
        slot = chip.slots[op.slot]
        yield {
            "name": op.mnemonic,
            "ph": "X",
            "pid": units[slot.unit.name],
            "tid": slot.index,
            "ts": op.cycle * microseconds,
            "dur": ((op.rep - 1) * op.every + 1) * microseconds,
            "args": _details(program, op),
        }


def _track(slot: Slot, unit: int) -> Iterator[Event]:
    yield {"name": "process_name", "ph": "M", "pid": unit, "args": {"name": slot.unit.name}}
    yield {"name": "process_sort_index", "ph": "M", "pid": unit, "args": {"sort_index": slot.unit.position}}
    yield {"name": "thread_name", "ph": "M", "pid": unit, "tid": slot.index, "args": {"name": slot.name}}


def _details(program: Program, op: Operation) -> dict[str, object]:
    details: dict[str, object] = {"cycle": op.cycle, "end_cycle": end_cycle(op, program.chip), "rep": op.rep, "every": op.every}
    details["sources"] = " ".join(str(source) for source in op.sources)
    details["result"] = str(op.result) if op.result is not None else ""
    details.update(op.fields)
    if 0 < op.origin < len(program.origins):
        details["origin"] = program.origins[op.origin]
    return details


def trace_json(program: Program) -> str:
    """The whole time line as one JSON text."""
    return json.dumps({"displayTimeUnit": "ns", "traceEvents": list(trace_events(program))}, separators=(",", ":"))
