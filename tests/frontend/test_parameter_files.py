"""Parameters: the three file formats, what the declaration must agree with, and files that are missing or damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from compiler.dialects.graph import ParamOp
from compiler.frontend import build_graph
from compiler.weights import WeightStore
from isa.errors import DataFault

ARRAYS = {
    "w": np.arange(6, dtype=np.float16).reshape(2, 3),
    "layer0.b": np.array([1, np.inf, np.nan], np.float32),
    "layer1.b": np.array([4, 5, 6], np.float32),
    "wide": np.zeros(3, np.float64),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.savez(tmp_path / "a.npz", **ARRAYS)
    np.savez_compressed(tmp_path / "packed.npz", **ARRAYS)
    np.save(tmp_path / "w.npy", ARRAYS["w"])
    np.save(tmp_path / "big.npy", ARRAYS["w"].astype(">f2"))
    np.savez(tmp_path / "objects.npz", w=np.array([{}, 1], object))
    save_file(ARRAYS, tmp_path / "a.safetensors")
    (tmp_path / "text.npz").write_text("not an archive")
    (tmp_path / "text.safetensors").write_text("not one either")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-30])
    (tmp_path / "folder.npz").mkdir()
    damaged = bytearray((tmp_path / "a.npz").read_bytes())
    damaged[130] ^= 0xFF
    (tmp_path / "flipped.npz").write_bytes(damaged)
    return tmp_path


def load(folder: Path, declaration: str) -> list[tuple[str, np.ndarray]]:
    weights = WeightStore()
    module = build_graph(f"{declaration}\noutput one = zeros(i8[1])", "t.lks", weights, folder)
    return [(op.label, weights.get(op.digest.data)) for op in module.walk() if isinstance(op, ParamOp)]


@pytest.mark.parametrize("file", ["a.npz", "packed.npz", "w.npy", "big.npy", "a.safetensors"])
def test_formats(folder: Path, file: str) -> None:
    ((name, array),) = load(folder, f'param w: f16[2, 3] from "{file}"')
    assert name == "w"
    assert array.dtype == np.float16
    assert array.tolist() == ARRAYS["w"].tolist()


@pytest.mark.parametrize("file", ["a.npz", "w.npy", "a.safetensors"])
def test_floats_may_be_declared_wider(folder: Path, file: str) -> None:
    ((_, array),) = load(folder, f'param w: f32[2, 3] from "{file}"')
    assert array.dtype == np.float32
    assert array.tolist() == ARRAYS["w"].tolist()


def test_bfloat16(tmp_path: Path) -> None:
    """1.5, -2, 2^-126 and infinity, by hand: a bfloat16 is the upper half of a float32."""
    header = json.dumps({"b": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    octets = np.array([0x3FC0, 0xC000, 0x0080, 0x7F80], "<u2").tobytes()
    (tmp_path / "b.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + octets)
    ((_, array),) = load(tmp_path, 'param b: f32[2, 2] from "b.safetensors"')
    assert array.tolist() == [[1.5, -2.0], [2.0**-126, np.inf]]


@pytest.mark.parametrize("file", ["a.npz", "a.safetensors"])
def test_families_and_keys(folder: Path, file: str) -> None:
    found = load(folder, f'from "{file}"\nparam b[k in 0..2]: f32[3] as "layer{{k}}.b"\nparam other: f16[2, 3] as "w"')
    assert [name for name, _ in found] == ["b.0", "b.1", "other"]
    np.testing.assert_array_equal(found[0][1], ARRAYS["layer0.b"])
    np.testing.assert_array_equal(found[1][1], ARRAYS["layer1.b"])


def test_default_key_of_a_family(folder: Path) -> None:
    np.savez(folder / "f.npz", **{"b.0": np.zeros(2, np.int8), "b.1": np.ones(2, np.int8)})
    assert [array.tolist() for _, array in load(folder, 'param b[i in 0..2]: i8[2] from "f.npz"')] == [[0, 0], [1, 1]]


def test_files_are_looked_up_beside_the_source(folder: Path) -> None:
    source = folder / "t.lks"
    module = build_graph('param w: f16[2, 3] from "a.npz"\noutput y = w', str(source), WeightStore())
    assert "graph.param" in str(module)


REFUSED = {
    'param w: f16[2, 3] from "none.npz"': (25, "there is no file 'none.npz'", ""),
    'param w: f16[2, 3] from "a.txt"': (25, "'a.txt' is no parameter file", ""),
    'param v: f16[2, 3] from "a.npz"': (25, "'a.npz' has no key 'v'", ""),
    'param b: f32[3] from "a.npz" as "layer2.b"': (22, "has no key 'layer2.b'", "did you mean"),
    'param b: f32[3] from "a.safetensors" as "layer2.b"': (22, "has no key 'layer2.b'", "did you mean"),
    'param w: f16[3, 2] from "a.npz"': (25, "'w' in 'a.npz' is f16[2, 3]; declared is f16[3, 2]", ""),
    'param w: i32[2, 3] from "a.npz"': (25, "'w' in 'a.npz' is f16[2, 3]; declared is i32[2, 3]", ""),
    'param wide: f32[3] from "a.npz"': (25, "'wide' in 'a.npz' is float64[3]; declared is f32[3]", "store it as float32"),
    'param wide: f32[3] from "a.safetensors"': (25, "is float64[3]; declared is f32[3]", "store it as float32"),
    'param w: f16[2] from "objects.npz"': (22, "damaged at key 'w'", ""),
    'param w: f16[2, 3] from "text.npz"': (25, "cannot read 'text.npz'", ""),
    'param w: f16[2, 3] from "cut.npz"': (25, "cannot read 'cut.npz'", ""),
    'param w: f16[2, 3] from "folder.npz"': (25, "cannot read 'folder.npz'", ""),
    'param w: f16[2, 3] from "flipped.npz"': (25, "'flipped.npz'", ""),
    'param w: f16[2, 3] from "empty.npy"': (25, "cannot read 'empty.npy'", ""),
    'param w: f16[2, 3] from "text.safetensors"': (25, "cannot read 'text.safetensors'", ""),
    'param w: f16[2, 3] from "w.npz\0"': (25, "", ""),
    'param w: f16[2, 3] from "' + "x" * 5000 + '.npz"': (25, "cannot read", ""),
}


@pytest.mark.parametrize("declaration", REFUSED, ids=range(len(REFUSED)))
def test_refused(folder: Path, declaration: str) -> None:
    column, message, hint = REFUSED[declaration]
    with pytest.raises(DataFault) as caught:
        load(folder, declaration)
    location = caught.value.location
    assert location is not None
    assert (location.file, location.line, location.column) == ("t.lks", 1, column)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_the_keys_are_listed(folder: Path) -> None:
    with pytest.raises(DataFault) as caught:
        load(folder, 'param v: f16[2, 3] from "a.npz"')
    assert caught.value.notes == ("its keys are w, layer0.b, layer1.b, wide",)
