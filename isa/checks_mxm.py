"""Rule 7, weights: complete, of one mode and at rest when swapped; of the right mode and depth, and used, when fed to.

The shadow buffer of a plane between two swaps is one *epoch*: epoch k ends, and becomes the active weights, with swap k.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.dispatches import Dispatches
from isa.plane_events import PlaneEvents, plane_events
from isa.program import Operation, Program
from isa.spec import BYTES
from isa.timing import weight_type
from isa.violations import Violation, operation_words

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Epochs:
    """One entry an epoch."""

    depth: Indices
    """Rows 0 … depth-1 are loaded."""
    mode: Indices
    """Mode of the first load; -1 where there is none."""


def check_weights(program: Program, dispatches: Dispatches, limit: int) -> list[Violation]:
    """Violations by weights, about `limit` of each kind and plane."""
    found: list[Violation] = []
    for plane in range(len(program.chip.planes)):
        loads, swaps, feeds = (plane_events(program, dispatches, plane, name) for name in ("load", "swap", "feed"))
        found += _check_overlap(loads, swaps, limit)
        modes, epoch = loads.each(_mode), np.searchsorted(swaps.cycle, loads.cycle, "right")
        epochs = _epochs(loads, modes, epoch, len(swaps.cycle) + 1, program.chip.lanes)
        for k in np.flatnonzero(modes != epochs.mode[epoch])[:limit]:
            found.append(loads.violation(k, "loads another mode than the weights already in the shadow buffer"))
        shadow = epochs.mode[:-1]
        for k in np.flatnonzero((shadow >= 0) & (shadow != swaps.each(_mode)))[:limit]:
            found.append(swaps.violation(k, "the shadow buffer holds weights of another mode"))
        swapped = np.searchsorted(swaps.end, feeds.cycle, "right")
        found += _check_feeds(feeds, swapped, epochs, limit)
        found += _check_use(swaps, feeds, swapped, limit)
    return found


def _mode(op: Operation) -> int:
    return op.get("mode")


def _check_overlap(loads: PlaneEvents, swaps: PlaneEvents, limit: int) -> list[Violation]:
    """No load, and no other swap, is under way at a swap."""
    found: list[Violation] = []
    if not len(swaps.cycle):
        return found
    for k in 1 + np.flatnonzero(swaps.cycle[1:] < swaps.end[:-1])[:limit]:
        found.append(swaps.violation(k, "the swap before is still under way"))
    before = np.searchsorted(swaps.cycle, loads.cycle, "right") - 1
    for k in np.flatnonzero((before >= 0) & (loads.cycle < swaps.end[before]))[:limit]:
        found.append(loads.violation(k, f"loads during a swap that lasts until cycle {int(swaps.end[before[k]])}"))
    after = np.minimum(before + 1, len(swaps.cycle) - 1)
    for k in np.flatnonzero((before < after) & (loads.end > swaps.cycle[after]))[:limit]:
        load = operation_words(loads.operations[int(loads.row[k])])
        found.append(swaps.violation(int(after[k]), f"a load is under way until cycle {int(loads.end[k])}: {load}"))
    return found


def _epochs(loads: PlaneEvents, modes: Indices, epoch: Indices, count: int, lanes: int) -> _Epochs:
    depth, mode = np.zeros(count, np.int64), np.full(count, -1, np.int64)
    begun, first = np.unique(epoch, return_index=True)
    mode[begun] = modes[first]
    low, high = _rows_loaded(loads, lanes)
    order = np.lexsort((low, epoch))
    epoch, low, high = epoch[order], low[order], high[order]
    # The epoch in the high part keeps one epoch's running maximum out of the next one's.
    covered = np.maximum.accumulate(epoch * (lanes + 1) + high) - epoch * (lanes + 1)
    before = np.where(np.diff(epoch, prepend=-1) > 0, 0, np.roll(covered, 1))
    # An epoch is whole from row 0 to its first gap, or to its end: `whole[i]` is that, seen from its load i.
    gaps = np.append(np.flatnonzero(low > before), len(epoch))
    start, end = np.searchsorted(epoch, begun, "left"), np.searchsorted(epoch, begun, "right")
    gap = gaps[np.searchsorted(gaps, start)]
    depth[begun] = np.where(gap < end, np.append(before, 0)[gap], covered[end - 1])
    return _Epochs(depth, mode)


def _rows_loaded(loads: PlaneEvents, lanes: int) -> tuple[Indices, Indices]:
    """Rows low … high-1 that each load dispatch makes usable; a column makes all rows of the plane so."""
    transposed = loads.each(lambda op: op.get("transposed")) == 1
    first, count = loads.each(lambda op: op.get("row")), loads.each(lambda op: op.get("count"))
    rows = loads.each(lambda op: op.get("streams") // BYTES[weight_type(op)])
    low = first + loads.element * rows
    high = np.minimum(low + rows, first + count)
    return np.where(transposed, 0, low), np.where(transposed, lanes, high)


def _check_feeds(feeds: PlaneEvents, swapped: Indices, epochs: _Epochs, limit: int) -> list[Violation]:
    """`swapped` counts the swaps that each feed dispatch finds done."""
    modes, wanted = feeds.each(_mode), feeds.each(lambda op: op.get("depth"))
    ready = np.where(swapped > 0, epochs.depth[swapped - 1], 0)
    active = np.where(swapped > 0, epochs.mode[swapped - 1], -1)
    found: list[Violation] = []
    for k in np.flatnonzero((active != modes) | (ready < wanted))[:limit]:
        if active[k] < 0:
            message = "there are no weights to multiply with"
        elif active[k] != modes[k]:
            message = "the weights were loaded in another mode"
        else:
            message = (
                f"it needs rows 0 … {int(wanted[k]) - 1} of the weights, but rows from {int(ready[k])} on are not all loaded"
            )
        found.append(feeds.violation(k, message))
    return found


def _check_use(swaps: PlaneEvents, feeds: PlaneEvents, swapped: Indices, limit: int) -> list[Violation]:
    """A feed uses the same weights from its first element to its last, and weights that are swapped in are fed to.

    Like the rule that every value on a stream is read, this makes a misplaced swap visible: without it a swap could take
    weights from under the last activations, or bring the next ones too late for the first, and break no other rule.
    """
    _, first = np.unique(feeds.row, return_index=True)
    found: list[Violation] = []
    for k in np.flatnonzero(swapped != swapped[first[feeds.row]])[:limit]:
        found.append(feeds.violation(k, f"the weights are swapped between elements 0 and {int(feeds.element[k])} of this feed"))
    for k in np.flatnonzero(~np.isin(np.arange(1, len(swaps.cycle) + 1), swapped))[:limit]:
        found.append(swaps.violation(k, "the weights that it brings in are never fed to"))
    return found
