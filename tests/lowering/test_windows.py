"""Windows: heads of attention that lie side by side on the lanes, against NumPy, in programs on both machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.cli.random_inputs import random_inputs
from compiler.lowering.views import View, fixed_windows, row_strides
from compiler.session import compile_file, run_and_compare
from isa.chip import load_chip

LANES = 8


def elements(view: View) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """(row, column) of every element, as row · 1000 + column."""
    found = np.full(view.shape, view.offset * 1000 + view.tile * LANES + view.column, np.int64) + np.arange(view.columns)
    steps = view.column_steps or (0,) * len(view.leading)
    for axis, (row, column) in enumerate(zip(view.strides, steps, strict=True)):
        shape = [1] * found.ndim
        shape[axis] = view.leading[axis]
        found = found + (row * 1000 + column) * np.arange(view.leading[axis]).reshape(shape)
    return found


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[View, tuple[int, ...]]:
    """A view, its leading axes in any order, and another shape of as many elements."""
    leading = tuple(draw(st.lists(st.integers(1, 4), min_size=0, max_size=3)))
    columns = draw(st.sampled_from([1, 2, 4, 8, 12, 16]))
    view = View("b", leading, row_strides(leading), 0, columns)
    if draw(st.booleans()):
        split = view.windowed((*leading, 2), columns // 2, LANES) if columns > 1 else None
        view = split or view
    view = view.permuted(draw(st.permutations(range(len(view.leading)))))
    rest, shape = prod(view.shape), []
    while rest > 1 and len(shape) < 4:
        shape.append(draw(st.sampled_from([n for n in range(1, rest + 1) if rest % n == 0])))
        rest //= shape[-1]
    return view, (*shape, rest)


@settings(deadline=None)
@given(reshapes())
def test_a_reshaped_view_has_the_same_elements_in_order(case: tuple[View, tuple[int, ...]]) -> None:
    view, shape = case
    found = view.windowed(shape[:-1], shape[-1], LANES)
    if found is None:
        return
    assert found.shape == shape
    assert np.array_equal(elements(found).ravel(), elements(view).ravel())
    for fixed in fixed_windows([found]):
        tile = fixed[0].tiled(LANES)
        assert tile.column < LANES
        assert np.array_equal(elements(tile), elements(fixed[0]))


@pytest.mark.parametrize(
    ("leading", "columns", "shape"),
    [((4, 3), 8, (2, 2, 3, 8)), ((6,), 16, (6, 4, 4)), ((6,), 16, (2, 3, 2, 8)), ((5,), 4, (1, 5, 2, 2)), ((3, 1), 8, (3, 8))],
)
def test_splitting_moves_nothing(leading: tuple[int, ...], columns: int, shape: tuple[int, ...]) -> None:
    view = View("b", leading, row_strides(leading), 0, columns)
    split = view.windowed(shape[:-1], shape[-1], LANES)
    assert split is not None
    joined = split.windowed(leading, columns, LANES)
    assert joined == replace(view, strides=joined.strides if joined else ())


def test_what_would_move_is_refused() -> None:
    view = View("b", (6,), (1,), 0, 12)
    assert view.windowed((6, 4), 3, LANES) is None, "windows of 3 lanes cross the border of a tile of 8"
    assert view.windowed((3,), 24, LANES) is None, "two rows would have to lie side by side"
    heads = view.windowed((6, 3), 4, LANES)
    assert heads is not None
    assert heads.permuted((1, 0)).windowed((18,), 4, LANES) is None, "rows and windows are no single walk"


ATTENTION: dict[str, Callable[[str], str]] = {
    "heads": lambda t: f"""
        input x: {t}[6, 8]
        param w: {t}[8, 24] from "w.npz"
        fn heads(x) {{ return transpose(reshape(x, [6, 2, 4]), [1, 0, 2]) }}
        q, k, v = [heads({_narrow(t, "y")}) for y in split(x @ w, 3)]
        mixed = {_narrow(t, f"{_narrow(t, 'q @ k.T')} @ v")}
        output y = reshape(transpose(mixed, [1, 0, 2]), [6, 8]) @ w[:, :8]
    """,
    "grouped queries, a cache of keys, one row": lambda t: f"""
        input x: {t}[1, 8]
        param w: {t}[8, 8] from "w.npz"
        state keys: {t}[12, 4]
        keys[1:] = keys[:11]
        keys[0:1] = x[:, :4]
        q = reshape({_narrow(t, "x @ w")}, [4, 2])
        parts = [{_narrow(t, f"{_narrow(t, 'q[2 * j : 2 * j + 2] @ keys[:, 2 * j : 2 * j + 2].T')}"
                                f" @ keys[:, 2 * j : 2 * j + 2]")} for j in 0..2]
        output y = reshape(concat(parts, axis=0), [1, 8]) @ w
    """,
}  # fmt: skip


def _narrow(kind: str, value: str) -> str:
    return f"requantize({value}, 0.03)" if kind == "i8" else f"f16({value})"


@pytest.mark.parametrize("chip", ["tiny", "lpu-rram"])
@pytest.mark.parametrize("kind", ["i8", "f16"])
@pytest.mark.parametrize("name", ATTENTION)
def test_attention_over_windows(name: str, kind: str, chip: str, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    columns = 24 if "24" in ATTENTION[name](kind) else 8
    w = random.integers(-9, 10, (8, columns)).astype(np.int8 if kind == "i8" else np.float16)
    np.savez(tmp_path / "w.npz", w=w)
    (tmp_path / "m.lks").write_text("\n".join(line.strip() for line in ATTENTION[name](kind).splitlines()) + "\n")
    compiled = compile_file(tmp_path / "m.lks", load_chip(chip))
    run_and_compare(compiled, random_inputs(compiled.declared, 0, 2), ["fast", "reference"] if chip == "tiny" else ["fast"])
    masks = [op for op in compiled.program.operations if op.mnemonic == "write" and "mask" in op.fields]
    # Two lanes a superlane on `tiny`; i8 needs more streams there than it has, and so one operation a trip.
    assert masks or (name, chip, kind) != ("heads", "tiny", "f16"), "heads are written where the last product wants them"
