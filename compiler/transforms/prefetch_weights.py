"""`prefetch-weights`: part of the weights comes from RRAM to SRAM before it is loaded, where a program would wait for loads.

Needs an unplaced flow program, its chip and the bytes of the weights; leaves weights in two parts, trips that bring one of
them near, and loads that read both (`compiler.scheduling.prefetch`). Weights whose bytes are not there stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from compiler.context import beside_of, require_chip_of, weights_of
from compiler.dialects.flow_reader import flow_of, program_in
from compiler.dialects.flow_writer import program_of
from compiler.scheduling.chip_fit import require_chip
from compiler.scheduling.prefetch import prefetched
from compiler.scheduling.shared_memory import residents_of


@dataclass(frozen=True)
class PrefetchWeightsPass(ModulePass):
    """Weights of products of few rows come from RRAM and SRAM at once."""

    name = "prefetch-weights"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip = require_chip_of(ctx, self.name)
        if chip.rram is None:
            return
        program = program_in(op, self.name)
        flow = flow_of(program)
        require_chip(flow, chip)
        beside = beside_of(ctx)
        found = prefetched(flow, chip, weights_of(ctx), residents_of(beside) if beside else None)
        if found is flow:
            return
        op.body.block.insert_op_before(program_of(found, chip.lanes), program)
        op.body.block.erase_op(program)
