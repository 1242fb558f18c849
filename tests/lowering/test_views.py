"""Views and joint walks over them, against NumPy's own strides."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.lowering.views import Run, View, row_strides, runs, view_of
from compiler.scheduling.trip import Buffer

LANES = 8


def rows_of(view: View) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Buffer row of every leading index, by index arithmetic."""
    rows = np.full(view.leading, view.offset, np.int64)
    for axis, stride in enumerate(view.strides):
        shape = [1] * len(view.leading)
        shape[axis] = view.leading[axis]
        rows = rows + stride * np.arange(view.leading[axis]).reshape(shape)
    return rows


@st.composite
def joint_views(draw: st.DrawFn) -> tuple[list[View], dict[str, Buffer]]:
    """One to three views of equal leading sizes: permuted, sliced, broadcast, over buffers in one or two segments."""
    leading = tuple(draw(st.lists(st.integers(1, 4), min_size=0, max_size=3)))
    buffers: dict[str, Buffer] = {}
    views: list[View] = []
    for i in range(draw(st.integers(1, 3))):
        name = f"b{i}"
        order = draw(st.permutations(range(len(leading))))
        stretched = [draw(st.booleans()) and draw(st.booleans()) for _ in leading]
        kept = [1 if stretched[a] else leading[a] for a in order]
        margins = [draw(st.integers(0, 1)) for _ in kept]
        sizes = [k + m for k, m in zip(kept, margins, strict=True)]
        strides = row_strides(sizes)
        offset = sum(s * draw(st.integers(0, m)) for s, m in zip(strides, margins, strict=True))
        mine = [0] * len(leading)
        for axis, stride in zip(order, strides, strict=True):
            mine[axis] = 0 if stretched[axis] else stride
            if mine[axis] and draw(st.booleans()) and draw(st.booleans()):
                offset, mine[axis] = offset + stride * (leading[axis] - 1), -stride
        rows = int(np.prod(sizes, dtype=int))
        segments = (0, draw(st.integers(1, rows - 1))) if rows > 1 and draw(st.booleans()) else (0,)
        buffers[name] = Buffer(name, (*sizes, LANES), "i8", "temporary", "sram", LANES, 1, segments)
        views.append(View(name, leading, tuple(mine), offset, LANES))
    return views, buffers


@settings(deadline=None)
@given(joint_views())
def test_runs_walk_every_index_once_and_together(case: tuple[list[View], dict[str, Buffer]]) -> None:
    views, buffers = case
    expected = sorted(zip(*(rows_of(v).ravel().tolist() for v in views), strict=True))
    walked = [
        tuple(start + i * step for start, step in zip(run.starts, run.steps, strict=True))
        for run in runs(views, buffers)
        for i in range(run.count)
    ]
    assert sorted(walked) == expected


@settings(deadline=None)
@given(joint_views())
def test_no_run_crosses_a_segment(case: tuple[list[View], dict[str, Buffer]]) -> None:
    views, buffers = case
    for run in runs(views, buffers):
        for view, start, step in zip(views, run.starts, run.steps, strict=True):
            segments = {buffers[view.buffer].segment_of(start + i * step) for i in range(run.count)}
            assert len(segments) == 1


def test_rows_that_follow_each_other_are_one_run() -> None:
    buffer = Buffer("b", (3, 4, 5, LANES), "i8", "temporary", "sram", LANES)
    (run,) = runs([view_of(buffer), view_of(buffer)], {"b": buffer})
    assert (run.count, run.starts, run.steps) == (60, (0, 0), (1, 1))


def test_a_transpose_walks_its_longest_axis() -> None:
    buffer = Buffer("b", (3, 5, LANES), "i8", "temporary", "sram", LANES)
    other = Buffer("c", (5, 3, LANES), "i8", "temporary", "sram", LANES)
    turned = View("b", (5, 3), (1, 5), 0, LANES)
    found = list(runs([turned, view_of(other)], {"b": buffer, "c": other}))
    assert [(r.count, r.starts, r.steps) for r in found] == [(5, (5 * i, i), (1, 3)) for i in range(3)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.data())
def test_at_and_broadcast_are_numpy_indexing(leading: list[int], data: st.DataObject) -> None:
    view = view_of(Buffer("b", (*leading, LANES), "i8", "temporary", "sram", LANES))
    rows = rows_of(view)
    assert view.dense
    index = tuple(data.draw(st.integers(0, size - 1)) for size in leading[: data.draw(st.integers(0, len(leading)))])
    assert np.array_equal(rows_of(view.at(index)), rows[index])
    wider = (2, *(data.draw(st.integers(1, 3)) if size == 1 else size for size in leading))
    assert np.array_equal(rows_of(view.broadcast(wider)), np.broadcast_to(rows, wider))


@given(st.integers(1, 300), st.integers(1, 130), st.integers(-3, 3))
def test_pieces_of_a_run_walk_its_rows(count: int, limit: int, step: int) -> None:
    run = Run(count, (7, 900), (1, step))
    pieces = list(run.cut(limit))
    assert max(piece.count for piece in pieces) <= limit
    assert max(piece.count for piece in pieces) - min(piece.count for piece in pieces) <= 1
    for view in range(2):
        rows = [piece.starts[view] + i * piece.steps[view] for piece in pieces for i in range(piece.count)]
        assert rows == [run.starts[view] + i * run.steps[view] for i in range(count)]
