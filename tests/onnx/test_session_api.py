"""`Session`: names, types and shapes of the model, in and out; and the cache behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_models as models
import onnxruntime
import pytest

from compiler import cache
from compiler.declare import Reading
from compiler.session import Session, program_of
from isa.chip import load_chip
from isa.container import program_bytes
from isa.errors import DataFault

LPU = load_chip("lpu-rram")
X = np.random.default_rng(3).standard_normal((3, 2, 8)).astype(np.float32)


@pytest.fixture
def perceptron(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "cache"))
    onnx.save(models.perceptron(), tmp_path / "mlp.onnx")
    return tmp_path / "mlp.onnx"


def test_a_session_is_shaped_like_onnxruntimes(perceptron: Path) -> None:
    ours, theirs = Session(perceptron, shapes={"n": 3}), onnxruntime.InferenceSession(str(perceptron))
    assert [(a.name, a.type) for a in ours.get_inputs()] == [(a.name, a.type) for a in theirs.get_inputs()]
    assert [(a.name, a.type) for a in ours.get_outputs()] == [(a.name, a.type) for a in theirs.get_outputs()]
    assert ours.get_inputs()[0].shape == [3, 2, 8]
    predicted = ours.cycles
    (found,), (want,) = ours.run(None, {"x": X}), theirs.run(None, {"x": X})
    assert np.allclose(found, want, atol=1e-6)
    assert np.array_equal(ours.run(["y"], {"x": X})[0], found)
    assert ours.cycles == predicted > 0


def test_every_element_type_goes_in_and_comes_out_as_in_the_model(tmp_path: Path) -> None:
    kinds = ["float32", "float16", "int8", "uint8", "int32", "int64", "bool"]
    nodes = [models.node("Identity", f"x_{kind}", f"y_{kind}") for kind in kinds]
    proto = models.model(nodes, {f"x_{kind}": (kind, [2, 3]) for kind in kinds}, [(f"y_{kind}", kind) for kind in kinds])
    onnx.save(proto, tmp_path / "all.onnx")
    feed = {f"x_{kind}": np.array([[0, 1, 100], [7, 101, 127]]).astype(kind) for kind in kinds}
    feed["x_uint8"][0, 0] = 255
    session = Session(tmp_path / "all.onnx", use_cache=False)
    for argument, found in zip(session.get_outputs(), session.run(None, feed), strict=True):
        want = feed[argument.name.replace("y_", "x_")]
        assert found.dtype == want.dtype
        assert np.array_equal(found, want), argument.name


def test_a_program_file_keeps_the_names_of_its_model(perceptron: Path) -> None:
    path = perceptron.with_suffix(".lbin")
    path.write_bytes(program_bytes(program_of(perceptron, LPU, Reading("f32", {"n": (3,)}))[0]))
    assert np.array_equal(Session(path).run(None, {"x": X})[0], Session(perceptron, shapes={"n": 3}).run(None, {"x": X})[0])


@pytest.mark.parametrize(
    ("feed", "words"),
    [
        ({}, "input 'x' is missing"),
        ({"x": X, "z": X}, "no input 'z'"),
        ({"x": X[:2]}, r"shape \[2, 2, 8\], expected \[3, 2, 8\]"),
        ({"x": X.astype(np.float64)}, "type float64, expected float32"),
    ],
)
def test_wrong_inputs_are_named(perceptron: Path, feed: Any, words: str) -> None:
    with pytest.raises(DataFault) as fault:
        Session(perceptron, shapes={"n": 3}).run(None, feed)
    import re

    assert re.search(words, " ".join(fault.value.notes))


def test_integers_beyond_32_bits_are_refused(tmp_path: Path) -> None:
    proto = models.model([models.node("Identity", "i", "y")], {"i": ("int64", [2])}, [("y", "int64")])
    onnx.save(proto, tmp_path / "i.onnx")
    with pytest.raises(DataFault) as fault:
        Session(tmp_path / "i.onnx", use_cache=False).run(None, {"i": np.array([1, 2**40])})
    assert "beyond the 32 bits" in fault.value.notes[0]


# The cache


def get(path: Path, n: int = 3, precision: Any = "f32") -> tuple[bytes, bool]:
    program, cached = program_of(path, LPU, Reading(precision, {"n": (n,)}))
    return program_bytes(program), cached


def test_a_second_compile_finds_the_same_program(perceptron: Path) -> None:
    first, again = get(perceptron), get(perceptron)
    assert (first[1], again[1]) == (False, True)
    assert first[0] == again[0]
    assert [get(perceptron, 2)[1], get(perceptron, 3, "f16")[1]] == [False, False]
    onnx.save(models.perceptron(seed=1), perceptron)
    assert not get(perceptron)[1]


def test_samples_are_part_of_the_key(perceptron: Path) -> None:
    def key(samples: Any) -> str | None:
        return cache.key_of(perceptron, LPU, Reading("int8", {"n": (3,)}, samples), None)

    assert key({"x": X}) == key({"x": X.copy()}) != key({"x": X + 1})


def test_a_damaged_entry_only_costs_time(perceptron: Path) -> None:
    first = get(perceptron)
    (entry,) = (perceptron.parent / "cache").glob("*.lbin")
    entry.write_bytes(entry.read_bytes()[:-100])
    assert get(perceptron) == (first[0], False)
    assert get(perceptron) == (first[0], True)


def test_the_cache_can_be_switched_off(perceptron: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_CACHE", "off")
    assert [get(perceptron)[1], get(perceptron)[1]] == [False, False]
    assert not (perceptron.parent / "cache").exists()


def test_a_full_disk_and_a_folder_that_is_a_file_only_cost_time(perceptron: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(cache, "write_whole", full)
        assert [get(perceptron)[1], get(perceptron)[1]] == [False, False]
    (perceptron.parent / "file").write_text("")
    monkeypatch.setenv("LOCKSTEP_CACHE", str(perceptron.parent / "file"))
    assert [get(perceptron)[1], get(perceptron)[1]] == [False, False]


def test_what_was_used_longest_ago_makes_room(perceptron: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(get(perceptron, 1)[0])
    get(perceptron, 2)
    folder = perceptron.parent / "cache"
    for age, path in enumerate(sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime_ns)):
        os.utime(path, (age, age))
    monkeypatch.setenv("LOCKSTEP_CACHE_BYTES", str(int(size * 2.5)))
    get(perceptron, 3)
    assert len(list(folder.iterdir())) == 2
    assert not get(perceptron, 1)[1]


def test_several_processes_may_write_the_same_entry(perceptron: Path) -> None:
    code = f"import sys; from compiler.session import Session\nprint(Session({str(perceptron)!r}, shapes={{'n': 3}}).cycles)"
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert len({run.communicate()[0] for run in runs}) == 1
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert [path.suffix for path in (perceptron.parent / "cache").iterdir()] == [".lbin"]
    shutil.rmtree(perceptron.parent / "cache")
