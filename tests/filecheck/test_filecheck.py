"""Runs lit over this folder, and looks that no file here passes without checking anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.rglob("*.mlir"))
RUN = re.compile(r"^// RUN: (.*)$", re.MULTILINE)
PREFIX = re.compile(r"--check-prefix (\S+)")


def test_all_pass(tmp_path: Path) -> None:
    lit = Path(sys.executable).parent / "lit"
    command = [str(lit), "-j2", "-v", "--timeout", "60", "--param", f"exec_root={tmp_path}", str(FOLDER)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER.parents[1])
    assert result.returncode == 0, result.stdout + result.stderr
    passed = re.search(r"Passed: (\d+)", result.stdout)
    assert passed, result.stdout
    assert int(passed[1]) == len(FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_file_checks_something(path: Path) -> None:
    """Every RUN line reads the file and ends in filecheck of it (or says `not`); every prefix it asks for is there."""
    text = path.read_text(encoding="utf-8")
    runs = RUN.findall(text)
    assert runs, "no RUN line"
    for run in runs:
        assert run.count("%s") >= 2 or run.startswith("not ")
        assert re.search(r"\| filecheck %s( --check-prefix \S+)?$", run) or run.startswith("not ")
        prefix = PREFIX.search(run)
        assert re.search(rf"// {prefix[1] if prefix else 'CHECK'}(-\w+)?(-\d+)?: ", text), run


def test_there_are_files() -> None:
    assert len(FILES) >= 7
