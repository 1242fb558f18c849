"""Inputs for a program when the user gives none: seeded, of the right types, and inside the tables that they index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from compiler.dialects.graph import GatherOp, InputOp, ScatterOp
from compiler.dialects.graph_program import inputs
from compiler.dialects.graph_types import tensor_of
from isa.layout import NUMPY_TYPES

INTEGERS = 1000
"""i32 inputs that index nothing lie in -INTEGERS … INTEGERS."""


def random_inputs(module: ModuleOp, seed: int, calls: int) -> list[dict[str, NDArray[Any]]]:
    """The inputs of each call: any i8, standard normal floats, i32 below the rows of every table they may index."""
    random = np.random.default_rng(seed)
    return [{name: _random_tensor(op, random) for name, op in inputs(module).items()} for _ in range(calls)]


def _random_tensor(op: InputOp, random: np.random.Generator) -> NDArray[Any]:
    tensor = op.tensor
    dtype = NUMPY_TYPES[tensor.type]
    if tensor.type in ("f16", "f32"):
        return np.asarray(random.standard_normal(tensor.shape)).astype(dtype)
    low, high = (-128, 128) if tensor.type == "i8" else (-INTEGERS, INTEGERS + 1)
    if rows := _table_rows(op.results[0]):
        low, high = 0, rows
    return np.asarray(random.integers(low, high, tensor.shape)).astype(dtype)


def _table_rows(value: SSAValue) -> int:
    """Rows of the smallest table that the value, or something computed from it alone, indexes; 0 if there is none."""
    rows: list[int] = []
    ahead, seen = [value], {value}
    while ahead:
        current = ahead.pop()
        for use in current.uses:
            if isinstance(use.operation, GatherOp) and use.index == 1:
                rows.append(tensor_of(use.operation.table).shape[0])
            if isinstance(use.operation, ScatterOp) and use.index == 2:
                rows.append(tensor_of(use.operation.x).shape[0])
            for result in use.operation.results:
                if result not in seen and tensor_of(result).type == "i32":
                    seen.add(result)
                    ahead.append(result)
    return min(rows, default=0)
