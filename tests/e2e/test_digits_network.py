"""The digits sample: what the language means by digits.lks is what train.py computes, and it reads digits."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from compiler.reference import evaluate
from compiler.session import declare
from isa.chip import load_chip
from isa.container import load_program
from isa.timing import program_cycles

FOLDER = Path(__file__).resolve().parents[2] / "samples" / "digits"
MUST_ACCURACY = 0.97


def load(name: str) -> ModuleType:
    """A script of the sample's folder as a module."""
    spec = importlib.util.spec_from_file_location(f"digits_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def train() -> ModuleType:
    return load("train")


def test_the_reference_computes_what_training_did(train: ModuleType) -> None:
    """Every bit of the logits of all held-out images, and the accuracy that the README promises."""
    chip = load_chip("lpu-rram")
    module, weights = declare(FOLDER / "digits.lks", chip)
    with np.load(FOLDER / "digits.npz") as data:
        images, labels = data["images"][:: train.HELD_OUT_EVERY], data["labels"][:: train.HELD_OUT_EVERY]
    with np.load(FOLDER / "weights.npz") as data:
        layers = [train.QuantisedLayer(data[f"w{i}"], data[f"b{i}"], data[f"s{i}"]) for i in (1, 2, 3)]
    logits = np.concatenate([evaluate(module, {"x": image[None]}, weights, chip).outputs["logits"] for image in images])
    assert logits.tobytes() == train.infer(layers, images).tobytes()
    assert len(labels) == 360
    assert (logits.argmax(axis=1) == labels).mean() >= MUST_ACCURACY


def test_quantisation_rounds_to_even_and_saturates(train: ModuleType) -> None:
    layer = train.QuantisedLayer(np.eye(4, dtype=np.int8), np.array([0, 0, 400, -900], np.int32), np.full(4, 0.5, np.float32))
    last = train.QuantisedLayer(np.eye(4, dtype=np.int8), np.zeros(4, np.int32), np.ones(4, np.float32))
    logits = train.infer([layer, last], np.array([[1, 3, 0, 0]], np.int8))
    assert logits.tolist() == [[0.0, 2.0, 127.0, 0.0]]


def test_the_demo_keeps_its_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = load("demo")
    monkeypatch.setattr(demo, "BUILD", tmp_path)
    demo.main()
    shown = capsys.readouterr().out
    assert "356 of 360 held-out images = 98.89%" in shown
    assert "14,400 output bytes equal the reference" in shown
    assert shown.count("read as") == 10 + 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "digits.lasm",
        "digits.lasm.images",
        "digits.lbin",
        "digits.report.json",
    ]
    report = json.loads((tmp_path / "digits.report.json").read_text())
    assert f"{report['cycles']:,} cycles = " in shown
    assert report["cycles"] == program_cycles(load_program(tmp_path / "digits.lbin").operations, load_chip("lpu-rram"))
