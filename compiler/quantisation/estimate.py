"""The float graph in plain f32, fast: for calibration, where the last bits of a sum do not matter.

Products and functions go to NumPy as they are; what only moves data, and integers, go by the reference evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_spatial import Window
from compiler.dialects.graph_types import tensor_of
from compiler.reference import evaluate_operation
from compiler.reference.spatial import shifted
from compiler.weights import WeightStore
from isa.chip import Chip
from isa.layout import NUMPY_TYPES

Array = NDArray[Any]
Observer = Callable[[SSAValue, Array], None]

ONE = np.float32(1)


def _sigmoid(x: Array) -> Array:
    return ONE / (ONE + np.exp(-x))


UNARY: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "neg": np.negative,
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: ONE / np.sqrt(x),
    "recip": lambda x: ONE / x,
    "tanh": np.tanh,
    "floor": np.floor,
    "round": np.rint,
    "sigmoid": _sigmoid,
    "silu": lambda x: x * _sigmoid(x),
}
BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum, "min": np.minimum,
}  # fmt: skip
REDUCE: dict[str, Callable[..., Array]] = {"sum": np.sum, "max": np.max, "min": np.min, "mean": np.mean}


def _softmax(x: Array) -> Array:
    grown = np.exp(x - x.max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1, keepdims=True)


def _layernorm(x: Array, gain: Array, bias: Array, eps: float) -> Array:
    d = x - x.mean(axis=-1, keepdims=True)
    return d / np.sqrt((d * d).mean(axis=-1, keepdims=True) + np.float32(eps)) * gain + bias


def _rmsnorm(x: Array, gain: Array, eps: float) -> Array:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(eps)) * gain


def _conv2d(x: Array, w: Array, window: Window, groups: int) -> Array:
    """[H, W, C] with [kh, kw, C / groups, N]: one product a kernel position, or elementwise where groups have one channel."""
    (height, width), (inner, columns) = window.sizes("conv2d", *x.shape[:2]), w.shape[2:]
    total = np.zeros((height, width, columns), np.float32)
    for (ky, kx), image in shifted(x, window, height, width, 0):
        tap = w[ky, kx]
        if inner == 1:
            total += np.repeat(image, columns // groups, axis=2) * tap[0] if columns != groups else image * tap[0]
            continue
        parts = image.reshape(height * width, groups, inner)
        kernels = tap.reshape(inner, groups, columns // groups)
        for g in range(groups):
            at = slice(g * (columns // groups), (g + 1) * (columns // groups))
            total[..., at] += (parts[:, g] @ kernels[:, g]).reshape(height, width, -1)
    return total


def _value(op: Operation, x: Sequence[Array], chip: Chip) -> Array:
    """One operation on float32 arrays."""
    match op:
        case graph.UnaryOp() if op.fn.data in UNARY:
            return UNARY[op.fn.data](x[0])
        case graph.BinaryOp() if op.fn.data in BINARY:
            return BINARY[op.fn.data](x[0], x[1])
        case graph.ReduceOp():
            return REDUCE[op.fn.data](x[0], axis=tuple(op.axes.get_values()), keepdims=op.keepdims is not None)
        case graph.MatmulOp():
            return x[0] @ (x[1].swapaxes(-1, -2) if op.transpose_b is not None else x[1])
        case graph.Conv2dOp():
            return _conv2d(x[0], x[1], op.window, op.groups.value.data)
        case graph.SoftmaxOp():
            return _softmax(x[0])
        case graph.LayerNormOp():
            return _layernorm(x[0], x[1], x[2], op.eps.value.data)
        case graph.RmsNormOp():
            return _rmsnorm(x[0], x[1], op.eps.value.data)
        case _:
            return evaluate_operation(op, x, chip)


def estimate(
    module: ModuleOp, inputs: Mapping[str, Array], weights: WeightStore, chip: Chip, observe: Observer
) -> dict[str, Array]:
    """The outputs of a program without states, near the reference ones; `observe` sees every value once."""
    operations = list(main_block(module).ops)
    last_use = {value: i for i, op in enumerate(operations) for value in op.operands}
    values: dict[SSAValue, Array] = {}
    outputs: dict[str, Array] = {}
    with np.errstate(all="ignore"):
        for i, op in enumerate(operations):
            if isinstance(op, graph.OutputOp):
                outputs[op.label] = values[op.value]
            for result in op.results:
                values[result] = _result(op, values, inputs, weights, chip)
                observe(result, values[result])
            for value in op.operands:
                if last_use[value] == i:
                    values.pop(value, None)
    return outputs


def _result(
    op: Operation, values: Mapping[SSAValue, Array], inputs: Mapping[str, Array], weights: WeightStore, chip: Chip
) -> Array:
    match op:
        case graph.InputOp():
            return inputs[op.label]
        case graph.StateOp():
            return np.zeros(op.tensor.shape, NUMPY_TYPES[op.tensor.type])
        case graph.ParamOp():
            return weights.get(op.digest.data)
        case graph.ConstantOp():
            return op.array
        case _:
            operands = [values[operand] for operand in op.operands]
            result = op.results[0]
            floats = all(array.dtype == np.float32 for array in operands) and tensor_of(result).type == "f32"
            return _value(op, operands, chip) if floats else evaluate_operation(op, operands, chip)
