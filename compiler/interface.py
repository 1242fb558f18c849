"""What the inputs and outputs of a program are to its user: names, shapes and element types of the model it came from.

A program from an ONNX model has them as the fact `model`; others speak the chip's types, and every symbol has its own name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compiler.frontend.onnx.element_types import from_chip, to_chip
from isa.errors import DataFault
from isa.layout import NUMPY_TYPES
from isa.program import Program

if TYPE_CHECKING:
    from compiler.frontend.onnx.importer import Connection

Array = NDArray[Any]
FACT = "model"

TYPE_NAMES = {"float32": "float", "float64": "double"}
"""onnxruntime's words for element types, where they differ from NumPy's."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An input or output, as onnxruntime describes it: `type` is `tensor(float)`, `tensor(int64)`, …"""

    name: str
    shape: list[int]
    type: str
    kind: str
    """The element type by its NumPy name."""
    symbol: str
    """Its name in the program."""


@dataclass(frozen=True, slots=True)
class Interface:
    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]

    def to_program(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Arrays by the model's names, in its types, as the program takes them. Raises DataFault, for all problems at once."""
        wanted = {argument.name: argument for argument in self.inputs}
        problems = [f"input '{name}' is missing" for name in wanted if name not in feed]
        problems += [f"there is no input '{name}'" for name in feed if name not in wanted]
        found: dict[str, Array] = {}
        for name, argument in wanted.items():
            if name not in feed:
                continue
            array, shape = np.asarray(feed[name]), tuple(argument.shape)
            if array.shape != shape:
                problems.append(f"input '{name}' has shape {list(array.shape)}, expected {list(shape)}")
                continue
            try:
                found[argument.symbol] = to_chip(array, argument.kind, f"input '{name}'")
            except DataFault as fault:
                problems.append(fault.message)
        if problems:
            expected = ", ".join(f"{a.name} {a.kind}{a.shape}" for a in self.inputs) or "no inputs"
            count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
            raise DataFault(
                f"{count} with the inputs", notes=tuple(problems), hint=f"the model takes {expected or 'no inputs'}"
            )
        return found

    def from_program(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """The program's outputs by the model's names, in its types."""
        return {argument.name: from_chip(outputs[argument.symbol], argument.kind) for argument in self.outputs}


def fact_of(inputs: Sequence[Connection], outputs: Sequence[Connection]) -> dict[str, list[list[str]]]:
    """What is kept in the program: name, element type and symbol of each."""
    return {
        key: [[c.port.name, c.port.kind, c.symbol] for c in connections]
        for key, connections in (("inputs", inputs), ("outputs", outputs))
    }


def interface_of(program: Program) -> Interface:
    """Of any program."""
    known: dict[str, list[list[str]]] = program.facts.get(FACT) or {}
    found: dict[str, tuple[Argument, ...]] = {}
    for key, role in (("inputs", "input"), ("outputs", "output")):
        symbols = {symbol.name: symbol for symbol in program.symbols if symbol.role == role}
        rows = known.get(key, [[name, NUMPY_TYPES[s.type].name, name] for name, s in symbols.items()])
        found[key] = tuple(
            Argument(name, list(symbols[symbol].shape), f"tensor({TYPE_NAMES.get(kind, kind)})", kind, symbol)
            for name, kind, symbol in rows
        )
    return Interface(found["inputs"], found["outputs"])
