"""EfficientNet-Lite0 of `samples/photo`, its weights and a photo, for `networks.py`: only where the sample has been run."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from network_case import Arrays, Case

from compiler.declare import Precision, Reading, declare_source
from isa.chip import Chip
from isa.errors import DataFault

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "photo"


def efficientnet_case(precision: str, size: int, chip: Chip) -> Case | None:
    """The first photo that the sample shows, with the sample's calibration; None where its files are not here."""
    sys.path.insert(0, str(SAMPLE))
    sample: Any = import_module("files")
    if size != sample.SIDE:
        raise DataFault(f"EfficientNet-Lite0 takes images of {sample.SIDE} by {sample.SIDE}, not {size}")
    if not sample.fetched():
        return None
    path = sample.model_file()
    samples = sample.samples() if precision == "int8" else None
    reading = Reading(cast(Precision, precision), samples=samples, calibration="minmax")
    declared = declare_source(path, chip, reading)
    inputs = {"image": sample.pixels(sample.photos()[0])}
    return Case(declared.module, declared.weights, inputs, lambda: float_logits(path, inputs))


def float_logits(path: Path, inputs: Arrays) -> Arrays | None:
    """The model's outputs by onnxruntime; None where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return {"logits": onnxruntime.InferenceSession(str(path), options).run(None, inputs)[0]}
