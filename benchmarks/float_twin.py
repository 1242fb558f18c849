"""A declared graph of integers as the same network in f32, for onnxruntime: what its rounding to i8 costs in accuracy.

Every tensor becomes f32, casts do nothing, so nothing is rounded on the way and nothing saturates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import tensor_of
from compiler.weights import WeightStore

Array = NDArray[Any]
OPSET = 18
BINARY = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min"}
UNARY = {"relu": "Relu", "tanh": "Tanh", "exp": "Exp", "sigmoid": "Sigmoid"}


def float_outputs(module: ModuleOp, weights: WeightStore, inputs: Mapping[str, Array]) -> dict[str, Array] | None:
    """The outputs by onnxruntime in f32; None where onnx or onnxruntime are missing."""
    try:
        import onnxruntime
    except ImportError:
        return None
    twin = _Twin(weights)
    for op in main_block(module).ops:
        twin.translate(op)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(twin.model().SerializeToString(), options)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, {k: v.astype(np.float32) for k, v in inputs.items()}), strict=True))


class _Twin:
    """ONNX nodes so far, and the name of every value."""

    def __init__(self, weights: WeightStore) -> None:
        self.weights = weights
        self.names: dict[SSAValue, str] = {}
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def translate(self, op: Operation) -> None:
        """Raises ValueError for operations that no builder here uses."""
        from onnx import TensorProto, helper

        match op:
            case graph.InputOp():
                self.names[op.result] = op.label
                self.inputs.append(helper.make_tensor_value_info(op.label, TensorProto.FLOAT, op.tensor.shape))
            case graph.OutputOp():
                self.node("Identity", [self.names[op.value]], op.label)
                self.outputs.append(helper.make_tensor_value_info(op.label, TensorProto.FLOAT, tensor_of(op.value).shape))
            case graph.ParamOp():
                self.names[op.result] = self.constant(self.weights.get(op.digest.data))
            case graph.ConstantOp():
                self.names[op.result] = self.constant(op.array)
            case _ if op.results:
                self.names[op.results[0]] = self.result(op, [self.names[v] for v in op.operands])
            case _:
                pass

    def result(self, op: Operation, x: list[str]) -> str:
        match op:
            case graph.Conv2dOp():
                w = self.node("Transpose", [x[1]], perm=[3, 2, 0, 1])
                pads, strides = op.window.pads, op.window.strides
                return self.image("Conv", [x[0], w], pads=pads, strides=strides, group=op.groups.value.data)
            case graph.MaxPool2dOp():
                window = op.window
                return self.image("MaxPool", x, kernel_shape=window.kernel, pads=window.pads, strides=window.strides)
            case graph.CastOp():
                return x[0]
            case graph.BinaryOp():
                return self.node(BINARY[op.fn.data], x)
            case graph.UnaryOp():
                return self.node(UNARY[op.fn.data], x)
            case graph.ReduceOp() if op.fn.data == "mean":
                axes = self.constant(np.array(op.axes.get_values(), np.int64))
                return self.node("ReduceMean", [x[0], axes], keepdims=int(op.keepdims is not None))
            case graph.ReshapeOp():
                return self.node("Reshape", [x[0], self.constant(np.array(op.tensor.shape, np.int64))])
            case graph.MatmulOp() if op.transpose_b is None:
                return self.node("MatMul", x)
            case _:
                raise ValueError(f"{op.name}: no builder of a network uses it, so there is no ONNX for it here")

    def image(self, kind: str, x: list[str], **attributes: Any) -> str:
        """An operation on images [H, W, C], which ONNX has as [1, C, H, W]."""
        image = self.node("Unsqueeze", [self.node("Transpose", [x[0]], perm=[2, 0, 1]), self.constant(np.zeros(1, np.int64))])
        found = self.node(kind, [image, *x[1:]], **attributes)
        return self.node("Transpose", [self.node("Squeeze", [found, self.constant(np.zeros(1, np.int64))])], perm=[1, 2, 0])

    def node(self, kind: str, x: list[str], name: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = name or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, x, [name], **attributes))
        return name

    def constant(self, array: Array) -> str:
        from onnx import numpy_helper

        wide = array if array.dtype == np.int64 else array.astype(np.float32)
        self.constants.append(numpy_helper.from_array(wide, f"c{len(self.constants)}"))
        return self.constants[-1].name

    def model(self) -> Any:
        from onnx import helper

        built = helper.make_graph(self.nodes, "twin", self.inputs, self.outputs, self.constants)
        return helper.make_model(built, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
