"""Wrong usage exits 2, help has examples, and what a script or a terminal sees of a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from compiler.cli.main import describe, lockstep

Run = Callable[..., Result]
LOCKSTEP = Path(sys.executable).parent / "lockstep"


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("compile",),
        ("compile", "model.lks", "--emit", "soup"),
        ("compile", "model.lks", "--emit", "graph", "--json"),
        ("compile", "model.lks", "--emit", "graph", "--report", "r.json"),
        ("compile", "model.lks", "--emit", "scheduled", "--report", "r.json"),
        ("run", "relu.lasm", "--input", "x"),
        ("run", "relu.lasm", "--input", "=x.npy"),
        ("run", "relu.lasm", "--input", "x=x.npy", "--input", "x=x.npy"),
        ("run", "relu.lasm", "--machine", "quick"),
        ("run", "relu.lasm", "--calls", "0"),
        ("verify", "model.lks", "--seed", "-1"),
        ("chip", "show", "tiny", "--json", "--toml"),
    ],
)
def test_wrong_usage_exits_2(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("command", sorted(set(lockstep.commands) - {"opt"}))
def test_help_has_an_example(run: Run, command: str) -> None:
    text = run(command, "--help").stdout
    assert f"  lockstep {command} " in text.partition("Options:")[0]


def test_an_error_of_ours_is_not_blamed_on_the_user() -> None:
    message, status = describe(KeyError("bank"))
    assert status == 70
    assert message.startswith("internal error: KeyError: 'bank'")
    assert describe(MemoryError())[1] == 1
    assert describe(OSError(28, "No space left on device", "a.lbin")) == ("a.lbin: error: No space left on device", 1)


def process(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [str(LOCKSTEP), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)  # type: ignore[call-overload]


def test_messages_go_to_stderr(folder: Path) -> None:
    done = process("run", "no.lbin", cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "no.lbin: error: there is no such program file\n"


def test_traceback_is_shown_when_asked_for(folder: Path) -> None:
    done = process("--traceback", "run", "no.lbin", cwd=folder)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.endswith("no.lbin: error: there is no such program file\n")


def test_a_reader_that_leaves_is_no_error(folder: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as closed:
        command = [str(LOCKSTEP), "chip", "show", "tiny"]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False, timeout=60, cwd=folder)
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr


def test_starting_is_quick() -> None:
    """Help does not wait for libraries that it does not need."""
    code = "import sys, compiler.cli.main; print([m for m in ('numpy', 'xdsl', 'pydantic', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
