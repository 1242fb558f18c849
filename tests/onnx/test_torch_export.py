"""torch.export → ONNX → chip, where torch is installed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.session import Session

torch: Any = pytest.importorskip("torch")


def test_an_exported_module_computes_on_the_chip_what_it_does_in_torch(tmp_path: Path) -> None:
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.LayerNorm(16), torch.nn.Linear(16, 4),
    ).eval()  # fmt: skip
    x = torch.randn(1, 3, 6, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), str(tmp_path / "model.onnx"), dynamo=True, external_data=False)
    session = Session(tmp_path / "model.onnx", use_cache=False)
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert np.allclose(found, model(x).detach().numpy(), atol=1e-4)
    assert session.cycles > 0
