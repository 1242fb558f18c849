"""`pack-images`: convolutions with known weights become stencils over packed images.

Needs a graph program and a chip; leaves convolutions and pools that `decompose` has to take apart, and for all others stencils,
with elementwise operations on the packed images between them. Which packing every image gets is chosen for the whole program
by cost. Every output keeps its bits: in the float modes, where the order of adding shows, images stay in the plain layout and
blocks in the order of the definition.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from compiler.context import chip_of, weights_of
from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import kind_of, tensor_of
from compiler.layout.stencil import Block, Stencil, reads_outside, stencil
from compiler.layout.window import Window
from compiler.transforms.choose_packings import POINT, choose_packings, leaves, on_vector_unit, packed_by_host, shifts
from compiler.transforms.emitter import Emitter
from compiler.transforms.host_layout import convert_after_moves, has_room, host_view
from compiler.transforms.packing_regions import KNOWN, Region, find_region
from compiler.weights import WeightStore
from isa.chip import Chip
from isa.packing import Packing, plain

Array = NDArray[Any]

CONSTANT_BYTES = 1 << 14
"""Larger arrays become parameters."""


@dataclass(frozen=True)
class PackImagesPass(ModulePass):
    """Convolutions → stencils over packed images."""

    name = "pack-images"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip = chip_of(ctx)
        if chip is None:
            return
        convert_after_moves(main_block(op), chip)
        region = find_region(main_block(op), chip)
        if not any(isinstance(o, graph.Conv2dOp) for o in region.operations):
            return
        _Packer(region, choose_packings(region, chip), chip, weights_of(ctx)).run()


@dataclass
class _Packer:
    """Rewrites the operations of a region one by one; `packed` has the packed image of every value so far."""

    region: Region
    packings: list[Packing]
    chip: Chip
    weights: WeightStore
    packed: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    arrays: dict[str, SSAValue] = field(default_factory=dict[str, SSAValue])
    zero_beside: set[SSAValue] = field(default_factory=set[SSAValue])
    """Packed images that are known to be zero beside the image."""

    def run(self) -> None:
        inside = set(self.region.operations)
        wants_zeros = self._wants_zeros()
        for op in self.region.operations:
            emit = Emitter.before(op)
            for value in op.operands:
                if value in self.region.classes and value not in self.packed:
                    self.packed[value] = self._enter(value, emit, inside, value in wants_zeros)
            if isinstance(op, graph.Conv2dOp):
                result = self._convolve(op, emit)
            elif isinstance(op, graph.MaxPool2dOp):
                result = self._pool(op, emit)
            else:
                result = self._elementwise(op, emit)
            value = op.results[0]
            self.packed[value] = self._zeroed(value, result, emit) if value in wants_zeros else result
            if leaves(value, inside):
                plain_value = self._change(value, self.packed[value], self.packing(value), self.plain(value), emit)
                value.replace_uses_with_if(plain_value, lambda use: use.operation not in inside)
        for op in reversed(self.region.operations):
            op.detach()
            op.erase()

    def packing(self, value: SSAValue) -> Packing:
        # Values of one class have one shape but for their types.
        return self.packings[self.region.classes[value]]

    def plain(self, value: SSAValue) -> Packing:
        return plain(self.packing(value).image, self.chip.lanes)

    def _wants_zeros(self) -> set[SSAValue]:
        """Images whose users count on zeros beside them."""
        found: set[SSAValue] = set()
        for op in self.region.operations:
            if isinstance(op, graph.Conv2dOp):
                windows = [op.window]
            elif isinstance(op, graph.MaxPool2dOp):
                windows = shifts(op)
            else:
                continue
            if any(reads_outside(w, self.packing(op.x), self.packing(op.result)) for w in windows):
                found.add(op.x)
        return found

    def _enter(self, value: SSAValue, emit: Emitter, inside: set[Operation], zeros: bool) -> SSAValue:
        """A value from outside, packed by the host or by the chip."""
        packing = self.packing(value)
        view = host_view(value) if packed_by_host(value, inside) else None
        if packing == self.plain(value) and (
            view is None or view.moves_nothing or not has_room(value, tensor_of(value).type, self.chip)
        ):
            return value
        if view is not None:
            packed = emit.add(graph.PackOp(view.source, view.packed(packing), self.chip.lanes))
            self.zero_beside.add(packed)
            return packed
        changed = self._change(value, value, self.plain(value), packing, emit)
        return self._zeroed(value, changed, emit) if zeros else changed

    def _change(self, value: SSAValue, image: SSAValue, source: Packing, target: Packing, emit: Emitter) -> SSAValue:
        """The same image in another packing: bytes times 0 and 1."""
        if source == target:
            return image
        channels = target.image[2]
        identity = np.ones((1, 1, 1, channels), np.int8)
        how = stencil(identity, POINT, channels, source, target, self.chip.lanes)
        return emit.cast(self._stencil(image, how, target, emit), "i8")

    def _stencil(self, image: SSAValue, how: Stencil, target: Packing, emit: Emitter) -> SSAValue:
        w = self._array(how.matrices, emit)
        return emit.add(graph.StencilOp(image, w, how, target.columns(self.chip.lanes), self.chip.lanes))

    def _array(self, array: Array, emit: Emitter) -> SSAValue:
        """A known array as a value."""
        if array.nbytes <= CONSTANT_BYTES:
            return emit.add(graph.ConstantOp(array))
        digest = self.weights.add(array)
        if digest not in self.arrays:
            self.arrays[digest] = emit.add(
                graph.ParamOp(f"packed.{digest[:16]}", digest, graph.Tensor(kind_of(array), array.shape))
            )
        return self.arrays[digest]

    def _known(self, value: SSAValue) -> Array:
        owner = value.owner
        assert isinstance(owner, KNOWN)
        return owner.array if isinstance(owner, graph.ConstantOp) else self.weights.get(owner.digest.data)

    def _zeroed(self, value: SSAValue, image: SSAValue, emit: Emitter) -> SSAValue:
        """The packed image with zeros beside the image."""
        packing = self.packing(value)
        if image in self.zero_beside:
            return image
        mask = packing.pack(np.ones(packing.image, np.int8), self.chip.lanes)
        used = plain_lanes(packing, self.chip.lanes)
        if mask[:, :, used].all():
            return image
        masked = emit.binary("mul", image, self._array(mask, emit))
        self.zero_beside.add(masked)
        return masked

    def _convolve(self, op: graph.Conv2dOp, emit: Emitter) -> SSAValue:
        source, target = self.packing(op.x), self.packing(op.result)
        if on_vector_unit(op, source, target, self.chip):
            kernel = self._array(np.ascontiguousarray(self._known(op.w)[:, :, 0]), emit)
            return emit.add(graph.DepthwiseOp(self.packed[op.x], kernel, op.window))
        how = stencil(self._known(op.w), op.window, op.groups.value.data, source, target, self.chip.lanes)
        return self._stencil(self.packed[op.x], how, target, emit)

    def _elementwise(self, op: Operation, emit: Emitter) -> SSAValue:
        packing = self.packing(op.results[0])
        operands = [self.packed[v] if v in self.region.classes else self._spread(v, packing, emit) for v in op.operands]
        result = self._applied(op, operands, emit)
        if _keeps_zero(op, [v in self.zero_beside for v in operands]):
            self.zero_beside.add(result)
        return result

    def _applied(self, op: Operation, operands: list[SSAValue], emit: Emitter) -> SSAValue:
        if isinstance(op, graph.UnaryOp):
            return emit.unary(op.fn.data, operands[0])
        if isinstance(op, graph.BinaryOp):
            return emit.binary(op.fn.data, operands[0], operands[1])
        if isinstance(op, graph.CastOp):
            return emit.add(graph.CastOp(operands[0], op.tensor.type))
        if isinstance(op, graph.WhereOp):
            return emit.add(graph.WhereOp(operands[0], operands[1], operands[2]))
        assert isinstance(op, graph.ScaledOp)
        return emit.add(type(op)(operands[0], operands[1]))

    def _spread(self, value: SSAValue, packing: Packing, emit: Emitter) -> SSAValue:
        """A known operand of a packed operation."""
        array, lanes = self._known(value), self.chip.lanes
        if packing == plain(packing.image, lanes) or array.size == 1:
            return value
        if array.shape == packing.image and array.size > packing.image[2]:
            return self._array(packing.pack(array, lanes), emit)
        return self._array(packing.spread(array.reshape(-1), lanes), emit)

    def _pool(self, op: graph.MaxPool2dOp, emit: Emitter) -> SSAValue:
        """For each kernel column the image's elements under it, for every row; the largest over columns, then over rows.

        Rows above and below the image repeat its first and last one, which every window that has them has too.
        """
        window, source, target = op.window, self.packing(op.x), self.packing(op.result)
        channels, lanes = target.image[2], self.chip.lanes
        rows = (target.image[0] - 1) * window.strides[0] + window.kernel[0]
        columns: SSAValue | None = None
        for shift in shifts(op):
            between = replace(target, image=(source.image[0], *target.image[1:]), rows=source.image[0])
            how = stencil(np.ones((1, 1, 1, channels), np.int8), shift, channels, source, between, lanes)
            how = _repeat_rows(how, window.pads[0], rows)
            image = emit.cast(self._stencil(self.packed[op.x], how, replace(between, rows=rows), emit), "i8")
            image = self._lowest_outside(op, shift, image, replace(between, rows=rows), emit)
            columns = image if columns is None else emit.binary("max", columns, image)
        assert columns is not None
        total: SSAValue | None = None
        for k in range(window.kernel[0]):
            sizes, strides = (target.rows, *tensor_of(columns).shape[1:]), (window.strides[0], 1, 1)
            part = emit.add(graph.SliceOp(columns, (k, 0, 0), sizes, strides))
            total = part if total is None else emit.binary("max", total, part)
        assert total is not None
        return total

    def _lowest_outside(
        self, op: graph.MaxPool2dOp, shift: Window, image: SSAValue, packing: Packing, emit: Emitter
    ) -> SSAValue:
        """Zeros beside the image as the lowest number there is; they may stay where nothing is below zero."""
        places = np.arange(packing.image[1]) * shift.strides[1] - shift.pads[1]
        outside = (places < 0) | (places >= op_width(op))
        if not outside.any() or _not_negative(op.x):
            return image
        low = np.zeros((packing.image[0], packing.image[1], packing.image[2]), np.int8)
        low[:, outside] = -128
        whole = replace(packing, image=(packing.rows, *packing.image[1:]))
        low = np.broadcast_to(low[:1], whole.image)
        return emit.binary("add", image, self._array(whole.pack(np.ascontiguousarray(low), self.chip.lanes), emit))


def _keeps_zero(op: Operation, zeros: list[bool]) -> bool:
    """Whether an elementwise operation makes zero of operands that are (other known operands are finite)."""
    if isinstance(op, graph.CastOp | graph.ScaledOp):
        return zeros[0]
    if isinstance(op, graph.UnaryOp):
        return zeros[0] and op.fn.data in ("relu", "neg", "abs")
    return isinstance(op, graph.BinaryOp) and op.fn.data in ("add", "sub", "max", "min") and all(zeros)


def op_width(op: graph.MaxPool2dOp) -> int:
    return tensor_of(op.x).shape[1]


def plain_lanes(packing: Packing, lanes: int) -> Array:
    """Columns of the packed matrix that hold channels."""
    return np.flatnonzero(packing.spread(np.ones(packing.image[2], np.int8), lanes))


def _not_negative(value: SSAValue) -> bool:
    """Whether a value is known to be at least zero."""
    owner = value.owner
    if isinstance(owner, graph.CastOp):
        return _not_negative(owner.x)
    if isinstance(owner, graph.UnaryOp):
        return owner.fn.data == "relu"
    if isinstance(owner, graph.BinaryOp) and owner.fn.data == "max":
        floors = [v.owner.array.astype(np.float64) for v in owner.operands if isinstance(v.owner, graph.ConstantOp)]
        return any(bool(np.all(floor >= 0)) for floor in floors)
    return False


def _repeat_rows(how: Stencil, above: int, rows: int) -> Stencil:
    """A stencil of one row's reach for an image with so many rows above it and `rows` in all: those outside repeat the edge."""
    blocks: list[Block] = []
    matrices: list[int] = []
    for number, block in enumerate(how.blocks):
        end = min(rows, above + how.rows)
        offset = block.offset - above * how.row_step
        blocks.append(replace(block, offset=offset, y=(above, end)))
        matrices.append(number)
        for row in [*range(above), *range(end, rows)]:
            inner = 0 if row < above else how.rows - 1
            blocks.append(replace(block, offset=block.offset + (inner - row) * how.row_step, y=(row, row + 1)))
            matrices.append(number)
    return replace(how, rows=rows, blocks=tuple(blocks), matrices=how.matrices[matrices])
