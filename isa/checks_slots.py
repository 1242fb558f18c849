"""Rule 4: an operation holds its slot from first to last dispatch; the modes of a pair hold the odd plane's port too."""

from __future__ import annotations

import numpy as np

from isa.checks_ranges import mode_name
from isa.dispatches import Dispatches
from isa.program import Program
from isa.violations import Violation, earliest, operation_words


def check_order(program: Program, dispatches: Dispatches, limit: int) -> list[Violation]:
    """Operations stand in order of (cycle, slot), as `Program` promises to everyone who walks through it."""
    key = dispatches.cycle * len(program.chip.slot_list) + dispatches.slot
    late = 1 + np.flatnonzero(key[1:] < key[:-1])[:limit]
    return [
        Violation("order", int(dispatches.cycle[i]), int(i), "stands after an operation of a later cycle or slot") for i in late
    ]


def check_slots(program: Program, dispatches: Dispatches, limit: int) -> list[Violation]:
    """The first `limit` violations of rule 4."""
    count = len(program.operations)
    partners = _partner_slots(program)
    extra = np.array([i for i, _ in partners], np.int64)
    operation = np.concatenate([np.arange(count), extra])
    slot = np.concatenate([dispatches.slot, np.array([s for _, s in partners], np.int64)])
    first, last = dispatches.cycle[operation], dispatches.last[operation]
    order = np.lexsort((operation, first, slot))
    operation, slot, first, last = operation[order], slot[order], first[order], last[order]
    # The slot's number in the high part keeps one slot's running maximum out of the next one's.
    span = int(last.max(initial=0)) + 1
    held_until = np.maximum.accumulate(slot * span + last)
    clash = 1 + np.flatnonzero((slot[1:] == slot[:-1]) & (slot[1:] * span + first[1:] <= held_until[:-1]))
    found: list[Violation] = []
    for k in earliest(first[clash], limit):
        here = int(clash[k])
        mine = np.flatnonzero((slot[:here] == slot[here]) & (last[:here] >= first[here]))
        other = operation_words(program.operations[int(operation[mine[0]])])
        name = program.chip.slot_list[int(slot[here])].name
        found.append(Violation("slot", int(first[here]), int(operation[here]), f"slot {name} is held by {other}"))
    return found


def _partner_slots(program: Program) -> list[tuple[int, int]]:
    """(operation, slot) of the odd planes' ports that f16 and i8f16 operations hold as well."""
    slots, planes = program.chip.slots, program.chip.planes
    found: list[tuple[int, int]] = []
    for i, op in enumerate(program.operations):
        if op.mnemonic in ("load", "swap", "feed") and mode_name(op) != "i8":
            odd = planes[planes.index(slots[op.slot].unit) + 1]
            found.append((i, slots[f"{odd.name}.{op.slot.partition('.')[2]}"].index))
    return found
