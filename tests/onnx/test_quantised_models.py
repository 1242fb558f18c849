"""Models that bring their own scales and zero points: those are kept, and products are integer products, exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_models as models
import onnxruntime
import pytest

from compiler.declare import Reading, declare_source
from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import tensor_of
from compiler.frontend.onnx.element_types import from_chip, to_chip
from compiler.reference import evaluate
from compiler.session import compile_source, run_and_compare
from isa.chip import load_chip

LPU = load_chip("lpu-rram")
RANDOM = np.random.default_rng(5)


def run(proto: onnx.ModelProto, inputs: dict[str, np.ndarray], folder: Path, precision: Any = "f32") -> tuple[Any, graph.Graph]:
    """Outputs of the declared graph in ONNX types, and the operations of the graph."""
    path = folder / "model.onnx"
    onnx.save(proto, path)
    declared = declare_source(path, LPU, Reading(precision))
    given = {c.symbol: to_chip(inputs[c.port.name], c.port.kind, "x") for c in declared.inputs}
    found = evaluate(declared.module, given, declared.weights, LPU).outputs
    outputs = [from_chip(found[c.symbol], c.port.kind) for c in declared.outputs]
    return outputs, list(main_block(declared.module).ops)  # pyright: ignore[reportReturnType]


def expected(proto: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> Any:
    """Without onnxruntime's optimisations: their u8·s8 products saturate in 16 bits on some processors."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, inputs)


def product_types(operations: Any) -> list[str]:
    return [tensor_of(op.a).type + tensor_of(op.b).type for op in operations if isinstance(op, graph.MatmulOp)]


@pytest.mark.parametrize("kinds", [("uint8", "int8"), ("uint8", "uint8"), ("int8", "int8")])
@pytest.mark.parametrize("known", [True, False])
def test_matmul_integer_is_exact_with_zero_points(kinds: tuple[str, str], known: bool, tmp_path: Path) -> None:
    ranges = {"int8": (-128, 128), "uint8": (0, 256)}
    a, b = (RANDOM.integers(*ranges[kind], shape).astype(kind) for kind, shape in zip(kinds, ((5, 40), (40, 6)), strict=True))
    zeros = {"za": np.asarray(11, kinds[0]), "zb": np.asarray(7, kinds[1])}
    inputs: dict[str, Any] = {"a": (kinds[0], a.shape)} | ({} if known else {"b": (kinds[1], b.shape)})
    constants = zeros | ({"b": b} if known else {})
    proto = models.model([models.node("MatMulInteger", "a b za zb", "y")], inputs, [("y", "int32")], constants)
    (found,), operations = run(proto, {"a": a} if known else {"a": a, "b": b}, tmp_path)
    assert np.array_equal(found, (a.astype(int) - 11) @ (b.astype(int) - 7))
    assert product_types(operations) == ["i8i8"]


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_qlinear_matmul_agrees_with_onnxruntime(kind: str, tmp_path: Path) -> None:
    a = RANDOM.integers(0, 120, (4, 32)).astype(kind)
    zero = np.asarray(3, kind)
    constants = {
        "sa": np.float32(0.05), "za": zero, "b": RANDOM.integers(-90, 90, (32, 8)).astype(np.int8), "sb": np.float32(0.02),
        "zb": np.int8(0), "sy": np.float32(0.25), "zy": zero,
    }  # fmt: skip
    node = models.node("QLinearMatMul", "a sa za b sb zb sy zy", "y")
    proto = models.model([node], {"a": (kind, a.shape)}, [("y", kind)], constants)
    (found,), operations = run(proto, {"a": a}, tmp_path)
    (want,) = expected(proto, {"a": a})
    assert np.abs(found.astype(int) - want.astype(int)).max() <= 1  # ties may round apart
    assert (found == want).mean() > 0.9
    assert product_types(operations) == ["i8i8"]


def quantised_perceptron() -> onnx.ModelProto:
    """x → QDQ → MatMul with a QDQ weight a column, Add, Relu → QDQ → MatMul → y."""
    w1, w2 = RANDOM.integers(-127, 128, (16, 24)), RANDOM.integers(-127, 128, (24, 5))
    constants = {
        "sx": np.float32(0.03), "zx": np.uint8(120), "w1": w1.astype(np.int8),
        "z1": np.zeros(24, np.int8), "b": RANDOM.standard_normal(24).astype(np.float32),
        "sh": np.float32(0.04),
        "s1": RANDOM.uniform(0.01, 0.02, 24).astype(np.float32),
        "zh": np.uint8(0), "w2": w2.astype(np.int8), "s2": np.float32(0.01), "z2": np.int8(0),
    }  # fmt: skip
    nodes = [
        models.node("QuantizeLinear", "x sx zx", "xq"),
        models.node("DequantizeLinear", "xq sx zx", "xd"),
        models.node("DequantizeLinear", "w1 s1 z1", "w1d", axis=1),
        models.node("MatMul", "xd w1d", "m"),
        models.node("Add", "m b", "a"),
        models.node("Relu", "a", "r"),
        models.node("QuantizeLinear", "r sh zh", "rq"),
        models.node("DequantizeLinear", "rq sh zh", "rd"),
        models.node("DequantizeLinear", "w2 s2 z2", "w2d"),
        models.node("MatMul", "rd w2d", "y"),
    ]
    return models.model(nodes, {"x": ("float32", [3, 16])}, ["y"], constants)


def test_quantise_dequantise_pairs_become_integer_products(tmp_path: Path) -> None:
    proto = quantised_perceptron()
    x = RANDOM.standard_normal((3, 16)).astype(np.float32)
    (found,), operations = run(proto, {"x": x}, tmp_path)
    (want,) = expected(proto, {"x": x})
    assert product_types(operations) == ["i8i8", "i8i8"]
    assert np.abs(found - want).max() < 1e-5


def test_a_quantised_model_keeps_the_promises_on_the_chip(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(quantised_perceptron(), path)
    compiled = compile_source(path, LPU, Reading())
    run_and_compare(compiled, [{"x": RANDOM.standard_normal((3, 16)).astype(np.float32)}], ["fast"])


def test_weight_only_int8_keeps_its_scales(tmp_path: Path) -> None:
    """Cast and Mul by a scale a column, as exporters of weight-only models write it."""
    w, s = RANDOM.integers(-127, 128, (16, 8)).astype(np.int8), RANDOM.uniform(0.01, 0.02, 8).astype(np.float32)
    nodes = [models.node("Cast", "w", "wf", to=1), models.node("Mul", "wf s", "wd"), models.node("MatMul", "x wd", "y")]
    proto = models.model(nodes, {"x": ("float32", [3, 16])}, ["y"], {"w": w, "s": s})
    x = RANDOM.standard_normal((3, 16)).astype(np.float32)
    (want,) = expected(proto, {"x": x})
    (found,), operations = run(proto, {"x": x}, tmp_path, "i8f16")
    assert product_types(operations) == ["f16i8"]
    assert np.allclose(found, want, atol=2e-2)
    (found,), _ = run(proto, {"x": x}, tmp_path, "f32")
    assert np.allclose(found, want, atol=1e-5)


def test_rows_of_a_quantised_table_are_looked_up_as_integers(tmp_path: Path) -> None:
    table, s = RANDOM.integers(-127, 128, (50, 8)).astype(np.int8), RANDOM.uniform(0.01, 0.02, (50, 1)).astype(np.float32)
    nodes = [models.node("Cast", "t", "tf", to=1), models.node("Mul", "tf s", "td"), models.node("Gather", "td i", "y")]
    proto = models.model(nodes, {"i": ("int64", [6])}, ["y"], {"t": table, "s": s})
    i = RANDOM.integers(0, 50, 6)
    try:
        (found,), operations = run(proto, {"i": i}, tmp_path)
    except Exception as fault:
        if "no translator" in str(fault):
            pytest.skip("Gather has no translator yet")
        raise
    assert np.array_equal(found, (table * s)[i])
    assert {tensor_of(op.table).type for op in operations if isinstance(op, graph.GatherOp)} == {"i8", "f32"}
