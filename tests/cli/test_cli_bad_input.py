"""Bad input: one message with its place on stderr, exit 1, no traceback, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def refused(run: Run, folder: Path) -> Callable[..., str]:
    """Run a command that must refuse its input; gives what it said."""

    def call(*arguments: str) -> str:
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert "error: " in result.stderr
        assert "Traceback" not in result.stderr
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
        return result.stderr

    return call


@pytest.mark.parametrize(
    "command",
    [
        ("compile", "no.lks"),
        ("compile", "no.lks", "--emit", "graph"),
        ("verify", "no.lks"),
        ("run", "no.lbin"),
        ("run", "no.lasm"),
        ("asm", "no.lasm"),
        ("disasm", "no.lbin"),
        ("check", "no.lbin"),
        ("chip", "show", "no.toml"),
    ],
)
def test_missing_file(refused: Callable[..., str], command: tuple[str, ...]) -> None:
    assert command[-1].startswith("no.") or command[1].startswith("no.")
    assert refused(*command).startswith("no.")


@pytest.mark.parametrize(
    "command",
    [
        ("asm", "relu.lasm", "-o", "x.npy/a.lbin"),
        ("asm", "relu.lasm", "-o", "missing/a.lbin"),
        ("asm", "relu.lasm", "-o", "."),
        ("compile", "model.lks", "--emit", "graph", "-o", "x.npy/a.mlir"),
        ("compile", "model.lks", "--emit", "lasm", "--report", "missing/r.json"),
        ("run", "relu.lasm", "--input", "x=x.npy", "--output", "x.npy"),
        ("run", "relu.lasm", "--input", "x=x.npy", "--output", "x.npy/deeper/still"),
    ],
)
def test_output_that_cannot_be_written(refused: Callable[..., str], command: tuple[str, ...]) -> None:
    assert "cannot write here" in refused(*command)


def test_an_unwritable_folder_is_noticed_before_the_work(refused: Callable[..., str], folder: Path) -> None:
    """The input is as bad as the folder: the folder is named, so it was looked at first."""
    (folder / "broken.lasm").write_text("nonsense")
    assert "broken.lasm" not in refused("asm", "broken.lasm", "-o", "missing/a.lbin")
    assert "broken.lasm" not in refused("run", "broken.lasm", "--output", "x.npy/out")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((), ("'x'", "missing")),
        (("z=x.npy",), ("'z'", "'x'", "missing")),
        (("x=x.npy", "z=x.npy"), ("no input 'z'",)),
        (("x=short.npy",), ("short.npy", "shape [2, 7]", "[2, 8]")),
        (("x=float.npy",), ("float.npy", "float32", "i8")),
        (("x=relu.lasm",), ("relu.lasm", "not a .npy file")),
        (("x=cut.npy",), ("cut.npy", "damaged")),
        (("x=no.npy",), ("no.npy", "cannot read")),
        (("x=objects.npy",), ("objects.npy", "damaged")),
    ],
)
def test_wrong_inputs(
    refused: Callable[..., str], relu_program: Path, folder: Path, inputs: tuple[str, ...], words: tuple[str, ...]
) -> None:
    np.save("short.npy", np.zeros((2, 7), np.int8))
    np.save("float.npy", np.zeros((2, 8), np.float32))
    np.save("objects.npy", np.array([[{}] * 8] * 2), allow_pickle=True)
    (folder / "cut.npy").write_bytes((folder / "x.npy").read_bytes()[:-3])
    text = refused("run", "relu.lbin", *(part for text in inputs for part in ("--input", text)), "--output", "out")
    assert all(word in text for word in words), text


@pytest.mark.parametrize("command", [("run",), ("check",), ("disasm",)])
def test_damaged_program_file(refused: Callable[..., str], relu_program: Path, command: tuple[str, ...]) -> None:
    whole = relu_program.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:-1], bytes([whole[0] ^ 1]) + whole[1:], whole[:-9] + b"\x01" * 9):
        relu_program.write_bytes(damaged)
        assert "relu.lbin" in refused(*command, "relu.lbin")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("-> e1", "-> e99", "relu.lasm:7:"),
        ("imax", "imxa", "relu.lasm:7:"),
        ("sram.w0.rd", "sram.w77.rd", "relu.lasm:6:"),
        ("e1, 0x0", "e1", "relu.lasm:8:"),
        (".chip tiny", ".chip tinny", "relu.lasm:1:"),
    ],
)
def test_wrong_assembly(refused: Callable[..., str], folder: Path, old: str, new: str, place: str) -> None:
    text = (folder / "relu.lasm").read_text()
    assert old in text
    (folder / "relu.lasm").write_text(text.replace(old, new))
    message = refused("asm", "relu.lasm")
    assert message.startswith(place)
    assert "^" in message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("relu(", "relu((", ("model.lks:3:", "^")),
        ("x @ w", "x @ v", ("model.lks:3:", "'v'", "^")),
        ("x @ w", "w @ x", ("model.lks:3:", "^")),
        ("f32[2, 4]", "f33[2, 4]", ("model.lks:1:", "f33", "^")),
        ('"w.npy"', '"no.npy"', ("model.lks:2:", "no.npy")),
        ("f32[4, 3] from", "f32[4, 5] from", ("model.lks:2:", "w")),
        ("f32[4, 3] from", "i8[4, 3] from", ("model.lks:2:", "w")),
    ],
)
def test_wrong_source(refused: Callable[..., str], folder: Path, old: str, new: str, words: tuple[str, ...]) -> None:
    text = (folder / "model.lks").read_text()
    assert old in text
    (folder / "model.lks").write_text(text.replace(old, new))
    message = refused("compile", "model.lks", "--emit", "graph", "-o", "model.mlir")
    assert all(word in message for word in words), message


def test_source_that_is_not_text(refused: Callable[..., str], folder: Path) -> None:
    (folder / "model.lks").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in refused("compile", "model.lks", "--emit", "graph")


def test_chip_files_are_judged_whole(refused: Callable[..., str], folder: Path) -> None:
    (folder / "bad.toml").write_text('name = "bad"\nlanes = -1\n[sram]\nwords = "many"\n')
    message = refused("chip", "show", "bad.toml")
    assert "problems" in message
    assert all(path in message for path in ("lanes", "sram.words", "clock_ghz", "mxm"))
    assert refused("compile", "model.lks", "--chip", "bad.toml", "--emit", "graph") == message
    assert "presets are" in refused("compile", "model.lks", "--chip", "tinny")
