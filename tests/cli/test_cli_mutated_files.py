"""Files with random damage: every command ends soon, with exit 0 or 1, and never with an error of Lockstep itself."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
MUTANTS = 60
SECONDS = 20
NASTY = [
    *(
        b"999999999999",
        b"-1",
        b"0",
        b"1e999",
        b"nan",
        b'"',
        b"\x00",
        b"\xff",
        b"(",
        b"[",
        b"[0]" * 9,
        b"(" * 99,
        b"@",
        b"|",
        b"\n",
    ),
    *(
        b"-> e0",
        b"rep 65535",
        b"every 4095",
        b"for i in 0..9 {",
        b"}",
        b"= x",
        b"f16[1, 1]",
        b"param",
        b"state",
        b"step 1",
        b" ",
    ),
]
TARGETS = {
    "relu.lasm": ("check",),
    "relu.lbin": ("run", "--input", "x=x.npy"),
    "mine.toml": ("chip", "show"),
    "model.lks": ("compile", "--emit", "graph"),
    "x.npy": ("run", "relu.lasm", "--input", "x=x.npy"),
}
"""What reads the file; its name is the last argument, unless it is named already."""


def mutant(data: bytes, choose: random.Random) -> bytes:
    """One to three places cut, doubled, flipped, swapped or with something nasty in them."""
    for _ in range(choose.randint(1, 3)):
        start = choose.randrange(len(data) + 1)
        end = min(len(data), start + choose.choice((1, 1, 2, 4, 16)))
        part = data[start:end]
        flipped = bytes([part[0] ^ (1 << choose.randrange(8))]) + part[1:] if part else b""
        found = choose.choice((b"", part * 2, flipped, part[::-1], choose.choice(NASTY), choose.choice(NASTY) + part))
        data = data[:start] + found + data[end:]
    return data


@contextmanager
def deadline(seconds: int, what: str) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"no end in {seconds} s: {what}")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", TARGETS)
def test_damage_is_survived(run: Run, relu_program: Path, folder: Path, name: str) -> None:
    (folder / "mine.toml").write_text(run("chip", "show", "tiny", "--toml").stdout)
    whole = (folder / name).read_bytes()
    command = TARGETS[name]
    arguments = command if any(name in word for word in command) else (*command, name)
    exits: list[int] = []
    for seed in range(MUTANTS):
        data = mutant(whole, random.Random(f"{name} {seed}"))
        (folder / name).write_bytes(data)
        with deadline(SECONDS, repr(data)):
            result = run(*arguments)
        exits.append(result.exit_code)
        assert (result.exit_code == 1) == ("error: " in result.stderr), (seed, data, result.stderr)
    assert set(exits) <= {0, 1}
    assert exits.count(1) > MUTANTS // 4, "hardly any mutant was refused: the damage is too small to tell"
