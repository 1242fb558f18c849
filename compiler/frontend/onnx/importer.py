"""An ONNX model to a graph program: one translator a node, after a list of everything that cannot be compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ModuleOp, UnknownLoc

from compiler.dialects import graph
from compiler.dialects.graph_shapes import Tensor
from compiler.frontend.onnx import fold, simplify
from compiler.frontend.onnx.element_types import chip_type
from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.load import parse_model, read_model
from compiler.frontend.onnx.model import Node, OnnxModel, Port
from compiler.frontend.onnx.registry import Call, no_translator
from compiler.frontend.onnx.translators import TRANSLATORS
from compiler.frontend.onnx.values import Value
from compiler.weights import WeightStore
from isa.errors import Location, ModelFault

if TYPE_CHECKING:
    import onnx

MOST_LISTED = 200
"""Nodes that cannot be compiled, listed one by one."""

RUN_TIME_ONLY = {
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout",
}  # fmt: skip
"""Never computed at compile time, even where their inputs are known."""

FLOATS = (1, 10, 11)
"""float32, float16 and float64 as ONNX numbers them."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An input or output: the model's name, ONNX element type and shape, and the name of the program's symbol."""

    port: Port
    symbol: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A graph program and how its symbols belong to the model's inputs and outputs."""

    module: ModuleOp
    inputs: tuple[Connection, ...]
    outputs: tuple[Connection, ...]


def import_onnx(path: Path, weights: WeightStore, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Imported:
    """The graph program of an ONNX file; arrays go into `weights`. `shapes` fixes dynamic dimensions (`simplify`).

    Raises ModelFault, with all nodes that cannot be compiled, and DataFault for files and shapes.
    """
    return import_model(read_model(path), path.name, weights, shapes)


def import_model(
    proto: onnx.ModelProto, file: str, weights: WeightStore, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> Imported:
    """As `import_onnx`, of a model in memory whose external data is loaded."""
    model = parse_model(proto, file)
    simplify.fix_shapes(model, shapes or {}, file)
    plain = simplify.plain(simplify.simplify(model, file), file)
    return _Translation(plain, weights).run()


@dataclass(frozen=True, slots=True)
class _Refused:
    node: Node
    fault: ModelFault


class _Translation:
    def __init__(self, model: OnnxModel, weights: WeightStore) -> None:
        self.model = model
        self.emitter = OnnxEmitter(model.file, weights)
        self.values: dict[str, Value] = {}
        self.refused: list[_Refused] = []
        self.unknown: set[str] = set()
        """Names whose values are not known because a node was refused."""

    def run(self) -> Imported:
        inputs = tuple(self._input(port) for port in self.model.inputs)
        for name, array in self.model.initializers.items():
            self.values[name] = Value(array.dtype.name, array.shape, array=array, name=name)
        for node in self.model.nodes:
            self._translate(node)
        if self.refused:
            raise self._summary()
        self.emitter.location = UnknownLoc()
        outputs = tuple(self._output(port) for port in self.model.outputs)
        return Imported(self.emitter.module(), inputs, outputs)

    def _input(self, port: Port) -> Connection:
        assert port.shape is not None
        symbol = self.emitter.unused_name(port.name)
        try:
            tensor = self.emitter.emit(graph.InputOp, symbol, Tensor(chip_type(port.kind), port.shape))
        except ModelFault as fault:
            raise ModelFault(f"input '{port.name}': {fault.message}", Location(self.model.file), hint=fault.hint) from None
        self.values[port.name] = self.emitter.value(tensor, port.kind)
        return Connection(port, symbol)

    def _output(self, port: Port) -> Connection:
        value = self.values.get(port.name)
        place = Location(self.model.file)
        if value is None:
            raise ModelFault(f"output '{port.name}' is computed by no node", place)
        symbol = self.emitter.unused_name(port.name)
        try:
            self.emitter.do(graph.OutputOp, symbol, self.emitter.tensor(value).ssa)
        except ModelFault as fault:
            raise ModelFault(f"output '{port.name}': {fault.message}", place, hint=fault.hint) from None
        return Connection(Port(port.name, value.kind, value.shape), symbol)

    def _translate(self, node: Node) -> None:
        if any(name in self.unknown for name in node.inputs):
            found: Sequence[Value] | None = None
            if (node.domain, node.op) not in TRANSLATORS:
                self.refused.append(_Refused(node, no_translator(node)))
        else:
            found = self._values_of(node)
        for i, name in enumerate(node.outputs):
            if not name:
                continue
            if found is None or i >= len(found):
                self._guess(name)
            else:
                self.values[name] = found[i]

    def _values_of(self, node: Node) -> Sequence[Value] | None:
        """The outputs of a node; None after a refusal."""
        self.emitter.enter(node)
        try:
            missing = [name for name in node.inputs if name and name not in self.values]
            if missing:
                raise ModelFault(f"input '{missing[0]}' is computed by no node before it")
            inputs = tuple(self.values[name] if name else None for name in node.inputs)
            found = self._outputs(node, inputs)
            absent = [name for name in node.outputs[len(found) :] if name]
            if absent:
                raise ModelFault(f"output '{absent[0]}' is not supported")
            return found
        except ModelFault as fault:
            self.refused.append(_Refused(node, fault))
        except (ValueError, IndexError, TypeError, KeyError, ArithmeticError) as error:
            # ONNX's checker lets through nodes whose inputs do not fit each other; translators need not look for all of that.
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            hint = "check the shapes, types and attributes of the node"
            self.refused.append(_Refused(node, ModelFault(f"its inputs do not fit each other: {reason:.200}", hint=hint)))
        return None

    def _outputs(self, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value]:
        arrays = [None if value is None else value.array for value in inputs]
        if self._is_folded(node, inputs):
            results = zip(node.outputs, fold.compute(node, arrays), strict=True)
            return [Value(array.dtype.name, array.shape, array=array, name=name) for name, array in results]
        translate = TRANSLATORS.get((node.domain, node.op))
        if translate is None:
            raise no_translator(node)
        found = translate(self.emitter, Call(node, inputs))
        return [found] if isinstance(found, Value) else found

    def _is_folded(self, node: Node, inputs: tuple[Value | None, ...]) -> bool:
        if node.op in RUN_TIME_ONLY or not all(v is None or v.known for v in inputs):
            return False
        first = inputs[0] if inputs else None
        # Quantised weights stay integers with their scale, for products can use them so.
        quantised = first is not None and first.kind in ("int8", "uint8") and first.rank > 1
        to_float = node.op == "DequantizeLinear" or (node.op == "Cast" and node.attributes.get("to") in FLOATS)
        return not (quantised and to_float)

    def _guess(self, name: str) -> None:
        """A stand-in of the shape that ONNX infers, so that nodes further on are looked at too."""
        kind, shape = self.model.shapes.get(name, ("unknown", ()))
        try:
            tensor = self.emitter.emit(graph.InputOp, self.emitter.unused_name(name), Tensor(chip_type(kind), shape))
            self.values[name] = self.emitter.value(tensor, kind)
        except ModelFault:
            self.unknown.add(name)

    def _summary(self) -> ModelFault:
        count = len(self.refused)
        lines = [
            f"{r.node}: {r.fault.message}" + (f" ({r.fault.hint})" if r.fault.hint else "") for r in self.refused[:MOST_LISTED]
        ]
        if count > MOST_LISTED:
            lines.append(f"… and {count - MOST_LISTED} more")
        nodes = f"{count} of {len(self.model.nodes)} nodes cannot be compiled"
        return ModelFault(nodes, Location(self.model.file), notes=tuple(lines))
