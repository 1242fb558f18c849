"""The MXM planes of the reference machine: shadow and active weights, accumulator entries, and the rules for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.checks_ranges import mode_name
from isa.chip import Chip, Unit
from isa.numerics import accumulate
from isa.program import Operation
from sim.semantics import exchange, install, prepared_weights, product

Report = Callable[[str], None]
"""Says what is wrong with the operation at hand."""


def planes_held(op: Operation, unit: Unit, chip: Chip) -> tuple[Unit, ...]:
    """The planes whose port an operation holds: both of the pair in the f16 and i8f16 modes."""
    if mode_name(op) == "i8":
        return (unit,)
    even = chip.planes.index(unit)
    return chip.planes[even : even + 2]


@dataclass(slots=True)
class Weights:
    """A buffer of weights: all of one mode. Rows that nothing has loaded are zero and cannot be fed to."""

    lanes: int
    mode: str = ""
    """Mode of the loads so far, "" before the first."""
    values: NDArray[Any] | None = None
    """[lanes, lanes]; the even plane of a pair has those of the f16 and i8f16 modes."""
    loaded: set[int] = field(default_factory=set[int])
    """Rows that a load has brought; a column brings every row."""
    swap: int = -1
    """The operation that made them active; -1 for what is there at the start."""
    fed: bool = False
    prepared: NDArray[Any] | None = None
    """`values` as `sim.semantics.product` takes them; active weights do not change any more."""

    @property
    def depth(self) -> int:
        """Rows 0 … depth-1 are there."""
        return next(row for row in range(self.lanes + 1) if row not in self.loaded)

    def array(self) -> NDArray[Any]:
        if self.values is None:
            self.values = np.zeros((self.lanes, self.lanes), np.float16 if self.mode == "f16" else np.int8)
        return self.values


@dataclass(slots=True)
class _Plane:
    shadow: Weights
    active: Weights
    sums: dict[int, NDArray[Any]] = field(default_factory=dict[int, NDArray[Any]])
    """Accumulator entries [lanes] that are not empty."""
    held: dict[int, bool] = field(default_factory=dict[int, bool])
    """Entries that will not be empty once the feeds dispatched so far are through; whether they hold integers."""
    loads_until: int = 0
    """From this cycle on no load dispatched so far is under way."""
    swap_until: int = 0
    """From this cycle on loads may follow the last swap."""


class Planes:
    """Rule 7 of docs/architecture.md, section 2."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._planes = {p.name: _Plane(Weights(chip.lanes), Weights(chip.lanes)) for p in chip.planes}

    def _held(self, op: Operation) -> list[_Plane]:
        return [self._planes[p.name] for p in planes_held(op, self._chip.slots[op.slot].unit, self._chip)]

    def begin_load(self, op: Operation, cycle: int, latency: int, report: Report) -> None:
        """Check a load's dispatch."""
        mode = mode_name(op)
        for plane in self._held(op):
            if cycle < plane.swap_until:
                report(f"a swap is under way until cycle {plane.swap_until}")
            if plane.shadow.mode not in ("", mode):
                report(f"loads mode {mode}, but the shadow buffer already holds mode {plane.shadow.mode}")
            plane.shadow.mode = plane.shadow.mode or mode
            plane.loads_until = max(plane.loads_until, cycle + latency)

    def end_load(self, op: Operation, first: int, vectors: NDArray[Any]) -> None:
        """Install vectors [n, lanes] from row (column) `first` on."""
        transposed = bool(op.get("transposed"))
        held = self._held(op)
        install(held[0].shadow.array(), slice(first, first + len(vectors)), vectors, transposed)
        for plane in held:
            plane.shadow.loaded.update(range(self._chip.lanes) if transposed else range(first, first + len(vectors)))

    def begin_swap(self, op: Operation, cycle: int, latency: int, report: Report) -> None:
        """Check a swap's dispatch."""
        mode = mode_name(op)
        for plane in self._held(op):
            if cycle < plane.swap_until:
                report(f"the swap before is under way until cycle {plane.swap_until}")
            if cycle < plane.loads_until:
                report(f"a load is under way until cycle {plane.loads_until}")
            if plane.shadow.mode not in ("", mode):
                report(f"swaps in mode {mode}, but the shadow buffer holds mode {plane.shadow.mode}")
            plane.swap_until = cycle + latency

    def end_swap(self, op: Operation, number: int) -> list[int]:
        """The shadow becomes active; a new, empty shadow takes its place.

        Returns the operations that brought in the old weights, where nothing was fed to them.
        """
        unused: list[int] = []
        for plane in self._held(op):
            plane.shadow.swap = number
            old, plane.active = exchange(plane.shadow, plane.active)
            plane.shadow = Weights(self._chip.lanes)
            unused += [] if old.fed or old.swap < 0 else [old.swap]
        return unused

    def unused_swaps(self) -> list[int]:
        """The operations that brought in the present weights, where nothing was fed to them."""
        return [p.active.swap for p in self._planes.values() if p.active.swap >= 0 and not p.active.fed]

    def begin_feed(self, op: Operation, element: int, before: Weights | None, report: Report) -> Weights:
        """Check a feed's dispatch and return the weights that it uses; `before` are those of its previous element."""
        mode, depth, entry = mode_name(op), op.get("depth"), op.get("acc") + element
        for plane in self._held(op):
            weights = plane.active
            weights.fed = True
            if weights.mode != mode:
                found = f"has mode {weights.mode}" if weights.mode else "is empty"
                report(f"needs weights of mode {mode}; the active buffer {found}")
            elif weights.depth < depth:
                report(f"needs rows 0 to {depth - 1} of the weights; row {weights.depth} was never loaded")
            if not op.get("fresh") and plane.held.get(entry) != (mode == "i8"):
                report(f"adds to accumulator entry {entry}, which holds no such sum")
            if op.result is None:
                plane.held[entry] = mode == "i8"
            else:
                plane.held.pop(entry, None)
        active = self._held(op)[0].active
        if before is not None and before is not active:
            report(f"the weights were swapped between its elements {element - 1} and {element}")
        return active

    def end_feed(self, op: Operation, element: int, weights: Weights, activations: NDArray[Any]) -> NDArray[Any]:
        """The sum [1, lanes] after activations [1, lanes] were added to the element's accumulator entry."""
        mode, plane = mode_name(op), self._held(op)[0]
        if weights.prepared is None:
            weights.prepared = prepared_weights(mode, weights.array())
        total = product(op, mode, activations, weights.prepared)
        entry = op.get("acc") + element
        if not op.get("fresh") and entry in plane.sums:
            total = accumulate(plane.sums[entry], total)
        plane.sums[entry] = total
        if op.result is not None:
            del plane.sums[entry]
        return total
