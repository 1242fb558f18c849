"""A Llama-type model file: the numbers that `decoder.lks` needs, and what its tokenizer is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isa.errors import DataFault

ARCHITECTURE = "llama"
NUMBERS = {
    "LAYERS": "block_count",
    "WIDTH": "embedding_length",
    "HEADS": "attention.head_count",
    "KV_HEADS": "attention.head_count_kv",
    "HIDDEN": "feed_forward_length",
    "THETA": "rope.freq_base",
    "EPS": "attention.layer_norm_rms_epsilon",
}
"""Constants of the decoder and the metadata that they are, without the `llama.` before them."""

DEFAULTS = {"rope.freq_base": 10000.0}


@dataclass(frozen=True, slots=True)
class Model:
    """A model file. `fields` is its metadata by name, `tokens` the number of its tokens."""

    path: Path
    name: str
    constants: Mapping[str, int | float]
    context: int
    """Positions that the model was trained for."""
    fields: Mapping[str, Any]

    def field(self, name: str) -> Any:
        """The value of a metadata field, or None."""
        found = self.fields.get(name)
        return None if found is None else found.contents()


def read_model(path: Path) -> Model:
    """The model of a GGUF file. Raises DataFault for any other file, and for one that is no Llama-type model."""
    from compiler.frontend.gguf_file import open_gguf

    if path.is_dir() or not path.exists():
        reason = "is a folder" if path.is_dir() else "does not exist"
        raise DataFault(f"'{path}' {reason}; a model is a .gguf file", hint="samples/smollm2/README.md says where to get one")
    reader = open_gguf(path)
    fields: dict[str, Any] = dict(reader.fields)

    def value(name: str) -> Any:
        return fields[name].contents() if name in fields else None

    kind = value("general.architecture")
    if kind != ARCHITECTURE:
        raise DataFault(f"'{path.name}' is a model of the type '{kind}'; only '{ARCHITECTURE}' models are run")
    constants: dict[str, int | float] = {}
    for constant, name in NUMBERS.items():
        number = value(f"{ARCHITECTURE}.{name}")
        number = DEFAULTS.get(name) if number is None else number
        if number is None:
            raise DataFault(f"'{path.name}' does not say its {ARCHITECTURE}.{name}")
        constants[constant] = number
    embedding = next((t for t in reader.tensors if t.name == "token_embd.weight"), None)
    if embedding is None:
        raise DataFault(f"'{path.name}' has no tensor 'token_embd.weight'")
    constants["VOCABULARY"] = int(embedding.shape[-1])
    constants["HEAD"] = int(value(f"{ARCHITECTURE}.attention.key_length") or constants["WIDTH"] // constants["HEADS"])
    turned = value(f"{ARCHITECTURE}.rope.dimension_count")
    if turned not in (None, constants["HEAD"]):
        raise DataFault(f"'{path.name}' turns {turned} of {constants['HEAD']} lanes of a head; only whole heads are turned")
    if f"{ARCHITECTURE}.rope.scaling.type" in fields and value(f"{ARCHITECTURE}.rope.scaling.type") not in (None, "none"):
        raise DataFault(f"'{path.name}' scales its rotary embedding, which the decoder does not")
    context = int(value(f"{ARCHITECTURE}.context_length") or 0)
    return Model(path, str(value("general.name") or path.stem), constants, context, fields)
