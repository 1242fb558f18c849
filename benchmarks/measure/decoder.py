"""`samples/smollm2/decoder.lks` for any shape: random weights in a GGUF file where only cycles are asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler.declare import Precision, Reading
from compiler.frontend import Settings
from compiler.session import Compiled, compile_source
from isa.chip import Chip
from isa.program import Program

DECODER = Path(__file__).resolve().parents[2] / "samples" / "smollm2" / "decoder.lks"


@dataclass(frozen=True)
class Decoder:
    """Numbers of a Llama-type model."""

    name: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    hidden: int
    vocabulary: int
    tied: bool = True

    @property
    def head(self) -> int:
        return self.width // self.heads

    @property
    def constants(self) -> dict[str, int | float]:
        return {
            "LAYERS": self.layers, "WIDTH": self.width, "HEADS": self.heads, "KV_HEADS": self.kv_heads, "HEAD": self.head,
            "HIDDEN": self.hidden, "VOCABULARY": self.vocabulary,
        }  # fmt: skip


SMOLLM2 = Decoder("SmolLM2-135M", 30, 576, 9, 3, 1536, 49152)


def compiled(
    model: Path,
    constants: Mapping[str, int | float],
    chip: Chip,
    precision: Precision,
    context: int,
    rows: int = 1,
    beside: Program | None = None,
) -> Compiled:
    settings = Settings({**constants, "CONTEXT": context, "ROWS": rows}, {"model.gguf": model})
    return compile_source(DECODER, chip, Reading(precision, settings=settings), beside=beside)


def cycles_of(shape: Decoder, chip: Chip, context: int) -> int:
    """Cycles of a decode call with i8 weights: they do not depend on the weights."""
    with tempfile.TemporaryDirectory() as folder:
        file = random_weights(shape, Path(folder) / "random.gguf")
        return int(compiled(file, shape.constants, chip, "i8f16", context).program.facts["predicted_cycles"])


def random_weights(shape: Decoder, path: Path) -> Path:
    """A GGUF file with the tensors of this shape, F16 (norms F32)."""
    import gguf

    random = np.random.default_rng(0)
    queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    tensors = {"token_embd.weight": (shape.vocabulary, shape.width), "output_norm.weight": (shape.width,)}
    for i in range(shape.layers):
        tensors |= {
            f"blk.{i}.{name}.weight": size
            for name, size in {
                "attn_norm": (shape.width,), "ffn_norm": (shape.width,), "attn_q": (queries, shape.width),
                "attn_k": (keys, shape.width), "attn_v": (keys, shape.width), "attn_output": (shape.width, queries),
                "ffn_gate": (shape.hidden, shape.width), "ffn_up": (shape.hidden, shape.width),
                "ffn_down": (shape.width, shape.hidden),
            }.items()
        }  # fmt: skip
    writer = gguf.GGUFWriter(str(path), "llama")
    for name, size in tensors.items():
        array = random.standard_normal(size, np.float32)
        writer.add_tensor(name, array if len(size) == 1 else array.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
