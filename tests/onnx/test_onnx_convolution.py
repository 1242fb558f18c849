"""Convolutions and pools against onnxruntime, and how they lie on the chip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_models as models
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.declare import Reading, declare_source
from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import tensor_of
from compiler.frontend.onnx.importer import import_model
from compiler.reference import evaluate
from compiler.session import compile_source, run_and_compare
from compiler.weights import WeightStore
from isa.chip import load_chip

LPU = load_chip("lpu-rram")
RANDOM = np.random.default_rng(7)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 3, 8, 9), (4, 3, 3, 3), {}),
    "padded": ((1, 3, 8, 9), (4, 3, 3, 3), {"pads": [1, 2, 0, 1], "strides": [2, 1]}),
    "same upper": ((1, 3, 8, 9), (4, 3, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((1, 3, 8, 9), (4, 3, 2, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "dilated": ((1, 2, 9, 9), (3, 2, 3, 2), {"dilations": [2, 3]}),
    "groups": ((1, 4, 5, 5), (6, 2, 3, 3), {"group": 2}),
    "depthwise": ((1, 4, 5, 5), (4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "two images": ((2, 3, 5, 6), (4, 3, 1, 1), {}),
    "one axis": ((1, 3, 12), (4, 3, 5), {"pads": [2, 2], "strides": [2]}),
}


@pytest.mark.parametrize("case", CASES)
def test_conv_computes_what_onnxruntime_does(case: str) -> None:
    shape, kernel, attributes = CASES[case]
    nodes = [models.node("Conv", "x w b", "c", **attributes), models.node("Relu", "c", "y")]
    proto = models.model(nodes, {"x": ("float32", shape)}, ["y"], {"w": floats(*kernel), "b": floats(kernel[0])})
    check(proto, {"x": floats(*shape)})


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    ],
)
def test_max_pool_computes_what_onnxruntime_does(attributes: dict[str, Any]) -> None:
    proto = models.model([models.node("MaxPool", "x", "y", **attributes)], {"x": ("float32", (2, 3, 8, 8))}, ["y"])
    check(proto, {"x": floats(2, 3, 8, 8)})


def check(proto: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> None:
    weights = WeightStore()
    module = import_model(proto, "conv.onnx", weights).module
    found = evaluate(module, inputs, weights, LPU).outputs
    for name, want in zip(found, onnxruntime.InferenceSession(proto.SerializeToString()).run(None, inputs), strict=True):
        assert found[name].shape == want.shape
        assert np.allclose(found[name], want, atol=1e-5, rtol=1e-5)


def residual_network() -> onnx.ModelProto:
    """Conv, BatchNorm as Mul and Add, Relu, a residual block with a depthwise part, Clip, pool, Gemm."""
    constants = {
        "w1": floats(8, 3, 3, 3),
        "g": np.abs(floats(8, 1, 1)),
        "a": floats(8, 1, 1),
        "w2": floats(8, 1, 3, 3),
        "b2": floats(8),
    }
    constants |= {"b2": floats(8)}
    constants |= {"w3": floats(8, 8, 1, 1), "w4": floats(5, 8), "b4": floats(5), "low": np.float32(0), "high": np.float32(6)}
    nodes = [
        models.node("Conv", "x w1", "c1", strides=[2, 2], pads=[1, 1, 1, 1]),
        models.node("Mul", "c1 g", "m1"),
        models.node("Add", "m1 a", "a1"),
        models.node("Relu", "a1", "r1"),
        models.node("Conv", "r1 w2 b2", "c2", group=8, pads=[1, 1, 1, 1]),
        models.node("Clip", "c2 low high", "k2"),
        models.node("Conv", "k2 w3", "c3"),
        models.node("Add", "c3 r1", "s"),
        models.node("Relu", "s", "r3"),
        models.node("GlobalAveragePool", "r3", "p"),
        models.node("Flatten", "p", "f"),
        models.node("Gemm", "f w4 b4", "y", transB=1),
    ]
    return models.model(nodes, {"x": ("float32", (1, 3, 8, 8))}, ["y"], constants)


def test_a_residual_network_computes_what_onnxruntime_does() -> None:
    check(residual_network(), {"x": floats(1, 3, 8, 8)})


def test_nothing_is_transposed_between_convolutions() -> None:
    block = main_block(import_model(residual_network(), "conv.onnx", WeightStore()).module)
    moved = [op for op in block.ops if isinstance(op, graph.TransposeOp)]
    assert len(moved) <= 2  # the image comes in as [N, C, H, W]; one value a channel goes out of the pool


@pytest.mark.parametrize("precision", ["f16", "i8f16", "int8"])
def test_a_residual_network_keeps_the_promises(precision: Any, tmp_path: Path) -> None:
    path, samples = tmp_path / "conv.onnx", floats(10, 3, 8, 8)
    onnx.save(residual_network(), path)
    compiled = compile_source(path, LPU, Reading(precision, {}, {"x": samples} if precision == "int8" else None))
    (result,) = run_and_compare(compiled, [{"x": samples[:1]}], ["fast"])
    (want,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": samples[:1]})
    assert np.abs(result.outputs["y"] - want).max() < (0.15 if precision == "int8" else 0.05) * np.abs(want).max()


def test_int8_convolutions_run_as_integers_from_end_to_end(tmp_path: Path) -> None:
    path = tmp_path / "conv.onnx"
    onnx.save(residual_network(), path)
    block = main_block(declare_source(path, LPU, Reading("int8", {}, {"x": floats(4, 3, 8, 8)})).module)
    convolutions = [op for op in block.ops if isinstance(op, graph.Conv2dOp)]
    assert [tensor_of(op.x).type for op in convolutions] == ["i8"] * 3
    assert sum(isinstance(op, graph.RequantizeOp) for op in block.ops) == 2  # the third ends in a sum


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_qlinear_conv_with_zero_points_agrees_with_onnxruntime(kind: str, tmp_path: Path) -> None:
    x = RANDOM.integers(0, 100, (1, 3, 6, 6)).astype(kind)
    constants = {
        "sx": np.float32(0.05), "zx": np.asarray(5, kind), "w": RANDOM.integers(-60, 60, (4, 3, 3, 3)).astype(np.int8),
        "sw": RANDOM.uniform(0.01, 0.02, 4).astype(np.float32), "zw": np.zeros(4, np.int8), "sy": np.float32(0.5),
        "zy": np.asarray(9, kind), "b": RANDOM.integers(-999, 999, 4).astype(np.int32),
    }  # fmt: skip
    node = models.node("QLinearConv", "x sx zx w sw zw sy zy b", "y", pads=[1, 1, 1, 1])
    proto = models.model([node], {"x": (kind, x.shape)}, [("y", kind)], constants)
    path = tmp_path / "q.onnx"
    onnx.save(proto, path)
    declared = declare_source(path, LPU, Reading())
    assert any(isinstance(op, graph.Conv2dOp) and tensor_of(op.x).type == "i8" for op in main_block(declared.module).ops)
    from compiler.frontend.onnx.element_types import from_chip, to_chip

    found = from_chip(evaluate(declared.module, {"x": to_chip(x, kind, "x")}, declared.weights, LPU).outputs["y"], kind)
    (want,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    assert np.abs(found.astype(int) - want.astype(int)).max() <= 1
    assert (found == want).mean() > 0.95


def mobile_block(path: Path) -> np.ndarray:
    """A layer, then expand, filter each channel, project, add; padding as TensorFlow's. One channel has a bias but next to no
    weight. Saves the model and gives samples."""
    rng = np.random.default_rng(4)
    shapes = {
        "stem": (3, 3, 1, 1), "expand": (12, 3, 1, 1), "depth": (12, 1, 3, 3), "project": (3, 12, 1, 1), "down": (3, 1, 3, 3),
    }  # fmt: skip
    w = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    w["depth"][5] *= 1e-12
    b = {name: rng.standard_normal(len(array)) for name, array in w.items()}
    nodes = [
        helper.make_node("Conv", ["x", "stem", "stem.b"], ["i"]),
        helper.make_node("Conv", ["i", "expand", "expand.b"], ["e"]),
        helper.make_node("Clip", ["e", "zero", "six"], ["ec"]),
        helper.make_node("Conv", ["ec", "depth", "depth.b"], ["d"], group=12, pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["d", "zero", "six"], ["dc"]),
        helper.make_node("Conv", ["dc", "project", "project.b"], ["p"]),
        helper.make_node("Add", ["p", "i"], ["s"]),
        helper.make_node("Conv", ["s", "down", "down.b"], ["y"], group=3, strides=[2, 2], auto_pad="SAME_UPPER"),
    ]
    known = {"zero": np.float32(0), "six": np.float32(6)}
    known |= {name: array.astype(np.float32) for name, array in w.items()}
    known |= {f"{name}.b": array.astype(np.float32) for name, array in b.items()}
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 3, 10, 14]), ("y", [1, 3, 5, 7]))]
    initial = [numpy_helper.from_array(np.asarray(array), name) for name, array in known.items()]
    built = helper.make_graph(nodes, "block", values[:1], values[1:], initial)
    onnx.save(helper.make_model(built, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return rng.standard_normal((4, 3, 10, 14)).astype(np.float32)


def test_a_block_of_a_mobile_network_in_int8(tmp_path: Path) -> None:
    """The scale of each quantisation is in what comes before it, whatever the bias; the numbers are near those in f32."""
    path = tmp_path / "block.onnx"
    x = mobile_block(path)
    compiled = compile_source(path, LPU, Reading("int8", samples={"x": x}, calibration="minmax"))
    quantised = [op for op in main_block(compiled.declared).ops if isinstance(op, graph.QuantizeOp)]
    assert len(quantised) == 1, "that of the input"
    (result,) = run_and_compare(compiled, [{"x": x[:1]}], ["fast", "reference"])
    (want,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": x[:1]})
    found = result.outputs["y"].astype(np.float64)
    assert (found * want).sum() / np.sqrt((found**2).sum() * (want**2).sum()) > 0.995
