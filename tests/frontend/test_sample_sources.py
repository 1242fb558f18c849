"""The samples in the language: they build, and the reference evaluation agrees with NumPy in float64."""

from __future__ import annotations

import importlib.util
from math import erf
from pathlib import Path

import numpy as np

from compiler.frontend import build_graph
from compiler.reference import evaluate
from compiler.weights import WeightStore
from isa.chip import load_chip

SAMPLES = Path(__file__).parents[2] / "samples"


def run(
    sample: str, inputs: dict[str, np.ndarray], chip: str, states: dict[str, np.ndarray] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    path = SAMPLES / sample
    weights = WeightStore()
    module = build_graph(path.read_text(encoding="utf-8"), str(path), weights)
    module.verify()
    result = evaluate(module, inputs, weights, load_chip(chip), states)
    return result.outputs, result.states


def layernorm(x: np.ndarray, gain: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gain + bias


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_norm() -> None:
    x = np.random.default_rng(1).standard_normal((4, 8)).astype(np.float32)
    outputs, _ = run("norm/norm.lks", {"x": x}, "tiny")
    normal = layernorm(
        x.astype(np.float64),
        np.array([1.0, 0.5, 2.0, 1.0, 0.25, 1.5, 1.0, 0.75]),
        np.array([0.0, 0.1, -0.2, 0.3, -0.4, 0.5, 0.0, -0.1]),
    )
    np.testing.assert_allclose(outputs["normal"], normal, atol=1e-5)
    np.testing.assert_allclose(outputs["share"], softmax(normal), atol=1e-6)


def test_counter_over_six_calls() -> None:
    rng = np.random.default_rng(2)
    seen = rng.integers(-128, 128, (6, 1, 8)).astype(np.int8)
    states: dict[str, np.ndarray] = {}
    for call, x in enumerate(seen, 1):
        outputs, states = run("counter/counter.lks", {"x": x}, "tiny", states)
        total = seen[:call].sum(0, dtype=np.int64)
        assert outputs["sum_now"].tolist() == total.tolist()
        np.testing.assert_allclose(outputs["mean_now"], total / call, rtol=1e-6)
        window = np.concatenate([np.zeros((4, 1, 8), np.int8), seen[:call]])[-4:]
        assert outputs["peak"].tolist() == window.max(0).tolist()
    assert states["calls"].tolist() == [[6] * 8]


def test_transformer_block() -> None:
    stored = np.load(SAMPLES / "transformer" / "block.npz")
    w = {key: stored[key].astype(np.float64) for key in stored.files}
    x = np.random.default_rng(4).standard_normal((32, 64)).astype(np.float32)
    outputs, _ = run("transformer/block.lks", {"x": x}, "lpu-rram")
    h = x.astype(np.float64)
    q, k, v = (p.reshape(32, 4, 16).transpose(1, 0, 2) for p in np.split(layernorm(h, *w["norm0"]) @ w["w_qkv"], 3, axis=1))
    mixed = softmax(q @ k.transpose(0, 2, 1) / 4) @ v
    h = h + mixed.transpose(1, 0, 2).reshape(32, 64) @ w["w_out"]
    up = layernorm(h, *w["norm1"]) @ w["w_up"] + w["b_up"]
    gelu = up * 0.5 * (1 + np.vectorize(erf)(up / np.sqrt(2)))
    wanted = h + gelu @ w["w_down"] + w["b_down"]
    np.testing.assert_allclose(outputs["y"], wanted, atol=2e-2)


def test_transformer_weights_are_what_the_script_makes() -> None:
    path = SAMPLES / "transformer" / "make_weights.py"
    spec = importlib.util.spec_from_file_location("make_weights", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    stored = np.load(path.with_name("block.npz"))
    made = script.weights()
    assert stored.files == list(made)
    for key in made:
        np.testing.assert_array_equal(stored[key], made[key])
    assert path.with_name("block.npz").stat().st_size < 1_000_000
