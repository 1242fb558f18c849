"""all-MiniLM-L6-v2 as a static ONNX model, from its safetensors: BERT with six layers, mean pooling, unit length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, NDArray[Any]]
HEADS = 12
EPSILON = 1e-12
MASKED = -1e4
"""What a padded place adds to the scores of attention."""
OPSET = 20


class _Builder:
    def __init__(self, weights: Weights, tokens: int, width: int) -> None:
        self.weights, self.tokens, self.width = weights, tokens, width
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def node(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: Any) -> str:
        self.constants[name] = np.asarray(array)
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def linear(self, x: str, name: str) -> str:
        w = self.constant(f"{name}.weight", np.ascontiguousarray(self.weights[f"{name}.weight"].T))
        return self.node("Add", name, self.node("MatMul", f"{name}.product", x, w), self.weight(f"{name}.bias"))

    def norm(self, x: str, name: str) -> str:
        gain, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.node("LayerNormalization", name, x, gain, bias, axis=-1, epsilon=EPSILON)

    def heads(self, x: str, order: list[int]) -> str:
        split = self.constant("heads", np.array([1, self.tokens, HEADS, self.width // HEADS]))
        return self.node("Transpose", f"{x}.heads", self.node("Reshape", f"{x}.split", x, split), perm=order)

    def layer(self, x: str, number: int, mask: str = "") -> str:
        stem = f"encoder.layer.{number}"
        attention = f"{stem}.attention"
        q, k, v = (self.linear(x, f"{attention}.self.{part}") for part in ("query", "key", "value"))
        root = self.constant("root", np.float32(1 / np.sqrt(self.width // HEADS)))
        scores = self.node("MatMul", f"{stem}.scores", self.heads(q, [0, 2, 1, 3]), self.heads(k, [0, 2, 3, 1]))
        scores = self.node("Mul", f"{stem}.scaled", scores, root)
        scores = self.node("Add", f"{stem}.masked", scores, mask) if mask else scores
        shares = self.node("Softmax", f"{stem}.shares", scores, axis=-1)
        mixed = self.node("MatMul", f"{stem}.mixed", shares, self.heads(v, [0, 2, 1, 3]))
        whole = self.constant("whole", np.array([1, self.tokens, self.width]))
        joined = self.node("Reshape", f"{stem}.joined", self.node("Transpose", f"{stem}.back", mixed, perm=[0, 2, 1, 3]), whole)
        out = self.linear(joined, f"{attention}.output.dense")
        x = self.norm(self.node("Add", f"{attention}.sum", out, x), f"{attention}.output.LayerNorm")
        inner = self.node("Gelu", f"{stem}.gelu", self.linear(x, f"{stem}.intermediate.dense"))
        out = self.linear(inner, f"{stem}.output.dense")
        return self.norm(self.node("Add", f"{stem}.sum", out, x), f"{stem}.output.LayerNorm")


def encoder(weights: Weights, tokens: int) -> onnx.ModelProto:
    """Only the layers: hidden f32 [1, tokens, width] → encoded, of the same shape; nothing is masked."""
    b = _Builder(weights, tokens, weights["encoder.layer.0.output.LayerNorm.weight"].shape[0])
    x, count = "hidden", _layers(weights)
    for number in range(count):
        x = b.layer(x, number)
    b.node("Identity", "encoded", x)
    shape = [1, tokens, b.width]
    inputs = [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, shape)]
    return _model(b, "encoder", inputs, [helper.make_tensor_value_info("encoded", TensorProto.FLOAT, shape)])


def _layers(weights: Weights) -> int:
    return sum(name.endswith("attention.self.query.weight") for name in weights)


def _model(b: _Builder, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    constants = [numpy_helper.from_array(array, key) for key, array in b.constants.items()]
    graph = helper.make_graph(b.nodes, name, inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def network(weights: Weights, tokens: int) -> onnx.ModelProto:
    """ids and mask int64 [1, tokens] → embedding f32 [1, width] of length 1."""
    b = _Builder(weights, tokens, weights["embeddings.word_embeddings.weight"].shape[1])
    words = b.node("Gather", "words", b.weight("embeddings.word_embeddings.weight"), "ids")
    places = weights["embeddings.position_embeddings.weight"][:tokens] + weights["embeddings.token_type_embeddings.weight"][0]
    x = b.norm(b.node("Add", "embedded", words, b.constant("places", places)), "embeddings.LayerNorm")
    present = b.node("Cast", "present", "mask", to=TensorProto.FLOAT)
    absent = b.node("Sub", "absent", b.constant("one", np.float32(1)), present)
    hidden = b.node("Mul", "hidden", absent, b.constant("low", np.float32(MASKED)))
    mask = b.node("Reshape", "attention_mask", hidden, b.constant("mask_shape", np.array([1, 1, 1, tokens])))
    for number in range(_layers(weights)):
        x = b.layer(x, number, mask)
    rows = b.node("Reshape", "row", present, b.constant("row_shape", np.array([1, 1, tokens])))
    width = b.constant("flat", np.array([1, b.width]))
    total = b.node("Reshape", "total", b.node("MatMul", "pooled", rows, x), width)  # the length makes sum and mean the same
    b.node("LpNormalization", "embedding", total, axis=-1, p=2)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, tokens]) for name in ("ids", "mask")]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, b.width])]
    model = _model(b, "all-MiniLM-L6-v2", inputs, outputs)
    onnx.checker.check_model(model)
    return model
