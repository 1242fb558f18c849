"""A convolution between two packings as products with constant blocks.

Output vector (y, g), tile n, is the sum over blocks of input vector (y·a + dy, q·b + dg), tile t, times the block's matrix,
where g = q·phases + phase. A block is banded over the positions and dense or diagonal over the channels; blocks of zeros do not
exist.
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
from isa.packing import Packing

Array = NDArray[Any]

MOST_PHASES = 8
"""A stencil with more phases has as many times its blocks: never worth while."""


@dataclass(frozen=True, slots=True)
class Tap:
    """Reads of one relative input vector: row y·a + dy, group q·b + dg for the outputs g = q·phases + phase.

    `rows` and `places` are the kernel positions that it serves: (kernel row, j), and (kernel column, i, output position i').
    """

    phase: int
    dy: int
    dg: int
    rows: tuple[tuple[int, int], ...]
    places: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """How a kernel gets from one packing to another."""

    phases: int
    row_stride: int
    group_stride: int
    taps: tuple[Tap, ...]


@lru_cache(maxsize=1 << 16)
def reach(window: Window, source: Packing, target: Packing) -> Reach | None:
    """The taps of a kernel; None where rows of the source do not follow those of the target in whole steps."""
    if window.strides[0] % source.row_step or not target.by_rows:
        return None
    advance = target.pitch * window.strides[1]
    phases = source.pitch // gcd(source.pitch, advance)
    if phases > MOST_PHASES:
        return None
    vertical = _cover(
        [(k * window.dilations[0] - window.pads[0] - source.row_origin, (k,)) for k in range(window.kernel[0])],
        source.row_step, source.height,
    )  # fmt: skip
    taps: list[Tap] = []
    for phase in range(phases):
        wanted = [
            ((target.origin + phase * target.pitch + i) * window.strides[1]
             - window.pads[1] + k * window.dilations[1] - source.origin, (k, i))
            for i in range(target.positions) for k in range(window.kernel[1])
        ]  # fmt: skip
        for dg, places in _cover(wanted, source.pitch, source.positions):
            for dy, rows in vertical:
                taps.append(Tap(phase, dy, dg, tuple((k, j) for j, (k,) in rows), tuple((k, i, to) for i, (k, to) in places)))
    # In the plain layout a tap is a kernel position: their order is that of the definition.
    taps.sort(key=lambda tap: (tap.phase, tap.dy, tap.dg))
    return Reach(phases, window.strides[0] // source.row_step, phases * advance // source.pitch, tuple(taps))


def _cover(
    wanted: Sequence[tuple[int, tuple[int, ...]]], step: int, width: int
) -> list[tuple[int, list[tuple[int, tuple[int, ...]]]]]:
    """The fewest windows of `width` places, at multiples of `step`, that hold all places: (window, [(place in it, what)])."""
    found: list[tuple[int, list[tuple[int, tuple[int, ...]]]]] = []
    for place, what in sorted(wanted):
        if not found or place >= found[-1][0] * step + width:
            found.append((place // step, []))
        found[-1][1].append((place - found[-1][0] * step, what))
    return found


@dataclass(frozen=True, slots=True)
class Block:
    """One matrix: input row `offset` + y·row_step + q·group_step of tile `source` for outputs y0 ≤ y < y1, q0 ≤ q < q1.

    Steps are those of the stencil; input rows outside the packed image are left out.
    """

    source: int
    target: int
    offset: int
    phase: int
    y: tuple[int, int]
    q: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stencil:
    """All blocks with their matrices [blocks, lanes in, lanes out], in the order in which they are added."""

    rows: int
    groups: int
    phases: int
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
        y, q = limits(tap, how, window, source, target)
        if y[0] >= y[1] or q[0] >= q[1]:
            continue
        for t, n in pairs:
            matrix = _matrix(dense, tap, source, target, t, n)
            # Every output is a sum of something: of zeros where a kernel has nothing else for it.
            if matrix.any() or t == first[n]:
                blocks.append(Block(t, n, tap.dy * source.groups + tap.dg, tap.phase, y, q))
                matrices.append(matrix[:depth, :columns])
    stacked = np.zeros((len(blocks), depth, columns), kernel.dtype)
    for i, matrix in enumerate(matrices):
        stacked[i, : matrix.shape[0], : matrix.shape[1]] = matrix
    row_step = how.row_stride * source.groups
    return Stencil(target.rows, target.groups, how.phases, row_step, how.group_stride, tuple(blocks), stacked)


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


def limits(tap: Tap, how: Reach, window: Window, source: Packing, target: Packing) -> tuple[tuple[int, int], tuple[int, int]]:
    """Outputs (y, q) for which the tap reads a vector of the packed image.

    Where outputs and inputs are walked with one step, vectors beyond a row's end do no harm if only places outside the image
    are computed from them, and then are taken in, for one long burst is better than one a row.
    """
    y = _inside(how.row_stride, tap.dy, source.rows, target.rows)
    count = -(-(target.groups - tap.phase) // how.phases)
    q = _inside(how.group_stride, tap.dg, source.groups, count)
    one_walk = how.phases == 1 and how.row_stride * source.groups == how.group_stride * target.groups
    if one_walk and q != (0, count):
        beyond = [g for g in range(count) if not q[0] <= g < q[1]]
        starts = np.array([target.origin + g * target.pitch for g in beyond])
        reads = np.array(sorted({to for _, _, to in tap.places}))
        places = starts[:, None] + reads
        if not np.any((places >= 0) & (places < target.image[1])):
            q = (0, count)
    return y, q


def _inside(stride: int, shift: int, size: int, count: int) -> tuple[int, int]:
    """Indices i in 0 … count-1 with 0 ≤ i·stride + shift < size, as a range."""
    return max(0, -(shift // stride)), min(count, (size - 1 - shift) // stride + 1)


def reads_outside(window: Window, source: Packing, target: Packing) -> bool:
    """Whether some place of the result needs zeros that lie beside the image in its own vectors."""
    if not source.by_rows:
        return True
    places = np.arange(target.image[1])[:, None] * window.strides[1] - window.pads[1]
    reads = places + np.arange(window.kernel[1]) * window.dilations[1]
    outside = reads[(reads < 0) | (reads >= source.image[1])]
    return any(source.covers(int(x)) for x in np.unique(outside))


def complete(how: Reach, window: Window, source: Packing, target: Packing) -> bool:
    """Whether every output vector gets something, if only zeros."""
    reached = np.zeros((target.rows, target.groups), np.bool_)
    vectors = source.rows * source.groups
    whole: set[int] = set()
    for tap in how.taps:
        (y0, y1), (q0, q1) = limits(tap, how, window, source, target)
        if y0 >= y1 or q0 >= q1 or tap.phase in whole:
            continue
        first = (y0 * how.row_stride + tap.dy) * source.groups + tap.dg + q0 * how.group_stride
        last = ((y1 - 1) * how.row_stride + tap.dy) * source.groups + tap.dg + (q1 - 1) * how.group_stride
        count = -(-(target.groups - tap.phase) // how.phases)
        if (y0, y1, q0, q1) == (0, target.rows, 0, count) and first >= 0 and last < vectors:
            whole.add(tap.phase)
            if len(whole) == how.phases:
                return True
            continue
        groups = slice(q0 * how.phases + tap.phase, (q1 - 1) * how.phases + tap.phase + 1, how.phases)
        rows = (np.arange(y0, y1) * how.row_stride + tap.dy) * source.groups + tap.dg
        read = rows[:, None] + np.arange(q0, q1) * how.group_stride
        reached[y0:y1, groups] |= (read >= 0) & (read < vectors)
    return all(bool(reached[:, phase :: how.phases].all()) for phase in range(how.phases) if phase not in whole)


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
    matrix = np.zeros((source.height, source.positions, source.channels, target.positions, target.channels), dense.dtype)
    for ky, j in tap.rows:
        for kx, i, to in tap.places:
            matrix[j, i, : kernel.shape[2], to, : kernel.shape[3]] += kernel[ky, kx]
    return matrix.reshape(source.lanes, target.lanes)
