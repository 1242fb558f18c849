"""Modules that tests of several folders share, as fixtures: `hand_programs`, `mutations` and `tiny_llama`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load_beside(name: str) -> ModuleType:
    """The module `name`.py of this folder."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def hand_programs() -> ModuleType:
    """Small legal programs and the means to write more."""
    return load_beside("hand_programs")


@pytest.fixture(scope="session")
def mutations() -> ModuleType:
    """`mutants(program)` and `survivors(program, check)`."""
    return load_beside("mutations")


@pytest.fixture(scope="session")
def tiny_llama() -> ModuleType:
    """A Llama-type model with random weights, as a file."""
    return load_beside("tiny_llama")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files of tests/golden anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
