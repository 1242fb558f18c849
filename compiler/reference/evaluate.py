"""Evaluate a graph-dialect module operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_program import check_program, main_block
from compiler.dialects.graph_types import source_place
from compiler.reference import elementwise, moves, reductions, spatial
from compiler.reference.matmul import matmul
from compiler.weights import WeightStore
from isa.chip import Chip
from isa.errors import DataFault, ModelFault
from isa.layout import NUMPY_TYPES

Array = NDArray[Any]
Rule = Callable[[Any, Sequence[Array], Chip], Array]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Outputs by name, and every state's value after the call."""

    outputs: dict[str, Array]
    states: dict[str, Array]


def _slice(op: graph.SliceOp, x: Sequence[Array], chip: Chip) -> Array:
    return moves.slice_of(x[0], op.offsets.get_values(), op.sizes.get_values(), op.strides.get_values())


def _pad(op: graph.PadOp, x: Sequence[Array], chip: Chip) -> Array:
    return moves.pad(x[0], op.low.get_values(), op.high.get_values(), op.fill)


def _reduce(op: graph.ReduceOp, x: Sequence[Array], chip: Chip) -> Array:
    return reductions.reduce(op.fn.data, x[0], op.axes.get_values(), op.keepdims is not None, chip)


def _matmul(op: graph.MatmulOp, x: Sequence[Array], chip: Chip) -> Array:
    precision = op.precision.data if op.precision else None
    a, b = (np.split(operand, op.group_count, axis=-1) for operand in x)
    products = [matmul(left, right, op.transpose_b is not None, precision, chip) for left, right in zip(a, b, strict=True)]
    return products[0] if len(products) == 1 else np.concatenate(products, axis=-1)


RULES: dict[type[Operation], Rule] = {
    graph.UnaryOp: lambda op, x, chip: elementwise.unary(op.fn.data, x[0]),
    graph.BinaryOp: lambda op, x, chip: elementwise.binary(op.fn.data, x[0], x[1]),
    graph.WhereOp: lambda op, x, chip: elementwise.where(x[0], x[1], x[2]),
    graph.CastOp: lambda op, x, chip: elementwise.cast(x[0], op.tensor.type),
    graph.QuantizeOp: lambda op, x, chip: elementwise.quantize(x[0], x[1]),
    graph.DequantizeOp: lambda op, x, chip: elementwise.dequantize(x[0], x[1]),
    graph.RequantizeOp: lambda op, x, chip: elementwise.requantize(x[0], x[1]),
    graph.ReduceOp: _reduce,
    graph.MatmulOp: _matmul,
    graph.Conv2dOp: lambda op, x, chip: spatial.conv2d(x[0], x[1], op.window, op.groups.value.data, chip),
    graph.DepthwiseOp: lambda op, x, chip: spatial.conv2d(x[0], x[1][:, :, None], op.window, x[1].shape[2], chip),
    graph.MaxPool2dOp: lambda op, x, chip: spatial.maxpool2d(x[0], op.window),
    graph.PackOp: lambda op, x, chip: op.packing.pack(x[0], op.lanes.value.data),
    graph.StencilOp: lambda op, x, chip: spatial.stencil(x[0], x[1], op, chip),
    graph.SoftmaxOp: lambda op, x, chip: reductions.softmax(x[0], chip),
    graph.LayerNormOp: lambda op, x, chip: reductions.layernorm(x[0], x[1], x[2], op.eps.value.data, chip),
    graph.RmsNormOp: lambda op, x, chip: reductions.rmsnorm(x[0], x[1], op.eps.value.data, chip),
    graph.ReshapeOp: lambda op, x, chip: x[0].reshape(op.tensor.shape),
    graph.TransposeOp: lambda op, x, chip: x[0].transpose(op.permutation.get_values()),
    graph.SliceOp: _slice,
    graph.TakeOp: lambda op, x, chip: x[0][..., list(op.columns.get_values())],
    graph.ConcatOp: lambda op, x, chip: np.concatenate(x, axis=op.axis.value.data),
    graph.PadOp: _pad,
    graph.GatherOp: lambda op, x, chip: moves.gather(x[0], x[1]),
    graph.ScatterOp: lambda op, x, chip: moves.scatter(x[1], x[0], x[2]),
    graph.InsertOp: lambda op, x, chip: moves.insert(x[1], x[0], op.offsets.get_values()),
    graph.BroadcastOp: lambda op, x, chip: np.broadcast_to(x[0], op.tensor.shape),
}
"""What each operation computes from the arrays of its operands, in operand order."""

DEPENDS_ON_CHIP = (graph.ReduceOp, graph.MatmulOp, graph.Conv2dOp, graph.SoftmaxOp, graph.LayerNormOp, graph.RmsNormOp)
"""Operations whose rounding depends on the chip's lanes or depth."""


def evaluate_operation(op: Operation, operands: Sequence[Array], chip: Chip) -> Array:
    """One pure operation. Raises DataFault (a gather outside its table) with the operation's source place."""
    rule = RULES.get(type(op))
    if rule is None:
        raise ModelFault(f"{op.name} has no reference evaluation", source_place(op.location))
    try:
        return np.asarray(rule(op, operands, chip))
    except DataFault as fault:
        fault.location = fault.location or source_place(op.location)
        raise


def evaluate(
    module: ModuleOp,
    inputs: Mapping[str, Array],
    weights: WeightStore,
    chip: Chip,
    states: Mapping[str, Array] | None = None,
) -> Evaluation:
    """One call of a graph-dialect program. States that are not given are zero, as before the first call.

    Raises DataFault for inputs, states or weights of the wrong name, shape or type, ModelFault for a module that is no
    program.
    """
    check_program(module)
    operations = list(main_block(module).ops)
    named_inputs = {op.label: op for op in operations if isinstance(op, graph.InputOp)}
    named_states = {op.label: op for op in operations if isinstance(op, graph.StateOp)}
    given = {
        "input": _checked("input", inputs, named_inputs),
        "state": _checked("state", states or {}, named_states),
    }
    _refuse_missing(inputs, named_inputs)
    outputs: dict[str, Array] = {}
    after = {name: given["state"].get(name, _zeros(op)) for name, op in named_states.items()}
    last_use = {value: i for i, op in enumerate(operations) for value in op.operands}
    values: dict[SSAValue, Array] = {}
    for i, op in enumerate(operations):
        if isinstance(op, graph.OutputOp):
            outputs[op.label] = np.array(values[op.value])
        elif isinstance(op, graph.UpdateOp):
            after[op.label] = np.array(values[op.value])
        elif not isinstance(op, ReturnOp):
            values[op.results[0]] = _value(op, values, given, weights, chip)
        for value in op.operands:
            if last_use[value] == i:
                values.pop(value, None)
    return Evaluation(outputs, after)


def _value(
    op: Operation,
    values: Mapping[SSAValue, Array],
    given: Mapping[str, Mapping[str, Array]],
    weights: WeightStore,
    chip: Chip,
) -> Array:
    match op:
        case graph.InputOp():
            return given["input"][op.label]
        case graph.StateOp():
            return given["state"].get(op.label, _zeros(op))
        case graph.ParamOp():
            return _checked("param", {op.label: weights.get(op.digest.data)}, {op.label: op})[op.label]
        case graph.ConstantOp():
            return op.array
        case _:
            return evaluate_operation(op, [values[operand] for operand in op.operands], chip)


def _zeros(op: graph.StateOp) -> Array:
    return np.zeros(op.tensor.shape, NUMPY_TYPES[op.tensor.type])


def _checked(kind: str, arrays: Mapping[str, Array], wanted: Mapping[str, graph.NamedOp]) -> dict[str, Array]:
    for name, array in arrays.items():
        if name not in wanted:
            known = ", ".join(wanted) or "none"
            raise DataFault(f"there is no {kind} '{name}'", hint=f"the program has: {known}")
        tensor = wanted[name].tensor
        if array.dtype != NUMPY_TYPES[tensor.type] or array.shape != tensor.shape:
            raise DataFault(f"{kind} '{name}' is {array.dtype}{list(array.shape)}, the program has {tensor}")
    return dict(arrays)


def _refuse_missing(inputs: Mapping[str, Array], wanted: Mapping[str, graph.InputOp]) -> None:
    missing = [name for name in wanted if name not in inputs]
    if missing:
        raise DataFault(f"no value for input {', '.join(repr(name) for name in missing)}")
