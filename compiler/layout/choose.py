"""The packing of every image of a network at once, by cost: bucket elimination over the graph of convolutions.

Images that elementwise operations tie together are one *variable*; a convolution is a table of costs over the packings of two
variables. Variables are eliminated one by one, those with the smallest tables first, which is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

import numpy as np
from numpy.typing import NDArray

from isa.packing import Line, Packing, plain

Table = NDArray[np.float64]

LARGEST_TABLE = 1 << 22
"""Entries of a table of costs."""

MOST_TILES = 10
"""Tiles that the channels of an image are divided into at most, where they need no more: many pay where a convolution does not
mix channels."""


MOST_ROWS = 2
"""Neighbouring rows of an image in one vector at most, in a network with convolutions that do not mix channels: a window over
them needs fewer taps a row. Three or four make the tables of costs several times as large, for hardly a gain. Where channels
mix, two gain nothing: walks back to single rows go in steps of two, which stay in one half of memory (our choice)."""


@dataclass(frozen=True, slots=True)
class Reaching:
    """A window along one axis of an image as the image's packing sees it: `places` of the image for one output, `stride` places
    from one output to the next, `pad` places before the first, `outputs` in all."""

    places: int
    stride: int
    pad: int
    outputs: int


Windows = Sequence[tuple[Reaching, Reaching]]
"""Each along rows and along positions."""


def candidates(
    image: tuple[int, int, int], readers: Windows, makers: Windows, lanes: int, grouped: bool, most_rows: int = 1
) -> list[Packing]:
    """The plain layout first, then packings of neighbouring positions, of one row or several, that fill at least half of the
    lanes.

    `readers` are the windows over the image, `makers` those of which it is the result; `grouped` where some of them give each
    output of few channels; at most so many rows a vector.
    """
    height, width, channels = image
    found = [plain(image, lanes)]
    least = -(-channels // lanes)
    most_tiles = max(MOST_TILES, 2 * least + 1) if grouped else 2 * least + 1
    for tiles in range(least, most_tiles + 1):
        each = -(-channels // tiles)
        if each > lanes or -(-channels // each) != tiles:
            continue
        for rows in _rows(height, [rows for rows, _ in readers], min(most_rows, lanes // each)):
            for line in _lines(width, [r for _, r in readers], [m for _, m in makers], lanes // (each * rows.width)):
                step = line.pitch if line.pitch != line.width else 0
                along = line.count, line.width, each, line.origin, step
                found.append(Packing(image, rows.count, *along, rows.width, rows.pitch, rows.origin))
    return list(dict.fromkeys(found))


def _origins(readers: Sequence[Reaching]) -> list[int]:
    """Where vectors may begin: with the image, or with what the first output of a reader needs."""
    return sorted({0, *(-r.pad for r in readers)}, reverse=True)


def _rows(size: int, readers: Sequence[Reaching], most: int) -> Iterator[Line]:
    """Single rows, then groups of at most so many side by side."""
    yield Line(size, size, 1, 1, 0)
    for height in range(2, most + 1):
        for origin in _origins(readers):
            yield Line(size, -(-(size - origin) // height), height, height, origin)


def _lines(width: int, readers: Sequence[Reaching], makers: Sequence[Reaching], most: int) -> Iterator[Line]:
    """At most so many neighbouring positions: groups side by side, those whose makers find what they need in one vector, and
    for readers groups that overlap, so that one vector holds all that a vector of the reader's result needs in its row."""
    for origin in _origins(readers):
        for positions, groups in _divisions(width - origin, most):
            yield Line(width, groups, positions, positions, origin)
    for window in makers:
        for positions, groups in _divisions(width, (most - window.places) // window.stride + 1):
            yield Line(width, groups, positions, positions, 0)
    for window in readers:
        for outputs, groups in _divisions(window.outputs, (most - window.places) // window.stride + 1):
            positions, step = (outputs - 1) * window.stride + window.places, outputs * window.stride
            if groups > 1 and positions > step:
                yield Line(width, groups, positions, step, -window.pad)


def _divisions(width: int, most: int) -> Iterator[tuple[int, int]]:
    """(positions, groups): the fewest positions that cover the width in so many groups, from `most` positions to half of it."""
    if most < 1:
        return
    groups, last = -(-width // most), -(-width // max(1, -(-most // 2)))
    while groups <= last:
        positions = -(-width // groups)
        yield positions, -(-width // positions)
        groups = -(-width // (positions - 1)) if positions > 1 else last + 1


@dataclass(frozen=True, slots=True)
class Factor:
    """Costs over the choices of some variables, one axis each, variables in increasing order."""

    variables: tuple[int, ...]
    costs: Table


def cheapest(sizes: Sequence[int], factors: Sequence[Factor]) -> list[int]:
    """A choice for every variable (of so many values) with the least sum of factors; ties go to the first values."""
    rest = list(factors)
    open_variables = set(range(len(sizes)))
    eliminated: list[tuple[int, tuple[int, ...], NDArray[np.int64]]] = []
    while open_variables:
        neighbours = {v: _around(v, rest) for v in sorted(open_variables)}
        variable = min(neighbours, key=lambda v: (_product(sizes, neighbours[v]), v))
        scope = tuple(sorted(neighbours[variable] | {variable}))
        if _product(sizes, scope) > LARGEST_TABLE:
            # No exact answer in reasonable room: the variable takes what is cheapest if all others could follow it.
            lower = sum((_minimum(f, variable) for f in rest if variable in f.variables), np.zeros(sizes[variable]))
            fixed = np.full(sizes[variable], np.inf)
            fixed[int(np.argmin(lower))] = 0.0
            rest = [_fix(f, variable, int(np.argmin(lower))) for f in rest]
            rest.append(Factor((variable,), fixed))
            scope = (variable,)
        here = [f for f in rest if variable in f.variables and set(f.variables) <= set(scope)]
        total = np.zeros([sizes[v] for v in scope])
        for factor in here:
            shape = [sizes[v] if v in factor.variables else 1 for v in scope]
            total = total + factor.costs.reshape(shape)
        axis = scope.index(variable)
        others = tuple(v for v in scope if v != variable)
        eliminated.append((variable, others, np.argmin(total, axis=axis)))
        rest = [f for f in rest if all(f is not h for h in here)]
        if others:
            rest.append(Factor(others, cast(Table, total.min(axis=axis))))
        open_variables.remove(variable)
    chosen = [0] * len(sizes)
    for variable, others, best in reversed(eliminated):
        chosen[variable] = int(best[tuple(chosen[v] for v in others)])
    return chosen


def _around(variable: int, factors: Sequence[Factor]) -> set[int]:
    return {v for f in factors if variable in f.variables for v in f.variables} - {variable}


def _product(sizes: Sequence[int], variables: Iterable[int]) -> int:
    return prod(sizes[v] for v in variables)


def _minimum(factor: Factor, variable: int) -> Table:
    axes = tuple(i for i, v in enumerate(factor.variables) if v != variable)
    return factor.costs.min(axis=axes)


def _fix(factor: Factor, variable: int, value: int) -> Factor:
    if variable not in factor.variables or len(factor.variables) == 1:
        return factor
    axis = factor.variables.index(variable)
    return Factor(tuple(v for v in factor.variables if v != variable), np.take(factor.costs, [value], axis=axis).squeeze(axis))
