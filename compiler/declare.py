"""A source file, of whatever kind, as its declared graph: the one whose bits the reference evaluation defines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

from isa.chip import Chip
from isa.errors import DataFault, Location

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from compiler.frontend import Settings
    from compiler.frontend.onnx.importer import Connection
    from compiler.quantisation.ranges import Method
    from compiler.weights import WeightStore

Precision = Literal["f32", "f16", "i8f16", "int8"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source is read: what it leaves open, and the user decides."""

    precision: Precision = "f32"
    """Of f32 products without a precision of their own."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """Of ONNX inputs, by name, or extents of their dimensions by the name of the dimension."""
    samples: Path | Mapping[str, NDArray[Any]] | None = None
    """For int8: an .npz file, or arrays, by input: one sample or several along a new first axis."""
    calibration: Method = "mse"
    """How int8 scales follow from the samples (`compiler.quantisation.ranges`)."""
    settings: Settings | None = None
    """Of a program in the tensor language: constants and parameter files from outside."""


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
    """The declared graph of a source file, with its numerics: ONNX where the name ends in .onnx, else the tensor language.

    Parameter files and external data are looked for beside it. Raises ToolchainError.
    """
    from compiler.context import new_context
    from compiler.transforms.integer_products import IntegerProductsPass
    from compiler.transforms.set_precision import SetPrecisionPass

    declared = _read(path, reading)
    context = new_context(declared.weights, chip)
    if reading.precision == "int8":
        _calibrate(path, declared, reading, chip)
    if reading.precision == "int8" or declared.inputs or declared.outputs:
        IntegerProductsPass().apply(context, declared.module)
    SetPrecisionPass(matmul="f16" if reading.precision == "int8" else reading.precision).apply(context, declared.module)
    return declared


def _calibrate(path: Path, declared: Declared, reading: Reading, chip: Chip) -> None:
    from compiler.dialects.graph_program import inputs
    from compiler.quantisation.calibrate import calibrate
    from compiler.quantisation.points import points
    from compiler.quantisation.samples import Expected, read_samples, split_samples
    from compiler.transforms.set_precision import open_products
    from isa.layout import NUMPY_TYPES

    samples: list[dict[str, NDArray[Any]]] = []
    if reading.samples is not None:
        file = str(reading.samples) if isinstance(reading.samples, Path) else "samples"
        arrays = read_samples(reading.samples) if isinstance(reading.samples, Path) else reading.samples
        expected = {c.port.name: Expected(c.symbol, c.port.kind, c.port.shape or ()) for c in declared.inputs} or {
            name: Expected(name, NUMPY_TYPES[op.tensor.type].name, op.tensor.shape)
            for name, op in inputs(declared.module).items()
        }
        samples = split_samples(arrays, expected, file)
    elif points(declared.module):
        raise DataFault(
            f"int8 needs calibration samples: {len(open_products(declared.module))} float products have no scales",
            Location(str(path)),
            hint="give --calibrate samples.npz with arrays of typical inputs by name, or another --precision",
        )
    calibrate(declared.module, samples, reading.calibration, declared.weights, chip)


def _read(path: Path, reading: Reading) -> Declared:
    from compiler.weights import WeightStore

    weights = WeightStore()
    if path.suffix == ".onnx":
        from compiler.frontend.onnx import import_onnx

        if reading.settings:
            raise DataFault(
                "constants and parameter files are set for programs; an ONNX model has its own", Location(str(path))
            )

        found = import_onnx(path, weights, reading.shapes)
        return Declared(found.module, weights, found.inputs, found.outputs)
    from compiler.frontend import build_graph

    if reading.shapes:
        raise DataFault("shapes are for ONNX models; a program says its own", Location(str(path)), hint="leave --shape out")
    return Declared(build_graph(read_text(path), str(path), weights, path.parent, reading.settings), weights)
