"""An onnx-ir model made static and simple: shapes fixed, functions inlined, constants folded, then plain data."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from compiler.frontend.onnx.model import Node, OnnxModel, Port
from isa.errors import DataFault, Location, ModelFault

if TYPE_CHECKING:
    import onnx_ir as ir

Shapes = Mapping[str, tuple[int, ...]]


def fix_shapes(model: ir.Model, shapes: Shapes, file: str) -> None:
    """Give every input a static shape: `shapes` has shapes by input, and extents (of one) by the name of a dimension.

    Raises DataFault for shapes that do not fit the model, and for dimensions that are not given, by name.
    """
    place = Location(file)
    inputs = {str(value.name): value for value in model.graph.inputs}
    dims = {name: [_dim(dim) for dim in value.shape] if value.shape is not None else None for name, value in inputs.items()}
    named = {dim for known in dims.values() if known for dim in known if isinstance(dim, str)}
    for name, shape in shapes.items():
        if name not in inputs and not (name in named and len(shape) == 1):
            known = ", ".join([*inputs, *sorted(named)])
            raise DataFault(f"there is no input or dimension '{name}'", place, hint=f"the model has: {known}")
        if min(shape, default=1) < 1:
            raise DataFault(f"the shape of '{name}' is {list(shape)}; sizes are at least 1", place)
    missing: list[str] = []
    for name, value in inputs.items():
        fixed = _fixed(name, dims[name], shapes, place)
        if fixed is None:
            missing.append(f"'{name}' is {_described(dims[name])}")
        else:
            value.shape = _shape(fixed)
    if missing:
        first = next(name for name, known in dims.items() if _fixed(name, known, shapes, place) is None)
        form = ",".join(str(dim) if isinstance(dim, int) else "N" for dim in dims[first] or ["N", "…"])
        example = f"--shape {first}={form}"
        if named:
            example += f", or by dimension: {' '.join(f'--shape {dim}=N' for dim in sorted(named))}"
        raise DataFault(
            f"{len(missing)} input{'s have' if len(missing) > 1 else ' has'} no fixed shape",
            place,
            notes=tuple(missing),
            hint=f"give {example}",
        )


def _fixed(name: str, dims: list[int | str | None] | None, shapes: Shapes, place: Location) -> tuple[int, ...] | None:
    """The static shape of an input; None where something is not given. Raises DataFault for a shape that does not fit."""
    if name in shapes:
        shape = shapes[name]
        fits = dims is None or (
            len(dims) == len(shape) and all(not isinstance(d, int) or d == n for d, n in zip(dims, shape, strict=True))
        )
        if not fits:
            raise DataFault(f"input '{name}' is {_described(dims)} in the model; {list(shape)} does not fit", place)
        return shape
    if dims is None:
        return None
    found = [shapes[dim][0] if isinstance(dim, str) and dim in shapes else dim for dim in dims]
    numbers = tuple(dim for dim in found if isinstance(dim, int))
    return numbers if len(numbers) == len(found) else None


def _dim(dim: Any) -> int | str | None:
    if isinstance(dim, int):
        return dim if dim > 0 else None
    return None if dim.value is None else str(dim.value)


def _described(dims: list[int | str | None] | None) -> str:
    return "of unknown rank" if dims is None else "[" + ", ".join("?" if dim is None else str(dim) for dim in dims) + "]"


def _shape(sizes: tuple[int, ...]) -> ir.Shape:
    import onnx_ir as ir

    return ir.Shape(sizes)


def simplify(model: ir.Model, file: str) -> ir.Model:
    """Inline functions, drop what nobody uses, fold constants (but for quantised weights), infer shapes.

    The optimizer helps and is not needed: where it fails the model stays as it was.
    """
    _forget_dynamic_shapes(model)
    _name_nodes(model)
    with _quiet():
        return _simplified(model, file)


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """The libraries write what they cannot do to their logs, with tracebacks; what matters of it is a fault of ours."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _simplified(model: ir.Model, file: str) -> ir.Model:
    import onnx_ir.passes.common as passes
    import onnxscript.optimizer

    try:
        passes.RemoveInitializersFromInputsPass()(model)
        passes.InlinePass()(model)
    except Exception as error:
        raise ModelFault(f"its functions cannot be inlined: {error}", Location(file)) from None
    copy = model.clone()
    try:
        onnxscript.optimizer.optimize_ir(copy, should_fold=_may_fold)
        _infer_shapes(copy)
        return copy
    except Exception:
        return model


def _may_fold(node: ir.Node) -> bool | None:
    """Quantised weights stay integers (`importer`); None leaves the rest to the optimizer."""
    first = node.inputs[0] if node.inputs else None
    if node.op_type not in ("DequantizeLinear", "Cast") or first is None or first.const_value is None:
        return None
    return False if first.const_value.dtype.name in ("INT8", "UINT8") else None


def _name_nodes(model: ir.Model) -> None:
    """A node without a name gets that of its first output, so that messages can speak of it."""
    for node in model.graph.all_nodes():
        node.name = node.name or next((str(value.name) for value in node.outputs if value.name), None)


def _infer_shapes(model: ir.Model) -> None:
    import onnx_ir.passes.common as passes

    passes.ShapeInferencePass()(model)


def _forget_dynamic_shapes(model: ir.Model) -> None:
    """Shapes of inner values that speak of dimensions that are fixed by now would be in the way of inference."""
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if value.shape is not None and not value.shape.is_static():
                value.shape = None


def plain(model: ir.Model, file: str) -> OnnxModel:
    """The model as plain data. Raises ModelFault for element types that NumPy does not have."""
    opsets = {("" if domain == "ai.onnx" else domain): version for domain, version in model.opset_imports.items()}
    initializers: dict[str, np.ndarray[Any, Any]] = {}
    for name, value in model.graph.initializers.items():
        if value.const_value is None:
            raise ModelFault(f"tensor '{name}' has no value", Location(file))
        try:
            initializers[name] = np.asarray(value.const_value.numpy())
        except Exception as error:
            raise ModelFault(f"tensor '{name}' cannot be read: {error}", Location(file)) from None
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    nodes: list[Node] = []
    for number, node in enumerate(model.graph):
        domain = "" if node.domain == "ai.onnx" else node.domain
        version = node.version if node.version is not None else opsets.get(domain, 1)
        inputs = tuple("" if value is None else str(value.name) for value in node.inputs)
        outputs = tuple(str(value.name or "") for value in node.outputs)
        name = node.name or next((o for o in outputs if o), f"#{number}")
        attributes = {key: _plain_attribute(attribute) for key, attribute in node.attributes.items()}
        nodes.append(Node(name, node.op_type, domain, version, inputs, outputs, attributes))
        for value in node.outputs:
            if value.name and value.shape is not None and value.shape.is_static() and value.dtype is not None:
                shapes[value.name] = (_kind(value), _static(value.shape))
    inputs = tuple(_port(value) for value in model.graph.inputs)
    outputs = tuple(_port(value) for value in model.graph.outputs)
    return OnnxModel(file, inputs, outputs, initializers, tuple(nodes), shapes)


def _static(shape: ir.Shape) -> tuple[int, ...]:
    return tuple(int(cast(Any, n)) for n in shape)


def _port(value: ir.Value) -> Port:
    shape = value.shape
    static = None if shape is None or not shape.is_static() else _static(shape)
    return Port(str(value.name), _kind(value), static)


def _kind(value: ir.Value) -> str:
    if value.dtype is None:
        return "unknown"
    try:
        return str(value.dtype.numpy().name)
    except TypeError:
        return value.dtype.name.lower()


def _plain_attribute(attribute: Any) -> Any:
    """int, float, str, array or a tuple of these; None for anything else (graphs, references)."""
    value = getattr(attribute, "value", None)
    if isinstance(value, bool | int | float | str):
        return value
    if value is not None and hasattr(value, "numpy") and hasattr(value, "dtype"):
        return np.asarray(value.numpy())
    if isinstance(value, list | tuple):
        items = tuple(cast("tuple[Any, ...]", value))
        return items if all(isinstance(item, int | float | str) for item in items) else None
    return None
