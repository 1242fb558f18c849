"""Tensor values as views: rows of a buffer walked with strides.

Transposes of leading axes, slices of rows and broadcasts are views only: nothing moves for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from compiler.scheduling.trip import Buffer


@dataclass(frozen=True, slots=True)
class View:
    """Element [i0, …, ik, c] is column tile·lanes + c of the buffer's row offset + Σ i·stride."""

    buffer: str
    leading: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    columns: int
    tile: int = 0

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
        return replace(self, leading=self.leading[len(index) :], strides=self.strides[len(index) :], offset=offset)

    def broadcast(self, leading: tuple[int, ...]) -> View:
        """NumPy broadcasting of the leading axes: new and stretched axes have stride 0."""
        missing = len(leading) - len(self.leading)
        sizes, strides = (1,) * missing + self.leading, (0,) * missing + self.strides
        stretched = tuple(0 if size == 1 and to != 1 else s for size, s, to in zip(sizes, strides, leading, strict=True))
        return replace(self, leading=leading, strides=stretched)


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


@dataclass(frozen=True, slots=True)
class Run:
    """`count` rows that every view walks with a constant step; `starts` and `steps` follow the views."""

    count: int
    starts: tuple[int, ...]
    steps: tuple[int, ...]


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
        yield from _cut_at_segments(count, starts, steps, [buffers[v.buffer] for v in views])


def _offsets(axes: list[tuple[int, list[int]]], width: int) -> Iterator[list[int]]:
    """Row offsets of all combinations of the axes (innermost first in the list), in row-major order."""
    if not axes:
        yield [0] * width
        return
    size, strides = axes[-1]
    for i in range(size):
        for inner in _offsets(axes[:-1], width):
            yield [i * s + o for s, o in zip(strides, inner, strict=True)]


def _cut_at_segments(count: int, starts: list[int], steps: list[int], buffers: list[Buffer]) -> Iterator[Run]:
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
