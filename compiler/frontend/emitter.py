"""The graph as it grows: operations at the end of one block, each with its place in the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import LocationAttr, ModuleOp, UnknownLoc
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region

from compiler.dialects import graph
from compiler.dialects.graph_shapes import Tensor
from compiler.dialects.graph_types import source_location, tensor_of
from compiler.frontend.ast import Place
from compiler.frontend.numbers import literal
from compiler.frontend.values import AnyValue, TensorValue, check_shape
from isa.errors import ModelFault
from isa.spec import ElementType

MAX_OPERATIONS = 100_000

P = ParamSpec("P")


class GraphEmitter:
    """Builds `@main`. `location` is the source place that new operations get."""

    def __init__(self) -> None:
        self.location: LocationAttr = UnknownLoc()
        self._block = Block()
        self._count = 0

    def module(self) -> ModuleOp:
        """The module, complete. Call it once."""
        self._add(ReturnOp())
        return ModuleOp([FuncOp("main", ((), ()), Region(self._block))])

    def do(self, make: Callable[P, Operation], *args: P.args, **kwargs: P.kwargs) -> None:
        """An operation without a result."""
        self._add(make(*args, **kwargs))

    def emit(self, make: Callable[P, Operation], *args: P.args, **kwargs: P.kwargs) -> TensorValue:
        """An operation with one result. Raises ModelFault when the operands do not fit or the program grows too large."""
        operation = make(*args, **kwargs)
        result = operation.results[0]
        value = TensorValue(result, check_shape(tensor_of(result)))
        self._add(operation)
        return value

    def _add(self, operation: Operation) -> None:
        self._count += 1
        if self._count > MAX_OPERATIONS:
            raise ModelFault(
                f"the program has more than {MAX_OPERATIONS} tensor operations",
                hint="loops and functions are unrolled; put work into larger tensors instead",
            )
        operation.location = self.location
        self._block.add_op(operation)

    def array(self, array: NDArray[np.generic]) -> TensorValue:
        return self.emit(graph.ConstantOp, array)

    def reshape(self, x: TensorValue, shape: Sequence[int]) -> TensorValue:
        check_shape(Tensor(x.type, tuple(shape)))
        return x if tuple(shape) == x.shape else self.emit(graph.ReshapeOp, x.ssa, shape)

    def broadcast(self, x: TensorValue, shape: Sequence[int]) -> TensorValue:
        check_shape(Tensor(x.type, tuple(shape)))
        return x if tuple(shape) == x.shape else self.emit(graph.BroadcastOp, x.ssa, shape)

    def transpose(self, x: TensorValue, permutation: Sequence[int]) -> TensorValue:
        same = list(permutation) == list(range(len(x.shape)))
        return x if same else self.emit(graph.TransposeOp, x.ssa, permutation)

    def matmul(self, a: TensorValue, b: TensorValue, transpose_b: bool = False, precision: str | None = None) -> TensorValue:
        """As NumPy's `@`: a vector is a row on the left and a column on the right. `transpose_b`: b is [.., N, K]."""
        if not a.shape or not b.shape:
            raise ModelFault(f"a matrix product of {a.tensor} and {b.tensor}: a scalar has no axis", hint="use *")
        left = self.reshape(a, (1, *a.shape)) if len(a.shape) == 1 else a
        right = b
        if len(b.shape) == 1:
            right = self.reshape(b, (1, *b.shape) if transpose_b else (*b.shape, 1))
        if len(right.shape) > 2 and len(left.shape) == 2:
            left = self.broadcast(left, (*right.shape[:-2], *left.shape))
        product = self.emit(graph.MatmulOp, left.ssa, right.ssa, transpose_b, precision)
        kept = product.shape[:-1] if len(b.shape) == 1 else product.shape
        if len(a.shape) == 1:
            kept = (*kept[:-1],) if len(b.shape) == 1 else (*kept[:-2], kept[-1])
        return self.reshape(product, kept)


class Emitter(GraphEmitter):
    """For the tensor language: `place` is a line and a column of its source file."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self._file = file
        self._locations: dict[Place, LocationAttr] = {}
        self.place = Place(1, 1)

    @property
    def place(self) -> Place:
        return self._place

    @place.setter
    def place(self, place: Place) -> None:
        self._place = place
        if place not in self._locations:
            self._locations[place] = source_location(self._file, *place)
        self.location = self._locations[place]

    def constant(self, value: AnyValue, element: ElementType) -> TensorValue:
        """A number or nested list as a tensor of the element type. Raises ModelFault when it is not one."""
        return self.array(literal(value, element))
