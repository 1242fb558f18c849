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
from isa.program import Program
from isa.spec import ElementType

INTEGERS = 1000
"""i32 inputs that index nothing lie in -INTEGERS … INTEGERS."""


def random_inputs(module: ModuleOp, seed: int, calls: int) -> list[dict[str, NDArray[Any]]]:
    """The inputs of each call: any i8, standard normal floats, i32 below the rows of every table they may index."""
    random = np.random.default_rng(seed)
    return [{name: _random_tensor(op, random) for name, op in inputs(module).items()} for _ in range(calls)]


def random_program_inputs(program: Program, seed: int, calls: int) -> list[dict[str, NDArray[Any]]]:
    """The same for a program whose source is not at hand: i32 are 0 or 1, for they may index a table of any length."""
    random = np.random.default_rng(seed)
    wanted = [symbol for symbol in program.symbols if symbol.role == "input"]
    return [{s.name: _random_array(s.type, s.shape, (0, 2), random) for s in wanted} for _ in range(calls)]


def _random_tensor(op: InputOp, random: np.random.Generator) -> NDArray[Any]:
    rows = _table_rows(op.results[0])
    return _random_array(op.tensor.type, op.tensor.shape, (0, rows) if rows else (-INTEGERS, INTEGERS + 1), random)


def _random_array(
    kind: ElementType, shape: tuple[int, ...], words: tuple[int, int], random: np.random.Generator
) -> NDArray[Any]:
    """`words`: the range of i32."""
    if kind in ("f16", "f32"):
        return np.asarray(random.standard_normal(shape)).astype(NUMPY_TYPES[kind])
    return np.asarray(random.integers(*((-128, 128) if kind == "i8" else words), shape)).astype(NUMPY_TYPES[kind])


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
