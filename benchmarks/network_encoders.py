"""Encoders for `networks.py`: BERT-base with random weights, and all-MiniLM-L6-v2 of `samples/embed` where that has been run.

Both are ONNX models that a user would bring: imported, and for int8 calibrated with one input.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
from network_case import Array, Arrays, Case

from compiler.declare import Precision, Reading, declare_source
from isa.chip import Chip

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "embed"
LAYERS, WIDTH, INNER = 12, 768, 3072
"""BERT-base (Devlin et al., 2018), without its embedding tables."""


def bert_case(layers: int = LAYERS) -> Any:
    """A builder of `layers` layers of BERT-base with random weights; the size is the number of tokens."""

    def build(precision: str, size: int, chip: Chip) -> Case:
        import onnx

        model = _sample("minilm").encoder(random_weights(layers), size)
        hidden = np.random.default_rng(1).standard_normal((1, size, WIDTH)).astype(np.float32)
        samples = {"hidden": hidden} if precision == "int8" else None
        with TemporaryDirectory() as folder:
            path = Path(folder) / "bert.onnx"
            onnx.save(model, path)
            declared = declare_source(path, chip, Reading(cast(Precision, precision), samples=samples))
        inputs = {"hidden": hidden}
        return Case(declared.module, declared.weights, inputs, lambda: float_outputs(model.SerializeToString(), inputs))

    return build


def random_weights(layers: int) -> Arrays:
    """By the names of the real ones: normal, with the spread that BERT begins its training with (0.02), gains near 1."""
    rng = np.random.default_rng(0)
    found: dict[str, Array] = {}

    def linear(name: str, columns: int, rows: int) -> None:
        found[f"{name}.weight"] = (rng.standard_normal((rows, columns)) * 0.02).astype(np.float32)
        found[f"{name}.bias"] = (rng.standard_normal(rows) * 0.02).astype(np.float32)

    def norm(name: str) -> None:
        found[f"{name}.weight"] = (1 + rng.standard_normal(WIDTH) * 0.02).astype(np.float32)
        found[f"{name}.bias"] = (rng.standard_normal(WIDTH) * 0.02).astype(np.float32)

    for number in range(layers):
        stem = f"encoder.layer.{number}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            linear(f"{stem}.{part}", WIDTH, WIDTH)
        norm(f"{stem}.attention.output.LayerNorm")
        linear(f"{stem}.intermediate.dense", WIDTH, INNER)
        linear(f"{stem}.output.dense", INNER, WIDTH)
        norm(f"{stem}.output.LayerNorm")
    return found


def minilm_case(precision: str, size: int, chip: Chip) -> Case | None:
    """The first sentence that the sample embeds, in `size` tokens; None where the sample's files are not here."""
    sample = _sample("run")
    weights, tokenizer = (sample.BUILD / Path(member).name for member in sample.FILES)
    if not weights.is_file() or not tokenizer.is_file():
        return None
    path = sample.model_file(weights, size)
    declared = declare_source(path, chip, Reading(cast(Precision, precision)))
    feed = sample.tokenised(sample.SENTENCES[:1], size, tokenizer)[0]
    inputs = {name: array.astype(np.int32) for name, array in feed.items()}
    return Case(declared.module, declared.weights, inputs, lambda: float_outputs(str(path), feed))


def float_outputs(model: str | bytes, inputs: Arrays) -> Arrays | None:
    """The model's outputs by onnxruntime; None where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model, options)
    return dict(zip((o.name for o in session.get_outputs()), session.run(None, inputs), strict=True))


def _sample(name: str) -> Any:
    for folder in (SAMPLE.parent, SAMPLE):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    return import_module(name)
