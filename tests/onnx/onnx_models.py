"""Small ONNX models for tests, and what onnxruntime says they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


def element_type(kind: str) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(kind))


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[str, Sequence[int | str]]],
    outputs: Sequence[str | tuple[str, str]],
    constants: Mapping[str, np.ndarray] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """A model of these nodes; inputs are (type, shape), outputs float32 or (name, type), without a declared shape."""
    named = [(output, "float32") if isinstance(output, str) else output for output in outputs]
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, element_type(kind), shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, element_type(kind), None) for name, kind in named],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def node(op: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> onnx.NodeProto:
    """`inputs` and `outputs` are names with spaces between."""
    return helper.make_node(op, inputs.split(" "), outputs.split(" "), name=name, **attributes)


def perceptron(seed: int = 0) -> onnx.ModelProto:
    """x[n, 2, 8] → MatMul, Add, Relu → reshaped by shape arithmetic → Gemm → Softmax → y[n, 10]."""
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    nodes = [
        node("MatMul", "x w1", "a", "/fc1/MatMul"),
        node("Add", "a b1", "b", "/fc1/Add"),
        node("Relu", "b", "c"),
        node("Shape", "c", "shape"),
        node("Gather", "shape zero", "rows"),
        node("Concat", "rows rest", "flat", axis=0),
        node("Reshape", "c flat", "d"),
        node("Gemm", "d w2 b2", "e", "/fc2/Gemm", transB=1),
        node("Softmax", "e", "y", "/softmax", axis=-1),
    ]
    constants = {"w1": weights(8, 16), "b1": weights(16), "w2": weights(10, 32), "b2": weights(10)}
    constants |= {"zero": np.array([0]), "rest": np.array([-1])}
    return model(nodes, {"x": ("float32", ["n", 2, 8])}, ["y"], constants)
