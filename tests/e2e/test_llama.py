"""The decoder of samples/smollm2 with a tiny model: chip against reference bits and against NumPy, at every position."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from compiler.declare import Reading
from compiler.frontend import Settings
from compiler.session import Compiled, Device, compile_source, run_and_compare
from isa.chip import load_chip
from isa.errors import DataFault, ScheduleFault

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from measure.llama import Llama

TOKENS = [5, 100, 7, 7, 250, 31]


@pytest.fixture(scope="module")
def model(tiny_llama: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.write_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", tiny_llama.tensors())


@pytest.fixture
def compiled(tiny_llama: ModuleType, model: Path) -> Callable[..., Compiled]:
    def compile_decoder(precision: str, **constants: int) -> Compiled:
        settings = Settings(tiny_llama.CONSTANTS | constants, {"model.gguf": model})
        return compile_source(tiny_llama.DECODER, load_chip("lpu-rram"), Reading(precision, settings=settings))

    return compile_decoder


def calls(tokens: list[int], rows: int = 1) -> list[dict[str, np.ndarray]]:
    """One call for every `rows` tokens; the logits wanted are those after the last row."""
    position = np.arange(len(tokens), dtype=np.int32)
    return [
        {
            "token": np.array(tokens[i : i + rows], np.int32),
            "position": position[i : i + rows],
            "last": np.array([rows - 1], np.int32),
        }
        for i in range(0, len(tokens), rows)
    ]


@pytest.mark.parametrize(("precision", "error"), [("f16", 0.04), ("i8f16", 0.4)])
def test_decode(compiled: Callable[..., Compiled], model: Path, precision: str, error: float) -> None:
    """Bits of the reference, the same cycles at every position, logits near those of the f32 model."""
    results = run_and_compare(compiled(precision), calls(TOKENS), ["fast"])
    assert len({result.cycles for result in results}) == 1
    expected = Llama(model)(TOKENS)
    found = np.concatenate([result.outputs["logits"] for result in results])
    assert np.abs(expected).max() > 2
    np.testing.assert_allclose(found, expected, atol=error)


def test_prefill_is_decode_of_many_tokens(compiled: Callable[..., Compiled], model: Path) -> None:
    results = run_and_compare(compiled("f16", ROWS=3), calls(TOKENS, rows=3), ["fast"])
    expected = Llama(model)(TOKENS)[2::3]
    np.testing.assert_allclose(np.concatenate([r.outputs["logits"] for r in results]), expected, atol=0.04)


def test_the_beginning_of_a_text_looks_at_no_older_keys(compiled: Callable[..., Compiled], model: Path) -> None:
    results = run_and_compare(compiled("f16", ROWS=6, FIRST=1), calls(TOKENS, rows=6), ["fast"])
    np.testing.assert_allclose(results[0].outputs["logits"], Llama(model)(TOKENS)[-1:], atol=0.04)


def test_prefill_and_decode_share_a_device(tiny_llama: ModuleType, model: Path) -> None:
    """Prefill of a bucket, then decode token by token on the same keys and values, as if all had been decoded."""

    def reading(rows: int) -> Reading:
        return Reading("f16", settings=Settings(tiny_llama.CONSTANTS | {"ROWS": rows}, {"model.gguf": model}))

    chip = load_chip("lpu-rram")
    decode = compile_source(tiny_llama.DECODER, chip, reading(1))
    prefill = compile_source(tiny_llama.DECODER, chip, reading(4), beside=decode.program)
    device = Device(decode.program)
    device.load(prefill.program)
    found = [device.run(given, program=prefill.program) for given in calls(TOKENS[:4], rows=4)]
    found += [device.run(given) for given in calls(TOKENS)[4:]]
    expected = Llama(model)(TOKENS)[3:]
    np.testing.assert_allclose(np.concatenate([r.outputs["logits"] for r in found]), expected, atol=0.04)
    # The same weights are in memory once: only constants and what prefill alone needs comes on top.
    assert {s.name: s.pieces for s in prefill.program.symbols if s.role == "state"} == {
        s.name: s.pieces for s in decode.program.symbols if s.role == "state"
    }
    with pytest.raises(DataFault, match="has not been loaded"):
        Device(decode.program).run(calls(TOKENS)[0], program=prefill.program)
    alone = compile_source(tiny_llama.DECODER, chip, reading(4))
    with pytest.raises(ScheduleFault):
        Device(decode.program).load(alone.program)
