"""How values want to lie in memory, decided from their consumers before any buffer exists."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from xdsl.ir import Block, Operation, SSAValue

from compiler.dialects.graph import (
    BroadcastOp,
    ConcatOp,
    ConstantOp,
    DepthwiseOp,
    InputOp,
    MatmulOp,
    OutputOp,
    PackOp,
    ParamOp,
    ReduceOp,
    ReshapeOp,
    ScatterOp,
    SliceOp,
    StateOp,
    StencilOp,
    TakeOp,
    TransposeOp,
)
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.context import Hint, Inside, RowsOf, mxm_sides, weight_rows_per_cycle
from compiler.lowering.fusion import ELEMENTWISE, Cluster, Spread
from compiler.lowering.long_states import border_of_state
from compiler.lowering.matmul_plan import Plan, plan
from compiler.lowering.stencil_plan import stencil_plan
from compiler.scheduling.shared_memory import Residents
from isa.chip import Chip, Side

MIN_SEGMENT_ROWS = 64
"""Fewer rows than this are not worth a trip of their own: filling and draining it costs about as much (our choice)."""


def memory_hints(block: Block, groups: dict[Operation, Cluster], chip: Chip, segmented: bool) -> dict[SSAValue, Hint]:
    """Stripes for runtime weights; row shares of the planes for activations; if `segmented`, long tensors on both sides."""
    hints: dict[SSAValue, Hint] = {}
    matmuls = [op for op in block.ops if isinstance(op, MatmulOp)]
    for op in matmuls:
        if not isinstance(op.b.owner, (ParamOp, ConstantOp)):
            hints[_lies_in(op.b, chip)] = Hint(stripes=weight_rows_per_cycle(chip, "sram", tensor_of(op.b).type))
    for op in matmuls if segmented else ():
        hints |= _fed_and_loaded(op, hints, chip)
    for number, op in enumerate(reversed([op for op in block.ops if isinstance(op, ScatterOp)])):
        # A scatter finds the stripe of a row in the lowest bits of its number.
        stripes = max(hints[value].stripes if value in hints else 1 for value in (op.x, op.result))
        hint = Hint(stripes=1 << stripes.bit_length() - 1)
        if stripes > 1 and (border := border_of_state(op.x, chip)):
            # The second part is the longer one: of keys it lies on one side, of values on the other.
            hint = replace(hint, segments=(0, border), segment_sides=("e", "w") if number % 2 else ("w", "e"))
        hints[op.result] = hints[op.x] = hint
    for op in block.ops:
        inside = _inside(op, groups[op], chip) if op in groups else None
        if inside:
            hints.setdefault(op.results[0], Hint(inside=inside))
        if isinstance(op, ConcatOp):
            hints |= _rows_of(op, groups, hints)
    hints |= _stencil_hints(block, chip, segmented)
    hints |= _depthwise_hints(groups, chip, segmented)
    for op in matmuls:
        spread = plan(op, chip)
        borders = spread.row_borders(_rows(op.result))
        if len(tensor_of(op.b).shape) == 2 and len(borders) > 1:
            planes = [p for group in spread.groups for p in group]
            near: list[Side] = [chip.planes[p].side or "w" for p in planes]
            sides = tuple(near[: len(borders)]) if spread.across_sides and not spread.halved else ()
            hints.setdefault(_with_other_axes(op.a), Hint(borders, sides))
            hints.setdefault(op.result, Hint(borders))
        elif len(tensor_of(op.b).shape) > 2 and len(spread.groups) > 1:
            value = _lies_in(op.a, chip)
            if value is not op.a:
                hints.setdefault(value, _windows_of_groups(value, spread, chip))
    for op in block.ops if segmented else ():
        for value in op.results:
            if isinstance(op, ReshapeOp) and _spreads_lanes(op):
                hints.setdefault(op.result, _segments(op.result, chip))
                each = _rows(op.result) // _rows(op.x)
                hints.setdefault(op.x, Hint(tuple(dict.fromkeys(b // each for b in hints[op.result].segments))))
            elif isinstance(op, TakeOp) and (spread := Spread.of(value)):
                hints.setdefault(spread.row, _for_each_plane(spread.row, chip))
            elif isinstance(op, (InputOp, MatmulOp, ReduceOp, *ELEMENTWISE)) and _walked_in_order(value):
                hints.setdefault(value, _segments(value, chip))
    return hints


def _fed_and_loaded(op: MatmulOp, hints: dict[SSAValue, Hint], chip: Chip) -> dict[SSAValue, Hint]:
    """Activations that another product has as weights lie in stripes only in a copy, for a feed would keep the ports of all of
    them busy; and once more where products of a batch, of several planes at once, are windows of the same rows."""
    value = _lies_in(op.a, chip)
    hint = hints.get(value)
    if hint is None or hint.stripes == 1 or not isinstance(value.owner, (MatmulOp, *ELEMENTWISE)):
        return {}
    batch = len(tensor_of(op.b).shape) > 2
    return {value: Hint(beside=(Hint(), hint) if batch else (hint,))}


def resident_hints(block: Block, residents: Residents | None) -> dict[SSAValue, Hint]:
    """States that another program of the device has, and what scatters make of them, in the stripes and segments of there."""
    hints: dict[SSAValue, Hint] = {}
    for op in block.ops:
        symbol = residents.tensors.get(op.label) if residents and isinstance(op, StateOp) else None
        if symbol is not None:
            stripes = max(piece.row_step for piece in symbol.pieces)
            firsts = sorted({piece.row for piece in symbol.pieces})
            hints[op.results[0]] = Hint(tuple(firsts[::stripes]), stripes=stripes)
        elif isinstance(op, ScatterOp) and op.x in hints:
            hints[op.result] = hints[op.x]
    return hints


def _lies_in(value: SSAValue, chip: Chip) -> SSAValue:
    """The value whose buffer this one is, as far as it is only a view of it."""
    op = value.owner
    while isinstance(op, (BroadcastOp, ReshapeOp, TransposeOp, SliceOp)):
        before, after = tensor_of(op.x).shape, tensor_of(op.results[0]).shape
        if isinstance(op, TransposeOp):
            order = op.permutation.get_values()
            keeps = not order or order[-1] == len(order) - 1
        elif isinstance(op, SliceOp):
            keeps = op.strides.get_values()[-1:] in ((1,), ())
        elif isinstance(op, BroadcastOp):
            keeps = before[-1:] == after[-1:]
        else:
            keeps = before[-1:] == after[-1:] or bool(after and before and _splits(before[-1], after[-1], chip))
        if not keeps:
            break
        value, op = op.x, op.x.owner
    return value


def _with_other_axes(value: SSAValue) -> SSAValue:
    """The value before its leading axes were cut or joined: the same rows."""
    while isinstance(value.owner, ReshapeOp) and _keeps_rows(value.owner):
        value = value.owner.x
    return value


def _splits(columns: int, width: int, chip: Chip) -> bool:
    """Whether columns fall into windows of this width, none of them across a border of tiles."""
    return 1 < width < columns and not columns % width and not chip.lanes % width


def _inside(op: Operation, cluster: Cluster, chip: Chip) -> Inside | None:
    """Where the result of a product can be written into the windows of a wider tensor that its only user makes of it.

    Nothing in the epilogue may be bound to lanes, for the product is moved to its window before.
    """
    if not isinstance(cluster.matmul, MatmulOp) or op is not (cluster.root or cluster.matmul):
        return None
    value, shape = op.results[0], tensor_of(op.results[0]).shape
    inside = {cluster.matmul.result, *(o.results[0] for o in cluster.operations)}
    # What is taken of the product's columns is taken where it is moved to, if that is a single tile.
    others = [tensor_of(v).shape for o in cluster.operations for v in o.operands if v not in inside]
    if any(other[-1:] not in ((), (1,)) for other in others) or "shift" not in chip.sxm.instructions:
        return None
    order = list(range(len(shape) - 1))
    user = _only_user(value)
    if isinstance(user, TransposeOp):
        permutation = list(user.permutation.get_values())
        if permutation[-1] != len(shape) - 1:
            return None
        order = [permutation.index(a) for a in range(len(shape) - 1)]
        shape = tensor_of(user.result).shape
        user = _only_user(user.result)
    if not isinstance(user, ReshapeOp) or not shape or shape[-1] % chip.superlane:
        return None
    wide = tensor_of(user.result).shape
    if not wide or not _splits(wide[-1], shape[-1], chip):
        return None
    return Inside(user.result, shape, tuple(order))


def _rows_of(op: ConcatOp, groups: dict[Operation, Cluster], hints: dict[SSAValue, Hint]) -> dict[SSAValue, Hint]:
    """Parts that can be made as rows of what they are joined to: nobody else wants them, and their rows stay together."""
    axis, shape = op.axis.value.data, tensor_of(op.result).shape
    found: dict[SSAValue, Hint] = {}
    first = 0
    for part in op.parts if axis < len(shape) - 1 and prod(shape[:axis]) == 1 else ():
        value = part
        while isinstance(value.owner, ReshapeOp) and value.has_one_use() and _keeps_rows(value.owner):
            value = value.owner.x
        if value.has_one_use() and value.owner in groups and value not in hints:
            found[value] = Hint(rows_of=RowsOf(op.result, first))
        first += _rows(part)
    return found


def _keeps_rows(op: ReshapeOp) -> bool:
    return tensor_of(op.x).shape[-1:] == tensor_of(op.result).shape[-1:]


def _only_user(value: SSAValue) -> Operation | None:
    users = [use.operation for use in value.uses]
    return users[0] if len(users) == 1 else None


def _stencil_hints(block: Block, chip: Chip, copies: bool) -> dict[SSAValue, Hint]:
    """Packed images in the shares of the planes that write them: results, what follows from them, and constants like them; with
    `copies` twice where planes read each other's shares."""
    shares: dict[tuple[int, ...], Hint] = {}
    hints: dict[SSAValue, Hint] = {}
    given: set[SSAValue] = set()
    """What the host packs, and what is made of it element by element."""
    for op in block.ops:
        if isinstance(op, StencilOp):
            spread = stencil_plan(op, chip)
            shares.setdefault(tensor_of(op.result).shape, Hint(spread.borders, spread.near))
    for op in block.ops:
        for value in op.results if isinstance(op, (StencilOp, PackOp, ConstantOp, ParamOp, *ELEMENTWISE)) else ():
            if isinstance(op, PackOp) or (isinstance(op, ELEMENTWISE) and given.intersection(op.operands)):
                given.add(value)
            rows = tensor_of(value).shape[:2]
            alike = next((hint for shape, hint in shares.items() if shape == tensor_of(value).shape), None)
            if alike is None and value in given:
                alike = next((hint for shape, hint in shares.items() if shape[:2] == rows), _segments(value, chip))
            elif alike is None and isinstance(op, ELEMENTWISE):
                alike = _shares_of_readers(value, chip)
            if alike is not None:
                alike = _cut_for_readers(value, alike, chip)
                beside = copies and len(alike.segments) > 1 and _read_across(value, chip)
                hints[value] = replace(alike, beside=(alike,) if beside else ())
    return hints


def _shares_of_readers(value: SSAValue, chip: Chip) -> Hint | None:
    """An image that no stencil makes in the shares of the planes that read it: as many, in the proportions of theirs."""
    for op in (use.operation for use in value.uses if isinstance(use.operation, StencilOp)):
        spread, rows, results = stencil_plan(op, chip), _rows(value), _rows(op.result)
        borders = tuple(border * rows // results for border in spread.borders)
        if len(set(borders)) == len(borders):
            return Hint(borders, spread.near)
    return None


def _depthwise_hints(groups: dict[Operation, Cluster], chip: Chip, copies: bool) -> dict[SSAValue, Hint]:
    """Results of depthwise convolutions on the vector unit in equal shares, one for each plane that will feed them."""
    hints: dict[SSAValue, Hint] = {}
    for cluster in {id(cluster): cluster for cluster in groups.values()}.values():
        if isinstance(cluster.matmul, DepthwiseOp):
            rows, count = _rows(cluster.result), len(chip.planes)
            borders = tuple(sorted({rows * i // count for i in range(count)}))
            near: tuple[Side, ...] = tuple(plane.side or "w" for plane in chip.planes) if len(borders) == count else ()
            shares = Hint(borders, near)
            hints[cluster.result] = replace(shares, beside=(shares,) if copies and _read_across(cluster.result, chip) else ())
    return hints


def _cut_for_readers(value: SSAValue, hint: Hint, chip: Chip) -> Hint:
    """Further borders where planes of a side, which end their shares in one trip, would read one segment of an image."""
    for op in (use.operation for use in value.uses if isinstance(use.operation, StencilOp)):
        borders = stencil_plan(op, chip).borders
        single = tensor_of(op.result).shape[:2] == tensor_of(value).shape[:2] and len({b.offset for b in op.block_list}) == 1
        if single and set(hint.segments) < set(borders):
            segments = [max(s for s in hint.segments if s <= border) for border in borders]
            sides = tuple(hint.segment_sides[hint.segments.index(s)] for s in segments) if hint.segment_sides else ()
            hint = replace(hint, segments=borders, segment_sides=sides)
    return hint


def _read_across(value: SSAValue, chip: Chip) -> bool:
    """Whether a stencil has several planes read the same rows of an image: for several taps, or for tiles on both sides."""
    stencils = [use.operation for use in value.uses if isinstance(use.operation, StencilOp)]
    return any(not stencil_plan(s, chip).near or len({b.offset for b in s.block_list}) > 1 for s in stencils)


def _rows(value: SSAValue) -> int:
    rows = 1
    for size in tensor_of(value).shape[:-1]:
        rows *= size
    return rows


def _segments(value: SSAValue, chip: Chip) -> Hint:
    """Equal shares, two a side, so that several trips can run at once.

    A column of splats is read together with every tile of a wide tensor; it takes whichever side has slices left.
    """
    rows, wide = _rows(value), tensor_of(value).shape[-1:] != (1,)
    sides: list[Side] = [s for s in ("w", "e") if chip.slices("sram", s)]
    count = max(1, min(2 * len(sides), rows // MIN_SEGMENT_ROWS))
    # Matrices of a batch are products of their own, each better off in one piece.
    shape = tensor_of(value).shape
    whole = shape[-2] if len(shape) > 2 and rows // shape[-2] >= count else 1
    borders = tuple(-(-rows // whole * i // count) * whole for i in range(count))
    if count == 1 or not (wide or whole > 1):
        return Hint(borders)
    # Matrices of a batch come to the planes in blocks, shares of rows to all of them in turn.
    return Hint(borders, tuple(sides[i * len(sides) // count if whole > 1 else i % len(sides)] for i in range(count)))


def _windows_of_groups(value: SSAValue, spread: Plan, chip: Chip) -> Hint:
    """Where matrices of a batch lie as windows in one tensor: near the planes that take them, which come to groups in blocks;
    in row shares where groups share a tile."""
    sides: list[Side] = [chip.planes[group[0]].side or "w" for group in spread.groups]
    tiles = -(-tensor_of(value).shape[-1] // chip.lanes)
    if tiles < len(sides):
        return Hint(spread.row_borders(_rows(value)))
    return Hint(tile_sides=tuple(sides[tile * len(sides) // tiles] for tile in range(tiles)))


def _for_each_plane(row: SSAValue, chip: Chip) -> Hint:
    """A row for each matrix of a batch, of which every plane reads some all the time: for the planes of a side apart, and for
    each side, for matrices come to the sides in turns."""
    count = min(chip.mxm.planes_per_side, _rows(row))
    borders = tuple(_rows(row) * i // count for i in range(count))
    first, *others = (Hint(borders, (side,) * count) for side in mxm_sides(chip))
    return replace(first, beside=tuple(others))


def _spreads_lanes(op: ReshapeOp) -> bool:
    """Whether this makes columns of splats of what lies on lanes."""
    return tensor_of(op.result).shape[-1:] == (1,) != tensor_of(op.x).shape[-1:]


def _walked_in_order(value: SSAValue) -> bool:
    """Whether maker and users go through the rows one after the other, so that a border costs them nothing."""
    maker = value.owner
    folds_rows = isinstance(maker, ReduceOp) and not _over_lanes_only(maker)
    return not folds_rows and all(_in_order(use.operation, value) for use in value.uses)


def _in_order(user: Operation, value: SSAValue) -> bool:
    if isinstance(user, ReduceOp):
        return _over_lanes_only(user)
    if isinstance(user, MatmulOp):
        return user.a == value and user.b != value
    return isinstance(user, (OutputOp, *ELEMENTWISE))


def _over_lanes_only(op: ReduceOp) -> bool:
    return tuple(op.axes.get_values()) == (len(tensor_of(op.x).shape) - 1,)
