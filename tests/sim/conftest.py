"""Makes `random_programs.py` known to the tests of this folder, as the fixture of its name."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def random_programs() -> ModuleType:
    """`random_program(chip, seed)` and `outcome(program, machine)`."""
    spec = importlib.util.spec_from_file_location("random_programs", Path(__file__).with_name("random_programs.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["random_programs"] = module
    spec.loader.exec_module(module)
    return module
