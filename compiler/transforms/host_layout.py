"""What the host can do for images: an input that the program only reads with its axes in another order is packed in that order.

Inputs of ONNX models are [1, C, H, W]; images here are [H, W, C].
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.ir import Block, Operation, SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_types import tensor_of
from compiler.transforms.emitter import Emitter, replace
from isa.chip import Chip
from isa.packing import Packing
from isa.spec import BYTES, ElementType

MOVES = (graph.ReshapeOp, graph.TransposeOp)
CONVERSIONS = (graph.QuantizeOp, graph.CastOp)
IMAGE_AXES = 3


@dataclass(frozen=True, slots=True)
class HostView:
    """An image as the axes H, W, C of an input whose other axes have size 1."""

    source: SSAValue
    axes: tuple[int, int, int]

    def packed(self, packing: Packing) -> Packing:
        """The packing of the image as one of the input."""
        return Packing.of(tensor_of(self.source).shape, (*packing.numbers[: -len(self.axes)], *self.axes))

    @property
    def moves_nothing(self) -> bool:
        return self.axes == (0, 1, 2) and len(tensor_of(self.source).shape) == IMAGE_AXES


def host_view(value: SSAValue) -> HostView | None:
    """An image as a view of an input that nothing else looks at, or None."""
    axes = _axes(value)
    if axes is None or len(axes) != IMAGE_AXES:
        return None
    source = value
    while isinstance(source.owner, MOVES):
        source = source.owner.x
    units = [a for a, size in enumerate(tensor_of(source).shape) if size == 1 and a not in axes]
    if axes.count(None) > len(units):
        return None
    known = [units.pop(0) if axis is None else axis for axis in axes]
    return HostView(source, (known[0], known[1], known[2]))


def _axes(value: SSAValue) -> list[int | None] | None:
    """The input's axis behind each axis of the value, None for those of size 1."""
    owner, shape = value.owner, tensor_of(value).shape
    if isinstance(owner, graph.InputOp):
        return [axis if size > 1 else None for axis, size in enumerate(shape)]
    if not isinstance(owner, MOVES) or len(list(owner.x.uses)) != 1:
        return None
    before = _axes(owner.x)
    if before is None:
        return None
    if isinstance(owner, graph.TransposeOp):
        return [before[axis] for axis in owner.permutation.get_values()]
    sizes = tensor_of(owner.x).shape
    if [size for size in sizes if size > 1] != [size for size in shape if size > 1]:
        return None
    real = iter([axis for axis in before if axis is not None])
    return [next(real) if size > 1 else None for size in shape]


ROOM = 8
"""An image of floats stays in the plain layout, where few channels waste most lanes: it may take an eighth of SRAM."""


def convert_after_moves(block: Block, chip: Chip) -> None:
    """Conversions of an input with one scale for all elements go behind what moves it to a convolution, so that the host can
    move it; not those of floats that would take too much room as the host gives them."""
    for op in list(block.ops):
        if isinstance(op, CONVERSIONS) and isinstance(op.x.owner, graph.InputOp) and _one_scale(op):
            moves = _moves_to_convolutions(op)
            if (
                moves
                and len(list(op.x.uses)) == 1
                and (op.tensor.type == "i8" or has_room(moves[-1].results[0], tensor_of(op.x).type, chip))
            ):
                _exchange(op, moves)


def has_room(image: SSAValue, kind: ElementType, chip: Chip) -> bool:
    """Whether the image may lie in the plain layout with elements of this type."""
    *sizes, channels = tensor_of(image).shape
    words = prod(sizes) * -(-channels // chip.lanes) * BYTES[kind]
    return words * ROOM <= len(chip.slices("sram")) * chip.sram.words


def _one_scale(op: graph.QuantizeOp | graph.CastOp) -> bool:
    return isinstance(op, graph.CastOp) or tensor_of(op.scale).shape in ((), (1,))


def _moves_to_convolutions(op: Operation) -> list[Operation]:
    """The movements of a conversion's result on its only way to convolutions as their image; none if it goes elsewhere."""
    moves: list[Operation] = []
    value = op.results[0]
    while len(uses := list(value.uses)) == 1 and isinstance(uses[0].operation, MOVES):
        moves.append(uses[0].operation)
        value = moves[-1].results[0]
    convolutions = all(isinstance(use.operation, graph.Conv2dOp) and use.index == 0 for use in uses)
    return moves if convolutions and moves else []


def _exchange(op: graph.QuantizeOp | graph.CastOp, moves: list[Operation]) -> None:
    last = moves[-1]
    emit = Emitter.after(last)
    value = op.x
    for move in moves:
        if isinstance(move, graph.ReshapeOp):
            moved: Operation = graph.ReshapeOp(value, move.tensor.shape)
        else:
            assert isinstance(move, graph.TransposeOp)
            moved = graph.TransposeOp(value, move.permutation.get_values())
        value = emit.add(moved)
    result = graph.QuantizeOp(value, op.scale) if isinstance(op, graph.QuantizeOp) else graph.CastOp(value, op.tensor.type)
    replace(last, emit.add(result))
    for move in reversed(moves[:-1]):
        move.detach()
        move.erase()
    op.detach()
    op.erase()
