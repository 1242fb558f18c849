"""What translators build with: graph operations on values that keep their ONNX element type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from xdsl.ir import Operation, SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_shapes import Tensor
from compiler.dialects.graph_types import kind_of, named_location
from compiler.frontend.emitter import GraphEmitter
from compiler.frontend.onnx.element_types import UINT8_SHIFT, chip_type, to_chip
from compiler.frontend.onnx.model import Array, Node
from compiler.frontend.onnx.values import Value
from compiler.frontend.values import TensorValue
from compiler.weights import WeightStore
from isa.errors import DataFault, ModelFault
from isa.spec import ElementType

CONSTANT_BYTES = 1 << 10
"""Known tensors up to this size are constants in the IR; larger ones, and all matrices that have a name, are parameters."""

SMALL = 16
"""A tensor with so many times fewer elements is brought into the order of the other operand, not the other way round."""


class OnnxEmitter(GraphEmitter):
    """Values in, values out. Every method raises ModelFault where shapes or types do not fit.

    Nothing here folds: nodes whose inputs are all known never reach a translator. Known operands become constants of
    the graph, and `fold-constants` computes what depends on nothing else.
    """

    def __init__(self, file: str, weights: WeightStore) -> None:
        super().__init__()
        self.file, self.weights = file, weights
        self._made: dict[Value, TensorValue] = {}
        self._laid: dict[tuple[Value, tuple[int, ...]], TensorValue] = {}
        self._names: set[str] = set()

    def enter(self, node: Node) -> None:
        """From here on operations come from this node."""
        self.location = named_location(f"{self.file}: {node}")

    def value(self, tensor: TensorValue, kind: str) -> Value:
        """A tensor of the chip as a value of the ONNX type."""
        return Value(kind, tensor.shape, chip=tensor)

    def constant(self, array: Array, name: str = "") -> Value:
        """An array of an ONNX element type as a value that is known."""
        return Value(array.dtype.name, array.shape, array=array, name=name)

    def scalar(self, number: float, like: Value) -> Value:
        """A known scalar of the element type of another value."""
        return self.constant(np.asarray(number).astype(np.dtype(like.kind)))

    def tensor(self, value: Value) -> TensorValue:
        """The value on the chip, its axes in order. Raises ModelFault when it is empty or cannot be there."""
        if value.chip is not None and value.axes is None:
            return value.chip
        if value not in self._made and value.chip is not None:
            self._made[value] = self._in_order(value, value.chip)
        if value not in self._made:
            assert value.array is not None
            try:
                array = to_chip(value.array, value.kind, f"tensor '{value.name}'" if value.name else "a constant")
            except DataFault as fault:
                raise ModelFault(fault.message) from None
            self._made[value] = self._stored(array, value.name)
        return self._made[value]

    def _in_order(self, value: Value, chip: TensorValue) -> TensorValue:
        axes = value.axes or ()
        ordered = self.transpose(chip, tuple(axes.index(axis) for axis in sorted(axes)))
        return self.reshape(ordered, value.shape)

    def laid(self, value: Value, axes: Sequence[int] | None, rank: int) -> TensorValue:
        """The value with its axes in another order (`Value.axes`), of a tensor of `rank`; axes before it are of size 1."""
        if axes is None:
            return self.tensor(value)
        if value.axes == tuple(axes) and value.rank == rank:
            assert value.chip is not None
            return value.chip
        shape = (1,) * (rank - value.rank) + value.shape
        sizes = tuple(shape[axis] for axis in axes)
        if value.array is None:
            inner = self.reshape(self.tensor(value), tuple(shape[axis] for axis in sorted(axes)))
            return self.transpose(inner, tuple(sorted(axes).index(axis) for axis in axes))
        if (value, sizes) not in self._laid:
            left = tuple(axis for axis in range(rank) if axis not in axes)
            array = np.ascontiguousarray(value.array.reshape(shape).transpose(*left, *axes).reshape(sizes))
            while array.ndim and array.shape[0] == 1:
                array = array[0]
            self._laid[value, sizes] = self.tensor(Value(value.kind, array.shape, array=array, name=value.name))
        return self._laid[value, sizes]

    def elementwise(self, make: Callable[[list[SSAValue]], Operation], operands: Sequence[Value], kind: str) -> Value:
        """An operation on every element, with broadcasting. Where operands lie in another order, so does the result."""
        shape = self._common([operand.shape for operand in operands])
        axes = next((v.axes for v in operands if v.axes is not None and v.shape == shape), None)
        others = [v for v in operands if v.axes != axes]
        if any(v.array is None and prod(v.shape) * SMALL > prod(shape) for v in others):
            axes = None
        tensors = [self.laid(operand, axes, len(shape)) for operand in operands]
        result = self.emit(lambda: make([tensor.ssa for tensor in tensors]))
        return Value(kind, shape, chip=result, axes=axes)

    def _stored(self, array: Array, name: str) -> TensorValue:
        if array.nbytes <= CONSTANT_BYTES and not (name and array.ndim > 1):
            return self.array(array)
        tensor = Tensor(kind_of(array), array.shape)
        return self.emit(graph.ParamOp, self.unused_name(name or "constant"), self.weights.add(array), tensor)

    def unused_name(self, wanted: str) -> str:
        """A name for an input, output or parameter that no other has, and that is not one of the compiler's own."""
        stem = wanted if not wanted.startswith("%") else f"_{wanted}"
        name, number = stem, 1
        while name in self._names:
            number += 1
            name = f"{stem}.{number}"
        self._names.add(name)
        return name

    # Elementwise

    def unary(self, fn: str, x: Value) -> Value:
        """A `graph.unary` function, result like the operand."""
        return self.elementwise(lambda v: graph.UnaryOp(fn, v[0]), [x], x.kind)

    def binary(self, fn: str, a: Value, b: Value) -> Value:
        """A `graph.binary` function with broadcasting; comparisons give bool. The operands have one element type."""
        if a.kind != b.kind:
            raise ModelFault(f"element types differ: {a} and {b}")
        if a.kind == "uint8" and fn not in ("max", "min", "lt", "le", "eq"):
            raise ModelFault("uint8 arithmetic is not supported", hint="convert to int32 or float with Cast first")
        kind = "bool" if fn in ("lt", "le", "eq") else a.kind
        return self.elementwise(lambda v: graph.BinaryOp(fn, v[0], v[1]), [a, b], kind)

    def where(self, condition: Value, a: Value, b: Value) -> Value:
        if a.kind != b.kind:
            raise ModelFault(f"element types differ: {a} and {b}")
        return self.elementwise(lambda v: graph.WhereOp(v[0], v[1], v[2]), [condition, a, b], a.kind)

    def negate(self, condition: Value) -> Value:
        """not, of a bool."""
        return self.binary("eq", condition, self.constant(np.asarray(False)))

    def cast(self, x: Value, kind: str) -> Value:
        """ONNX Cast as the chip does it: floats to integers towards zero, saturating; anything to bool is x != 0."""
        if x.kind == kind:
            return x
        to = chip_type(kind)
        if kind == "bool":
            return self.negate(self.renamed(self.binary("eq", x, self.scalar(0, x)), "bool"))
        wide = self.widened(x)
        if wide.is_float and to[0] == "i":
            wide = self.truncated(wide)
        if kind == "uint8":
            whole = self._converted(wide, "i32", "int32")
            shifted = self.binary("sub", whole, self.scalar(UINT8_SHIFT, whole))
            return self._converted(shifted, "i8", "uint8")
        return self._converted(wide, to, kind)

    def _converted(self, x: Value, to: ElementType, kind: str) -> Value:
        if (chip_type(x.kind) if x.chip is None else x.chip.type) == to:
            return self.renamed(x, kind)
        return self.elementwise(lambda v: graph.CastOp(v[0], to), [x], kind)

    def renamed(self, x: Value, kind: str) -> Value:
        """The integers that the chip holds as an ONNX type of the same chip type."""
        return Value(kind, x.shape, chip=self.tensor(x) if x.chip is None else x.chip, axes=x.axes)

    def widened(self, x: Value) -> Value:
        """A uint8 as the int32 that it stands for; any other value as it is."""
        if x.kind != "uint8":
            return x
        if x.array is not None:
            return self.constant(x.array.astype(np.int32), x.name)
        stored = self._converted(self.renamed(x, "int8"), "i32", "int32")
        return self.binary("add", stored, self.scalar(UINT8_SHIFT, stored))

    def truncated(self, x: Value) -> Value:
        """A float rounded towards zero."""
        down = self.unary("floor", self.unary("abs", x))
        return self.where(self.binary("lt", x, self.scalar(0, x)), self.unary("neg", down), down)

    # Reductions and functions of an axis

    def reduce(self, fn: str, x: Value, axes: Sequence[int], keepdims: bool) -> Value:
        """sum, max, min or mean. The result has the type of the operand; sums of narrow types are formed in wide ones."""
        if not axes:
            return x
        if x.axes is not None and x.chip is not None:
            places = [x.axes.index(axis % x.rank) for axis in axes if axis % x.rank in x.axes]
            inner = self.emit(graph.ReduceOp, fn, x.chip.ssa, places, True) if places else x.chip
            folded = {axis % x.rank for axis in axes}
            shape = tuple(1 if axis in folded else size for axis, size in enumerate(x.shape))
            result = self._back(Value(x.kind, shape, chip=inner, axes=x.axes), x.kind)
            left = [size for axis, size in enumerate(shape) if axis not in folded]
            return result if keepdims else self.reshaped(result, left)
        result = self.value(self.emit(graph.ReduceOp, fn, self.tensor(x).ssa, axes, keepdims), x.kind)
        return self._back(result, x.kind)

    def narrowed(self, x: Value, kind: str) -> Value:
        """The result of a product, in the type of its operands (an f16 product is f32)."""
        return self._back(x, kind)

    def rounded(self, x: Value) -> Value:
        """A float as the nearest int32."""
        return self.elementwise(lambda v: graph.CastOp(v[0], "i32"), [x], "int32")

    def _back(self, result: Value, kind: str) -> Value:
        """A wide result in the chip type of `kind`."""
        return self._converted(result, chip_type(kind), kind)

    def softmax(self, x: Value) -> Value:
        """Over the last axis."""
        return self.value(self.emit(graph.SoftmaxOp, self.tensor(x).ssa), x.kind)

    def layernorm(self, x: Value, gain: Value, bias: Value, eps: float) -> Value:
        """Over the last axis."""
        a, g, b = (self.tensor(v).ssa for v in (x, gain, bias))
        return self.value(self.emit(graph.LayerNormOp, a, g, b, eps), x.kind)

    # Products

    def product(self, a: Value, b: Value, transpose_b: bool = False) -> Value:
        """NumPy's `@` with batch broadcasting (`transpose_b`: b is [.., N, K]), in the type of the operands."""
        if a.kind != b.kind:
            raise ModelFault(f"element types differ: {a} and {b}")
        left, right = self.tensor(a), self.tensor(b)
        if len(left.shape) > 2 and len(right.shape) > 2 and left.shape[:-2] != right.shape[:-2]:
            batch = self._common([left.shape[:-2], right.shape[:-2]])
            left = super().broadcast(left, (*batch, *left.shape[-2:]))
            right = super().broadcast(right, (*batch, *right.shape[-2:]))
        return self._back(self.value(super().matmul(left, right, transpose_b), a.kind), a.kind)

    def _common(self, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        try:
            return np.broadcast_shapes(*shapes)
        except ValueError:
            raise ModelFault(f"shapes do not broadcast: {' and '.join(str(list(shape)) for shape in shapes)}") from None

    # Movement

    def reshaped(self, x: Value, shape: Sequence[int]) -> Value:
        return self.value(self.reshape(self.tensor(x), shape), x.kind)

    def transposed(self, x: Value, permutation: Sequence[int]) -> Value:
        return self.value(self.transpose(self.tensor(x), permutation), x.kind)

    def broadcasted(self, x: Value, shape: Sequence[int]) -> Value:
        return self.value(self.broadcast(self.tensor(x), shape), x.kind)

    def sliced(self, x: Value, offsets: Sequence[int], sizes: Sequence[int], strides: Sequence[int] | None = None) -> Value:
        """Strides are positive."""
        return self.value(self.emit(graph.SliceOp, self.tensor(x).ssa, offsets, sizes, strides), x.kind)

    def concatenated(self, parts: Sequence[Value], axis: int) -> Value:
        if len(parts) == 1:
            return parts[0]
        return self.value(self.emit(graph.ConcatOp, [self.tensor(part).ssa for part in parts], axis), parts[0].kind)

    def padded(self, x: Value, low: Sequence[int], high: Sequence[int], fill: float = 0) -> Value:
        """Amounts are not negative; `fill` is a value of the ONNX type."""
        stored = fill - UINT8_SHIFT if x.kind == "uint8" else fill
        return self.value(self.emit(graph.PadOp, self.tensor(x).ssa, low, high, stored), x.kind)

    def gathered(self, table: Value, index: Value) -> Value:
        """table[index] along axis 0; indices are not negative."""
        return self.value(self.emit(graph.GatherOp, self.tensor(table).ssa, self.tensor(index).ssa), table.kind)
