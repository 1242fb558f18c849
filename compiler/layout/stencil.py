"""A convolution between two packings as products with constant blocks.

Output vector (r, g), tile n, is the sum over blocks of input vector (y·a + dy, q·b + dg), tile t, times the block's matrix,
where r = y·row phases + row phase and g = q·phases + phase. A block is banded over the positions and dense or diagonal over the
channels; blocks of zeros do not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.layout.window import Window
from isa.packing import Line, Packing

Array = NDArray[Any]

MOST_PHASES = 8
"""A stencil with more phases has as many times its blocks: never worth while."""


Counts = tuple[int, int]
"""Of rows and of groups."""


@dataclass(frozen=True, slots=True)
class Step:
    """Along one axis the input vectors `shift` + n·stride for the outputs n·phases + `phase`, first ≤ n < end: all that exist.

    `places` are the kernel positions that they serve: (kernel position, place in the input vector, place in the output vector).
    """

    phase: int
    shift: int
    places: tuple[tuple[int, int, int], ...]
    first: int
    end: int
    span: tuple[int, int]
    """First and last place of the input vector that is served."""


@dataclass(frozen=True, slots=True)
class Axis:
    """How a kernel gets from one packing to another along one axis; `counts` are outputs by phase."""

    stride: int
    counts: tuple[int, ...]
    steps: tuple[Step, ...]
    complete: bool
    """Whether every output vector gets something."""

    @property
    def phases(self) -> int:
        return len(self.counts)


@dataclass(frozen=True, slots=True)
class Tap:
    """Reads of one relative input vector, for the outputs of one phase along rows and along groups."""

    rows: Step
    groups: Step

    @property
    def phase(self) -> Counts:
        return self.rows.phase, self.groups.phase


@dataclass(frozen=True, slots=True)
class Reach:
    """How a kernel gets from one packing to another."""

    rows: Axis
    groups: Axis

    @property
    def phases(self) -> Counts:
        return self.rows.phases, self.groups.phases

    @property
    def taps(self) -> list[Tap]:
        """In the plain layout a tap is a kernel position: their order is that of the definition."""
        taps = [Tap(y, q) for y in self.rows.steps for q in self.groups.steps]
        return sorted(taps, key=lambda tap: (tap.phase, tap.rows.shift, tap.groups.shift))


def reach(window: Window, source: Packing, target: Packing) -> Reach | None:
    """The taps of a kernel; None where it would have too many phases, or would miss a part of the image."""
    rows, groups = (
        along(window.kernel[axis], window.strides[axis], window.pads[axis], window.dilations[axis], *lines)
        for axis, lines in enumerate(zip(source.lines, target.lines, strict=True))
    )
    if rows is None or groups is None or rows.phases * groups.phases > MOST_PHASES:
        return None
    return Reach(rows, groups)


@lru_cache(maxsize=1 << 16)
def along(kernel: int, stride: int, pad: int, dilation: int, source: Line, target: Line) -> Axis | None:
    """`reach` along one axis."""
    advance = target.pitch * stride
    phases = source.pitch // gcd(source.pitch, advance)
    if phases > MOST_PHASES:
        return None
    vector_stride = phases * advance // source.pitch
    counts = tuple(-(-(target.count - phase) // phases) for phase in range(phases))
    steps: list[Step] = []
    complete = True
    for phase, count in enumerate(counts):
        first = target.origin + phase * target.pitch
        wanted = [
            ((first + i) * stride + k * dilation - pad - source.origin, k, i)
            for i in range(target.width)
            for k in range(kernel)
        ]
        mine: list[Step] = []
        for shift, places in _cover(wanted, source.pitch, source.width):
            begin, end = _inside(vector_stride, shift, source.count, count)
            inner = [i for _, i, _ in places]
            mine.append(Step(phase, shift, places, begin, end, (min(inner), max(inner))))
            for n in (*range(begin), *range(max(begin, end), count)):
                vector = source.origin + (shift + n * vector_stride) * source.pitch
                output = first + n * phases * target.pitch
                if any(0 <= vector + i < source.size and 0 <= output + to < target.size for _, i, to in places):
                    return None
        reached = np.zeros(count, np.bool_)
        for step in mine:
            reached[step.first : step.end] = True
        complete &= bool(reached.all())
        steps += mine
    return Axis(vector_stride, counts, tuple(steps), complete)


def _cover(wanted: Sequence[tuple[int, int, int]], step: int, width: int) -> list[tuple[int, tuple[tuple[int, int, int], ...]]]:
    """The fewest windows of `width` places, at multiples of `step`, that hold all places: (window, [(kernel position, place in
    it, output)])."""
    found: list[tuple[int, list[tuple[int, int, int]]]] = []
    for place, k, output in sorted(wanted):
        if not found or place >= found[-1][0] * step + width:
            found.append((place // step, []))
        found[-1][1].append((k, place - found[-1][0] * step, output))
    return [(window, tuple(places)) for window, places in found]


@dataclass(frozen=True, slots=True)
class Block:
    """One matrix: input row `offset` + y·row_step + q·group_step of tile `source` for outputs y0 ≤ y < y1, q0 ≤ q < q1 of one
    phase. Steps are those of the stencil; input rows outside the packed image are left out.
    """

    source: int
    target: int
    offset: int
    phase: Counts
    y: tuple[int, int]
    q: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stencil:
    """All blocks with their matrices [blocks, lanes in, lanes out], in the order in which they are added."""

    rows: int
    groups: int
    phases: Counts
    row_step: int
    group_step: int
    blocks: tuple[Block, ...]
    matrices: Array


def stencil(kernel: Array, window: Window, groups: int, source: Packing, target: Packing, lanes: int) -> Stencil:
    """kernel [kh, kw, C / groups, N] from one packing to another that `feeds` says can be reached."""
    how = reach(window, source, target)
    assert how is not None, "the chooser offers only packings that fit"
    columns, depth = min(lanes, target.columns(lanes)), min(lanes, source.columns(lanes))
    dense = spread_groups(kernel, groups)
    blocks: list[Block] = []
    matrices: list[Array] = []
    pairs = tile_pairs(kernel, groups, source, target)
    first = {n: min(t for t, to in pairs if to == n) for _, n in pairs}
    for tap in how.taps:
        y, q = limits(tap, how, source, target)
        if y[0] >= y[1] or q[0] >= q[1]:
            continue
        for t, n in pairs:
            matrix = _matrix(dense, tap, source, target, t, n)
            # Every output is a sum of something: of zeros where a kernel has nothing else for it.
            if matrix.any() or t == first[n]:
                blocks.append(Block(t, n, tap.rows.shift * source.groups + tap.groups.shift, tap.phase, y, q))
                matrices.append(matrix[:depth, :columns])
    stacked = np.zeros((len(blocks), depth, columns), kernel.dtype)
    for i, matrix in enumerate(matrices):
        stacked[i, : matrix.shape[0], : matrix.shape[1]] = matrix
    row_step = how.rows.stride * source.groups
    return Stencil(target.rows, target.groups, how.phases, row_step, how.groups.stride, tuple(blocks), stacked)


def tile_pairs(kernel: Array, groups: int, source: Packing, target: Packing) -> list[tuple[int, int]]:
    """(source tile, target tile) whose channels have groups in common."""
    inner, each = kernel.shape[2], kernel.shape[3] // groups

    def spans(packing: Packing, size: int) -> list[tuple[int, int]]:
        ends = [min((t + 1) * packing.channels, packing.image[2]) for t in range(packing.tiles)]
        return [(t * packing.channels // size, (end - 1) // size) for t, end in enumerate(ends)]

    targets = spans(target, each)
    return [
        (t, n)
        for t, (first, last) in enumerate(spans(source, inner))
        for n, (low, high) in enumerate(targets)
        if first <= high and low <= last
    ]


def limits(tap: Tap, how: Reach, source: Packing, target: Packing) -> tuple[Counts, Counts]:
    """Outputs (y, q) for which the tap reads a vector of the packed image.

    Where outputs and inputs are walked with one step, vectors beyond a row's end do no harm if only places outside the image
    are computed from them, and then are taken in, for one long burst is better than one a row.
    """
    q = (tap.groups.first, tap.groups.end)
    count = how.groups.counts[tap.groups.phase]
    one_walk = how.phases == (1, 1) and how.rows.stride * source.groups == how.groups.stride * target.groups
    if one_walk and q != (0, count):
        beyond = (target.origin + g * target.pitch for g in range(count) if not q[0] <= g < q[1])
        if not any(0 <= first + to < target.image[1] for first in beyond for _, _, to in tap.groups.places):
            q = (0, count)
    return (tap.rows.first, tap.rows.end), q


def _inside(stride: int, shift: int, size: int, count: int) -> tuple[int, int]:
    """Indices i in 0 … count-1 with 0 ≤ i·stride + shift < size, as a range."""
    return max(0, -(shift // stride)), min(count, (size - 1 - shift) // stride + 1)


def reads_outside(window: Window, source: Packing, target: Packing) -> bool:
    """Whether some place of the result needs zeros that lie beside the image in its own vectors."""
    return any(
        _outside(window.kernel[axis], window.strides[axis], window.pads[axis], window.dilations[axis], target.image[axis], line)
        for axis, line in enumerate(source.lines)
    )


@lru_cache(maxsize=1 << 14)
def _outside(kernel: int, stride: int, pad: int, dilation: int, outputs: int, line: Line) -> bool:
    """`reads_outside` along one axis."""
    reads = np.arange(outputs)[:, None] * stride - pad + np.arange(kernel) * dilation
    outside = reads[(reads < 0) | (reads >= line.size)]
    return any(line.covers(int(x)) for x in np.unique(outside))


def complete(how: Reach, source: Packing, target: Packing) -> bool:
    """Whether every output vector gets something, if only zeros."""
    if how.rows.complete and how.groups.complete:
        return True
    reached = np.zeros((target.rows, target.groups), np.bool_)
    for tap in how.taps:
        y, q = limits(tap, how, source, target)
        if y[0] >= y[1] or q[0] >= q[1]:
            continue
        rows = (np.arange(*y) * how.rows.stride + tap.rows.shift) * source.groups + tap.groups.shift
        read = rows[:, None] + np.arange(*q) * how.groups.stride
        into = tuple(
            slice(first * count + phase, (end - 1) * count + phase + 1, count)
            for (first, end), phase, count in zip((y, q), tap.phase, how.phases, strict=True)
        )
        reached[into] |= (read >= 0) & (read < source.rows * source.groups)
    return bool(reached.all())


def spread_groups(kernel: Array, groups: int) -> Array:
    """[kh, kw, C / groups, N] as [kh, kw, C, N] with zeros between the groups."""
    if groups == 1:
        return kernel
    height, width, inner, columns = kernel.shape
    each = columns // groups
    dense = np.zeros((height, width, groups, inner, groups, each), kernel.dtype)
    index = np.arange(groups)
    dense[:, :, index, :, index] = kernel.reshape(height, width, inner, groups, each).transpose(3, 0, 1, 2, 4)
    return dense.reshape(height, width, groups * inner, columns)


def _matrix(dense: Array, tap: Tap, source: Packing, target: Packing, t: int, n: int) -> Array:
    """The block's matrix [lanes of a source vector, lanes of a target vector]."""
    kernel = dense[:, :, t * source.channels : (t + 1) * source.channels, n * target.channels : (n + 1) * target.channels]
    sizes = (source.height, source.positions, source.channels, target.height, target.positions, target.channels)
    matrix = np.zeros(sizes, dense.dtype)
    for ky, j, row in tap.rows.places:
        for kx, i, to in tap.groups.places:
            matrix[j, i, : kernel.shape[2], row, to, : kernel.shape[3]] += kernel[ky, kx]
    return matrix.reshape(source.lanes, target.lanes)
