"""Post-training int8: scales from samples, integer products, and data that cannot be calibrated with."""

from __future__ import annotations

import math
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
from compiler.quantisation.ranges import METHODS, Range
from compiler.session import compile_source, run_and_compare
from isa.chip import load_chip
from isa.errors import DataFault, ModelFault

LPU = load_chip("lpu-rram")
RANDOM = np.random.default_rng(6)
SAMPLES = RANDOM.standard_normal((20, 3, 2, 8)).astype(np.float32)


@pytest.fixture
def perceptron(tmp_path: Path) -> Path:
    path = tmp_path / "mlp.onnx"
    onnx.save(models.perceptron(), path)
    return path


def test_ranges_of_a_normal_tensor_with_an_outlier() -> None:
    seen = Range()
    for part in np.split(np.append(RANDOM.standard_normal(99_999), 40.0).astype(np.float32), 10):
        seen.add(part)
    assert seen.clip("minmax") == 40
    assert 3.5 < seen.clip("percentile") < 4.5
    # n values err by c² / (12 · 127²) on average, the outlier by (40 - c)²: least where c = 40 / (1 + n / (12 · 127²)).
    assert seen.clip("mse") == pytest.approx(40 / (1 + 100_000 / (12 * 127**2)), abs=40 / 128)


def test_growing_the_histogram_keeps_its_counts() -> None:
    small, both = Range(), Range()
    small.add(np.full(10, 0.3, np.float32))
    small.add(np.full(5, 7.0, np.float32))
    both.add(np.repeat(np.array([0.3, 7.0], np.float32), [10, 5]))
    assert np.array_equal(small.counts, both.counts)
    assert small.counts.sum() == 15


def test_a_tensor_of_zeros_has_the_step_one() -> None:
    seen = Range()
    seen.add(np.zeros(5, np.float32))
    assert [seen.scale(method) for method in METHODS] == [1, 1, 1]


@pytest.mark.parametrize("method", METHODS)
def test_int8_is_near_the_float_model_and_keeps_the_promises(perceptron: Path, method: Any) -> None:
    compiled = compile_source(perceptron, LPU, Reading("int8", {"n": (3,)}, {"x": SAMPLES}, method))
    block = main_block(compiled.declared)
    assert {tensor_of(op.a).type for op in block.ops if isinstance(op, graph.MatmulOp)} == {"i8"}
    assert sum(isinstance(op, graph.RequantizeOp) for op in block.ops) == 1  # bias and relu joined the first product
    (result,) = run_and_compare(compiled, [{"x": SAMPLES[0]}], ["fast"])
    (want,) = onnxruntime.InferenceSession(str(perceptron)).run(None, {"x": SAMPLES[0]})
    assert np.abs(result.outputs["y"] - want).max() < 0.05


def test_a_program_in_the_tensor_language_is_calibrated_too(tmp_path: Path) -> None:
    path = tmp_path / "p.lks"
    path.write_text("input x: f32[4, 16]\noutput y = relu(x @ iota(f32[16, 8]))\n")
    x = RANDOM.standard_normal((5, 4, 16)).astype(np.float32)
    compiled = compile_source(path, LPU, Reading("int8", {}, {"x": x}))
    (result,) = run_and_compare(compiled, [{"x": x[0]}], ["fast"])
    want = np.maximum(x[0] @ np.broadcast_to(np.arange(8, dtype=np.float32), (16, 8)), 0)
    assert np.abs(result.outputs["y"] - want).max() < 0.02 * np.abs(want).max()


@pytest.mark.parametrize("chip", ["lpu-rram", "tsp"])
def test_shares_and_norms_in_int8_are_near_the_float_model(chip: str, tmp_path: Path) -> None:
    """Flat rows and steep ones; elements far out, and a row whose elements are all but equal."""
    path = tmp_path / "p.lks"
    path.write_text("""
        input x: f32[6, 32]
        param v: f32[6, 24] from "v.npz"
        output shares = softmax(x @ transpose(x, [1, 0])) @ v
        output layer = layernorm(x, ones(f32[32]), zeros(f32[32]))
        output root = rmsnorm(x, ones(f32[32]))
    """)
    random = np.random.default_rng(0)
    v = random.standard_normal((6, 24)).astype(np.float32)
    np.savez(tmp_path / "v.npz", v=v)
    x = (random.standard_normal((6, 32)) * np.array([[0.01], [0.1], [1], [1], [2], [0]]) + 0.5).astype(np.float32)
    x[2, 3] = 12
    compiled = compile_source(path, load_chip(chip), Reading("int8", {}, {"x": x[None]}, "minmax"))
    (result,) = run_and_compare(compiled, [{"x": x}], ["fast"])
    scores = (x @ x.T).astype(np.float64)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert np.abs(result.outputs["shares"] - e / e.sum(axis=1, keepdims=True) @ v).max() < 0.3
    wide = x.std(axis=1) > 0.6
    assert wide.tolist() == [False, False, True, True, True, False]
    d = (x - x.mean(axis=1, keepdims=True))[wide]
    assert np.abs(result.outputs["layer"][wide] - d / d.std(axis=1, keepdims=True)).max() < 0.05
    assert np.abs(result.outputs["layer"][~wide]).max() < 12, "rows within a few steps: no more than rounding makes of them"
    root = x / np.sqrt((x * x).mean(axis=1, keepdims=True))
    assert np.abs(result.outputs["root"] - root)[wide].max() < 0.05


@pytest.mark.parametrize(("spread", "narrow"), [(0.3, True), (3.0, False)])
def test_maxima_of_scores_take_two_bytes_where_f16_says_them_well(spread: float, narrow: bool, tmp_path: Path) -> None:
    path = tmp_path / "p.lks"
    path.write_text("""
        input x: f32[40, 32]
        output shares = softmax(x @ transpose(x, [1, 0])) @ x
    """)
    x = (np.random.default_rng(1).standard_normal((40, 32)) * spread).astype(np.float32)
    compiled = compile_source(path, LPU, Reading("int8", {}, {"x": x[None]}, "minmax"))
    kinds = [tensor_of(op.result).type for op in main_block(compiled.declared).ops if isinstance(op, graph.CastOp)]
    assert ("f16" in kinds) == narrow
    (result,) = run_and_compare(compiled, [{"x": x}], ["fast"])
    scores = (x @ x.T).astype(np.float64)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert np.abs(result.outputs["shares"] - e / e.sum(axis=1, keepdims=True) @ x).max() < 0.03 * np.abs(x).max()


def test_gelu_between_integer_products_takes_their_scales(tmp_path: Path) -> None:
    path = tmp_path / "p.lks"
    path.write_text("""
        input x: f32[4, 16]
        param w: f32[16, 8] from "w.npz"
        output y = gelu(x @ w * 0.5) @ transpose(w, [1, 0])
    """)
    x, w = (RANDOM.standard_normal(shape).astype(np.float32) for shape in ((5, 4, 16), (16, 8)))
    np.savez(tmp_path / "w.npz", w=w)
    compiled = compile_source(path, LPU, Reading("int8", {}, {"x": x}))
    functions = [op.fn.data for op in main_block(compiled.declared).ops if isinstance(op, graph.UnaryOp)]
    assert functions == ["erf"], "nothing of its definition but the function is left"
    (result,) = run_and_compare(compiled, [{"x": x[0]}], ["fast"])
    inner = (x[0] @ w * 0.5).astype(np.float64)
    want = inner / 2 * (1 + np.vectorize(math.erf)(inner / np.sqrt(2))) @ w.T
    assert np.abs(result.outputs["y"] - want).max() < 0.03 * np.abs(want).max()


def test_int8_without_samples_says_what_is_missing(perceptron: Path) -> None:
    with pytest.raises(DataFault, match="2 float products have no scales"):
        declare_source(perceptron, LPU, Reading("int8", {"n": (3,)}))


NAN = SAMPLES.copy()
NAN[3, 1, 0, 2] = np.nan


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ({"x": SAMPLES[:, :2]}, r"shape \[20, 2, 2, 8\], expected \[3, 2, 8\]"),
        ({"x": NAN}, r"not finite: nan at \[3, 1, 0, 2\]"),
        ({"x": SAMPLES[:0]}, "holds no sample"),
        ({"z": SAMPLES}, "lacks 'x'"),
        ({"x": SAMPLES, "z": SAMPLES}, "no input 'z'"),
        ({"x": SAMPLES.astype(str)}, "of type"),
        ({"x": SAMPLES.astype(np.complex64)}, "of type complex64"),
    ],
)
def test_samples_that_do_not_fit_are_refused(perceptron: Path, samples: dict[str, Any], words: str, tmp_path: Path) -> None:
    file = tmp_path / "samples.npz"
    np.savez(file, **samples)
    with pytest.raises(DataFault, match=words):
        declare_source(perceptron, LPU, Reading("int8", {"n": (3,)}, file))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", b"\x93NUMPY"])
def test_a_file_that_is_no_archive_is_refused(perceptron: Path, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "samples.npz"
    file.write_bytes(content)
    with pytest.raises(DataFault, match="calibration data"):
        declare_source(perceptron, LPU, Reading("int8", {"n": (3,)}, file))


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    proto = models.model(
        [models.node("MatMul", "x w", "y", "/layer/3")], {"x": ("float32", [2, 2])}, ["y"], {"w": np.full((2, 2), np.inf, "f4")}
    )
    path = tmp_path / "inf.onnx"
    onnx.save(proto, path)
    with pytest.raises(ModelFault, match="'w' is not finite") as fault:
        declare_source(path, LPU, Reading("int8", {}, {"x": np.ones((2, 2), np.float32)}))
    assert "/layer/3" in str(fault.value)
