"""`set-precision`: choose how products of f32 tensors are computed. This pass decides bits; all later ones keep them.

Needs any graph program. Leaves no f32 product without a precision that has none of its own: those get `f32` or `f16`, or
with `i8f16` their parameter is quantised a channel (column of the product) at a time:
scale[n] = max |w[:, n]| / 127, q = rne(w / scale), x · w becomes (f16(x) · q) · scale. Where the model has quantised it
itself (dequantize of an i8 tensor), that tensor and its scales are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from compiler.context import weights_of
from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import source_place, tensor_of
from compiler.reference.evaluate import RULES
from compiler.transforms.emitter import Emitter, replace
from compiler.weights import WeightStore
from isa.chip import load_chip
from isa.errors import ModelFault

CHOICES = ("f32", "f16", "i8f16")
MOVES = (graph.ReshapeOp, graph.TransposeOp, graph.SliceOp, graph.ConcatOp, graph.BroadcastOp)
"""What may stand between a parameter and a product that quantises it."""

SCALE_CONSTANT_BYTES = 1 << 16
"""Scale rows up to this size are constants in the IR."""


def quantise_columns(w: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """f32 [K, N] → i8 [K, N] and f32 scales [N] with w nearly q · scale. A column of zeros has the scale 1."""
    largest = np.abs(w).max(axis=0)
    scale = np.where(largest > 0, largest / np.float32(127), np.float32(1)).astype(np.float32)
    with np.errstate(all="ignore"):
        return np.clip(np.rint(w / scale), -127, 127).astype(np.int8), scale


class _Quantiser:
    """Quantises each weight matrix once for each side that it is multiplied from.

    A matrix is a parameter, or what the program computes from parameters alone by moving their elements.
    """

    def __init__(self, weights: WeightStore, operations: list[Operation]) -> None:
        self.weights = weights
        self.known: dict[tuple[Operation, bool], tuple[SSAValue, SSAValue]] = {}
        self.names: dict[Operation, str] = {}
        for op in operations:
            if isinstance(op, graph.ParamOp):
                self.names[op] = op.label
            elif isinstance(op, MOVES) and all(o.owner in self.names for o in op.operands):
                self.names[op] = f"{self.names[cast(Operation, op.operands[0].owner)]}.{len(self.names)}"

    def given(self, product: graph.MatmulOp) -> tuple[SSAValue, NDArray[np.float32]] | None:
        """The i8 operand and its scale row, where the model itself has quantised it: one scale a column, or one for all."""
        op = product.b.owner
        if (
            not isinstance(op, graph.DequantizeOp)
            or tensor_of(op.x).type != "i8"
            or not isinstance(op.scale.owner, graph.ConstantOp)
        ):
            return None
        scale = op.scale.owner.array.astype(np.float32)
        shape = op.tensor.shape
        wide = scale.reshape((1,) * (len(shape) - scale.ndim) + scale.shape)
        axis = -1 if product.transpose_b is not None else -2
        if wide.shape[axis] != 1 or (len(shape) > 2 and wide.size != 1):
            return None
        return op.x, wide.reshape(-1) if wide.size > 1 else wide.reshape(())

    def is_weight(self, value: SSAValue) -> bool:
        return value.owner in self.names and len(tensor_of(value).shape) == 2

    def array(self, op: Operation) -> NDArray[Any]:
        if isinstance(op, graph.ParamOp):
            return self.weights.get(op.digest.data)
        operands = [self.array(o.owner) for o in op.operands if isinstance(o.owner, Operation)]
        return RULES[type(op)](op, operands, load_chip("tiny"))

    def quantised(self, matrix: Operation, transposed: bool) -> tuple[SSAValue, SSAValue]:
        """The i8 matrix and its scale row."""
        key = (matrix, transposed)
        if key not in self.known:
            w, name = self.array(matrix), self.names[matrix]
            if not np.isfinite(w.astype(np.float32)).all():
                raise ModelFault(f"parameter '{name}' is not finite and cannot be quantised", source_place(matrix.location))
            q, scale = quantise_columns(w.T if transposed else w)
            q = np.ascontiguousarray(q.T if transposed else q)
            emit, side = Emitter.after(matrix), ".rows" if transposed else ""
            value = emit.tensor(q, f"{name}.i8{side}", self.weights, 0)
            row = emit.tensor(scale, f"{name}.scale{side}", self.weights, SCALE_CONSTANT_BYTES)
            self.known[key] = (value, row)
        return self.known[key]


@dataclass(frozen=True)
class SetPrecisionPass(ModulePass):
    """f32 products without a precision get one."""

    name = "set-precision"

    matmul: str = "f32"
    """f32 (three f16 passes), f16, or i8f16 (parameters as i8 with a scale a column, other products as f16)."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.matmul not in CHOICES:
            raise ModelFault(f"set-precision: matmul='{self.matmul}' is none of {', '.join(CHOICES)}")
        operations = list(main_block(op).ops)
        quantiser = _Quantiser(weights_of(ctx), operations)
        for product in operations:
            if not isinstance(product, graph.MatmulOp) or product.precision or tensor_of(product.a).type != "f32":
                continue
            matrix = product.b.owner
            given = quantiser.given(product) if self.matmul == "i8f16" else None
            if given is not None:
                emit = Emitter.before(product)
                raw = emit.add(graph.MatmulOp(emit.cast(product.a, "f16"), given[0], product.transpose_b is not None))
                replace(product, emit.binary("mul", raw, emit.tensor(given[1], "scale", weights_of(ctx), SCALE_CONSTANT_BYTES)))
            elif self.matmul == "i8f16" and isinstance(matrix, Operation) and quantiser.is_weight(product.b):
                q, scale = quantiser.quantised(matrix, product.transpose_b is not None)
                emit = Emitter.before(product)
                raw = emit.add(graph.MatmulOp(emit.cast(product.a, "f16"), q, product.transpose_b is not None))
                replace(product, emit.binary("mul", raw, scale))
            else:
                chosen = graph.MatmulPrecision.f32 if self.matmul == "f32" else graph.MatmulPrecision.f16
                product.precision = graph.PrecisionAttr(chosen)
