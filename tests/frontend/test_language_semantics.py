"""What programs compute: the reference evaluation of small programs against plain NumPy in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.frontend import Settings, build_graph
from compiler.reference import Evaluation, evaluate
from compiler.weights import WeightStore
from isa.chip import load_chip
from isa.errors import DataFault

CHIP = load_chip("tiny")
DECLARATIONS = """
input x: f16[4, 8]; input y: f16[4, 8]; input v: f32[3, 4, 6]; input w: f32[6, 5]; input n: i32[4, 8]; input m: i8[4, 8]
input k: i8[8, 5]; input ids: i32[2, 3]; input q: f16[2, 3, 4]; input t: f16[2, 5, 4]; input g: f32[6]
"""
RNG = np.random.default_rng(3)
INPUTS: dict[str, np.ndarray] = {
    "x": RNG.standard_normal((4, 8)).astype(np.float16),
    "y": RNG.standard_normal((4, 8)).astype(np.float16),
    "v": RNG.standard_normal((3, 4, 6)).astype(np.float32),
    "w": RNG.standard_normal((6, 5)).astype(np.float32),
    "n": RNG.integers(-300, 300, (4, 8)).astype(np.int32),
    "m": RNG.integers(-20, 20, (4, 8)).astype(np.int8),
    "k": RNG.integers(-20, 20, (8, 5)).astype(np.int8),
    "ids": np.array([[0, 3, 1], [2, 2, 0]], np.int32),
    "q": RNG.standard_normal((2, 3, 4)).astype(np.float16),
    "t": RNG.standard_normal((2, 5, 4)).astype(np.float16),
    "g": RNG.uniform(0.5, 2, 6).astype(np.float32),
}
WIDE: dict[str, Any] = {
    name: array.astype(np.float64) if array.dtype.kind == "f" else array.astype(np.int64) for name, array in INPUTS.items()
}


def run(text: str, inputs: dict[str, np.ndarray], states: dict[str, np.ndarray] | None = None) -> Evaluation:
    weights = WeightStore()
    module = build_graph(text, "test.lks", weights)
    module.verify()
    return evaluate(module, inputs, weights, CHIP, states)


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def normalised(x: np.ndarray, eps: float) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)


CASES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "x + y * 0.5": ("float16", lambda i: i["x"] + i["y"] * 0.5),
    "-x - 2": ("float16", lambda i: -i["x"] - 2),
    "1 - x / 4": ("float16", lambda i: 1 - i["x"] / 4),
    "x > y": ("int8", lambda i: i["x"] > i["y"]),
    "n != 7": ("int8", lambda i: i["n"] != 7),
    "m >= [1, 2, 3, 4, 5, 6, 7, 8]": ("int8", lambda i: i["m"] >= np.arange(1, 9)),
    "m * m": ("int8", lambda i: np.clip(i["m"] * i["m"], -128, 127)),
    "max(n, 0) + 1": ("int32", lambda i: np.maximum(i["n"], 0) + 1),
    "min(x, y)": ("float16", lambda i: np.minimum(i["x"], i["y"])),
    "where(m > 0, x, -inf)": ("float16", lambda i: np.where(i["m"] > 0, i["x"], -np.inf)),
    "m @ k": ("int32", lambda i: i["m"] @ i["k"]),
    "x @ k": ("float32", lambda i: i["x"] @ i["k"]),
    "x @ y.T": ("float32", lambda i: i["x"] @ i["y"].T),
    "v @ w": ("float32", lambda i: i["v"] @ i["w"]),
    'matmul(v, w, precision="f16")': ("f16 pass", lambda i: i["v"] @ i["w"]),
    "q @ t.T": ("float32", lambda i: i["q"] @ i["t"].swapaxes(1, 2)),
    "x[1] @ y[2]": ("float32", lambda i: i["x"][1] @ i["y"][2]),
    "x[1] @ y.T": ("float32", lambda i: i["x"][1] @ i["y"].T),
    "x @ y[0]": ("float32", lambda i: i["x"] @ i["y"][0]),
    "q[0] @ t.T": ("float32", lambda i: i["q"][0] @ i["t"].swapaxes(1, 2)),
    "v[1, 2:4, ::2]": ("float32", lambda i: i["v"][1, 2:4, ::2]),
    "v[..., -1]": ("float32", lambda i: i["v"][..., -1]),
    "v[-2:, :, 1:-1]": ("float32", lambda i: i["v"][-2:, :, 1:-1]),
    "x[ids]": ("float16", lambda i: i["x"][i["ids"]]),
    "v[[2, 0, -1], :]": ("float32", lambda i: i["v"][[2, 0, -1]]),
    "gather(w, ids)": ("float32", lambda i: i["w"][i["ids"]]),
    "v.T": ("float32", lambda i: i["v"].swapaxes(1, 2)),
    "transpose(v, [2, 0, -2])": ("float32", lambda i: i["v"].transpose(2, 0, 1)),
    "reshape(v, [-1, 12])": ("float32", lambda i: i["v"].reshape(-1, 12)),
    "broadcast(g, [2, 6])": ("float32", lambda i: np.broadcast_to(i["g"], (2, 6))),
    "concat([x, y, x[0:1]], axis=0)": ("float16", lambda i: np.concatenate([i["x"], i["y"], i["x"][0:1]])),
    "stack([x, y], axis=-1)": ("float16", lambda i: np.stack([i["x"], i["y"]], axis=-1)),
    "split(x, 4)[2]": ("float16", lambda i: i["x"][:, 4:6]),
    "split(x, 2, axis=0)[1]": ("float16", lambda i: i["x"][2:]),
    "pad(x, [[1, 0], [0, 2]], value=-1)": ("float16", lambda i: np.pad(i["x"], [(1, 0), (0, 2)], constant_values=-1)),
    "sum(m)": ("int32", lambda i: i["m"].sum()),
    "sum(v, axis=[0, 2])": ("float32", lambda i: i["v"].sum((0, 2))),
    "mean(x, axis=1, keepdims=true)": ("float32", lambda i: i["x"].mean(1, keepdims=True)),
    "max(v, axis=0)": ("float32", lambda i: i["v"].max(0)),
    "min(n)": ("int32", lambda i: i["n"].min()),
    "softmax(v)": ("float32", lambda i: softmax(i["v"])),
    "softmax(v, axis=0)": ("float32", lambda i: softmax(i["v"], 0)),
    "softmax(v, axis=1)": ("float32", lambda i: softmax(i["v"], 1)),
    "layernorm(v, g, g - 1, eps=1e-3)": ("float32", lambda i: normalised(i["v"], 1e-3) * i["g"] + i["g"] - 1),
    "rmsnorm(v, g)": ("float32", lambda i: i["v"] / np.sqrt((i["v"] ** 2).mean(-1, keepdims=True) + 1e-5) * i["g"]),
    "i8(v * 100)": ("int8", lambda i: np.clip(np.rint(np.float32(INPUTS["v"] * np.float32(100))), -128, 127)),
    "cast(m, f32) * 2": ("float32", lambda i: i["m"] * 2),
    "quantize(v, 0.25)": ("int8", lambda i: np.clip(np.rint(i["v"] * 4), -128, 127)),
    "dequantize(n, 0.5)": ("float32", lambda i: i["n"] * 0.5),
    "requantize(n, 0.25)": ("int8", lambda i: np.clip(np.rint(i["n"] * 0.25), -128, 127)),
    "exp(log(abs(v) + 1))": ("float32", lambda i: np.abs(i["v"]) + 1),
    "sigmoid(v) * (1 + exp(-v))": ("float32", lambda i: np.ones((3, 4, 6))),
    "rsqrt(g) * sqrt(g) * g * recip(g)": ("float32", lambda i: np.ones(6)),
    "floor(v) + round(v)": ("float32", lambda i: np.floor(i["v"]) + np.rint(i["v"])),
    'einsum("bsd,btd->bst", q, t)': ("float32", lambda i: np.einsum("bsd,btd->bst", i["q"], i["t"])),
    'einsum("bsd,btd->tbs", q, t)': ("float32", lambda i: np.einsum("bsd,btd->tbs", i["q"], i["t"])),
    'einsum("abc,cd->dab", v, w)': ("float32", lambda i: np.einsum("abc,cd->dab", i["v"], i["w"])),
    'einsum("abc,dabe->ce", v, reshape(v, [1, 3, 4, 6]))': ("float32", lambda i: np.einsum("abc,abe->ce", i["v"], i["v"])),
    'einsum("ab,cb->ca", x, y)': ("float32", lambda i: i["y"] @ i["x"].T),
    'einsum("ab,ab->ba", v[0], v[1])': ("float32", lambda i: (i["v"][0] * i["v"][1]).T),
    'einsum("a,b->ba", g, v[0, 0])': ("float32", lambda i: np.outer(i["v"][0, 0], i["g"])),
    'einsum("ab,ab->", x, y)': ("float32", lambda i: (i["x"] * i["y"]).sum()),
    'einsum("abc->ca", v)': ("float32", lambda i: i["v"].sum(1).T),
    'einsum("ab,bc->c", v[0], w)': ("float32", lambda i: i["v"][0].sum(0) @ i["w"]),
    "concat([[1, 2], g, [0]])": ("float32", lambda i: np.concatenate([[1, 2], i["g"], [0]])),
    "iota(i32[2, 3], axis=0) * 10 + iota(i32[3])": ("int32", lambda i: np.arange(2)[:, None] * 10 + np.arange(3)),
    "full(i8[2], 3) + ones(i8[2]) - zeros(i8[2])": ("int8", lambda i: np.array([4, 4])),
    "f16([[1, 2], [3, 0.1]])": ("float16", lambda i: np.array([[1, 2], [3, 0.1]])),
    "i8([2.5, 3.5, 1000])": ("int8", lambda i: np.array([2, 4, 127])),
    "concat([x * i for i in 1..3] + [y], axis=1)": ("float16", lambda i: np.concatenate([i["x"], i["x"] * 2, i["y"]], axis=1)),
    "zeros(x.type) + x.shape[1]": ("float16", lambda i: np.full((4, 8), 8)),
}
TOLERANCE = {"float16": 2e-3, "float32": 1e-5, "f16 pass": 5e-3, "int8": 0, "int32": 0}


@pytest.mark.parametrize("expression", CASES)
def test_expression(expression: str) -> None:
    kind, expected = CASES[expression]
    found = run(f"{DECLARATIONS}\noutput result = {expression}", INPUTS).outputs["result"]
    wanted = np.asarray(expected(WIDE))
    assert found.dtype == np.dtype("float32" if kind == "f16 pass" else kind)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), rtol=TOLERANCE[kind], atol=TOLERANCE[kind])


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7 / 2 * 2", 7.0), ("6 / 2", 3), ("7 // 2 + 7 % 4", 6), ("-7 // 2", -4), ("2 - 3 - 4", -5), ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20), ("1 < 2", 1), ("0x10", 16), ("1e2", 100), ("max(2, 3) - min(2, 3)", 1), ("sqrt(16)", 4),
        ("[1, 2, 3][-1]", 3), ("[1, 2, 3][1:][0]", 2), ("[i * i for i in 0..5][4]", 16), ("[3, 4].shape[0]", 2),
        ("round(2.5)", 2),        ("-[1, 2][1]", -2), ("[i for i in 9..0 step -4][2]", 1), ("true + false", 1), ("pi > 3", 1),
    ],
)  # fmt: skip
def test_compile_time_arithmetic(expression: str, value: float) -> None:
    assert run(f"output result = f32({expression})", {}).outputs["result"] == value


def test_loops_branches_and_recursion() -> None:
    text = """
    input x: f32[8]
    fn tree(x: f32[n]) {
        if n == 1 { return x } else if n % 2 == 1 { return tree(concat([x, [0]])) }
        return tree(x[:n / 2] + x[n / 2:])
    }
    total = x[0:1]
    for i in 1..8 { total = total + x[i:i + 1] }
    rows = 0
    for row in reshape(x, [4, 2]) { rows = row + rows }
    output total
    output folded = tree(x[:7])
    output rows
    """
    x = np.arange(8, dtype=np.float32)
    outputs = run(text, {"x": x}).outputs
    assert outputs["total"].tolist() == [28]
    assert outputs["folded"].tolist() == [21]
    assert outputs["rows"].tolist() == [12, 16]


def test_function_sees_the_top_level_and_keeps_its_names_to_itself() -> None:
    text = """
    const N = 2
    input x: f32[4]
    y = x * 10
    fn f(x, times = N * 2) { y = x * times; return y, x }
    a, b = f(x + 1)
    output a
    output b
    output y
    """
    x = np.arange(4, dtype=np.float32)
    outputs = run(text, {"x": x}).outputs
    assert outputs["a"].tolist() == ((x + 1) * 4).tolist()
    assert outputs["b"].tolist() == (x + 1).tolist()
    assert outputs["y"].tolist() == (x * 10).tolist()


def test_slices_assigned() -> None:
    text = """
    input x: f32[2, 3]
    y = zeros(f32[4, 5])
    y[1:3, 2:] = x
    y[0] = 7
    y[3, -1] += 2
    y[:, 0] = [1, 2, 3, 4]
    output y
    """
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    wanted = np.zeros((4, 5), np.float32)
    wanted[1:3, 2:] = x
    wanted[0] = 7
    wanted[3, -1] += 2
    wanted[:, 0] = [1, 2, 3, 4]
    assert run(text, {"x": x}).outputs["y"].tolist() == wanted.tolist()


def test_state_read_after_assignment_is_new_and_lives_on() -> None:
    text = """
    input x: i32[2]
    state last: i32[2]
    state untouched: i32[2]
    fn push(x) { last = x; return last }
    before = last
    output now = push(x + last)
    output before
    """
    states: dict[str, np.ndarray] = {}
    seen = []
    for value in (1, 2, 3):
        result = run(text, {"x": np.full(2, value, np.int32)}, states)
        states = result.states
        seen.append((result.outputs["before"][0], result.outputs["now"][0]))
    assert seen == [(0, 1), (1, 3), (3, 6)]
    assert states["untouched"].tolist() == [0, 0]


def test_key_value_cache_of_the_reference_page() -> None:
    text = """
    input x: f32[1, 4]
    input position: i32[1, 1]
    state cache: f32[3, 4]
    cache = where(iota(i32[3, 1], axis=0) == position, x, cache)
    output cache_now = cache
    """
    states: dict[str, np.ndarray] = {}
    for place in (2, 0):
        given = {"x": np.full((1, 4), place + 1, np.float32), "position": np.full((1, 1), place, np.int32)}
        states = run(text, given, states).states
    assert states["cache"][:, 0].tolist() == [1, 0, 3]


def test_rows_of_a_state_family_written_at_run_time() -> None:
    text = """
    input x: f32[2, 4]
    input at: i32[2]
    input one: i32
    state cache[i in 0..2]: f32[5, 4]
    state row: f32[3, 4]
    fn put(value, i) { cache[i][at] = value; return cache[i] }
    a = put(x, 0)
    b = put(x * 2, 1)
    cache[1][0] = 7
    row[one] = x[1]
    output y = sum(a) + sum(cache[1])
    """
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    at = np.array([3, 1], np.int32)
    done = run(text, {"x": x, "at": at, "one": np.array(2, np.int32)})
    assert done.states["cache.0"][:, 0].tolist() == [0, 4, 0, 0, 0]
    assert done.states["cache.1"][:, 1].tolist() == [7, 10, 0, 2, 0]
    assert done.states["row"].tolist() == [[0] * 4, [0] * 4, x[1].tolist()]
    assert done.outputs["y"] == 28 + 56 + 28
    with pytest.raises(DataFault, match="scatter: index 5 into a table of 5"):
        run(text, {"x": x, "at": np.array([0, 5], np.int32), "one": np.array(0, np.int32)})


def test_constants_and_files_from_outside(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", w=np.ones(3, np.float32))
    text = 'const N = 2\nparam w: f32[N] from "w.npz"\noutput y = w * N'

    def build(settings: Settings) -> None:
        weights = WeightStore()
        module = build_graph(text, "t.lks", weights, tmp_path, settings)
        assert evaluate(module, {}, weights, CHIP).outputs["y"].tolist() == [3, 3, 3]

    build(Settings({"N": 3}, {"w.npz": tmp_path / "other.npz"}))
    with pytest.raises(DataFault, match="no constant 'M'"):
        build(Settings({"M": 3}, {"w.npz": tmp_path / "other.npz"}))
    with pytest.raises(DataFault, match=r"no parameter file 'v\.npz'"):
        build(Settings({"N": 3}, {"v.npz": tmp_path / "other.npz"}))
