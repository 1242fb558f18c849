"""Random programs: compiled, checked, run on both machines; cycles as predicted, bits as the reference evaluation."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from compiler.session import Compiled, compile_file
from isa.checker import check

ROOT = Path(__file__).parents[2]
BATCH = 10
"""Programs a test."""
BATCHES = {"small": 10, "plain": 7, "tiny": 5}
"""Chips with how many batches; together 220 programs."""
WORK = [(chip, number) for chip, batches in BATCHES.items() for number in range(batches)]

WORDS = (
    "input param state output fn for return if else zeros iota where quantize dequantize requantize matmul einsum softmax "
    "layernorm rmsnorm sum mean max min reshape transpose concat stack split pad gather broadcast relu abs exp log sqrt "
    "rsqrt recip tanh erf sin cos atan sigmoid gelu silu floor round i8 i32 f16 f32 precision keepdims value"
)
SIGNS = (".T", " @ ", " + ", " * ", " - ", " / ", " < ", " <= ", " > ", " >= ", " == ", " != ", "= -", ":2", ":3", "[-", "[:")

COMPILE = """
import sys
from pathlib import Path
from compiler.session import compile_file
from isa.chip import load_chip
from isa.container import save_program
for number in range(1, len(sys.argv), 3):
    source, chip, target = sys.argv[number : number + 3]
    save_program(compile_file(Path(source), load_chip(chip)).program, target)
"""


@pytest.mark.parametrize(("chip", "batch"), WORK)
def test_random_programs(chip: str, batch: int, fuzz: SimpleNamespace) -> None:
    verdicts = [fuzz.run.judge(seed, chip) for seed in range(batch * BATCH, (batch + 1) * BATCH)]
    failures = [fuzz.run.report(seed, chip, verdict) for seed, verdict in verdicts if verdict.kind in ("failed", "invalid")]
    assert not failures, "\n".join(failures[:2])
    assert Counter(verdict.kind for _, verdict in verdicts)["refused"] <= BATCH // 2


def test_the_programs_reach_the_whole_language(fuzz: SimpleNamespace) -> None:
    limits = fuzz.run.limits_for(fuzz.run.chip_named("small"))
    text = "".join(fuzz.generate.generate(seed, limits) for seed in range(1000))
    missing = [word for word in WORDS.split() if not re.search(rf"\b{word}\b", text)]
    missing += [sign for sign in SIGNS if sign not in text]
    assert missing == []


def test_a_wrong_bit_is_found_and_shrunk(fuzz: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a compiler that takes every maximum for a minimum, the smallest program that shows it is a few lines."""
    from compiler.lowering import elementwise

    monkeypatch.setitem(elementwise.INTEGER, "max", "imin")
    text = "input x: i8[5, 7]\ny = x + x  # i8[5, 7]\nz = max(y, 3)  # i8[5, 7]\nk = z * 2  # i8[5, 7]\noutput z\noutput k\n"
    chip = fuzz.run.chip_named("small")
    verdict = fuzz.differential.examine(text, chip, 0)
    assert verdict.what.startswith("bits")
    smallest = fuzz.shrink.shrink(text, lambda t: fuzz.differential.examine(t, chip, 0).what == verdict.what)
    assert len(smallest.splitlines()) <= 4
    assert "max(" in smallest
    assert "[1, 1]" in smallest


def test_the_same_bytes_in_every_process(fuzz: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "random").mkdir()
    random_text = fuzz.generate.generate(11, fuzz.run.limits_for(fuzz.run.chip_named("small")))
    sources = {
        ROOT / "samples" / "norm" / "norm.lks": "tiny",
        ROOT / "samples" / "digits" / "digits.lks": "lpu-rram",
        fuzz.differential.write_source(random_text, tmp_path / "random", 11): str(fuzz.run.CHIPS / "small.toml"),
    }
    found: dict[str, set[bytes]] = {source.stem: set() for source in sources}
    for hash_seed in ("1", "77"):
        targets = {source: tmp_path / f"{source.stem}-{hash_seed}.lbin" for source in sources}
        arguments = [str(word) for source, chip in sources.items() for word in (source, chip, targets[source])]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-c", COMPILE, *arguments], check=True, env=environment, cwd=ROOT)
        for source, target in targets.items():
            found[source.stem].add(target.read_bytes())
    assert {name: len(programs) for name, programs in found.items()} == {"norm": 1, "digits": 1, "fuzz": 1}


MUTATED = {
    "relu": ("tiny", "input x: i8[2, 8]\noutput y = relu(x)\n"),
    "softmax": ("tiny", "input x: f16[3, 9]\noutput y = softmax(x)\n"),
    "product": ("tiny", "input x: i8[3, 9]\ninput w: i8[9, 5]\noutput y = x @ w\n"),
    "layer": ("small", 'input x: f16[5, 17]\nparam w: f16[17, 19] from "fuzz.npz"\noutput y = f16(gelu(x @ w))\n'),
    "transpose": ("small", "input x: f32[3, 18]\noutput y = x.T\n"),
    "state": ("small", "state s: i32[4, 17]\ninput x: i32[4, 17]\ns[1:3] = x[0:2]\noutput y = sum(s, axis=0)\n"),
    "look-up": ("small", 'param t: f16[9, 20] from "fuzz.npz"\ninput i: i32[5]  # below 9\noutput y = t[i]\n'),
    "fold": ("plain", "input x: i8[4, 20]\noutput y = max(x, axis=1, keepdims=true)\n"),
}
MUTANTS = 80


@pytest.mark.parametrize("name", MUTATED)
def test_mutated_schedules_are_refused_or_do_the_same(
    name: str, fuzz: SimpleNamespace, mutations: ModuleType, tmp_path: Path
) -> None:
    """A mutant that the checker lets pass must not matter. One thing no rule can see: an operand taken from a stream, or by a
    write in a cycle, in which another value of the program comes by, while others read what it leaves; that is another legal
    program, and its bits give it away."""
    chip_name, text = MUTATED[name]
    compiled = compile_file(fuzz.differential.write_source(text, tmp_path, 3), fuzz.run.chip_named(chip_name))
    mutants = list(mutations.mutants(compiled.program, sample=40))
    assert len(mutants) >= MUTANTS
    chosen = random.Random(3).sample(mutants, MUTANTS)
    lived = [mutant for mutant in chosen if not check(mutant.program)]
    assert len(lived) <= MUTANTS // 10, [mutant.label for mutant in lived]
    for mutant in lived:
        program = replace(mutant.program, facts={})  # the prediction moves with the operation that ends last
        found = what_differs(fuzz, Compiled(program, compiled.declared, compiled.weights, 0.0), text)
        rerouted = mutant.label.startswith("stream:") or (mutant.label.startswith("cycle:") and " write)" in mutant.label)
        assert found == "" or (found == "bits" and rerouted), mutant.label


def what_differs(fuzz: SimpleNamespace, compiled: Compiled, text: str) -> str:
    try:
        fuzz.differential.compare(compiled, text, 3)
    except fuzz.differential.WrongError as error:
        return str(error.args[0])
    return ""
