"""Nodes whose inputs are all known: computed now, by the definitions of the `onnx` package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from compiler.frontend.onnx.model import Array, Node
from isa.errors import ModelFault

MAX_ELEMENTS = 1 << 28
"""Of a result; more is left to the chip, or refused there."""


def compute(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """The outputs of a node. Raises ModelFault when the `onnx` package cannot compute it."""
    import onnx.helper

    names = [f"x{i}" if array is not None else "" for i, array in enumerate(inputs)]
    outputs = [f"y{i}" if name else "" for i, name in enumerate(node.outputs)]
    made = onnx.helper.make_node(node.op, names, outputs, domain=node.domain)
    given = {name: array for name, array in zip(names, inputs, strict=True) if array is not None}
    try:
        made.attribute.extend(_attributes(node))
        with np.errstate(all="ignore"):
            found = _evaluator(made, node).run(None, given)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelFault(f"its inputs are all constant, and computing it failed: {reason:.200}") from None
    results = iter(cast("list[Any]", found))
    return [np.asarray(next(results)) if name else np.zeros(0, np.float32) for name in outputs]


def _evaluator(made: Any, node: Node) -> Any:
    """By the operator set of the model; by the newest where the package has no evaluation of an old one."""
    from onnx.defs import onnx_opset_version
    from onnx.reference import ReferenceEvaluator

    try:
        return ReferenceEvaluator(made, opsets={node.domain: node.version})
    except RuntimeError:
        return ReferenceEvaluator(made, opsets={node.domain: onnx_opset_version()})


def _attributes(node: Node) -> list[Any]:
    """With the types that the operator's schema says: an empty list does not show its own."""
    import onnx.defs
    import onnx.helper

    schema: Any = onnx.defs.get_schema(node.op, node.version, node.domain)
    return [
        onnx.helper.make_attribute(name, _attribute(value), attr_type=schema.attributes[name].type.value)
        for name, value in node.attributes.items()
        if value is not None
    ]


def _attribute(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        import onnx.numpy_helper

        return onnx.numpy_helper.from_array(cast(Array, value))
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
