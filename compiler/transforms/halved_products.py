"""a · state as a[:, :h] · state[:h] + a[:, h:] · state[h:] where the two parts of a long state lie on different sides of the
chip (`long_states`): each part is a sum of its own. This changes the order of adding, so `set-precision` calls it."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.long_states import border_of_state
from compiler.transforms.emitter import Emitter, replace
from isa.chip import Chip


def halve_products(module: ModuleOp, chip: Chip) -> None:
    """Every product of floats that adds up over the rows of a long state."""
    for op in list(main_block(module).ops):
        if not isinstance(op, graph.MatmulOp) or op.transpose_b is not None or len(tensor_of(op.b).shape) != 2:
            continue
        border = border_of_state(op.b, chip)
        if border and tensor_of(op.a).type == "f16":
            emit = Emitter.before(op)
            first, second = (
                emit.add(graph.MatmulOp(_part(emit, op.a, -1, low, high), _part(emit, op.b, 0, low, high)))
                for low, high in ((0, border), (border, tensor_of(op.b).shape[0]))
            )
            replace(op, emit.binary("add", first, second))


def _part(emit: Emitter, value: SSAValue, axis: int, low: int, high: int) -> SSAValue:
    shape = list(tensor_of(value).shape)
    offsets = [0] * len(shape)
    offsets[axis], shape[axis] = low, high - low
    return emit.add(graph.SliceOp(value, offsets, shape))
