"""Llama-type models in GGUF files: numbers and tokenizer from the file's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from compiler.cli.llm.model import ARCHITECTURE, Model, require_architecture
from isa.errors import DataFault

if TYPE_CHECKING:
    from tokenizers import Tokenizer

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

CONTROL = 3
"""Token type of what stands for itself in a prompt, such as <|im_start|>."""

DIGITS_APART = ("smollm",)
BYTE_LEVEL = ("smollm", "gpt-2", "default")
"""Pre-tokenisers, as `tokenizer.ggml.pre` names them: GPT-2's words, with every digit apart in the first."""


class Metadata:
    """Fields of a GGUF file by name."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __call__(self, name: str) -> Any:
        """The value of a field, or None."""
        found = self._fields.get(name)
        return None if found is None else found.contents()


class GgufWords:
    """The tokenizer that a GGUF file holds: byte-level BPE."""

    def __init__(self, metadata: Metadata, name: str) -> None:
        self._metadata, self._name = metadata, name

    def tokenizer(self) -> Tokenizer:
        import tokenizers
        from tokenizers import decoders, models, pre_tokenizers

        value = self._metadata
        kind, before = value("tokenizer.ggml.model"), value("tokenizer.ggml.pre") or "default"
        words: list[str] | None = value("tokenizer.ggml.tokens")
        if kind is None or words is None:
            raise DataFault(f"'{self._name}' has no tokenizer", hint="a GGUF file made with its vocabulary has one")
        if kind != "gpt2" or before not in BYTE_LEVEL:
            raise DataFault(
                f"the tokenizer of '{self._name}' is {kind} with {before}; byte-level BPE is read",
                notes=(f"that is gpt2 with {', '.join(BYTE_LEVEL)}",),
            )
        merges = [tuple(pair.split(" ", 1)) for pair in value("tokenizer.ggml.merges") or ()]
        found: Any = tokenizers.Tokenizer(cast(Any, models.BPE)({word: i for i, word in enumerate(words)}, merges))
        steps: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
        if before in DIGITS_APART:
            steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
        found.pre_tokenizer = pre_tokenizers.Sequence(steps)
        found.decoder = decoders.ByteLevel()
        kinds: list[int] = value("tokenizer.ggml.token_type") or []
        control = [word for word, kind in zip(words, kinds, strict=False) if kind == CONTROL]
        found.add_special_tokens([tokenizers.AddedToken(word, special=True, normalized=False) for word in control])
        return found

    @property
    def first(self) -> list[int]:
        value = self._metadata
        return [value("tokenizer.ggml.bos_token_id")] if value("tokenizer.ggml.add_bos_token") else []

    @property
    def ends(self) -> set[int]:
        ends = (self._metadata("tokenizer.ggml.eos_token_id"), self._metadata("tokenizer.ggml.eot_token_id"))
        return {end for end in ends if end is not None}

    @property
    def chat_template(self) -> str:
        return str(self._metadata("tokenizer.chat_template") or "")


def read_gguf_model(path: Path) -> Model:
    """Raises DataFault for a file that is no whole GGUF file, and for one that is no Llama-type model."""
    from compiler.frontend.gguf_file import EMBEDDING, open_gguf

    reader, name = open_gguf(path), path.name
    value = Metadata(dict(reader.fields))
    require_architecture(value("general.architecture"), name)
    constants: dict[str, int | float] = {}
    for constant, field in NUMBERS.items():
        number = value(f"{ARCHITECTURE}.{field}")
        number = DEFAULTS.get(field) if number is None else number
        if number is None:
            raise DataFault(f"'{name}' does not say its {ARCHITECTURE}.{field}")
        constants[constant] = number
    embedding = next((t for t in reader.tensors if t.name == EMBEDDING), None)
    if embedding is None:
        raise DataFault(f"'{name}' has no tensor '{EMBEDDING}'")
    constants["VOCABULARY"] = int(embedding.shape[-1])
    constants["HEAD"] = int(value(f"{ARCHITECTURE}.attention.key_length") or constants["WIDTH"] // constants["HEADS"])
    turned = value(f"{ARCHITECTURE}.rope.dimension_count")
    if turned not in (None, constants["HEAD"]):
        raise DataFault(f"'{name}' turns {turned} of {constants['HEAD']} lanes of a head; only whole heads are turned")
    if value(f"{ARCHITECTURE}.rope.scaling.type") not in (None, "none"):
        raise DataFault(f"'{name}' scales its rotary embedding, which the decoder does not")
    context = int(value(f"{ARCHITECTURE}.context_length") or 0)
    return Model(name, path, (path,), constants, context, GgufWords(value, name))
