"""Rule 7, ports: at one position at most `load_streams` byte streams are loaded in a cycle; shared ones count once."""

from __future__ import annotations

import numpy as np

from isa.dispatches import Dispatches
from isa.program import Operation, Program, Stream
from isa.spec import BYTES
from isa.timing import weight_type
from isa.violations import Violation

WESTWARD = 32
"""Bit of w0; a chip has at most 32 streams a direction."""


def check_load_streams(program: Program, dispatches: Dispatches, limit: int) -> list[Violation]:
    """The first `limit` cycles and positions with too many streams."""
    chip = program.chip
    loads = dispatches.where("load")
    operations = [program.operations[int(i)] for i in loads]
    row, element, cycle = dispatches.expand(loads)
    facts = np.array([_facts(op, chip.slots[op.slot].unit.position) for op in operations], np.int64).reshape(len(loads), 5)
    first, streams, width, count, position = facts[row].T
    used = np.minimum(streams, (count - element * (streams // width)) * width)
    mask = ((np.uint64(1) << used.astype(np.uint64)) - np.uint64(1)) << first.astype(np.uint64)
    key = cycle * chip.width + position
    order = np.argsort(key, kind="stable")
    start = np.flatnonzero(np.diff(key[order], prepend=-1))
    if not len(start):
        return []
    together = np.bitwise_count(np.bitwise_or.reduceat(mask[order], start))
    found: list[Violation] = []
    for k in np.flatnonzero(together > chip.mxm.load_streams)[:limit]:
        here = int(order[start[k]])
        message = f"{int(together[k])} streams are loaded at one position in one cycle, of at most {chip.mxm.load_streams}"
        found.append(Violation("mxm", int(cycle[here]), int(loads[row[here]]), message))
    return found


def _facts(op: Operation, position: int) -> tuple[int, int, int, int, int]:
    """(bit of the first stream, streams, bytes of a weight, rows in all, position) of a load."""
    source = op.sources[0]
    assert isinstance(source, Stream)
    first = source.number + (WESTWARD if source.direction == "w" else 0)
    return first, op.get("streams"), BYTES[weight_type(op)], op.get("count"), position
