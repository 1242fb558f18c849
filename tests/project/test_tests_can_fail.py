"""Every test can fail: each pytest function asserts something, each filecheck file runs filecheck over a CHECK line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
JUDGES = {"raises", "warns", "fail", "deprecated_call"}
"""Methods of pytest that fail a test."""
RAISERS = {"verify", "require_valid", "check_program", "run_and_compare"}
"""Functions of xDSL and ours that exist to raise unless something holds."""
FILECHECK_SUFFIXES = {".mlir", ".lks", ".lasm", ".toml"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def judges(function: ast.AST, helpers: dict[str, Function], seen: frozenset[str] = frozenset()) -> bool:
    """Whether the function, or one of this file's functions or fixtures that it uses, asserts something that could be false."""
    arguments = [a.arg for a in function.args.args] if isinstance(function, Function) else []
    called: list[str] = list(arguments)
    for node in ast.walk(function):
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant):
            return True
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            owner = ast.unparse(node.func).partition(".")[0]
            if name.startswith("assert_") or name in RAISERS or (owner == "pytest" and name in JUDGES):
                return True
            called.append(name)
    return any(n in helpers and n not in seen and judges(helpers[n], helpers, seen | {n}) for n in called)


def unable_to_fail(source: str, *shared: str) -> list[str]:
    """Names of the test functions without an assertion, given the texts of conftest files and helper modules."""
    functions = [[node for node in ast.walk(ast.parse(text)) if isinstance(node, Function)] for text in (*shared, source)]
    helpers = {f.name: f for each in functions for f in each}
    return [f.name for f in functions[-1] if f.name.startswith("test") and not judges(f, helpers)]


def filecheck_problem(text: str) -> str:
    """Why a filecheck file could pass whatever the tool does; empty if it could not."""
    joined = re.sub(r"\\\n\W*RUN:", " ", text)
    runs = re.findall(r"RUN:(.*)", joined)
    if not runs:
        return "no RUN line"
    prefixes: set[str] = set()
    for run in runs:
        if "%s" not in run.partition("filecheck")[0]:
            return f"does not run its own file: {run.strip()}"
        if not re.search(r"\|\s*(\S*/)?filecheck\s.*%s", run):
            return f"no filecheck over its own file: {run.strip()}"
        named = re.findall(r"--?check-prefix(?:es)?[= ](\S+)", run)
        prefixes |= {p for group in named for p in group.split(",")} or {"CHECK"}
    for prefix in sorted(prefixes):
        if not re.search(rf"\b{re.escape(prefix)}(-NEXT|-LABEL|-SAME|-DAG|-COUNT-\d+)?(\{{LITERAL\}})?:\s*\S", text):
            return f"no {prefix} line"
    return ""


def python_tests() -> list[Path]:
    return sorted(path for path in TESTS.rglob("test_*.py"))


def filecheck_files() -> list[Path]:
    found = (TESTS / "filecheck").rglob("*")
    return sorted(p for p in found if p.suffix in FILECHECK_SUFFIXES and "Output" not in p.parts and "Inputs" not in p.parts)


@pytest.mark.parametrize("path", python_tests(), ids=lambda p: p.relative_to(TESTS).as_posix())
def test_every_test_asserts(path: Path) -> None:
    above = [folder for folder in path.parents if TESTS in (folder, *folder.parents)]
    shared = [p.read_text() for folder in above for p in sorted(folder.glob("*.py")) if not p.name.startswith("test_")]
    assert unable_to_fail(path.read_text(), *shared) == []


def test_every_filecheck_file_checks() -> None:
    problems = {path.relative_to(TESTS).as_posix(): filecheck_problem(path.read_text()) for path in filecheck_files()}
    assert {name: problem for name, problem in problems.items() if problem} == {}


def test_file_names_are_unique() -> None:
    """Without packages, two files of one name are one module to pytest's reports."""
    names = [path.name for path in python_tests()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    "source",
    [
        "def test_a(): f()",
        "def test_a(): assert True",
        "def helper(x): return x\ndef test_a(): helper(1)",
        "class TestX:\n    def test_a(self): pass",
        "def test_a(box): box.check()",
        "def loop(): loop()\ndef test_a(): loop()",
    ],
)
def test_tests_without_assertion_are_found(source: str) -> None:
    assert unable_to_fail(source) == ["test_a"]


@pytest.mark.parametrize(
    "source",
    [
        "def test_a(): assert f()",
        "def test_a():\n    with pytest.raises(ValueError): f()",
        "def same(x): assert x\ndef test_a(): same(1)",
        "def same(x): assert x\ndef both(x): same(x)\ndef test_a(): both(1)",
        "@pytest.fixture\ndef clean():\n    yield\n    assert not left()\ndef test_a(clean): f()",
        "def test_a(): np.testing.assert_array_equal(a, b)",
        "def test_a(): build().verify()",
    ],
)
def test_assertions_are_recognised(source: str) -> None:
    assert unable_to_fail(source) == []


def test_helpers_of_conftest_count() -> None:
    assert unable_to_fail("def test_a(same): same(1)", "def same(x): assert x") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("// CHECK: x", "no RUN line"),
        ("// RUN: tool | filecheck %s\n// CHECK: x", "does not run its own file"),
        ("// RUN: tool %s\n// CHECK: x", "no filecheck"),
        ("// RUN: tool %s | filecheck other\n// CHECK: x", "no filecheck"),
        ("// RUN: tool %s | filecheck %s", "no CHECK line"),
        ("// RUN: tool %s | filecheck %s\n// CHECK-NOT: x", "no CHECK line"),
        ("// RUN: tool %s | filecheck %s --check-prefix=BAD\n// CHECK: x", "no BAD line"),
    ],
)
def test_filecheck_files_that_cannot_fail_are_found(text: str, problem: str) -> None:
    assert problem in filecheck_problem(text)
    assert filecheck_problem(text)


@pytest.mark.parametrize(
    "text",
    [
        "// RUN: tool %s | filecheck %s\n// CHECK: x",
        "// RUN: tool %s \\\n// RUN:   -p a | filecheck %s\n// CHECK-LABEL: x",
        "# RUN: tool %s 2>&1 | filecheck %s --check-prefix=BAD\n# BAD-NEXT: x",
    ],
)
def test_filecheck_files_that_can_fail_pass(text: str) -> None:
    assert filecheck_problem(text) == ""
