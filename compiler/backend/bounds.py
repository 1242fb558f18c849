"""Lower bounds on a program's cycles, and what sets them: the busiest unit, weight bandwidth, the longest chain."""

from __future__ import annotations

from collections import defaultdict

from compiler.backend.emit import Schedule
from compiler.scheduling.dependences import dependence_graph
from compiler.scheduling.list_scheduler import longest_paths
from isa.chip import Chip


def lower_bound(schedule: Schedule, chip: Chip) -> tuple[int, str]:
    """Cycles that no schedule of these trips at these places can beat, and the name of the limit."""
    busy: defaultdict[str, int] = defaultdict(int)
    pooled: defaultdict[str, int] = defaultdict(int)
    for trip in schedule.trips:
        for step in trip.steps:
            cycles = (step.rep - 1) * step.every + 1
            if len(step.slots) == 1:
                for name in (step.slots[0], *step.hold):
                    busy[name] += cycles
            else:
                pooled[step.slots[0].rsplit(".", 1)[0]] += cycles
    for unit, cycles in pooled.items():
        slots = sum(1 for s in chip.slot_list if s.unit.name == unit)
        busy[unit] = -(-cycles // slots)
    chain = max(longest_paths(dependence_graph(schedule.trips, chip), schedule.trips), default=0)
    limits = {name: cycles for name, cycles in sorted(busy.items())}
    limits["longest chain"] = chain
    name = max(limits, key=lambda n: limits[n])
    return limits[name], name
