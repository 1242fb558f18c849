"""What `--report` says of a program beyond its cycles: which slots are busy, and when each place of the source is at work."""

from __future__ import annotations

from typing import Any

from isa.program import Program
from isa.timing import end_cycle, program_cycles

MOST_SLOTS = 16


def busiest_slots(program: Program) -> list[dict[str, Any]]:
    """The slots that are held longest, longest first, with the cycles from first to last dispatch of their operations."""
    held: dict[str, int] = {}
    for op in program.operations:
        held[op.slot] = held.get(op.slot, 0) + (op.rep - 1) * op.every + 1
    total = max(1, program_cycles(program.operations, program.chip))
    order = sorted(held, key=lambda name: (-held[name], name))[:MOST_SLOTS]
    return [{"slot": name, "busy_cycles": held[name], "share": round(held[name] / total, 4)} for name in order]


def source_times(program: Program) -> list[dict[str, Any]]:
    """For each place of the source: the cycle of its first dispatch, the first one at which nothing of it is under way."""
    found: dict[int, dict[str, Any]] = {}
    for op in program.operations:
        end = end_cycle(op, program.chip)
        entry = found.setdefault(
            op.origin, {"place": program.origins[op.origin], "first_cycle": op.cycle, "end_cycle": end, "operations": 0}
        )
        entry["end_cycle"] = max(entry["end_cycle"], end)
        entry["operations"] += 1
    return list(found.values())


def program_report(program: Program) -> dict[str, Any]:
    return {"busiest_slots": busiest_slots(program), "source": source_times(program)}
