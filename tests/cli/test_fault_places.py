"""Faults of a schedule are shown at the operation's place in the assembly text that a person gave."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from compiler.cli.main import lockstep
from compiler.cli.program_places import operation_places

SOURCE = "input x: i8[4, 8]\noutput y = relu(x @ (iota(i32[8, 8], axis=0) <= iota(i32[8, 8], axis=1)))\n"


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """A program in which the feed is one cycle late."""
    (tmp_path / "sums.lks").write_text(SOURCE)
    done = CliRunner().invoke(lockstep, ["compile", str(tmp_path / "sums.lks"), "--chip", "tiny", "--emit", "lasm"])
    assert done.exit_code == 0
    text = done.stdout
    feed = next(line for line in text.splitlines() if " feed " in line)
    cycle = feed.split()[0]
    late = feed.replace(f"{cycle} ", f"@{int(cycle[1:]) + 1} ")
    path = tmp_path / "late.lasm"
    path.write_text(text.replace(feed, late))
    return path


@pytest.mark.parametrize("command", ["asm", "run"])
def test_the_first_broken_rule_has_line_and_caret(moved: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(moved.parent)
    given = ["--input", "x=x.npy"] if command == "run" else []
    if given:
        import numpy as np

        np.save("x.npy", np.zeros((4, 8), np.int8))
    done = CliRunner().invoke(lockstep, [command, moved.name, *given])
    assert done.exit_code == 1
    first, shown, caret = done.stderr.splitlines()[:3]
    line, column = (int(part) for part in first.split(":")[1:3])
    text = moved.read_text().splitlines()[line - 1]
    assert shown == "  " + text
    assert caret == "  " + " " * (column - 1) + "^"
    assert re.match(r"sram\.[ew]\d+\.rd read ", text[column - 1 :])
    assert not (moved.parent / "late.lbin").exists()


def test_check_gives_every_place(moved: Path) -> None:
    done = CliRunner().invoke(lockstep, ["check", str(moved), "--limit", "2"])
    assert done.exit_code == 1
    feed = next(i for i, line in enumerate(moved.read_text().splitlines(), 1) if " feed " in line)
    assert f"late.lasm:{feed}:8: error: cycle" in done.stderr


def test_places_follow_bars_comments_and_names() -> None:
    first = '@0 a.rd read "x|b.rd y"+0 -> w0 | c.rd read 1 -> w1 ; | d.rd'
    text = f".chip tiny\n{first}\n  | e.rd read 2 -> w2 |\n f.rd read 3\n@0x10 a.rd read"
    places = {key: (place.line, place.column) for key, place in operation_places(text, "t.lasm").items()}
    assert places == {(0, "a.rd"): (2, 4), (0, "c.rd"): (2, 35), (0, "e.rd"): (3, 5), (0, "f.rd"): (4, 2), (16, "a.rd"): (5, 7)}
