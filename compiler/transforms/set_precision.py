"""`set-precision`: choose how products of f32 tensors are computed. This pass decides bits; all later ones keep them.

Needs any graph program. Leaves no f32 product without a precision that has none of its own: those get `f32` or `f16`, or
with `i8f16` their parameter is quantised a channel (column of the product) at a time:
scale[n] = max |w[:, n]| / 127, q = rne(w / scale), x · w becomes (f16(x) · q) · scale. Matrices of a batch whose products are
all added up share their scales, and the sum is multiplied by them. Where the model has quantised it
itself (dequantize of an i8 tensor), that tensor and its scales are used.

Where an f16 product is all that reads a softmax, the rows of the product are divided by the sums instead of the shares
(`late_division`). Sums over the rows of a long state are two, one for each side of the chip (`halved_products`).
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

from compiler.context import chip_of, weights_of
from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import source_place, tensor_of
from compiler.lowering.summed_rows import makers_of_sum
from compiler.reference.evaluate import RULES
from compiler.transforms.emitter import Emitter, replace
from compiler.transforms.f16_passes import Product, again, three_passes
from compiler.transforms.halved_products import halve_products
from compiler.transforms.late_division import divide_after
from compiler.weights import WeightStore
from isa.chip import load_chip
from isa.errors import ModelFault

CHOICES = ("f32", "f16", "i8f16")
MOVES = (graph.ReshapeOp, graph.TransposeOp, graph.SliceOp, graph.ConcatOp, graph.BroadcastOp)
"""What may stand between a parameter and a product that quantises it."""

LARGEST_F16 = 65504
SCALE_CONSTANT_BYTES = 1 << 16
"""Scale rows up to this size are constants in the IR."""


def quantise_columns(w: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """f32 [K, N] → i8 [K, N] and f32 scales [N] with w nearly q · scale. A column of zeros has the scale 1."""
    largest = np.abs(w).max(axis=0)
    scale = np.where(largest > 0, largest / np.float32(127), np.float32(1)).astype(np.float32)
    with np.errstate(all="ignore"):
        return np.clip(np.rint(w / scale), -127, 127).astype(np.int8), scale


def open_products(module: ModuleOp) -> list[Product]:
    """The f32 products that nobody has given a precision, in program order."""
    found = [op for op in main_block(module).ops if isinstance(op, graph.MatmulOp | graph.Conv2dOp)]
    decided = [op for op in found if isinstance(op, graph.MatmulOp) and op.precision is not None]
    return [op for op in found if tensor_of(op.operands[0]).type == "f32" and op not in decided]


def depth_axes(op: Product) -> tuple[int, ...]:
    """The axes of the right operand that a product sums over."""
    if isinstance(op, graph.MatmulOp):
        return (-1,) if op.transpose_b is not None else (-2,)
    return (0, 1, 2)


def sum_of(product: Product) -> Operation:
    """The last of the operations that do nothing but add up all rows of a batch of products; the product itself where there are
    none."""
    last = found = cast(Operation, product)
    batch = isinstance(product, graph.MatmulOp) and len(tensor_of(product.b).shape) > 2
    while batch and len(users := [use.operation for use in last.results[0].uses]) == 1:
        last = users[0]
        if not isinstance(last, (graph.ReshapeOp, graph.ReduceOp)):
            break
        makers = makers_of_sum(last.results[0])
        if makers and makers[-1].operands[0] is product.results[0]:
            found = last
    return found


class _Quantiser:
    """Quantises each weight matrix or kernel once for each side that it is multiplied from.

    Weights are a parameter, or what the program computes from parameters alone by moving their elements.
    """

    def __init__(self, weights: WeightStore, module: ModuleOp) -> None:
        self.weights = weights
        self.known: dict[tuple[Operation, bool], tuple[SSAValue, SSAValue]] = {}
        self.names: dict[Operation, str] = {}
        for op in main_block(module).ops:
            if isinstance(op, graph.ParamOp):
                self.names[op] = op.label
            elif isinstance(op, MOVES) and all(o.owner in self.names for o in op.operands):
                self.names[op] = f"{self.names[cast(Operation, op.operands[0].owner)]}.{len(self.names)}"

    def quantised(self, product: Product) -> tuple[SSAValue, SSAValue] | None:
        """The right operand as i8 and its scale row; None where it stays as it is."""
        right, rank = product.operands[1].owner, 2 if isinstance(product, graph.MatmulOp) else 4
        if isinstance(right, graph.DequantizeOp):
            return self._given(product, right)
        if not isinstance(right, Operation) or right not in self.names:
            return None
        if len(tensor_of(right.results[0]).shape) == rank or sum_of(product) is not product:
            return self._of_weights(right, depth_axes(product) == (-1,))
        return None

    def require_f16(self, product: Product) -> None:
        """Raises ModelFault for a weight that an f16 cannot hold: it would become infinity. Text may come without weights."""
        for operand in product.operands:
            if not isinstance(operand.owner, graph.ParamOp) or operand.owner.digest.data not in self.weights:
                continue
            w = self.weights.get(operand.owner.digest.data)
            with np.errstate(invalid="ignore"):
                beyond = np.isfinite(w) & (np.abs(w) > LARGEST_F16)
            if beyond.any():
                where: list[int] = np.argwhere(beyond)[0].tolist()
                name, value = operand.owner.label, w[tuple(where)]
                raise ModelFault(
                    f"parameter '{name}' holds {value} at {where}, beyond {LARGEST_F16}, the largest f16",
                    source_place(product.location),
                    hint="--precision i8f16 or int8 gives its columns scales of their own",
                )

    def _given(self, product: Product, op: graph.DequantizeOp) -> tuple[SSAValue, SSAValue] | None:
        """What the model itself has quantised: with one scale a column of the product, or one for all."""
        if tensor_of(op.x).type != "i8" or not isinstance(op.scale.owner, graph.ConstantOp):
            return None
        scale, shape = op.scale.owner.array.astype(np.float32), op.tensor.shape
        wide = scale.reshape((1,) * (len(shape) - scale.ndim) + scale.shape)
        if any(wide.shape[axis] != 1 for axis in depth_axes(product)) or wide.size not in (1, max(wide.shape)):
            return None
        if isinstance(product, graph.MatmulOp) and len(shape) > 2 and wide.size != 1:
            return None
        row = wide.reshape(-1) if wide.size > 1 else wide.reshape(())
        return op.x, Emitter.after(op).tensor(row, "scale", self.weights, SCALE_CONSTANT_BYTES)

    def _array(self, op: Operation) -> NDArray[Any]:
        if isinstance(op, graph.ParamOp):
            return self.weights.get(op.digest.data)
        operands = [self._array(o.owner) for o in op.operands if isinstance(o.owner, Operation)]
        return RULES[type(op)](op, operands, load_chip("tiny"))

    def _of_weights(self, op: Operation, transposed: bool) -> tuple[SSAValue, SSAValue]:
        key = (op, transposed)
        if key not in self.known:
            w, name = self._array(op), self.names[op]
            if not np.isfinite(w.astype(np.float32)).all():
                raise ModelFault(f"parameter '{name}' is not finite and cannot be quantised", source_place(op.location))
            columns = np.swapaxes(w, -1, -2) if transposed else w
            q, scale = quantise_columns(columns.reshape(-1, columns.shape[-1]))
            q = q.reshape(columns.shape)
            q = np.ascontiguousarray(np.swapaxes(q, -1, -2) if transposed else q)
            emit, side = Emitter.after(op), ".rows" if transposed else ""
            value = emit.tensor(q, f"{name}.i8{side}", self.weights, 0)
            row = emit.tensor(scale, f"{name}.scale{side}", self.weights, SCALE_CONSTANT_BYTES)
            self.known[key] = (value, row)
        return self.known[key]


def _scale(op: Operation, scale: SSAValue) -> None:
    """Whoever uses the result of the operation uses it times the scale."""
    value = op.results[0]
    scaled = Emitter.after(op).binary("mul", value, scale)
    value.replace_uses_with_if(scaled, lambda use: use.operation is not scaled.owner)


@dataclass(frozen=True)
class SetPrecisionPass(ModulePass):
    """f32 products without a precision get one. Convolutions become f16 ones."""

    name = "set-precision"

    matmul: str = "f32"
    """f32 (three f16 passes), f16, or i8f16 (parameters as i8 with a scale a column, other products as f16)."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.matmul not in CHOICES:
            raise ModelFault(f"set-precision: matmul='{self.matmul}' is none of {', '.join(CHOICES)}")
        chip = chip_of(ctx)
        if chip is not None:
            halve_products(op, chip)
        quantiser = _Quantiser(weights_of(ctx), op)
        for product in open_products(op):
            emit = Emitter.before(product)
            found = quantiser.quantised(product) if self.matmul == "i8f16" else None
            if found is not None:
                last = sum_of(product)
                raw = again(product, emit.cast(product.operands[0], "f16"), found[0])
                replace(product, emit.add(raw))
                _scale(raw if last is product else last, found[1])
                continue
            quantiser.require_f16(product)
            if isinstance(product, graph.MatmulOp):
                chosen = graph.MatmulPrecision.f32 if self.matmul == "f32" else graph.MatmulPrecision.f16
                product.precision = graph.PrecisionAttr(chosen)
                if chosen == graph.MatmulPrecision.f16:
                    divide_after(product)
            else:
                replace(product, self._convolution(product, emit))

    def _convolution(self, op: graph.Conv2dOp, emit: Emitter) -> SSAValue:
        def times(a: SSAValue, b: SSAValue) -> SSAValue:
            return emit.add(again(op, a, b))

        if self.matmul == "f32":
            return three_passes(emit, times, op.x, op.w)
        return times(emit.cast(op.x, "f16"), emit.cast(op.w, "f16"))
