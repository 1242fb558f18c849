"""`integer-products`: products of dequantised tensors become integer products with one scale at the end.

Needs any graph program. dequantize(a, s) · dequantize(b, t) becomes dequantize(a · b, s · t) wherever s and t do not vary
along the depth of the product; zero points (dequantize of i32 less a constant) are taken out of it exactly, in i32. What
follows an i32 result and has one user joins it: a bias as i32, relu, and quantize, so that requantize is left. Where a bias
is too large for i32, or a shortcut is added, the scale of quantize goes into all of them, so that a cast is left. Decides
bits, as `set-precision` does, and runs before it.
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
from xdsl.rewriter import Rewriter

from compiler.context import weights_of
from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import tensor_of
from compiler.transforms.emitter import Emitter, erase_dead, replace
from compiler.weights import WeightStore

Array = NDArray[Any]

Move = graph.ReshapeOp | graph.TransposeOp | graph.BroadcastOp | graph.SliceOp | graph.PadOp

LEVELS = 127
SCALE_CONSTANT_BYTES = 1 << 16
I32 = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True)
class Quantised:
    """value = (q - zero) · scale, q being i8; `zero` and `scale` broadcast to it."""

    q: SSAValue
    zero: Array
    scale: Array


@dataclass(frozen=True)
class IntegerProductsPass(ModulePass):
    """Quantised operands → integer products."""

    name = "integer-products"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rules = _Rules(weights_of(ctx))
        for operation in list(main_block(op).ops):
            rules.rewrite(operation)
        erase_dead(list(main_block(op).ops), (graph.GraphOp, graph.ParamOp, graph.ConstantOp))


class _Rules:
    def __init__(self, weights: WeightStore) -> None:
        self.weights = weights
        self.made = 0

    def rewrite(self, op: Operation) -> None:
        """Replace an operation if a rule fits; later operations see the replacement."""
        emit = Emitter.before(op)
        found = None
        match op:
            case graph.MatmulOp() if op.precision is None:
                found = self._product(op, emit)
            case graph.Conv2dOp():
                found = self._convolution(op, emit)
            case graph.ReshapeOp() | graph.TransposeOp() | graph.BroadcastOp() | graph.SliceOp() | graph.PadOp():
                found = self._moved(op, emit)
            case graph.GatherOp():
                found = self._gathered(op, emit)
            case graph.BinaryOp() if op.fn.data == "add":
                found = self._bias(op.a, op.b, emit) or self._bias(op.b, op.a, emit)
            case graph.UnaryOp() if op.fn.data == "relu":
                found = self._relu(op.x, emit)
            case graph.BinaryOp() if op.fn.data == "max":
                found = self._larger(op.a, op.b, emit) or self._larger(op.b, op.a, emit)
            case graph.BinaryOp() if op.fn.data == "mul":
                found = self._scaled(op.a, op.b, emit) or self._scaled(op.b, op.a, emit)
            case graph.BinaryOp() if op.fn.data == "div":
                found = self._divided(op, emit)
            case graph.BinaryOp() if op.fn.data == "sub":
                found = self._difference(op, emit)
            case graph.ReduceOp() if op.fn.data in ("sum", "max", "min"):
                found = self._reduced(op, emit)
            case graph.CastOp() if op.tensor.type == "i32":
                found = self._whole(op)
            case graph.QuantizeOp():
                found = self._requantised(op, emit)
            case _:
                pass
        if found is not None:
            replace(op, found)

    def known(self, value: SSAValue) -> Array | None:
        """The array of a parameter or constant, also behind a broadcast or reshape of one."""
        owner = value.owner
        if isinstance(owner, graph.ParamOp):
            return self.weights.get(owner.digest.data)
        return owner.array if isinstance(owner, graph.ConstantOp) else None

    def _quantised(self, value: SSAValue) -> Quantised | None:
        """What a dequantize of i8, or of i8 less a constant, stands for."""
        op = value.owner
        if not isinstance(op, graph.DequantizeOp) or (scale := self.known(op.scale)) is None:
            return None
        if tensor_of(op.x).type == "i8":
            return Quantised(op.x, np.zeros((), np.int32), scale)
        inner = op.x.owner
        if isinstance(inner, graph.BinaryOp) and inner.fn.data == "sub" and (zero := self.known(inner.b)) is not None:
            widened = inner.a.owner
            if isinstance(widened, graph.CastOp) and tensor_of(widened.x).type == "i8":
                return Quantised(widened.x, zero, scale)
        return None

    def _tensor(self, array: Array, name: str, emit: Emitter) -> SSAValue:
        self.made += 1
        return emit.tensor(array, f"{name}.{self.made}", self.weights, SCALE_CONSTANT_BYTES)

    def _moved(self, op: Move, emit: Emitter) -> SSAValue | None:
        """Move the integers instead of the f32, where the scale can move with them."""
        inner = op.x.owner
        if not isinstance(inner, graph.DequantizeOp):
            return None
        scale = self.known(inner.scale)
        if scale is None or (isinstance(op, graph.PadOp) and op.fill != 0):
            return None
        found = self._quantised(op.x)
        if found is not None and found.zero.any():
            if scale.size != 1 or found.zero.size != 1:
                return None
            zero = int(found.zero.item())
            whole = emit.cast(emit.add(_again(op, found.q, zero)), "i32")
            less = emit.binary("sub", whole, self._constant(np.asarray(zero), emit))
            return emit.add(graph.DequantizeOp(less, emit.f32(scale.item())))
        if scale.size == 1:
            scale = scale.reshape(())
        elif isinstance(op, graph.TransposeOp):
            wide = scale.reshape((1,) * (len(op.tensor.shape) - scale.ndim) + scale.shape)
            scale = np.ascontiguousarray(wide.transpose(op.permutation.get_values()))
        elif not (isinstance(op, graph.ReshapeOp) and scale.shape == op.tensor.shape[-1:] == tensor_of(op.x).shape[-1:]):
            return None
        return emit.add(graph.DequantizeOp(emit.add(_again(op, inner.x)), self._tensor(scale, "step", emit)))

    def _gathered(self, op: graph.GatherOp, emit: Emitter) -> SSAValue | None:
        """Rows of the i8 table, and of the scale where rows have scales of their own."""
        inner = op.table.owner
        if not isinstance(inner, graph.DequantizeOp) or tensor_of(inner.x).type != "i8":
            return None
        scale, index, rank = self.known(inner.scale), op.index, len(tensor_of(inner.x).shape)
        if scale is None:
            return None
        step = inner.scale
        if scale.ndim == rank and scale.shape[0] != 1:
            step = emit.add(graph.GatherOp(step, index))
        elif scale.ndim == rank:
            step = self._tensor(scale[0], "step", emit)
        return emit.add(graph.DequantizeOp(emit.add(graph.GatherOp(inner.x, index)), step))

    def _product(self, op: graph.MatmulOp, emit: Emitter) -> SSAValue | None:
        a, b = self._quantised(op.a), self._quantised(op.b)
        if a is None or b is None:
            return None
        transposed = op.transpose_b is not None
        shape_a, shape_b, axis_b = tensor_of(a.q).shape, tensor_of(b.q).shape, -1 if transposed else -2
        scale_a, zero_a = _along(a.scale, shape_a, -1), _along(a.zero, shape_a, -1)
        scale_b, zero_b = _along(b.scale, shape_b, axis_b), _along(b.zero, shape_b, axis_b)
        if scale_a is None or zero_a is None or scale_b is None or zero_b is None:
            return None
        total = emit.add(graph.MatmulOp(a.q, b.q, transposed))
        if transposed:
            scale_b, zero_b = (_swapped(array) for array in (scale_b, zero_b))
        total = self._without_zeros(total, op, a, b, zero_a, zero_b, emit)
        scale = (scale_a.astype(np.float64) * scale_b).astype(np.float32)
        return emit.add(graph.DequantizeOp(total, self._tensor(_smallest(scale), f"{_label(b.q)}.step", emit)))

    def _convolution(self, op: graph.Conv2dOp, emit: Emitter) -> SSAValue | None:
        """One scale for the image, one a column for the kernel. The padding is the zero point of the image."""
        x, w = self._quantised(op.x), self._quantised(op.w)
        if x is None or w is None or x.scale.size != 1 or x.zero.size != 1 or w.zero.any():
            return None
        columns = w.scale.reshape((1,) * (4 - w.scale.ndim) + w.scale.shape)
        if columns.shape[:3] != (1, 1, 1):
            return None
        image, window, zero = x.q, op.window, int(x.zero.item())
        pads = window.pads
        if zero and any(pads):
            top, left, bottom, right = pads
            image, pads = emit.add(graph.PadOp(image, [top, left, 0], [bottom, right, 0], zero)), (0, 0, 0, 0)
        groups = op.groups.value.data
        total = emit.add(graph.Conv2dOp(image, w.q, window.strides, pads, window.dilations, groups))
        if zero:
            total = emit.binary("sub", total, self._kernel_sums(w.q, zero, emit))
        scale = (x.scale.reshape(()).astype(np.float64) * columns.reshape(-1)).astype(np.float32)
        return emit.add(graph.DequantizeOp(total, self._tensor(scale, f"{_label(w.q)}.step", emit)))

    def _kernel_sums(self, w: SSAValue, zero: int, emit: Emitter) -> SSAValue:
        """The sum of each column of a kernel, times the zero point of the image."""
        known = self.known(w)
        if known is not None:
            return self._tensor(_i32(known.astype(np.int64).sum(axis=(0, 1, 2)) * zero), f"{_label(w)}.zero", emit)
        sums = emit.reduce("sum", w, [0, 1, 2], keepdims=False)
        return emit.binary("mul", sums, self._constant(np.asarray(zero), emit))

    def _without_zeros(
        self, total: SSAValue, op: graph.MatmulOp, a: Quantised, b: Quantised, zero_a: Array, zero_b: Array, emit: Emitter
    ) -> SSAValue:
        """Σ(a - za)(b - zb) = Σab - za·Σb - zb·Σa + K·za·zb, in i32."""
        transposed = op.transpose_b is not None
        if zero_b.any():
            sums = emit.binary("mul", emit.reduce("sum", a.q, [-1]), self._constant(zero_b, emit))
            total = emit.binary("sub", total, sums)
        if not zero_a.any():
            return total
        depth, axis = tensor_of(a.q).shape[-1], -1 if transposed else -2
        known = self.known(b.q)
        if known is not None:
            sums = known.astype(np.int64).sum(axis=axis, keepdims=True)
            correction = (depth * zero_b.astype(np.int64) - (_swapped(sums) if transposed else sums)) * zero_a
            return emit.binary("add", total, self._tensor(_smallest(_i32(correction)), f"{_label(b.q)}.zero", emit))
        summed = emit.reduce("sum", b.q, [axis])
        if transposed:
            rank = len(tensor_of(summed).shape)
            summed = emit.add(graph.TransposeOp(summed, [*range(rank - 2), rank - 1, rank - 2]))
        inner = emit.binary("sub", self._constant(depth * zero_b.astype(np.int64), emit), summed)
        return emit.binary("add", total, emit.binary("mul", inner, self._constant(zero_a, emit)))

    def _constant(self, array: Array, emit: Emitter) -> SSAValue:
        return emit.add(graph.ConstantOp(_i32(array)))

    def _sum_of_product(self, value: SSAValue) -> tuple[SSAValue, Array] | None:
        """The i32 tensor and the scale behind a dequantize that has one user."""
        op = value.owner
        if not isinstance(op, graph.DequantizeOp) or tensor_of(op.x).type != "i32" or len(list(value.uses)) != 1:
            return None
        scale = self.known(op.scale)
        return None if scale is None else (op.x, scale)

    def _bias(self, value: SSAValue, bias: SSAValue, emit: Emitter) -> SSAValue | None:
        """i32 · s + b is (i32 + rne(b / s)) · s, where b fits, but for half a unit of s."""
        found, known = self._sum_of_product(value), self.known(bias)
        if found is None or known is None:
            return None
        total, scale = found
        if np.broadcast_shapes(known.shape, tensor_of(total).shape) != tensor_of(total).shape:
            return None
        with np.errstate(all="ignore"):
            whole = np.rint(known.astype(np.float64) / scale)
        if not np.isfinite(whole).all() or np.abs(whole).max(initial=0) >= 2**30:
            return None
        shifted = emit.binary("add", total, self._tensor(whole.astype(np.int32), f"{_label(bias)}.i32", emit))
        return emit.add(graph.DequantizeOp(shifted, self._tensor(scale, f"{_label(bias)}.step", emit)))

    def _relu(self, x: SSAValue, emit: Emitter) -> SSAValue | None:
        found = self._sum_of_product(x)
        if found is None or (found[1] <= 0).any():
            return None
        return emit.add(graph.DequantizeOp(emit.unary("relu", found[0]), self._tensor(found[1], "step", emit)))

    def _larger(self, value: SSAValue, limit: SSAValue, emit: Emitter) -> SSAValue | None:
        """max(x, 0), as a clip at 0 is written."""
        known = self.known(limit)
        return None if known is None or known.size != 1 or known.any() else self._relu(value, emit)

    def _scaled(self, value: SSAValue, scale: SSAValue, emit: Emitter) -> SSAValue | None:
        """f32(i8) · known is a dequantize, of the same bits; (i32 · s) · known is i32 · (s · known)."""
        op, known = value.owner, self.known(scale)
        found = self._sum_of_product(value)
        if found is not None and known is not None:
            total, step = found
            if np.broadcast_shapes(known.shape, tensor_of(total).shape) != tensor_of(total).shape:
                return None
            product = (step.astype(np.float64) * known).astype(np.float32)
            return emit.add(graph.DequantizeOp(total, self._tensor(_smallest(product), "step", emit)))
        if not isinstance(op, graph.CastOp) or tensor_of(op.x).type != "i8" or known is None or known.dtype != np.float32:
            return None
        shape = tensor_of(op.x).shape
        return emit.add(graph.DequantizeOp(op.x, scale)) if np.broadcast_shapes(known.shape, shape) == shape else None

    def _divided(self, op: graph.BinaryOp, emit: Emitter) -> SSAValue | None:
        """(i32 · s) / t is i32 · (s / t)."""
        found, by = self._sum_of_product(op.a), self.known(op.b)
        if found is None or by is None or np.broadcast_shapes(by.shape, tensor_of(op.a).shape) != tensor_of(op.a).shape:
            return None
        ratio = _ratio(found[1], by)
        return None if ratio is None else emit.add(graph.DequantizeOp(found[0], self._tensor(ratio, "ratio", emit)))

    def _difference(self, op: graph.BinaryOp, emit: Emitter) -> SSAValue | None:
        """i32 · s - i32 · s is (i32 - i32) · s, for one step s."""
        a, b = op.a.owner, op.b.owner
        if not isinstance(a, graph.DequantizeOp) or not isinstance(b, graph.DequantizeOp):
            return None
        step, other = self.known(a.scale), self.known(b.scale)
        if step is None or other is None or step.size != 1 or not np.array_equal(np.ravel(step), np.ravel(other)):
            return None
        less = emit.binary("sub", emit.cast(a.x, "i32"), emit.cast(b.x, "i32"))
        return emit.add(graph.DequantizeOp(less, a.scale))

    def _reduced(self, op: graph.ReduceOp, emit: Emitter) -> SSAValue | None:
        """A sum, maximum or minimum of q · s is that of q, times s, for one step s > 0. Sums only of i8, which stay far from
        the ends of i32."""
        inner, fn = op.x.owner, op.fn.data.value
        if not isinstance(inner, graph.DequantizeOp) or (fn == "sum" and tensor_of(inner.x).type != "i8"):
            return None
        step = self.known(inner.scale)
        if step is None or step.size != 1 or step.item() <= 0:
            return None
        folded = emit.reduce(fn, inner.x, list(op.axes.get_values()), op.keepdims is not None)
        return emit.add(graph.DequantizeOp(folded, emit.f32(step.item())))

    def _whole(self, op: graph.CastOp) -> SSAValue | None:
        """i32(i32 · 1)."""
        inner = op.x.owner
        if not isinstance(inner, graph.DequantizeOp) or tensor_of(inner.x).type != "i32":
            return None
        scale = self.known(inner.scale)
        return inner.x if scale is not None and (scale == 1).all() else None

    def _requantised(self, op: graph.QuantizeOp, emit: Emitter) -> SSAValue | None:
        to = self.known(op.scale)
        if to is None:
            return None
        inner = self._quantised(op.x)
        if inner is not None and not inner.zero.any() and np.array_equal(inner.scale, to) and to.size == 1:
            return inner.q
        limited = op.x.owner
        op.operands[0] = _unclipped(op.x, to, self)
        if isinstance(limited, graph.BinaryOp) and not limited.result.uses:
            Rewriter.erase_op(limited)
        found = self._sum_of_product(op.x)
        if found is None:
            steps = self._in_steps(op.x, to, emit) if to.size == 1 else None
            return None if steps is None else emit.cast(steps, "i8")
        total, scale = found
        ratio = _ratio(scale, to)
        return None if ratio is None else emit.add(graph.RequantizeOp(total, self._tensor(ratio, "ratio", emit)))

    def _in_steps(self, value: SSAValue, step: Array, emit: Emitter) -> SSAValue | None:
        """An f32 value divided by a step: sums, maxima and minima of integer products and i8 with known scales, and of what is
        known. None for anything else, or where another user needs the value as it is."""
        known = self.known(value)
        if known is not None:
            ratio = _ratio(known, step)
            return None if ratio is None else self._tensor(ratio, "steps", emit)
        op = value.owner
        if isinstance(op, graph.DequantizeOp):
            scale, alone = self.known(op.scale), len(list(value.uses)) == 1
            ratio = None if scale is None else _ratio(scale, step)
            if ratio is None or not (alone or tensor_of(op.x).type == "i8"):
                return None
            return emit.add(graph.DequantizeOp(op.x, self._tensor(ratio, "ratio", emit)))
        if len(list(value.uses)) > 1 or not isinstance(op, graph.UnaryOp | graph.BinaryOp):
            return None
        if isinstance(op, graph.UnaryOp) and op.fn.data == "gelu":
            return self._gelu_in_steps(op.x, step, emit)
        if isinstance(op, graph.BinaryOp) and op.fn.data == "mul":
            return self._multiple_in_steps(op, step, emit)
        if isinstance(op, graph.BinaryOp) and op.fn.data == "div":
            above = self._in_steps(op.a, step, emit)
            return None if above is None else emit.binary("div", above, op.b)
        if op.fn.data not in ("relu", "add", "max", "min"):
            return None
        parts = [self._in_steps(operand, step, emit) for operand in op.operands]
        if any(part is None for part in parts):
            return None
        done = [part for part in parts if part is not None]
        return emit.unary("relu", done[0]) if isinstance(op, graph.UnaryOp) else emit.binary(op.fn.data, done[0], done[1])

    def _multiple_in_steps(self, op: graph.BinaryOp, step: Array, emit: Emitter) -> SSAValue | None:
        """x · known in steps is x · (known / step)."""
        for x, other in ((op.a, op.b), (op.b, op.a)):
            known = self.known(other)
            ratio = None if known is None else _ratio(known, step)
            if ratio is not None and tensor_of(x).shape == op.tensor.shape:
                return emit.binary("mul", x, self._tensor(ratio, "ratio", emit))
        return None

    def _gelu_in_steps(self, x: SSAValue, step: Array, emit: Emitter) -> SSAValue | None:
        """Of an integer product: with u = x / √2, by which the product's scale is divided, x / 2 · (1 + erf(u)) is
        v + v · erf(u) where v = u / √2, in steps."""
        found = self._sum_of_product(x)
        if found is None:
            return None
        root = np.sqrt(np.float64(2))
        narrow, back = _ratio(found[1], np.asarray(root)), _ratio(1 / root, step)
        if narrow is None or back is None:
            return None
        u = emit.add(graph.DequantizeOp(found[0], self._tensor(narrow, "step", emit)))
        v = emit.binary("mul", u, emit.f32(back.item()))
        return emit.binary("add", emit.binary("mul", v, emit.unary("erf", u)), v)


def _ratio(scale: Array, by: Array) -> Array | None:
    """scale / by, rounded once; None where that is not finite."""
    with np.errstate(all="ignore"):
        ratio = (scale.astype(np.float64) / by.astype(np.float64)).astype(np.float32)
    return _smallest(ratio) if np.isfinite(ratio).all() else None


def _again(op: Move, x: SSAValue, fill: int = 0) -> Operation:
    """The same movement of another value, padded with `fill`."""
    match op:
        case graph.ReshapeOp():
            return graph.ReshapeOp(x, op.tensor.shape)
        case graph.TransposeOp():
            return graph.TransposeOp(x, op.permutation.get_values())
        case graph.SliceOp():
            return graph.SliceOp(x, *(part.get_values() for part in (op.offsets, op.sizes, op.strides)))
        case graph.PadOp():
            return graph.PadOp(x, op.low.get_values(), op.high.get_values(), fill)
        case graph.BroadcastOp():
            return graph.BroadcastOp(x, op.tensor.shape)


def _unclipped(value: SSAValue, scale: Array, rules: _Rules) -> SSAValue:
    """What is quantised, without an upper limit that saturation stands for anyway: limit / scale rounds to 127 or more."""
    op = value.owner
    if isinstance(op, graph.BinaryOp) and op.fn.data == "min" and len(list(value.uses)) == 1:
        for inner, limit in ((op.a, op.b), (op.b, op.a)):
            known = rules.known(limit)
            if known is not None and tensor_of(inner).shape == op.tensor.shape and (np.rint(known / scale) >= LEVELS).all():
                return inner
    return value


def _along(array: Array, shape: tuple[int, ...], axis: int) -> Array | None:
    """`array` with as many axes as the shape, of size 1 along `axis`; None if it varies there."""
    wide = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    if wide.shape[axis] == 1:
        return wide
    first = wide.take([0], axis=axis)
    return first if (wide == first).all() else None


def _swapped(array: Array) -> Array:
    return array.swapaxes(-1, -2)


def _smallest(array: Array) -> Array:
    """Without leading axes of size 1; a scalar where all elements are one."""
    while array.ndim and array.shape[0] == 1:
        array = array[0]
    return np.ascontiguousarray(array)


def _i32(array: Array) -> Array:
    """Saturated, as the chip computes."""
    return np.clip(array, I32.min, I32.max).astype(np.int32)


def _label(value: SSAValue) -> str:
    owner = value.owner
    return owner.label if isinstance(owner, graph.ParamOp) else "product"
