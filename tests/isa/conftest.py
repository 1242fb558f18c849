"""Makes `operation_strategies.py` known to the tests of this folder, as the fixture `random_isa`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def random_isa() -> ModuleType:
    path = Path(__file__).with_name("operation_strategies.py")
    spec = importlib.util.spec_from_file_location("operation_strategies", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
