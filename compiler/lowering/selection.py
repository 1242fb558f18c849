"""Lane moves by the MXM: byte columns times constant 0/1 matrices, summed where several pieces make one vector.

Exact for every element type, since a byte times one plus zeros is the byte.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.lowering.chains import Chain
from compiler.lowering.context import Lowering
from compiler.lowering.copies import copy_rows
from compiler.lowering.views import Run, View, runs
from compiler.scheduling.trip import Feed, Load, Read, ReadBlock, Swap, Write


@dataclass(frozen=True, slots=True)
class Piece:
    """Columns first … first + count-1 of a result: columns column, column + step, … of the source rows."""

    source: View
    column: int
    step: int
    first: int
    count: int
    columns: tuple[int, ...] = ()
    """The columns one by one, where they follow no step."""


@dataclass(frozen=True, slots=True)
class _Window:
    """Lanes `lane` … of one source tile that go to one result tile, by a selection matrix [depth, lanes]."""

    source: View
    tile: int
    lane: int
    matrix: tuple[tuple[int, int], ...]
    """(row of the weights, lane of the result) of every one in the matrix; an empty lane list of a splat is lane -1."""
    depth: int


def select_lanes(lowering: Lowering, target: View, pieces: list[Piece]) -> None:
    """Write every row of the target from its pieces, whose sources have the target's leading sizes."""
    lanes = lowering.chip.lanes
    for tile in range(-(-target.columns // lanes)):
        end = min(lanes, target.columns - tile * lanes)
        windows = [w for piece in pieces for w in _windows(piece, tile, lanes, target.columns == 1)]
        here = View(target.buffer, target.leading, target.strides, target.offset, end, target.tile + tile)
        if len(windows) == 1 and _keeps_lanes(windows[0], end, target.columns == 1):
            source = windows[0].source
            same = View(source.buffer, source.leading, source.strides, source.offset, end, windows[0].tile)
            copy_rows(lowering, same, here)
        else:
            _multiply(lowering, here, windows)


def _keeps_lanes(window: _Window, count: int, splat: bool) -> bool:
    if splat:
        return window.source.columns == 1
    return window.lane == 0 and window.matrix == tuple((i, i) for i in range(count))


def _windows(piece: Piece, tile: int, lanes: int, splat: bool) -> list[_Window]:
    """The piece's part in one result tile, cut where the source changes its tile."""
    first, end = max(piece.first, tile * lanes), min(piece.first + piece.count, (tile + 1) * lanes)
    windows: list[_Window] = []
    groups: dict[int, list[tuple[int, int]]] = {}
    for column in range(first, end):
        if piece.columns:
            from_column = piece.columns[column - piece.first]
        else:
            from_column = 0 if piece.source.columns == 1 else piece.column + (column - piece.first) * piece.step
        groups.setdefault(from_column // lanes, []).append((from_column % lanes, column - tile * lanes))
    for source_tile, moves in groups.items():
        lane = min(m[0] for m in moves)
        depth = max(m[0] for m in moves) - lane + 1
        matrix = ((0, -1),) if splat else tuple((a - lane, b) for a, b in moves)
        windows.append(_Window(piece.source, piece.source.tile + source_tile, lane, matrix, depth))
    return windows


def _multiply(lowering: Lowering, target: View, windows: list[_Window]) -> None:
    chip = lowering.chip
    views = [target, *(w.source for w in windows)]
    buffers = lowering.flow.buffers
    matrices = [lowering.stationary(_matrix(w, chip.lanes), "select", chip.lanes).name for w in windows]
    planes = range(len(chip.planes))
    limit = chip.mxm.accumulators
    for run in runs(views, buffers):
        for first in range(0, run.count, limit):
            count = min(limit, run.count - first)
            part = Run(count, tuple(s + first * d for s, d in zip(run.starts, run.steps, strict=True)), run.steps)
            for byte in range(buffers[target.buffer].bytes):
                plane = planes[(len(lowering.flow.trips) // 3 + byte) % len(planes)]
                _sum(lowering, target, windows, matrices, part, byte, plane)


def _matrix(window: _Window, lanes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    matrix = np.zeros((window.depth, lanes), np.int8)
    for row, lane in window.matrix:
        matrix[row, slice(None) if lane < 0 else lane] = 1
    return matrix


def _sum(
    lowering: Lowering, target: View, windows: list[_Window], matrices: list[str], run: Run, byte: int, plane: int
) -> None:
    """One byte column of one run: load, swap and feed for each window; the last feed gives the sum."""
    for i, (window, name) in enumerate(zip(windows, matrices, strict=True)):
        buffer = lowering.flow.buffers[name]
        load = lowering.trip()
        per_cycle = min(buffer.stripes, window.depth)
        rows = load.value("i8", -(-window.depth // per_cycle), streams=per_cycle)
        load.nodes.append(ReadBlock(name, 0, 0, window.depth, per_cycle, rows))
        load.nodes.append(Load((plane,), rows, "i8", window.depth))
        lowering.trip().nodes.append(Swap(plane, "i8"))
        trip = lowering.trip()
        source = trip.value("i8", run.count)
        view = window.source
        trip.nodes.append(Read(view.buffer, window.tile, run.starts[1 + i], run.steps[1 + i], run.count, source, byte))
        last = i == len(windows) - 1
        result = trip.value("i32", run.count) if last else -1
        trip.nodes.append(Feed(plane, source, "i8", window.depth, window.lane, 0, i == 0, run.count, result))
        if last:
            chain = Chain(trip, lowering.chip, run.count)
            chain.anchor(result)
            narrow = chain.operation("imov", [result], "i8")
            trip.nodes.append(Write(target.buffer, target.tile, run.starts[0], run.steps[0], narrow, run.count, 1, byte))
