"""Tensor values as views: rows of a buffer walked with strides.

Transposes of leading axes, slices of rows and broadcasts are views only: nothing moves for them. A leading axis may also walk
along the columns: the heads of attention, which lie side by side on the lanes, are such *windows*. Products read and write
windows where they are; everything else gets a plain copy (`Lowering.view`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from compiler.scheduling.trip import Buffer


@dataclass(frozen=True, slots=True)
class View:
    """Element [i0, …, ik, c] is column tile·lanes + column + Σ i·column_step + c of the buffer's row offset + Σ i·stride.

    `column_steps` is empty where all are 0. A window (columns column … column + columns-1 for any index) lies within one tile.
    """

    buffer: str
    leading: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    columns: int
    tile: int = 0
    column: int = 0
    column_steps: tuple[int, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether no window is in play: column c is lane c of its tile."""
        return not self.column and not any(self.column_steps)

    @property
    def rows(self) -> int:
        count = 1
        for size in self.leading:
            count *= size
        return count

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.leading, self.columns)

    @property
    def dense(self) -> bool:
        """Whether rows follow each other without gaps."""
        return self.strides == row_strides(self.leading)

    def with_leading(self, leading: tuple[int, ...]) -> View:
        """Other leading sizes over the same rows; the view must be dense."""
        return replace(self, leading=leading, strides=row_strides(leading))

    def at(self, index: Sequence[int]) -> View:
        """The first len(index) leading axes fixed."""
        offset = self.offset + sum(i * s for i, s in zip(index, self.strides, strict=False))
        column = self.column + sum(i * s for i, s in zip(index, self.column_steps, strict=False))
        return replace(
            self,
            leading=self.leading[len(index) :],
            strides=self.strides[len(index) :],
            offset=offset,
            column=column,
            column_steps=self.column_steps[len(index) :],
        )

    def permuted(self, order: Sequence[int]) -> View:
        """The leading axes in another order."""
        return replace(
            self,
            leading=tuple(self.leading[a] for a in order),
            strides=tuple(self.strides[a] for a in order),
            column_steps=tuple(self.column_steps[a] for a in order) if self.column_steps else (),
        )

    def tiled(self, lanes: int) -> View:
        """The same view with `column` below the lanes; for a view without column steps."""
        return replace(self, tile=self.tile + self.column // lanes, column=self.column % lanes)

    def windowed(self, leading: tuple[int, ...], columns: int, lanes: int) -> View | None:
        """Reshaped without moving anything: other leading axes over the same rows, the last axis split into windows of lanes or
        joined from them. None where rows or lanes would have to move."""
        if columns < self.columns and (self.columns % columns or lanes % columns or self.column % columns):
            return None
        steps = self.column_steps or (0,) * len(self.leading)
        axes = [(size, (s, c)) for size, s, c in zip(self.leading, self.strides, steps, strict=True)]
        if columns < self.columns:
            axes.append((self.columns // columns, (0, columns)))
        wanted = leading
        if columns > self.columns:
            if columns % self.columns:
                return None
            wanted = (*leading, columns // self.columns)
        found = _regrouped(axes, wanted)
        if found is None or (columns > self.columns and found.pop() != (0, self.columns)):
            return None
        column_steps = tuple(c for _, c in found)
        return replace(
            self,
            leading=leading,
            strides=tuple(s for s, _ in found),
            columns=columns,
            column_steps=column_steps if any(column_steps) else (),
        )

    def broadcast(self, leading: tuple[int, ...]) -> View:
        """NumPy broadcasting of the leading axes: new and stretched axes have stride 0."""
        missing = len(leading) - len(self.leading)
        sizes, strides = (1,) * missing + self.leading, (0,) * missing + self.strides
        stretched = tuple(0 if size == 1 and to != 1 else s for size, s, to in zip(sizes, strides, leading, strict=True))
        steps: tuple[int, ...] = ()
        if self.column_steps:
            along = (0,) * missing + self.column_steps
            steps = tuple(0 if size == 1 and to != 1 else s for size, s, to in zip(sizes, along, leading, strict=True))
        return replace(self, leading=leading, strides=stretched, column_steps=steps)


def _regrouped(axes: list[tuple[int, tuple[int, int]]], wanted: tuple[int, ...]) -> list[tuple[int, int]] | None:
    """(row step, column step) of every wanted axis over the same elements in the same order; None if there is no such view."""
    rest = [(size, steps) for size, steps in axes if size != 1]
    found: list[tuple[int, int]] = []
    for size in reversed(wanted):
        if size == 1:
            found.append((0, 0))
            continue
        first: tuple[int, int] | None = None
        have = 1
        while have < size:
            if not rest:
                return None
            inner, steps = rest.pop()
            if first is None:
                first = steps
            elif steps != (first[0] * have, first[1] * have):
                return None
            if size % have:
                return None
            taken = size // have
            if inner > taken:
                if inner % taken:
                    return None
                rest.append((inner // taken, (steps[0] * taken, steps[1] * taken)))
                inner = taken
            have *= inner
        if have != size or first is None:
            return None
        found.append(first)
    return found[::-1]


def row_strides(leading: Sequence[int]) -> tuple[int, ...]:
    """Strides of rows in row-major order."""
    strides: list[int] = []
    step = 1
    for size in reversed(leading):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def view_of(buffer: Buffer) -> View:
    """A whole buffer."""
    leading = buffer.shape[:-1]
    return View(buffer.name, leading, row_strides(leading), 0, buffer.columns)


def fixed_windows(views: Sequence[View]) -> Iterator[list[View]]:
    """The views with every leading axis fixed along which one of them changes its columns; equal leading sizes."""
    axes = [
        i for i, size in enumerate(views[0].leading) if size > 1 and any(v.column_steps and v.column_steps[i] for v in views)
    ]
    rest = [i for i in range(len(views[0].leading)) if i not in axes]
    turned = [v.permuted([*axes, *rest]) for v in views]
    for index in product(*(range(views[0].leading[a]) for a in axes)):
        yield [replace(v.at(index), column_steps=()) for v in turned]


@dataclass(frozen=True, slots=True)
class Run:
    """`count` rows that every view walks with a constant step; `starts` and `steps` follow the views."""

    count: int
    starts: tuple[int, ...]
    steps: tuple[int, ...]

    def part(self, first: int, count: int) -> Run:
        """`count` of its rows, from row `first` on."""
        return Run(count, tuple(s + first * d for s, d in zip(self.starts, self.steps, strict=True)), self.steps)

    def cut(self, limit: int) -> Iterator[Run]:
        """Pieces of at most `limit` rows, as equal as can be."""
        pieces = -(-self.count // limit)
        for i in range(pieces):
            first, end = self.count * i // pieces, self.count * (i + 1) // pieces
            yield self.part(first, end - first)


def runs(views: Sequence[View], buffers: dict[str, Buffer]) -> Iterator[Run]:
    """Joint walks over views of equal leading sizes, as few and as long as possible, none across a segment border."""
    leading = views[0].leading
    axes = [(size, [v.strides[i] for v in views]) for i, size in enumerate(leading) if size > 1]
    merged: list[tuple[int, list[int]]] = []
    for size, strides in reversed(axes):
        if merged and all(s == inner * merged[-1][0] for s, inner in zip(strides, merged[-1][1], strict=True)):
            merged[-1] = (merged[-1][0] * size, merged[-1][1])
        else:
            merged.append((size, strides))
    longest = max(range(len(merged)), key=lambda i: merged[i][0], default=None)
    count, steps = merged.pop(longest) if longest is not None else (1, [0] * len(views))
    for offsets in _offsets(merged, len(views)):
        starts = [v.offset + o for v, o in zip(views, offsets, strict=True)]
        yield from cut_at_segments(count, starts, steps, [buffers[v.buffer] for v in views])


def _offsets(axes: list[tuple[int, list[int]]], width: int) -> Iterator[list[int]]:
    """Row offsets of all combinations of the axes (innermost first in the list), in row-major order."""
    if not axes:
        yield [0] * width
        return
    size, strides = axes[-1]
    for i in range(size):
        for inner in _offsets(axes[:-1], width):
            yield [i * s + o for s, o in zip(strides, inner, strict=True)]


def cut_at_segments(count: int, starts: list[int], steps: list[int], buffers: list[Buffer]) -> Iterator[Run]:
    """Cut a walk where one of the buffers changes its segment."""
    first = 0
    while first < count:
        reach = count - first
        for start, step, buffer in zip(starts, steps, buffers, strict=True):
            row = start + first * step
            segment = buffer.segment_of(row)
            begin, end = buffer.segments[segment], buffer.segments[segment] + buffer.segment_rows(segment)
            if step > 0:
                reach = min(reach, -(-(end - row) // step))
            elif step < 0:
                reach = min(reach, (row - begin) // -step + 1)
        yield Run(reach, tuple(s + first * d for s, d in zip(starts, steps, strict=True)), tuple(steps))
        first += reach
