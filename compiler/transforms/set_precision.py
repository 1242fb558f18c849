"""`set-precision`: choose how products of f32 tensors are computed. This pass decides bits; all later ones keep them.

Needs any graph program. Leaves no f32 product without a precision that has none of its own: those get `f32` or `f16`, or
with `i8f16` their parameter is quantised a channel (column of the product) at a time:
scale[n] = max |w[:, n]| / 127, q = rne(w / scale), x · w becomes (f16(x) · q) · scale. Where the model has quantised it
itself (dequantize of an i8 tensor), that tensor and its scales are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
from compiler.transforms.emitter import Emitter, replace
from compiler.weights import WeightStore
from isa.errors import ModelFault

CHOICES = ("f32", "f16", "i8f16")
SCALE_CONSTANT_BYTES = 1 << 16
"""Scale rows up to this size are constants in the IR."""


def quantise_columns(w: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """f32 [K, N] → i8 [K, N] and f32 scales [N] with w nearly q · scale. A column of zeros has the scale 1."""
    largest = np.abs(w).max(axis=0)
    scale = np.where(largest > 0, largest / np.float32(127), np.float32(1)).astype(np.float32)
    with np.errstate(all="ignore"):
        return np.clip(np.rint(w / scale), -127, 127).astype(np.int8), scale


class _Quantiser:
    """Quantises each parameter once for each side that it is multiplied from."""

    def __init__(self, weights: WeightStore) -> None:
        self.weights = weights
        self.known: dict[tuple[Operation, bool], tuple[SSAValue, SSAValue]] = {}

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

    def quantised(self, param: graph.ParamOp, transposed: bool) -> tuple[SSAValue, SSAValue]:
        """The i8 parameter and its scale row."""
        key = (param, transposed)
        if key not in self.known:
            w = self.weights.get(param.digest.data)
            if not np.isfinite(w.astype(np.float32)).all():
                raise ModelFault(
                    f"parameter '{param.label}' is not finite and cannot be quantised", source_place(param.location)
                )
            q, scale = quantise_columns(w.T if transposed else w)
            q = np.ascontiguousarray(q.T if transposed else q)
            emit, side = Emitter.after(param), ".rows" if transposed else ""
            value = emit.tensor(q, f"{param.label}.i8{side}", self.weights, 0)
            row = emit.tensor(scale, f"{param.label}.scale{side}", self.weights, SCALE_CONSTANT_BYTES)
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
        quantiser = _Quantiser(weights_of(ctx))
        for product in list(main_block(op).ops):
            if not isinstance(product, graph.MatmulOp) or product.precision or tensor_of(product.a).type != "f32":
                continue
            param = product.b.owner
            given = quantiser.given(product) if self.matmul == "i8f16" else None
            if given is not None:
                emit = Emitter.before(product)
                raw = emit.add(graph.MatmulOp(emit.cast(product.a, "f16"), given[0], product.transpose_b is not None))
                replace(product, emit.binary("mul", raw, emit.tensor(given[1], "scale", weights_of(ctx), SCALE_CONSTANT_BYTES)))
            elif self.matmul == "i8f16" and isinstance(param, graph.ParamOp) and len(param.tensor.shape) == 2:
                q, scale = quantiser.quantised(param, product.transpose_b is not None)
                emit = Emitter.before(product)
                raw = emit.add(graph.MatmulOp(emit.cast(product.a, "f16"), q, product.transpose_b is not None))
                replace(product, emit.binary("mul", raw, scale))
            else:
                chosen = graph.MatmulPrecision.f32 if self.matmul == "f32" else graph.MatmulPrecision.f16
                product.precision = graph.PrecisionAttr(chosen)
