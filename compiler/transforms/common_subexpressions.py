"""`common-subexpressions`: what is computed twice is computed once.

Needs any graph program; leaves one in which no two pure operations have the same name, operands, attributes and type.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.traits import is_side_effect_free

from compiler.dialects.graph_program import main_block
from compiler.transforms.emitter import replace

Key = tuple[str, tuple[SSAValue, ...], tuple[tuple[str, Attribute], ...], tuple[Attribute, ...]]


def _key(op: Operation) -> Key:
    properties = tuple(sorted(op.properties.items(), key=lambda item: item[0]))
    return op.name, tuple(op.operands), properties, tuple(result.type for result in op.results)


@dataclass(frozen=True)
class CommonSubexpressionsPass(ModulePass):
    """Equal pure operations → the first of them."""

    name = "common-subexpressions"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        first: dict[Key, Operation] = {}
        for operation in list(main_block(op).ops):
            if not operation.results or not is_side_effect_free(operation):
                continue
            key = _key(operation)
            if key in first:
                replace(operation, first[key].results[0])
            else:
                first[key] = operation
