"""A source file, of whatever kind, as its declared graph: the one whose bits the reference evaluation defines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from isa.chip import Chip
from isa.errors import DataFault, Location

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from compiler.frontend.onnx.importer import Connection
    from compiler.weights import WeightStore

Precision = Literal["f32", "f16", "i8f16"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source is read: what it leaves open, and the user decides."""

    precision: Precision = "f32"
    """Of f32 products without a precision of their own."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """Of ONNX inputs, by name, or extents of their dimensions by the name of the dimension."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared graph and the arrays of its parameters. ONNX models also have what their inputs and outputs are."""

    module: ModuleOp
    weights: WeightStore
    inputs: tuple[Connection, ...] = ()
    outputs: tuple[Connection, ...] = ()


def read_text(path: Path) -> str:
    """The text of a source file. Raises DataFault."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataFault(f"cannot read the file: {error.strerror}", Location(str(path))) from None
    except ValueError:
        raise DataFault("the file is not UTF-8 text", Location(str(path))) from None


def declare_source(path: Path, chip: Chip, reading: Reading) -> Declared:
    """The declared graph of a source file: ONNX where the name ends in .onnx, else the tensor language.

    Parameter files and external data are looked for beside it. Raises ToolchainError.
    """
    from compiler.context import new_context
    from compiler.transforms.set_precision import SetPrecisionPass

    declared = _read(path, reading)
    SetPrecisionPass(matmul=reading.precision).apply(new_context(declared.weights, chip), declared.module)
    return declared


def _read(path: Path, reading: Reading) -> Declared:
    from compiler.weights import WeightStore

    weights = WeightStore()
    if path.suffix == ".onnx":
        from compiler.frontend.onnx import import_onnx

        found = import_onnx(path, weights, reading.shapes)
        return Declared(found.module, weights, found.inputs, found.outputs)
    from compiler.frontend import build_graph

    if reading.shapes:
        raise DataFault("shapes are for ONNX models; a program says its own", Location(str(path)), hint="leave --shape out")
    return Declared(build_graph(read_text(path), str(path), weights, path.parent), weights)
