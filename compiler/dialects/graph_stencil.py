"""Graph operations on packed images: they appear when `pack-images` has chosen packings, and speak of lanes of one chip."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, LocationAttr, TensorType, i64
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from compiler.dialects.graph_base import GraphOp, indices
from compiler.dialects.graph_shapes import MATMUL_TYPES, Tensor
from compiler.dialects.graph_types import tensor_of
from compiler.layout.stencil import Block, Stencil
from isa.errors import ModelFault
from isa.packing import Packing

_BLOCK_NUMBERS = 9


@irdl_op_definition
class PackOp(GraphOp):
    """An image as the matrix that the packing says, by the host: its operand is an input, and the last three numbers are its
    axes H, W and C. `lanes` are the chip's.

    `%r = graph.pack %x by [2, 2, 3, 2, 0, 0, 1, 1, 0, 0, 1, 2] lanes 8 : tensor<2x6x2xi8> -> tensor<2x2x6xi8>`
    """

    name = "graph.pack"
    x = operand_def(TensorType)
    numbers = prop_def(DenseArrayBase.constr(i64))
    lanes = prop_def(IntegerAttr.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `by` $numbers `lanes` $lanes attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, packing: Packing, lanes: int, *, location: LocationAttr | None = None):
        properties = {"numbers": indices(packing.numbers), "lanes": IntegerAttr(lanes, i64)}
        self.construct(lambda: Tensor(tensor_of(x).type, packing.shape(lanes)), [x], properties, location)

    @property
    def packing(self) -> Packing:
        return Packing.of(tensor_of(self.x).shape, self.numbers.get_values())

    def inferred(self) -> Tensor:
        x, lanes = tensor_of(self.x), self.lanes.value.data
        if len(self.numbers.get_values()) != len(Packing((1, 1, 1), 1, 1, 1, 1).numbers):
            raise ModelFault(f"pack: {x} by {list(self.numbers.get_values())} is no image with a packing")
        if problem := self.packing.problem(x.shape, lanes):
            raise ModelFault(f"pack: {problem}")
        return Tensor(x.type, self.packing.shape(lanes))


@irdl_op_definition
class StencilOp(GraphOp):
    """A convolution between packed images. w [blocks, K, N] holds a matrix for each block, and `blocks` nine numbers for each:
    source tile, target tile, offset, row phase, phase, y0, y1, q0, q1. For y0 ≤ y < y1 and q0 ≤ q < q1 row `offset` + y·row
    step + q·group step of the source tile (where there is one), times the matrix, is added to the target tile of result
    [y·row phases + row phase, q·phases + phase], in the order of the blocks.

    `%r = graph.stencil %x, %w blocks […] phases [1, 1] steps [12, 1] lanes 320 : (…) -> tensor<56x12x320xi32>`
    """

    name = "graph.stencil"
    x = operand_def(TensorType)
    w = operand_def(TensorType)
    blocks = prop_def(DenseArrayBase.constr(i64))
    phases = prop_def(DenseArrayBase.constr(i64))
    steps = prop_def(DenseArrayBase.constr(i64))
    lanes = prop_def(IntegerAttr.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $w `blocks` $blocks `phases` $phases `steps` $steps `lanes` $lanes attr-dict `:` "
        "functional-type(operands, results)"
    )

    def __init__(
        self, x: SSAValue, w: SSAValue, how: Stencil, columns: int, lanes: int, *, location: LocationAttr | None = None
    ):
        flat = [n for b in how.blocks for n in (b.source, b.target, b.offset, *b.phase, *b.y, *b.q)]
        properties = {
            "blocks": indices(flat), "phases": indices(how.phases), "steps": indices((how.row_step, how.group_step)),
            "lanes": IntegerAttr(lanes, i64),
        }  # fmt: skip
        kind = MATMUL_TYPES[tensor_of(x).type, tensor_of(w).type]
        self.construct(lambda: Tensor(kind, (how.rows, how.groups, columns)), [x, w], properties, location)

    @property
    def block_list(self) -> list[Block]:
        flat: Sequence[int] = self.blocks.get_values()
        rows = [flat[i : i + _BLOCK_NUMBERS] for i in range(0, len(flat), _BLOCK_NUMBERS)]
        return [Block(s, t, offset, (r, g), (y0, y1), (q0, q1)) for s, t, offset, r, g, y0, y1, q0, q1 in rows]

    @property
    def phase_counts(self) -> tuple[int, int]:
        """Phases along rows and along groups of the result."""
        rows, groups = self.phases.get_values()
        return rows, groups

    def inferred(self) -> Tensor:
        x, w, result = tensor_of(self.x), tensor_of(self.w), self.tensor
        kind = MATMUL_TYPES.get((x.type, w.type))
        if kind is None or len(x.shape) != 3 or len(w.shape) != 3 or len(result.shape) != 3:
            raise ModelFault(f"stencil: no product of {x} and {w}")
        if len(self.blocks.get_values()) != w.shape[0] * _BLOCK_NUMBERS or len(self.steps.get_values()) != 2:
            raise ModelFault(f"stencil: {w.shape[0]} matrices for {len(self.blocks.get_values())} numbers of blocks")
        if len(self.phases.get_values()) != 2:
            raise ModelFault(f"stencil: phases {list(self.phases.get_values())} are not those of rows and of groups")
        lanes, phases = self.lanes.value.data, self.phase_counts
        tiles, targets = -(-x.shape[2] // lanes), -(-result.shape[2] // lanes)
        for b in self.block_list:
            inside = 0 <= b.source < tiles and 0 <= b.target < targets
            for axis, (begin, end) in enumerate((b.y, b.q)):
                last = (end - 1) * phases[axis] + b.phase[axis]
                inside &= 0 <= b.phase[axis] < phases[axis] and 0 <= begin < end and last < result.shape[axis]
            if not inside:
                raise ModelFault(f"stencil: block {b} is not in the operands and the result")
        return Tensor(kind, result.shape)
