"""Rule 7, accumulators: a feed that adds finds a sum of its own type in the entry."""

from __future__ import annotations

import numpy as np

from isa.dispatches import Dispatches
from isa.plane_events import PlaneEvents, plane_events
from isa.program import Program
from isa.violations import Violation


def check_sums(program: Program, dispatches: Dispatches, limit: int) -> list[Violation]:
    """Feeds that add to an empty entry, or to a sum of the other type; the first `limit` on each plane."""
    found: list[Violation] = []
    for plane in range(len(program.chip.planes)):
        found += _check_plane(plane_events(program, dispatches, plane, "feed"), limit)
    return found


def _check_plane(feeds: PlaneEvents, limit: int) -> list[Violation]:
    entry = feeds.each(lambda op: op.get("acc")) + feeds.element
    order = np.argsort(entry, kind="stable")
    number = entry[order]
    adds = feeds.each(lambda op: 1 - op.get("fresh"))[order] == 1
    keeps = feeds.each(lambda op: op.result is None)[order] == 1
    exact = feeds.each(lambda op: op.get("mode") == 0)[order]
    full = np.zeros(len(order), np.bool_)
    full[1:] = (number[1:] == number[:-1]) & keeps[:-1] & (exact[1:] == exact[:-1])
    bad = np.sort(order[adds & ~full])
    return [
        feeds.violation(k, f"adds to accumulator entry {int(entry[k])}, which holds no sum of its type") for k in bad[:limit]
    ]
