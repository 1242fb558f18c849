"""Mutated sources: whatever the text, the front end builds it or says what is wrong, and soon."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import numpy as np
import pytest

from compiler.frontend import build_graph
from compiler.weights import WeightStore
from isa.errors import ToolchainError

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(path for path in ROOT.glob("samples/*/*.lks") if path.parent.name != "smollm2")  # its weights are downloaded
PAGE = re.findall(r"```lks\n(.*?)```", (ROOT / "docs" / "language.md").read_text(encoding="utf-8"), re.DOTALL)
SOURCES = [*(path.read_text(encoding="utf-8") for path in SAMPLES), *PAGE]
TOKEN = re.compile(r'[A-Za-z_]\w*|[0-9.]+|"[^"\n]*"|\s+|.', re.DOTALL)
WORDS = "( ) [ ] { } , : ; .. ... @ - * / == = += # 0 1 -1 99999999999 1e38 inf f16 i8 for if fn return output state x sum"
SPARE = [*WORDS.split(), ".T", ".shape", "é", "\N{SNOWMAN}", "'", '"', "\\", "$", "\n", "\t", "\r", "\0"]
BATCHES, BATCH = 8, 200


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
                parts[at] = rng.choice(TOKEN.findall(rng.choice(SOURCES)))
        text = "".join(parts) or " "
    return text


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Where each source finds its parameters."""
    folder = tmp_path_factory.mktemp("page")
    heads = {f"head.{i}": np.ones((8, 8), np.float16) for i in range(3)}
    layers = {f"layer{i}.w": np.ones((8, 8), np.int8) for i in range(2)}
    np.savez(folder / "weights.npz", scale=np.ones(8, np.float32), **heads, **layers)
    return [*(path.parent for path in SAMPLES), *[folder] * len(PAGE)]


def refusal(text: str, folder: Path) -> ToolchainError | None:
    """What is wrong with a source, or None when it builds."""
    try:
        build_graph(text, "mutant.lks", WeightStore(), folder).verify()
    except ToolchainError as fault:
        return fault
    return None


def test_the_sources_themselves_build(folders: list[Path]) -> None:
    assert [refusal(text, folder) for text, folder in zip(SOURCES, folders, strict=True)] == [None] * len(SOURCES)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_mutants_are_built_or_refused(batch: int, folders: list[Path]) -> None:
    rng = random.Random(batch)
    refused = 0
    for number in range(BATCH):
        source = rng.randrange(len(SOURCES))
        text = mutate(SOURCES[source], rng)
        before = time.process_time()
        try:
            fault = refusal(text, folders[source])
        except Exception as error:
            error.add_note(f"batch {batch}, mutant {number}:\n{text}")
            raise
        assert time.process_time() - before < 20, text
        if fault is not None:
            refused += 1
            assert fault.message
            assert fault.location is not None
            assert fault.location.file == "mutant.lks"
    assert BATCH // 2 < refused < BATCH
