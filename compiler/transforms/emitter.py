"""Insert graph operations next to an existing one, with its source place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from compiler.dialects import graph
from compiler.dialects.graph_types import kind_of, tensor_of
from compiler.weights import WeightStore
from isa.spec import ElementType


@dataclass(frozen=True)
class Emitter:
    """Puts each new operation at `point`, in the order of the calls, with the location of `origin`."""

    origin: Operation
    point: InsertPoint

    @staticmethod
    def before(op: Operation) -> Emitter:
        return Emitter(op, InsertPoint.before(op))

    @staticmethod
    def after(op: Operation) -> Emitter:
        return Emitter(op, InsertPoint.after(op))

    def add(self, op: Operation) -> SSAValue:
        """Insert a new operation; its result."""
        op.location = self.origin.location
        Rewriter.insert_op(op, self.point)
        return op.results[0]

    def unary(self, fn: str, x: SSAValue) -> SSAValue:
        return self.add(graph.UnaryOp(fn, x))

    def binary(self, fn: str, a: SSAValue, b: SSAValue) -> SSAValue:
        return self.add(graph.BinaryOp(fn, a, b))

    def cast(self, x: SSAValue, to: ElementType) -> SSAValue:
        """x itself if it has the type."""
        return x if tensor_of(x).type == to else self.add(graph.CastOp(x, to))

    def f32(self, value: float | np.generic) -> SSAValue:
        """A scalar constant."""
        return self.add(graph.ConstantOp(np.asarray(value, np.float32)))

    def reduce(self, fn: str, x: SSAValue, axes: Sequence[int], keepdims: bool = True) -> SSAValue:
        return self.add(graph.ReduceOp(fn, x, axes, keepdims))

    def tensor(self, array: NDArray[np.generic], name: str, weights: WeightStore, constant_bytes: int) -> SSAValue:
        """A constant up to `constant_bytes`, a parameter of this name above."""
        if array.nbytes <= constant_bytes:
            return self.add(graph.ConstantOp(array))
        tensor = graph.Tensor(kind_of(array), array.shape)
        return self.add(graph.ParamOp(name, weights.add(array), tensor))


def replace(op: Operation, value: SSAValue) -> None:
    """Use `value` wherever the one result of `op` is used, and erase `op`."""
    Rewriter.replace_op(op, [], [value])


def erase_dead(operations: Sequence[Operation], removable: tuple[type[Operation], ...]) -> bool:
    """Erase, last to first, those of the given types whose results nobody uses. True if any was."""
    changed = False
    for op in reversed(operations):
        if isinstance(op, removable) and not any(result.uses for result in op.results):
            Rewriter.erase_op(op)
            changed = True
    return changed
