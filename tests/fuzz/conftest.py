"""Makes the modules of this folder known to its tests: they import each other as they do when `run.py` is a program."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

MODULES = ("generate", "differential", "shrink", "run")


@pytest.fixture(scope="session")
def fuzz() -> Iterator[SimpleNamespace]:
    """The modules of this folder by name."""
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    sys.path.remove(folder)
    for name in MODULES:
        sys.modules.pop(name, None)
