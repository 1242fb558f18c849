"""An ONNX model as plain data: what the rest of the importer sees of onnx-ir."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the model. Element types are NumPy names (`element_types`)."""

    name: str
    kind: str
    shape: tuple[int, ...] | None
    """None for outputs whose shape the model does not say."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operator. Absent optional inputs and unused outputs are empty names."""

    name: str
    op: str
    domain: str
    version: int
    """Of the operator set of the domain."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    """int, float, str, array, or tuple of these; None for graphs and other things that only control flow has."""

    def __str__(self) -> str:
        domain = f"{self.domain}." if self.domain else ""
        return f"{domain}{self.op} '{self.name}'"


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """Nodes in topological order, static shapes, no functions."""

    file: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    initializers: Mapping[str, Array]
    nodes: tuple[Node, ...]
    shapes: Mapping[str, tuple[str, tuple[int, ...]]]
    """Element type and shape of values where ONNX's own shape inference knows them."""
