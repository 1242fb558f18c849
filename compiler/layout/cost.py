"""What a convolution between two packings costs, in cycles of the matrix planes, before any matrix is made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from compiler.layout.stencil import Tap, complete, limits, reach, reads_outside
from compiler.layout.window import Window
from isa.chip import Chip
from isa.packing import Packing

SWAP_CYCLES = 1
"""Between the feeds of one block and those of the next."""

FILL_CYCLES = 60
"""Until running sums work on the vector unit, whose image has to be copied first (our choice)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What of a chip a stencil's time depends on. `planes` take i8 products; `load_rows` come a cycle to each of `sides`, and
    `load_cycles` pass from the last of them to the first of the next load."""

    lanes: int
    planes: int
    sides: int
    load_rows: int
    alus: int
    load_cycles: int
    products: int = 0
    """Running sums of products that the vector unit makes at once (`products_at_once`)."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A convolution as far as its cost goes: window, groups, and whether its outputs take so many ALU operations a vector."""

    window: Window
    groups: int
    channels: int
    columns: int
    operations: int = 3

    @property
    def depthwise(self) -> bool:
        return self.groups == self.channels == self.columns


def cycles(kernel: Kernel, source: Packing, target: Packing, machine: Machine) -> float:
    """Cycles of all planes together; infinity where one packing does not lead to the other."""
    if kernel.depthwise and source.channels != target.channels:
        return float("inf")
    how = reach(kernel.window, source, target)
    if how is None:
        return float("inf")
    if not complete(how, source, target):
        return float("inf")
    blocks = _pairs(kernel, source.tiles, source.channels, target.tiles, target.channels) / target.tiles
    together, left = divmod(target.tiles, machine.sides)
    total = 0.0
    groups = [(step.span, limits(Tap(how.rows.steps[0], step), how, source, target)[1]) for step in how.groups.steps]
    for rows in how.rows.steps:
        low, high = rows.span
        for (first, last), (q0, q1) in groups:
            feeds = max(0, rows.end - rows.first) * (q1 - q0) / machine.planes
            if feeds <= 0:
                continue
            depth = min(machine.lanes, ((high - low) * source.positions + last - first + 1) * source.channels)
            load = depth / machine.load_rows + machine.load_cycles
            by_rows = max(feeds + SWAP_CYCLES, load)
            # Sides that take different tiles share the loads; a tile that is left over is shared by rows.
            by_tiles = max(feeds * machine.sides + SWAP_CYCLES, load)
            total += blocks * min(target.tiles * by_rows, together * by_tiles + left * by_rows)
    operations = kernel.operations + reads_outside(kernel.window, source, target)
    return max(total, target.rows * target.groups * target.tiles * operations / machine.alus)


def products_at_once(chip: Chip) -> int:
    """ALUs that make running sums of products. Each reads a slice of one side for the image and one of the other for weights; a
    quarter of the ALUs and six slices of a side are left to epilogues, for constants and results (our choice)."""
    return max(0, min(chip.vxm.alus * 3 // 4, *(len(chip.slices("sram", side)) - 6 for side in ("w", "e"))))


def depthwise_cycles(kernel: Kernel, image: tuple[int, int, int], machine: Machine) -> float:
    """Cycles of a convolution that does not mix channels on the vector unit, image and result in the plain layout: a place
    under the window a cycle. Infinity where it is none or the chip cannot."""
    window = kernel.window
    if not kernel.depthwise or window.kernel == (1, 1) or not machine.products or not window.meets_image(*image[:2]):
        return float("inf")
    places = 1
    for axis, (size, count) in enumerate(zip(image, window.sizes("window", *image[:2]), strict=False)):
        first = np.arange(count)[:, None] * window.strides[axis] - window.pads[axis]
        place = first + np.arange(window.kernel[axis]) * window.dilations[axis]
        places *= int(((place >= 0) & (place < size)).sum())
    return FILL_CYCLES + -(-image[2] // machine.lanes) * places / machine.products


@lru_cache(maxsize=1 << 14)
def _pairs(kernel: Kernel, tiles: int, channels: int, target_tiles: int, target_channels: int) -> int:
    """Pairs of tiles with channels of one group."""
    sources = _spans(tiles, channels, kernel.channels, kernel.channels // kernel.groups)
    targets = _spans(target_tiles, target_channels, kernel.columns, kernel.columns // kernel.groups)
    return sum(a <= d and c <= b for a, b in sources for c, d in targets)


def _spans(tiles: int, channels: int, end: int, size: int) -> list[tuple[int, int]]:
    """First and last group of so many channels in each tile."""
    return [(t * channels // size, (min((t + 1) * channels, end) - 1) // size) for t in range(tiles)]
