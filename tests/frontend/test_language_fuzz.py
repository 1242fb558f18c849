"""Mutated sources: whatever the text, the front end builds it or says what is wrong, and soon."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest

from compiler.frontend import build_graph
from compiler.weights import WeightStore
from isa.errors import ToolchainError

ROOT = Path(__file__).parents[2]
SOURCES = [
    *(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("samples/*/*.lks"))),
    *re.findall(r"```lks\n(.*?)```", (ROOT / "docs" / "language.md").read_text(encoding="utf-8"), re.DOTALL),
]
TOKEN = re.compile(r'[A-Za-z_]\w*|[0-9.]+|"[^"\n]*"|\s+|.', re.DOTALL)
SPARE = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    ";",
    "..",
    "...",
    "@",
    "-",
    "*",
    "/",
    "==",
    "=",
    "+=",
    "\n",
    '"',
    "#",
    "0",
    "1",
    "-1",
]
SPARE += ["99999999999", "1e38", "inf", "f16", "i8", "for", "if", "fn", "return", "output", "state", "x", "sum", ".T", ".shape"]
SPARE += ["\0", "\t", "\r", "é", "\N{SNOWMAN}", "'", "\\", "$"]
BATCHES, BATCH = 8, 250


def mutate(text: str, rng: random.Random) -> str:
    """One to four edits of a token or a character: delete, double, insert, swap, or take from another source."""
    for _ in range(rng.randint(1, 4)):
        parts = TOKEN.findall(text) if rng.random() < 0.7 else list(text)
        at, other = rng.randrange(len(parts)), rng.randrange(len(parts))
        match rng.randrange(6):
            case 0:
                del parts[at]
            case 1:
                parts.insert(at, parts[other])
            case 2:
                parts.insert(at, rng.choice(SPARE))
            case 3:
                parts[at], parts[other] = parts[other], parts[at]
            case 4:
                parts[at] = rng.choice(SPARE)
            case _:
                parts[at : at + 1] = rng.choice(TOKEN.findall(rng.choice(SOURCES)))
        text = "".join(parts) or " "
    return text


@pytest.mark.parametrize("batch", range(BATCHES))
def test_mutants_are_built_or_refused(batch: int) -> None:
    rng = random.Random(batch)
    refused = 0
    for number in range(BATCH):
        source = rng.randrange(len(SOURCES))
        text = mutate(SOURCES[source], rng)
        before = time.process_time()
        try:
            build_graph(text, "mutant.lks", WeightStore(), ROOT / "samples" / "transformer").verify()
        except ToolchainError as fault:
            refused += 1
            assert fault.message
            assert fault.location is not None
            assert fault.location.file == "mutant.lks"
        except Exception as error:
            error.add_note(f"batch {batch}, mutant {number}:\n{text}")
            raise
        assert time.process_time() - before < 20, text
    assert refused > BATCH // 2
