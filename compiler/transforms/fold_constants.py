"""`fold-constants`: what depends only on constants and parameters is computed now.

Needs any graph program; leaves one in which an operation whose operands are all known is left only if its result would be
too large, is a mere broadcast, or depends on a chip that is not there. Values come from the reference evaluation, so every
bit stays. Small results become constants, others parameters in the weight store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint

from compiler.context import chip_of, weights_of
from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.reference.evaluate import DEPENDS_ON_CHIP, RULES, evaluate_operation
from compiler.transforms.emitter import Emitter, erase_dead, replace
from compiler.weights import WeightStore
from isa.chip import Chip, load_chip
from isa.spec import BYTES

Array = NDArray[np.generic]

FOLDED = "folded."
"""Names of parameters made here start so, and go on with the digest."""


def known_operations(
    operations: Sequence[Operation], weights: WeightStore, chip: Chip | None, max_bytes: int
) -> list[Operation]:
    """Operations whose value can be computed now, in order: constants, parameters at hand, and what follows from them."""
    known: dict[Operation, None] = {}
    for op in operations:
        if isinstance(op, graph.ConstantOp) or (isinstance(op, graph.ParamOp) and op.digest.data in weights):
            known[op] = None
        elif isinstance(op, graph.GraphOp) and type(op) in RULES:
            small = op.tensor.elements * BYTES[op.tensor.type] <= max_bytes
            decided = chip is not None or not isinstance(op, DEPENDS_ON_CHIP)
            if small and decided and all(operand.owner in known for operand in op.operands):
                known[op] = None
    return list(known)


class _Values:
    """Values of known operations, computed when asked for."""

    def __init__(self, weights: WeightStore, chip: Chip) -> None:
        self.weights, self.chip = weights, chip
        self.computed: dict[SSAValue, Array] = {}

    def of(self, value: SSAValue) -> Array:
        if value not in self.computed:
            op = value.owner
            assert isinstance(op, Operation)
            if isinstance(op, graph.ConstantOp):
                array = op.array
            elif isinstance(op, graph.ParamOp):
                array = self.weights.get(op.digest.data)
            else:
                array = evaluate_operation(op, [self.of(operand) for operand in op.operands], self.chip)
            self.computed[value] = array
        return self.computed[value]


@dataclass(frozen=True)
class FoldConstantsPass(ModulePass):
    """Operations on constants and parameters → their values."""

    name = "fold-constants"

    constant_bytes: int = 1 << 16
    """Results up to this size become constants in the IR, larger ones parameters."""

    max_bytes: int = 1 << 28
    """Larger results are not computed."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        weights, chip = weights_of(ctx), chip_of(ctx)
        operations = list(main_block(op).ops)
        known = known_operations(operations, weights, chip, self.max_bytes)
        inside = set(known)
        # Operations that depend on a chip are not known without one, so the preset stands for any chip here.
        values = _Values(weights, chip or load_chip("tiny"))
        made: dict[str, SSAValue] = {
            o.digest.data: o.result for o in operations if isinstance(o, graph.ParamOp) and o.label.startswith(FOLDED)
        }
        for folded in known:
            users = [use.operation for use in folded.results[0].uses]
            wanted = any(user not in inside or isinstance(user, graph.BroadcastOp) for user in users)
            if not wanted or isinstance(folded, graph.ConstantOp | graph.ParamOp | graph.BroadcastOp):
                continue
            array = values.of(folded.results[0])
            value = self._materialise(folded, array, weights, made)
            values.computed[value] = array
            owner = value.owner
            assert isinstance(owner, Operation)
            inside.add(owner)
            replace(folded, value)
        erase_dead([o for o in main_block(op).ops if o in inside], (graph.GraphOp, graph.ConstantOp))

    def _materialise(self, op: Operation, array: Array, weights: WeightStore, made: dict[str, SSAValue]) -> SSAValue:
        if array.nbytes <= self.constant_bytes:
            return Emitter.before(op).add(graph.ConstantOp(array))
        digest = weights.add(array)
        if digest not in made:
            block = op.parent
            assert block is not None
            # At the start of the block: a later operation with the same value uses the same parameter.
            emit = Emitter(op, InsertPoint.at_start(block))
            made[digest] = emit.tensor(array, FOLDED + digest[:16], weights, self.constant_bytes)
        return made[digest]
