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
from sim.semantics import exchange, install, product

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
    """A buffer of weights. Rows that nothing has loaded are zero and cannot be fed to."""

    lanes: int
    values: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    """[lanes, lanes] by mode."""
    row_mode: list[str] = field(default_factory=list[str])
    """The mode in which each row was loaded last, "" for never."""

    def __post_init__(self) -> None:
        self.row_mode = [""] * self.lanes

    def of_mode(self, mode: str) -> NDArray[Any]:
        if mode not in self.values:
            self.values[mode] = np.zeros((self.lanes, self.lanes), np.float16 if mode == "f16" else np.int8)
        return self.values[mode]


@dataclass(slots=True)
class _Plane:
    shadow: Weights
    active: Weights
    entries: dict[int, NDArray[Any]] = field(default_factory=dict[int, NDArray[Any]])
    """Accumulator entries [lanes] that are not empty."""
    filled: set[int] = field(default_factory=set[int])
    """Entries that will not be empty once the feeds dispatched so far are through."""
    loads_until: int = 0
    """From this cycle on no load dispatched so far is under way."""
    swap_until: int = -1
    """From this cycle on loads may follow the last swap."""


class Planes:
    """Rule 7 of docs/architecture.md, section 2."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._planes = {p.name: _Plane(Weights(chip.lanes), Weights(chip.lanes)) for p in chip.planes}

    def _held(self, op: Operation) -> list[_Plane]:
        return [self._planes[p.name] for p in planes_held(op, self._chip.slots[op.slot].unit, self._chip)]

    def begin_load(self, op: Operation, cycle: int, latency: int, report: Report) -> None:
        for plane in self._held(op):
            if cycle < plane.swap_until:
                report(f"a swap is under way until cycle {plane.swap_until}")
            plane.loads_until = max(plane.loads_until, cycle + latency)

    def end_load(self, op: Operation, first: int, vectors: NDArray[Any]) -> None:
        """Install vectors [n, lanes] from row (column) `first` on."""
        mode, transposed = mode_name(op), bool(op.get("transposed"))
        held = self._held(op)
        install(held[0].shadow.of_mode(mode), first, vectors, transposed)
        rows = range(self._chip.lanes) if transposed else range(first, first + len(vectors))
        for plane in held:
            for row in rows:
                plane.shadow.row_mode[row] = mode

    def begin_swap(self, op: Operation, cycle: int, latency: int, report: Report) -> None:
        for plane in self._held(op):
            if cycle < plane.loads_until:
                report(f"a load is under way until cycle {plane.loads_until}")
            plane.swap_until = cycle + latency

    def end_swap(self, op: Operation) -> None:
        for plane in self._held(op):
            _, plane.active = exchange(plane.shadow, plane.active)
            plane.shadow = Weights(self._chip.lanes)

    def begin_feed(self, op: Operation, element: int, report: Report) -> Weights:
        """Check a feed's dispatch and return the weights that it uses."""
        mode, depth, held = mode_name(op), op.get("depth"), self._held(op)
        modes = [m for plane in held for m in plane.active.row_mode[:depth]]
        wrong = next((i % depth for i, m in enumerate(modes) if m != mode), None)
        if wrong is not None:
            found = next(m for m in modes if m != mode)
            report(f"row {wrong} of the active weights " + (f"has mode {found}, not {mode}" if found else "was never loaded"))
        entry, filled = op.get("acc") + element, held[0].filled
        if not op.get("fresh") and entry not in filled:
            report(f"adds to accumulator entry {entry}, which is empty")
        if op.result is None:
            filled.add(entry)
        else:
            filled.discard(entry)
        return held[0].active

    def end_feed(self, op: Operation, element: int, weights: Weights, activations: NDArray[Any]) -> NDArray[Any]:
        """The sum [1, lanes] after activations [1, lanes] were added to the element's accumulator entry."""
        mode, plane = mode_name(op), self._held(op)[0]
        total = product(mode, activations, weights.of_mode(mode), op.get("depth"))
        entry = op.get("acc") + element
        if not op.get("fresh") and entry in plane.entries:
            total = accumulate(plane.entries[entry], total)
        plane.entries[entry] = total
        if op.result is not None:
            del plane.entries[entry]
        return total
