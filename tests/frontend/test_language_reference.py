"""docs/language.md: every program in it builds, every example of a function builds, and no built-in is missing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from compiler.frontend import ast, build_graph, parse_source
from compiler.frontend.builtins import BUILTINS
from compiler.frontend.syntax_errors import KEYWORDS
from compiler.weights import WeightStore
from isa.layout import NUMPY_TYPES

PAGE = (Path(__file__).parents[2] / "docs" / "language.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```lks\n(.*?)```", PAGE, re.DOTALL)
FUNCTIONS = PAGE.partition("## Built-in functions")[2].partition("## Errors")[0]
OPERATORS = PAGE.partition("## Operators")[2].partition("## Built-in functions")[0]
EXAMPLES = [
    example
    for table in (OPERATORS, FUNCTIONS)
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    for example in re.findall(r"`([^`]+)`", row)
]
PRELUDE = """
input x: f16[4, 8]; input y: f16[4, 8]; input w: f16[8, 8]; input w8: i8[8, 8]; input v: f32[4, 8]; input n: i32[4, 8]
input m: i8[4, 8]; input g: f32[8]; input b: f32[8]; input h: f16[2, 4, 8]; input table: f16[10, 8]; input ids: i32[3]
output same = x
"""


def write_weights(text: str, folder: Path) -> None:
    """weights.npz with what the program declares; sizes are worked out from its constants."""
    constants: dict[str, int] = {}
    arrays: dict[str, np.ndarray] = {}
    for node in parse_source(text, "page.lks").statements:
        if isinstance(node, ast.Const) and isinstance(node.value, ast.Number):
            constants[node.name] = int(node.value.value)
        if isinstance(node, ast.Param):
            shape = [constants[s.name] if isinstance(s, ast.Name) else s.value for s in node.type.sizes]  # type: ignore[union-attr]
            key = node.key.value if node.key else node.name
            for i in range(8):
                arrays[key.replace("{i}", str(i))] = np.ones(shape, NUMPY_TYPES[node.type.element])
    np.savez(folder / "weights.npz", **arrays)


def test_the_page_has_programs_and_examples() -> None:
    assert len(PROGRAMS) >= 4
    assert len(EXAMPLES) >= 60


@pytest.mark.parametrize("text", PROGRAMS, ids=range(len(PROGRAMS)))
def test_programs_build(text: str, tmp_path: Path) -> None:
    write_weights(text, tmp_path)
    module = build_graph(text, "page.lks", WeightStore(), tmp_path)
    module.verify()
    assert "graph.output" in str(module)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_build(example: str) -> None:
    module = build_graph(f"{PRELUDE}result = {example}", "page.lks", WeightStore())
    module.verify()


def test_every_builtin_is_on_the_page() -> None:
    shown = set(re.findall(r"`(\w+)\(", FUNCTIONS))
    assert sorted(set(BUILTINS) - shown) == []
    assert sorted(shown - set(BUILTINS)) == []


def test_every_keyword_is_on_the_page() -> None:
    listed = re.search(r"the keywords are `([^`]+)`", PAGE)
    assert listed
    assert sorted(listed[1].split()) == sorted(KEYWORDS)
