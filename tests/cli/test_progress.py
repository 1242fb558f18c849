"""A compilation tells its stages and their steps; a bar on a terminal follows them, and nothing else sees it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.progress import heard_by, stage
from compiler.session import compile_file
from isa.chip import load_chip

SOURCE = "input x: f16[8, 16]\ninput w: f16[16, 16]\noutput y = sum(relu(x @ w), axis=1)\n"
SCRIPT = """
import time
from compiler.cli.progress import following
from compiler.progress import stage
with following("working"):
    step = stage("digging", 4)
    for _ in range(4):
        time.sleep(0.5)
        step(1)
"""


def test_a_compilation_tells_every_step(tmp_path: Path) -> None:
    file = tmp_path / "m.lks"
    file.write_text(SOURCE)
    told: dict[str, tuple[int, int]] = {}
    with heard_by(lambda name, done, steps: told.update({name: (done, steps)})):
        compile_file(file, load_chip("tiny"))
    assert [
        name for name in told if name in ("reading", "decompose", "lower-to-flow", "place-memory", "schedule", "checking")
    ] == [
        "reading",
        "decompose",
        "lower-to-flow",
        "place-memory",
        "schedule",
        "checking",
    ]
    for name in ("lower-to-flow", "place-memory", "offsets", "schedule"):
        done, steps = told[name]
        assert done == steps > 1, name


def test_nobody_needs_to_listen() -> None:
    heard: list[str] = []
    with heard_by(lambda name, done, steps: heard.append(name)):
        stage("first", 2)(1)
    stage("second", 2)(1)
    assert set(heard) == {"first"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_sees_a_bar() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=theirs, cwd=Path(__file__).parents[2])
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not chunk:
            break
        shown += chunk
    assert process.wait() == 0
    assert b"working: digging" in shown
    assert b"3/4" in shown or b"4/4" in shown
