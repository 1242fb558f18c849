"""Imports stay inside their layer: isa alone, compiler and sim on isa, only the command line and the library door on both."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = {"isa": {"compiler", "sim"}, "sim": {"compiler"}, "compiler": {"sim"}}
DOORS = ("compiler/cli/", "compiler/session.py")


def imported(source: str) -> set[str]:
    """Top-level packages that a module imports; '.' for an import relative to its own package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." if node.level else (node.module or "").partition(".")[0])
    return found


def trespasses(path: str, source: str) -> set[str]:
    """Packages that the module at `path` (from the top folder) must not import and does."""
    if path.startswith(DOORS):
        return set()
    return imported(source) & LAYERS[path.partition("/")[0]]


@pytest.mark.parametrize("layer", LAYERS)
def test_no_module_reaches_across(layer: str) -> None:
    modules = sorted((ROOT / layer).rglob("*.py"))
    assert modules, f"no modules in {layer}/"
    found = {
        path.relative_to(ROOT).as_posix(): trespasses(path.relative_to(ROOT).as_posix(), path.read_text()) for path in modules
    }
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_are_absolute(layer: str) -> None:
    """A relative import could climb out of its layer unseen."""
    relative = [str(path) for path in sorted((ROOT / layer).rglob("*.py")) if "." in imported(path.read_text())]
    assert relative == []


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("isa/x.py", "import sim", {"sim"}),
        ("isa/x.py", "def f():\n    from compiler.session import Session", {"compiler"}),
        ("sim/x.py", "import numpy, compiler.weights as w", {"compiler"}),
        ("compiler/x.py", "from sim.device import Device", {"sim"}),
        ("compiler/cli/run.py", "from sim.device import Device", set()),
        ("compiler/session.py", "import sim", set()),
        ("compiler/x.py", "from isa.chip import Chip\nimport simple", set()),
    ],
)
def test_the_rule_sees_a_trespass(path: str, source: str, expected: set[str]) -> None:
    assert trespasses(path, source) == expected
