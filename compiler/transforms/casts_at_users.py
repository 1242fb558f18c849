"""`casts-at-users`: what reading widens for nothing stays narrow in memory.

Needs any graph program; leaves one in which an exact conversion to f32 or i32 stands before each elementwise operation that
reads it, a copy for each: the vector unit widens operands as they enter, so the copies cost nothing, and trips read half or a
quarter of the byte columns. Common subexpressions would undo it.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.lowering.fusion import converts_by_reading
from compiler.transforms.emitter import Emitter, erase_dead


@dataclass(frozen=True)
class CastsAtUsersPass(ModulePass):
    """Exact conversions next to their users."""

    name = "casts-at-users"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        block = main_block(op)
        for cast in [inner for inner in block.ops if isinstance(inner, graph.CastOp)]:
            users = list(dict.fromkeys(use.operation for use in cast.result.uses))
            for user in users if len(users) > 1 else ():
                if converts_by_reading(cast, user):
                    copy = Emitter.before(user).cast(cast.x, cast.tensor.type)
                    for i, operand in enumerate(user.operands):
                        if operand is cast.result:
                            user.operands[i] = copy
        erase_dead(list(block.ops), (graph.CastOp,))
