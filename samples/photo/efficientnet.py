"""EfficientNet-Lite0 as a static ONNX model, from its state dict: batch norms folded into the convolutions, in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, NDArray[Any]]
EPSILON = 1e-3
"""Of the batch norms."""
BLOCKS = 16
STRIDED_BLOCKS = (1, 3, 5, 11)
"""Those that halve the image: the first of the stages 2, 3, 4 and 6."""
SIDE = 224
OPSET = 17


class _Builder:
    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {"zero": np.float32(0), "six": np.float32(6)}  # pyright: ignore[reportAttributeAccessIssue]

    def node(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def convolution(self, x: str, name: str, norm: str, *, stride: int = 1, depthwise: bool = False, clip: bool = True) -> str:
        """Convolution, the batch norm after it, and ReLU6; padding as TensorFlow's SAME."""
        w = self.weights[f"{name}.weight"].astype(np.float64)
        gain = self.weights[f"{norm}.weight"] / np.sqrt(self.weights[f"{norm}.running_var"].astype(np.float64) + EPSILON)
        self.constants[f"{name}.weight"] = (w * gain[:, None, None, None]).astype(np.float32)
        bias = self.weights[f"{norm}.bias"] - self.weights[f"{norm}.running_mean"] * gain
        self.constants[f"{name}.bias"] = bias.astype(np.float32)
        result = self.node(
            "Conv", name, x, f"{name}.weight", f"{name}.bias",
            auto_pad="SAME_UPPER", strides=[stride, stride], group=len(w) if depthwise else 1,
        )  # fmt: skip
        return self.node("Clip", f"{name}.relu6", result, "zero", "six") if clip else result

    def block(self, x: str, number: int, stride: int) -> str:
        """Expand, filter each channel, project; added to x where the shapes allow it."""
        stem, inner = f"_blocks.{number}", x
        if f"{stem}._expand_conv.weight" in self.weights:
            inner = self.convolution(inner, f"{stem}._expand_conv", f"{stem}._bn0")
        inner = self.convolution(inner, f"{stem}._depthwise_conv", f"{stem}._bn1", stride=stride, depthwise=True)
        inner = self.convolution(inner, f"{stem}._project_conv", f"{stem}._bn2", clip=False)
        channels = self.weights[f"{stem}._project_conv.weight"].shape[0]
        entering = self.weights.get(f"{stem}._expand_conv.weight", self.weights[f"{stem}._depthwise_conv.weight"])
        same = stride == 1 and channels == (entering.shape[1] if entering.shape[2] == 1 else entering.shape[0])
        return self.node("Add", f"{stem}.add", inner, x) if same else inner


def network(weights: Weights) -> onnx.ModelProto:
    """image [1, 3, 224, 224] → logits [1, 1000]."""
    b = _Builder(weights)
    x = b.convolution("image", "_conv_stem", "_bn0", stride=2)
    for number in range(BLOCKS):
        x = b.block(x, number, 2 if number in STRIDED_BLOCKS else 1)
    x = b.convolution(x, "_conv_head", "_bn1")
    x = b.node("Flatten", "features", b.node("GlobalAveragePool", "pool", x))
    b.constants |= {name: weights[name] for name in ("_fc.weight", "_fc.bias")}
    b.node("Gemm", "logits", x, "_fc.weight", "_fc.bias", transB=1)
    graph = helper.make_graph(
        b.nodes,
        "efficientnet-lite0",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1000])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in b.constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    return model
