"""How a stencil is spread over sides, planes and turns: decided before buffers exist, for it shapes the memory of images."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.dialects.graph import StencilOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.context import mxm_mode, mxm_sides, weight_rows_per_cycle
from isa.chip import Chip, Side

MOST_TURNS = 2
"""Turns beyond what accumulators ask for: with two the next stencil begins while this one is under way, more cost loads."""

Share = tuple[int, int]
"""First row and end of consecutive rows of the result."""


@dataclass(frozen=True, slots=True)
class Job:
    """One tile of the result over the shares of some planes, which are of one side."""

    tile: int
    shares: tuple[tuple[int, Share], ...]


@dataclass(frozen=True, slots=True)
class StencilPlan:
    """Jobs of each side in their order; `borders` and `near` are first rows and sides of the result's segments."""

    mode: str
    jobs: dict[Side, tuple[Job, ...]]
    borders: tuple[int, ...]
    near: tuple[Side, ...]

    @property
    def sides(self) -> list[Side]:
        return list(self.jobs)


def stencil_plan(op: StencilOp, chip: Chip) -> StencilPlan:
    """Rows over sides, or tiles over sides where rows are too few to hide the loads of all tiles."""
    mode = mxm_mode(op.x, op.w)
    planes: dict[Side, list[int]] = {side: [] for side in mxm_sides(chip)}
    for plane in range(0, len(chip.planes), 1 if mode == "i8" else 2):
        side = chip.planes[plane].side
        if side is not None:
            planes[side].append(plane)
    rows, groups, columns = tensor_of(op.result).shape
    total, tiles = rows * groups, -(-columns // chip.lanes)
    memory = "rram" if chip.rram else "sram"
    load = -(-tensor_of(op.w).shape[1] // weight_rows_per_cycle(chip, memory, tensor_of(op.w).type))
    count = sum(len(p) for p in planes.values())
    # Not in whole cycles: only loads make a difference, and rounding must not decide.
    by_rows = tiles * max(total / count, load)
    together, left = divmod(tiles, len(planes))
    by_tiles = together * max(total * len(planes) / count, load) + left * max(total / count, load)
    least = -(-total // (count * chip.mxm.accumulators))
    if tiles % count == 0 and total <= chip.mxm.accumulators:
        # Planes that load alone take turns at the port of their side, which else waits for every swap.
        steps, gap = len(op.block_list) // tiles, chip.timing["mxm.load"].latency + chip.timing["mxm.swap"].latency
        shared = min(
            tiles * max(-(-total // count), load + gap),
            tiles // len(planes) * max(-(-total * len(planes) // count), load + gap),
        )
        alone = tiles // count * max(total, load * count // len(planes), load + gap)
        if steps * alone + total < steps * shared + total * len(planes) // count:
            return _tiles_over_planes(mode, planes, total, tiles)
    if len(planes) > 1 and tiles > 1 and by_tiles < by_rows:
        return _tiles_over_sides(mode, planes, total, tiles, -(-total * len(planes) // (count * chip.mxm.accumulators)))
    turns = max(least, min(MOST_TURNS, total // (count * load)), 1)
    return _rows_over_sides(mode, planes, total, tiles, turns)


def _rows_over_sides(mode: str, planes: dict[Side, list[int]], total: int, tiles: int, turns: int) -> StencilPlan:
    jobs: dict[Side, list[Job]] = {side: [] for side in planes}
    borders: dict[int, Side] = {}
    count = sum(len(p) for p in planes.values())
    for turn in range(turns):
        first, end = total * turn // turns, total * (turn + 1) // turns
        cuts = [first + (end - first) * i // count for i in range(count + 1)]
        at = 0
        for side, mine in planes.items():
            shares = [(plane, (cuts[at + i], cuts[at + i + 1])) for i, plane in enumerate(mine)]
            shares = [share for share in shares if share[1][0] < share[1][1]]
            at += len(mine)
            borders |= {first_row: side for _, (first_row, _) in shares}
            jobs[side] += [Job(tile, tuple(shares)) for tile in range(tiles) if shares]
    starts = sorted(borders)
    return StencilPlan(mode, {s: tuple(j) for s, j in jobs.items() if j}, tuple(starts), tuple(borders[s] for s in starts))


def _tiles_over_sides(mode: str, planes: dict[Side, list[int]], total: int, tiles: int, turns: int) -> StencilPlan:
    """Every side its part of the tiles; what is left over is shared by rows."""
    jobs: dict[Side, list[Job]] = {side: [] for side in planes}
    borders: set[int] = set()
    each = tiles // len(planes)
    for turn in range(turns):
        first, end = total * turn // turns, total * (turn + 1) // turns
        for number, (side, mine) in enumerate(planes.items()):
            shares = _cut(mine, first, end)
            borders |= {share[0] for _, share in shares}
            jobs[side] += [Job(tile, shares) for tile in range(number * each, (number + 1) * each)]
        for tile in range(each * len(planes), tiles):
            for number, (side, mine) in enumerate(planes.items()):
                part = first + (end - first) * number // len(planes), first + (end - first) * (number + 1) // len(planes)
                jobs[side].append(Job(tile, _cut(mine, *part)))
    return StencilPlan(mode, {s: tuple(j) for s, j in jobs.items()}, tuple(sorted(borders)), ())


def _tiles_over_planes(mode: str, planes: dict[Side, list[int]], total: int, tiles: int) -> StencilPlan:
    """Every plane its part of the tiles, whole."""
    jobs: dict[Side, list[Job]] = {side: [] for side in planes}
    order: list[tuple[Side, int]] = [(side, plane) for side, mine in planes.items() for plane in mine]
    each = tiles // len(order)
    for number, (side, plane) in enumerate(order):
        jobs[side] += [Job(tile, ((plane, (0, total)),)) for tile in range(number * each, (number + 1) * each)]
    return StencilPlan(mode, {s: tuple(j) for s, j in jobs.items()}, (0,), ())


def _cut(planes: list[int], first: int, end: int) -> tuple[tuple[int, Share], ...]:
    cuts = [first + (end - first) * i // len(planes) for i in range(len(planes) + 1)]
    return tuple((plane, (a, b)) for plane, a, b in zip(planes, cuts, cuts[1:], strict=False) if a < b)
