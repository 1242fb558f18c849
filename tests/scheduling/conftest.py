"""Makes `schedule_oracle.py` and `random_flows.py` known to the tests of this folder, as fixtures of their names."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def schedule_oracle() -> ModuleType:
    """`violations(trips, scheduled, chip)`."""
    return _beside("schedule_oracle")


@pytest.fixture(scope="session")
def random_flows() -> ModuleType:
    """`random_flow(chip, seed, trips)`, `copy_trip(…)` and `placed(flow, chip, places)`."""
    return _beside("random_flows")
