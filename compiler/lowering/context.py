"""What lowering knows while it walks the graph: the flow under construction, the view of every value, the constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation, SSAValue

from compiler.dialects.graph import ConstantOp, OutputOp, ParamOp, Tensor
from compiler.dialects.graph_types import source_place, tensor_of
from compiler.lowering.views import View, row_strides, view_of
from compiler.lowering.weight_room import WeightRoom
from compiler.scheduling.prefetch import direct_part, rows_near
from compiler.scheduling.shared_memory import Residents, shared_places
from compiler.scheduling.trip import Buffer, Flow, Role, Trip, Write
from compiler.weights import WeightStore
from isa.chip import Chip, Side
from isa.errors import ModelFault
from isa.layout import NUMPY_TYPES
from isa.spec import BYTES, TYPES, ElementType


@dataclass(frozen=True, slots=True)
class Inside:
    """A value that is made where it will be wanted: as windows of a wider tensor, into which its only user rearranges it."""

    wider: SSAValue
    shape: tuple[int, ...]
    """The wider tensor before its windows were joined, and the order of leading axes that gives the value's own."""
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RowsOf:
    """A value that is made where it will be wanted: as rows of what its only user concatenates, from this one on."""

    longer: SSAValue
    first: int


@dataclass(frozen=True, slots=True)
class Parts:
    """A fold over lanes, tile by tile: the value is their sum, maximum or minimum in this order.

    `function` is add, max or min.
    """

    function: str
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class Hint:
    """How a value's consumers want it in memory."""

    segments: tuple[int, ...] = (0,)
    segment_sides: tuple[Side, ...] = ()
    tile_sides: tuple[Side, ...] = ()
    stripes: int = 1
    inside: Inside | None = None
    rows_of: RowsOf | None = None
    beside: tuple[Hint, ...] = ()
    """Copies that would help, so that several planes may read one segment at once, or loads of weights another layout."""


@dataclass(slots=True)
class Lowering:
    """State of one lowering. `views` has an entry for every graph value already lowered."""

    chip: Chip
    weights: WeightStore
    residents: Residents | None = None
    flow: Flow = field(default_factory=Flow)
    views: dict[SSAValue, View] = field(default_factory=dict[SSAValue, View])
    hints: dict[SSAValue, Hint] = field(default_factory=dict[SSAValue, Hint])
    constants: dict[str, View] = field(default_factory=dict[str, View])
    copy_out: Callable[[Lowering, View, View], None] | None = None
    """Copies windows to a plain view (`boxes.copy_windows`)."""
    join_parts: Callable[[Lowering, Parts, View], None] | None = None
    """Joins the parts of a fold (`lane_tree.join_parts`)."""
    parts: dict[SSAValue, Parts] = field(default_factory=dict[SSAValue, "Parts"])
    """Folds over lanes of which only the parts by tile are there so far: who reads them may join them on the way."""
    turns: dict[int, int] = field(default_factory=dict[int, int])
    """How often each plane group was given a tile of weights; by the first group of those on a side."""
    held: dict[int, tuple[tuple[str, str, int, int], int]] = field(
        default_factory=dict[int, "tuple[tuple[str, str, int, int], int]"]
    )
    """Of each plane the (mode, buffer, tile, rows) that a product has loaded last, and the number of trips at that time."""
    entries: dict[int, int] = field(default_factory=dict[int, int])
    """Of each plane the accumulator entry behind those used since its last swap."""
    next_side: int = 0
    """Side of the next constant weights, as an index of `mxm_sides`."""
    names: dict[str, int] = field(default_factory=dict[str, int])
    row_numbers: dict[tuple[SSAValue, Side], View] = field(default_factory=dict[tuple[SSAValue, Side], View])
    """Indices of gathers and scatters, one a row, on a side."""
    scatter_words: dict[tuple[str | int, ...], View] = field(default_factory=dict[tuple[str | int, ...], View])
    """What scatters have worked out from them: see `compiler.lowering.scatter`."""
    scratch: dict[str, Buffer] = field(default_factory=dict[str, Buffer])
    """Memory that folds by blocks use in turns."""
    folds_made: int = 0
    """Lots of rows folded by blocks so far."""
    depthwise_turns: int = 0
    """Depthwise convolutions on the vector unit so far: sides take turns."""
    lane_turns: int = 0
    """How often the lane units were asked to take turns."""
    copies: dict[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    """Buffers whose rows are written into further ones, too, by the same trips."""
    scattered: set[str] = field(default_factory=set[str])
    """Buffers that scatters write to."""
    origin: str = ""
    room: WeightRoom = field(init=False)

    def __post_init__(self) -> None:
        self.room = WeightRoom(self.chip, self.residents)

    def trip(self) -> Trip:
        """A new trip at the end of the program."""
        trip = Trip(self.origin)
        self.flow.trips.append(trip)
        return trip

    def add(self, buffer: Buffer) -> Buffer:
        """Enter a buffer under a name of its own.

        What the host knows keeps its name. Everything else, further copies of a parameter among it, gets a name that no
        source can write: it begins with %.
        """
        if buffer.role == "param" and buffer.name in self.flow.buffers:
            buffer.role = "constant"
        if buffer.role in ("constant", "temporary"):
            count = self.names.get(buffer.name, -1) + 1
            self.names[buffer.name] = count
            buffer.name = f"%{buffer.name}.{count}" if count else f"%{buffer.name}"
        if buffer.name in self.flow.buffers:
            raise ModelFault(f"two tensors of the program's interface are named '{buffer.name}'")
        self.flow.buffers[buffer.name] = buffer
        return buffer

    def buffer(self, name: str, tensor: Tensor, role: Role, hint: Hint | None = None, digest: str = "") -> Buffer:
        """A new buffer in SRAM."""
        hint = hint or Hint()
        if hint.segments == (0,):
            hint = replace(hint, segments=self.borders(prod(tensor.shape[:-1]), hint.stripes))
        buffer = Buffer(name, tensor.shape, tensor.type, role, "sram", self.chip.lanes, hint.stripes, hint.segments, digest)
        for segment, side in enumerate(hint.segment_sides):
            for tile in range(buffer.tiles):
                buffer.sides[segment, tile] = side
        for tile, side in enumerate(hint.tile_sides):
            for segment in range(len(buffer.segments)):
                buffer.sides[segment, tile] = side
        return self.add(buffer)

    def borders(self, rows: int, stripes: int) -> tuple[int, ...]:
        """First rows of the fewest equal segments that leave room for others in a slice: a column takes at most half of it."""
        count = max(1, -(-rows // (stripes * max(1, self.chip.sram.words // 2))))
        return tuple(dict.fromkeys(rows * i // count for i in range(count)))

    def result(self, value: SSAValue) -> View:
        """The view that a graph value will be written to: an output's own buffer where the value goes out."""
        outputs = [u.operation for u in value.uses if isinstance(u.operation, OutputOp)]
        tensor, hint = tensor_of(value), self.hints.get(value)
        if hint and hint.inside and not self.made(value):
            self.views[value] = self._windows_of(hint.inside)
            return self.views[value]
        if hint and hint.rows_of and not self.made(value):
            longer = self.views.get(hint.rows_of.longer) or self.result(hint.rows_of.longer)
            rows = View(longer.buffer, tensor.shape[:-1], row_strides(tensor.shape[:-1]), hint.rows_of.first, longer.columns)
            self.views[value] = rows
            return rows
        if outputs:
            buffer = self.buffer(outputs[0].label, tensor, "output", hint)
        else:
            buffer = self.buffer("t", tensor, "temporary", hint)
        self.views[value] = view_of(buffer)
        return self.views[value]

    def copy_beside(self, value: SSAValue, view: View) -> None:
        """Further buffers for a value that is wanted several times; who writes `view`, all of one buffer, writes all."""
        hint, buffer = self.hints.get(value), self.flow.buffers[view.buffer]
        if hint and hint.beside and buffer.role == "temporary" and view == view_of(buffer):
            tensor = tensor_of(value)
            self.copies[buffer.name] = tuple(self.buffer("t", tensor, "temporary", other).name for other in hint.beside)

    def write_copies(self, trip: Trip) -> None:
        """What a trip writes to a buffer with copies goes into the copies, too."""
        written = [node for node in trip.nodes if isinstance(node, Write) and node.buffer in self.copies]
        trip.nodes += [replace(node, buffer=copy) for node in written for copy in self.copies[node.buffer]]

    def copies_alike(self, name: str) -> list[str]:
        """A buffer and those of its copies that lie as it does."""
        layout = self.flow.buffers[name].stripes, self.flow.buffers[name].segments
        others = [self.flow.buffers[copy] for copy in self.copies.get(name, ())]
        return [name, *(b.name for b in others if (b.stripes, b.segments) == layout)]

    def striped(self, view: View) -> View:
        """The view, of a copy that lies in more stripes where there is one: loads of weights take a row from each at once."""
        most = max((view.buffer, *self.copies.get(view.buffer, ())), key=lambda name: self.flow.buffers[name].stripes)
        return replace(view, buffer=most)

    def made(self, value: SSAValue) -> bool:
        """Whether the value has been lowered, if only as windows."""
        return value in self.views

    def _windows_of(self, inside: Inside) -> View:
        """A new buffer for the wider tensor, seen as the value that is made in its windows."""
        wider = tensor_of(inside.wider)
        buffer = self.buffer("t", wider, "temporary", self.hints.get(inside.wider))
        view = view_of(buffer).windowed(inside.shape[:-1], inside.shape[-1], self.chip.lanes)
        assert view is not None
        return view.permuted(inside.order)

    def temporary(self, kind: ElementType, shape: tuple[int, ...], stripes: int = 1, like: View | None = None) -> View:
        """A buffer for a value between trips, with its rows in the segments of `like` where that has as many rows."""
        hint = Hint(stripes=stripes)
        if like is not None and like.dense and like.rows == self.flow.buffers[like.buffer].rows:
            other = self.flow.buffers[like.buffer]
            hint = Hint(other.segments) if other.stripes == 1 and prod(shape[:-1]) == like.rows else hint
        return view_of(self.buffer("t", Tensor(kind, shape), "temporary", hint))

    def constant(self, array: NDArray[np.generic], stem: str, role: Role = "constant", hint: Hint | None = None) -> View:
        """A constant in SRAM, in rows; equal constants are kept once."""
        digest = self.weights.add(array)
        if digest not in self.constants:
            kind = element_type(array)
            self.constants[digest] = view_of(self.buffer(stem, Tensor(kind, array.shape), role, hint, digest))
        return self.constants[digest]

    def stationary(
        self, array: NDArray[np.generic], stem: str, depth: int, role: Role = "constant", *, by_blocks: bool = False
    ) -> Buffer:
        """Weights for the MXM, in RRAM where there is any: striped for loading, tile columns alternating between the sides, or
        `by_blocks` of one load. What comes next goes on with the other side.

        `array` is [batch…, K, N], its segments are the blocks of at most `depth` rows that one load takes: placement lays
        them in the order of the loads, so that the banks keep rotating from one load to the next. Equal arrays are kept once.
        """
        digest = self.weights.add(array)
        key = f"stationary {depth} {by_blocks} {digest}"
        if key in self.constants:
            return self.flow.buffers[self.constants[key].buffer]
        kind = element_type(array)
        memory = "rram" if self.chip.rram else "sram"
        stripes = weight_rows_per_cycle(self.chip, memory, kind)
        inner = array.shape[-2]
        blocks = tuple(b + k for b in range(0, array.size // array.shape[-1], inner) for k in range(0, inner, depth))
        buffer = Buffer(stem, array.shape, kind, role, memory, self.chip.lanes, stripes, blocks, digest)
        self.move_in(buffer)
        sides: list[Side] = [s for s in mxm_sides(self.chip) if len(self.chip.slices(memory, s)) >= stripes * buffer.bytes]
        places = [(segment, tile) for segment in range(len(blocks)) for tile in range(buffer.tiles)]
        for segment, tile in places if sides and not buffer.sides else ():
            side = sides[(self.next_side + tile + (segment if by_blocks else 0)) % len(sides)]
            buffer.sides[segment, tile] = self.room.side_for(buffer, segment, side, sides) if memory == "rram" else side
        self.next_side += buffer.tiles
        self.add(buffer)
        self.constants[key] = view_of(buffer)
        return buffer

    def move_in(self, buffer: Buffer) -> None:
        """The sides of a parameter or state that another program of the device has already, if in parts."""
        near = rows_near(buffer, self.chip)
        places = shared_places(buffer, self.residents)
        if places is None and near:
            places = shared_places(direct_part(buffer, near), self.residents)
        for (segment, _, tile, _), place in (places or {}).items():
            buffer.sides[segment, tile] = self.chip.units[place.unit].side or "w"

    def near_stationary(self, matrices: Sequence[NDArray[np.generic]], side: Side) -> Buffer:
        """Weights for the planes of one side, in memory of that side: matrices [K, N], a segment each, in the order of their
        loads."""
        array = np.concatenate(matrices)
        borders = tuple(np.cumsum([0, *(len(m) for m in matrices[:-1])]).tolist())
        digest = self.weights.add(array)
        key = f"near {side} {borders} {digest}"
        if key in self.constants:
            return self.flow.buffers[self.constants[key].buffer]
        kind = element_type(array)
        memory = "rram" if self.chip.rram else "sram"
        stripes = weight_rows_per_cycle(self.chip, memory, kind)
        buffer = Buffer("w", array.shape, kind, "constant", memory, self.chip.lanes, stripes, borders, digest)
        if len(self.chip.slices(memory, side)) >= stripes * buffer.bytes:
            buffer.sides |= {(segment, 0): side for segment in range(len(borders))}
        self.add(buffer)
        self.constants[key] = view_of(buffer)
        return buffer

    def constant_for_sides(self, row: NDArray[np.generic], sides: Sequence[Side]) -> View:
        """A row of constants on each of these sides, in their order."""
        digest = self.weights.add(np.tile(row, (len(sides), 1)))
        key = f"sides {''.join(sides)} {digest}"
        if key not in self.constants:
            tensor = Tensor(element_type(row), (len(sides), len(row)))
            hint = Hint(tuple(range(len(sides))), tuple(sides))
            self.constants[key] = view_of(self.buffer("c", tensor, "constant", hint, digest))
        return self.constants[key]

    def array_of(self, value: SSAValue) -> NDArray[np.generic] | None:
        """The elements of a parameter or constant, or None."""
        owner = value.owner
        if isinstance(owner, ConstantOp):
            return owner.array
        if isinstance(owner, ParamOp):
            return self.weights.get(owner.digest.data)
        return None

    def view(self, value: SSAValue) -> View:
        """Rows of a value in memory, each from lane 0 on: windows are copied out when first asked for here."""
        view = self.window(value)
        if view.plain:
            return view
        assert self.copy_out is not None
        target = self.result(value)
        self.copy_out(self, view, target)
        return target

    def window(self, value: SSAValue) -> View:
        """Rows of a value, which may be windows. Parameters and constants get their SRAM copy when first asked for."""
        if value not in self.views and value in self.parts:
            assert self.join_parts is not None
            self.join_parts(self, self.parts[value], self.result(value))
        if value not in self.views:
            array = self.array_of(value)
            assert array is not None
            owner = value.owner
            stem, role = (owner.label, "param") if isinstance(owner, ParamOp) else ("c", "constant")
            self.views[value] = self.constant(np.ascontiguousarray(array), stem, role, self.hints.get(value))
        return self.views[value]


def describe(op: Operation) -> str:
    """`file:line:col: operation` for the source map."""
    place = source_place(op.location)
    what = op.name.removeprefix("graph.")
    fn = getattr(op, "fn", None)
    what = f"{what} {fn.data}" if fn is not None else what
    return f"{place}: {what}" if place else what


def element_type(array: NDArray[np.generic]) -> ElementType:
    """The element type that an array's NumPy type stands for."""
    return next(k for k in TYPES if array.dtype == NUMPY_TYPES[k])


def mxm_mode(a: SSAValue, w: SSAValue) -> str:
    """MXM mode for activations and weights of these types (f32 is decomposed before)."""
    return {("i8", "i8"): "i8", ("f16", "f16"): "f16", ("f16", "i8"): "i8f16"}[tensor_of(a).type, tensor_of(w).type]


def mxm_sides(chip: Chip) -> list[Side]:
    """Sides that have matrix planes, west first."""
    return [s for s in ("w", "e") if any(p.side == s for p in chip.planes)]


def weight_rows_per_cycle(chip: Chip, memory: str, kind: ElementType) -> int:
    """Rows of weights that a load takes each cycle: one slice for each byte stream, within the load streams of a side."""
    slices = max(len(chip.slices(memory, side)) for side in ("w", "e"))
    if memory == "sram" and chip.rram:
        slices //= 2
    return max(1, min(chip.mxm.load_streams, slices) // BYTES[kind])
